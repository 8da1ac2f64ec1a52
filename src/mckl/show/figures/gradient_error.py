"""The figure of gradient estimates' relative RMSE against samples, where biased ones level off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mckl.estimation.gradients import METHODS
from mckl.show.figures import Frames, parts, theme
from mckl.show.figures.losses import relative, shown
from mckl.text import rounded


def _exact_bias(rows: pd.DataFrame) -> float:
    """The relative bias that more samples do not remove."""
    first, final = (rows.iloc[i]["exact_relative_bias"] for i in (0, -1))
    return float(final) if final > 0.9 * first > 1e-9 else 0.0


def _panel(ax: Axes, gradients: pd.DataFrame, setting: str) -> list[str]:
    """Draw one setting, with one line for methods with equal numbers; returns the methods drawn."""
    rows = gradients[gradients["setting"] == setting]
    lines: dict[str, list[str]] = {}
    curves: dict[str, pd.DataFrame] = {}
    sequences = any("to-go" in METHODS[method].form.needs for method in {*rows["method"]})
    for method in theme.METHOD_COLOURS:
        if METHODS[method].drawn == "sequences" and not sequences:
            continue
        of = rows[rows["method"] == method].sort_values("samples")
        if of.empty or not (of["relative_rmse"] > 1e-9).all():
            continue
        exact = of["exact_relative_rmse"].to_numpy()
        measured = of["relative_rmse"].to_numpy()
        same = next((m for m in curves if np.allclose(curves[m]["relative_rmse"], measured)), None)
        if same is not None:
            lines[same].append(method)
            continue
        lines[method], curves[method] = [method], of
        colour, marker = theme.METHOD_COLOURS[method], theme.METHOD_MARKERS[method]
        n = of["samples"].to_numpy(float)
        finite = np.isfinite(exact)
        ax.plot(n[finite], exact[finite], color=colour, zorder=2)
        ax.plot(
            n, of["relative_rmse"], linestyle="none", marker=marker, color=colour, markersize=3.2,
            markerfacecolor=colour if finite.any() else "none", markeredgewidth=0.7, zorder=3,
        )  # fmt: skip
        bias = _exact_bias(of)
        if bias:
            ax.plot(n[[0, -1]], [bias, bias], color=colour, linewidth=0.7, linestyle=":", zorder=1)
    theme.decades(ax)
    values = np.concatenate(
        [np.empty(0), *(of["relative_rmse"].to_numpy(float) for of in curves.values())]
    )
    ax.set_ylim(parts.y_limits(values))
    ends = [
        (float(np.clip(of["relative_rmse"].iloc[-1], *ax.get_ylim())), " = ".join(lines[method]),
         theme.METHOD_COLOURS[method])
        for method, of in curves.items()
    ]  # fmt: skip
    parts.end_labels(ax, ends, gap=0.075, fontsize=6.5)
    return [*curves]


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw a panel for each setting: measured points, exact lines, dotted lines at a bias.

    Parameters
    ----------
    frames
        The table gradients.

    Returns
    -------
    The figure, and the numbers that its caption quotes.
    """
    gradients = frames["gradients"]
    settings = shown(gradients)
    number = max(len(settings), 1)
    fig, axes = plt.subplots(number, 1, figsize=(theme.WIDTH * 0.86, 2.1 * number), squeeze=False)
    if not settings:
        parts.instead_of_data(axes[0, 0], "the gradient of every setting is 0: q = p")
    numbers = []
    for ax, setting in zip(axes[:, 0], settings, strict=False):
        drawn = _panel(ax, gradients, setting)
        ax.set_title(setting)
        ax.set_ylabel("relative RMSE")
        numbers.append({"name": setting, **_numbers(gradients, setting, drawn)})
    axes[-1, 0].set_xlabel("samples a gradient")
    replicates = int(gradients["replicates"].max()) if len(gradients) else 0
    return fig, {"settings": numbers, "replicates": replicates}


def _numbers(gradients: pd.DataFrame, setting: str, drawn: Sequence[str]) -> dict[str, Any]:
    """The caption's numbers of a setting: samples for 10 %, and the bias of k3 as a loss.

    The method named as best is one of those drawn, and unbiased. What was not measured is "".
    """
    rows = gradients[gradients["setting"] == setting].drop_duplicates("method").set_index("method")
    needs = rows["samples_needed"].dropna()
    fair = needs[needs.index.isin(drawn) & (rows["exact_relative_bias"][needs.index] < 1e-9)]
    best = str(fair.idxmin()) if len(fair) else ""
    out: dict[str, Any] = {"best": best, "best_needs": "", "score_needs": "", "k3_level": ""}
    if best:
        out["best_needs"] = rounded(float(needs[best]))
    if "score" in needs.index:
        out["score_needs"] = rounded(float(needs["score"]))
    if "k3-loss" in rows.index:
        level = float(rows["exact_relative_bias"].loc["k3-loss"])
        out["k3_level"] = relative(level) if math.isfinite(level) else ""
    return out
