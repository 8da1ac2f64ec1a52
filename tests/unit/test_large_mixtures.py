"""Mixtures of many components, whose arrays are evaluated a block of points at a time."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.special import logsumexp

from mckl.draw.guide_table import GuideTable
from mckl.exact.clenshaw_curtis import short_nodes
from mckl.exact.factor import FactorLaw
from mckl.families.coordinates.gaussian import Gaussian
from mckl.families.coordinates.laplace import Laplace
from mckl.families.coordinates.logistic import Logistic
from mckl.families.coordinates.mixture import Mixture
from mckl.families.coordinates.mixture_ratio import Ratio
from mckl.families.coordinates.mixture_window import LEFT_OUT
from mckl.families.coordinates.univariate import Between, Univariate


def many(seed: int, components: int = 20, spread: float = 5.0) -> Mixture:
    generator = np.random.default_rng(seed)
    weights = generator.dirichlet(np.full(components, 5.0))
    centres, scales = (
        generator.normal(0.0, spread, components),
        generator.uniform(0.5, 2.0, components),
    )
    kinds = [Laplace if i % 3 else Gaussian for i in range(components)]
    laws = [kind(c, s) for kind, c, s in zip(kinds, centres.tolist(), scales.tolist(), strict=True)]
    return Mixture(tuple(weights.tolist()), tuple(laws))


def log_density(law: Mixture, x: np.ndarray) -> np.ndarray:
    parts = [np.log(w) + c.log_density(x) for w, c in zip(law.weights, law.components, strict=True)]
    return np.asarray(logsumexp(parts, axis=0))


@pytest.mark.parametrize("points", [1, 2, 819, 820, 1639])
def test_blocks_of_points_make_no_difference(points: int) -> None:
    q, p = many(1), many(2)
    x = np.linspace(-20.0, 20.0, points) if points > 1 else np.array([0.3])
    for values in (q.log_density, q.probability, lambda y: q.log_ratio(p, y)):
        one_by_one = np.concatenate([values(y) for y in x.reshape(-1, 1)])
        assert values(x).tolist() == one_by_one.tolist()
    apart = np.abs(q.log_ratio(p, x) - (log_density(q, x) - log_density(p, x)))
    assert (apart <= q.log_ratio_error(p, x) + 1e-14 * (1.0 + np.abs(log_density(q, x)))).all()


@pytest.mark.parametrize("intervals", [8, 16, 64])
def test_rules_on_short_intervals_are_exact_for_polynomials(intervals: int) -> None:
    made = short_nodes(-0.5, 1.5, intervals)
    for step, times in zip((1, 2, 4), (np.ones(intervals + 1), *made.coarse.T), strict=True):
        weights = np.exp(made.log_dx) * times
        assert np.count_nonzero(times) == intervals // step + 1
        for degree in range(intervals // step + 2):
            exact = (1.5 ** (degree + 1) - (-0.5) ** (degree + 1)) / (degree + 1)
            assert weights @ made.x**degree == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("law", [Gaussian(0.3, 2.0), Laplace(0.3, 2.0), Logistic(0.3, 2.0)])
def test_smooth_laws_fall_on_both_sides(law: Univariate) -> None:
    assert law.smooth
    distance = np.geomspace(1e-6, 1e4, 200)
    for side in (-1.0, 1.0):
        assert (np.diff(law.log_density(0.3 + side * distance)) <= 0.0).all()


def test_components_left_out_are_negligible() -> None:
    q, p = many(1, 80, 100.0), many(2, 90, 100.0)
    low = np.linspace(-300.0, 300.0, 61)[:, None]
    high = low + np.array([0.1, 3.0, 30.0])[np.arange(61) % 3, None]
    for law in (q, p):
        some = law._weighted.matter(low, high)
        assert some.mean() < 0.7
        for a, b, chosen in zip(low[:, 0], high[:, 0], some, strict=True):
            x = np.linspace(a, b, 50)
            every = zip(law.weights, law.components, chosen, strict=True)
            left_out = [np.log(w) + c.log_density(x) for w, c, kept in every if not kept]
            share = logsumexp(left_out, axis=0) - log_density(law, x) if left_out else -np.inf
            assert np.max(share) <= np.log(LEFT_OUT)


@pytest.mark.parametrize("similar", [False, True])
def test_windows_make_no_difference(similar: bool) -> None:
    q = many(1, 80, 100.0)
    p = many(2, 90, 100.0)
    if similar:  # all components but one have a partner
        moved = [c.at(c.location + 1e-9, c.scale) for c in q.components]
        p = Mixture((*(0.9 * w for w in q.weights), 0.1), (*moved, Laplace(0.1, 1.0)))
    x = np.linspace(-300.0, 300.0, 2000)
    ratio = Ratio(q._weighted, p._weighted)
    # In windows of a single point nothing is evaluated but what matters there; in one of all
    # points, everything is.
    ends = np.full((1, 1), -1e4), np.full((1, 1), 1e4)
    assert next(ratio.within(*ends)).count == ratio.count
    few = [next(ratio.within(y, y)) for y in x[::50].reshape(-1, 1, 1)]
    assert np.mean([part.count for part in few]) < 0.6 * ratio.count
    one_by_one = np.concatenate([q.log_ratio(p, x[i : i + 1]) for i in range(0, 2000, 7)])
    gaps = np.abs(q.log_ratio(p, x)[::7] - one_by_one)
    assert (gaps <= q.log_ratio_error(p, x)[::7]).all()
    assert q.log_density(x) == pytest.approx(log_density(q, x), rel=1e-14)


@pytest.mark.parametrize(("components", "spread"), [(20, 5.0), (80, 100.0)])
def test_kl_is_the_integral(components: int, spread: float) -> None:
    q, p = many(1, components, spread), many(2, components, spread)
    law = FactorLaw(Between(q, p))
    kinks = [c.location for side in (q, p) for c in side.components]
    edges = np.unique([*kinks, *np.linspace(-60.0 - 6.0 * spread, 60.0 + 6.0 * spread, 1001)])
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = 0.5 * np.diff(edges)[:, None]
    x, w = edges[:-1, None] + half * (1.0 + nodes), half * weights
    log_q, log_p = log_density(q, x), log_density(p, x)
    kl = float((w * np.exp(log_q) * (log_q - log_p)).sum())
    assert law.kl == pytest.approx(kl, rel=1e-11)
    assert law.kl_error < 1e-11 * law.kl


def test_kl_of_components_that_moved_little() -> None:
    # Where integration centres q, rounding of the locations would cost half of the digits.
    places, scales = (-0.37, 2.3, 1.91), (0.7, 1.1, 0.5)
    near = [x + step for x, step in zip(places, (1e-7, -1e-7, 2e-7), strict=True)]
    q, p = (
        Mixture((0.5, 0.25, 0.25), tuple(map(Laplace, side, scales))) for side in (places, near)
    )
    pair = Between(q, p)

    def density(law: Mixture, x: mpmath.mpf) -> mpmath.mpf:
        each = zip(law.weights, law.components, strict=True)
        return mpmath.fsum(
            w * mpmath.exp(-abs(x - c.location) / c.scale) / (2 * mpmath.mpf(c.scale))
            for w, c in each
        )

    def integrand(x: mpmath.mpf) -> mpmath.mpf:
        of_q, of_p = density(q, x), density(p, x)
        return of_p - of_q + of_q * mpmath.log(of_q / of_p)

    with mpmath.workdps(40):
        edges = [*range(-60, 0, 4), *places, *near, *range(3, 60, 4)]
        exact = mpmath.quad(integrand, [mpmath.mpf(x) for x in sorted(edges)], maxdegree=5)
        law = FactorLaw(pair.centred())
        assert abs(law.kl - exact) <= law.kl_error < 1e-10 * law.kl


@pytest.mark.parametrize(
    "probabilities",
    [[1.0], [0.2, 0.8], [0.25] * 4, [0.05] * 20, [1e-9] * 30 + [1.0 - 3e-8], [0.125] * 8],
)
def test_guide_tables_find_the_cells(probabilities: list[float]) -> None:
    ends = np.cumsum(probabilities)[:-1]
    u = np.random.default_rng(1).random(2000)
    u = np.concatenate((u, 3e-8 * u, ends, np.nextafter(ends, 0.0), [0.0, 1.0 - 2.0**-53]))
    u = u[u < 1.0].reshape(1, -1)
    assert (GuideTable(np.array(probabilities)).of(u) == np.searchsorted(ends, u, "right")).all()
