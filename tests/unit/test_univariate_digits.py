"""Log densities and their ratios keep their digits, and bound the error of what they lose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

from mckl.families import wide
from mckl.families.coordinates.beta import Beta
from mckl.families.coordinates.gamma import Gamma
from mckl.families.coordinates.gaussian import Gaussian
from mckl.families.coordinates.laplace import Laplace
from mckl.families.coordinates.log_gamma import LogGamma
from mckl.families.coordinates.logistic import Logistic
from mckl.families.coordinates.logit import Logit
from mckl.families.coordinates.mixture import Mixture
from mckl.families.coordinates.student_t import StudentT
from mckl.families.coordinates.triangular import Triangular
from mckl.families.coordinates.univariate import Between, Univariate
from mckl.families.registry import case_pair

mp = mpmath.mp.clone()
mp.dps = 90


def number(x: float) -> mpmath.mpf:
    """A parameter with all of its digits."""
    return mp.mpf(x) + mp.mpf(getattr(x, "low", 0.0))


def log_density(law: Univariate, x: mpmath.mpf) -> mpmath.mpf:
    """The log density with 90 digits, from the definition."""
    if isinstance(law, Mixture):
        parts = zip(law.weights, law.components, strict=True)
        total = sum(map(mp.mpf, law.weights))
        logs = [mp.log(mp.mpf(w) / total) + log_density(c, x) for w, c in parts]
        top = max(
            logs
        )  # terms below e^-1000 of it have none of the 90 digits, and take mpmath long
        return top + mp.log(sum(mp.exp(log - top) for log in logs if log - top > -1000))
    if isinstance(law, Beta):
        a, b = mp.mpf(law.a), mp.mpf(law.b)
        beta = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
        z = (x - number(law.location)) / number(law.scale)
        sides = -a * mp.log1p(mp.exp(-z)) - b * mp.log1p(mp.exp(z))
        return sides - beta - mp.log(number(law.scale))
    if isinstance(law, LogGamma):
        a, scale = mp.mpf(law.shape), number(law.scale)
        z = law.side * (x - number(law.location)) / scale
        return a * z - mp.exp(z) - mp.loggamma(a) - mp.log(scale)
    if isinstance(law, Gamma):
        a = mp.mpf(law.shape)
        rate = mp.mpf(law.rate) if law.rate is not None else 1 / number(law.scale)
        return (a - 1) * mp.log(x) + a * mp.log(rate) - rate * x - mp.loggamma(a)
    scale = number(law.scale)
    y = (x - number(law.location)) / scale
    if isinstance(law, Gaussian):
        return -y * y / 2 - mp.log(2 * mp.pi) / 2 - mp.log(scale)
    if isinstance(law, Laplace):
        return -abs(y) - mp.log(2 * scale)
    if isinstance(law, Logistic):
        return -abs(y) - 2 * mp.log1p(mp.exp(-abs(y))) - mp.log(scale)
    assert isinstance(law, StudentT)
    df = mp.mpf(law.df)
    constant = mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2) - mp.log(df * mp.pi) / 2
    return constant - (df + 1) / 2 * mp.log1p(y * y / df) - mp.log(scale)


def points(law: Univariate) -> list[float]:
    """Points in the bulk of the law and in both tails."""
    if isinstance(law, Mixture):
        return [x for c in law.components for x in points(c)]
    steps = np.array([0.0, 1e-6, 1e-3, 0.03, 0.3, 0.9, 1.0, 1.7, 3.0, 8.0, 20.0, 70.0])
    steps = np.concatenate((steps, -steps))
    if isinstance(law, Gamma):
        return list(law.shape * law.scale * np.exp(steps / np.sqrt(1.0 + law.shape)))
    if isinstance(law, LogGamma):
        y = np.log(law.shape) + steps / np.sqrt(law.shape)
        return list(law.location + law.side * law.scale * y)
    if isinstance(law, Beta):
        narrow = np.sqrt(1.0 / law.a + 1.0 / law.b)
        return list(law.location + law.scale * (np.log(law.a / law.b) + steps * narrow))
    return list(law.location + law.scale * np.concatenate((steps, 1e4 * steps)))


def both(q: Univariate, p: Univariate) -> list[tuple[Univariate, Univariate]]:
    return [(q, p), (p, q)]


def light(weight: float) -> Mixture:
    return Mixture((1.0 - weight, weight), (Gaussian(), Gaussian(10.0, 0.5)))


def rated(shape: float, rate: float) -> LogGamma:
    """The law of the logarithm of a gamma variate."""
    return LogGamma(shape, -wide.log(rate))


def power_of(shape: float, scale: float, k: float) -> LogGamma:
    """The law of the logarithm of scale x^(1 / k), x being a gamma variate of rate 1."""
    return LogGamma(shape).affine(wide.log(scale), wide.quotient(1.0, k))


NEAR = [
    *both(Gaussian(1e8, 1.0), Gaussian(1e8 + 2.0**-20, 1.0 + 1e-9)),
    *both(Gaussian(0.3, 2.0), Laplace(-1.0, 0.7)),
    *both(Laplace(0.0, 1.0), Laplace(1e-10, 1.0 - 1e-9)),
    *both(Laplace(0.5, 2.0), Laplace(-30.0, 0.1)),
    *both(Logistic(0.0, 1.0), Logistic(1e-10, 1.0 - 1e-9)),
    *both(Logistic(0.0, 1.0), Logistic(-50.0, 0.02)),
    *both(StudentT(1e6), Gaussian(0.0, 1.0)),
    *both(StudentT(1e6, 1e-7, 1.0 + 1e-8), Gaussian(0.0, 1.0)),
    *both(StudentT(3.0, 1.0, 2.0), Gaussian(0.0, 30.0)),
    *both(StudentT(1e-3), StudentT(1.001e-3)),
    *both(StudentT(1e-3), StudentT(1e12)),
    *both(StudentT(1e12), StudentT(1.1e12, 1e-12)),
    *both(StudentT(5.0), StudentT(5.0 + 1e-9, 1e-10, 1.0 + 1e-9)),
    *both(StudentT(5.0, 3.0), StudentT(2.0, -40.0, 9.0)),
    *both(StudentT(5.0), StudentT(5.0, 1e4, 3.0)),
    *both(StudentT(0.5, 1e-9), StudentT(0.5, 0.0, 1.0 + 1e-9)),
    *both(StudentT(300.0), StudentT(200.0, 0.1, 1.1)),
    *both(Gamma(1e12), Gamma(1e12 + 1e6, 1.0 / (1.0 + 1e-6))),
    *both(Gamma(1e12), Gamma(1e12 + 1.0)),
    *both(Gamma(20.0, 0.5, 2.0), Gamma(20.0 + 1e-9, 1 / 2.000001, 2.000001)),
    *both(Gamma(2.5), Gamma(2.5 + 1e-9, 1.0 + 1e-10)),
    *both(Gamma(0.2, 1 / 3.0, 3.0), Gamma(300.0, 1 / 7.0, 7.0)),
    *both(rated(0.002, 0.002), rated(0.003, 0.003)),
    *both(rated(0.002, 1e-20), rated(70.0, 0.003)),
    *both(rated(1e-3, 1.0), rated(1e-3 + 1e-12, 1.0 + 1e-9)),
    *both(power_of(1.0, 1e200, 0.7), power_of(1.0, 1e200 * (1.0 + 2.0**-40), 0.7)),
    *both(power_of(1.0, 3.0, 0.7), power_of(1.0, 3.0, 0.7 + 2.0**-40)),
    *both(power_of(0.5, 3.0, 2.0), power_of(0.5 + 2.0**-40, 3.0, 2.0)),
    *both(power_of(1.0, 3.0, 0.7), power_of(4.0, 0.1, 5.0)),
    *both(power_of(300.0, 3.0, 0.7), power_of(310.0, 2.9, 0.71)),
    *both(power_of(2.0, 3.0, -0.7), power_of(2.0, 3.0 + 1e-12, -0.7 + 1e-12)),
    *both(power_of(2.0, 3.0, -0.7), power_of(2.0, 3.0, 1.0)),
    *both(power_of(2.0, 3.0, -0.7), Gaussian(0.3, 2.0)),
    *both(power_of(2.0, 3.0, 9.0), Logistic(0.3, 2.0)),
    *both(Beta(2.0, 3.0), Gaussian(-1.0, 2.0)),
    *both(Beta(0.5, 0.5, 1.0, 0.5), Beta(1.0, 4.0, 2.0, 1.0)),
    *both(Beta(1e4, 2e4), Gaussian(-math.log(2.0), 1e-2)),
    *both(Beta(2.0, 3.0), Beta(2.0 + 1e-9, 3.0 - 1e-10)),
    *both(Beta(1e12, 3e12), Beta(1e12 + 1e6, 3e12 + 2e6)),
    *both(Beta(5e11, 5e11), Beta(5.01e11, 5.01e11)),
    *both(Beta(1e-3, 5.0), Beta(0.9, 1e3)),
    *both(light(1e-4), light(1e-12)),
    *both(light(1e-12), Gaussian()),
    *both(light(1e-4), Gaussian(0.0, 1.0 + 1e-8)),
    *both(light(1e-12), StudentT(1e6)),
    *both(
        Mixture((0.5, 0.5), (Gaussian(-10.0), Gaussian(10.0))),
        Mixture((0.3, 0.5 + 1e-9, 0.2 - 1e-9), (Gaussian(3.0), Gaussian(10.0), Gaussian(-10.0))),
    ),
    *both(
        Mixture((0.5, 0.5), (Gamma(1.0, 0.2, 5.0), Gamma(10.0))),
        Mixture((0.5 + 1e-10, 0.5 - 1e-10), (Gamma(10.0 + 1e-9), Gamma(1.0, 0.2, 5.0))),
    ),
    *both(
        Mixture((0.5, 0.5), (Laplace(), StudentT(4.0, 1e8))),
        Mixture((0.5, 0.5), (Laplace(1e-9), Logistic(1e8, 1e-3))),
    ),
    *both(Mixture((0.5, 0.5), (Gaussian(), power_of(1.0, 1.0, 2.0))), Logistic(0.0, 1.0 / 1.2)),
    *both(Mixture((0.1, 0.9000000001), (Laplace(), StudentT(4.0))), Logistic(3.0)),
]


@np.errstate(over="ignore", invalid="ignore")
@pytest.mark.parametrize(("q", "p"), NEAR, ids=str)
def test_rounding_errors_are_within_their_bounds(q: Univariate, p: Univariate) -> None:
    pair = Between(q, p).centred()
    x = np.array(sorted({*points(pair.q), *points(pair.p)}))
    x = x[(x > pair.support[0]) & (x < pair.support[1])]
    exact = [(log_density(pair.q, mp.mpf(y)), log_density(pair.p, mp.mpf(y))) for y in x.tolist()]
    for got, bound, right in (
        (pair.log_q(x), pair.log_q_error(x), [q for q, _ in exact]),
        (pair.log_p(x), pair.log_p_error(x), [p for _, p in exact]),
        (pair.log_ratio(x), pair.log_ratio_error(x), [q - p for q, p in exact]),
    ):
        for a, most, b in zip(got.tolist(), bound.tolist(), right, strict=True):
            assert not np.isfinite(a) or abs(a - b) <= most


@pytest.mark.parametrize(("q", "p"), NEAR, ids=str)
def test_ratios_keep_their_digits_in_the_bulk(q: Univariate, p: Univariate) -> None:
    pair = Between(q, p).centred()
    x = pair.q.quantile(np.arange(0.005, 1.0, 0.01))
    size = np.abs(pair.log_ratio(x)).max()
    # The mean of a gamma or beta law of shape 1e12 is rounded by 1e-10 standard deviations.
    sharp = max(*shapes(q), *shapes(p)) > 1e9
    assert pair.log_ratio_error(x).max() <= (1e-8 if sharp else 1e-12) * size


def shapes(law: Univariate) -> tuple[float, ...]:
    return (getattr(law, "shape", 1.0), getattr(law, "a", 1.0))


def beta_kl(a: float, b: float, c: float, d: float) -> mpmath.mpf:
    """KL of beta(a, b) from beta(c, d), in closed form with 90 digits."""
    a, b, c, d = map(mp.mpf, (a, b, c, d))
    logs = [mp.loggamma(x) + mp.loggamma(y) - mp.loggamma(x + y) for x, y in ((c, d), (a, b))]
    slopes = (a - c) * mp.digamma(a) + (b - d) * mp.digamma(b)
    return logs[0] - logs[1] + slopes - (a - c + b - d) * mp.digamma(a + b)


def beta_shapes() -> list[tuple[float, float, float, float]]:
    """Shapes of q and p: means that are far apart, and any shapes, near and far."""
    rng = np.random.default_rng(7)
    shapes = [
        (1e5, 1e5, 1e-4, 1e5), (300.0, 100.0, 0.01, 300.0), (0.5, 1000.0, 1000.0, 0.01),
        (399670.1, 2225884.0, 8.38e-6, 6.5), (10.815215539905767, 4.648584058228333e-06,
                                              0.06227531096298764, 676632.0044583265),
    ]  # fmt: skip
    shapes += [tuple(row) for row in 10.0 ** rng.uniform(-6, 7, (60, 4))]
    for a, b in 10.0 ** rng.uniform(-3, 5, (20, 2)):
        step = 10.0 ** rng.uniform(-9, -1)
        shapes.append((a, b, a * (1.0 + step), b * (1.0 - step * rng.random())))
        shapes.append((a, b, a * 1e3 * step, b * 1e3 * step))
    return shapes


@pytest.mark.parametrize("shapes", beta_shapes(), ids=str)
def test_kl_of_beta_laws_is_within_its_bound(shapes: tuple[float, float, float, float]) -> None:
    a, b, c, d = shapes
    law = case_pair({"q": {"family": "beta", "a": a, "b": b},
                    "p": {"family": "beta", "a": c, "b": d}}).law  # fmt: skip
    expected = beta_kl(*shapes)
    assert abs(mp.mpf(law.kl) - expected) <= law.kl_error
    assert law.kl_error <= 1e-8 * expected


def bounded_density(case: dict[str, Any]) -> tuple[Any, list[mpmath.mpf]]:
    """The density of a law on an interval, and the points between which it is smooth."""
    ends = [mp.mpf(case[name]) for name in ("low", "high") if name in case]
    if case["family"] == "triangular":
        (low, high), mode = ends, mp.mpf(case["mode"])

        def triangle(x: mpmath.mpf) -> mpmath.mpf:
            share = (x - low) / (mode - low) if x < mode else (high - x) / (high - mode)
            return 2 * share / (high - low) if low < x < high else mp.mpf(0)

        return triangle, sorted({low, mode, high})
    if case["family"] == "truncated":
        whole, points = bounded_density(case["of"])
        low, high = ends
    else:
        mean, sd = mp.mpf(case["mean"]), mp.mpf(case["sd"])
        low, high = (*ends, mp.inf)[:2]
        points = [mean + k * sd for k in (-8, 0, 8, 30)]

        def whole(x: mpmath.mpf) -> mpmath.mpf:
            return mp.exp(-(((x - mean) / sd) ** 2) / 2)

    points = [low, *(x for x in points if low < x < high), high]
    mass = mp.quad(whole, points)
    return lambda x: whole(x) / mass, points


def moments_of_ratio(
    q: dict[str, Any], p: dict[str, Any], powers: Sequence[int] = (1, 2)
) -> list[mpmath.mpf]:
    """E l and central moments of l under q, by quadrature in x."""
    (of_q, points), (of_p, others) = bounded_density(q), bounded_density(p)
    low, high = points[0], points[-1]
    points = sorted({*points, *(x for x in others if low < x < high)})
    # Distances from an end e^-40 to e^-10 of the width, where p may have a kink or be 0.
    points = sorted({*points, *(low + (points[1] - low) * mp.mpf(10) ** -k for k in (4, 12))})

    def ell(x: mpmath.mpf) -> mpmath.mpf:
        return mp.log(of_q(x) / of_p(x)) if of_q(x) and of_p(x) else mp.mpf(0)

    mean = mp.quad(lambda x: of_q(x) * ell(x), points)
    rest = [mp.quad(lambda x, k=k: of_q(x) * (ell(x) - mean) ** k, points) for k in powers[1:]]
    return [mean, *rest]


CUT_NORMAL = {"family": "truncated-normal", "mean": 0.1, "sd": 1.0, "low": -3.0}


def cut_triangle(low: float, mode: float, high: float, start: float, stop: float) -> dict[str, Any]:
    of = {"family": "triangular", "low": low, "mode": mode, "high": high}
    return {"family": "truncated", "of": of, "low": start, "high": stop}


@pytest.mark.parametrize(
    ("q", "p"),
    [
        # -3 and 0.1 cannot be moved by one step without rounding.
        (CUT_NORMAL, {**CUT_NORMAL, "mean": 0.1 + 1e-8}),
        # The laws before truncation have other ends.
        (cut_triangle(0.0, 0.5, 1.0, 0.2, 0.8), cut_triangle(-1.0, 0.5, 2.0, 0.2, 0.8)),
        (cut_triangle(0.0, 0.5, 1.0, 0.2, 0.8), cut_triangle(-0.1, 0.5, 1.0, 0.2, 0.8)),
        (cut_triangle(0.0, 0.5, 1.0, 0.2, 0.8), cut_triangle(0.0, 0.5 + 1e-7, 1.0, 0.2, 0.8)),
        # p is 0 at an end of q, of whose distance x has few digits.
        (
            {"family": "truncated-normal", "mean": 1.98, "sd": 0.03, "low": 1.987, "high": 1.98705},
            {"family": "triangular", "low": 1.987, "mode": 1.98700000002, "high": 1.9871},
        ),
        # Beside the end p is a small part of its height, and not 1 less a number near 1.
        (
            {"family": "triangular", "low": 0.1, "mode": 0.1, "high": 0.11},
            {"family": "triangular", "low": 0.1, "mode": 0.1 + 1e-10, "high": 0.11},
        ),
    ],
)  # fmt: skip
def test_laws_on_an_interval_are_within_their_bounds(q: Any, p: Any) -> None:
    pair = case_pair({"q": q, "p": p})
    kl, variance, fourth = moments_of_ratio(q, p, (1, 2, 4))
    cumulants = pair.law.ell(4)
    assert abs(pair.law.kl - kl) <= pair.law.kl_error <= 1e-7 * kl
    assert abs(cumulants.value[2] - variance) <= cumulants.error[2] <= 1e-7 * variance
    found = cumulants.value[4] + 3 * cumulants.value[2] ** 2
    assert abs(found - fourth) <= 1e-8 * fourth
    if not pair.law.missed_mass:
        reverse = moments_of_ratio(p, q, (1,))[0]
        assert abs(pair.reverse_kl - reverse) <= pair.reverse_kl_error <= 1e-7 * reverse


def test_the_ratio_of_triangular_laws_keeps_its_digits_next_to_an_end() -> None:
    q, p = (
        {"family": "triangular", "low": 0.1, "mode": m, "high": 0.11} for m in (0.1, 0.1 + 1e-10)
    )
    pair = case_pair({"q": q, "p": p}).factors[0].centred()  # type: ignore[attr-defined]
    width, rise = mp.mpf(0.11) - mp.mpf(0.1), mp.mpf(0.1 + 1e-10) - mp.mpf(0.1)
    z = np.array([-19.0, -30.0, -60.0, -300.0])
    shares = [1 / (1 + mp.exp(-mp.mpf(float(x)))) for x in z]  # distances from the end, over width
    expected = [mp.log((1 - s) * rise / (s * width)) if s * width < rise
                else mp.log((width - rise) / width) for s in shares]  # fmt: skip
    for found, bound, right in zip(
        pair.log_ratio(z), pair.log_ratio_error(z), expected, strict=True
    ):
        assert abs(found - right) <= bound <= 1e-12 * abs(right)


@pytest.mark.parametrize("mode", [0.0, 1e-9, 0.25, 1.0 - 1e-9, 1.0])
def test_both_tails_of_a_triangular_law_keep_their_digits(mode: float) -> None:
    law = Logit(Triangular(0.0, mode, 1.0), 0.0, 1.0)
    z = np.linspace(-80.0, 80.0, 33)
    for upper in (False, True):
        for y, found in zip(z.tolist(), law.probability(z, upper).tolist(), strict=True):
            below = 1 / (1 + mp.exp(-mp.mpf(y)))
            above, own = 1 - below, mp.mpf(mode)
            if upper:
                below, above, own = above, below, 1 - own
            right = below**2 / own if own and below < own else 1 - above**2 / (1 - own)
            assert abs(found - right) <= 1e-13 * right
    far = np.array([-70.0, -30.0, 30.0, 70.0])
    assert law.mirror(law.mirror(far)) == pytest.approx(far, rel=1e-12)


def test_a_mixture_given_an_interval() -> None:
    parts = [{"mean": 0, "sd": 1}, {"mean": 3, "sd": 0.5}]
    of = {"family": "mixture", "weights": [0.25, 0.75], "components": parts}
    pair = case_pair({"q": {"family": "truncated", "of": of, "low": -0.5, "high": 3.25},
                      "p": {"family": "uniform", "low": -1, "high": 4}})  # fmt: skip

    def whole(x: mpmath.mpf) -> mpmath.mpf:
        return mp.exp(-x * x / 2) / 4 + mp.mpf(3) / 2 * mp.exp(-2 * (x - 3) ** 2)

    points = [mp.mpf(x) for x in (-0.5, 0, 1.5, 3, 3.25)]
    mass = mp.quad(whole, points)
    kl = mp.quad(lambda x: whole(x) / mass * mp.log(5 * whole(x) / mass), points)
    assert abs(pair.law.kl - kl) <= pair.law.kl_error <= 1e-12 * kl
