"""The lines of the figure tails against theory from other sources."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from scipy.optimize import brentq

from mckl.families.normal.pair import grid_pair
from mckl.show.captions import render
from mckl.show.figures import FIGURES, draw
from mckl.study.heavy_tails import ratio_border

ROOT = Path(__file__).resolve().parents[2]


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


def test_it_draws_the_theory_and_quotes_it(tmp_path):
    figure, numbers = draw(FIGURES["tails"], {})
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes}
    k1, k3, _, _ = panels["normal"].lines  # then cv and the border
    for scale, needed in k1.get_xydata():
        law = grid_pair(1, float(scale), 0.25).law
        assert needed == pytest.approx(law.variance / (0.01 * law.kl) ** 2, rel=1e-4)
    assert [math.isfinite(y) for y in k3.get_ydata()] == [x < math.sqrt(2) for x in k3.get_xdata()]
    t3 = panels["student-t(3)"].lines
    assert all(math.isfinite(y) for line in t3 for y in line.get_ydata())
    render(
        (ROOT / "workflow/report/figures/tails.rst").read_text(), numbers, str(tmp_path / "x.rst")
    )
    caption = (tmp_path / "x.rst").read_text()
    assert "from scale 1.41 on for normal, 2 on for logistic, 2 on for laplace" in caption
    assert "at no scale for student-t(10) and student-t(3)" in caption
    normal_numbers = numbers["families"][0]
    for dimension, key in ((1, "last"), (16, "last_large")):
        tie = where_k3_ties_with_k1(dimension)
        assert float(normal_numbers[key]) == pytest.approx(tie, abs=0.007)
    plt.close(figure)
