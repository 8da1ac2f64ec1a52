"""What several figures share: names of settings, points with uncertainty, labels apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import sweep_pair
from mckl.show.figures.theme import MUTED

T = TypeVar("T")


def ordered(present: pd.Series, known: Iterable[str]) -> list[str]:
    """The names that are present: the known ones in their order, then the others."""
    names = set(present)
    first = [name for name in known if name in names]
    return first + sorted(names - set(first))


def powers_of_two(samples: pd.Series) -> pd.Series:
    """Whether each number of samples is a power of two."""
    return (samples & (samples - 1)) == 0


def one_backend(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of one backend: numpy where it was run, else the first by name."""
    backends = sorted(set(frame["backend"]))
    chosen = "numpy" if "numpy" in backends or not backends else backends[0]
    return frame[frame["backend"] == chosen]


def first_of(wanted: Sequence[str], present: pd.Series) -> str | None:
    """The first wanted name that is present, else the first present, None of nothing."""
    names = sorted(set(present))
    return next((name for name in wanted if name in names), names[0] if names else None)


def plainest_sampler(present: pd.Series) -> str | None:
    """The sampler of a figure that shows one: the first registered of those that are present."""
    return first_of([*SAMPLERS], present)


def plainest_cells(frames: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, str | None]:
    """The rows of the table summary at powers of two, of one backend and sampler, and the latter.

    With the column theory of the table of that name.
    """
    summary = one_backend(frames["summary"])
    sampler = plainest_sampler(summary["sampler"])
    keys = ["setting", "sampler", "estimator", "samples"]
    summary = summary[(summary["sampler"] == sampler) & powers_of_two(summary["samples"])]
    return summary.merge(frames["theory"][[*keys, "theory"]], how="left", on=keys), sampler


def plainest_estimator(present: pd.Series) -> str | None:
    """The estimator of a figure that shows one: the first whose bias vanishes, if there is one."""
    return first_of(sorted(ESTIMATORS, key=lambda e: not ESTIMATORS[e].consistent), present)


def title(row: pd.Series, *, family: bool | None = None) -> str:
    """A setting in words: its case, or where it stands in the sweep.

    The family is named where it is not normal, or always or never, as `family` says.
    """
    dimension = f"D = {int(row['dimension'])}"
    if isinstance(row["case"], str):
        return f"case {row['case']}, {dimension}"
    named = row["family"] != "normal" if family is None else family
    of = f"{row['family']}, " if named else ""
    return f"{of}{dimension}, scale {row['scale']:g}, offset {row['offset']:g}"


def families(settings: pd.DataFrame) -> list[str]:
    """The families of the sweep, in the order of the table."""
    return [str(name) for name in settings.loc[settings["case"].isna(), "family"].unique()]


def distinct(values: Iterable[Any]) -> list[Any]:
    """The different values, in ascending order."""
    return sorted(set(values))


def middle(values: Iterable[Any]) -> Any:
    """The middle one of the different values, of two the larger."""
    known = distinct(values)
    return known[len(known) // 2]


def by_family(settings: pd.DataFrame, most: int) -> list[str]:
    """Of at most `most` families of the sweep one setting each; none where there is one family.

    All have one dimension, the smallest, one scale and one offset: if there are such, a scale
    other than 1 and an offset other than 0, the least for which k3's variance is finite in some
    families alone.
    """
    grid = settings[settings["case"].isna()]
    if len(families(settings)) < 2:
        return []
    grid = grid[grid["dimension"] == grid["dimension"].min()]
    general = grid[(grid["scale"] != 1) & (grid["offset"] != 0)]
    grid = grid if general.empty else general
    differ = grid.groupby(["scale", "offset"])["k3_variance_finite"].nunique()
    scale, offset = differ.idxmax() if differ.max() > 1 else middle(differ.index)
    here = grid[(grid["scale"] == scale) & (grid["offset"] == offset)]
    return spaced([str(name) for name in here["setting"]], most)


def ratio_border(family: str, offset: float = 0.0) -> float:
    """The scale from which E r^2 is infinite, by bisection; inf where it is finite up to 16."""

    def finite(scale: float) -> bool:
        return sweep_pair(family, 1, scale, offset).law.is_finite((-2, -2))

    low, high = 1.0, 16.0
    if finite(high):
        return math.inf
    while high - low > 1e-9:
        between = 0.5 * (low + high)
        low, high = (between, high) if finite(between) else (low, between)
    return high


def rmse_with_bars(
    ax: Axes, rows: pd.DataFrame, colour: str, marker: str, *, filled: bool = True,
    size: float = 3.2, x: str = "samples",
) -> None:  # fmt: skip
    """Measured RMSE against samples, or column `x`, with the replicates' 95 % interval."""
    n, mse = rows[x].to_numpy(float), rows["mse"].to_numpy(float)
    error = np.nan_to_num(1.96 * rows["mse_std_error"].to_numpy(float))
    low = np.sqrt(np.maximum(mse - error, 0.04 * mse))  # an interval down to 0 has no log
    ax.vlines(n, low, np.sqrt(mse + error), color=colour, linewidth=0.7, zorder=2.5)
    face = colour if filled else "none"
    ax.plot(
        n, np.sqrt(mse), linestyle="none", marker=marker, markersize=size, color=colour,
        markerfacecolor=face, markeredgecolor=colour, markeredgewidth=0.7, zorder=3,
    )  # fmt: skip


def apart(values: Sequence[float], low: float, high: float, gap: float) -> list[float]:
    """The positions nearest to `values`, in order, that keep `gap` between neighbours."""
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


def end_labels(
    ax: Axes, ends: Sequence[tuple[float, str, str]], gap: float = 0.085, fontsize: float = 7.0
) -> None:
    """Names at the right of a log-scaled panel, each beside its value, never on another.

    `ends` is (value, text, colour); the axis limits must be set before.
    """
    low, high = (math.log10(y) for y in ax.get_ylim())
    at = [(math.log10(value) - low) / (high - low) for value, _, _ in ends]
    for y, (_, text, colour) in zip(apart(at, 0.02, 0.98, gap), ends, strict=True):
        ax.text(
            1.02, y, text, transform=ax.transAxes, color=colour, fontsize=fontsize,
            va="center", ha="left", fontweight="bold",
        )  # fmt: skip


def message(ax: Axes, text: str) -> None:
    """A panel that says why it is empty."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED, wrap=True
    )


def y_limits(values: Vector, room: float = 1.6) -> tuple[float, float]:
    """Limits of a log axis about the positive finite values; (0.1, 1) if there are none."""
    good = values[np.isfinite(values) & (values > 0)]
    if not good.size:
        return 0.1, 1.0
    return float(good.min() / room), float(good.max() * room)


# Their shapes differ as well, for greyscale.
MARKERS = ("o", "s", "^", "D", "v", "P")


def spaced(values: Sequence[T], most: int) -> list[T]:
    """At most `most` of the values, evenly spaced by rank, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[i] for i in np.linspace(0, len(values) - 1, most).round().astype(int)]


def sequential(number: int) -> list[str]:
    """Colours from dark to light whose order survives greyscale and colour blindness."""
    palette = matplotlib.colormaps["viridis"]
    return [to_hex(palette(x)) for x in np.linspace(0.0, 0.72, number)]


def chi_square_band(replicates: int) -> tuple[float, float]:
    """Where 95 % of measured RMSE / exact RMSE fall when the estimates are normal."""
    from scipy.special import chdtri  # here, for it takes longer than drawing most figures

    low, high = (math.sqrt(chdtri(replicates, p) / replicates) for p in (0.975, 0.025))
    return low, high


def shortened(name: str, most: int = 16) -> str:
    """A name that fits beside a panel."""
    return name if len(name) <= most else name[: most - 1] + "…"


def thinned(length: int) -> Vector:
    """Indices that draw a long path on a linear axis: the first 200, every tenth, the last."""
    early = np.arange(min(200, length))
    return np.unique(np.concatenate([early, np.arange(0, length, 10), [length - 1]])).astype(int)


def setting(settings: pd.DataFrame, name: str) -> pd.Series:
    """The row of a setting."""
    return settings[settings["setting"] == name].iloc[0]


def two_settings(settings: pd.DataFrame) -> list[str]:
    """The notebook's pair, if it is there, and a general setting of the largest dimension.

    Of a sweep over several families the latter is of the first that is not normal.
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
    """The cells with the CPU seconds a sample (`each`) and of one replicate so far (`cpu`).

    The clock is read once a setting and sampler; within it the time is in proportion to the
    samples.
    """
    keys = ["setting", "backend", "sampler"]
    traces = cost.dropna(subset=["setting"]).set_index(keys)
    each = (traces["cpu_seconds"] / traces["samples"].where(traces["samples"] > 0)).rename("each")
    out = cells.merge(each.reset_index(), on=keys, how="left")
    return out.assign(cpu=out["each"] * out["samples"])


def start_up(cost: pd.DataFrame, backend: str) -> float:
    """CPU seconds of a job that no trace accounts for, in the median job."""
    rows = cost[cost["backend"] == backend]
    whole = rows[rows["setting"].isna()].set_index("job")["cpu_seconds"]
    traces = rows[rows["setting"].notna()].groupby("job")["cpu_seconds"].sum()
    return float((whole - traces).median())
