"""The figure of the nominal 95 % t interval's coverage against samples, a panel per estimator."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from scipy.special import bdtr

from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.text import counted

NOMINAL = 0.95
_SHARES = (0.1, 0.9)  # a band shows this range of a group's settings
_SKEWED, _BIASED = 1.0, 0.1
_NOTEBOOK = "#A0457A"


def _groups(estimator: str, cells: pd.DataFrame) -> tuple[pd.Series, str, str]:
    """Two groups of a panel's settings: a mask, and the names of the groups in and out of it."""
    if not ESTIMATORS[estimator].consistent:
        harmed = cells["exact_bias"].abs() > _BIASED * cells["kl"]
        return harmed, f"bias > {100 * _BIASED:.0f} % of KL", "smaller bias"
    if ESTIMATORS[estimator].uses_ratio:
        harmed = ~cells["k3_variance_finite"]
        return harmed, "infinite k3 variance", "finite k3 variance"
    harmed = cells["log_ratio_skewness"].abs() >= _SKEWED
    return harmed, f"|skewness| ≥ {_SKEWED:g}", f"|skewness| < {_SKEWED:g}"


def _band(replicates: int) -> tuple[float, float]:
    """The range of 95 % of measured coverages if the true coverage is 95 %."""
    # scipy.stats has these quantiles of the binomial law too, but takes a second to import.
    below = bdtr(np.arange(replicates + 1), replicates, NOMINAL)
    low, high = np.searchsorted(below, (0.025, 0.975))
    return float(low / replicates), float(high / replicates)


def _group(ax: Axes, cells: pd.DataFrame, colour: str, style: str, marker: str) -> pd.Series:
    """Draw the median of the settings as a line, and the range of most of them as a band."""
    by = cells.groupby("samples")["ci_coverage"]
    low, median, high = (by.quantile(q) for q in (_SHARES[0], 0.5, _SHARES[1]))
    ax.fill_between(low.index, low, high, color=colour, alpha=0.18, linewidth=0)
    for edge in (low, high):
        ax.plot(edge.index, edge, color=colour, linewidth=0.5, linestyle=style)
    ax.plot(
        median.index, median, color=colour, linestyle=style, linewidth=1.5, marker=marker,
        markersize=2.8,
    )  # fmt: skip
    return median


def _panel(ax: Axes, cells: pd.DataFrame, estimator: str, band: tuple[float, float]) -> None:
    theme.log_axis(ax, "x")
    colour = theme.ESTIMATOR_COLOURS.get(estimator, theme.TRUTH)
    harmed, worse, better = _groups(estimator, cells)
    lowest = float(cells.groupby("samples")["ci_coverage"].quantile(_SHARES[0]).min())
    floor = min(0.9, math.floor(10 * lowest) / 10) if lowest > 0.5 else 0.0
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))
    ax.set_ylim(floor - 0.03 * (1 - floor), 1 + 0.02 * (1 - floor))
    ax.set_xlim(cells["samples"].min() / 1.3, cells["samples"].max() * 1.3)
    ax.axhspan(*band, color="#DDDDDD", zorder=0, linewidth=0)
    ax.axhline(NOMINAL, color=theme.TRUTH, linewidth=0.8, zorder=1)
    short = cells.groupby("samples")["ci_coverage"].quantile(0.25).min() < band[0]
    weakness = ESTIMATORS[estimator].weakness
    why = f": {weakness}" if short and weakness else ""  # only where coverage is lost
    cut = f" (axis from {100 * floor:.0f} %)" if floor else ""
    ax.set_title(f"{estimator}{why}{cut}")
    ends = []
    for mask, text, line_colour, style, marker in (
        (~harmed, better, colour, "-", "o"), (harmed, worse, theme.TRUTH, "--", "s")
    ):  # fmt: skip
        if not mask.any():
            continue
        median = _group(ax, cells[mask], line_colour, style, marker).dropna()
        count = cells.loc[mask, "setting"].nunique()
        label = f"{text}\n({counted(count, 'setting')})"
        ends.append((float(median.iloc[-1]), label, line_colour))
    notebook = cells[cells["setting"] == "notebook"].dropna(subset="ci_coverage")
    if len(notebook):
        ax.plot(
            notebook["samples"], notebook["ci_coverage"], color=_NOTEBOOK, linewidth=0.9,
            marker="x", markersize=3.5, zorder=4,
        )  # fmt: skip
        ends.append((float(notebook["ci_coverage"].iloc[-1]), "× notebook", _NOTEBOOK))
    low, high = ax.get_ylim()
    heights = [(value - low) / (high - low) for value, _, _ in ends]
    for y, (_, text, line_colour) in zip(parts.apart(heights, 0.06, 0.92, 0.22), ends, strict=True):
        ax.text(
            1.02, y, text, transform=ax.transAxes, color=line_colour, fontsize=6.5, va="center",
            linespacing=1.1,
        )  # fmt: skip


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw the coverage of the t interval in all settings with KL > 0, a panel per estimator."""
    settings = frames["settings"]
    summary = parts.one_backend(frames["summary"])
    covered = summary[summary["ci_coverage"].notna() & (summary["kl"] > 0)]
    sampler = parts.plainest_sampler(covered["sampler"])
    covered = covered[covered["sampler"] == sampler]
    replicates = int(summary["replicates"].max())
    if covered.empty:
        text = "No interval to cover: no estimate of a KL > 0\nhas a standard error in this run."
        return parts.empty_figure(text, 1.6), {"settings": 0, "replicates": replicates}
    columns = ["setting", "k3_variance_finite", "log_ratio_skewness"]
    settings = settings.astype({"k3_variance_finite": bool})
    cells = covered.merge(settings[columns], on="setting")
    names = parts.ordered(cells["estimator"], theme.ESTIMATOR_COLOURS)
    share = _band(replicates)
    fig, axes = parts.panels(len(names), 1.7, 0.3, "coverage (%)")
    for ax, name in zip(axes, names, strict=True):
        _panel(ax, cells[cells["estimator"] == name], name, share)
    return fig, _numbers(cells, str(sampler), replicates, share)


def _numbers(
    cells: pd.DataFrame, sampler: str, replicates: int, band: tuple[float, float]
) -> dict[str, Any]:
    last = cells[cells["samples"] == cells["samples"].max()]
    ends: dict[str, dict[str, Any]] = {}
    for name in parts.ordered(last["estimator"], theme.ESTIMATOR_COLOURS):
        rows = last[last["estimator"] == name]
        short = int((rows["ci_coverage"] < band[0] - 1e-9).sum())
        ends[name] = {
            "short": short, "settings": len(rows),
            "coverage": round(100 * float(rows["ci_coverage"].min())),
        }  # fmt: skip
    return {
        "settings": int(cells["setting"].nunique()),
        "sampler": sampler,
        "replicates": replicates,
        "low": round(100 * band[0]),
        "high": round(100 * band[1]),
        "samples": int(cells["samples"].max()),
        "ends": ends,
    }
