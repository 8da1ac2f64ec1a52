"""The moments of policies, and their bounds, against sequences and recursions in 80 digits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from mckl.exact.moments import ELL, HALF_SQUARE, K3, RATIO, RB, Bounded, Function, Moments
from mckl.families.policy.pair import PolicyPair
from mckl.families.registry import case_pair

DIGITS = 80
NOISE = mpf(10) ** -55  # smaller references, relative to their terms, are 0
RESTS = (1.0, 0.25, 0.0)  # 1 less each slope
FUNCTIONS = (ELL, HALF_SQUARE, RATIO, RB, *(Function("k3", 1.0 - rest, rest) for rest in RESTS))


@pytest.fixture(autouse=True)
def digits():
    """The references' own digits, whatever another test has left in mpmath."""
    with mpmath.workdps(DIGITS):
        yield


class Case(NamedTuple):
    """A pair of policies, by probabilities or by logits."""

    q: Any
    p: Any
    start: Any
    tokens: int
    stop: int | None = None
    by: str = "transitions"

    @property
    def pair(self) -> PolicyPair:
        given: dict[str, Any] = {"initial": self.start, "dimension": self.tokens}
        if self.stop is not None:
            given["stop"] = self.stop
        for side in ("q", "p"):
            given[side] = {"family": "policy", self.by: getattr(self, side)}
        found = case_pair(given)
        assert isinstance(found, PolicyPair)
        return found

    def exact(self, side: str) -> list[list[Any]]:
        """The probabilities of a side as stored, divided by their sums."""
        rows = []
        for x, row in enumerate(np.asarray(getattr(self, side), float)):
            if x == self.stop:
                rows.append([mpf(int(y == x)) for y in range(len(row))])
                continue
            terms = [mpf(float(v)) for v in row]
            if self.by == "logits":
                terms = [mpmath.exp(v) for v in terms]
            rows.append([v / mpmath.fsum(terms) for v in terms])
        return rows


def _rows(generator: np.random.Generator, kind: str, states: int) -> tuple[Any, Any]:
    """Tables of q and p: random, or with rare tokens, nearly equal, or far apart."""
    q, p = (generator.dirichlet(np.ones(states), states) for _ in range(2))
    if kind == "rare":
        for table in (q, p):
            rare = 10.0 ** generator.uniform(-12, -4, states)
            rows, columns = np.arange(states), generator.integers(states, size=states)
            table[rows, columns] = 0.0
            table /= table.sum(axis=1, keepdims=True)
            table *= 1.0 - rare[:, None]
            table[rows, columns] = rare
    elif kind == "rare and near":
        q = np.full((states, states), 1e-9 * generator.random())
        p = np.full((states, states), 1e-4 * generator.random())
        for table in (q, p):
            np.fill_diagonal(table, 0.0)
            np.fill_diagonal(table, 1.0 - table.sum(axis=1))
    elif kind.startswith("near"):
        p = q * (1.0 + float(kind.split()[1]) * generator.standard_normal((states, states)))
        p /= p.sum(axis=1, keepdims=True)
    elif kind == "far":
        q, p = (np.exp(8.0 * generator.standard_normal((states, states))) for _ in range(2))
        q, p = (table / table.sum(axis=1, keepdims=True) for table in (q, p))
    elif kind == "cut":
        q[np.arange(states), (1 + np.arange(states)) % states] = 0.0
        q /= q.sum(axis=1, keepdims=True)
    elif kind == "cut and near":
        q[:, 0] = 0.0
        q /= q.sum(axis=1, keepdims=True)
        p = q * (1.0 + 1e-6 * generator.standard_normal((states, states)))
        p[:, 0] = 1e-7 * generator.random(states)
        p /= p.sum(axis=1, keepdims=True)
    elif kind == "loose":  # rows that add up to 1 within 1e-7 only
        p = q * (1.0 + 1e-9 * generator.standard_normal((states, states)))
        p *= 1.0 + 1e-7 * generator.random((states, 1))
    return q, p


KINDS = (
    "random", "rare", "rare and near", "near 1e-2", "near 1e-4", "near 1e-10", "far", "cut",
    "cut and near", "loose",
)  # fmt: skip
SHAPES = ((2, 8, None), (3, 4, None), (4, 3, None), (3, 4, 1), (2, 1, None))


def cases(kind: str) -> dict[str, Case]:
    generator, out = np.random.default_rng(19), {}
    for states, tokens, stop in SHAPES:
        q, p = _rows(generator, kind, states)
        start = generator.dirichlet(np.ones(states))
        if stop is not None:
            stop = 2 if "cut" in kind else stop
            start[stop] = 0.0
            start /= start.sum()
        name = f"{kind}, {states} states, {tokens} tokens, stop {stop}"
        out[name] = Case(q.tolist(), p.tolist(), start.tolist(), tokens, stop)
    return out


def sequences(case: Case) -> tuple[list[Any], dict[Function, list[Any]], list[Any]]:
    """The probabilities, the sums and r of all sequences that q takes."""
    q, p = case.exact("q"), case.exact("p")
    start = [mpf(float(x)) for x in case.start]
    states = range(len(q))
    whole = mpmath.fsum(start)
    ell = [[mpmath.log(q[a][b] / p[a][b]) if q[a][b] else mpf(0) for b in states] for a in states]
    kl = [mpmath.fsum(q[a][b] * ell[a][b] for b in states) for a in states]
    tables: dict[Function, Any] = {}
    for f in FUNCTIONS:
        tables[f] = [[_at(f, ell[a][b], kl[a]) for b in states] for a in states]
    weights, ratios = [], []
    sums: dict[Function, list[Any]] = {f: [] for f in FUNCTIONS}
    for path in itertools.product(states, repeat=case.tokens + 1):
        weight = start[path[0]] / whole
        for a, b in itertools.pairwise(path):
            weight *= q[a][b]
        if not weight:
            continue
        weights.append(weight)
        for f, table in tables.items():
            sums[f].append(mpmath.fsum(table[a][b] for a, b in itertools.pairwise(path)))
        ratios.append(mpmath.exp(-sums[ELL][-1]))
    return weights, sums, ratios


def _at(f: Function, ell: Any, kl: Any) -> Any:
    x = mpmath.expm1(-ell)
    named = {"ell": ell, "half_square": ell * ell / 2, "ratio": x, "rb": kl}
    return named[f.name] if f.name in named else x + ell - mpf(f.slope) * x


def centred(weights: Sequence[Any], values: Sequence[Any]) -> tuple[Any, list[Any]]:
    mean = mpmath.fsum(w * v for w, v in zip(weights, values, strict=True))
    return mean, [v - mean for v in values]


def moment(weights: Sequence[Any], x: Sequence[Any], i: int, y: Sequence[Any], j: int) -> Any:
    return mpmath.fsum(w * a**i * b**j for w, a, b in zip(weights, x, y, strict=True))


def cumulants(moments: Sequence[Any]) -> list[Any]:
    """The cumulants from central moments."""
    kappa = [mpf(0)] * len(moments)
    for n in range(2, len(moments)):
        kappa[n] = moments[n] - sum(
            mpmath.binomial(n - 1, k - 1) * kappa[k] * moments[n - k] for k in range(2, n - 1)
        )
    return kappa


class Check:
    """Compares numbers with references, and keeps how large their bounds are."""

    def __init__(self, name: str) -> None:
        self.name, self.compared = name, 0
        self.bounds: list[float] = []
        self.wrong: list[str] = []

    def __call__(self, found: Bounded, right: Any, size: Any, what: str) -> None:
        """Compare a number; `size` is what a reference of 0 and the bound are relative to."""
        right = right if abs(right) > NOISE * size else mpf(0)
        self.compared += 1
        if not abs(mpf(found.value) - right) <= found.error:
            self.wrong.append(f"{self.name}, {what}: {found} for {mpmath.nstr(right, 17)}")
        if abs(right) > 0:
            self.bounds.append(float(found.error / size))

    def cumulants(self, found: Moments, right: Sequence[Any], what: str) -> None:
        for n in range(2, len(right)):
            size = abs(right[n]) + right[2] ** (mpf(n) / 2)
            self(found.at(n), right[n], size, f"{what} {n}")

    def block(self, law: Any, rest: float, right: Any, what: str) -> None:
        """Compare all moments of (R, y); `right` maps indices to moments and their sizes."""
        found = law.block(False, 4, 1.0 - rest, rest)
        for (i, j), (moment, size) in right.items():
            self(found.at(i, j), moment, size, f"{what}, {rest} {i} {j}")


def compared(case: Case, name: str) -> Check:
    """All numbers of a case against the list of its sequences."""
    check, law = Check(name), case.pair.law
    weights, sums, ratios = sequences(case)
    mean, ell = centred(weights, sums[ELL])
    check(Bounded(law.kl, law.kl_error), mean, mean, "kl")
    right = cumulants([moment(weights, ell, n, ell, 0) for n in range(9)])
    check.cumulants(law.ell(8), right, "l")
    for f in FUNCTIONS:
        found = law.sums((f,), False)
        mean, away = centred(weights, sums[f])
        size = mpmath.fsum(w * abs(v) for w, v in zip(weights, sums[f], strict=True))
        check(found.at(1), mean, size, f"mean of {f}")
        check.cumulants(
            found, cumulants([moment(weights, away, n, away, 0) for n in range(5)]), str(f)
        )
    both = law.sums((RATIO, K3), False)
    (_, x), (_, k) = (centred(weights, sums[f]) for f in (RATIO, K3))
    size = mpmath.sqrt(moment(weights, x, 2, k, 0) * moment(weights, x, 0, k, 2))
    check(both.at(1, 1), moment(weights, x, 1, k, 1), size, "covariance")
    for rest in RESTS:
        _, R = centred(weights, ratios)
        _, y = centred(weights, [a + mpf(rest) * b for a, b in zip(sums[ELL], ratios, strict=True)])
        norms = {
            n: [moment(weights, [abs(v) for v in of], n, of, 0) ** (mpf(1) / n) for of in (R, y)]
            for n in (2, 3, 4)
        }
        of_block = {
            (i, j): (moment(weights, R, i, y, j), norms[i + j][0] ** i * norms[i + j][1] ** j)
            for i, j in itertools.product(range(5), repeat=2)
            if 2 <= i + j <= 4
        }
        check.block(law, rest, of_block, "block")
    return check


@pytest.mark.parametrize("kind", KINDS)
def test_every_sequence(kind: str) -> None:
    """Errors are within their bounds, and most bounds are tight."""
    bounds: list[float] = []
    for name, case in cases(kind).items():
        check = compared(case, name)
        assert not check.wrong, check.wrong
        bounds += check.bounds
    assert np.median(bounds) < 1e-12
    assert np.quantile(bounds, 0.9) < (1e-6 if kind == "cut and near" else 1e-10)


def test_by_logits() -> None:
    """Logits of any size: constants a row have no effect, and small probabilities are not lost."""
    generator = np.random.default_rng(7)
    q = generator.standard_normal((3, 3))
    apart = 1e-7 * generator.standard_normal((3, 3))
    for name, q_logits, p_logits in (
        ("near", q, q + apart),
        ("shifted", q + 1000.0, q + apart),
        ("far", 10.0 * q, 10.0 * q[::-1]),
        ("rare", q - [0.0, 0.0, 60.0], q - [0.0, 0.0, 20.0]),
    ):
        check = compared(Case(q_logits, p_logits, [0.25, 0.25, 0.5], 4, by="logits"), name)
        assert not check.wrong, check.wrong
        assert np.median(check.bounds) < 1e-11


def test_probabilities_below_float64() -> None:
    """A token that q takes with probability e^-750 is not missed, and its r^2 is not known."""
    case = Case([[0.0, -750.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], [1, 0], 3, by="logits")
    law = case.pair.law
    assert law.missed_mass == 0.0
    assert law.kl == pytest.approx(3.0 * np.log(2.0), rel=1e-14)
    assert np.isnan(law.block(False, 2).value[0, 2])
    assert np.isnan(law.sums((RATIO,), False, 2).value[2])
    assert law.ell(2).value[2] == pytest.approx(0.0, abs=1e-300)
    other = Case(case.p, [[0.0, 750.0], [0.0, 0.0]], [1, 0], 1, by="logits").pair.law
    assert other.kl == pytest.approx(374.3068528194400547, rel=1e-15)


def test_numbers_of_the_design() -> None:
    """A rare token, and the chain of the default study."""
    rare = Case([[1 - 1e-9, 1e-9], [0.5, 0.5]], [[1 - 1e-4, 1e-4], [0.5, 0.5]], [1, 0], 4).pair.law
    assert rare.block(False, 4).value[0, 2] == pytest.approx(214.954495332, rel=1e-11)
    law = Case([[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.5], [0.5, 0.5]], [1, 0], 20).pair.law
    both = law.sums((RATIO, K3), False, 2).value
    slope = both[1, 1] / both[2, 0]
    found = [law.kl, *(law.sums((f,), False, 2).value[2] for f in (
        ELL, RB, K3, Function("k3", slope, 1.0 - slope)
    )), law.block(False, 2).value[0, 2]]  # fmt: skip
    right = [1.1510153, 2.388919, 0.0318989, 0.0195855, 0.0133546, 5.263245]
    assert found == pytest.approx(right, abs=5e-7)


def raw_moments(case: Case) -> dict[tuple[int, int], Any]:
    """E r^m l^j by transfer matrices."""
    q, p, start = case.exact("q"), case.exact("p"), [mpf(x) for x in case.start]
    states = range(len(q))
    ell = [[mpmath.log(q[a][b] / p[a][b]) if q[a][b] else mpf(0) for b in states] for a in states]
    # The moments after every state, from those of the tokens after the next one.
    known = {(m, j): [mpf(int(j == 0))] * len(q) for m in range(5) for j in range(5 - m)}
    weight = {
        (m, j): [
            [q[a][b] * mpmath.exp(-m * ell[a][b]) * ell[a][b] ** j for b in states] for a in states
        ]
        for m, j in known
    }
    for _ in range(case.tokens):
        known = {
            (m, j): [
                sum(
                    math.comb(j, k) * weight[m, k][a][b] * known[m, j - k][b]
                    for k in range(j + 1)
                    for b in states
                )
                for a in states
            ]
            for m, j in known
        }
    return {
        at: sum(s * v for s, v in zip(start, values, strict=True)) / sum(start)
        for at, values in known.items()
    }


def block_moments(of: dict[tuple[int, int], Any], rest: float) -> dict[tuple[int, int], Any]:
    """The moments of R and y = l - E l + rest R, from those of r and l."""
    out = {}
    for i, j in itertools.product(range(5), repeat=2):
        if 2 <= i + j <= 4:
            out[i, j] = mpf(0)
            for k in range(j + 1):
                for m, n in itertools.product(range(i + k + 1), range(j - k + 1)):
                    times = math.comb(j, k) * math.comb(i + k, m) * math.comb(j - k, n)
                    less = (-of[1, 0]) ** (i + k - m) * (-of[0, 1]) ** (j - k - n)
                    out[i, j] += times * mpf(rest) ** k * less * of[m, n]
    return out


@pytest.mark.parametrize(
    "kind", ["random", "rare and near", "near 1e-3", "near 1e-10", "cut", "stop"]
)
def test_long_sequences(kind: str) -> None:
    """Long sequences against transfer matrices; where tokens settle, and where they do not."""
    tokens, generator = 300, np.random.default_rng(len(kind))
    q, p = _rows(generator, "near 1e-3" if kind == "stop" else kind, 3)
    start, stop = [0.5, 0.0, 0.5], None
    if kind == "stop":  # about one sequence in two goes on to the last token
        stop, q[:, 1], p[:, 1] = 1, 0.5 / tokens, 0.5 / tokens
        q[[0, 2], :] /= q[[0, 2]].sum(axis=1, keepdims=True)
        p[[0, 2], :] /= p[[0, 2]].sum(axis=1, keepdims=True)
    case, check = Case(q.tolist(), p.tolist(), start, tokens, stop), Check(kind)
    with mpmath.workdps(150):
        raw = raw_moments(case)
        blocks = {rest: block_moments(raw, rest) for rest in (1.0, 0.25)}
    for rest, moments in blocks.items():
        right = {}
        for (i, j), value in moments.items():
            if abs(value) > 1e300:
                continue
            even = 2 if i + j == 2 else 4
            r, y = (moments[at] ** (mpf(1) / even) for at in ((even, 0), (0, even)))
            right[i, j] = value, r**i * y**j
        check.block(case.pair.law, rest, right, "block")
    assert check.compared
    assert not check.wrong, check.wrong
    assert max(check.bounds) < 1e-9
