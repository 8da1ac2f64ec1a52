"""What laws say of their tails, against their log densities, and laws with unusual tails."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest

from mckl.arrays import Vector
from mckl.estimation.values import ESTIMATORS
from mckl.exact.ends import LINEAR, SQUARE, Growth, Tail, degree, heaviest, is_finite, slope_at_end
from mckl.families.coordinates.independent import INDEPENDENT
from mckl.families.coordinates.interval import Interval
from mckl.families.coordinates.laplace import Laplace
from mckl.families.coordinates.student_t import StudentT
from mckl.families.coordinates.univariate import Between, Coordinates, Terms, Univariate
from mckl.families.registry import case_pair, sweep_pair


class Drawn(Univariate):
    """A law that is drawn by its quantile function."""

    symmetric = False

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return self.quantile(np.maximum(generator.random(shape), 2.0**-60))


@dataclass(frozen=True)
class Gumbel(Drawn):
    """The law of the largest of many: exp(-y - e^-y) / scale with y = (x - location) / scale."""

    location: Any = 0.0
    scale: Any = 1.0
    name = "gumbel"

    @property
    def tails(self) -> tuple[Tail, Tail]:
        fast = Growth(1.0 / self.scale, 0.0)
        size = math.exp(self.location / self.scale)
        return Tail({fast: size, LINEAR: -1.0 / self.scale}), Tail({LINEAR: 1.0 / self.scale})

    def terms(self, x: Vector) -> Terms:
        y = (x - self.location) / self.scale
        with np.errstate(over="ignore"):
            return -y, -np.exp(-y), -np.log(self.scale)

    def terms_error(self, x: Vector) -> Vector:
        y = (x - self.location) / self.scale
        with np.errstate(over="ignore"):
            return np.asarray(1e-15 * np.abs(y) * np.exp(-y))

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        with np.errstate(over="ignore"):
            below = -np.exp(-(x - self.location) / self.scale)
        return np.asarray(-np.expm1(below) if upper else np.exp(below))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        logs = np.log1p(-u) if upper else np.log(u)
        return np.asarray(self.location - self.scale * np.log(-logs))


@dataclass(frozen=True)
class Weibull(Drawn):
    """The density k x^(k - 1) e^(-(x / scale)^k) / scale^k of a positive x."""

    shape: float
    scale: Any = 1.0
    name = "weibull"
    support = (0.0, math.inf)
    domain = "(0, inf)"

    def at(self, location: Any, scale: Any) -> Weibull:
        return Weibull(self.shape, scale)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        fast = Growth(0.0, self.shape)
        upper = Tail({fast: self.scale**-self.shape}, 1.0 - self.shape)
        return Tail(power=self.shape + 1.0), upper

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.scale),)

    def terms(self, x: Vector) -> tuple[Vector, ...]:
        log = np.log(x / self.scale)
        return (
            (self.shape - 1.0) * log, -np.exp(self.shape * log),
            np.log(self.shape / self.scale) + 0.0 * x,
        )  # fmt: skip

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        power = (x / self.scale) ** self.shape
        return np.asarray(np.exp(-power) if upper else -np.expm1(-power))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        power = -np.log(u) if upper else -np.log1p(-u)
        return np.asarray(self.scale * power ** (1.0 / self.shape))


def one(case: dict[str, Any]) -> Between:
    """The only factor of a case's pair."""
    (factor,) = case_pair(case).factors
    return factor


NORMALS = [{"family": "normal", "mean": m, "sd": s} for m, s in ((-3, 1), (2, 0.5))]
MIXED = {"family": "mixture", "weights": [0.3, 0.7], "components": NORMALS}
HEAVY = {"family": "student-t", "df": 4}
# Laws of other parameters than those below.
OTHERS = {
    "beta": [{"family": "beta", "a": 0.3, "b": 4}],
    "mixture": [MIXED, {**MIXED, "components": [NORMALS[0], HEAVY]}],
    "normal": [NORMALS[0]],
    "gamma": [{"family": "gamma", "shape": 1e-3, "rate": 3.0}],
    "uniform": [{"family": "uniform", "low": -2, "high": 3}],
    "triangular": [
        {"family": "triangular", "low": 1, "mode": 1.75, "high": 2},
        {"family": "triangular", "low": -1, "mode": 2, "high": 2},
    ],
    "truncated": [
        {"family": "truncated", "of": HEAVY, "low": -1},
        {"family": "truncated", "of": {"family": "gamma", "shape": 2}, "high": 3},
        {"family": "truncated", "of": {"family": "laplace"}, "low": -2, "high": 1},
        {
            "family": "truncated", "low": 1.5,
            "of": {"family": "triangular", "low": 1, "mode": 1.75, "high": 2},
        },
    ],
    "truncated-normal": [{"family": "truncated-normal", "low": 8, "high": 9}],
}  # fmt: skip


def examples() -> dict[str, Univariate]:
    laws: dict[str, Univariate] = {
        "gumbel": Gumbel(1.5, 2.0), "weibull(0.7)": Weibull(0.7, 3.0),
        "weibull(2.5)": Weibull(2.5, 0.5),
    }  # fmt: skip
    for name, family in INDEPENDENT.items():
        shapes = {"low": "-1", "high": "2"}
        text = name + f"({', '.join(shapes.get(key, '2.5') for key in family.shapes)})"
        text = text.removesuffix("()")
        swept = sweep_pair(text, 1, 1.25, 0.25) if family.sweep is not None else None
        if isinstance(swept, Coordinates):
            (factor,) = swept.factors
            laws |= {f"{text} as {side}": getattr(factor, side) for side in ("q", "p")}
        # Without a sweep, and if OTHERS has none, all parameters are 1.7.
        sides = OTHERS.get(name, [{"family": name, **dict.fromkeys(family.parameters, 1.7)}])
        if name in OTHERS or swept is None:
            for i, side in enumerate(sides):
                laws[f"{name} {i}"] = one({"q": side, "p": HEAVY if name == "normal" else side}).q
    return laws


LAWS = examples()


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("name", LAWS)
def test_a_tail_is_that_of_the_log_density(name: str, upper: bool) -> None:
    """Between probabilities of 1e-50 to 1e-200 both fall alike, to a thousandth of a nat."""
    law = LAWS[name]
    tail, u = law.tails[int(upper)], 10.0 ** -np.arange(50.0, 201.0, 25.0)
    if isinstance(law, Interval) and math.isfinite(law.support[int(upper)]):
        place = law.place_of(u, upper)
        y = 1.0 / (place.above if upper else place.below)
        found = sum(law.terms_at(place)) - 2.0 * np.log(y)
    else:
        x = law.quantile(u, upper)
        found, y = law.log_density(x), np.abs(x)
        if math.isfinite(law.support[int(upper)]):
            y = 1.0 / np.abs(x - law.support[int(upper)])
            found = found - 2.0 * np.log(y)
    falls = -tail.power * np.log(y)
    for (rate, power), coefficient in tail.coefficients.items():
        falls = falls - coefficient * np.exp(rate * y) * y**power
    assert np.isfinite(found).all()
    assert np.ptp(found) > 100.0
    assert found - found[0] == pytest.approx(falls - falls[0], abs=1e-3)


def test_growths_are_compared_the_fastest_first() -> None:
    power, line, square = Tail(power=3.0), Tail({LINEAR: 2.0}), Tail({SQUARE: 1.0, LINEAR: -9.0})
    doubly = Tail({Growth(0.5, 0.0): 1.0, LINEAR: -0.5})
    root = Tail({Growth(0.0, 0.5): 4.0})
    assert heaviest([square, doubly, line, root]) == root
    assert heaviest([root, power, line]) == power
    assert [degree(line, p) for p in (line, Tail({LINEAR: 3.0}), power, square, doubly)] == [
        0.0, 1.0, 1.0, 2.0, math.inf
    ]  # fmt: skip
    assert slope_at_end(line, root) == -1.0
    assert slope_at_end(power, square) == math.inf
    assert slope_at_end(power, doubly) == math.inf
    assert slope_at_end(line, doubly) == math.inf
    assert slope_at_end(doubly, Tail({Growth(0.5, 0.0): 3.0})) == 2.0
    assert is_finite(line, doubly, 0.0, 0)
    assert is_finite(line, doubly, 0.0, 3)
    assert not is_finite(line, doubly, 0.0, 4)  # l grows like e^(x / 2)
    assert is_finite(doubly, line, 0.0, 4)
    assert not is_finite(doubly, line, -2.0, 0)  # E r^2


def gumbel(location: float, scale: float) -> Callable[[Any], Any]:
    def log_density(x: Any) -> Any:
        y = (x - location) / mpmath.mpf(scale)
        return -y - mpmath.exp(-y) - mpmath.log(scale)

    return log_density


def weibull(shape: float, scale: float) -> Callable[[Any], Any]:
    def log_density(x: Any) -> Any:
        y, k = x / mpmath.mpf(scale), mpmath.mpf(shape)
        return mpmath.log(k / scale) + (k - 1) * mpmath.log(y) - y**k

    return log_density


def laplace(x: Any) -> Any:
    return -abs(x) - mpmath.log(2)


def student_t(x: Any) -> Any:
    """The log density with 4 degrees of freedom."""
    return mpmath.log(mpmath.mpf(3) / 8) - mpmath.mpf(5) / 2 * mpmath.log1p(x * x / 4)


PAIRS = {
    # p has mass where log q is below -10^9, and even below -10^308.
    "laplace p": (Gumbel(1.0, 1.0), Laplace(0.0, 1.0), gumbel(1.0, 1.0), laplace),
    "student-t p": (Gumbel(), StudentT(4.0, 0.0, 1.0), gumbel(0.0, 1.0), student_t),
    "gumbels": (Gumbel(0.0, 1.0), Gumbel(0.5, 1.0), gumbel(0.0, 1.0), gumbel(0.5, 1.0)),
    "narrower p": (Gumbel(0.0, 1.0), Gumbel(0.3, 0.75), gumbel(0.0, 1.0), gumbel(0.3, 0.75)),
    "wider p": (Gumbel(0.0, 1.0), Gumbel(0.0, 1.5), gumbel(0.0, 1.0), gumbel(0.0, 1.5)),
    "weibulls": (Weibull(1.5), Weibull(1.2, 1.1), weibull(1.5, 1.0), weibull(1.2, 1.1)),
    "one shape": (Weibull(0.7), Weibull(0.7, 0.8), weibull(0.7, 1.0), weibull(0.7, 0.8)),
}
# Whether E r^2 is finite: p must not fall more slowly than the square root of q.
FINITE = {"gumbels": True, "narrower p": True, "wider p": False, "weibulls": False,
          "one shape": True, "laplace p": False, "student-t p": False}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_laws_with_such_tails_have_an_exact_theory(name: str) -> None:
    q, p, log_q, log_p = PAIRS[name]
    law = Coordinates([Between(q, p)], [1]).law
    # Beyond these points there is less than 1e-20 of every integral.
    edges = [0, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 100, 600]
    if q.support[0] < 0.0:
        edges = [-6, -4, -3, -2, -1, 0, 1, 2, 5, 10, 20, 40, 80]

    def mean(f: Callable[[Any], Any]) -> float:
        with mpmath.workdps(25):
            return float(mpmath.quad(
                lambda x: mpmath.exp(log_q(x)) * f(log_q(x) - log_p(x)), edges
            ))  # fmt: skip

    kl = mean(lambda l: l)  # noqa: E741
    assert law.kl == pytest.approx(kl, rel=1e-10)
    assert abs(law.kl - kl) <= law.kl_error + 1e-16
    assert law.kl_error <= 1e-9 * kl
    assert law.variance == pytest.approx(mean(lambda l: (l - kl) ** 2), rel=1e-9)  # noqa: E741
    theory = ESTIMATORS["k3"].theory(law, False)
    if not FINITE[name]:
        assert theory.variance == math.inf
        return
    k3 = mean(lambda l: (mpmath.expm1(-l) + l - kl) ** 2)  # noqa: E741
    assert theory.variance == pytest.approx(k3, rel=1e-8)
    assert theory.relative_error <= 1e-6
