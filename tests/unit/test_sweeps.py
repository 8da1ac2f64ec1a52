"""The cells of a sweep: what scale and offset mean in each family."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from mckl.families.base import Family
from mckl.families.registry import FAMILIES, family_and_shapes, sweep_pair

SCALE, OFFSET = 1.25, 0.25
_FACTOR = math.exp(OFFSET)
_WHOLE = {"states": 4, "n": 3, "low": -1, "high": 2}  # shapes that are not 2.5


def text_of(family: Family) -> str:
    """The family as a sweep names it, with some shapes."""
    shapes = ", ".join(str(_WHOLE.get(name, 2.5)) for name in family.shapes)
    return f"{family.name}({shapes})" if shapes else family.name


SWEPT = [family for family in FAMILIES.values() if family.sweep is not None]


@pytest.mark.parametrize("family", SWEPT, ids=lambda family: family.name)
def test_a_cell_of_every_family(family: Family) -> None:
    """q is p at scale 1 and offset 0; elsewhere KL is that of an integral or a recursion."""
    text = text_of(family)
    same = sweep_pair(text, 2, 1.0, 0.0)
    assert same.law.kl == same.law.variance == 0.0
    pair = sweep_pair(text, 2, SCALE, OFFSET)
    found = pair.integrals()
    assert pair.law.kl > 0.0
    assert pair.law.kl == pytest.approx(found.kl, rel=1e-9)
    assert pair.law.variance == pytest.approx(found.log_ratio_variance, rel=1e-9)
    if family.name != "policy":  # whose dimension is a number of dependent tokens
        assert pair.law.kl == pytest.approx(2.0 * sweep_pair(text, 1, SCALE, OFFSET).law.kl)
    # Whole numbers from Python are numbers like others.
    assert sweep_pair(text, 1, 2, 1).law.kl == sweep_pair(text, 1, 2.0, 1.0).law.kl


def _truncated(mean: float, sd: float, low: float, high: float) -> Any:
    return stats.truncnorm((low - mean) / sd, (high - mean) / sd, mean, sd)


class HalfT:
    """The law of the absolute value of a Student variate, which SciPy lacks."""

    def __init__(self, df: float, scale: float) -> None:
        self._law = stats.t(df, scale=scale)

    def ppf(self, u: float) -> float:
        return float(self._law.isf(0.5 * (1.0 - u)))

    def logpdf(self, x: float) -> float:
        return float(self._law.logpdf(x)) + math.log(2.0)


@pytest.mark.parametrize(
    ("text", "q", "p"),
    [
        ("chi(3)", stats.chi(3 * _FACTOR), stats.chi(3, scale=SCALE)),
        ("beta(2, 3)", stats.beta(2 * _FACTOR, 3), stats.beta(2 / SCALE, 3 / SCALE)),
        ("pareto(2.5)", stats.pareto(2.5, scale=_FACTOR), stats.pareto(2.5 / SCALE)),
        ("rayleigh", stats.rayleigh(scale=_FACTOR), stats.rayleigh(scale=SCALE)),
        ("maxwell", stats.maxwell(scale=_FACTOR), stats.maxwell(scale=SCALE)),
        ("lomax(3)", stats.lomax(3, scale=_FACTOR), stats.lomax(3, scale=SCALE)),
        ("half-cauchy", stats.halfcauchy(scale=_FACTOR), stats.halfcauchy(scale=SCALE)),
        (
            "beta-prime(2, 3)", stats.betaprime(2, 3, scale=_FACTOR),
            stats.betaprime(2, 3, scale=SCALE),
        ),
        ("half-student-t(5)", HalfT(5, _FACTOR), HalfT(5, SCALE)),
        (
            "log-laplace(3)", stats.loglaplace(3, scale=_FACTOR), stats.loglaplace(3 / SCALE),
        ),
        (
            "generalized-gamma(2, 1.5)", stats.gengamma(2, 1.5, scale=_FACTOR),
            stats.gengamma(2, 1.5 / SCALE),
        ),
        ("truncated-normal(-1, 2)", _truncated(OFFSET, 1, -1, 2), _truncated(0, SCALE, -1, 2)),
        (
            "truncated-normal(0, inf)", _truncated(OFFSET, 1, 0, math.inf),
            _truncated(0, SCALE, 0, math.inf),
        ),
    ],
)  # fmt: skip
def test_scale_and_offset_as_in_scipy(text: str, q: Any, p: Any) -> None:
    def ell(u: float) -> float:
        x = q.ppf(u)
        return float(q.logpdf(x) - p.logpdf(x))

    kl = integrate.quad(ell, 0.0, 1.0, limit=200, points=[0.5])[0]
    assert sweep_pair(text, 1, SCALE, OFFSET).law.kl == pytest.approx(kl, rel=1e-5)


@pytest.mark.parametrize("family", SWEPT, ids=lambda family: family.name)
def test_impossible_cells_are_refused_in_one_line(family: Family) -> None:
    if family.shapes:
        wrong = f"{family.name}({', '.join(['-1'] * len(family.shapes))})"
        with pytest.raises(ValueError, match=r"^[^\n]{1,200}$"):
            sweep_pair(wrong, 1, SCALE, OFFSET)
    for offset in (-1000.0, 1000.0):
        try:
            law = sweep_pair(text_of(family), 1, SCALE, offset).law
        except ValueError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017
        else:
            assert not np.isnan(law.kl)


def test_a_pareto_that_leaves_the_support() -> None:
    with pytest.raises(ValueError, match=r"KL is infinite, since p = 0 and q > 0 between 0.778801"):
        sweep_pair("pareto(2)", 1, 1.0, -0.25)


@pytest.mark.parametrize(
    "name", [family.name for family in FAMILIES.values() if family.sweep is None]
)
def test_a_family_for_cases_alone_says_so(name: str) -> None:
    with pytest.raises(ValueError, match=f"^'{name}' can only be used in cases: `mckl families`"):
        family_and_shapes(name)
