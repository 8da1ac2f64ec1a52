"""The figure of gradient estimates' relative RMSE against samples, where biased ones level off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mckl.estimation.gradients import METHODS
from mckl.show.figures import Frames, parts, theme
from mckl.show.figures.losses import relative, shown
from mckl.text import rounded


class _Curve(NamedTuple):
    """The rows of methods with equal numbers, and the relative bias that more samples keep."""

    methods: list[str]
    rows: pd.DataFrame
    bias: float

    @property
    def name(self) -> str:
        """The methods, with the samples that they need for 10 %, or the bias where they end."""
        needed = float(self.rows["samples_needed"].iloc[-1])
        reached = rounded(needed) if math.isfinite(needed) else ""
        return (
            f"{' = '.join(self.methods)}  {relative(self.bias) if self.bias else reached}".rstrip()
        )


def _curves(gradients: pd.DataFrame, setting: str) -> list[_Curve]:
    """The curves of one setting, in the order of methods."""
    rows = gradients[gradients["setting"] == setting]
    curves: list[_Curve] = []
    sequences = any("to-go" in METHODS[method].form.needs for method in {*rows["method"]})
    for method in theme.METHOD_COLOURS:
        if METHODS[method].drawn == "sequences" and not sequences:
            continue
        own = rows[rows["method"] == method].sort_values("samples")
        measured = own["relative_rmse"].to_numpy(float)
        if own.empty or not (measured > 1e-9).all():
            continue
        same = (c for c in curves if np.allclose(c.rows["relative_rmse"], measured))
        if (curve := next(same, None)) is not None:
            curve.methods.append(method)
            continue
        first, final = (float(own["exact_relative_bias"].iloc[i]) for i in (0, -1))
        curves.append(_Curve([method], own, final if final > 0.9 * first > 1e-9 else 0.0))
    return curves


def _panel(ax: Axes, curves: Sequence[_Curve]) -> None:
    """Draw measured points, exact lines, and dotted lines at a bias that remains."""
    theme.decades(ax)
    ends = []
    for curve in curves:
        rows, method = curve.rows, curve.methods[0]
        colour, marker = theme.METHOD_COLOURS[method], theme.METHOD_MARKERS[method]
        n, exact = (rows[x].to_numpy(float) for x in ("samples", "exact_relative_rmse"))
        finite = np.isfinite(exact)
        ax.plot(n[finite], exact[finite], color=colour, zorder=2)
        ax.plot(
            n, rows["relative_rmse"], linestyle="none", marker=marker, color=colour,
            markersize=3.2, markerfacecolor=colour if finite.any() else "none",
            markeredgewidth=0.7, zorder=3,
        )  # fmt: skip
        if curve.bias:
            ax.plot(n[[0, -1]], [curve.bias] * 2, color=colour, linewidth=0.7, linestyle=":")
        last = float(np.clip(rows["relative_rmse"].iloc[-1], *ax.get_ylim()))
        ends.append((last, curve.name, colour))
    parts.end_labels(ax, ends, gap=0.1, fontsize=6.5)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw for each setting a panel of the methods whose error vanishes, and one of the others."""
    gradients = frames["gradients"]
    settings = shown(gradients)
    number = max(len(settings), 1)
    fig, axes = plt.subplots(
        number, 2, figsize=(theme.WIDTH, 1.65 * number + 0.3), squeeze=False, sharex=True,
        sharey="row",
    )  # fmt: skip
    if not settings:
        axes[0, 1].set_visible(False)
        parts.instead_of_data(axes[0, 0], "the gradient of every setting is 0: q = p")
    numbers = []
    for line, setting in zip(axes, settings, strict=False):
        curves = _curves(gradients, setting)
        values = [curve.rows["relative_rmse"].to_numpy(float) for curve in curves]
        line[0].set_ylim(*parts.y_limits(np.concatenate([np.empty(0), *values])))
        for ax, words, biased in (
            (line[0], "samples for 10 % error", False), (line[1], "error that remains", True)
        ):  # fmt: skip
            members = [curve for curve in curves if bool(curve.bias) == biased]
            _panel(ax, members)
            ax.set_title(setting)
            if members:
                ax.text(1.02, 1.04, words, transform=ax.transAxes, fontsize=6.5, color=theme.MUTED)
        line[0].set_ylabel("relative RMSE")
        drawn = [method for curve in curves for method in curve.methods]
        numbers.append({"name": setting, **_numbers(gradients, setting, drawn)})
    for ax in axes[-1]:
        ax.set_xlabel("samples a gradient")
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
    out: dict[str, Any] = {"best": best, "best_needs": "", "k3_level": ""}
    if best:
        out["best_needs"] = rounded(float(needs[best]))
    if "k3-loss" in rows.index:
        level = float(rows["exact_relative_bias"].loc["k3-loss"])
        out["k3_level"] = relative(level) if math.isfinite(level) else ""
    return out
