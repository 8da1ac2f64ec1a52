"""A table of the density turns uniform numbers into samples that have the law, to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from mckl.draw.density_table import BITS, MOST_TABLES, DensityTable
from mckl.draw.streams import Stream
from mckl.families.registry import case_pair

from .test_ends import LAWS

TABLED = [name for name, law in LAWS.items() if law.tabled or law.analytic]
FAMILIES = {LAWS[name].name for name in TABLED}
NUMBERS = 2**14


def test_the_laws_include_those_that_tables_draw() -> None:
    families = {"student-t", "gamma", "log-gamma", "beta", "triangular", "truncated", "normal"}
    assert families <= FAMILIES


@pytest.mark.parametrize("bits", [BITS, 0])
@pytest.mark.parametrize("name", TABLED)
def test_equally_spaced_numbers_give_the_distribution_function(name: str, bits: int) -> None:
    """However coarse the cells are: rectangles, triangles and what is left add up to the density.

    Rectangle, triangle and rest of the cell in which a point lies, and of its mirror image, are off
    by less than a number each.
    """
    law = LAWS[name].at(0.0, 1.0)
    u = (np.arange(NUMBERS) + 0.5) / NUMBERS
    x = np.sort(DensityTable(law, bits).samples(u.copy()))
    numbers_off = NUMBERS * (law.probability(x) - u)
    assert np.abs(numbers_off).max() < 3.0


@pytest.mark.parametrize("name", TABLED)
def test_numbers_near_the_ends_are_quantiles(name: str) -> None:
    law = LAWS[name].at(0.0, 1.0)
    table, t = DensityTable(law), 2.0 ** -np.arange(22.0, 53.0)
    for upper in (False, True):
        x = table.samples(1.0 - t if upper else t.copy())
        middle = t - 2.0**-54 if upper else t + 2.0**-54
        assert x == pytest.approx(law.quantile(middle, upper), rel=1e-12, abs=1e-300)
    ends = table.samples(np.array([0.0, 0.5]))
    assert ends == pytest.approx(law.quantile(np.array([2.0**-54, 0.5])), rel=1e-12, abs=1e-15)


def drawn(q: dict[str, Any], rows: int = 20_000) -> Any:
    """Draws of a pair's form, as its arrays side by side."""
    blocks = case_pair({"q": q, "p": q}).form().draw(Stream(np.random.SeedSequence(11)), rows)
    assert isinstance(blocks, list)
    return np.concatenate(blocks, axis=1)


@pytest.mark.parametrize("kinds", [3, MOST_TABLES + 1])
def test_few_and_many_kinds_of_laws_are_drawn(kinds: int) -> None:
    """From tables where they are few, and otherwise by NumPy's generators."""
    shapes = np.linspace(0.3, 5.0, kinds).tolist()
    x = drawn({"family": "gamma", "shape": [*shapes, shapes[0]]})
    for column, shape in zip(x.T, sorted([*shapes, shapes[0]]), strict=True):
        assert stats.kstest(column, stats.gamma(shape).cdf).pvalue > 1e-4
    x = np.exp(drawn({"family": "dirichlet", "concentration": [*shapes, shapes[0]]}))
    total = sum(shapes) + shapes[0]
    assert x.sum(axis=1) == pytest.approx(1.0, rel=1e-12)
    for column, shape in zip(x.T, [*shapes, shapes[0]], strict=True):
        assert stats.kstest(column, stats.beta(shape, total - shape).cdf).pvalue > 1e-4
    rates = [*(4.0 * np.array(shapes)), 4.0 * shapes[0]]
    for column, rate in zip(drawn({"family": "poisson", "rate": rates}).T, rates, strict=True):
        seen = np.bincount(column.astype(int), minlength=60)[:60]
        expected = 20_000 * stats.poisson(rate).pmf(np.arange(60))
        some = expected > 5.0
        observed = np.append(seen[some], 20_000 - seen[some].sum())
        assert stats.chisquare(observed, np.append(expected[some], 20_000 - expected[some].sum()),
                               ).pvalue > 1e-4  # fmt: skip


def test_small_concentrations_give_no_infinite_logarithm_of_a_sum() -> None:
    """All variates of a sample are too small for float64, and one coordinate still is near 1."""
    logs = drawn({"family": "dirichlet", "concentration": [1e-4, 2e-4, 1e-4]}, 2000)
    assert np.isfinite(logs).all()
    assert logs.max(axis=1) == pytest.approx(0.0, abs=0.7 * 2)
    assert np.mean(np.argmax(logs, axis=1) == 1) == pytest.approx(0.5, abs=0.05)
