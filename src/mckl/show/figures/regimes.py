"""The figure of the estimator with the smallest exact mean squared error, over scale and offset."""

from __future__ import annotations

import math
from string import ascii_lowercase
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import AbstractPathEffect, withTickedStroke

from mckl.arrays import Vector
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.show.figures.winner_map import draw_winners, label_regions
from mckl.study.regime_map import RegimeMap, is_symmetric, regime_map

_FINE = (420, 260)  # the numbers of scales and of offsets of the map
_TIE = 1.05  # an estimator wins if no simpler one is within 5 % of its RMSE
_TICKED: list[AbstractPathEffect] = [withTickedStroke(spacing=5, angle=90, length=0.5)]
_SAVES = 0.8  # the contour of cv is at four fifths of the best unbiased RMSE


def winners(exact: dict[str, Vector]) -> Vector:
    """The index of the estimator with the smallest MSE; the first of those within 5 % in RMSE."""
    stack = np.stack(list(exact.values()))
    near = stack <= stack.min(axis=0) + 2.0 * math.log(_TIE)
    return np.asarray(near.argmax(axis=0))


def _panel(
    ax: Axes, theory: RegimeMap, scale: Vector, offset: Vector, studied: pd.DataFrame
) -> dict[str, float]:
    """Draw a map; returns the share of it that each estimator wins."""
    surfaces = theory.estimators
    exact = {name: s.log_mse for name, s in surfaces.items() if not s.asymptotic}
    # The first wins a tie. Unbiased estimators come first, in the order of registration.
    exact = {k: exact[k] for k in sorted(exact, key=lambda k: not ESTIMATORS[k].consistent)}
    best = winners(exact)
    names = list(exact)
    draw_winners(ax, scale, offset, best, names)
    taken = np.zeros(best.shape, dtype=bool)  # cells with a point of the study, or the border
    for x, y in zip(studied["scale"], studied["offset"], strict=True):
        close = np.abs(np.log(scale / x)) < 0.05
        taken |= close[:, None] & (np.abs(offset - y) < 0.06 * offset[-1])
    taken |= (np.abs(np.log(scale) - np.log(theory.border)) < 0.04)[:, None]
    label_regions(ax, best, names, taken)
    for name in [name for name in surfaces if ESTIMATORS[name].parameters > 1][:1]:
        unbiased = [exact[name] for name in names if not surfaces[name].bias.any()]
        saving = 0.5 * (surfaces[name].log_mse - np.min(np.stack(unbiased), axis=0))
        if saving.min() < math.log(_SAVES) < saving.max():
            lines = ax.contour(
                scale, offset, -saving.T, [-math.log(_SAVES)], linewidths=1.3,
                colors=theme.ESTIMATOR_COLOURS[name],
            )  # fmt: skip
            lines.set_path_effects(_TICKED)
    if theory.excess.max() > 0:
        ax.contourf(
            scale, offset, theory.excess.T, [0.0, math.inf], colors="none", hatches=["////"]
        ).set(edgecolor="#00000055", linewidth=0.0)
        ax.contour(scale, offset, theory.excess.T, [0.0], colors=theme.TRUTH, linewidths=0.6)
    if scale[0] < theory.border < scale[-1]:
        ax.axvline(theory.border, color=theme.ESTIMATOR_COLOURS["k3"], linewidth=1.6)
    # Many marks are small, so that they do not cover the map.
    small = min(1.0, (60 / max(len(studied), 1)) ** 0.5)
    parts.whole_dots(
        ax, studied["scale"], studied["offset"], marker="o", color="white",
        markersize=3.6 * small, markeredgecolor=theme.TRUTH, markeredgewidth=0.8 * small, zorder=5,
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlim(scale[0], scale[-1])
    ax.set_ylim(offset[0], offset[-1])
    ticks = [t for t in (0.1, 0.2, 0.5, 0.7, 1, 1.4, 2, 3, 5, 10) if scale[0] <= t <= scale[-1]]
    theme.fix_ticks(ax.xaxis, ticks)
    ax.grid(visible=False)
    return {name: float((best == i).mean()) for i, name in enumerate(names)}


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw maps of the best estimator in two dimensions, for two numbers of samples or families."""
    settings, regimes = frames["settings"], frames["regimes"]
    families, dimensions, counts = (
        list(dict.fromkeys(regimes[key])) for key in ("family", "dimension", "samples")
    )
    most, several = counts[-1], len(families) > 1
    low, high, top = regimes["scale"].min(), regimes["scale"].max(), regimes["offset"].max()
    study = settings[settings["case"].isna()]
    # The map shows positive offsets; for most families negative ones give the same.
    odd = [family for family in parts.families(study) if not is_symmetric(family)]
    study = study[(study["offset"] >= 0) | ~study["family"].isin(odd)]
    study = study.assign(offset=study["offset"].abs())
    inside = (study["scale"].between(low, high)) & (study["offset"] <= top)
    scale = np.geomspace(low, high, _FINE[0])
    offset = np.linspace(0.0, top, _FINE[1])
    # With one family, columns are dimensions and rows numbers of samples. With several, columns are
    # families and rows dimensions, at the larger number of samples.
    cells = (
        [[(family, d, most) for family in families] for d in dimensions]
        if several
        else [[(families[0], d, n) for d in dimensions] for n in counts]
    )
    fig, axes = plt.subplots(
        len(cells), len(cells[0]), squeeze=False, sharex=True, sharey=True,
        figsize=(theme.WIDTH, 2.3 * len(cells) + 0.7),
    )  # fmt: skip
    maps = {
        key: regime_map(rows, scale, offset)
        for key, rows in regimes.groupby(["family", "dimension", "samples"], sort=False)
    }
    shares: dict[tuple[str, int, int], dict[str, float]] = {}
    for line, row in zip(axes, cells, strict=True):
        for ax, (family, dimension, n) in zip(line, row, strict=True):
            cells_of = study["dimension"].eq(dimension) & study["family"].eq(family)
            shares[family, dimension, n] = _panel(
                ax, maps[family, dimension, n], scale, offset, study[inside & cells_of]
            )
            name = f"{family}\n" if several or family != "normal" else ""
            ax.set_title(f"{name}D = {dimension}, n = {n:,}")
    for ax in axes[-1]:
        ax.set_xlabel("scale σp / σq")
    for ax in axes[:, 0]:
        ax.set_ylabel("offset (μq − μp) / σq")
    _key(fig, dots=bool(inside.any()))
    panels = [key for row in cells for key in row]
    borders = {family: maps[family, dimensions[0], most].border for family in families}
    return fig, {
        "several": several,
        "families": len(families),
        "sweep": len(parts.families(settings)),
        "panels": [
            {"letter": letter, "winners": _winners_words(shares[key], 1 if several else 4)}
            for letter, key in zip(ascii_lowercase, panels, strict=False)
        ],
        "borders": [
            {"family": family, "scale": f"{x:.3g}"}
            for family, x in borders.items() if math.isfinite(x)
        ],
        "saves": round(100 * (1 - _SAVES)),
        "tie": round(100 * (_TIE - 1)),
    }  # fmt: skip


def _winners_words(shares: dict[str, float], most: int) -> str:
    """The estimators that win most of a map, and at least 1 % of it, with their shares."""
    order = sorted(shares, key=lambda name: -shares[name])[:most]
    return ", ".join(f"{name} {100 * shares[name]:.0f} %" for name in order if shares[name] >= 0.01)


def _key(fig: matplotlib.figure.Figure, *, dots: bool) -> None:
    """Explain the lines, the hatching and, if there are any, the dots, below the panels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    saves = f"cv tends to save {100 * (1 - _SAVES):.0f} % on the ticked side"
    entries: dict[str, Line2D | Patch] = {
        "right of it k3 has infinite variance": Line2D(
            [], [], color=theme.ESTIMATOR_COLOURS["k3"], linewidth=1.6
        ),
        saves: Line2D(
            [], [], color=theme.ESTIMATOR_COLOURS["cv"], linewidth=1.3, path_effects=_TICKED
        ),
        "antithetic pairs hurt k1": Patch(
            facecolor="none", edgecolor="#00000088", hatch="////", linewidth=0.4
        ),
    }
    if dots:
        entries["setting of the study"] = Line2D(
            [], [], marker="o", color="white", markeredgecolor=theme.TRUTH, linewidth=0
        )
    fig.legend(
        [*entries.values()], [*entries], loc="outside lower center", ncols=2, columnspacing=2.0
    )
