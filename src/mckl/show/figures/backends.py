"""The figure that compares NumPy and TensorFlow: RMSE against samples and against CPU time."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mckl.show.figures import Frames, parts, theme

_BACKENDS = ("numpy", "tensorflow")
_SAMPLERS = ("iid", "sobol", "sobol-radial")  # samplers whose lines do not overlap
_SIZE = {"numpy": 2.6, "tensorflow": 5.4}


def _panel(ax: Axes, cells: pd.DataFrame, x: str, samplers: list[str]) -> None:
    theme.decades(ax)
    ax.set_ylim(*parts.y_limits(np.sqrt(cells["mse"].to_numpy(float))))
    if not (cells["mse"] > 0).any():
        parts.instead_of_data(ax, "every error is 0")
        return
    for sampler in samplers:
        colour, marker = parts.sampler_look(sampler)
        for backend in _BACKENDS:
            rows = cells[(cells["sampler"] == sampler) & (cells["backend"] == backend)]
            rows = rows.sort_values("samples")
            filled = backend == "numpy"
            if x == "samples":
                parts.rmse_with_bars(ax, rows, colour, marker, filled=filled, size=_SIZE[backend])
                if filled:
                    parts.theory_line(ax, rows[rows["exact_mse"] > 0], colour)
                continue
            ax.plot(
                rows[x], rows["rmse"], color=colour, marker=marker, markersize=_SIZE[backend],
                markerfacecolor=colour if filled else "none", markeredgecolor=colour,
                markeredgewidth=0.7, linewidth=0.8, linestyle="-" if filled else "--",
            )  # fmt: skip


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw the error of both backends against samples and against CPU seconds, in two settings."""
    settings, summary, cost = (frames[name] for name in ("settings", "summary", "cost"))
    estimator = parts.plainest_estimator(summary["estimator"])
    cells = parts.with_cpu(summary[summary["estimator"] == estimator], cost)
    present = parts.ordered(cells["sampler"], theme.SAMPLER_COLOURS)
    samplers = [name for name in _SAMPLERS if name in present] or present[:3]
    names = parts.two_settings(settings)
    fig, axes = plt.subplots(
        len(names), 2, figsize=(theme.WIDTH, 2.5 * len(names) + 0.5), squeeze=False, sharey="row"
    )
    for i, name in enumerate(names):
        rows = cells[(cells["setting"] == name) & cells["sampler"].isin(samplers)]
        for j, x in enumerate(("samples", "cpu")):
            _panel(axes[i, j], rows, x, samplers)
            axes[i, j].set_title(parts.named(settings, name))
        axes[i, 0].set_ylabel(f"RMSE of {estimator} (nats)")
    axes[-1, 0].set_xlabel("samples n")
    axes[-1, 1].set_xlabel("CPU seconds of one replicate")
    _legend(fig, samplers)
    return fig, _numbers(cells, cost, str(estimator))


def _legend(fig: matplotlib.figure.Figure, samplers: list[str]) -> None:
    handles = [
        Line2D([], [], color=colour, label=name, marker=marker, markersize=3.5)
        for name, (colour, marker) in zip(samplers, map(parts.sampler_look, samplers), strict=True)
    ]
    handles += [
        Line2D([], [], color=theme.MUTED, marker="o", label=name, markersize=_SIZE[name],
               linestyle="-" if name == "numpy" else "--",
               markerfacecolor=theme.MUTED if name == "numpy" else "none")
        for name in _BACKENDS
    ]  # fmt: skip
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _numbers(cells: pd.DataFrame, cost: pd.DataFrame, estimator: str) -> dict[str, Any]:
    keys = ["setting", "sampler", "samples"]
    wide = cells[cells["mse"] > 0].pivot_table(
        index=keys, columns="backend", values=["mse", "mse_std_error", "each"]
    )
    agree, slower = math.nan, math.nan
    if len(wide):
        wide = wide.dropna()
        apart = wide["mse"]["tensorflow"] - wide["mse"]["numpy"]
        if "mse_std_error" in wide:
            error = np.sqrt((wide["mse_std_error"].to_numpy(float) ** 2).sum(axis=1))
            agree = float(np.mean(np.abs(apart.to_numpy(float)) <= 1.96 * error))
        slower = float((wide["each"]["tensorflow"] / wide["each"]["numpy"]).median())
    return {
        "estimator": estimator,
        "replicates": int(cells["replicates"].max()),
        "agree": "" if math.isnan(agree) else f"{100 * agree:.0f}",
        "slower": "" if math.isnan(slower) else f"{slower:.1f}",
        "start": {name: f"{parts.start_up(cost, name):.1f}" for name in _BACKENDS},
    }
