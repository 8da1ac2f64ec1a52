"""The figure of what heavy tails do to k1, k3, cv and Sobol' points, by exact theory alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS
from mckl.estimation.budget import Forecasts, Tolerance
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import sweep_pair
from mckl.show.figures import Frames, parts, theme

# From the lightest tails to the heaviest.
FAMILIES = ("normal", "logistic", "laplace", "student-t(10)", "student-t(3)")
SHOWN = ("k1", "k3", "cv")
_OFFSET, _TOLERANCE, _LARGE, _BALANCED = 0.25, 0.01, 16, 1024
_LOW, _HIGH = 0.6, 4.0
_NODES = (24, 6)  # the numbers of scales below and above the border
_FEWEST, _MOST = 1e3, 1e8  # the fewest and the most samples that the panels show


class Theory(NamedTuple):
    """The theory of one family over scale.

    border  the scale from which on E r^2 is infinite; inf if it never is
    scale   the scales, shape (scales,)
    needed  the samples for the tolerance in one dimension, by estimator; NaN where not known
    last    the largest scale at which k3 has at most the variance of k1, by dimension
    gain    the RMSE of k1 over iid samples, divided by that over as many Sobol' points
    """

    border: float
    scale: Vector
    needed: Mapping[str, Vector]
    last: Mapping[int, float]
    gain: Vector


def theory(family: str) -> Theory:
    """The theory of one family over the figure's scales."""
    edge = parts.ratio_border(family, _OFFSET)
    # Scales are denser towards the border, where the variance of k3 goes to infinity.
    even = np.linspace(0.0, 1.0, _NODES[0])
    last = min(0.999 * edge, _HIGH)
    scale = _LOW * (last / _LOW) ** (even * (1.4 - 0.4 * even) if edge < _HIGH else even)
    if edge < _HIGH:
        scale = np.concatenate([scale, np.geomspace(edge, _HIGH, _NODES[1])])
    gain = []
    for x in scale:
        pair = sweep_pair(family, 1, float(x), _OFFSET)
        balanced = SAMPLERS["sobol"].form(pair).balanced_variance(_BALANCED)
        gain.append(math.sqrt(pair.law.variance / _BALANCED / balanced))
    beaten = {d: _last(family, d, scale) for d in (1, _LARGE)}
    return Theory(edge, scale, _needed(family, scale), beaten, np.array(gain))


def _needed(family: str, scale: Vector) -> dict[str, Vector]:
    """The iid samples for the tolerance in one dimension, by estimator."""
    rows = []
    for x in scale:
        forecasts = Forecasts(sweep_pair(family, 1, float(x), _OFFSET))
        tolerance = Tolerance(_TOLERANCE * forecasts.law.kl)
        needs = (forecasts.need(ESTIMATORS[e], SAMPLERS["iid"], tolerance) for e in SHOWN)
        rows.append([math.nan if need.samples is None else need.samples for need in needs])
    return dict(zip(SHOWN, np.array(rows, dtype=float).T, strict=True))


def _last(family: str, dimension: int, scale: Vector) -> float:
    """The largest scale at which k3 has at most the variance of k1, by bisection from the nodes."""

    def better(x: float) -> bool:
        law = sweep_pair(family, dimension, x, _OFFSET).law
        return ESTIMATORS["k3"].theory(law, False).variance <= law.variance

    low = next((float(x) for x in scale[::-1] if better(float(x))), math.nan)
    high = float(scale[scale > low].min(initial=_HIGH))
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if better(middle) else (low, middle)
    return low


def _scales(ax: Axes) -> None:
    ax.set_xlim(_LOW, _HIGH)
    ax.xaxis.set_major_locator(FixedLocator([0.7, 1, 1.4, 2, 3, 4]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def _panel(ax: Axes, family: str, known: Theory, colour: str) -> None:
    theme.decades(ax)
    _scales(ax)
    ax.set_ylim(_FEWEST, _MOST)
    ax.set_title(family, color=colour, fontweight="bold")
    first, peak = 3, int(np.nanargmax(known.needed["k1"]))
    for name, at, shift in (("k1", peak, 3), ("k3", first, 3), ("cv", first, -9)):
        ink, needed = theme.ESTIMATOR_COLOURS[name], known.needed[name]
        ax.plot(known.scale, needed, color=ink, linestyle="--" if name == "cv" else "-")
        ax.annotate(
            name, (known.scale[at], needed[at]), color=ink, fontweight="bold", ha="center",
            xytext=(0, shift), textcoords="offset points", fontsize=7.5,
        )  # fmt: skip
    if known.border < _HIGH:
        ax.axvspan(known.border, _HIGH, facecolor=theme.ESTIMATOR_COLOURS["k3"], alpha=0.12, lw=0)
        ax.axvline(known.border, color=theme.ESTIMATOR_COLOURS["k3"], linewidth=1.0)
        ax.text(
            math.sqrt(known.border * _HIGH), 0.7 * _MOST, "k3: infinite\nvariance", fontsize=7,
            ha="center", va="top", color=theme.ESTIMATOR_COLOURS["k3"], linespacing=1.1,
        )  # fmt: skip


def _gains(ax: Axes, known: Mapping[str, Theory], colours: list[str]) -> None:
    theme.decades(ax)
    _scales(ax)
    ax.set_title(f"k1: RMSE of iid / Sobol', n = {_BALANCED:,}", fontsize=8)
    ends = []
    for (family, of), colour, marker in zip(known.items(), colours, parts.MARKERS, strict=False):
        ax.plot(of.scale, of.gain, color=colour, marker=marker, markersize=2.4, linewidth=1.0)
        ends.append((float(of.gain[-1]), family, colour))
    ax.set_ylim(*parts.y_limits(np.concatenate([of.gain for of in known.values()]), 1.3))
    ax.yaxis.set_major_locator(LogLocator(10.0, subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    parts.end_labels(ax, ends, gap=0.085)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw the samples needed over scale, a panel per family, and the gain by Sobol' points.

    Parameters
    ----------
    frames
        Not used: the figure is the same for every study.

    Returns
    -------
    The figure, and the numbers that its caption quotes.
    """
    known = {family: theory(family) for family in FAMILIES}
    colours = parts.sequential(len(FAMILIES))[::-1]
    fig, axes = plt.subplots(2, 3, figsize=(theme.WIDTH, 4.6))
    for ax, (family, of), colour in zip(axes.flat, known.items(), colours, strict=False):
        _panel(ax, family, of, colour)
    for ax in axes[:, 0]:
        ax.set_ylabel(f"iid samples for {100 * _TOLERANCE:g} %, D = 1")
    _gains(axes[1, 2], known, colours)
    for ax in axes[1]:
        ax.set_xlabel(r"scale  $\sigma_p / \sigma_q$")
    return fig, _numbers(known)


def _numbers(known: Mapping[str, Theory]) -> dict[str, Any]:
    def row(family: str, of: Theory) -> dict[str, Any]:
        return {
            "family": family,
            "border": f"{of.border:.3g}" if math.isfinite(of.border) else "",
            "last": f"{of.last[1]:.3g}",
            "last_large": f"{of.last[_LARGE]:.3g}",
            "least_gain": f"{of.gain.min():.0f}",
            "most_gain": f"{of.gain.max():.0f}",
        }

    return {
        "families": [row(family, of) for family, of in known.items()],
        "offset": _OFFSET,
        "tolerance": f"{100 * _TOLERANCE:g} %",
        "large": _LARGE,
        "balanced": _BALANCED,
    }
