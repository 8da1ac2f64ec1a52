"""Sums over factors: their laws, what the evaluators give, and the estimators made of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS
from mckl.estimation.balanced import balanced_theory
from mckl.estimation.budget import LEADING, OK, Forecasts, Tolerance
from mckl.estimation.intervals import Request
from mckl.estimation.offered import offered, offered_estimators
from mckl.estimation.sequential import estimate
from mckl.estimation.stages import stage
from mckl.estimation.theory import exact_mean
from mckl.estimation.traces import trace
from mckl.estimation.values import ESTIMATORS
from mckl.estimation.values.base import DIVERGENT
from mckl.exact import joint
from mckl.exact.factor_sums import SUMS
from mckl.exact.moments import Function, Moments
from mckl.families.base import Pair
from mckl.families.normal.pair import grid_pair, pair
from mckl.families.registry import case_pair, sweep_pair

BY_FACTOR = tuple(n for n, e in ESTIMATORS.items() if e.sums and {*e.sums} <= {*SUMS})
NAMES = (("half_square",), ("k3",), ("ell", "ratio"), ("k3", "ratio"))


def case(q: Mapping[str, Any], p: Mapping[str, Any]) -> Pair:
    return case_pair({"q": q, "p": p})


# Pairs of equal factors that SciPy's densities describe: q, p, and where the factor is not smooth.
SCIPY: Mapping[str, tuple[Pair, Any, Any, float]] = {
    "normal": (sweep_pair("normal", 3, 1.1, 0.3), stats.norm(0.3), stats.norm(0, 1.1), 0.3),
    "near": (sweep_pair("normal", 3, 1.02, 0.01), stats.norm(0.01), stats.norm(0, 1.02), 0.01),
    "wide": (sweep_pair("normal", 2, 0.5, 1.0), stats.norm(1.0), stats.norm(0, 0.5), 1.0),
    "student": (sweep_pair("student-t(5)", 3, 1.2, 0.3), stats.t(5, 0.3), stats.t(5, 0, 1.2), 0.3),
    "laplace": (sweep_pair("laplace", 2, 1.2, 0.3), stats.laplace(0.3), stats.laplace(0, 1.2), 0.3),
    "logistic": (
        sweep_pair("logistic", 2, 0.8, 0.3), stats.logistic(0.3), stats.logistic(0, 0.8), 0.3
    ),
    "gamma": (
        case({"family": "gamma", "shape": [2, 2], "rate": 1},
             {"family": "gamma", "shape": 2.5, "rate": 1.2}),
        stats.gamma(2), stats.gamma(2.5, scale=1 / 1.2), 2.0,
    ),
}  # fmt: skip


def functions(ell: Vector, names: tuple[str, ...]) -> list[Vector]:
    return [ell if name == "ell" else SUMS[name](np.atleast_1d(ell)) for name in names]


def nodes(knots: list[float]) -> tuple[Vector, Vector]:
    """Nodes and weights of the double exponential rule on the pieces between some knots."""
    t = np.arange(-340, 341) / 100.0
    s, slope = 0.5 * np.pi * np.sinh(t), 0.5 * np.pi * np.cosh(t) / 100.0
    x, w = [], []
    for low, high in itertools.pairwise(knots):
        if math.isinf(low) or math.isinf(high):
            away = np.exp(s)
            x.append(high - away if math.isinf(low) else low + away)
            w.append(away * slope)
        else:
            x.append(low + (high - low) / (1.0 + np.exp(-2.0 * s)))
            w.append((high - low) * 0.5 / np.cosh(s) ** 2 * slope)
    return np.concatenate(x), np.concatenate(w)


@np.errstate(all="ignore")
def by_quadrature(entry: tuple[Pair, Any, Any, float], names: tuple[str, ...], paired: bool) -> Any:
    """Joint cumulants of one factor, from integrals over SciPy's densities."""
    _, q, p, middle = entry
    kink = 0.0 if p.dist.name == "laplace" else middle
    ends = [float(x) for x in q.support()]
    x, w = nodes(sorted({*ends, middle, *(k for k in (kink, 2 * middle - kink) if k > ends[0])}))
    points = (x, 2 * middle - x) if paired else (x,)  # symmetric laws alone are paired
    weight = w * q.pdf(x)
    good = (weight > 1e-250) & (q.pdf(points[-1]) > 0)
    each = [functions((q.logpdf(y) - p.logpdf(y))[good], names) for y in points]
    f = [np.mean(v, axis=0) for v in zip(*each, strict=True)]
    weight = weight[good]
    means = [float(weight @ v) for v in f]
    mu = np.zeros((5,) * len(names))
    for index in joint.indices(len(names), 4):
        if sum(index) > 1:
            powers = [(v - m) ** i for v, m, i in zip(f, means, index, strict=True)]
            mu[index] = float(weight @ np.prod(powers, axis=0))
    kappa = joint.cumulants(Moments(mu, np.zeros_like(mu)), len(names)).value
    for axis, value in enumerate(means):
        kappa[tuple(int(i == axis) for i in range(len(names)))] = value
    return kappa


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("name", SCIPY)
def test_laws_are_those_of_quadrature(name, paired):
    entry = SCIPY[name]
    if paired and name == "gamma":
        return
    whole, dimension = entry[0], entry[0].dimension
    for names in NAMES:
        expected = dimension * by_quadrature(entry, names, paired)
        got = whole.law.sums([Function(n) for n in names], paired).value
        for index in joint.indices(len(names), 4):
            if sum(index) == 0 or math.isinf(got[index]):
                continue
            # Third and fourth cumulants are differences of moments in the quadrature.
            size = math.prod(
                expected[tuple(2 * (i == axis) for i in range(len(names)))] ** (0.5 * power)
                for axis, power in enumerate(index)
            )
            room = 1e-9 * max(abs(expected[index]), dimension ** (1 - 0.5 * sum(index)) * size)
            assert got[index] == pytest.approx(expected[index], rel=1e-9, abs=room + 1e-12)


def test_counts_and_categories_are_those_of_sums_over_their_values():
    k = np.arange(200)
    entries = [
        (case({"family": "poisson", "rate": [2, 3, 3]}, {"family": "poisson", "rate": [2.5, 2, 2]}),
         [(stats.poisson(a).logpmf(k), stats.poisson(b).logpmf(k)) for a, b in
          ((2, 2.5), (3, 2), (3, 2))]),
        (case({"family": "categorical", "probabilities": [0.7, 0.2, 0.1]},
              {"family": "categorical", "probabilities": [0.1, 0.3, 0.6]}),
         [(np.log([0.7, 0.2, 0.1]), np.log([0.1, 0.3, 0.6]))]),
    ]  # fmt: skip
    for whole, factors in entries:
        for names in NAMES:
            total = np.zeros((5,) * len(names))
            for log_q, log_p in factors:
                q, f = np.exp(log_q), functions(log_q - log_p, names)
                means = [float(q @ v) for v in f]
                mu = np.zeros((5,) * len(names))
                for index in joint.indices(len(names), 4):
                    powers = [(v - m) ** i for v, m, i in zip(f, means, index, strict=True)]
                    mu[index] = float(q @ np.prod(powers, axis=0))
                kappa = joint.cumulants(Moments(mu, np.zeros_like(mu)), len(names)).value
                for axis, value in enumerate(means):
                    kappa[tuple(int(i == axis) for i in range(len(names)))] = value
                total += kappa
            got = whole.law.sums([Function(n) for n in names], False).value
            assert got == pytest.approx(total, rel=1e-9, abs=1e-10)


EVERY: Mapping[str, Pair] = {
    **{name: entry[0] for name, entry in SCIPY.items()},
    "mixed": pair([0.1, 0.5, 0.001], [1, 1, 1], [0, 0, 0], [1, 0.9, 0.9999]),
    "correlated": case(
        {"mean": [0, 1], "covariance": [[1, 0.5], [0.5, 1]]}, {"mean": 0, "sd": 1.2}
    ),
    "poisson": case({"family": "poisson", "rate": [2, 3, 3]}, {"family": "poisson", "rate": 2.8}),
    "dirichlet": case(
        {"family": "dirichlet", "concentration": [3, 2]},
        {"family": "dirichlet", "concentration": [3.5, 2.5]},
    ),
}


@pytest.mark.parametrize("sampler", ["iid", "antithetic"])
@pytest.mark.parametrize("name", EVERY)
def test_estimates_have_the_mean_and_the_variance_of_theory(name, sampler):
    entry, way = EVERY[name], SAMPLERS[sampler]
    if not way.offered(entry):
        return
    chosen = [ESTIMATORS[e] for e in ("k2-factor", "k3-factor", "cv-factor")]
    n, replicates = 512, 400
    got = trace(entry, "numpy", way, chosen, seed=3, samples=[n], replicates=replicates)
    for e, (estimator, _, theory) in enumerate(exact_mean(entry, way, chosen, [n])):
        if theory.theory == "none" or theory.variance == 0.0:
            continue
        values, off = got.estimate[e, :, 0], theory.bias
        kurtosis = theory.excess_kurtosis if theory.theory == "exact" else 1.0
        if not math.isfinite(kurtosis) or kurtosis > 10:
            continue
        error = math.sqrt(theory.variance / replicates)
        leading = 0.0 if theory.theory == "exact" else 0.2
        assert abs(values.mean() - entry.law.kl - off) < 6 * error + leading * abs(off), estimator
        spread = 6 * math.sqrt((2 + kurtosis) / replicates)
        assert abs(values.var(ddof=1) / theory.variance - 1) < spread + leading, estimator
        squares = got.std_error[e, :, 0] ** 2
        assert squares.mean() == pytest.approx(theory.variance, rel=leading + 0.3)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize(
    "cell", [("normal", 1.1, 0.25), ("normal", 1.001, 0.001), ("student-t(5)", 1.2, 0.3)]
)
def test_in_one_dimension_they_are_the_estimators_of_the_whole(cell, paired):
    family, scale, offset = cell
    law = sweep_pair(family, 1, scale, offset).law
    for name, ours, whole in ((n, e, e.whole) for n, e in ESTIMATORS.items() if e.whole):
        ours, whole = (e.theory(law, paired) for e in (ours, whole))
        # Near q = p cv's fourth moments are differences that keep seven digits.
        assert ours[:5] == pytest.approx(whole[:5], rel=1e-6, nan_ok=True), name
        assert ours.kind == whole.kind
        assert ours.least_units == pytest.approx(whole.least_units, rel=1e-6)


def evaluated(entry: Pair, draws: Vector, signs: int, tile: int) -> Vector:
    form = entry.form()
    evaluator = form.evaluator([form], signs, tuple(SUMS))
    evaluator.resize(1, len(draws))
    for start in range(0, len(draws), tile):
        rows = draws[start : start + tile].copy()
        evaluator.add((rows, rows[:, :0]), 0, start, start + len(rows))
    out = np.empty((1 + len(SUMS), signs, 1, 1, len(draws)))
    evaluator.finish(out)
    return out[:, :, 0, 0]


@pytest.mark.parametrize("scale", [1.0, 1 + 1e-9, 1.0003, 1.02, 0.4, 2.5])
@pytest.mark.parametrize("offset", [0.0, 1e-8, 1e-3, 0.02, 3.0])
def test_sums_of_normals_keep_their_digits(scale, offset):
    if (scale, offset) == (1.0, 0.0):
        return
    entry = grid_pair(5, scale, offset)
    g = np.random.default_rng(1).normal(size=(64, 5))
    c = entry.coefficients
    wide = np.longdouble
    for s, sign in enumerate((1, -1)):
        x = sign * g.astype(wide)
        ell = wide(c.kl[0]) + wide(c.a[0]) * (x * x - 1) + wide(c.b[0]) * x
        series = sum((-ell) ** k / math.factorial(k) for k in range(12, 1, -1))
        k3 = np.where(np.abs(ell) < 0.1, series, np.expm1(-ell) + ell)
        expected = {"half_square": 0.5 * ell * ell, "ratio": np.expm1(-ell), "k3": k3}
        got = evaluated(entry, g, 2, 64)[1:, s]
        for name, values in zip(SUMS, got, strict=True):
            exactly = expected[name].sum(axis=1)
            size = np.abs(expected[name]).sum(axis=1)
            assert (np.abs(values - exactly) <= 2e-12 * size).all(), name


@pytest.mark.parametrize("entry", [grid_pair(7, 1.2, 0.3), EVERY["mixed"]])
def test_bits_of_sums_do_not_depend_on_the_tiles(entry):
    draws = np.random.default_rng(2).normal(size=(512, entry.dimension))
    whole = evaluated(entry, draws, 2, 512)
    for tile in (4, 100, 256):
        assert (evaluated(entry, draws, 2, tile) == whole).all()


def test_bits_of_estimates_do_not_depend_on_the_settings_that_share_their_draws():
    from mckl.estimation.traces import traces

    chosen = [ESTIMATORS[e] for e in BY_FACTOR]
    pairs = {f"{s}": grid_pair(9, s, 0.3) for s in (1.0001, 1.1, 2.0)}
    together = traces(pairs, "numpy", SAMPLERS["antithetic"], chosen, seed=1, samples=[100],
                      replicates=3)  # fmt: skip
    for (name, entry), one in zip(pairs.items(), together, strict=True):
        alone = trace(entry, "numpy", SAMPLERS["antithetic"], chosen, seed=1, samples=[100],
                      replicates=3, name=name)  # fmt: skip
        assert (alone.estimate == one.estimate).all()


@pytest.mark.parametrize("integrand", ["half_square", "k3"])
@pytest.mark.parametrize("name", ["normal", "wide", "mixed", "student", "laplace", "gamma"])
def test_one_point_has_the_law_of_one_sample(name, integrand):
    entry = EVERY[name]
    law = entry.form().stratified(1, integrand)
    second, third, fourth = entry.law.sums((Function(integrand),), False).value[2:]
    assert law.variance == pytest.approx(second, rel=1e-8)
    if math.isfinite(fourth):
        assert law.skewness == pytest.approx(third / second**1.5, rel=1e-6)
        assert law.excess_kurtosis == pytest.approx(fourth / second**2, rel=1e-5)
    assert entry.form().balanced_variance(1, integrand) == pytest.approx(second, rel=1e-8)


@pytest.mark.parametrize("name", ["normal", "wide", "student", "gamma"])
def test_sobol_points_have_the_variance_of_strata(name):
    entry, sobol = EVERY[name], SAMPLERS["sobol"]
    chosen = [ESTIMATORS[e] for e in BY_FACTOR]
    n, replicates = 64, 500
    got = trace(entry, "numpy", sobol, chosen, seed=4, samples=[n], replicates=replicates)
    for e, (estimator, _, theory) in enumerate(exact_mean(entry, sobol, chosen, [n])):
        values = got.estimate[e, :, 0]
        if theory.theory == "none" or theory.excess_kurtosis > 5:
            continue
        kurtosis = np.nan_to_num(theory.excess_kurtosis, nan=2.0)
        leading = 0.2 if theory.theory == "asymptotic" else 0.0
        spread = 6 * math.sqrt((2 + kurtosis) / replicates)
        assert abs(values.var(ddof=1) / theory.variance - 1) < spread + leading, estimator
        if estimator != "cv-factor":
            error = math.sqrt(theory.variance / replicates)
            assert abs(values.mean() - entry.law.kl - theory.bias) < 6 * error, estimator


def test_the_leading_order_over_sobol_points_settles():
    entry = grid_pair(16, 1.0, 0.25)
    of = balanced_theory(ESTIMATORS["cv-factor"], entry.law, entry.form())
    assert of is not None
    assert [of.settled(2**m) for m in range(12)] == sorted(of.settled(2**m) for m in range(12))
    assert not of.settled(2)
    assert of.settled(2**11)
    found = exact_mean(entry, SAMPLERS["sobol"], [ESTIMATORS["cv-factor"]], [2, 3, 2048])
    theory = {n: e.theory for _, n, e in found}
    assert theory == {2: "none", 3: "none", 2048: "asymptotic"}


def need(entry: Pair, estimator: str, sampler: str = "iid") -> tuple[int | None, str]:
    forecasts = Forecasts(entry)
    allowed = Tolerance(0.01 * forecasts.law.kl)
    found = forecasts.need(ESTIMATORS[estimator], SAMPLERS[sampler], allowed)
    return found.samples, found.verdict


@pytest.mark.parametrize(
    ("others", "of_k1", "of_k3_factor"), [(5, 76_970, 78_161), (6, 68_793, 61_051)]
)
def test_one_coordinate_may_decide_between_k1_and_k3_factor(others, of_k1, of_k3_factor):
    q = {"mean": 0.25, "sd": 1.0}
    entry = case_pair({"q": q, "p": {"mean": 0.0, "sd": [1.3] + [1.0] * others}})
    assert need(entry, "k1") == (of_k1, OK)
    assert need(entry, "k3-factor") == (of_k3_factor, OK)


def test_samples_needed_in_64_dimensions():
    entry = grid_pair(64, 1.0, 0.25)
    chi, variance, jeffreys = math.expm1(0.0625), 0.0625, 0.0625
    exactly = 64 * (chi + variance - 2 * jeffreys) / 0.02**2
    assert exactly == pytest.approx(319.1, abs=0.05)
    assert need(entry, "k3-factor") == (320, OK)
    assert need(entry, "k1") == (10_000, OK)
    assert need(entry, "k3") == (123_996, OK)
    assert need(entry, "cv-factor") == (310, LEADING)
    # Of cv the leading order, 9,254, has not settled by then.
    assert ESTIMATORS["cv"].theory(entry.law, False).variance / 0.02**2 == pytest.approx(
        9253.4, abs=0.6
    )


def test_which_estimators_go_with_which_samplers():
    every = tuple(ESTIMATORS)
    whole = tuple(name for name in every if not ESTIMATORS[name].sums)
    with_sums = tuple(name for name in every if name in {*whole, *BY_FACTOR})
    several, one = grid_pair(4, 1.2, 0.3), grid_pair(1, 1.2, 0.3)
    assert offered_estimators(several, SAMPLERS["sobol"], every) == with_sums
    assert offered_estimators(several, SAMPLERS["iid-radial"], every) == whole
    assert offered_estimators(one, SAMPLERS["iid-radial"], every) == with_sums
    # Every group has one coordinate, and no chi-square.
    distinct = pair([0, 0, 0], 1, 0, [1.1, 1.2, 1.3])
    assert offered(distinct, SAMPLERS["iid-radial"], ESTIMATORS["k3-factor"])
    token = EVERY["dirichlet"]
    assert not offered(token, SAMPLERS["antithetic"], ESTIMATORS["k3-factor"])
    assert offered(token, SAMPLERS["iid"], ESTIMATORS["k3-factor"])


def test_mass_that_q_misses_biases_k3_factor_and_spoils_cv_factor():
    entry = case(
        {"family": "categorical", "probabilities": [0.6, 0.4, 0.0]},
        {"family": "categorical", "probabilities": [0.5, 0.3, 0.2]},
    )
    assert ESTIMATORS["k3-factor"].theory(entry.law, False).bias == pytest.approx(-0.2, rel=1e-12)
    assert ESTIMATORS["cv-factor"].theory(entry.law, False).kind == "none"
    got = trace(entry, "numpy", SAMPLERS["iid"], [ESTIMATORS["k3-factor"]], seed=1,
                samples=[4096], replicates=50)  # fmt: skip
    assert got.estimate.mean() == pytest.approx(entry.law.kl - 0.2, abs=0.01)


def test_an_infinite_variance_has_its_reason():
    law = grid_pair(3, 1.5, 0.2).law
    for paired in (False, True):
        unit = ESTIMATORS["k3-factor"].theory(law, paired)
        assert (unit.variance, unit.reason) == (math.inf, DIVERGENT)
        assert ESTIMATORS["cv-factor"].theory(law, paired).reason == DIVERGENT
    # E r^3 and E r^4 are infinite at scale 1.25, and E r^2 is not.
    unit = ESTIMATORS["k3-factor"].theory(grid_pair(3, 1.25, 0.2).law, False)
    assert math.isfinite(unit.variance)
    assert math.isinf(unit.skewness)


@pytest.mark.parametrize("name", ["k3-factor", "cv-factor"])
def test_intervals_cover(name):
    entry = grid_pair(16, 1.0, 0.25)
    forecasts, request = Forecasts(entry), Request(0.1, True, 0.95, 10**5)
    covered = 0
    runs = 300
    for seed in range(runs):
        got = estimate(forecasts, SAMPLERS["iid"], ESTIMATORS[name], request, seed=seed)
        assert got.withheld is None
        covered += abs(got.estimate - entry.law.kl) <= got.half_width
    # Expected 0.94 or more; six standard errors below.
    assert covered / runs > 0.94 - 6 * math.sqrt(0.94 * 0.06 / runs)


def test_samples_that_miss_p_have_no_interval():
    entry = grid_pair(4, 1.0, 4.0)
    forecasts = Forecasts(entry)
    got = estimate(forecasts, SAMPLERS["iid"], ESTIMATORS["k3-factor"],
                   Request(0.01, True, 0.95, 20_000), seed=1)  # fmt: skip
    assert got.withheld is not None
    seen = stage(entry.form(), SAMPLERS["iid"], ESTIMATORS["k3-factor"], 2000, seed=1, name="main",
                 factors=4)  # fmt: skip
    # Four factors' r: their mean is 1, and e^16 samples would show it.
    assert seen.mean_ratio < 0.9
    known = Forecasts(entry).ratio_law(ESTIMATORS["k3-factor"], SAMPLERS["iid"])
    assert known == pytest.approx((1.0, math.expm1(16.0) / 4), rel=1e-9)
