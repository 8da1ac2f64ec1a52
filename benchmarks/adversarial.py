"""Compares mckl's exact theory with references of 30 digits, over random and nasty pairs.

    python benchmarks/adversarial.py [--count N] [--seed N] [--file]

Draws fresh pairs (`benchmarks/nasty_pairs.py`), computes their references (`references.py`),
compares every number with its own bound, and writes docs/explanation/adversarial.md. With `--file`
it compares the stored pairs of tests/references/pairs.json, as the tests do, and prints the worst
ones.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import nasty_pairs
import references
from tqdm import tqdm

from mckl.draw.points import SAMPLERS
from mckl.estimation.theory import exact_mean
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import case_pair
from mckl.study.settings import case_setting
from mckl.study.theory_table import setting_rows

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "adversarial.md"
MANY = 2**50  # samples at which cv's leading order is asked for
QUANTITIES = ("bias", "variance", "skewness", "excess_kurtosis")
SETTING_COLUMNS = {"kl": "kl", "reverse_kl": "reverse_kl", "variance": "log_ratio_variance"}
HALF_BELOW, MOST_BELOW, MOST_WITHHELD = 1e-12, 1e-9, 0.03


class Number(NamedTuple):
    """One number of a pair beside its reference.

    bound      what mckl says its relative error is at most; None where it says nothing
    error      the error as the bound means it; NaN where there is none to measure
    wrong      why the number is wrong; None where it is right or withheld
    withheld   whether it is NaN though the reference is finite and below 10^308
    counted    whether it counts if withheld
    """

    pair: str
    kind: str
    quantity: str
    reference: str
    given: float
    bound: float | None
    error: float
    wrong: str | None
    withheld: bool
    counted: bool

    def __str__(self) -> str:
        bound = "no bound" if self.bound is None else f"bound {self.bound:.1e}"
        why = f": {self.wrong}" if self.wrong else ""
        known = _finite(self.reference)
        reference = self.reference if known is None else mpmath.nstr(known, 20)
        return (
            f"{self.pair} {self.quantity}: reference {reference}, given "
            f"{self.given:.17g}, error {self.error:.1e}, {bound}{why}"
        )


def compared(
    pair: Mapping[str, Any], quantity: str, reference: str, given: float, bound: float | None,
    scale: mpmath.mpf,
) -> Number:  # fmt: skip
    """A number beside its reference; its error is relative to `scale`."""
    error, wrong, withheld = math.nan, None, False
    if reference == "huge":
        if not math.isnan(given):
            wrong = "is finite but beyond 10^308: expected NaN"
    elif reference == "inf":
        if math.isfinite(given):
            wrong = "is infinite"
    elif math.isnan(given):
        withheld = True
    elif math.isinf(given):
        wrong = "is finite"
    else:
        apart = abs(mpmath.mpf(given) - mpmath.mpf(reference))
        error = float(apart / scale) if apart else 0.0
        if bound is None or math.isnan(bound):
            wrong = "has no bound (relative_error)"
        elif not error <= bound:
            wrong = "is further off than its bound"
    counted = not pair.get("uncounted") and not quantity.split()[-2].startswith("cv")
    return Number(
        pair["name"], pair["kind"], quantity, reference, given, bound, error, wrong, withheld,
        counted,
    )  # fmt: skip


def _finite(reference: Any) -> mpmath.mpf | None:
    return None if reference in (None, "inf", "huge") else mpmath.mpf(reference)


def numbers(pair: Mapping[str, Any]) -> Iterator[Number]:
    """Every number of a pair that has a reference."""
    mpmath.mp.dps = 40
    reference = pair["reference"]
    of = case_pair(pair["case"])
    try:
        setting = case_setting(pair["name"], pair["case"])
        row = {key: values[0] for key, values in setting_rows([setting]).items()}
    except ValueError:  # a study refuses pairs whose KL is not certain
        row = {}
    for name, column in SETTING_COLUMNS.items():
        expected = reference["l"][name]
        if expected is not None:
            scale = abs(_finite(expected) or mpmath.mpf(1))
            given = row.get(column, math.nan)
            bound = row.get(f"{column}_relative_error")
            yield compared(pair, f"l {name}", expected, given, bound, scale)
    for sampler in ("iid", "antithetic"):
        if sampler in reference:
            yield from _estimates(pair, of, sampler)
    if "sobol" in reference:
        yield from _balanced(pair, of)


def _estimates(pair: Mapping[str, Any], of: Any, sampler: str) -> Iterator[Number]:
    references = pair["reference"][sampler]
    kl = abs(mpmath.mpf(pair["reference"]["l"]["kl"]))
    unit = 2 if sampler == "antithetic" else 1
    chosen = [ESTIMATORS[name] for name in references]
    rows = {
        (name, n): row for name, n, row in exact_mean(of, SAMPLERS[sampler], chosen, [unit, MANY])
    }
    for name, expected in references.items():
        row = rows[name, MANY if name.startswith("cv") else unit]
        times = MANY // unit if name.startswith("cv") else 1
        bias, variance = (_finite(value) for value in expected[:2])
        for quantity, value in zip(QUANTITIES, expected, strict=True):
            if value is None:
                continue
            given = getattr(row, quantity)
            if quantity == "variance":
                given, scale = given * times, abs(variance or mpmath.mpf(1))
            elif quantity == "bias":
                # The root mean squared error of one sample; where it is 0 or infinite, the bias.
                scale = mpmath.sqrt(variance + (bias or 0) ** 2) if variance else max(
                    abs(bias or 0), kl)  # fmt: skip
            else:
                scale = max(abs(_finite(value) or mpmath.mpf(1)), mpmath.mpf(1))
            bound = getattr(row, "relative_error", None)
            yield compared(pair, f"{sampler} {name} {quantity}", value, given, bound, scale)


def _balanced(pair: Mapping[str, Any], of: Any) -> Iterator[Number]:
    for name, by_samples in pair["reference"]["sobol"].items():
        samples = [int(n) for n in by_samples]
        for _, n, row in exact_mean(of, SAMPLERS["sobol"], [ESTIMATORS[name]], samples):
            expected = by_samples[str(n)]
            if expected is not None:
                scale = abs(_finite(expected) or mpmath.mpf(1))
                bound = getattr(row, "relative_error", None)
                yield compared(pair, f"sobol {name} n={n}", expected, row.variance, bound, scale)


def contradictions(pair: Mapping[str, Any], known: Sequence[Number]) -> Iterator[str]:
    """Where k3 and k3-factor, or cv and cv-factor, differ though there is one factor."""
    if case_pair(pair["case"]).dimension > 1:
        return
    by_quantity = {number.quantity: number for number in known}
    for quantity, one in by_quantity.items():
        if " k3 " not in quantity and " cv " not in quantity:
            continue
        other = by_quantity.get(
            quantity.replace(" k3 ", " k3-factor ").replace(" cv ", " cv-factor ")
        )
        if other is None or math.isnan(one.given) or math.isnan(other.given):
            continue
        if one.bound is None or other.bound is None:
            continue
        allowed = one.bound + other.bound
        size = max(abs(other.given), 0.0 if "variance" in quantity else 1.0)
        if one.given != other.given and not abs(one.given - other.given) <= allowed * size:
            yield f"{pair['name']} {quantity}: {one.given:.17g}, by factor {other.given:.17g}"


class Findings(NamedTuple):
    """What a comparison found."""

    numbers: list[Number]
    contradictions: list[str]
    refused: list[str]
    seconds: float

    @property
    def wrong(self) -> list[Number]:
        return [number for number in self.numbers if number.wrong]

    def share_withheld(self) -> float:
        counted = [n for n in self.numbers if n.counted and n.reference not in ("inf", "huge")]
        return sum(n.withheld for n in counted) / max(len(counted), 1)

    def bound_of_share(self, share: float) -> float:
        """The bound that this share of the numbers given does not exceed."""
        bounds = sorted(
            math.inf if n.bound is None or math.isnan(n.bound) else n.bound
            for n in self.numbers if math.isfinite(n.error)
        )  # fmt: skip
        return bounds[min(math.ceil(share * len(bounds)), len(bounds)) - 1] if bounds else math.nan


def compare(pairs: Iterable[Mapping[str, Any]]) -> Findings:
    """All numbers of the pairs beside their references."""
    found, against, refused, began = [], [], [], time.monotonic()
    for pair in pairs:
        try:
            mine = [*numbers(pair)]
        except ValueError as error:
            if not pair.get("uncounted"):
                refused.append(f"{pair['name']}: refused: {error}")
            continue
        found += mine
        against += contradictions(pair, mine)
    return Findings(found, against, refused, time.monotonic() - began)


def stored() -> list[dict[str, Any]]:
    """The pairs of the file, with their references."""
    return [json.loads(line) for line in references.FILE.read_text(encoding="utf-8").splitlines()]


def fresh(seed: int, count: int, kind: str = "") -> Iterator[dict[str, Any]]:
    """Fresh pairs with their references, computed now."""
    drawn = [p for p in nasty_pairs.pairs(seed, count) if p["kind"].startswith(kind)]
    for pair in tqdm(drawn, unit="pair", disable=None):
        try:
            yield json.loads(references.line(pair))
        except (ArithmeticError, AssertionError, ValueError) as error:
            print(f"no reference: {error}", file=sys.stderr)


def table(findings: Findings) -> str:
    """What was found by kind, as a table in Markdown."""
    rows = [
        "| kind | pairs | numbers | wrong | worst error | worst bound | most error / bound "
        "| withheld |",
        "|---|---|---|---|---|---|---|---|",
    ]
    kinds = dict.fromkeys(number.kind for number in findings.numbers)
    for kind in kinds:
        mine = [n for n in findings.numbers if n.kind == kind]
        given = [n for n in mine if math.isfinite(n.error)]
        bounds = [n.bound for n in given if n.bound is not None]
        ratios = [n.error / n.bound for n in given if n.bound]
        wrong = sum(n.wrong is not None for n in mine)
        part = Findings(mine, [], [], 0.0)
        rows.append(
            f"| {kind} | {len({n.pair for n in mine})} | {len(mine):,} | {wrong} "
            f"| {max((n.error for n in given), default=math.nan):.1e} "
            f"| {max(bounds, default=math.nan):.1e} | {max(ratios, default=math.nan):.2g} "
            f"| {100.0 * part.share_withheld():.1f} % |"
        )
    return "\n".join(rows)


def page(findings: Findings, pairs: int, seed: int) -> str:
    """The page docs/explanation/adversarial.md."""
    given = [n for n in findings.numbers if math.isfinite(n.error)]
    bounds = [n.bound for n in given if n.bound is not None]
    worst = sorted(given, key=lambda n: -n.error)[:5]
    return "\n".join(
        [
            "# How far off exact numbers are",
            "",
            "Every number that mckl calls exact has a bound on its own relative error. This page "
            "compares both with references of 30 digits, which mpmath computes without any of "
            "mckl's code, over random pairs that are meant to be hard: rare events, pairs that "
            "nearly coincide, heavy tails and borders of finiteness, sharp and far components, "
            "shapes from 10⁻³ to 10¹². `make benchmark` draws them afresh "
            "(`python benchmarks/adversarial.py --seed N`); `make test` has a fixed set.",
            "",
            f"{pairs} pairs with seed {seed}, {len(findings.numbers):,} numbers: "
            f"{len(findings.wrong)} are further off than their bound. The worst error is "
            f"{max((n.error for n in given), default=math.nan):.1e}, the largest bound "
            f"{max(bounds, default=math.nan):.1e}; half of the bounds are at most "
            f"{findings.bound_of_share(0.5):.1e}, nine tenths at most "
            f"{findings.bound_of_share(0.9):.1e}. {100 * findings.share_withheld():.2f} % of the "
            "numbers are withheld although they are finite.",
            "",
            "Errors are relative to the number itself for KL and variances, to the root mean "
            "squared error of one sample for biases (to the bias where that is infinite), and to "
            "the larger of 1 and the number for skewness and excess kurtosis.",
            "",
            table(findings),
            "",
            "The largest errors:",
            "",
            *(f"- {number}" for number in worst),
            "",
        ]
    )


def main() -> int:
    """Compare, print or write what was found, and fail where a number is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="fresh pairs")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--file", action="store_true", help="the stored pairs, not fresh ones")
    parser.add_argument("--json", type=Path, help="a file of pairs in place of the stored ones")
    parser.add_argument("--kind", default="", help="kinds whose name begins with this")
    parser.add_argument("--worst", type=int, default=20, help="how many wrong numbers to print")
    chosen = parser.parse_args()
    if chosen.json:
        references.FILE = chosen.json
    if chosen.file or chosen.json:
        pairs = [p for p in stored() if p["kind"].startswith(chosen.kind)]
    else:
        pairs = [*fresh(chosen.seed, chosen.count, chosen.kind)]
    findings = compare(pairs)
    if not (chosen.file or chosen.json):
        chosen.page.write_text(page(findings, len(pairs), chosen.seed), encoding="utf-8")
    print(table(findings))
    print(f"{len(pairs)} pairs in {findings.seconds:.0f} s, {len(findings.wrong)} wrong numbers, "
          f"{100 * findings.share_withheld():.2f} % withheld; half of the bounds at most "
          f"{findings.bound_of_share(0.5):.1e}, nine tenths {findings.bound_of_share(0.9):.1e}"
    )  # fmt: skip
    for text in [*findings.refused, *findings.contradictions]:
        print(text)
    known = [n for n in findings.wrong if math.isfinite(n.error)]
    others = [n for n in findings.wrong if not math.isfinite(n.error)]
    withheld = [n for n in findings.numbers if n.withheld and n.counted]
    for number in [*others[: chosen.worst], *sorted(known, key=lambda n: -n.error)[: chosen.worst],
                   *withheld[: chosen.worst]]:  # fmt: skip
        print(number)
    return 1 if findings.wrong or findings.contradictions or findings.refused else 0


if __name__ == "__main__":
    sys.exit(main())
