"""Parts that several figures share: names of settings, points with intervals, labels at lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.show.captions import shown_tolerance
from mckl.show.figures.theme import MUTED, SAMPLER_COLOURS, SAMPLER_MARKERS, TRUTH, WIDTH

T = TypeVar("T")

LEADING = (0, (3, 3))  # the dashes of a leading order, through which a line below remains visible

NO_KL = "KL is 0 in every setting: no relative error is defined"
MOST_DOTS = 300  # of a strip
_STEP = 0.618034  # the golden ratio: dots next to each other in value are far apart in height


def ordered(present: pd.Series, registry: Iterable[str]) -> list[str]:
    """The names in `present`: first those of the registry in its order, then the others."""
    names = set(present)
    first = [name for name in registry if name in names]
    return first + sorted(names - set(first))


def powers_of_two(samples: pd.Series) -> pd.Series:
    """Whether each number of samples is a power of two."""
    return (samples & (samples - 1)) == 0


def one_backend(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of one backend: numpy if it was run, or else the first by name."""
    backends = sorted(set(frame["backend"]))
    chosen = "numpy" if "numpy" in backends or not backends else backends[0]
    return frame[frame["backend"] == chosen]


def first_of(wanted: Sequence[str], present: pd.Series) -> str | None:
    """The first wanted name that is present, or else the first name present; None if none is."""
    names = sorted(set(present))
    return next((name for name in wanted if name in names), names[0] if names else None)


def plainest_sampler(present: pd.Series) -> str | None:
    """The sampler of figures that show only one: the first in the order of registration."""
    return first_of([*SAMPLERS], present)


def plainest_cells(frames: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, str | None]:
    """The rows of summary at powers of two for one backend and sampler, and the sampler's name.

    The rows have the column `theory` of the table theory too.
    """
    summary = one_backend(frames["summary"])
    sampler = plainest_sampler(summary["sampler"])
    keys = ["setting", "sampler", "estimator", "samples"]
    summary = summary[(summary["sampler"] == sampler) & powers_of_two(summary["samples"])]
    return summary.merge(frames["theory"][[*keys, "theory"]], how="left", on=keys), sampler


def plainest_estimator(present: pd.Series) -> str | None:
    """The estimator of figures that show only one: the first whose bias vanishes, if possible."""
    return first_of(sorted(ESTIMATORS, key=lambda e: not ESTIMATORS[e].consistent), present)


def tolerance(budget: pd.DataFrame) -> float:
    """The tolerance that figures show: the study's nearest one to 1 %."""
    return shown_tolerance(set(budget["tolerance"]))


def title(row: pd.Series, *, family: bool | None = None) -> str:
    """A setting in words: its case, or its values in the sweep.

    The family is named if `family` is true, and by default if it is not normal.
    """
    dimension = f"D = {int(row['dimension'])}"
    if isinstance(row["case"], str):
        return f"case {row['case']}, {dimension}"
    named = row["family"] != "normal" if family is None else family
    first = f"{row['family']}, " if named else ""
    return f"{first}{dimension}, scale {row['scale']:g}, offset {row['offset']:g}"


def families(settings: pd.DataFrame) -> list[str]:
    """The families of the sweep, in the order of the table."""
    return [str(name) for name in settings.loc[settings["case"].isna(), "family"].unique()]


def distinct(values: Iterable[Any]) -> list[Any]:
    """The different values, in ascending order."""
    return sorted(set(values))


def middle(values: Iterable[Any]) -> Any:
    """The middle one of the different values, or the larger of two in the middle."""
    levels = distinct(values)
    return levels[len(levels) // 2]


def by_family(settings: pd.DataFrame, most: int) -> list[str]:
    """One setting for each of at most `most` families of the sweep; none if there is one family.

    They have the smallest dimension, and the same scale and offset. If possible, the scale is not
    1, the offset is not 0, and the scale is the least one with which the variance of k3 is finite
    for some families only.
    """
    grid = settings[settings["case"].isna()]
    if len(families(settings)) < 2:
        return []
    grid = grid[grid["dimension"] == grid["dimension"].min()]
    general = grid[(grid["scale"] != 1) & (grid["offset"] != 0)]
    grid = grid if general.empty else general
    differ = grid.groupby(["scale", "offset"])["k3_variance_finite"].nunique()
    scale, offset = differ.idxmax() if differ.max() > 1 else middle(differ.index)
    rows = grid[(grid["scale"] == scale) & (grid["offset"] == offset)]
    return spaced([str(name) for name in rows["setting"]], most)


def relative_to_kl(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with mean squared errors relative to the square of KL."""
    squares = ["mse", "mse_std_error", "exact_mse"]
    return rows.assign(**{name: rows[name] / rows["kl"] ** 2 for name in squares})


def theory_line(
    ax: Axes, rows: pd.DataFrame, colour: str, *, x: str = "samples", dashes: Any = "-",
) -> Vector:  # fmt: skip
    """Draw the exact RMSE against samples, or column `x`, and return it; NaN where it is not drawn.

    An error without an exact value has that to leading order, with dashes.
    """
    mse = rows["exact_mse"].to_numpy(float)
    line = np.sqrt(np.where(np.isfinite(mse) & (mse > 0), mse, np.nan))
    leading = "theory" in rows and (rows["theory"] == "asymptotic").any()
    ax.plot(rows[x], line, color=colour, linestyle=LEADING if leading else dashes)
    return np.asarray(line)


def rmse_with_bars(
    ax: Axes, rows: pd.DataFrame, colour: str, marker: str, *, filled: bool = True,
    size: float = 3.2, x: str = "samples",
) -> None:  # fmt: skip
    """Draw the measured RMSE against samples, or column `x`, with 95 % intervals."""
    n, mse = rows[x].to_numpy(float), rows["mse"].to_numpy(float)
    error = np.nan_to_num(1.96 * rows["mse_std_error"].to_numpy(float))
    low = np.sqrt(np.maximum(mse - error, 0.04 * mse))  # a log axis cannot show 0
    ax.vlines(n, low, np.sqrt(mse + error), color=colour, linewidth=0.7, zorder=2.5)
    face = colour if filled else "none"
    ax.plot(
        n, np.sqrt(mse), linestyle="none", marker=marker, markersize=size, color=colour,
        markerfacecolor=face, markeredgecolor=colour, markeredgewidth=0.7, zorder=3,
    )  # fmt: skip


def whole_dots(ax: Axes, x: Any, y: Any, **style: Any) -> None:
    """Draw points that are whole where they lie on the border of the panel.

    A line of no points that is not clipped would be in the corner of the figure, and a constrained
    layout would make room for it.
    """
    if len(x):
        ax.plot(x, y, linestyle="none", clip_on=False, **style)


def apart(values: Sequence[float], low: float, high: float, gap: float) -> list[float]:
    """The positions nearest to `values`, in the same order, with `gap` between neighbours."""
    order = np.argsort(values, kind="stable")
    if not len(order):
        return []
    gap = min(gap, (high - low) / max(len(order), 1))
    placed = np.clip(np.asarray(values, dtype=float)[order], low, high)
    for _ in range(200):
        closeness = gap - np.diff(placed)
        if not (closeness > 1e-9).any():
            break
        push = np.maximum(closeness, 0.0) / 2
        placed[:-1] -= push
        placed[1:] += push
        placed = np.clip(placed, low, high)
    out = np.empty(len(order))
    out[order] = placed
    return [float(x) for x in out]


def strip(ax: Axes, y: float, values: Sequence[float], colour: str, marker: str) -> None:
    """Draw values as dots around a height, and a bar at their median."""
    dots = np.array(spaced(sorted(values), MOST_DOTS))
    heights = y + 0.5 * ((0.5 + _STEP * np.arange(len(dots))) % 1.0 - 0.5)
    ax.plot(dots, heights, marker, color=colour, markersize=2.6, alpha=0.55, markeredgewidth=0)
    if len(dots):
        ax.vlines(float(np.median(values)), y - 0.36, y + 0.36, color=TRUTH, linewidth=1.2)


def end_labels(
    ax: Axes, ends: Sequence[tuple[float, str, str]], gap: float = 0.085, fontsize: float = 7.0
) -> None:
    """Draw names at the right of a log-scaled panel, beside their values and without overlap.

    `ends` has (value, text, colour) for each name. Axis limits must be set before.
    """
    low, high = (math.log10(y) for y in ax.get_ylim())
    heights = [(math.log10(value) - low) / (high - low) for value, _, _ in ends]
    for y, (_, text, colour) in zip(apart(heights, 0.02, 0.98, gap), ends, strict=True):
        ax.text(
            1.02, y, text, transform=ax.transAxes, color=colour, fontsize=fontsize,
            va="center", ha="left", fontweight="bold",
        )  # fmt: skip


def instead_of_data(ax: Axes, text: str) -> None:
    """Write into an empty panel why it is empty."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED, wrap=True
    )


def empty_figure(text: str, height: float = 1.5) -> Figure:
    """A figure that only says why it is empty."""
    fig, ax = plt.subplots(figsize=(WIDTH, height))
    instead_of_data(ax, text)
    return fig


def panels(count: int, height: float, room: float, y: str) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels against samples, two a row, whose y axes show `y`."""
    across = min(2, count)
    lines = math.ceil(count / across)
    fig, grid = plt.subplots(lines, across, figsize=(WIDTH, height * lines + room), squeeze=False)
    for i, ax in enumerate(grid.flat):
        ax.set_visible(i < count)
        if i % across == 0:
            ax.set_ylabel(y)
        if i + across >= count:
            ax.set_xlabel("samples n")
    return fig, list(grid.flat[:count])


def name_rows(ax: Axes, names: Sequence[str], step: int = 1, colours: Sequence[str] = ()) -> None:
    """Name the rows of a panel, at the heights 0, step, ...; in colours, if given."""
    ax.set_yticks([step * i for i in range(len(names))], list(names))
    for label, colour in zip(ax.get_yticklabels(), colours, strict=False):
        label.set(color=colour, fontweight="bold")
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")


def sample_limits(ax: Axes, cells: pd.DataFrame) -> None:
    """Set the limits of a log axis of samples."""
    ax.set_xlim(cells["samples"].min() / 1.4, cells["samples"].max() * 1.4)


def sampler_look(sampler: str) -> tuple[str, str]:
    """The colour and the marker of a sampler."""
    return SAMPLER_COLOURS.get(sampler, TRUTH), SAMPLER_MARKERS.get(sampler, "X")


def halo(width: float) -> list[withStroke]:
    """Path effects that keep a text or a line apart from what it covers."""
    return [withStroke(linewidth=width, foreground="white")]


def y_limits(values: Vector, room: float = 1.6) -> tuple[float, float]:
    """The limits of a log axis for all positive finite values; (0.1, 1) if there are none."""
    good = values[np.isfinite(values) & (values > 0)]
    if not good.size:
        return 0.1, 1.0
    return float(good.min() / room), float(good.max() * room)


# Markers have different shapes, for readers who see no colours.
MARKERS = ("o", "s", "^", "D", "v", "P")


def spaced(values: Sequence[T], most: int) -> list[T]:
    """At most `most` of the values at equal steps, including the first and the last."""
    if len(values) <= most:
        return list(values)
    return [values[i] for i in np.linspace(0, len(values) - 1, most).round().astype(int)]


def sequential(number: int, colour_map: str) -> list[str]:
    """Colours from dark to light, whose order is visible in greyscale and to the colour blind."""
    palette = matplotlib.colormaps[colour_map]
    return [to_hex(palette(x)) for x in np.linspace(0.0, 0.72, number)]


def colours_of(values: Iterable[T], colour_map: str) -> dict[T, str]:
    """A colour for each different value of a study, which it keeps in all figures."""
    levels = distinct(values)
    return dict(zip(levels, sequential(len(levels), colour_map), strict=True))


def short_label(name: str, most: int = 16) -> str:
    """A name, cut so that it fits beside a panel."""
    return name if len(name) <= most else name[: most - 1] + "…"


def thinned(length: int) -> Vector:
    """Indices with which a long path is drawn: the first 200, every tenth, and the last."""
    early = np.arange(min(200, length))
    return np.unique(np.concatenate([early, np.arange(0, length, 10), [length - 1]])).astype(int)


def setting(settings: pd.DataFrame, name: str) -> pd.Series:
    """The row of a setting, by its name."""
    return settings[settings["setting"] == name].iloc[0]


def named(settings: pd.DataFrame, name: object) -> str:
    """A setting in words, by its name."""
    return title(setting(settings, str(name)))


def with_samplers(settings: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The settings that compare samplers, with the number of those in `cells`.

    They have a KL above 0, an l that is not constant, and if possible several samplers. If there is
    none, it is the first setting.
    """
    samplers = cells.groupby("setting")["sampler"].nunique()
    settings = settings.assign(samplers=settings["setting"].map(samplers).fillna(0))
    shown = settings[(settings["kl"] > 0) & (settings["log_ratio_variance"] != 0)]
    shown = settings.head(1) if shown.empty else shown
    several = shown[shown["samplers"] > 1]
    return shown if several.empty else several


def two_settings(settings: pd.DataFrame) -> list[str]:
    """The notebook's pair, if the study has it, and a general setting with the largest dimension.

    In a sweep over several families, the latter is of the first family that is not normal.
    """
    shown = settings[settings["kl"] > 0]
    shown = settings if shown.empty else shown
    out = ["notebook"] if (shown["setting"] == "notebook").any() else []
    others = shown[~shown["setting"].isin(out)]
    if len(families(settings)) > 1:
        others = others[others["family"] == (next(f for f in families(settings) if f != "normal"))]
    general = others[(others["scale"] != 1) & (others["offset"] != 0)]
    others = others if general.empty else general
    others = others[others["dimension"] == others["dimension"].max()]
    others = others.sort_values(["scale", "offset"])
    middle = [str(name) for name in others["setting"]][len(others) // 2 :]
    return [*out, *middle][:2]


def with_cpu(cells: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    """The cells with the CPU seconds of one sample (`each`) and of one replicate so far (`cpu`).

    Time is measured once for each setting and sampler, and treated as proportional to samples.
    """
    keys = ["setting", "backend", "sampler"]
    traces = cost.dropna(subset=["setting"]).set_index(keys)
    each = (traces["cpu_seconds"] / traces["samples"].where(traces["samples"] > 0)).rename("each")
    out = cells.merge(each.reset_index(), on=keys, how="left")
    return out.assign(cpu=out["each"] * out["samples"])


def start_up(cost: pd.DataFrame, backend: str) -> float:
    """The CPU seconds of a job's start-up, which no trace includes; the median over jobs."""
    rows = cost[cost["backend"] == backend]
    whole = rows[rows["setting"].isna()].set_index("job")["cpu_seconds"]
    traces = rows[rows["setting"].notna()].groupby("job")["cpu_seconds"].sum()
    return float((whole - traces).median())
