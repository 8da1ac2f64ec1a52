"""The figure of RMSE against samples: small multiples over the sweep, with theory as lines."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.text import listed

COLUMNS, ROWS, LINES, CASES = 5, 4, 5, 5
POINTS = (15, 950)  # the most marks of a line, and of the whole figure
WORD = {"dimension": "D =", "scale": "scale", "offset": "offset", "family": ""}
PLURAL = {"family": "families"}
Role = tuple[str, int]


def draw(frames: Frames) -> tuple[Figure, dict[str, Any]]:
    """Draw the RMSE of one sampler and estimator against samples, in panels over the sweep.

    Columns are dimensions. Of scale and offset, the axis with more values makes the lines and the
    other one the rows. Cases have a panel of their own. If an axis has too many values, some at
    equal steps are shown. If the sweep has several families, these are the columns and dimensions
    the rows, and only the middle value of the shorter of scale and offset is shown.
    """
    rows, sampler, estimator = _chosen(frames["summary"])
    zero = _zero(rows)
    is_case = rows["scale"].isna()
    grid, cases = rows[~is_case], rows[is_case]
    axes_of, held = _roles(grid)
    middle = parts.middle(grid[held]) if held else None
    shown = {axis: parts.spaced(sorted(grid[axis].unique()), most) for axis, most in axes_of}
    (column, _), (row, _), (colour, _) = axes_of
    case_names = _cases(cases, zero)

    width = max(len(shown[column]), 1)
    height = len(shown[row]) if len(grid) else 0
    wide = width > 2
    inches = theme.WIDTH if wide else 3.5
    panel = 1.25 if wide else 1.6
    with_cases = bool(case_names)
    fig = plt.figure(figsize=(inches, panel * (height + with_cases) + 0.9))
    cells = fig.add_gridspec(height + with_cases, width)
    first: Axes | None = None
    panels: dict[tuple[int, int], Axes] = {}
    for i in range(height + with_cases):
        for j in range(width if i < height else 1):
            panels[i, j] = fig.add_subplot(cells[i, j], sharex=first, sharey=first)
            first = first or panels[i, j]

    lines = width * height * len(shown[colour]) + len(case_names)
    marks = max(min(POINTS[0], POINTS[1] // max(lines, 1)), 5)
    stride = max(math.ceil(rows["samples"].nunique() / marks), 1)
    colours = parts.sequential(max(len(shown[colour]), len(case_names)))
    ends: dict[tuple[int, int], list[tuple[float, str, str]]] = {at: [] for at in panels}
    by_setting = dict(list(rows.groupby("setting", sort=False)))
    of_middle = grid[grid[held] == middle] if held else grid
    place = of_middle.drop_duplicates("setting").set_index([row, column, colour])["setting"]
    names_shown = []
    for i, y in enumerate(shown[row]):
        for j, x in enumerate(shown[column]):
            nothing = []
            for k, z in enumerate(shown[colour]):
                if (y, x, z) not in place.index:
                    continue
                name = str(place[y, x, z])
                names_shown.append(name)
                if name in zero:
                    nothing.append(_value(z))
                    continue
                end = _line(panels[i, j], by_setting[name], colours[k], parts.MARKERS[k], stride)
                ends[i, j].append((end, f"{WORD[colour]} {_value(z)}", colours[k]))
            _note(panels[i, j], nothing, WORD[colour])
    for k, name in enumerate(case_names):
        end = _line(panels[height, 0], by_setting[name], colours[k], parts.MARKERS[k], stride)
        ends[height, 0].append((end, parts.short_label(name), colours[k]))
    case_zero = sorted(zero & set(cases["setting"]))
    if with_cases:
        _note(panels[height, 0], [parts.short_label(n) for n in case_zero[:2]], "")

    _axes(panels, rows, zero, height)
    for j, x in enumerate(shown[column] if height else []):
        panels[0, j].set_title(f"{WORD[column]} {_value(x)}".strip())
    for i, y in enumerate(shown[row] if height else []):
        panels[i, 0].set_ylabel(f"{WORD[row]} {_value(y)}\nRMSE (nats)")
    if with_cases:
        panels[height, 0].set_ylabel("cases\nRMSE (nats)" if height else "RMSE (nats)")

    replicates = int(rows["replicates"].min()) if len(rows) else 0
    settings = rows["setting"].nunique()
    omitted = [
        f"{len(shown[axis])} of {grid[axis].nunique()} {PLURAL.get(axis, axis + 's')}"
        for axis, _ in axes_of if len(shown[axis]) < grid[axis].nunique()
    ]  # fmt: skip
    if held and len(parts.distinct(grid[held])) > 1:
        omitted.append(f"{held} {_value(middle)} of {grid[held].nunique()} {held}s")
    if len(case_names) + len(case_zero) < cases["setting"].nunique():
        omitted.append(f"{len(case_names)} of {cases['setting'].nunique()} cases")
    _key(fig, cells, height, width, with_cases, sampler, estimator, replicates, omitted)
    layout = fig.get_layout_engine()
    assert layout is not None
    layout.execute(fig)
    for at, labels in ends.items():
        # The panels of a row have the same lines, so each row has one set of labels.
        if at[1] == width - 1 or at[0] == height:
            ax = panels[at]
            already = len(ax.texts)
            parts.end_labels(ax, labels, gap=9.0 / 72.0 / _inches_high(ax))
            for label in ax.texts[already:]:
                label.set_in_layout(at[1] == width - 1)

    # The layout is computed once, and not again for every format.
    layout.execute(fig)
    fig.set_layout_engine("none")

    last = rows["samples"].max() if len(rows) else 1
    final = rows[(rows["samples"] == last) & ~rows["setting"].isin(zero)]
    inside = _within(rows[~rows["setting"].isin(zero)])
    numbers = {
        "sampler": sampler,
        "estimator": estimator,
        "replicates": replicates,
        "samples": f"{last:,}",
        "settings": settings,
        "families": grid["family"].nunique(),
        "unit_slope": bool(len(final)) and _square_root(sampler, estimator),
        "shown": len(names_shown) + len(case_names),
        "stride": stride,
        "omitted": listed(omitted),
        "zero": len(zero),
        "zero_words": _zero_words(grid[grid["setting"].isin(zero)], case_zero),
        "lowest": f"{final['rmse'].min():.2g}" if len(final) else "",
        "highest": f"{final['rmse'].max():.2g}" if len(final) else "",
        "agree": "" if inside is None else f"{100 * inside:.0f}",
    }
    return fig, numbers


def _chosen(summary: pd.DataFrame) -> tuple[pd.DataFrame, str, str]:
    """The rows of the simplest sampler and estimator (iid and k1 if possible), and their names."""
    sampler = parts.plainest_sampler(summary["sampler"]) or "none"
    rows = summary[summary["sampler"] == sampler]
    estimator = parts.plainest_estimator(rows["estimator"]) or "none"
    rows = parts.one_backend(rows[rows["estimator"] == estimator])
    return rows.sort_values(["setting", "samples"]), sampler, estimator


def _square_root(sampler: str, estimator: str) -> bool:
    """Whether the error is exactly proportional to n^-1/2, as for a mean over independent units."""
    return SAMPLERS[sampler].points.independent and ESTIMATORS[estimator].linear


def _value(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _inches_high(ax: Axes) -> float:
    return float(ax.get_window_extent().height / ax.figure.dpi)


def _zero(rows: pd.DataFrame) -> set[str]:
    """Settings whose error is exactly 0, which a log axis cannot show."""
    worst = rows.groupby("setting")[["exact_mse", "rmse"]].max()
    return set(worst.index[(worst["exact_mse"] == 0) | (worst["rmse"] == 0)])


def _zero_words(grid: pd.DataFrame, cases: list[str]) -> str:
    if not len(grid):
        words = [f"case ``{name}``" for name in cases[:5]]
        if len(cases) > 5:
            words.append(f"{len(cases) - 5} more cases")
        return listed(words)
    pairs = sorted({(s, o) for s, o in zip(grid["scale"], grid["offset"], strict=True)})
    words = [f"scale {_value(s)} with offset {_value(o)}" for s, o in pairs[:3]]
    if len(pairs) > 3:
        words.append(f"{len(pairs) - 3} more pairs of scale and offset")
    if len(cases) > 3:
        return listed([*words, f"{len(cases)} cases"])
    return listed(words + [f"case ``{name}``" for name in cases])


def _roles(grid: pd.DataFrame) -> tuple[tuple[Role, Role, Role], str | None]:
    """The axes of the sweep as (column, row, colour), each with the most values to show.

    With several families, the axis that is left is returned too.
    """
    many = {axis: grid[axis].nunique() for axis in ("dimension", "scale", "offset")}
    colour, other = ("scale", "offset") if many["scale"] >= many["offset"] else ("offset", "scale")
    if len(parts.distinct(grid["family"])) > 1:
        return (("family", COLUMNS), ("dimension", ROWS), (colour, LINES)), other
    if many[colour] <= 1 < many["dimension"]:
        return ((other, COLUMNS), (colour, ROWS), ("dimension", LINES)), None
    if many["dimension"] <= 1:
        return ((other, COLUMNS), ("dimension", ROWS), (colour, LINES)), None
    return (("dimension", COLUMNS), (other, ROWS), (colour, LINES)), None


def _cases(cases: pd.DataFrame, zero: set[str]) -> list[str]:
    """The case `notebook`, and other cases spread over the range of errors."""
    errors = cases[~cases["setting"].isin(zero)].groupby("setting")["rmse"].last()
    names = [str(name) for name in errors.sort_values().index]
    first = [name for name in names if name == "notebook"]
    rest = [name for name in names if name != "notebook"]
    return first + parts.spaced(rest, CASES - len(first))


def _line(ax: Axes, rows: pd.DataFrame, colour: str, marker: str, stride: int) -> float:
    """Draw theory as a line and measurements as marks; returns the value at the line's end."""
    n, rmse = rows["samples"].to_numpy(), rows["rmse"].to_numpy()
    exact = np.sqrt(rows["exact_mse"].to_numpy())
    known = np.isfinite(exact) & (exact > 0)
    on = parts.spaced(np.flatnonzero(known).tolist(), 15)
    ax.plot(
        n[on], exact[on], color=colour, linewidth=1.0, alpha=0.55, zorder=1, markersize=8,
        marker="_" if len(on) == 1 else "",
    )  # fmt: skip
    at = np.flatnonzero(rmse > 0)[::-1][::stride]
    parts.rmse_with_bars(ax, rows.iloc[at], colour, marker, size=2.2)
    return float(exact[known][-1] if known.any() else rmse[at][-1])


def _within(rows: pd.DataFrame) -> float | None:
    """The share of measured mean squares within 1.96 standard errors of the exact ones."""
    off = (rows["mse"] - rows["exact_mse"]).abs() / rows["mse_std_error"]
    off = off[np.isfinite(off)]
    return float((off <= 1.96).mean()) if len(off) else None


def _note(ax: Axes, names: list[str], word: str) -> None:
    if names and ax.lines:
        text = f"{word} {listed(names)}".strip() if len(names) < 3 else "some"
        text = f"{text}: error 0"
        ax.text(
            0.04, 0.05, text, transform=ax.transAxes, fontsize=6.5, color=theme.MUTED, va="bottom"
        )


def _axes(
    panels: dict[tuple[int, int], Axes], rows: pd.DataFrame, zero: set[str], height: int
) -> None:
    used = rows[~rows["setting"].isin(zero)]
    for (i, j), ax in panels.items():
        ax.set_xscale("log")
        ax.set_yscale("log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(10.0, numticks=6))
            axis.set_minor_locator(NullLocator())
        lowest = i >= height - 1
        ax.tick_params(labelbottom=lowest, labelleft=j == 0)
        if lowest:
            ax.set_xlabel("samples n")
        if not len(used):
            parts.instead_of_data(ax, "the error is 0\nin every setting")
    if not len(used):
        return
    first = next(iter(panels.values()))
    n, rmse = used["samples"], used["rmse"].to_numpy()
    first.set_xlim(n.min() / 1.5, n.max() * 1.5)
    low, high = np.log10(parts.y_limits(rmse, room=1.5))
    # There must be room below for notes on errors of 0, which a log axis cannot show.
    first.set_ylim(10.0 ** (low - (0.12 * (high - low) if zero else 0.0)), 10.0**high)


def _key(
    fig: Figure, cells: Any, height: int, width: int,
    with_cases: bool, sampler: str, estimator: str, replicates: int, omitted: list[str],
) -> None:  # fmt: skip
    """Explain the marks, beside the cases if there is room, and else above the panels."""
    ink = theme.TRUTH
    handles = [
        Line2D([], [], color=ink, marker="o", markersize=2.8, linestyle="none"),
        Line2D([], [], color=ink, alpha=0.55, linewidth=1.0),
    ]
    many = f"{replicates} replicate{'s' if replicates != 1 else ''}"
    interval = "; bar: 95 % interval" if replicates > 1 else ""
    labels = [f"measured, {many}{interval}", "theory"]
    title = f"Sampler {sampler}, estimator {estimator}"
    if omitted:
        title += f"; shown: {listed(omitted)}"
    common = {"handles": handles, "labels": labels, "alignment": "left", "borderaxespad": 0.2}
    if with_cases and height and width > 2:
        ax = fig.add_subplot(cells[height, 1:])
        ax.set_axis_off()
        title = "\n".join(textwrap.wrap(title, 68))
        ax.legend(loc="center left", bbox_to_anchor=(0.2, 0.4), title=title, **common)
    else:
        title = "\n".join(textwrap.wrap(title, 110 if width > 2 else 52))
        fig.legend(
            loc="outside upper left", title=title, title_fontsize=7.5,
            ncols=2 if width > 2 else 1, **common,
        )  # fmt: skip
