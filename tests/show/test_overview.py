"""The setting that the overview shows, and what it draws of smaller studies."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mckl.estimation.traces import checkpoints
from mckl.show.captions import render, template
from mckl.show.figures import FIGURES, draw
from mckl.show.figures.theme import MARGIN
from mckl.study.settings import grid_setting

from .study import frames, measured
from .test_figures import KL, LAST, POSITIVE, cell, lines, of, texts

OVERVIEW = FIGURES["overview"]
SAMPLERS = ("iid", "antithetic", "sobol")
HIGHEST = 75.0  # mm


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@functools.cache
def near_and_far() -> dict[str, pd.DataFrame]:
    """Settings that each fail one part of the rule, and two that pass, for 10 %."""
    cells = [(1, 0.8, 0.0), (4, 0.8, 1.0), (16, 0.8, 1.0), (64, 1.25, 1.0), (4, 1.0, 1.0)]
    pairs = [grid_setting(*cell) for cell in cells]
    return measured(pairs, SAMPLERS, checkpoints(256, 1), (0.1,))


def drawn(tables: dict[str, pd.DataFrame], tmp_path: Path, **kept: list[str]) -> tuple[Figure, str]:
    """The figure and caption of the rows with these settings, samplers and estimators."""
    wanted: dict[str, Any] = {}
    for name in OVERVIEW.tables:
        rows = tables[name]
        for column, values in kept.items():
            rows = rows[rows[column].isin(values)] if column in rows else rows
        wanted[name] = rows
    figure, numbers = draw(OVERVIEW, wanted)
    words = template("figures/overview.rst")
    render(words, numbers, str(tmp_path / "caption"))
    return figure, " ".join((tmp_path / "caption").read_text().split())


def rows_of(figure: Figure) -> list[str]:
    return [label.get_text().replace("\n", ", ") for label in figure.axes[1].get_yticklabels()]


def assert_apart(figure: Figure, panels: Sequence[Axes] = ()) -> None:
    """No two texts of the panels overlap, by default those of the whole figure."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [
        (text.get_text(), text.get_window_extent(renderer))
        for ax in panels or figure.axes
        for text in (*ax.texts, *ax.get_xticklabels(), *ax.get_yticklabels())
        if text.get_text() and ax.get_window_extent(renderer).padded(150).contains(
            *text.get_window_extent(renderer).min
        )
    ]  # fmt: skip
    for i, (one, box) in enumerate(boxes):
        for other, next_box in boxes[i + 1 :]:
            assert not box.padded(-0.5).overlaps(next_box.padded(-0.5)), (one, other)


def test_the_setting_has_four_measurable_curves_in_view_far_apart(tmp_path: Path) -> None:
    """Not d64-s1.25-o1, where the square of k3-factor's error has an infinite variance.

    d1-s0.8-o0 needs more than the 256 samples, d16-s0.8-o1 has a narrower spread, and antithetic
    pairs have no error in d4-s1-o1.
    """
    figure, caption = drawn(near_and_far(), tmp_path)
    left, _ = figure.axes
    assert left.get_title(loc="left") == "(a) D = 4, scale 0.8, offset 1"
    budget = near_and_far()["budget"]
    budget = budget[budget["setting"] == "d4-s0.8-o1"].set_index(["estimator", "sampler"])
    curves = [("k1", "iid"), ("k3-factor", "iid"), ("k1", "antithetic"), ("k1", "sobol")]
    needed = [int(budget.loc[curve, "samples_needed"]) for curve in curves]
    assert needed[:3] == [93, 38, 12]
    assert [text for text in texts(left) if text.isdigit()] == [str(n) for n in needed]
    rings = [xy[0] for xy in lines(left, "o") if len(xy) == 1]
    assert [n for n, _ in rings] == needed
    sqrt_n = [0.1 * math.sqrt(n0 / n) for n0, n in ((92.249, 93), (37.992, 38), (11.24, 12))]
    np.testing.assert_allclose([y for _, y in rings[:3]], sqrt_n, rtol=1e-3)
    assert rings[3][1] <= 0.1
    assert f"{min(needed)} with k1, sobol and 93 with k1, iid, by theory" in caption
    assert len(caption.split()) <= 90
    assert len(re.findall(r"\.(?:\*\*)?(?: |$)", caption)) == 2  # sentences
    box = figure.get_tightbbox().padded(MARGIN)  # type: ignore[attr-defined]
    assert 25.4 * box.height <= HIGHEST
    assert_apart(figure)


def test_an_error_of_0_is_a_label(tmp_path: Path) -> None:
    figure, caption = drawn(near_and_far(), tmp_path, setting=["d4-s1-o1"])
    left, right = figure.axes
    assert "k1, antithetic: exact" in texts(left)
    assert {"k1, iid", "k3-factor, iid", "k1, sobol"} < {*texts(left)}
    assert "k1, antithetic" not in texts(left)
    assert texts(right)[2].endswith("1 exact")
    assert "(the error of k1, antithetic is exactly 0)" in caption
    assert "the only setting" in caption
    assert_apart(figure)


def test_without_the_four_curves_the_best_three_estimators_are_drawn(tmp_path: Path) -> None:
    others = ["k2", "k3", "cv", "k2-factor", "cv-factor"]
    figure, _ = drawn(frames(), tmp_path, estimator=others)
    last = {
        e: np.median([cell(name, "iid", e).rmse[-1] / KL[name] for name in POSITIVE])
        for e in others
    }
    best = sorted(others, key=last.__getitem__)[:3]
    assert rows_of(figure) == [f"{e}, iid" for e in best]
    assert {f"{e}, iid" for e in best} <= {*texts(figure.axes[0])}


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3-factor"])
def test_a_study_of_one_setting_and_estimator(estimator: str, tmp_path: Path) -> None:
    name = "d4-s0.8-o0.25"
    figure, caption = drawn(
        frames(), tmp_path, setting=[name], estimator=[estimator], sampler=["iid"]
    )
    left, right = figure.axes
    assert rows_of(figure) == [f"{estimator}, iid"]
    measured_points, *_ = (xy for marker in "os^DPv*X" for xy in lines(left, marker))
    assert measured_points[-1] == pytest.approx(
        [LAST, cell(name, "iid", estimator).rmse[-1] / KL[name]]
    )
    (row,) = of(
        "budget", setting=name, estimator=estimator, sampler="iid", tolerance=0.01
    ).itertuples()
    if estimator == "k2":
        assert texts(right) == ["1 biased"]
        assert caption.startswith("**No number of samples for a relative RMSE of 1 % is known")
    else:
        assert texts(right) == [f"median {row.samples_needed:,.0f}"]
        assert f"takes {row.samples_needed:,.0f} samples with {estimator}, iid" in caption


def test_without_a_kl_above_0_nothing_is_drawn(tmp_path: Path) -> None:
    figure, caption = drawn(frames(), tmp_path, setting=["d1-s1-o0", "d4-s1-o0"])
    assert texts(figure.axes[0]) == ["KL is 0 in every setting: no relative error is defined"]
    assert caption == (
        "**KL is 0 in every setting of this study, so no relative error is defined.**"
    )
