"""Moments of exponential families against mpmath: each error is within its bound, which is small.

The references expand every function in powers of r and l - KL, whose means are moments of tilted
laws, with so many digits that nothing is lost by cancellation.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

import mpmath
import numpy as np
import pytest

from mckl.exact.law import Law
from mckl.exact.moments import ELL, GAP, HALF_SQUARE, K3, RATIO, RB, Function, Moments
from mckl.families.exponential.categorical import Categorical
from mckl.families.registry import case_pair

Mean = Callable[[int, int], mpmath.mpf]  # E r^k (l - KL)^m


class Reference:
    """KL and the means of r^k (l - KL)^m; `most` is the largest k for which they are finite."""

    def __init__(self, kl: mpmath.mpf, mean: Mean, most: int = 99) -> None:
        self.kl, self.mean, self.most = kl, mean, most
        self._known: dict[tuple[int, int], mpmath.mpf] = {}

    def of(self, k: int, m: int) -> mpmath.mpf:
        if (k, m) not in self._known:
            self._known[k, m] = self.mean(k, m)
        return self._known[k, m]

    def moment(self, functions: list[Function], index: tuple[int, ...]) -> mpmath.mpf:
        total: Counter[tuple[int, int]] = Counter({(0, 0): mpmath.mpf(1)})
        for function, power in zip(functions, index, strict=True):
            f = self.polynomial(function)
            for _ in range(power):
                more: Counter[tuple[int, int]] = Counter()
                for (a, x), (b, y) in itertools.product(total.items(), f.items()):
                    more[a[0] + b[0], a[1] + b[1]] += x * y
                total = more
        return mpmath.fsum(x * self.of(*powers) for powers, x in total.items())

    def polynomial(self, function: Function) -> dict[tuple[int, int], mpmath.mpf]:
        """A function less its mean, in powers of r and l - KL."""
        missed, rest = 1 - self.of(1, 0), mpmath.mpf(function.rest)
        if function.name == "ell":
            return {(0, 1): mpmath.mpf(1)}
        if function.name == "half_square":
            return {(0, 2): mpmath.mpf(0.5), (0, 1): self.kl, (0, 0): -self.of(0, 2) / 2}
        if function.name == "ratio":
            return {(1, 0): mpmath.mpf(1), (0, 0): missed - 1}
        return {(0, 1): mpmath.mpf(1), (1, 0): rest, (0, 0): rest * (missed - 1)}


def of_categorical(q: list[mpmath.mpf], p: list[mpmath.mpf]) -> Reference:
    """The reference by enumeration, from weights of any sum."""
    q, p = [x / mpmath.fsum(q) for x in q], [x / mpmath.fsum(p) for x in p]
    both = [(x, y, mpmath.log(x / y)) for x, y in zip(q, p, strict=True) if x > 0]
    kl = mpmath.fsum(x * ell for x, _, ell in both)
    return Reference(
        kl, lambda k, m: mpmath.fsum(x * (y / x) ** k * (ell - kl) ** m for x, y, ell in both)
    )


def of_line(
    log_mgf: Callable[[int], mpmath.mpf],
    slope: Callable[[int], mpmath.mpf],
    cumulant: Callable[[int, int], mpmath.mpf],
    most: int,
) -> Reference:
    """The reference from K(s), K'(s) and the cumulants of order n of the law tilted by s."""

    def mean(k: int, m: int) -> mpmath.mpf:
        kappa = [mpmath.mpf(0), slope(-k) - slope(0)] + [cumulant(-k, n) for n in range(2, m + 1)]
        raw = [mpmath.mpf(1)]
        for n in range(1, m + 1):
            raw.append(
                mpmath.fsum(
                    math.comb(n - 1, j - 1) * kappa[j] * raw[n - j] for j in range(1, n + 1)
                )
            )
        return mpmath.exp(log_mgf(-k)) * raw[m]

    return Reference(slope(0), mean, most)


def of_poisson(q: list[float], p: list[float]) -> Reference:
    """The reference of a sample of independent counts."""
    rates = [mpmath.mpf(x) for x in q]
    level = mpmath.fsum(y - x for x, y in zip(rates, p, strict=True))
    each = [(x, mpmath.log(x / y)) for x, y in zip(rates, p, strict=True)]
    return of_line(
        lambda s: mpmath.fsum(x * mpmath.expm1(d * s) for x, d in each) + s * level,
        lambda s: mpmath.fsum(x * d * mpmath.exp(d * s) for x, d in each) + level,
        lambda s, n: mpmath.fsum(x * mpmath.exp(d * s) * d**n for x, d in each),
        99,
    )


@lru_cache
def of_dirichlet(q: tuple[float, ...], p: tuple[float, ...]) -> Reference:
    a, b = [mpmath.mpf(x) for x in q], [mpmath.mpf(x) for x in p]
    d = [x - y for x, y in zip(a, b, strict=True)]

    def phi(s: mpmath.mpf, n: int) -> mpmath.mpf:
        psi = (lambda x: mpmath.loggamma(x)) if n == 0 else (lambda x: mpmath.polygamma(n - 1, x))
        each = mpmath.fsum(e**n * psi(x + s * e) for x, e in zip(a, d, strict=True))
        return each - mpmath.fsum(d) ** n * psi(mpmath.fsum(a) + s * mpmath.fsum(d))

    fall = phi(0, 0) - phi(-1, 0)
    most = max(k for k in range(5) if all(x - k * e > 0 for x, e in zip(a, d, strict=True)))
    return of_line(
        lambda s: phi(s, 0) - phi(0, 0) - s * fall, lambda s: phi(s, 1) - fall, phi, most
    )


def law_of(family: str, key: str, q: object, p: object) -> Law:
    return case_pair({"q": {"family": family, key: q}, "p": {"family": family, key: p}}).law


def checked(law: Law, reference: Reference, functions: list[Function]) -> list[float]:
    """The relative bounds of KL and the moments, each of which bounds the error."""
    assert abs(law.kl - reference.kl) <= law.kl_error
    found, counts = law.factor_moments(functions, False, 4)
    assert counts.tolist() == [1.0]
    return [law.kl_error / law.kl, *compared(found, reference, functions)]


def compared(found: Moments, reference: Reference, functions: list[Function]) -> list[float]:
    """The relative bounds of moments up to order 4, each of which bounds the error."""
    bounds = []
    for index in itertools.product(range(5), repeat=len(functions)):
        if not 2 <= sum(index) <= 4:
            continue
        powers = sum(i for i, f in zip(index, functions, strict=True) if f.name in ("ratio", "k3"))
        value, error = (float(np.ravel(of[index])[0]) for of in found)
        if powers > reference.most:
            assert (value, error) == (math.inf, 0.0)
        elif math.isnan(value):
            assert reference.of(powers, 0) > 1e300
        else:
            true = reference.moment(functions, index)
            assert abs(value - true) <= error
            bounds.append(float(error / abs(true)) if true else 0.0)
    return bounds


CATEGORICAL = {
    "rare in q": ([1 - 1e-9, 1e-9], [0.999, 0.001]),
    "rare in p": ([0.999, 0.001], [1 - 1e-9, 1e-9]),
    "rare in both": ([0.5, 0.49999, 1e-5], [0.51, 0.489999999, 1e-9]),
    "near": ([0.3, 0.3, 0.4], [0.3 + 1e-10, 0.3 - 2e-10, 0.4 + 1e-10]),
    "near, of 5": ([0.1, 0.2, 0.3, 0.15, 0.25], [0.1 + 1e-8, 0.2 - 1e-8, 0.3, 0.15, 0.25]),
    "far": ([1e-12, 0.2, 0.8 - 1e-12], [0.9, 0.1 - 1e-10, 1e-10]),
    "swapped": ([1e-18, 1.0], [1.0, 1e-15]),
    "q = 0": ([0.6, 0.0, 0.3, 0.1], [0.3, 0.5, 0.1, 0.1]),
    "q = 0, near": ([0.6, 0.0, 0.4], [0.6, 1e-11, 0.4 - 1e-11]),
    "mostly missed": ([0.6, 0.0, 0.4], [0.1, 0.85, 0.05]),
}  # fmt: skip
LOGITS = {
    "underflow": ([0.0, 0.0], [0.0, 750.0]),
    "underflow, near": ([0.0, -800.0, -2.0], [0.5, -801.0, -1.0]),
    "underflow, with a large ratio": ([0.0, -900.0, -2.0], [0.0, -600.0, -2.5]),
    "near": ([1.0, 2.0, -3.0], [1.0 + 1e-9, 2.0, -3.0 + 4e-9]),
    "large": ([1e6, 1e6 + 1.0, 1e6 - 9.0], [-1e6, 2.0 - 1e6, -1e6]),
}
POISSON = [
    (1e-8, 1e-4), (1e-4, 1e-8), (1e-8, 1.5e-8), (3.0, 4.5), (3.0, 0.01), (3.0, 3.0 + 1e-10),
    (50.0, 80.0), (700.0, 650.0), (399.0, 410.0), (401.0, 390.0), (1e6, 1e6 + 3e3),
    (1e15, 1e15 - 2e7), (1e10, 1e10 * (1 - 1e-10)), (1e-20, 2e-20), (0.3, 300.0),
    (1e-3, 100.0), (1e4, 10.0),
]  # fmt: skip
DIRICHLET = {
    "plain": ([2.0, 3.0, 1.0], [1.5, 2.5, 1.1]),
    "border": ([2.0, 3.0, 1.0], [1.0, 1.0, 1.0]),
    "just within the border": ([2.0, 3.0], [1.0 + 1e-6, 3.0]),
    "near": ([2.0, 3.0, 500.0], [2.0 + 1e-10, 3.0, 500.0 - 1e-9]),
    "far": ([2.0, 3.0], [90.0, 4.0]),
    "small": ([1e-3, 2e-3, 1.0], [1.1e-3, 1.9e-3, 1.5]),
    "small and large": ([1e-3, 1e6], [2e-3, 1e6 + 10.0]),
    "large": ([1e12, 2e12], [1e12 + 1e6, 2e12]),
    "large, near": ([1e12, 2e12], [1e12 + 1.0, 2e12 - 3.0]),
    "from large to small": ([1e6, 1.0], [1e-3, 1.0]),
    "large, far": ([1e6, 1e6], [1.01e6, 1e6]),
}
FUNCTIONS = {
    "k3": [K3],
    "ratio, k3": [RATIO, K3],
    "ratio, residual": [RATIO, Function("k3", -0.75, 1.75)],
    "ratio, residual with slope near 1": [RATIO, Function("k3", 1 - 2.0**-40, 2.0**-40)],
    "ell, half square": [ELL, HALF_SQUARE],
}


@pytest.fixture(autouse=True)
def digits(request):
    with mpmath.workdps(1500 if "logits" in request.node.name else 120):
        yield


@pytest.mark.parametrize("functions", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("pair", CATEGORICAL.values(), ids=CATEGORICAL)
def test_categorical(pair, functions):
    reference = of_categorical(*([mpmath.mpf(x) for x in side] for side in pair))
    bounds = checked(law_of("categorical", "probabilities", *pair), reference, functions)
    assert sorted(bounds)[len(bounds) // 2] < 1e-11


@pytest.mark.parametrize("functions", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("pair", LOGITS.values(), ids=LOGITS)
def test_categorical_by_logits(pair, functions):
    """Also where probabilities are below the smallest float64."""
    reference = of_categorical(*([mpmath.exp(mpmath.mpf(x)) for x in side] for side in pair))
    outcomes, _ = Categorical(np.array(pair[0])).outcomes(Categorical(np.array(pair[1])))
    assert abs(outcomes.kl.value[0] - reference.kl) <= outcomes.kl.error[0]
    bounds = compared(outcomes.moments(functions, 4), reference, functions)
    assert sorted(bounds)[len(bounds) // 2] < 1e-10


@pytest.mark.parametrize("functions", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("rates", POISSON)
def test_poisson(rates, functions):
    reference = of_poisson(*([rate] for rate in rates))
    bounds = checked(law_of("poisson", "rate", *rates), reference, functions)
    assert sorted(bounds)[len(bounds) // 2] < 1e-11


@pytest.mark.parametrize("functions", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("name", DIRICHLET)
def test_dirichlet(name, functions):
    pair = DIRICHLET[name]
    reference = of_dirichlet(*map(tuple, pair))
    bounds = checked(law_of("dirichlet", "concentration", *pair), reference, functions)
    # Next to the border a concentration of 2e-6 is the difference of larger ones.
    assert sorted(bounds)[len(bounds) // 2] < (1e-9 if "border" in name else 1e-11)


@pytest.mark.parametrize(
    ("law", "variance", "skewness"),
    [
        (
            ("categorical", "probabilities", [1 - 1e-9, 1e-9], [0.999, 0.001]),
            999.970368197, 31622.7766,
        ),
        (
            ("categorical", "probabilities", [0.5, 0.49999, 1e-5], [0.51, 0.489999999, 1e-9]),
            6.74073761195e-4, None,
        ),
        (("poisson", "rate", 1e-8, 1e-4), 1.71589721807, math.nan),
    ],
)  # fmt: skip
def test_rare_events(law, variance, skewness):
    """E r^3 of the counts is e^10000, which float64 does not hold."""
    kappa = law_of(*law).sums((K3,), False)
    assert kappa.value[2] == pytest.approx(variance, rel=1e-11)
    assert kappa.error[2] <= 1e-12 * variance
    if skewness is not None:
        found = kappa.value[3] / kappa.value[2] ** 1.5
        assert found == pytest.approx(skewness, rel=1e-8, nan_ok=True)


@pytest.mark.parametrize(
    ("law", "reference"),
    [
        (("categorical", "probabilities", *CATEGORICAL["rare in both"]), of_categorical),
        (("categorical", "probabilities", *CATEGORICAL["near, of 5"]), of_categorical),
        (("poisson", "rate", [3.0, 3.0, 1e-8, 50.0], [4.5, 4.5, 1e-4, 49.0]), of_poisson),
        (("dirichlet", "concentration", *DIRICHLET["plain"]), of_dirichlet),
        (("dirichlet", "concentration", *DIRICHLET["large, near"]), of_dirichlet),
    ],
)  # fmt: skip
def test_cumulants_up_to_order_8(law, reference):
    made, true = law_of(*law), reference(*(tuple(map(mpmath.mpf, side)) for side in law[2:]))
    kappa = [mpmath.mpf(0), mpmath.mpf(0)]
    for n in range(2, 9):
        lower = (math.comb(n - 1, k - 1) * kappa[k] * true.of(0, n - k) for k in range(2, n))
        kappa.append(true.of(0, n) - mpmath.fsum(lower))
    found = made.ell(8)
    for n in range(2, 9):
        assert abs(found.value[n] - kappa[n]) <= found.error[n]
        assert found.error[n] <= 1e-10 * abs(kappa[n]) + 1e-14 * true.of(0, 2) ** (n / 2)


def test_independent_counts_join_to_a_sample():
    q, p = [3.0, 3.0, 2.0, 1e-3], [3.3, 3.3, 1.5, 2e-3]
    law, reference = law_of("poisson", "rate", q, p), of_poisson(q, p)
    assert abs(law.kl - reference.kl) <= law.kl_error
    for slope in (0.0, -0.75):
        functions = [RATIO, Function("k3", slope, 1.0 - slope)]
        bounds = compared(law.block(False, 4, slope, 1.0 - slope), reference, functions)
        assert max(bounds) < 1e-11


def test_how_many_values_the_log_ratio_takes():
    assert law_of("categorical", "probabilities", [0.5, 0.25, 0.25], [0.2, 0.4, 0.4]).outcomes == 2
    assert law_of("categorical", "probabilities", [0.5, 0.2, 0.3], [0.2, 0.4, 0.4]).outcomes == 3
    assert law_of("categorical", "probabilities", [0.5, 0.0, 0.5], [0.2, 0.4, 0.4]).outcomes == 2
    assert law_of("poisson", "rate", 2.0, 3.0).outcomes is None
    assert law_of("dirichlet", "concentration", [2.0, 3.0], [3.0, 3.0]).outcomes is None


@pytest.mark.parametrize(
    "law",
    [
        ("categorical", "probabilities", *CATEGORICAL["q = 0"]),
        ("poisson", "rate", 3.0, 4.5),
        ("dirichlet", "concentration", *DIRICHLET["plain"]),
    ],
)
def test_means_and_what_is_constant(law):
    """Given the past a factor's KL is constant, and r has no odd part without a mirror image."""
    law = law_of(*law)
    found, _ = law.factor_moments([RB, GAP, K3, RATIO], False, 2)
    means = [found.value[tuple(int(k == axis) for k in range(4))][0] for axis in range(4)]
    missed = law.missed_mass
    assert means == pytest.approx([law.kl, 0.0, law.kl - missed, -missed], rel=1e-13)
    assert not found.value[2].any()
    assert not found.value[:, 2].any()
    assert found.value[0, 0, 2, 0] > 0.0
