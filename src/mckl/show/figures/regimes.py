"""Over scale and offset: which estimator has the smallest exact mean squared error."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.patheffects import withTickedStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.interpolate import RectBivariateSpline

from mckl.arrays import Vector
from mckl.estimation.values import ESTIMATORS, Estimator, UnitTheory
from mckl.exact.law import Law
from mckl.families.normal import grid_pair
from mckl.show.figures import Frames, parts, theme

_BORDER = math.sqrt(2.0)  # rho^2 = 1/2
_NODES = (18, 4, 13)  # scales below and above the border, and offsets
_FINE = (420, 260)
_HOPELESS = 25.0  # log of a variance that no estimator wins with; splines stay calm below it
_TIE = 1.05  # an estimator wins where no simpler one is within 5 % of its RMSE
_SAVES = 0.8  # the contour of cv: four fifths of the best unbiased RMSE
_SMALL_N = 64
_TINTS = {"k1": 0.5, "k2": 0.45, "k3": 0.3}  # apart in greyscale too


class Surfaces(NamedTuple):
    """Bias and log variance of one sample of an estimator, on the fine grid; kind of theory."""

    bias: Vector
    log_variance: Vector
    asymptotic: bool

    def log_mse(self, n: int) -> Vector:
        """Log of the mean squared error over n samples; of the leading order if asymptotic."""
        log_variance = self.log_variance - math.log(n)
        with np.errstate(divide="ignore"):
            return np.logaddexp(log_variance, 2.0 * np.log(np.abs(self.bias)))


def _unit(estimator: Estimator, law: Law) -> UnitTheory:
    """The theory of one iid sample; beyond float64 its variance is as good as infinite."""
    try:
        return estimator.theory(law, False)
    except OverflowError:
        return UnitTheory(0.0, math.inf, math.nan, math.nan)


def _carried(values: Vector) -> Vector:
    """Fill values that were lost to rounding from the previous scale."""
    return np.asarray(pd.DataFrame(values).ffill().fillna(_HOPELESS).to_numpy(float))


def _fine(nodes: tuple[Vector, Vector], values: Vector, at: tuple[Vector, Vector]) -> Vector:
    if not np.isfinite(values).all():
        return np.full((at[0].size, at[1].size), math.inf)
    kx, ky = (min(3, len(x) - 1) for x in nodes)
    return np.asarray(RectBivariateSpline(*nodes, values, kx=kx, ky=ky)(*at))


def surfaces(dimension: int, scale: Vector, offset: Vector) -> dict[str, Surfaces]:
    """The theory of one iid sample over a fine grid, by splines through a coarse one.

    Bias and log variance are smooth on either side of rho^2 = 1/2, so each side has a
    spline of its own, in the log of the scale.
    """
    # Denser towards offset 0: around q = p the logs fall steeply.
    offsets = offset[-1] * np.linspace(0.0, 1.0, _NODES[2]) ** 1.5
    sides = []
    for low, high, count, mine in (
        (scale[0], 0.999 * _BORDER, _NODES[0], scale < _BORDER),
        (_BORDER, scale[-1], _NODES[1], scale >= _BORDER),
    ):
        if not mine.any():
            continue
        # Even, and denser towards the border, where k3's variance goes off to infinity.
        even = np.linspace(0.0, 1.0, count)
        bend = even * (1.6 - 0.6 * even) if high < _BORDER else even
        nodes = (np.log(low) + bend * (np.log(high) - np.log(low)), offsets)
        theory = [
            [
                [_unit(e, law) for e in ESTIMATORS.values()]
                for law in (grid_pair(dimension, math.exp(x), y).law for y in offsets)
            ]
            for x in nodes[0]
        ]
        at = (np.log(scale[mine]), offset)
        side = {}
        for i, name in enumerate(ESTIMATORS):
            unit = [[cell[i] for cell in row] for row in theory]
            with np.errstate(divide="ignore"):
                log_variance = np.log([[u.variance for u in row] for row in unit])
            if not np.isinf(log_variance).all():
                log_variance = np.clip(_carried(log_variance), -_HOPELESS, _HOPELESS)
            bias = np.nan_to_num(np.array([[u.bias for u in row] for row in unit]))
            asymptotic = any(u.kind != "exact" for row in unit for u in row)
            side[name] = (_fine(nodes, bias, at), _fine(nodes, log_variance, at), asymptotic)
        sides.append(side)
    return {
        name: Surfaces(
            np.concatenate([side[name][0] for side in sides]),
            np.concatenate([side[name][1] for side in sides]),
            any(side[name][2] for side in sides),
        )
        for name in ESTIMATORS
    }


def winners(exact: dict[str, Vector]) -> Vector:
    """The index of the estimator of smallest MSE; of those within 5 % in RMSE, the first."""
    stack = np.stack(list(exact.values()))
    near = stack <= stack.min(axis=0) + 2.0 * math.log(_TIE)
    return np.asarray(near.argmax(axis=0))


def _dimensions(settings: pd.DataFrame) -> list[int]:
    """The smallest dimension of the study, and its largest up to 16."""
    grid = settings[settings["case"].isna()]
    known = sorted({int(d) for d in (settings if grid.empty else grid)["dimension"]})
    return list(dict.fromkeys([known[0], max([d for d in known if d <= 16] or known[:1])]))


def _largest(area: Vector) -> tuple[int, int] | None:
    """Where in a mask a name has most room; None where it has none."""
    best, where = 0, None
    for j in range(18, area.shape[1] - 12, 6):
        edges = np.flatnonzero(np.diff(np.r_[0, area[:, j].astype(int), 0]))
        for a, b in edges.reshape(-1, 2):
            # Height counts too: half the way to the nearest other cell above and below.
            column = area[(a + b) // 2]
            up = int(np.argmin(np.r_[column[j:], False]))
            down = int(np.argmin(np.r_[column[j::-1], False]))
            room = min(b - a, 4 * min(up, down))
            if room > best:
                best, where = room, ((a + b) // 2, j)
    return where if best >= 40 else None


def _panel(
    ax: Axes, known: dict[str, Surfaces], n: int, scale: Vector, offset: Vector,
    study: pd.DataFrame, dimension: int,
) -> dict[str, float]:  # fmt: skip
    exact = {name: s.log_mse(n) for name, s in known.items() if not s.asymptotic}
    # Simplest first: k1 wins a tie, then what is unbiased.
    exact = {k: exact[k] for k in sorted(exact, key=lambda k: (k != "k1", k == "k2", k))}
    best = winners(exact)
    names = list(exact)
    tints = [
        [
            1 - _TINTS.get(name, 0.4) * (1 - c)
            for c in to_rgb(theme.ESTIMATOR_COLOURS.get(name, "#999999"))
        ]
        for name in names
    ]
    ax.pcolormesh(
        scale, offset, best.T, cmap=ListedColormap(tints), vmin=-0.5, vmax=len(names) - 0.5,
        rasterized=True, shading="nearest",
    )  # fmt: skip
    here = study[study["dimension"] == dimension]
    taken = np.zeros(best.shape, dtype=bool)  # by a point of the study, or by the border
    for x, y in zip(here["scale"], here["offset"], strict=True):
        close = np.abs(np.log(scale / x)) < 0.05
        taken |= close[:, None] & (np.abs(offset - y) < 0.06 * offset[-1])
    taken |= (np.abs(np.log(scale / _BORDER)) < 0.04)[:, None]
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
        saving = 0.5 * (cv.log_mse(n) - np.min(np.stack(unbiased), axis=0))
        if saving.min() < math.log(_SAVES) < saving.max():
            lines = ax.contour(
                scale, offset, -saving.T, [-math.log(_SAVES)], linewidths=1.3,
                colors=theme.ESTIMATOR_COLOURS["cv"],
            )  # fmt: skip
            lines.set_path_effects([withTickedStroke(spacing=5, angle=90, length=0.5)])
    # Antithetic pairs lose to iid where sum 2 a^2 > sum b^2: offset < |scale^2 - 1| / sqrt 2.
    edge = np.abs(scale**2 - 1.0) / math.sqrt(2.0)
    ax.fill_between(
        scale, 0.0, np.minimum(edge, offset[-1]), facecolor="none", edgecolor="#00000055",
        hatch="////", linewidth=0.0,
    )  # fmt: skip
    ax.plot(scale, np.where(edge <= offset[-1], edge, np.nan), color=theme.TRUTH, linewidth=0.6)
    if scale[0] < _BORDER < scale[-1]:
        ax.axvline(_BORDER, color=theme.ESTIMATOR_COLOURS["k3"], linewidth=1.6)
    small = min(1.0, (60 / max(len(here), 1)) ** 0.5)  # many settings must not hide the map
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
    ax.set_title(f"D = {dimension}, n = {n:,}")
    return {name: float((best == i).mean()) for i, name in enumerate(names)}


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Maps of the best estimator for two dimensions and two numbers of samples.

    Parameters
    ----------
    frames
        The tables settings and theory (for its largest number of samples).

    Returns
    -------
    The figure, and what its caption quotes.
    """
    settings = parts.plain(frames["settings"])
    most = int(frames["theory"]["samples"].max())
    counts = [_SMALL_N, most] if most > 4 * _SMALL_N else [most]
    study = settings[settings["case"].isna()]
    low, high, top = 0.6, 2.8, 1.25
    if len(study):
        low = min(low, max(float(study["scale"].min()) / 1.1, 0.1))
        high = max(high, min(float(study["scale"].max()) * 1.1, 10.0))
        top = max(top, min(float(study["offset"].abs().max()) * 1.1, 3.0))
    study = study.assign(offset=study["offset"].abs())
    inside = (study["scale"].between(low, high)) & (study["offset"] <= top)
    scale = np.geomspace(low, high, _FINE[0])
    offset = np.linspace(0.0, top, _FINE[1])

    dimensions = _dimensions(settings)
    fig, axes = plt.subplots(
        len(counts), len(dimensions), squeeze=False, sharex=True, sharey=True,
        figsize=(theme.WIDTH, 2.3 * len(counts) + 0.7),
    )  # fmt: skip
    shares: dict[tuple[int, int], dict[str, float]] = {}
    for column, dimension in zip(axes.T, dimensions, strict=True):
        known = surfaces(dimension, scale, offset)
        for ax, n in zip(column, counts, strict=True):
            shares[dimension, n] = _panel(ax, known, n, scale, offset, study[inside], dimension)
    for ax in axes[-1]:
        ax.set_xlabel(r"scale  $\sigma_p / \sigma_q$")
    for ax in axes[:, 0]:
        ax.set_ylabel(r"offset  $(\mu_q - \mu_p) / \sigma_q$")
    _key(fig)
    first, last = dimensions[0], dimensions[-1]
    return fig, {
        "dimensions": dimensions,
        "counts": counts,
        "k3_first": round(100 * shares[first, most].get("k3", 0.0)),
        "k3_last": round(100 * shares[last, most].get("k3", 0.0)),
        "k2_few": round(100 * shares[first, counts[0]].get("k2", 0.0)),
        "k2_many": round(100 * shares[first, most].get("k2", 0.0)),
        "saves": round(100 * (1 - _SAVES)),
        "tie": round(100 * (_TIE - 1)),
        "settings": len(study),
        "shown": int((inside & study["dimension"].isin(dimensions)).sum()),
        "infinite": int((~settings["k3_variance_finite"].astype(bool)).sum()),
    }


def _key(fig: matplotlib.figure.Figure) -> None:
    """What the lines and the hatching mean, on one line below the panels."""
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
