"""The figure of what heavy tails do to k1, k3, cv and Sobol' points, by exact theory alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from mckl.show.figures import Frames, parts, theme
from mckl.study.heavy_tails import (
    BALANCED,
    FAMILIES,
    HIGH,
    LARGE,
    LOW,
    OFFSET,
    TOLERANCE,
    HeavyTails,
    heavy_tails,
)

_FEWEST, _MOST = 1e3, 1e8  # the fewest and the most samples that the panels show


def _scales(ax: Axes) -> None:
    ax.set_xlim(LOW, HIGH)
    theme.fix_ticks(ax.xaxis, [0.7, 1, 1.4, 2, 3, 4])


def _panel(ax: Axes, family: str, theory: HeavyTails, colour: str) -> None:
    theme.decades(ax)
    _scales(ax)
    ax.set_ylim(_FEWEST, _MOST)
    ax.set_title(family, color=colour, fontweight="bold")
    first, peak = 3, int(np.nanargmax(theory.needed["k1"]))
    for name, place, shift in (("k1", peak, 3), ("k3", first, 3), ("cv", first, -9)):
        ink, needed = theme.ESTIMATOR_COLOURS[name], theory.needed[name]
        ax.plot(theory.scale, needed, color=ink, linestyle="--" if name == "cv" else "-")
        ax.annotate(
            name, (theory.scale[place], needed[place]), color=ink, fontweight="bold", ha="center",
            xytext=(0, shift), textcoords="offset points", fontsize=7.5,
        )  # fmt: skip
    if theory.border < HIGH:
        ax.axvspan(theory.border, HIGH, facecolor=theme.ESTIMATOR_COLOURS["k3"], alpha=0.12, lw=0)
        ax.axvline(theory.border, color=theme.ESTIMATOR_COLOURS["k3"], linewidth=1.0)
        ax.text(
            math.sqrt(theory.border * HIGH), 0.7 * _MOST, "k3: infinite\nvariance", fontsize=7,
            ha="center", va="top", color=theme.ESTIMATOR_COLOURS["k3"], linespacing=1.1,
        )  # fmt: skip


def _gains(ax: Axes, theories: Mapping[str, HeavyTails], colours: list[str]) -> None:
    theme.decades(ax)
    _scales(ax)
    ax.set_title(f"k1: RMSE of iid / Sobol', n = {BALANCED:,}")
    ends = []
    for (family, theory), colour, marker in zip(
        theories.items(), colours, parts.MARKERS, strict=False
    ):
        ax.plot(
            theory.scale, theory.gain, color=colour, marker=marker, markersize=2.4, linewidth=1.0
        )
        ends.append((float(theory.gain[-1]), family, colour))
    ax.set_ylim(*parts.y_limits(np.concatenate([theory.gain for theory in theories.values()]), 1.3))
    ax.yaxis.set_major_locator(LogLocator(10.0, subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    parts.end_labels(ax, ends, gap=0.085)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw the samples needed over scale, a panel per family, and the gain by Sobol' points."""
    theories = {family: heavy_tails(family) for family in FAMILIES}
    colours = parts.sequential(len(FAMILIES), theme.FAMILIES)
    fig, axes = plt.subplots(2, 3, figsize=(theme.WIDTH, 4.6))
    for ax, (family, theory), colour in zip(axes.flat, theories.items(), colours, strict=False):
        _panel(ax, family, theory, colour)
    for ax in axes[:, 0]:
        ax.set_ylabel(f"iid samples for {100 * TOLERANCE:g} %, D = 1")
    _gains(axes[1, 2], theories, colours)
    for ax in axes[1]:
        ax.set_xlabel("scale σp / σq")
    return fig, _numbers(theories)


def _numbers(theories: Mapping[str, HeavyTails]) -> dict[str, Any]:
    def row(family: str, theory: HeavyTails) -> dict[str, Any]:
        return {
            "family": family,
            "border": f"{theory.border:.3g}" if math.isfinite(theory.border) else "",
            "last": f"{theory.last[1]:.3g}",
            "last_large": f"{theory.last[LARGE]:.3g}",
        }

    return {
        "families": [row(family, theory) for family, theory in theories.items()],
        "offset": OFFSET,
        "tolerance": f"{100 * TOLERANCE:g} %",
        "large": LARGE,
    }
