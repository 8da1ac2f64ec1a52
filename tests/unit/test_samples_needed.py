"""The figure samples-needed: it can be drawn for any study, and its caption quotes the budget."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mckl.record import tables
from mckl.show.captions import render
from mckl.show.figures import FIGURES, draw
from mckl.study.budget_table import budget_columns
from mckl.study.settings import case_setting, grid_setting
from mckl.study.theory_table import setting_rows

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = case_setting(
    "notebook", {"q": {"mean": [1, 4], "sd": [1, 1]}, "p": {"mean": [-3, 2], "sd": [2.5, 2.5]}}
)
ALL = (("iid", "antithetic", "sobol", "iid-radial", "sobol-radial"), ("k1", "k2", "k3", "cv"))
KEYS = ("setting", "sampler", "estimator", "samples", "replicates", "mse", "mse_std_error")


def drawn(folder, settings, samplers=ALL[0], estimators=ALL[1], tolerances=(0.1, 0.01)):
    none = pd.DataFrame({key: [] for key in KEYS})
    rows = budget_columns(settings, samplers, estimators, tolerances, none)
    frames = {
        "budget": tables.concatenate("budget", list(rows)).to_pandas(),
        "settings": tables.table("settings", setting_rows(settings)).to_pandas(),
    }
    figure, numbers = draw(FIGURES["samples-needed"], frames)
    figure.savefig(folder / "x.png", dpi=40)
    template = (ROOT / "workflow/report/figures/samples-needed.rst").read_text()
    render(template, numbers, str(folder / "x.rst"))
    texts = [t.get_text() for ax in figure.axes for t in ax.texts]
    plt.close(figure)
    return (folder / "x.rst").read_text(), texts


def test_the_caption_quotes_the_budget(tmp_path):
    settings = [grid_setting(1, 1.0, 1.0), grid_setting(1, 2.0, 1.0), grid_setting(1, 1.0, 0.0)]
    caption, texts = drawn(tmp_path, settings)
    assert "relative RMSE of 1 %" in caption
    assert "40,000 in the hardest (D = 1, scale 1, offset 1)" in caption  # std/KL is 2
    assert "takes 10,000 times fewer samples" in caption  # a pair is enough; 256 at scale 2
    assert {"40,000", "–", "2\nk1\nantithetic"} <= set(texts)
    _, texts = drawn(tmp_path, settings, estimators=("k2",))
    assert "bias" in texts
    _, texts = drawn(tmp_path, settings, estimators=("k3",))
    assert {"29,000", "∞"} <= set(texts)


@pytest.mark.parametrize(
    ("settings", "samplers", "estimators", "tolerances"),
    [
        ([NOTEBOOK], *ALL, (0.05,)),
        ([NOTEBOOK, grid_setting(3, 1.1, 0.1)], ("iid-radial",), ("k3", "cv"), (0.3, 0.2)),
        ([grid_setting(3, 1.1, 0.1)], ("sobol",), ("k2",), (0.01,)),
        ([grid_setting(3, 1.0, 0.0)], *ALL, (0.01,)),
    ],
)
def test_small_studies_draw(tmp_path, settings, samplers, estimators, tolerances):
    caption, _ = drawn(tmp_path, settings, samplers, estimators, tolerances)
    assert re.sub(r"\s", "", caption)
    assert "None" not in caption
    assert "nan" not in caption


def test_a_large_study_draws_without_a_text_in_every_cell(tmp_path):
    grid = [
        grid_setting(d, 0.5 + 0.2 * s, 0.2 * o)
        for d, s, o in itertools.product((1, 2, 4, 8, 16, 32, 64), range(9), range(5))
    ]
    caption, texts = drawn(tmp_path, grid, ("iid", "sobol-radial"), tolerances=(0.01,))
    assert "Shown: 5 of 7 dimensions" in caption
    assert len(texts) < 20
