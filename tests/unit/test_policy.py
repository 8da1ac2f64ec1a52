"""Policies against the list of all their sequences, and against simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import special

from mckl.draw import backends
from mckl.draw.alias import alias_tables
from mckl.draw.points import SAMPLERS
from mckl.estimation.traces import trace
from mckl.estimation.values import ESTIMATORS
from mckl.exact import joint
from mckl.exact.moments import RB, Function, Moments
from mckl.families.policy.pair import PolicyPair
from mckl.families.policy.token_sums import TransitionTable, token_sums
from mckl.families.registry import case_pair, sweep_pair

ROOT = Path(__file__).parents[2]
SUMS = ("ell", "half_square", "ratio", "k3", "rb")


class Case(NamedTuple):
    """The parameters of a pair of policies."""

    q: Any
    p: Any
    start: Any
    tokens: int
    stop: int | None = None

    @property
    def pair(self) -> PolicyPair:
        given: dict[str, Any] = {"initial": self.start, "dimension": self.tokens}
        if self.stop is not None:
            given["stop"] = self.stop
        for side in ("q", "p"):
            given[side] = {"family": "policy", "transitions": getattr(self, side)}
        found = case_pair(given)
        assert isinstance(found, PolicyPair)
        return found


CHAIN = Case([[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.5], [0.5, 0.5]], [1, 0], 20)
_Q = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]
_P = [[0.3, 0.3, 0.4], [0.3, 0.3, 0.4], [0.2, 0.3, 0.5]]
_CUT = [[0.7, 0.3, 0.0], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]]
CASES: Mapping[str, Case] = {
    "plain": Case(_Q, _P, [0.2, 0.3, 0.5], 6),
    "one token": Case(_Q, _P, [0, 1, 0], 1),
    "stop": Case(_Q, _P, [0.4, 0.6, 0], 7, stop=2),
    "zeros": Case(_CUT, _P, [0.2, 0.3, 0.5], 6),
    "zeros and stop": Case([[0.7, 0.3, 0.0], _Q[1], [0.0, 0.2, 0.8]], _P, [0.5, 0, 0.5], 6, stop=1),
    # Token 2 is never reached, where p is 0 and q is not; p has mass there from 0.
    "unreached": Case(
        [[0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.5, 0.3, 0.2]],
        [[0.2, 0.3, 0.5], [0.3, 0.7, 0.0], [1.0, 0.0, 0.0]],
        [0.5, 0.5, 0],
        5,
    ),
    "period 2": Case([[0, 1, 0], [0.3, 0, 0.7], [0, 1, 0]], [[0.2, 0.8, 0], [0.5, 0, 0.5], _P[2]],
                     [1, 0, 0], 7),
}  # fmt: skip
ALL = pytest.mark.parametrize("name", CASES)


class Enumerated(NamedTuple):
    """All sequences that q takes: their probabilities, lengths and sums, shape (sequences,)."""

    weight: np.ndarray
    length: np.ndarray
    sums: Mapping[str, np.ndarray]

    def mean(self, values: np.ndarray) -> float:
        return float(self.weight @ values)


def enumerated(case: Case) -> Enumerated:
    """The sequences of a case, token by token from the definition."""
    q, p = np.asarray(case.q, float), np.asarray(case.p, float)
    weights, lengths, rows = [], [], []

    def step(x: int, weight: float, sums: np.ndarray, length: int) -> None:
        if weight == 0.0:
            return
        if length == case.tokens or (length and x == case.stop):
            weights.append(weight)
            lengths.append(length)
            rows.append(sums)
            return
        taken = q[x] > 0
        kl = float(np.sum(q[x, taken] * np.log(q[x, taken] / p[x, taken])))
        for y in np.flatnonzero(taken):
            ell = math.log(q[x, y] / p[x, y])
            r = p[x, y] / q[x, y]
            more = np.array([ell, 0.5 * ell * ell, r - 1.0, r - 1.0 + ell, kl])
            step(int(y), weight * q[x, y], sums + more, length + 1)

    for x, weight in enumerate(case.start):
        step(x, float(weight), np.zeros(5), 0)
    return Enumerated(
        np.array(weights), np.array(lengths), dict(zip(SUMS, np.array(rows).T, strict=True))
    )


def test_numbers_of_the_chain() -> None:
    """The chain of the default study; docs/explanation/theory.md prints these numbers."""
    pair = CHAIN.pair
    assert pair.law.kl == pytest.approx(1.1510152776058013, rel=1e-12)
    unit = {name: e.theory(pair.law, False) for name, e in ESTIMATORS.items()}
    variances = {
        "k1": 2.3889191886, "rb": 0.0318989210, "k3-factor": 0.01958552149,
        "cv-factor": 0.01335462852, "k3": 5.2632449173,
    }  # fmt: skip
    for name, variance in variances.items():
        assert unit[name].variance == pytest.approx(variance, rel=1e-9)
    assert unit["k2-factor"].bias == pytest.approx(-0.0439721593, rel=1e-8)
    assert unit["k2"].bias == pytest.approx(0.7058624014, rel=1e-9)
    assert [unit[name].bias for name in ("k1", "k3", "rb", "k3-factor")] == [0.0] * 4


@ALL
def test_moments_of_l(name: str) -> None:
    """K and the moments of l, from every sequence."""
    law, all_of = CASES[name].pair.law, enumerated(CASES[name])
    ell = all_of.sums["ell"]
    assert all_of.weight.sum() == pytest.approx(1.0, abs=1e-12)
    assert law.kl == pytest.approx(all_of.mean(ell), rel=1e-12)
    assert law.missed_mass == pytest.approx(1.0 - all_of.mean(np.exp(-ell)), abs=1e-12)
    for s in (0.0, -1.0, -0.5, -2.0, -4.0, 1.5):
        weight = all_of.weight * np.exp(s * ell)
        assert law.log_mgf(s) == pytest.approx(math.log(weight.sum()), rel=1e-11, abs=1e-13)
    central = joint.central_moments(law.ell(4), 1).value
    for order in (2, 3, 4):
        parts = all_of.weight * (ell - law.kl) ** order
        room = 1e-11 * np.abs(parts).sum() + 1e-15
        assert central[order] == pytest.approx(parts.sum(), abs=room)


@ALL
def test_joint_cumulants_of_sums(name: str) -> None:
    """Every pair of sums to the fourth order, and three of them together."""
    law, all_of = CASES[name].pair.law, enumerated(CASES[name])
    for names in [*itertools.combinations(SUMS, 2), ("ell", "k3", "rb")]:
        means = [all_of.mean(all_of.sums[n]) for n in names]
        deviations = [all_of.sums[n] - m for n, m in zip(names, means, strict=True)]
        found = law.sums([Function(n) for n in names], False).value
        first = [found[tuple(int(i == j) for i in range(len(names)))] for j in range(len(names))]
        assert first == pytest.approx(means, rel=1e-11, abs=1e-13)

        def mu(*powers: int, of: Sequence[np.ndarray] = deviations) -> float:
            return all_of.mean(np.prod([d**n for d, n in zip(of, powers, strict=True)], axis=0))

        unit = np.eye(len(names), dtype=int)
        for index in itertools.product(range(5), repeat=len(names)):
            total = sum(index)
            if total in (2, 3):
                expected = mu(*index)
            elif total == 4:
                each = [unit[i] for i, n in enumerate(index) for _ in range(n)]
                pairings = (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))
                expected = mu(*index) - sum(
                    mu(*(each[a] + each[b])) * mu(*(each[c] + each[d]))
                    for (a, b), (c, d) in pairings
                )
            else:
                assert total == 1 or found[index] == 0.0
                continue
            size = all_of.mean(
                np.prod([np.abs(d) ** n for d, n in zip(deviations, index, strict=True)], axis=0)
            )
            assert found[index] == pytest.approx(expected, abs=1e-10 * size + 1e-15)


@ALL
def test_every_estimator(name: str) -> None:
    """Bias, variance, skewness and kurtosis of every plain mean from every sequence."""
    pair, all_of = CASES[name].pair, enumerated(CASES[name])
    ell = all_of.sums["ell"]
    values = {
        "k1": ell, "k2": 0.5 * ell**2, "k3": np.expm1(-ell) + ell,
        "k2-factor": all_of.sums["half_square"], "k3-factor": all_of.sums["k3"],
        "rb": all_of.sums["rb"],
    }  # fmt: skip
    for estimator, x in values.items():
        unit = ESTIMATORS[estimator].theory(pair.law, False)
        mean = all_of.mean(x)
        variance = all_of.mean((x - mean) ** 2)
        assert unit.bias == pytest.approx(mean - pair.law.kl, abs=1e-12)
        assert unit.variance == pytest.approx(variance, rel=1e-9, abs=1e-14)
        if variance > 1e-12:
            third, fourth = (all_of.mean((x - mean) ** k) for k in (3, 4))
            assert unit.skewness == pytest.approx(third / variance**1.5, rel=1e-8, abs=1e-9)
            assert unit.excess_kurtosis == pytest.approx(
                fourth / variance**2 - 3.0, rel=1e-8, abs=1e-8
            )
    if pair.law.missed_mass == 0.0:
        for estimator, x in (("cv", np.expm1(-ell)), ("cv-factor", all_of.sums["ratio"])):
            y = ell - all_of.mean(ell)
            e = y - all_of.mean(x * y) / all_of.mean(x * x) * x
            unit = ESTIMATORS[estimator].theory(pair.law, False)
            assert unit.variance == pytest.approx(all_of.mean(e * e), rel=1e-9)
            expected = -all_of.mean(x * x * e) / all_of.mean(x * x)
            assert unit.bias_times_n == pytest.approx(expected, rel=1e-8)


def test_direct_integrals_and_reversed_pairs() -> None:
    for name, case in CASES.items():
        pair = case.pair
        found = pair.integrals()
        assert found[:2] == pytest.approx((pair.law.kl, pair.law.variance), rel=1e-12)
        chi_square = math.expm1(pair.law.log_mgf(-2.0))
        assert found.chi_square == pytest.approx(chi_square, rel=1e-9)
        all_of = enumerated(case)
        ell = all_of.sums["ell"]
        expected = math.inf if pair.law.missed_mass else -all_of.mean(np.exp(-ell) * ell)
        assert pair.reverse_kl == pytest.approx(expected), name


def test_long_sequences_add_up_and_need_few_steps() -> None:
    """Cumulants grow by the same amount a token; steps that have settled are not computed again."""
    laws = [sweep_pair("policy(16)", n, 1.25, 0.25).law for n in (1000, 2000, 10**9)]
    one, two, many = (np.array([law.log_mgf(-2.0), *law.ell(4).value[1:]]) for law in laws)
    assert many == pytest.approx(two + (10**9 - 2000) / 1000 * (two - one), rel=1e-9)
    assert math.isfinite(laws[2].ell(4).value[4])


def test_near_equal_policies_keep_every_digit() -> None:
    """The sweep at a scale near 1: what is of second order in it, to all digits."""
    h = 2.0**-30
    near, nearer = (sweep_pair("policy(8)", 12, 1.0 + x, 0.0).law for x in (h, 0.5 * h))
    for name, power in (("ell", 2), ("ratio", 2), ("k3", 4), ("half_square", 4), ("rb", 4)):
        a, b = (law.sums((Function(name),), False).value[2] for law in (near, nearer))
        assert a / b == pytest.approx(2.0**power, rel=1e-8)
        assert a > 0
    assert near.kl / nearer.kl == pytest.approx(4.0, rel=1e-8)
    residual = [ESTIMATORS["cv-factor"].theory(law, False).variance for law in (near, nearer)]
    assert residual[0] / residual[1] == pytest.approx(16.0, rel=1e-6)


def test_extreme_ratios_do_not_overflow() -> None:
    """Log ratios of hundreds: K is finite, and what exceeds the largest number is not known."""
    far = sweep_pair("policy(6)", 50, 1e-3, 0.0).law
    for s in (-4.0, -1.0, -0.5, 2.0):
        assert math.isfinite(far.log_mgf(s))
    assert far.log_mgf(-1.0) == 0.0
    for offset in (30.0, 300.0):  # at the second some q are 0 in float64, but not missed
        law = sweep_pair("policy(6)", 50, 1.0, offset).law
        assert law.missed_mass == 0.0
        assert math.isnan(ESTIMATORS["k3"].theory(law, False).variance)
        by_token = ESTIMATORS["k3-factor"].theory(law, False).variance
        assert by_token > 1.0 if offset == 30.0 else math.isnan(by_token)
        for estimator in ("k1", "rb", "k2-factor"):
            assert math.isfinite(ESTIMATORS[estimator].theory(law, False).excess_kurtosis)


def test_alias_tables_are_exact() -> None:
    generator = np.random.default_rng(5)
    for laws, values in ((1, 2), (7, 1), (20, 30), (3, 257)):
        p = generator.dirichlet(np.full(values, 0.2), laws)
        p[generator.random(p.shape) < 0.2] = 0.0
        p[p.sum(axis=1) == 0] = 1.0
        p /= p.sum(axis=1, keepdims=True)
        fraction, other = alias_tables(p)
        back = fraction / values
        for row in range(laws):
            np.add.at(back[row], other[row], (1.0 - fraction[row]) / values)
        assert back == pytest.approx(p, abs=1e-15)
        assert not back[p == 0].any()


def drawn(pairs: Sequence[PolicyPair], units: int, replicates: int = 3) -> np.ndarray:
    """Sums of `SUMS`, shape (sums, pairs, replicates, units)."""
    forms = [pair.form() for pair in pairs]
    start = backends.load("numpy")(forms, SAMPLERS["iid"].points, SUMS[1:])
    following = start([np.random.SeedSequence(r) for r in range(replicates)])
    return following(units)[:, 0].copy()


@ALL
def test_draws_follow_the_law(name: str) -> None:
    """Every sequence occurs with its probability, as the values of its sums show."""
    case, n = CASES[name], 20_000
    all_of = enumerated(case)
    found = drawn([case.pair], n)[:, 0].reshape(len(SUMS), -1)
    names = np.round(np.stack([all_of.sums[s] for s in SUMS]), 9)
    values, which = np.unique(names, axis=1, return_inverse=True)
    expected = np.bincount(which.ravel(), all_of.weight) * found.shape[1]
    both = np.unique(np.concatenate((values, np.round(found, 9)), axis=1), axis=1)
    assert both.shape == values.shape  # nothing is drawn that is not on the list
    _, seen = np.unique(np.concatenate((values, np.round(found, 9)), axis=1), axis=1,
                        return_counts=True)  # fmt: skip
    # Pearson's statistic over what is common and the rest.
    common = expected > 20
    counts = np.append(seen[common] - 1, (seen - 1)[~common].sum())
    means = np.append(expected[common], expected[~common].sum())
    counts, means = counts[means > 0], means[means > 0]
    statistic = float(((counts - means) ** 2 / means).sum())
    assert special.chdtrc(means.size - 1, statistic) > 1e-6


def test_blocks_and_sharing_change_no_bit() -> None:
    """A longer run starts with the shorter one, however draws are asked for and shared."""
    pair, other = (sweep_pair("policy(8)", 12, scale, 0.5) for scale in (1.25, 2.0))
    pair, other = PolicyPair.form(pair), PolicyPair.form(other)
    assert pair.shape == other.shape
    one, two = (sweep_pair("policy(8)", 12, scale, 0.5) for scale in (1.25, 2.0))
    short, long = drawn([one], 700), drawn([one, two], 2500, 5)
    assert (long[:, :1, :3, :700] == short).all()
    assert (drawn([two], 2500)[:, 0] == long[:, 1, :3]).all()
    stopping = CASES["stop"].pair
    assert (drawn([stopping], 2000, 1) == drawn([stopping], 2000, 4)[:, :, :1]).all()
    estimators = list(ESTIMATORS.values())
    runs = [
        trace(one, "numpy", SAMPLERS["iid"], estimators, seed=3, samples=at, replicates=4,
              at_once=at_once)
        for at, at_once in (([100, 1000], 12), ([100, 1000, 1500], 1))
    ]  # fmt: skip
    assert (runs[0].estimate == runs[1].estimate[..., :2]).all()


def test_only_iid_samples_are_offered() -> None:
    pair = CHAIN.pair
    assert [name for name, sampler in SAMPLERS.items() if sampler.offered(pair)] == ["iid"]


_TABLE = [[0.7, 0.3], [0.4, 0.6]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": {"transitions": [[0.7, 0.3], [0.4, 0.5]]}},
         "q's row 1, counted from 0, adds up to 0.9"),
        ({"p": {"transitions": [[0.7, 0.2], [0.4, 0.6]]}},
         "p's row 0, counted from 0, adds up to 0.9"),
        ({"q": {"transitions": [[0.7, 0.3]]}}, "transitions is 1 x 2, expected a square matrix"),
        ({"q": {"transitions": [[0.7, 0.3], [1.4, -0.4]]}},
         r"transitions -0.4 \(row 1, column 1, from 0\)"),
        ({"q": {"transitions": [[0.7], [0.4, 0.6]]}}, "expected a square matrix"),
        ({"q": {"logits": [[0, math.inf], [0, 0]]}}, r"logits inf \(row 0, column 1, from 0\)"),
        ({"q": {"logits": [[0, 0], [-math.inf, -math.inf]]}}, "q's row 1, counted from 0, adds up"),
        ({"q": {"logits": [[0, 0], [0, 0]], "transitions": _TABLE}}, "expected one of transitions"),
        ({"q": {}}, "expected one of transitions, logits and text"),
        ({"q": {"text": "aaa"}}, "expected two different characters or more"),
        ({"q": {"transitions": _TABLE, "temperature": 0}}, "temperature 0, expected"),
        ({"p": {"transitions": [[1, 0], [0.4, 0.6]]}},
         "p is 0 for token 1 after token 0, counted from 0, where q is not: KL is infinite"),
        ({"p": {"transitions": np.full((3, 3), 1 / 3)}}, "q has 2 tokens and p has 3"),
        ({"p": {"transitions": _TABLE, "dimension": 3}}, "dimension of q and p differ"),
        ({"dimension": None}, "dimension None, expected a number of tokens, 1 or more"),
        ({"dimension": 0}, "dimension 0, expected a number of tokens, 1 or more"),
        ({"dimension": 2.5}, "dimension 2.5, expected a number of tokens"),
        ({"initial": [0.5, 0.4]}, "initial adds up to 0.9, expected 1"),
        ({"initial": [0.5, 0.4, 0.1]}, "initial has 3 numbers, expected 2"),
        ({"initial": [1.5, -0.5]}, "initial -0.5 .*, expected a number of at least 0"),
        ({"stop": 2}, "stop 2, expected a token from 0 to 1"),
        ({"stop": "x"}, "stop 'x', expected a token from 0 to 1"),
        ({"stop": 0}, "initial is 1 at the stop token 0: a sequence of length 0"),
        ({"stop": 1, "q": {"transitions": [[1, 0], [0.4, 0.6]]}},
         "q never stops: token 1 cannot follow token 0, counted from 0"),
        ({"start": [1, 0]}, "unknown parameter start"),
    ],
)  # fmt: skip
def test_bad_input(change: Mapping[str, Any], message: str) -> None:
    case: dict[str, Any] = {
        "dimension": 4, "initial": [1, 0], "q": {"transitions": _TABLE},
        "p": {"transitions": _TABLE},
    } | dict(change)  # fmt: skip
    for side in ("q", "p"):
        case[side] = {"family": "policy", **case[side]}
    with pytest.raises(ValueError, match=message) as error:
        case_pair(case)
    assert "\n" not in str(error.value)


def test_bad_sweeps() -> None:
    with pytest.raises(ValueError, match=r"tables of 5,000 states take about 8 GB, expected at"):
        sweep_pair("policy(5000)", 4, 1.0, 0.0)
    for text in ("policy(1)", "policy(2.5)"):
        with pytest.raises(ValueError, match="2 states or more"):
            sweep_pair(text, 4, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"expected policy\(states\)"):
        sweep_pair("policy", 4, 1.0, 0.0)


def test_tables_of_a_text() -> None:
    """Counts of pairs, smoothed by one observation a row; a temperature; a stop."""
    case = {
        "dimension": 5,
        "q": {"family": "policy", "text": "abba.", "temperature": 0.5},
        "p": {"family": "policy", "text": "abba."},
    }
    counts = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 1]]) + 1 / 3  # of '.', 'a', 'b'
    p = counts / counts.sum(axis=1, keepdims=True)
    q = p**2 / (p**2).sum(axis=1, keepdims=True)
    found = case_pair(case)
    assert isinstance(found, PolicyPair)
    assert found.law.kl == pytest.approx(Case(q, p, [0.2, 0.4, 0.4], 5).pair.law.kl, rel=1e-12)
    stopped = case_pair({**case, "stop": "."}).law.kl
    assert stopped == pytest.approx(Case(q, p, [0, 0.5, 0.5], 5, 0).pair.law.kl, rel=1e-12)
    points = np.array([*map(ord, "abba.")], dtype=float)
    case["p"]["text"] = points
    assert case_pair(case).law.kl == found.law.kl
    case["p"]["text"] = "abc"
    with pytest.raises(ValueError, match="do not have the same characters"):
        case_pair(case)


def test_tokens_that_are_never_sampled() -> None:
    """top_k and top_p keep the likeliest tokens, renormalised, and rows are still checked."""
    table = [[0.5, 0.3, 0.2], [0.1, 0.45, 0.45], [0.2, 0.2, 0.6]]

    def probabilities(**cut: Any) -> np.ndarray:
        sides = {"q": {"transitions": table, **cut}, "p": {"transitions": table}}
        case = {k: {"family": "policy", **v} for k, v in sides.items()} | {"dimension": 3}
        found = case_pair(case)
        assert isinstance(found, PolicyPair)
        return found.transitions.q

    assert probabilities(top_k=2) == pytest.approx(
        np.array([[0.625, 0.375, 0], [0, 0.5, 0.5], [0.25, 0, 0.75]])
    )
    assert probabilities(top_p=0.6) == pytest.approx(
        np.array([[0.625, 0.375, 0], [0, 0.5, 0.5], [0, 0, 1]])
    )
    assert probabilities(top_p=1) == pytest.approx(np.array(table))
    table[0][0] = 0.4
    with pytest.raises(ValueError, match=r"q.s row 0, counted from 0, adds up to 0\.9, expected 1"):
        probabilities(top_k=2)


@pytest.mark.parametrize("name", ["plain", "stop", "zeros and stop", "one token"])
def test_means_over_lengths(name: str) -> None:
    """Lengths, and means that divide by them, against the list of all sequences."""
    pair, all_of = CASES[name].pair, enumerated(CASES[name])
    N = all_of.length
    for sum_of in SUMS:
        x, found = all_of.sums[sum_of], pair.per_token(sum_of)
        assert found.probabilities == pytest.approx(
            [all_of.weight[n == N].sum() for n in range(1, CASES[name].tokens + 1)], abs=1e-14
        )
        assert found.mean_length == pytest.approx(all_of.mean(N))
        rate = all_of.mean(x) / all_of.mean(N)
        assert found.per_token == pytest.approx(rate, rel=1e-11, abs=1e-14)
        assert found.sequence_mean == pytest.approx(all_of.mean(x / N), rel=1e-11, abs=1e-14)
        variance = all_of.mean((x / N - all_of.mean(x / N)) ** 2)
        assert found.sequence_mean_variance == pytest.approx(variance, rel=1e-9, abs=1e-14)
        away, scale = x - rate * N, all_of.mean(N) ** 2
        assert found.token_mean_bias == pytest.approx(-all_of.mean(away * N) / scale, abs=1e-12)
        expected = all_of.mean(away**2) / scale
        assert found.token_mean_variance == pytest.approx(expected, rel=1e-9, abs=1e-14)


def test_mean_over_the_tokens_of_a_batch() -> None:
    """The leading order of its bias and variance, by batches drawn from the list of sequences."""
    case = CASES["stop"]
    all_of, found, n = enumerated(case), case.pair.per_token(), 400
    generator = np.random.default_rng(8)
    order = np.argsort(-all_of.weight)
    counts = generator.multinomial(n, all_of.weight[order], size=8000)
    means = (counts @ all_of.sums["ell"][order]) / (counts @ all_of.length[order])
    # The same batches' plain means, whose expectation is known, take most of the noise away.
    away = (counts @ (all_of.sums["ell"] - found.per_token * all_of.length)[order]) / n
    rest = means - found.per_token - away / found.mean_length
    assert rest.mean() == pytest.approx(
        found.token_mean_bias / n, abs=5 * rest.std() / math.sqrt(means.size)
    )
    assert means.var() == pytest.approx(found.token_mean_variance / n, rel=0.08)


def test_a_mean_of_sequence_means_can_be_negative() -> None:
    """E[l / N] is of first order in q - p: where p stops sooner, it is below 0."""
    signs = []
    for h in (1e-3, 1e-6):
        q, p = [[0.5, 0.5], [0, 1]], [[0.5 - h, 0.5 + h], [0, 1]]
        found = Case(q, p, [1, 0], 60, 1).pair.per_token()
        # P_q(N = n) - P_p(N = n) to first order, over n.
        n = np.arange(1, 61)
        expected = np.sum((0.5**n - (0.5 - h) ** (n - 1) * (0.5 + h)) / n)
        assert found.sequence_mean == pytest.approx(expected, rel=5 * h)
        signs.append(found.sequence_mean)
        assert found.per_token > 0
    assert max(signs) < 0


# When Rao-Blackwellisation is worth it: docs/explanation/theory.md, section 3.2, has these numbers.


def two_steps(rare: float) -> Case:
    """0 -> 1 or 2; l of the first token is balanced by that of the second, but for `rare`."""
    q, p = np.eye(5), np.eye(5)
    q[0], p[0] = [0, 0.5, 0.5, 0, 0], [0, 0.25, 0.75, 0, 0]
    q[1], p[1] = [0, 0, 0, 1, 0], [0, 0, 0, 1, 0]
    q[2], p[2] = [0, 0, 0, 1 - rare, rare], [0, 0, 0, 1 / 3, 2 / 3]
    return Case(q, p, [1, 0, 0, 0, 0], 2)


def test_k1_can_have_no_variance_where_rb_has() -> None:
    """Every sequence has l = log 2, and what rb averages depends on the first token."""
    case = two_steps(0.0)
    sums = enumerated(case).sums
    assert sums["ell"] == pytest.approx(math.log(2.0), rel=1e-15)
    unit = {name: e.theory(case.pair.law, False) for name, e in ESTIMATORS.items()}
    assert case.pair.law.kl == pytest.approx(math.log(2.0), rel=1e-15)
    assert case.pair.law.missed_mass == pytest.approx(0.5)
    assert unit["k1"].variance == 0.0
    assert unit["rb"].variance == pytest.approx((0.5 * math.log(3.0)) ** 2, rel=1e-12)
    assert unit["rb"].variance == pytest.approx(0.3017372402, rel=1e-9)
    assert unit["k3"].bias == pytest.approx(-0.5)
    assert unit["k3-factor"].bias == pytest.approx(-1 / 3)
    ratios = []
    for rare, k1, rb in ((1e-2, 0.1394206933, 0.2681578941), (1e-4, 4.903661073e-3, 0.3011386049),
                         (1e-6, 1.052505151e-4, 0.3017287213)):  # fmt: skip
        law = two_steps(rare).pair.law
        assert law.missed_mass == 0.0
        of = [ESTIMATORS[name].theory(law, False).variance for name in ("k1", "rb")]
        assert of == pytest.approx([k1, rb], rel=1e-8)
        ratios.append(of[0] / of[1])
    assert ratios == sorted(ratios, reverse=True)


def split(pair: PolicyPair, name: str) -> tuple[float, float, float]:
    """The two parts of a sum's variance beyond rb's: that of the tokens, and twice a covariance."""
    c = pair.law.sums((Function(name), RB), False, 2).value
    return c[2, 0], c[2, 0] + c[0, 2] - 2.0 * c[1, 1], 2.0 * (c[1, 1] - c[0, 2])


def test_variances_split_at_rb() -> None:
    """Var k1 = Var rb + E sum Var(l_t | before) + 2 Cov, and so with k3."""
    pair = CHAIN.pair
    rb = pair.law.sums((RB,), False).value[2]
    expected = {
        "ell": (2.3889191886, 2.1293372629, 0.2276830048),
        "k3": (0.0195855215, 0.0281613220, -0.0404747215),
    }
    for name, numbers in expected.items():
        total, own, covariance = split(pair, name)
        assert (total, own, covariance) == pytest.approx(numbers, rel=1e-8)
        assert total == pytest.approx(rb + own + covariance, rel=1e-12)
    # The middle term from its definition: variances of rows, over where the chain is.
    of, law, total = pair.transitions, np.array([1.0, 0.0]), 0.0
    for _ in range(20):
        total += law @ (of.q * (of.ell - of.kl[:, None]) ** 2).sum(axis=1)
        law = law @ of.q
    assert total == pytest.approx(expected["ell"][1], rel=1e-9)


def truncated(pair: PolicyPair, k: int, rest: bool) -> tuple[float, float]:
    """Relative bias and variance of rb summed over the k likeliest tokens of q alone."""
    of = pair.transitions
    order = np.argsort(-of.q, axis=1, kind="stable")[:, :k]
    q, ell = (np.take_along_axis(x, order, axis=1) for x in (of.q, of.ell))
    means = (q * ell).sum(axis=1)
    if rest:
        left, of_p = 1.0 - q.sum(axis=1), 1.0 - (q * np.exp(-ell)).sum(axis=1)
        means = means + special.xlogy(left, left / of_p)
    table = np.broadcast_to(means[:, None], of.q.shape)
    of_table = TransitionTable(*(Moments(x, np.zeros_like(x)) for x in (table, means)))
    c = token_sums(of.q, of.start, [of_table], pair.dimension, 2).value
    return c[1] / pair.law.kl - 1.0, c[2]


def test_truncated_rb() -> None:
    """A sum over the likeliest tokens can be far off either way; the rest as one token is below."""
    text = (ROOT / "studies/alice.txt").read_text("utf-8")
    sides = {"q": {"temperature": 0.8}, "p": {}}
    case = {side: {"family": "policy", "text": text, **more} for side, more in sides.items()}
    pairs = {
        "wide": sweep_pair("policy(64)", 64, 1.25, 0.25),
        "narrow": sweep_pair("policy(64)", 64, 0.8, 0.0),
        "text": case_pair({**case, "dimension": 64}),
    }
    expected = {
        ("wide", 5): (1.0815267, -0.4984102), ("wide", 20): (1.5176687, -0.1789563),
        ("wide", 40): (0.7842751, -0.0452730), ("narrow", 5): (-3.7917901, -0.3586553),
        ("narrow", 20): (-3.4931654, -0.0938803), ("narrow", 40): (-1.6577011, -0.0177258),
        ("text", 5): (2.0692148, -0.1515647), ("text", 20): (0.3578452, -0.0104697),
        ("text", 40): (0.0304715, -0.0003384),
    }  # fmt: skip
    for (name, k), biases in expected.items():
        pair = pairs[name]
        assert isinstance(pair, PolicyPair)
        found = [truncated(pair, k, rest)[0] for rest in (False, True)]
        assert found == pytest.approx(biases, abs=2e-7)
        assert found[1] < 0


def text_policy(**more: Any) -> dict[str, Any]:
    return {"family": "policy", "text": (ROOT / "studies/alice.txt").read_text("utf-8"), **more}


def test_samples_for_one_percent() -> None:
    """By token and by sequence, at equal samples."""
    whole = {"q": text_policy(temperature=0.8), "p": text_policy()}
    pairs = {
        "near": sweep_pair("policy(64)", 256, 1.25, 0.25),
        "far": sweep_pair("policy(64)", 256, 2.0, 1.0),
        "few": sweep_pair("policy(8)", 256, 2.0, 1.0),
        "text": case_pair({**whole, "dimension": 64}),
        "sentence": case_pair({**whole, "dimension": 256, "stop": "."}),
    }
    expected = {
        "near": (11.8010, 1661.92, 82.711, 73.3368, 3.15870),
        "far": (135.379, 132.230, 151.852, 59.837, 2.92481),
        "few": (92.8720, 126.805, 143.986, 23.7722, 11.09325),
        "text": (1.93370, 9258.30, 1271.11, 599.314, 13.52493),
        "sentence": (5.71256, 5930.77, 2291.43, 2222.80, 2105.68),
    }
    for name, numbers in expected.items():
        law = pairs[name].law
        samples = [
            1e4 * ESTIMATORS[e].theory(law, False).variance / law.kl**2
            for e in ("k1", "k3-factor", "cv-factor", "rb")
        ]
        assert [law.kl, *samples] == pytest.approx(numbers, rel=2e-5)
    sentence = pairs["sentence"]
    assert isinstance(sentence, PolicyPair)
    means = [sentence.per_token(name) for name in ("ell", "k3")]
    assert [m.per_token for m in means] == pytest.approx([0.0302389, 0.0302389], rel=1e-5)
    assert [m.sequence_mean for m in means] == pytest.approx([0.0223670, 0.0329931], rel=1e-5)
    stops = Case([[0.5, 0.5], [0, 1]], [[0.4, 0.6], [0, 1]], [1, 0], 200, 1).pair.per_token()
    assert [stops.per_token, stops.sequence_mean] == pytest.approx(
        [0.0204110, -0.0579034], rel=1e-5
    )


def test_what_cut_sampling_does() -> None:
    """top_p and top_k on the text: KL, and the estimators that need E r = 1."""
    text = (ROOT / "studies/alice.txt").read_text("utf-8")
    expected = {
        (): (1.9337022, 0.0, 0.0, 0.0),
        ("top_k", 40): (2.0525885, 0.1550757, -0.1550757, -0.1689444),
        ("top_k", 10): (11.6581916, 0.9999493, -0.9999493, -9.3013397),
        ("top_p", 0.9): (10.9248944, 0.9999565, -0.9999565, -9.2807064),
    }
    others = {
        (): (-0.1910335, 0.0),
        ("top_k", 40): (-0.3382263, 0.0591577),
        ("top_k", 10): (-9.0696622, 6.6741365),
        ("top_p", 0.9): (-9.1259312, 5.7737704),
    }
    for cut, numbers in expected.items():
        q = {"family": "policy", "text": text, "temperature": 0.8, **dict([cut] if cut else [])}
        pair = case_pair({"dimension": 64, "q": q, "p": {"family": "policy", "text": text}})
        law = pair.law
        biases = [ESTIMATORS[name].theory(law, False).bias for name in ("k3", "k3-factor")]
        assert [law.kl, law.missed_mass, *biases] == pytest.approx(numbers, abs=2e-7)
        whole = case_pair({"dimension": 64, "q": q, "p": {**q, "top_k": 67, "top_p": 1}})
        half_square = ESTIMATORS["k2-factor"].theory(law, False).bias
        assert [half_square, whole.law.kl] == pytest.approx(others[cut], abs=2e-7)
        assert ESTIMATORS["k1"].theory(law, False).bias == 0.0
        assert ESTIMATORS["rb"].theory(law, False).bias == 0.0
        assert (ESTIMATORS["cv-factor"].theory(law, False).kind == "none") == bool(cut)
        assert pair.reverse_kl == math.inf if cut else pair.reverse_kl < 3
