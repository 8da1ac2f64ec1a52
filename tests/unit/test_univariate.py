"""Every one-dimensional law of the registry is the same law in each of its members."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from .test_ends import LAWS

PROBABILITIES = np.array([1e-12, 1e-6, 1e-3, 0.05, 0.2, 0.4, 0.5])


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("name", LAWS)
def test_quantiles_are_those_of_the_probability(name: str, upper: bool) -> None:
    law = LAWS[name]
    x = law.quantile(PROBABILITIES, upper)
    assert (np.diff(x) < 0).all() if upper else (np.diff(x) > 0).all()
    # A point is rounded, which moves its probability by the density.
    room = 1e-15 * np.exp(law.log_density(x)) * np.abs(x) + 1e-10 * PROBABILITIES
    assert (np.abs(law.probability(x, upper) - PROBABILITIES) <= room).all()
    # SciPy 1.17 has 1 for betaincc(0.5, 0.5, 1e-24), which is 1 - 6.4e-13.
    assert law.probability(x) + law.probability(x, True) == pytest.approx(1.0, abs=2e-12)


@pytest.mark.parametrize("name", LAWS)
def test_the_density_adds_up_to_the_probability(name: str) -> None:
    """By Gauss and Legendre's rule between quantiles and breakpoints, in the logarithm of u."""
    law = LAWS[name]
    nodes, weights = np.polynomial.legendre.leggauss(20)
    for upper in (False, True):
        u = np.geomspace(1e-9, 0.5, 61)
        x = law.quantile(u, upper)
        x = np.unique(np.concatenate((x, [b for b in law.breakpoints if x.min() < b < x.max()])))
        half = 0.5 * np.diff(x)[:, None]
        at = x[:-1, None] + half * (1.0 + nodes)
        found = (half * weights * np.exp(law.log_density(at))).sum()
        assert found == pytest.approx(0.5 - 1e-9, rel=1e-7)


@pytest.mark.parametrize("name", LAWS)
def test_draws_have_the_law(name: str) -> None:
    standard = LAWS[name].at(0.0, 1.0)
    drawn = standard.draw(np.random.default_rng(7), (4000, 2)).ravel()
    assert stats.kstest(standard.probability(drawn), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("name", LAWS)
def test_moving_a_law_moves_its_density(name: str) -> None:
    law = LAWS[name]
    x = law.quantile(np.linspace(0.05, 0.95, 10))
    assert law.moved(0.0) == law
    assert law.log_ratio(law, x) == pytest.approx(0.0, abs=1e-12)
    assert (law.log_density_error(x) <= 1e-11 * (1.0 + np.abs(law.log_density(x)))).all()
    assert law.mirror(law.mirror(x)) == pytest.approx(x, rel=1e-6, abs=1e-9)
