"""What figures draw of a study that has cases alone."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mckl.estimation.traces import checkpoints
from mckl.record import tables
from mckl.show.captions import render, template
from mckl.show.figures import FIGURES, draw, save
from mckl.study.regime_map import regime_rows, window
from mckl.study.settings import case_setting
from mckl.study.verification import verify

from .study import measured
from .test_figures import lines, panels, texts, title
from .test_overview import assert_apart

SAMPLES = checkpoints(64, 1)
# Binomials have iid samples alone, and the uniform pair a constant l.
PAIRS: dict[str, dict[str, Any]] = {
    "binomial": {
        "q": {"family": "binomial", "n": 10, "probability": 0.3},
        "p": {"family": "binomial", "n": 10, "probability": 0.4},
    },
    "exponential": {
        "q": {"family": "exponential", "rate": 1.0}, "p": {"family": "exponential", "rate": 0.6}
    },
    "normal": {"q": {"mean": 0.0, "sd": 1.0}, "p": {"mean": 0.5, "sd": 1.3}},
    "uniform": {
        "q": {"family": "uniform", "low": 0.2, "high": 0.9},
        "p": {"family": "uniform", "low": 0.0, "high": 1.0},
    },
}  # fmt: skip


@functools.cache
def frames() -> dict[str, pd.DataFrame]:
    settings = [case_setting(name, pair) for name, pair in PAIRS.items()]
    study = measured(settings, ("iid", "antithetic", "sobol"), SAMPLES, (0.01,))
    found = verify(study["summary"], study["theory"], study["settings"], study["budget"])
    maps = regime_rows(**window(settings, SAMPLES[-1]))
    return {
        **study,
        "verification": tables.table("verification", found).to_pandas(),
        "regimes": pd.concat(pd.DataFrame(rows) for rows in maps),
    }


def cost_of(summary: pd.DataFrame) -> pd.DataFrame:
    """A second for each trace, and one for the start of each job."""
    keys = ["setting", "backend", "sampler"]
    traces = summary[keys].drop_duplicates().astype(str)
    traces = traces.assign(job=traces["setting"] + traces["backend"], samples=1000)
    jobs = traces.drop_duplicates("job")[["job", "backend"]]
    spent = traces.groupby("job")["setting"].transform("size")
    jobs = jobs.assign(cpu_seconds=1.0 + spent.loc[jobs.index])
    return pd.concat([traces.assign(cpu_seconds=1.0), jobs], ignore_index=True)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(name: str, tmp_path: Path, **other: pd.DataFrame) -> tuple[Figure, list[Axes], str]:
    """A figure after its layout, its panels, and its caption."""
    study = frames() | other
    figure, numbers = draw(FIGURES[name], {table: study[table] for table in FIGURES[name].tables})
    words = render(template(f"figures/{name}.rst"), numbers, str(tmp_path / "caption"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as from a layout without room
        save(figure, [str(tmp_path / f"{name}.png")], name, words)
    return figure, panels(figure), words


def test_the_map_fills_the_page_and_explains_no_dots(tmp_path: Path) -> None:
    figure, (ax,), words = drawn("regimes", tmp_path)
    assert ax.get_position().width > 0.8
    assert ax.get_position().height > 0.5
    assert not lines(ax, "o")
    (key,) = figure.legends
    assert "setting of the study" not in [text.get_text() for text in key.get_texts()]
    assert "samples of normal laws" in words


def test_words_are_beside_the_smallest_errors(tmp_path: Path) -> None:
    figure, axes, _ = drawn("verification", tmp_path)
    sensitivity = axes[3]
    assert_apart(figure, [sensitivity])
    assert all(text.endswith(" %") for text in texts(sensitivity))
    (left, _), (right, _) = sensitivity.get_window_extent().get_points()
    for text in sensitivity.texts:
        box = text.get_window_extent()
        assert left < box.x0
        assert box.x1 < right


def test_an_error_of_rounding_sets_no_scale(tmp_path: Path) -> None:
    _, (_, cases), words = drawn("error-vs-samples", tmp_path)
    errors = frames()["summary"].query("setting == 'uniform' and estimator == 'k1'")["rmse"]
    assert errors.max() < 1e-14
    assert "Left out: 1 of 4 settings, whose exact error is 0." in words
    assert cases.get_ylim()[0] > 1e-4
    (key,) = [text.get_text() for text in cases.get_legend().get_texts()[-1:]]
    assert key != "uniform"


def test_samplers_are_compared_where_there_are_several(tmp_path: Path) -> None:
    _, axes, words = drawn("samplers", tmp_path)
    names = [title(ax).split(",")[0] for ax in axes]
    assert names == ["case exponential", "case normal"]  # by KL
    for ax in axes:
        assert {"iid", "antithetic", "sobol"} <= {*texts(ax)}
    assert "sobol points make the RMSE of k1" in words
    binomial = {table: rows[rows["setting"] == "binomial"] for table, rows in frames().items()
                if table in FIGURES["samplers"].tables}  # fmt: skip
    _, (ax,), _ = drawn("samplers", tmp_path, **binomial)
    assert title(ax).startswith("case binomial")


def test_cost_is_compared_where_there_are_several_samplers(tmp_path: Path) -> None:
    study = frames()
    _, (left, _), _ = drawn("cost", tmp_path, cost=cost_of(study["summary"]))
    assert {"iid", "antithetic", "sobol"} <= {*texts(left)}


def test_a_constant_log_density_ratio_is_not_said_to_have_no_kl(tmp_path: Path) -> None:
    _, _, words = drawn("relative-error", tmp_path)
    assert "Left out: 1 of 4 settings, whose KL or V is 0." in words


def test_no_panel_is_empty(tmp_path: Path) -> None:
    figure, _, words = drawn("factors", tmp_path)
    assert texts(figure.axes[0]) == [
        "This study has no setting with several coordinates or tokens."
    ]
    assert words.startswith("This study has no setting with several coordinates or tokens")


def test_a_selection_of_cases_says_that_it_is_one(tmp_path: Path) -> None:
    _, axes, _ = drawn("samples-needed", tmp_path)
    assert all(title(ax).startswith("cases: ") for ax in axes[:3])
    study = frames()
    copies = [f"{name}-{i}" for i in range(10) for name in PAIRS]
    settings, budget = (
        pd.concat(
            rows.assign(setting=rows["setting"].astype(str) + f"-{i}") for i in range(10)
        )
        for rows in (study["settings"], study["budget"])
    )  # fmt: skip
    assert {*settings["setting"]} == {*copies}
    _, axes, _ = drawn("samples-needed", tmp_path, settings=settings, budget=budget)
    shown = [ax for ax in axes if ax.get_label() != "<colorbar>"]
    assert all(title(ax).startswith("12 of 40 cases: ") for ax in shown)
    assert np.all([len(ax.get_yticks()) == 12 for ax in shown])
