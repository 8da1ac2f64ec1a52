"""Every exact number is within its own bound, judged by references of 30 digits.

benchmarks/references.py computes the references with mpmath and none of mckl's code;
benchmarks/adversarial.py compares, and `make benchmark` does so for fresh pairs.
"""

import math
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path

import mpmath
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import adversarial
import nasty_pairs
import references

MOST_LISTED = 40
# One of each kind that takes a second or less.
RECOMPUTED = [
    "published-rare-event",
    "published-chain",
    "categorical-near-3",
    "poisson-17",
    "gamma-2",
    "student-t-3",
    "dirichlet-3",
    "normal-5",
    "covariance-2",
    "laplace-2",
    "counts-3",
    "counts-across-4",
    "counts-of-categories-4",
    "image-9",
    "bounded-wider-5",
]


@lru_cache(maxsize=1)
def findings():
    return adversarial.compare(adversarial.stored())


def listed(lines):
    """A message with one line for each failure."""
    lines = [str(line) for line in lines]
    more = f"\n... and {len(lines) - MOST_LISTED} more" if len(lines) > MOST_LISTED else ""
    return f"{len(lines)} failures\n" + "\n".join(lines[:MOST_LISTED]) + more


def test_the_pairs_are_many_and_of_every_kind():
    pairs = adversarial.stored()
    kinds = Counter(pair["kind"] for pair in pairs)
    assert len(pairs) >= 300
    assert {kind for kind, _, _ in nasty_pairs.KINDS} | {"published"} == set(kinds)
    assert len({pair["name"] for pair in pairs}) == len(pairs)
    assert references.FILE.stat().st_size < 1e6


def test_exact_numbers_are_within_their_bounds():
    found = findings()
    per_pair = {}
    for number in found.wrong:  # the worst number of each pair
        known = per_pair.get(number.pair)
        if known is None or not known.error >= number.error:
            per_pair[number.pair] = number
    wrong = sorted(
        per_pair.values(), key=lambda n: -n.error if math.isfinite(n.error) else -math.inf
    )
    assert not wrong, listed(wrong)
    assert not found.refused, listed(found.refused)


def test_one_factor_is_the_whole():
    """In one dimension k3 = k3-factor and cv = cv-factor, though they are computed in two ways."""
    found = findings()
    pairs = [n for n in found.numbers if n.quantity == "iid k3 variance" and math.isfinite(n.given)]
    assert len(pairs) > 200
    assert not found.contradictions, listed(found.contradictions)


def test_the_bounds_are_narrow_and_little_is_withheld():
    found = findings()
    assert found.bound_of_share(0.5) < adversarial.HALF_BELOW
    assert found.bound_of_share(0.9) < adversarial.MOST_BELOW
    withheld = [n for n in found.numbers if n.withheld and n.counted]
    assert found.share_withheld() <= adversarial.MOST_WITHHELD, listed(withheld)


@pytest.mark.parametrize(
    ("reference", "given", "bound", "wrong", "withheld"),
    [
        ("2.0", 2.0 + 1e-9, 1e-9, False, False),
        ("2.0", 2.0 + 4e-9, 1e-9, True, False),
        ("2.0", 2.0, None, True, False),
        ("2.0", 2.0, math.nan, True, False),
        ("2.0", math.nan, math.nan, False, True),
        ("2.0", math.inf, 0.0, True, False),
        ("inf", math.inf, 0.0, False, False),
        ("inf", 2.0, 1e-9, True, False),
        ("huge", math.nan, math.nan, False, False),
        ("huge", math.inf, 0.0, True, False),
    ],
)
def test_what_counts_as_wrong_and_as_withheld(reference, given, bound, wrong, withheld):
    pair = {"name": "a", "kind": "b"}
    number = adversarial.compared(pair, "l kl", reference, given, bound, mpmath.mpf(2))
    assert (number.wrong is not None, number.withheld) == (wrong, withheld)


@pytest.mark.parametrize("name", RECOMPUTED)
def test_a_reference_is_computed_again(name):
    (pair,) = (p for p in adversarial.stored() if p["name"] == name)
    dps, grid = references.LADDER[0]
    again = references.reference(pair, dps, grid)
    with mpmath.workdps(50):
        stored = references.read(pair["reference"])
        assert references.differ(references.read(references.text(again)), stored) is None


def test_the_published_numbers_are_met():
    """The numbers that issues and documentation state, to the digits that they give."""
    for pair in adversarial.stored():
        references.check_published(pair)
