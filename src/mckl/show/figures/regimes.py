"""The figure of the estimator with the smallest exact mean squared error, over scale and offset."""

from __future__ import annotations

import math
from itertools import cycle
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.patheffects import withTickedStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mckl.arrays import Vector
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.study.regime_map import RegimeMap, is_symmetric, regime_map

_FINE = (420, 260)  # the numbers of scales and of offsets of the map
_TIE = 1.05  # an estimator wins if no simpler one is within 5 % of its RMSE
_SAVES = 0.8  # the contour of cv is at four fifths of the best unbiased RMSE
# Tints, in the order of registration, that differ in greyscale too.
_TINTS = dict(zip(ESTIMATORS, cycle((0.5, 0.45, 0.3, 0.4)), strict=False))


def winners(exact: dict[str, Vector]) -> Vector:
    """The index of the estimator with the smallest MSE; the first of those within 5 % in RMSE."""
    stack = np.stack(list(exact.values()))
    near = stack <= stack.min(axis=0) + 2.0 * math.log(_TIE)
    return np.asarray(near.argmax(axis=0))


def _largest(area: Vector) -> tuple[int, int] | None:
    """The place within a mask at which a name has most room; None if there is none."""
    best, where = 0, None
    for j in range(18, area.shape[1] - 12, 6):
        edges = np.flatnonzero(np.diff(np.r_[0, area[:, j].astype(int), 0]))
        for a, b in edges.reshape(-1, 2):
            # The height counts as well: half the distance to the nearest other cell above or below.
            column = area[(a + b) // 2]
            up = int(np.argmin(np.r_[column[j:], False]))
            down = int(np.argmin(np.r_[column[j::-1], False]))
            room = min(b - a, 4 * min(up, down))
            if room > best:
                best, where = room, ((a + b) // 2, j)
    return where if best >= 40 else None


def _panel(
    ax: Axes, of: RegimeMap, scale: Vector, offset: Vector, here: pd.DataFrame
) -> dict[str, float]:
    known = of.estimators
    exact = {name: s.log_mse for name, s in known.items() if not s.asymptotic}
    # The first wins a tie. Unbiased estimators come first, in the order of registration.
    exact = {k: exact[k] for k in sorted(exact, key=lambda k: not ESTIMATORS[k].consistent)}
    best = winners(exact)
    names = list(exact)
    tints = [
        [1 - _TINTS[name] * (1 - c) for c in to_rgb(theme.ESTIMATOR_COLOURS[name])]
        for name in names
    ]
    ax.pcolormesh(
        scale, offset, best.T, cmap=ListedColormap(tints), vmin=-0.5, vmax=len(names) - 0.5,
        rasterized=True, shading="nearest",
    )  # fmt: skip
    taken = np.zeros(best.shape, dtype=bool)  # cells with a point of the study, or the border
    for x, y in zip(here["scale"], here["offset"], strict=True):
        close = np.abs(np.log(scale / x)) < 0.05
        taken |= close[:, None] & (np.abs(offset - y) < 0.06 * offset[-1])
    taken |= (np.abs(np.log(scale) - np.log(of.border)) < 0.04)[:, None]
    for i, name in enumerate(names):
        area = best == i
        if area.any() and not area.all():
            ax.contour(
                scale, offset, area.T.astype(float), [0.5], colors=theme.TRUTH, linewidths=0.7
            )
        where = _largest(area & ~taken)
        if where is not None:
            ax.text(
                scale[where[0]], offset[where[1]], name, ha="center", va="center",
                fontweight="bold", fontsize=9, zorder=6,
                bbox={"facecolor": tints[i], "edgecolor": "none", "pad": 1.0},
            )  # fmt: skip
    cv = known.get("cv")
    if cv is not None:
        unbiased = [exact[name] for name in names if not known[name].bias.any()]
        saving = 0.5 * (cv.log_mse - np.min(np.stack(unbiased), axis=0))
        if saving.min() < math.log(_SAVES) < saving.max():
            lines = ax.contour(
                scale, offset, -saving.T, [-math.log(_SAVES)], linewidths=1.3,
                colors=theme.ESTIMATOR_COLOURS["cv"],
            )  # fmt: skip
            lines.set_path_effects([withTickedStroke(spacing=5, angle=90, length=0.5)])
    if of.excess.max() > 0:
        ax.contourf(
            scale, offset, of.excess.T, [0.0, math.inf], colors="none", hatches=["////"]
        ).set(edgecolor="#00000055", linewidth=0.0)
        ax.contour(scale, offset, of.excess.T, [0.0], colors=theme.TRUTH, linewidths=0.6)
    if scale[0] < of.border < scale[-1]:
        ax.axvline(of.border, color=theme.ESTIMATOR_COLOURS["k3"], linewidth=1.6)
    small = min(
        1.0, (60 / max(len(here), 1)) ** 0.5
    )  # many marks are small, so that they do not cover the map
    ax.plot(
        here["scale"], here["offset"], linestyle="none", marker="o", color="white",
        markersize=3.6 * small, markeredgecolor=theme.TRUTH, markeredgewidth=0.8 * small,
        clip_on=False, zorder=5,
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlim(scale[0], scale[-1])
    ax.set_ylim(offset[0], offset[-1])
    ticks = [t for t in (0.1, 0.2, 0.5, 0.7, 1, 1.4, 2, 3, 5, 10) if scale[0] <= t <= scale[-1]]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.grid(visible=False)
    return {name: float((best == i).mean()) for i, name in enumerate(names)}


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw maps of the best estimator for two dimensions, and two numbers of samples or families.

    Parameters
    ----------
    frames
        The tables settings and regimes.

    Returns
    -------
    The figure, and the numbers that its caption quotes.
    """
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
            here = study[inside & (study["dimension"] == dimension) & (study["family"] == family)]
            shares[family, dimension, n] = _panel(
                ax, maps[family, dimension, n], scale, offset, here
            )
            name = f"{family}\n" if several or family != "normal" else ""
            ax.set_title(f"{name}D = {dimension}, n = {n:,}")
    for ax in axes[-1]:
        ax.set_xlabel(r"scale  $\sigma_p / \sigma_q$")
    for ax in axes[:, 0]:
        ax.set_ylabel(r"offset  $(\mu_q - \mu_p) / \sigma_q$")
    _key(fig)
    first, last = dimensions[0], dimensions[-1]
    family = families[0]

    def share(name: str, of: str, d: int, n: int = most) -> int:
        """The share of the map, in per cent, that the estimator or its sum over factors wins."""
        won = shares[of, d, n]
        return round(100 * (won.get(name, 0.0) + won.get(f"{name}-factor", 0.0)))

    borders = {of: maps[of, first, most].border for of in families}
    return fig, {
        "dimensions": dimensions,
        "counts": counts,
        "families": [
            {"family": of, "k3": [share("k3", of, d) for d in dimensions]} for of in families
        ],
        "several": several,
        "sweep": len(parts.families(settings)),
        "borders": [
            {"family": of, "scale": f"{x:.3g}"} for of, x in borders.items() if math.isfinite(x)
        ],
        "k3_first": share("k3", family, first),
        "k3_last": share("k3", family, last),
        "k2_few": 0 if several else share("k2", family, first, counts[0]),
        "k2_many": share("k2", family, first),
        "saves": round(100 * (1 - _SAVES)),
        "tie": round(100 * (_TIE - 1)),
        "settings": len(study),
        "shown": int(
            (inside & study["dimension"].isin(dimensions) & study["family"].isin(families)).sum()
        ),
        "infinite": int((~settings["k3_variance_finite"].astype(bool)).sum()),
    }


def _key(fig: matplotlib.figure.Figure) -> None:
    """Explain the lines and the hatching, below the panels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Line2D([], [], color=theme.ESTIMATOR_COLOURS["k3"], linewidth=1.6),
        Line2D(
            [],
            [],
            color=theme.ESTIMATOR_COLOURS["cv"],
            linewidth=1.3,
            path_effects=[withTickedStroke(spacing=5, angle=90, length=0.5)],
        ),
        Patch(facecolor="none", edgecolor="#00000088", hatch="////", linewidth=0.4),
        Line2D([], [], marker="o", color="white", markeredgecolor=theme.TRUTH, linewidth=0),
    ]
    texts = [
        "right of it k3 has infinite variance",
        f"cv tends to save {1 - _SAVES:.0%} on the ticked side",
        "antithetic pairs hurt k1",
        "setting of the study",
    ]
    fig.legend(handles, texts, loc="outside lower center", ncols=2, columnspacing=2.0)
