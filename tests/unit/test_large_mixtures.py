"""Mixtures of many components, whose arrays are evaluated a block of points at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from mckl.draw.guide_table import GuideTable
from mckl.exact.factor import FactorLaw
from mckl.families.coordinates.gaussian import Gaussian
from mckl.families.coordinates.laplace import Laplace
from mckl.families.coordinates.mixture import Mixture
from mckl.families.coordinates.univariate import Between


def many(seed: int, components: int = 20) -> Mixture:
    generator = np.random.default_rng(seed)
    weights = generator.dirichlet(np.full(components, 5.0))
    centres, scales = (
        generator.normal(0.0, 5.0, components),
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


def test_kl_is_the_integral() -> None:
    q, p = many(1), many(2)
    law = FactorLaw(Between(q, p))
    kinks = [c.location for side in (q, p) for c in side.components]
    edges = np.unique([*kinks, *np.linspace(-90.0, 90.0, 181)])
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = 0.5 * np.diff(edges)[:, None]
    x, w = edges[:-1, None] + half * (1.0 + nodes), half * weights
    log_q, log_p = log_density(q, x), log_density(p, x)
    kl = float((w * np.exp(log_q) * (log_q - log_p)).sum())
    assert law.kl == pytest.approx(kl, rel=1e-11)
    assert law.kl_error < 1e-11 * law.kl


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
