"""The figure of RMSE against samples: all settings on one scale, and small multiples of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme

LINES, PANELS = 4, 4  # the most lines of a small panel, and the most small panels
VECTOR_POINTS = 1500  # more points than this are drawn as pixels


def draw(frames: Frames) -> tuple[Figure, dict[str, Any]]:
    """Draw RMSE / sqrt(V) of all settings in one panel, and some settings' RMSE in small ones.

    V is the variance of l under q, so an average of independent l has an RMSE of sqrt(V / n).
    """
    summary, settings = frames["summary"], frames["settings"]
    sampler = parts.plainest_sampler(summary["sampler"]) or "none"
    rows = summary[summary["sampler"] == sampler]
    estimator = parts.plainest_estimator(rows["estimator"]) or "none"
    rows = parts.one_backend(rows[rows["estimator"] == estimator]).sort_values("samples")
    variance = settings.set_index("setting")["log_ratio_variance"]
    rows = rows.assign(variance=rows["setting"].map(variance))
    # Of a constant l the exact error is 0, and the measured one is of rounding.
    largest = rows.groupby("setting")[["mse", "exact_mse"]].max()
    zero = {str(name) for name in largest.index[(largest == 0).any(axis=1)]}
    rows = rows[~rows["setting"].isin(zero)]
    groups = _groups(settings[settings["setting"].isin(rows["setting"])])

    small = max(len(groups), 1)
    fig = plt.figure(figsize=(theme.WIDTH, 4.1))
    cells = fig.add_gridspec(2, small, height_ratios=[1.25, 1])
    top = fig.add_subplot(cells[0, :])
    law = _square_root(sampler, estimator)
    _collapsed(top, rows, estimator, law)
    first: Axes | None = None
    about = settings.set_index("setting", drop=False)
    colours = {
        column: parts.colours_of(settings[column].dropna(), colour_map)
        for column, colour_map in (("scale", theme.SCALES), ("case", theme.CASES))
    }
    for j, (name, members) in enumerate(groups):
        ax = fig.add_subplot(cells[1, j], sharex=first, sharey=first)
        first = first or ax
        _multiple(ax, rows, about.loc[members], colours)
        ax.set_title(name)
        ax.tick_params(labelleft=j == 0)
        ax.set_xlabel("samples n")
    if first is not None:
        first.set_ylabel("RMSE (nats)")
        shown = rows[rows["setting"].isin([m for _, members in groups for m in members])]
        low, high = parts.y_limits(shown["rmse"].to_numpy(float))
        first.set_ylim(low / 6, high)  # with room for the names
        first.set_xlim(rows["samples"].min() / 1.5, rows["samples"].max() * 1.5)

    last = rows["samples"].max() if len(rows) else 1
    final = rows[rows["samples"] == last]
    off = (rows["mse"] - rows["exact_mse"]).abs() / rows["mse_std_error"]
    off = off[np.isfinite(off)]
    return fig, {
        "sampler": sampler,
        "estimator": estimator,
        "law": law,
        "replicates": int(rows["replicates"].min()) if len(rows) else 0,
        "samples": f"{last:,}",
        "settings": len(settings),
        "families": len(parts.families(settings)),
        "shown": sum(len(members) for _, members in groups),
        "zero": len(zero),
        "lowest": f"{final['rmse'].min():.2g}" if len(final) else "",
        "highest": f"{final['rmse'].max():.2g}" if len(final) else "",
        "agree": f"{100 * (off <= 1.96).mean():.0f}" if len(off) else "",
    }


def _square_root(sampler: str, estimator: str) -> bool:
    """Whether the variance is V / n, as for a mean of l over independent samples."""
    points = SAMPLERS[sampler].points if sampler in SAMPLERS else None
    return (
        points is not None and points.independent and not points.mirrored
        and ESTIMATORS[estimator].linear
    )  # fmt: skip


def _groups(settings: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """The small panels' titles and settings, from the smallest variance to the largest.

    There is a panel for each dimension, or family if there are several, and one for the cases.
    """
    grid, cases = settings[settings["case"].isna()], settings[settings["case"].notna()]
    by = "family" if len(parts.families(settings)) > 1 else "dimension"
    levels = parts.families(grid) if by == "family" else parts.distinct(grid[by])
    groups = [
        (str(level) if by == "family" else f"D = {level}", _spread(grid[grid[by] == level]))
        for level in parts.spaced(levels, PANELS - (not cases.empty))
    ]
    return groups if cases.empty else [*groups, ("cases", _spread(cases))]


def _spread(settings: pd.DataFrame) -> list[str]:
    """Settings spread over the range of variances, and the notebook's pair if it is one of them."""
    names = [str(x) for x in settings.sort_values("log_ratio_variance", kind="stable")["setting"]]
    out = parts.spaced(names, LINES)
    if "notebook" in names and "notebook" not in out:
        place = names.index("notebook")
        nearest = min(range(len(out)), key=lambda i: abs(names.index(out[i]) - place))
        out[nearest] = "notebook"
    return out


def _collapsed(ax: Axes, rows: pd.DataFrame, estimator: str, law: bool) -> None:
    """Draw RMSE / sqrt(V) of all settings, and the line n^-1/2."""
    ax.set_title("all settings: RMSE in units of √V, the standard deviation of ℓ")
    if rows.empty:
        parts.instead_of_data(ax, "the error is 0\nin every setting")
        return
    theme.decades(ax)
    ax.set_xlabel("samples n")
    ax.set_ylabel(f"RMSE of {estimator} / √V")
    n, ratio = rows["samples"].to_numpy(float), (rows["rmse"] / np.sqrt(rows["variance"]))
    levels, index = np.unique(n, return_inverse=True)
    # Settings with the same n are shown side by side, each at the same place in every run.
    places = np.zeros(len(n))
    for level in range(len(levels)):
        members = np.flatnonzero(index == level)
        places[members] = np.linspace(-0.5, 0.5, len(members)) if len(members) > 1 else 0.0
    width = 0.5 * (np.diff(np.log(levels)).min() if len(levels) > 1 else 0.5)
    dense = len(n) > VECTOR_POINTS
    ax.plot(
        n * np.exp(width * places), ratio, linestyle="none", marker="o",
        color=theme.ESTIMATOR_COLOURS.get(estimator, theme.TRUTH), markeredgewidth=0,
        markersize=1.4 if dense else 2.4, alpha=0.5, rasterized=dense,
    )  # fmt: skip
    ends = np.array([levels[0] / 1.5, levels[-1] * 1.5])
    ax.plot(ends, ends**-0.5, color=theme.TRUTH, linewidth=0.9, zorder=1)
    ax.set_xlim(*ends)
    ax.set_ylim(*parts.y_limits(np.append(ratio.to_numpy(float), ends**-0.5), 1.2))
    middle = float(np.sqrt(ends.prod()))
    text = "theory: 1/√n" if law else "1/√n, as for k1 over iid samples"
    ax.annotate(
        text, (middle, middle**-0.5), xytext=(14, 14), textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": theme.MUTED, "linewidth": 0.5}, va="center",
    )  # fmt: skip


def _multiple(
    ax: Axes, rows: pd.DataFrame, about: pd.DataFrame, colours: Mapping[str, Mapping[Any, str]]
) -> None:
    """Draw the RMSE of a few settings: theory as lines, measurements with intervals."""
    theme.decades(ax)
    step = math.ceil(rows["samples"].nunique() / 8)
    looks = [
        (row, colours["case"].get(row.case) or colours["scale"][row.scale], marker)
        for row, marker in zip(about.itertuples(), parts.MARKERS, strict=False)
    ]
    for row, colour, marker in looks:
        of_setting = rows[rows["setting"] == row.setting]
        parts.theory_line(ax, of_setting, colour)
        parts.rmse_with_bars(ax, of_setting[::-step], colour, marker, size=2.4)
    for row, colour, marker in looks[::-1]:
        varied = f"D = {row.dimension}, " if len(parts.distinct(about["dimension"])) > 1 else ""
        label = f"{varied}scale {row.scale:g}, offset {row.offset:g}"
        label = str(row.setting) if isinstance(row.case, str) else label
        ax.plot([], [], color=colour, marker=marker, markersize=2.4, linewidth=0.9, label=label)
    ax.legend(
        loc="lower left", fontsize=6, handlelength=1.2, labelspacing=0.15, borderaxespad=0.1,
        handletextpad=0.4,
    )  # fmt: skip
