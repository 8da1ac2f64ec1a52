"""The figure of all settings on one scale: the error over sqrt(V/n), and sqrt(V) / KL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Transform

from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.text import rounded

GROUPS, DIMENSIONS = 16, 6
VECTOR_POINTS = 1500  # more points than this are drawn as pixels


def draw(frames: Frames) -> tuple[Figure, dict[str, Any]]:
    """Draw RMSE / sqrt(V/n) of all settings on the left, sqrt(V)/KL and samples on the right."""
    summary, settings = frames["summary"], frames["settings"]
    sampler = parts.plainest_sampler(summary["sampler"]) or "none"
    rows = summary[summary["sampler"] == sampler]
    estimator = parts.plainest_estimator(rows["estimator"]) or "none"
    rows = parts.one_backend(rows[rows["estimator"] == estimator])
    variance = settings.set_index("setting")["log_ratio_variance"]
    rows = rows.assign(plain=np.sqrt(rows["setting"].map(variance) / rows["samples"]))
    rows = rows[(rows["plain"] > 0) & rows["rmse"].notna()]
    ratio = (rows["rmse"] / rows["plain"]).to_numpy(float)

    relative = settings[settings["kl"] > 0].assign(
        relative=lambda t: np.sqrt(t["log_ratio_variance"]) / t["kl"]
    )
    relative = relative[relative["relative"] > 0].sort_values("relative", kind="stable")
    groups, left_out = _groups(relative)

    high = max(2.7, 0.17 * len(groups) + 1.25)
    fig, (left, right) = plt.subplots(
        1, 2, figsize=(theme.WIDTH, high), gridspec_kw={"width_ratios": (1.0, 1.15)}
    )
    law = bool(len(rows)) and _of_variance_v(sampler, estimator)
    replicates = int(rows["replicates"].min()) if len(rows) else 0
    band = parts.chi_square_band(replicates) if replicates else (1.0, 1.0)
    _collapse(left, rows["samples"].to_numpy(float), ratio, band, replicates, law)
    _needed(right, groups)

    inside = (ratio >= band[0]) & (ratio <= band[1])
    last = rows["samples"].max() if len(rows) else 0
    at_last = (rows["samples"] == last).to_numpy()
    few = rows["samples"].to_numpy() <= 8
    numbers: dict[str, Any] = {
        "sampler": sampler,
        "estimator": estimator,
        "law": law,
        "replicates": replicates,
        "settings": len(settings),
        "families": len(parts.families(settings)),
        "zero": len(settings) - len(relative),
        "points": len(ratio),
        "low": f"{band[0]:.2f}",
        "high": f"{band[1]:.2f}",
        "inside": _percent(inside),
        "inside_few": _percent(inside[few]) if last > 8 else "",
        "inside_last": _percent(inside[at_last]),
        "last": f"{last:,}",
        "left_out": left_out,
        "groups": len(groups),
        "easiest": _words(relative, 0),
        "hardest": _words(relative, -1),
    }
    return fig, numbers


def _of_variance_v(sampler: str, estimator: str) -> bool:
    """Whether the variance is V / n, as for a mean of l over independent samples."""
    points = SAMPLERS[sampler].points
    return points.independent and not points.mirrored and ESTIMATORS[estimator].linear


def _percent(inside: np.ndarray[Any, Any]) -> str:
    return f"{100 * inside.mean():.0f}" if inside.size else ""


def _words(relative: pd.DataFrame, at: int) -> dict[str, str] | None:
    """A setting's name, its sqrt(V)/KL and the samples for 10 % and for 1 %."""
    if not len(relative):
        return None
    row = relative.iloc[at]
    return {
        "setting": str(row["setting"]),
        "value": f"{row['relative']:.3g}",
        "ten": rounded((row["relative"] / 0.1) ** 2),
        "one": rounded((row["relative"] / 0.01) ** 2),
    }


def _groups(relative: pd.DataFrame) -> tuple[list[tuple[str, pd.DataFrame]], int]:
    """The rows of the right panel, the hardest first, and the number of rows without room.

    A row is a family, scale and offset with all dimensions, or a case.
    """
    grid = relative[relative["scale"].notna()]
    several = len(parts.distinct(grid["family"])) > 1
    groups = [
        (f"{f'{family}, ' if several else ''}scale {scale:g}, offset {offset:g}", rows)
        for (family, scale, offset), rows in grid.groupby(["family", "scale", "offset"])
    ]
    cases = [
        (f"{parts.short_label(str(row['setting']))} (D = {row['dimension']})", relative.loc[[at]])
        for at, row in relative[relative["scale"].isna()].iterrows()
    ]
    everything = sorted(
        groups + cases, key=lambda group: float(group[1]["relative"].max()), reverse=True
    )
    shown = parts.spaced(everything, GROUPS)
    notebook = [g for g in cases if str(g[1]["setting"].iloc[0]) == "notebook"]
    if notebook and not any(label == notebook[0][0] for label, _ in shown):
        place = everything.index(notebook[0])
        nearest = min(range(len(shown)), key=lambda i: abs(everything.index(shown[i]) - place))
        shown[nearest] = notebook[0]
    return shown, len(everything) - len(shown)


def _collapse(
    ax: Axes, n: np.ndarray[Any, Any], ratio: np.ndarray[Any, Any], band: tuple[float, float],
    replicates: int, law: bool,
) -> None:  # fmt: skip
    """Draw all settings and checkpoints, over the band in which chance alone would put 95 %."""
    ax.set_title("a  error in units of plain Monte Carlo's")
    if not ratio.size:
        parts.instead_of_data(ax, "KL is 0 in every setting:\nevery estimate is exact")
        return
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(10.0, numticks=8))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("samples n")
    ax.set_ylabel("RMSE / √(V/n)")  # a root in mathtext needs a font that browsers lack
    ax.axhspan(*band, color="#D9D9D9", linewidth=0, zorder=0)
    ax.axhline(1.0, color=theme.TRUTH, linewidth=1.0, zorder=1)
    # Settings with the same n are shown side by side, each at the same place in every run.
    places = np.zeros(len(n))
    levels, index = np.unique(n, return_inverse=True)
    for level in range(len(levels)):
        members = np.flatnonzero(index == level)
        places[members] = np.linspace(-0.5, 0.5, len(members)) if len(members) > 1 else 0.0
    spread = 0.6 * (np.diff(np.log(levels)).min() if len(levels) > 1 else 0.5)
    dense = ratio.size > VECTOR_POINTS
    ax.plot(
        n * np.exp(spread * places), ratio, linestyle="none", marker="o",
        color=theme.ESTIMATOR_COLOURS["k1"], markeredgewidth=0,
        markersize=1.0 if dense else 2.0, alpha=0.25 if dense else 0.6, rasterized=dense,
    )  # fmt: skip
    top = max(float(ratio.max()), band[1])
    bottom = min(float(ratio.min()), band[0])
    room = 0.12 * (top - bottom)
    ax.set_xlim(n.min() / 1.9, n.max() * 1.9)
    if law:
        ax.set_ylim(max(bottom - room, 0.0), top + 2.2 * room)
    else:
        ax.set_yscale("log")
    many = f"{replicates} replicate{'s' if replicates != 1 else ''}"
    if law:
        ax.text(
            0.98, 0.97, f"grey: 95 % of normal estimates,\n{many}", transform=ax.transAxes,
            ha="right", va="top", fontsize=7, color=theme.MUTED,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
        )  # fmt: skip


def _needed(ax: Axes, groups: Sequence[tuple[str, pd.DataFrame]]) -> None:
    """Draw a row for each scale and offset, a mark for each dimension, and two rows of samples."""
    ax.set_title("b  samples needed, by setting", pad=30 if groups else None)
    if not groups:
        parts.instead_of_data(ax, "KL is 0 in every setting:\nno relative error")
        return
    everything = pd.concat([rows for _, rows in groups])
    known = everything[everything["scale"].notna()]
    dimensions = parts.spaced(sorted(known["dimension"].unique()), DIMENSIONS)
    colours = dict(zip(dimensions, parts.sequential(len(dimensions)), strict=True))
    marks = dict(zip(dimensions, parts.MARKERS, strict=False))
    values = everything["relative"]
    low, high = float(values.min()) / 1.6, float(values.max()) * 1.6
    if high / low < 100:
        middle = (low * high) ** 0.5
        low, high = middle / 10.0, middle * 10.0
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    labelled = False
    for y, (_, rows) in enumerate(groups):
        ax.plot(
            [rows["relative"].min(), rows["relative"].max()], [y, y],
            color="#BBBBBB", linewidth=0.8, zorder=1,
        )  # fmt: skip
        if rows["scale"].isna().any():
            ax.plot(rows["relative"], [y], "*", color=theme.TRUTH, markersize=5.5, zorder=3)
            continue
        shown = rows[rows["dimension"].isin(dimensions)]
        for dimension, value in zip(shown["dimension"], shown["relative"], strict=True):
            ax.plot(
                value, y, marker=marks[dimension], color=colours[dimension], markersize=3.8,
                markeredgewidth=0, zorder=3,
            )  # fmt: skip
        if not labelled:
            _name_dimensions(ax, shown.sort_values("relative"), y, colours)
            labelled = True
    ax.set_ylim(len(groups) - 0.4, -1.2)
    ax.set_yticks(range(len(groups)), [label for label, _ in groups])
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("√V / KL")
    ax.xaxis.set_major_locator(LogLocator(10.0, numticks=7))
    if high / low < 1e5:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    first, last = np.ceil(2 * np.log10(low)), np.floor(2 * np.log10(high))
    _above(ax, 0.0, "n for 10 %", "n for 1 %", ax.transAxes, "right")
    inside = [
        half for half in range(int(first), int(last) + 1)
        if half / 2 - np.log10(low) > 0.03 * np.log10(high / low)
    ]  # fmt: skip
    for half in inside[:: math.ceil(len(inside) / 7)]:
        ten, one = _power(half + 2), _power(half + 4)
        _above(ax, 10.0 ** (half / 2), ten, one, ax.get_xaxis_transform(), "center")
        ax.axvline(10.0 ** (half / 2), ymin=1.0, ymax=1.015, color="k", lw=0.7, clip_on=False)


def _name_dimensions(ax: Axes, rows: pd.DataFrame, y: float, colours: Mapping[int, str]) -> None:
    """Write dimensions over their marks, moved apart where they would touch."""
    low, high = np.log10(ax.get_xlim())
    at = ((np.log10(rows["relative"]) - low) / (high - low)).tolist()
    texts = [f"{dimension}" for dimension in rows["dimension"]]
    texts[-1] = f"D = {texts[-1]}"
    widest = max(len(text) for text in texts[:-1]) if len(texts) > 1 else 1
    places = parts.apart(at, 0.012 * widest, 0.98, 0.022 * (widest + 0.8))
    for place, text, dimension in zip(places, texts, rows["dimension"], strict=True):
        last = text.startswith("D")
        ax.annotate(
            text, (place, y), (-2.0 if last else 0.0, 3.2), xycoords=ax.get_yaxis_transform(),
            textcoords="offset points", ha="left" if last else "center", va="bottom",
            fontsize=6.5, color=colours[dimension],
        )  # fmt: skip


def _above(ax: Axes, x: float, lower: str, upper: str, where: Transform, side: str) -> None:
    """Write two rows of text above the axes at `x`."""
    for text, height in ((lower, 4.5), (upper, 15.5)):
        ax.annotate(
            text, (x, 1.0), (-4.0 if side == "right" else 0.0, height), xycoords=where,
            textcoords="offset points", ha=side, va="baseline", fontsize=7.5,
        )  # fmt: skip


def _power(power: int) -> str:
    """The text of a number of samples that is a power of ten."""
    return rf"$10^{{{power}}}$" if power > 1 else {1: "10", 0: "1"}.get(power, "≤ 1")
