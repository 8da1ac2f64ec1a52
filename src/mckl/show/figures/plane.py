"""The figure of the winning estimator over scale, offset and dimension, of published results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mckl.arrays import Vector
from mckl.estimation.values import K1
from mckl.show.figures import Frames, parts, theme
from mckl.show.figures.winner_map import draw_winners, middle_of, name_style, regions_of, tint
from mckl.study.heavy_tails import ratio_border
from mckl.study.plane import NEAR, TIE, USABLE, by_plainness, measured_rows, plane_rows, sobol_gain

_MAPS = (1, 4, 16, 64)  # dimensions that have a map, if they are in the study
_FINER = 8  # cells of the map for each setting, so that names find room
_NAMED = 0.04  # the least share of the map of a region that has its name in it
_WIDTH = 0.04  # of a character of a name, in maps
_HIGH = 0.9  # the quantile of the gain that is shown
# What is known, in words, and its line.
_LOOKS: Mapping[str, tuple[str, str, Any, str]] = {
    "factors": ("by factor", theme.ESTIMATOR_COLOURS["cv-factor"], "--", "D"),
    "whole": ("whole ℓ", theme.ESTIMATOR_COLOURS["k3"], "-", "o"),
    "sobol": ("k1 over Sobol' points", theme.SAMPLER_COLOURS["sobol"], ":", "s"),
}


def _finer(values: Vector) -> Vector:
    """The middles of smaller cells, from even middles of cells."""
    step = (values[-1] - values[0]) / (len(values) - 1)
    inside = (np.arange(_FINER) + 0.5) / _FINER - 0.5
    return np.asarray((values[:, None] + step * inside).ravel())


def _map(ax: Axes, plane: pd.DataFrame, measured: pd.DataFrame, key: str, dimension: int) -> None:
    """Draw the winners of one dimension, with a dot for each measured setting."""
    names = by_plainness(USABLE[key])
    rows = plane[plane["dimension"] == dimension]
    table = rows.pivot_table(key, "scale", "offset", "first").bfill()  # where q = p, nothing wins
    # The settings are even in these coordinates.
    x, y = np.log2(table.index.to_numpy(float)), np.sqrt(table.columns.to_numpy(float))
    best = np.vectorize(names.index)(table.to_numpy())
    best = best.repeat(_FINER, axis=0).repeat(_FINER, axis=1)
    x, y, border = _finer(x), _finer(y), np.log2(ratio_border("normal"))
    draw_winners(ax, x, y, best, names)
    ax.axvline(border, color=theme.ESTIMATOR_COLOURS["k3"], linewidth=1.6)
    here = measured[measured["dimension"] == dimension]
    for dots, colour in ((here, "white"), (here[here["ratio"] > NEAR], theme.TRUTH)):
        parts.whole_dots(
            ax, np.log2(dots["scale"]), np.sqrt(dots["offset"]), marker="o", color=colour,
            markersize=1.8, markeredgecolor=theme.TRUTH, markeredgewidth=0.35, zorder=5,
        )  # fmt: skip
    taken = np.zeros(best.shape, bool) | (np.abs(x - border) < 0.05)[:, None]
    for i, name in enumerate(names):
        for area in regions_of(best == i, _NAMED):
            (across, up), _ = middle_of(area, taken)
            half = _WIDTH * len(name) / 2
            across = min(max(across, half), 1 - half)
            ax.text(across, up, name, transform=ax.transAxes, **name_style(name))
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.set_xticks(np.log2([0.5, 0.7, 1, 1.4, 2]), ["0.5", "0.7", "1", "1.4", "2"])
    ax.set_yticks(np.sqrt([0, 0.1, 0.5, 1, 2]), ["0", "0.1", "0.5", "1", "2"])
    ax.set_xlabel("scale σp / σq")
    ax.grid(visible=False)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw maps for several dimensions, and how often and by how much k1 is beaten in each."""
    plane = plane_rows(frames["settings"], frames["theory"])
    measured = {key: measured_rows(plane, frames["summary"], key) for key in USABLE}
    dimensions = parts.distinct(sorted(plane["dimension"]))
    shown = [d for d in _MAPS if d in dimensions] or dimensions[: len(_MAPS)]
    drawing = plt.figure(figsize=(theme.WIDTH, 4.6))
    grid = drawing.add_gridspec(2, 12)
    axes = [drawing.add_subplot(grid[0, 3 * i : 3 * i + 3]) for i in range(len(shown))]
    for ax, dimension in zip(axes, shown, strict=True):
        _map(ax, plane, measured["whole"], "whole", dimension)
        ax.set_title(f"whole ℓ, D = {dimension}")
        ax.tick_params(labelleft=ax is axes[0])
    axes.append(drawing.add_subplot(grid[1, :3]))
    _map(axes[-1], plane, measured["factors"], "factors", shown[-1])
    axes[-1].set_title(f"by factor, D = {shown[-1]}")
    for ax in (axes[0], axes[-1]):
        ax.set_ylabel("offset (μq − μp) / σq")
    of_dimension, sobol = plane.groupby("dimension"), sobol_gain(plane, frames["summary"])
    share = {key: of_dimension[key].agg(lambda x: (x != K1.name).mean()) for key in USABLE}
    gain = {key: of_dimension[f"{key}_gain"].quantile(_HIGH) for key in USABLE}
    gain["sobol"] = sobol.groupby(plane["dimension"]).quantile(_HIGH)
    ax = drawing.add_subplot(grid[1, 3:7])
    ax.set_title("settings in which k1 is beaten")
    _curves(ax, share, 0.04)
    ax.set_ylim(0.0, 1.0)
    ax.yaxis.set_major_formatter(theme.percent)
    ax = drawing.add_subplot(grid[1, 7:])
    ax.set_title(f"MSE of k1 over that of the best, {100 * _HIGH:.0f} % quantile")
    theme.log_axis(ax, "y")
    _curves(ax, {key: gain[key] for key in _LOOKS}, 1.25)
    ax.set_ylim(top=4.0 * gain["sobol"].max())
    won = {*plane["whole"], *plane["factors"]}
    _key(drawing, [name for name in USABLE["factors"] if name in won])
    return drawing, _numbers(plane, measured, share, sobol)


def _curves(ax: Axes, values: Mapping[str, pd.Series], above: float) -> None:
    """Draw a line over the dimension for each kind of knowledge, with its name above it."""
    for key, series in values.items():
        text, colour, dash, marker = _LOOKS[key]
        ax.plot(series.index, series, dash, color=colour, marker=marker)
        at = int(np.argmax(series.index >= series.index[-1] / 8))
        y = series.iloc[at] * above if ax.get_yscale() == "log" else series.iloc[at] + above
        ax.text(series.index[at], y, text, color=colour, fontsize=7.0, va="bottom")
    ax.set_xscale("log", base=2)
    theme.fix_ticks(ax.xaxis, [*values["whole"].index])
    ax.set_xlabel("dimension D")


def _key(drawing: matplotlib.figure.Figure, names: list[str]) -> None:
    """Explain tints, the line and dots, below the panels."""
    dot: dict[str, Any] = {"marker": "o", "linewidth": 0, "markeredgecolor": theme.TRUTH}
    near = f"{100 * (NEAR - 1):.0f} %"
    border = theme.ESTIMATOR_COLOURS["k3"]
    entries = {
        name: Patch(facecolor=tint(name), edgecolor=theme.TRUTH, linewidth=0.5) for name in names
    } | {
        "right of it k3 has infinite variance": Line2D([], [], color=border, linewidth=1.6),
        f"measured: within {near} of the least RMSE": Line2D([], [], color="white", **dot),
        "measured: another has less": Line2D([], [], color=theme.TRUTH, **dot),
    }
    drawing.legend(
        [*entries.values()], [*entries], loc="outside lower center", ncols=5, columnspacing=1.2
    )


def _numbers(
    plane: pd.DataFrame,
    measured: Mapping[str, pd.DataFrame],
    share: Mapping[str, pd.Series],
    sobol: pd.Series,
) -> dict[str, Any]:
    """The numbers of the caption and of the page that shows the figure."""
    whole = measured["whole"]
    others = whole[whole["ratio"] > NEAR]
    unknown = others[~others["known"]]
    dimensions = [*share["whole"].index]
    won = plane[plane["dimension"] > 1]["factors"].value_counts(normalize=True)
    return {
        "settings": f"{len(plane):,}",
        "dimensions": dimensions,
        "whole": [f"{100 * x:.2g}" for x in share["whole"]],
        "least": f"{100 * share['factors'].min():.0f}",
        "most": f"{100 * share['factors'].max():.0f}",
        "factors": {name: f"{100 * x:.0f}" for name, x in won.items()},
        "sobol": f"{sobol.min():,.0f}",
        "measured": f"{len(whole):,}",
        "agree": f"{len(whole) - len(others):,}",
        "others": f"{len(others):,}",
        "unknown": f"{len(unknown):,}",
        "unknown_best": " or ".join(sorted({*unknown["best"]})),
        "ratio": f"{others[others['known']]['ratio'].max():.2f}",
        "near": f"{100 * (NEAR - 1):.0f}",
        "tie": f"{100 * (TIE - 1):.0f}",
    }
