"""The figure of the winning estimator over scale, offset and dimension, of published results."""

from __future__ import annotations

from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.show.figures.winner_map import draw_winners, label_regions
from mckl.study.heavy_tails import ratio_border
from mckl.study.plane import NEAR, TIE, USABLE, by_plainness, measured_ratio, plane_rows

_SHOWN = 4  # dimensions that have a map
_FINER = 8  # cells of the map for each setting, so that names find room
_LOOKS = {
    "whole": ("only ℓ of the whole sample", theme.ESTIMATOR_COLOURS["k3"], "-", "o"),
    "factors": ("ℓ of every factor", theme.ESTIMATOR_COLOURS["cv-factor"], "--", "D"),
    "sobol": ("k1 over Sobol' points", theme.SAMPLER_COLOURS["sobol"], ":", "s"),
}


def _map(ax: Axes, plane: pd.DataFrame, checked: pd.DataFrame, key: str, dimension: int) -> None:
    """Draw the winners of one dimension, with a dot for each measured setting."""
    rows = plane[plane["dimension"] == dimension]
    names = by_plainness(USABLE[key])
    table = rows.pivot(index="scale", columns="offset", values=key)
    best = np.vectorize(names.index)(table.to_numpy())
    # The settings are even in these coordinates.
    x, y = np.log2(table.index.to_numpy(float)), np.sqrt(table.columns.to_numpy(float))
    best = best.repeat(_FINER, axis=0).repeat(_FINER, axis=1)
    x, y = (_finer(values) for values in (x, y))
    draw_winners(ax, x, y, best, names)
    border = np.log2(ratio_border("normal"))
    taken = np.zeros(best.shape, bool) | (np.abs(x - border) < 0.03)[:, None]
    label_regions(ax, best, names, taken)
    ax.axvline(border, color=theme.ESTIMATOR_COLOURS["k3"], linewidth=1.6)
    here = checked[checked["dimension"] == dimension]
    for rows, colour in ((here, "white"), (here[here["ratio"] > NEAR], theme.TRUTH)):
        ax.plot(
            np.log2(rows["scale"]), np.sqrt(rows["offset"]), "o", color=colour, markersize=1.7,
            markeredgecolor=theme.TRUTH, markeredgewidth=0.35, clip_on=False, zorder=5,
        )  # fmt: skip
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.set_xticks(np.log2([0.5, 0.7, 1, 1.4, 2]), ["0.5", "0.7", "1", "1.4", "2"])
    ax.set_yticks(np.sqrt([0, 0.1, 0.5, 1, 2]), ["0", "0.1", "0.5", "1", "2"])
    ax.set_xlabel("scale σp / σq")
    ax.grid(visible=False)


def _finer(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The middles of the smaller cells, for even middles of cells."""
    step = (values[-1] - values[0]) / (len(values) - 1)
    inside = (np.arange(_FINER) + 0.5) / _FINER - 0.5
    return (values[:, None] + step * inside).ravel()


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw maps for several dimensions, and what the best choice gains in each."""
    plane = plane_rows(frames["settings"], frames["theory"])
    checked = {key: measured_ratio(plane, frames["summary"], key) for key in USABLE}
    dimensions = sorted({*plane["dimension"]})
    shown = parts.spaced(dimensions, _SHOWN)
    drawing = plt.figure(figsize=(theme.WIDTH, 4.5))
    grid = drawing.add_gridspec(2, 12)
    for i, dimension in enumerate(shown):
        ax = drawing.add_subplot(grid[0, 3 * i : 3 * i + 3])
        _map(ax, plane, checked["whole"], "whole", dimension)
        ax.set_title(f"whole ℓ, D = {dimension}")
        if i:
            ax.set_yticklabels([])
        else:
            ax.set_ylabel("offset (μq − μp) / σq")
    ax = drawing.add_subplot(grid[1, :3])
    _map(ax, plane, checked["factors"], "factors", dimensions[-1])
    ax.set_title(f"by factor, D = {dimensions[-1]}")
    ax.set_ylabel("offset (μq − μp) / σq")
    of_dimension = plane.groupby("dimension")
    share = {key: of_dimension[key].agg(lambda x: (x != "k1").mean()) for key in USABLE}
    share["sobol"] = of_dimension["sobol_gain"].agg(lambda x: (x.dropna() > TIE**2).mean())
    gain = {key: of_dimension[f"{key}_gain"].median() for key in _LOOKS}
    for place, values, title in (
        (grid[1, 3:7], share, "settings in which it beats k1"),
        (grid[1, 7:11], gain, "median of MSE of k1 / its MSE"),
    ):
        ax = drawing.add_subplot(place)
        for key, (text, colour, dash, marker) in _LOOKS.items():
            ax.plot(dimensions, values[key], dash, color=colour, marker=marker, label=text)
        ax.set_xscale("log", base=2)
        theme.fix_ticks(ax.xaxis, dimensions)
        ax.set_xlabel("dimension D")
        ax.set_title(title)
        if values is share:
            ax.yaxis.set_major_formatter(theme.percent)
            ax.set_ylim(0, 1.03)
        else:
            theme.log_axis(ax, "y")
    handles, _ = ax.get_legend_handles_labels()
    dots = [
        Line2D([], [], marker="o", color="white", markeredgecolor=theme.TRUTH, linewidth=0),
        Line2D([], [], marker="o", color=theme.TRUTH, linewidth=0),
        Line2D([], [], color=theme.ESTIMATOR_COLOURS["k3"], linewidth=1.6),
    ]
    percent = round(100 * (NEAR - 1))
    texts = [
        f"measured: within {percent} % of the best",
        "measured: another one is better",
        "right of it k3 has infinite variance",
    ]
    drawing.legend(
        [*handles, *dots], [*(look[0] for look in _LOOKS.values()), *texts],
        loc="outside lower center", ncols=3, columnspacing=2.0,
    )  # fmt: skip
    return drawing, _numbers(plane, checked, share, gain, frames)


def _numbers(plane, checked, share, gain, frames):
    return {}
