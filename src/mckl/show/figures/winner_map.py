"""Maps of the estimator that wins: a tint for each, lines between them, and names in regions."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex, to_rgb
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from mckl.arrays import Vector
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import theme

_REGION = 0.003  # the least share of the map of a region that has a label
_ROOM = 2.2  # cells around the middle of a label, for each of its characters
# Tints, in the order of registration, that differ in greyscale too.
_TINTS = dict(zip(ESTIMATORS, cycle((0.5, 0.45, 0.3, 0.4)), strict=False))


def tint(name: str) -> str:
    """A light colour of an estimator, for areas."""
    red, green, blue = (1 - _TINTS[name] * (1 - c) for c in to_rgb(theme.ESTIMATOR_COLOURS[name]))
    return to_hex((red, green, blue))


def draw_winners(ax: Axes, x: Vector, y: Vector, best: Vector, names: list[str]) -> None:
    """Tint the cells by their winner, and draw a line around each area.

    best    The index of the winner among `names`, shape (len(x), len(y)).
    """
    ax.pcolormesh(
        x, y, best.T, cmap=ListedColormap([tint(name) for name in names]), vmin=-0.5,
        vmax=len(names) - 0.5, rasterized=True, shading="nearest",
    )  # fmt: skip
    for i in range(len(names)):
        area = best == i
        if area.any() and not area.all():
            ax.contour(x, y, area.T.astype(float), [0.5], colors=theme.TRUTH, linewidths=0.7)


def regions_of(area: NDArray[np.bool_], least: float) -> list[NDArray[np.bool_]]:
    """The connected regions of an area that take at least this share of the map."""
    regions, count = label(area)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    return [regions == k for k in range(1, count + 1) if sizes[k] >= least * area.size]


def middle_of(
    area: NDArray[np.bool_], taken: NDArray[np.bool_]
) -> tuple[tuple[float, float], float]:
    """Where a region has most room for a name, in fractions of the axes, and how many cells."""
    # The distance to the nearest other cell, in cells; names are wider than high.
    free = distance_transform_edt(np.pad(area & ~taken, 1), sampling=(0.4, 1.0))[1:-1, 1:-1]
    if free.max() < 2:
        free = distance_transform_edt(area)
    x, y = np.unravel_index(int(free.argmax()), free.shape)
    return ((x + 0.5) / area.shape[0], (y + 0.5) / area.shape[1]), float(free.max())


def name_style(name: str) -> dict[str, Any]:
    """How the name of an estimator stands in its region."""
    return {
        "fontweight": "bold", "fontsize": 7.5, "zorder": 6, "ha": "center", "va": "center",
        "bbox": {"facecolor": tint(name), "edgecolor": "none", "pad": 1.0},
    }  # fmt: skip


def label_regions(ax: Axes, best: Vector, names: list[str], taken: NDArray[np.bool_]) -> None:
    """Write the winner's name into every connected region that has some area.

    A name that has no room inside stands beside its region, with a line to it.
    """
    for i, name in enumerate(names):
        areas = regions_of(best == i, _REGION)
        if not areas:  # a narrow region may be broken into pieces
            areas = sorted(regions_of(best == i, 0.0), key=np.sum)[-1:]
        for area in areas:
            place, room = middle_of(area, taken)
            style = {"xycoords": "axes fraction"} | name_style(name)
            if room < _ROOM * len(name):
                style |= {
                    "xytext": (min(place[0] + 0.14, 0.9), min(place[1] + 0.06, 0.94)),
                    "textcoords": "axes fraction", "arrowprops": {"arrowstyle": "-", "shrinkA": 0},
                }  # fmt: skip
            ax.annotate(name, place, **style)
