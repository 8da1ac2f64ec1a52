"""The moments of policies, and their bounds, against sequences and recursions in 80 digits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from mckl.exact.moments import ELL, HALF_SQUARE, K3, RATIO, RB, Bounded, Function, Moments
from mckl.families.policy import PolicyPair
from mckl.families.registry import case_pair

mpmath.mp.dps = 80
NOISE = mpf(10) ** -55  # smaller references, relative to their terms, are 0
SLOPE = (0.75, 0.25)  # a slope, and 1 less the slope
FUNCTIONS = (ELL, HALF_SQUARE, RATIO, RB, K3, Function("k3", *SLOPE), Function("k3", 1.0, 0.0))


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
        p[:, 0] = 1e-7
        p /= p.sum(axis=1, keepdims=True)
    elif kind == "loose":  # rows that add up to 1 within 1e-7 only
        p = q * (1.0 + 1e-9 * generator.standard_normal((states, states)))
        p *= 1.0 + 1e-7 * generator.random((states, 1))
    return q, p


KINDS = (
    "random", "rare", "rare and near", "near 1e-2", "near 1e-4", "near 1e-10", "far", "cut",
    "cut and near", "loose",
)  # fmt: skip
SHAPES = ((2, 8, None), (3, 5, None), (4, 4, None), (3, 5, 1), (2, 1, None))


@lru_cache(maxsize=1)
def cases() -> dict[str, Case]:
    generator, out = np.random.default_rng(19), {}
    for kind, (states, tokens, stop) in itertools.product(KINDS, SHAPES):
        q, p = _rows(generator, kind, states)
        start = generator.dirichlet(np.ones(states))
        if stop is not None and "cut" in kind:
            stop = 2
        if stop is not None:
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

    def __init__(self) -> None:
        self.bounds: list[float] = []
        self.worst: list[tuple[float, str]] = []

    def __call__(self, found: Bounded, right: Any, size: Any, what: str) -> None:
        right = right if abs(right) > NOISE * size else mpf(0)
        error = abs(mpf(found.value) - right)
        share = float(error / found.error) if found.error else (0.0 if not error else 1e9)
        self.worst.append((share, f"{what}: {found.value}, {mpmath.nstr(right, 17)}, bound {found.error}"))
        self.bounds.append(float(found.error / size) if size > 1e-200 else 0.0)


def compare(case: Case, check: Check, name: str) -> None:
    law = case.pair.law
    weights, sums, ratios = sequences(case)
    mean, ell = centred(weights, sums[ELL])
    check(Bounded(law.kl, law.kl_error), mean, mean, f"{name}: kl")
    check(Bounded(law.missed_mass, 1e-14), 1 - moment(weights, ratios, 1, ratios, 0), 1, f"{name}: missed")
    kappa, parts = cumulants([moment(weights, ell, n, ell, 0) for n in range(9)]), law.parts(8)
    for n in range(2, 9):
        check(parts.at(n, 0), kappa[n], abs(kappa[n]) + kappa[2] ** (mpf(n) / 2), f"{name}: l {n}")
    for f in FUNCTIONS:
        found = law.sums((f,), False)
        mean, away = centred(weights, sums[f])
        size = mpmath.fsum(w * abs(v) for w, v in zip(weights, sums[f], strict=True))
        check(found.at(1), mean, size, f"{name}: {f} 1")
        kappa = cumulants([moment(weights, away, n, away, 0) for n in range(5)])
        for n in range(2, 5):
            check(found.at(n), kappa[n], abs(kappa[n]) + kappa[2] ** (mpf(n) / 2), f"{name}: {f} {n}")
    both, (_, x), (_, k) = law.sums((RATIO, K3), False), centred(weights, sums[RATIO]), centred(weights, sums[K3])
    right = moment(weights, x, 1, k, 1)
    check(both.at(1, 1), right, mpmath.sqrt(moment(weights, x, 2, k, 0) * moment(weights, x, 0, k, 2)), f"{name}: x k3")
    compare_blocks(law, weights, sums[ELL], ratios, check, name)


def compare_blocks(law: Any, weights: Any, ell: Any, ratios: Any, check: Check, name: str) -> None:
    for slope, rest in ((0.0, 1.0), SLOPE, (1.0, 0.0)):
        _, R = centred(weights, ratios)
        _, y = centred(weights, [a + mpf(rest) * b for a, b in zip(ell, ratios, strict=True)])
        found: Moments = law.block(False, 4, slope, rest)
        for i, j in itertools.product(range(5), range(5)):
            if 2 <= i + j <= 4:
                n = mpf(i + j)
                r, s = (mpmath.fsum(w * abs(v)**n for w, v in zip(weights, of))**(1/n) for of in (R, y))
                check(found.at(i, j), moment(weights, R, i, y, j), r**i * s**j, f"{name}: block {slope} {i} {j}")
