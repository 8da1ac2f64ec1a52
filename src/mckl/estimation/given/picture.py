"""Pictures of given samples: running estimates with their intervals, and the estimates of groups.

Matplotlib is imported when a picture is drawn, for the command and `import mckl` do without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from mckl.arrays import Vector
from mckl.errors import UserError
from mckl.estimation.given.summary import Influence, Summary
from mckl.estimation.looks import ESTIMATOR_COLOURS
from mckl.estimation.running import RunningMoments
from mckl.text import quoted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OTHER = "#555555"  # the colour of groups, whose estimators may differ
_APART = 0.065  # the distance of two labels, as a share of the height
_FORMATS = (".png", ".svg", ".pdf")


class Path(NamedTuple):
    """The running estimates, and half of Student's intervals, after some numbers of units."""

    units: Sequence[int]
    estimates: Mapping[str, Vector]
    half_widths: Mapping[str, Vector]


@np.errstate(all="ignore")
def running_path(summary: Summary, confidence: float) -> Path:
    """The path of all estimators per unit of a summary that was traced."""
    parts = summary.path
    if not parts or parts[-1].units < summary.units:
        parts = [*parts, summary.moments]
    together = RunningMoments.side_by_side(parts)
    together.units = units = np.array([part.units for part in parts])  # type: ignore[assignment]
    view = Influence(together, summary.overs["unit"])
    estimates: dict[str, Vector] = {}
    half_widths: dict[str, Vector] = {}
    for name, estimator in summary.estimators.items():
        estimate, variance = estimator.estimate(view)  # type: ignore[arg-type]
        freedom = np.maximum(units - estimator.parameters, 1)
        error = np.sqrt(variance * summary.jackknife("unit", name))
        estimates[name] = np.asarray(estimate)
        half_widths[name] = stdtrit(freedom, 0.5 + confidence / 2.0) * error
    return Path(units.tolist(), estimates, half_widths)


def draw_path(
    path: Path, trusted: str | None, intervals: Mapping[str, tuple[float, float] | None],
    texts: tuple[str, str], ax: Axes | None,
) -> Axes:  # fmt: skip
    """Draw running estimates, the trusted one in front with its interval at the right.

    `intervals` are those of the answer. Estimators without one are dashed, and have no band.
    `texts` label the axes.
    """
    ax = ax or _axes()
    units = np.array(path.units)
    front = trusted or next(iter(path.estimates))
    for name, values in path.estimates.items():
        colour, half = ESTIMATOR_COLOURS.get(name, _OTHER), path.half_widths[name]
        first, given = name == front, intervals[name] is not None
        ax.plot(units, values, color=colour, lw=2.2 if first else 1.0, zorder=4 if first else 2,
                ls="-" if given else (0, (3, 2)))  # fmt: skip
        if given or first:
            ax.fill_between(units, values - half, values + half, color=colour, lw=0,
                            alpha=0.25 if first else 0.08, zorder=3 if first else 1)  # fmt: skip
    if (interval := intervals[front]) is not None:
        ax.plot([units[-1]] * 2, interval, color=ESTIMATOR_COLOURS.get(front, _OTHER), lw=4.0,
                solid_capstyle="butt", zorder=5, clip_on=False)  # fmt: skip
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.xaxis.set_minor_formatter("{x:,.0f}" if units[-1] < 16 * units[0] else "")
    ax.margins(x=0.0)
    late = units >= min(units[-1] / 8.0, 30.0)
    spread = [path.estimates[front] + sign * path.half_widths[front] for sign in (-1.0, 1.0)]
    seen = np.array(spread)[:, late]
    if np.isfinite(seen).any() and np.nanmax(seen) > np.nanmin(seen):
        low, high = float(np.nanmin(seen)), float(np.nanmax(seen))
        ax.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    _label_ends(ax, {n: float(v[-1]) for n, v in path.estimates.items()}, front, intervals)
    ax.set_xlabel(texts[0])
    ax.set_ylabel(texts[1])
    return ax


def draw_groups(
    groups: Sequence[Any], centres: Vector, intervals: Sequence[tuple[float, float] | None],
    text: str, ax: Axes | None,
) -> Axes:  # fmt: skip
    """Draw an estimate with its interval for each group; numbers are placed by their value."""
    ax = ax or _axes()
    numeric = all(isinstance(g, int | float) and not isinstance(g, bool) for g in groups)
    places = np.array(groups, float) if numeric else np.arange(len(groups))
    low, high = np.array([i or (math.nan, math.nan) for i in intervals]).T
    given = np.isfinite(low)
    ax.errorbar(
        places[given], centres[given], [(centres - low)[given], (high - centres)[given]],
        fmt="o", ms=4, color=_OTHER, ecolor=_OTHER, elinewidth=1.2, capsize=0,
    )  # fmt: skip
    ax.plot(places[~given], centres[~given], "x", color=_OTHER, ms=5, label="no interval")
    if not given.all():
        ax.legend(frameon=False)
    if not numeric:
        ax.set_xticks(places, [str(g)[:20] for g in groups], rotation=45 * (len(groups) > 6))
    ax.set_xlabel("group")
    ax.set_ylabel(text)
    return ax


def check_picture(path: str) -> None:
    """Raise `UserError` for a name that is not that of a picture, or without Matplotlib."""
    if not path.lower().endswith(_FORMATS):
        raise UserError(f"--plot: {quoted(path)}, expected a file named *{', *'.join(_FORMATS)}")
    _axes()


def save_picture(answer: Any, path: str) -> None:
    """Draw an answer into a file; raises `UserError` if it cannot be written."""
    try:
        answer.plot().figure.savefig(path, dpi=200, bbox_inches="tight")
    except OSError as error:
        raise UserError(f"--plot: {path}: cannot be written ({error.strerror})") from None


def _axes() -> Axes:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise UserError("plot: the package matplotlib is missing: pip install matplotlib") from None
    axes: Axes = Figure(figsize=(6.4, 3.8), layout="constrained").subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E4E4E4", lw=0.8)
    return axes


def _label_ends(
    ax: Axes, ends: Mapping[str, float], front: str, intervals: Mapping[str, object]
) -> None:
    """Write the estimators' names at the ends of their lines, moved apart where they overlap."""
    low, high = ax.get_ylim()
    names = sorted((n for n, end in ends.items() if math.isfinite(end)), key=ends.__getitem__)
    places = np.clip([(ends[name] - low) / (high - low) for name in names], 0.0, 1.0)
    for _ in range(200):
        short = np.maximum(_APART - np.diff(places), 0.0) / 2.0
        places[:-1] -= short
        places[1:] += short
    for name, place in zip(names, places, strict=True):
        end, given = ends[name], intervals[name] is not None
        mark = " ↑" if end > high else " ↓" if end < low else ""
        ax.annotate(
            name + mark + ("" if given else " withheld"), (1.02, place), xycoords="axes fraction",
            va="center", fontsize=8, color=ESTIMATOR_COLOURS.get(name, _OTHER),
            fontweight="bold" if name == front else "normal", annotation_clip=False,
        )  # fmt: skip
