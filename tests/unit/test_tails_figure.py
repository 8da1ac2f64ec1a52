"""The numbers of the figure tails against theory from other sources."""

from __future__ import annotations

import math

import pytest
from scipy.optimize import brentq

from mckl.study.heavy_tails import heavy_tails, ratio_border


@pytest.mark.parametrize(
    ("family", "border"),
    [("normal", math.sqrt(2.0)), ("laplace", 2.0), ("logistic", 2.0), ("student-t(3)", math.inf)],
)
def test_the_border_of_a_finite_second_moment_of_r(family, border):
    assert ratio_border(family, 0.25) == pytest.approx(border, abs=1e-8)


def where_k3_ties_with_k1(dimension: int) -> float:
    """For normals with offset 0.25: chi^2 = 2 J, with J = KL(q||p) + KL(p||q)."""

    def excess(scale: float) -> float:
        a = scale**-2 - 0.5
        second = math.exp(0.25**2 * (0.25 / a + 0.5)) / (scale * math.sqrt(2.0 - scale**2))
        j = 0.5 * ((1.0 + 0.25**2) * scale**-2 + scale**2 + 0.25**2) - 1.0
        return second**dimension - 1.0 - 2.0 * dimension * j

    return float(brentq(excess, 1.01, 1.3))


def test_the_largest_scale_at_which_k3_needs_fewer_samples():
    known = heavy_tails("normal").last
    for dimension in (1, 16):
        assert known[dimension] == pytest.approx(where_k3_ties_with_k1(dimension), abs=0.002)
