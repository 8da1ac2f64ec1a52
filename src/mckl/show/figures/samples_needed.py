"""The figure of samples needed for a tolerance over scale and offset, and of what needs fewest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, to_rgb
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import NullFormatter

from mckl.draw.points import SAMPLERS
from mckl.estimation.budget import BIASED, FAR, INFINITE, REACHED, UNKNOWN, ZERO
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.text import rounded

_ROWS = 5  # the most dimensions, or families, that are shown
_CASES = 12  # the most cases that are shown if there is no sweep
_TEXT = 30  # the most cells of a panel that are labelled
_WIDE = 5  # the most scales of a panel whose cells are labelled
_TICKS = 4
_SPAN = 1e5  # the largest ratio on the colour scale
_SMALL = 6.0  # points
_ROUNDED_FROM = 10_000  # smaller numbers of samples are written in full
# Cells without a number have a sign, or a pattern if cells are too small for signs.
_SIGNS: Mapping[str, tuple[str, str, str]] = {
    INFINITE: ("∞", "xxxxxx", "infinite variance"),
    FAR: ("> 10¹⁸", "++++++", "over 10¹⁸"),
    BIASED: ("bias", "//////", "bias above the tolerance"),
    UNKNOWN: ("?", "......", "no theory"),
    ZERO: ("–", "", "KL is 0"),
}


class _Block(NamedTuple):
    """A row of panels: the name of each cell's setting, shape (len(y), len(x)), or ""."""

    title: str
    x: list[str]
    y: list[str]
    settings: list[list[str]]

    @property
    def labelled(self) -> bool:
        return len(self.x) * len(self.y) <= _TEXT and len(self.x) <= _WIDE

    def table(self, values: Mapping[str, Any], missing: Any) -> np.ndarray:
        """The value of each cell's setting."""
        return np.array([[values.get(s, missing) for s in row] for row in self.settings])


def _blocks(settings: pd.DataFrame) -> list[_Block]:
    """A block for each dimension of the sweep; or for each family, in the middle dimension."""
    grid = settings[settings["case"].isna()]
    if grid.empty:
        names = parts.spaced(settings["setting"].tolist(), _CASES)
        title = "cases" if len(names) == len(settings) else f"{len(names)} of {len(settings)} cases"
        return [
            _Block(title, [""], [parts.short_label(n, 14) for n in names], [[n] for n in names])
        ]
    by = "dimension"
    if len(parts.families(grid)) > 1:
        by, grid = "family", grid[grid["dimension"] == parts.middle(grid["dimension"])]
    levels = parts.families(grid) if by == "family" else parts.distinct(grid[by])
    out = []
    for level in parts.spaced(levels, _ROWS):
        rows = grid[grid[by] == level]
        scales, offsets = parts.distinct(rows["scale"]), parts.distinct(rows["offset"])
        of_cell = {(r.scale, r.offset): str(r.setting) for r in rows.itertuples()}
        cells = [[of_cell.get((s, o), "") for s in scales] for o in offsets]
        title = f"D = {level}" if by == "dimension" else str(level)
        out.append(
            _Block(title, [f"{s:.3g}" for s in scales], [f"{o:.3g}" for o in offsets], cells)
        )
    return out


def _frame(ax: Axes, block: _Block, bottom: bool, left: bool) -> None:
    ax.set_xlim(0, len(block.x))
    ax.set_ylim(0, len(block.y))
    ax.grid(visible=False)
    ax.set_facecolor("#F0F0F0")
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color("#999999")
    for axis, names, shown in ((ax.xaxis, block.x, bottom), (ax.yaxis, block.y, left)):
        ticks = parts.spaced(range(len(names)), len(names) if block.labelled else _TICKS)
        axis.set_ticks([i + 0.5 for i in ticks], [names[i] if shown else "" for i in ticks])
        axis.set_tick_params(length=0 if block.labelled else 2)


def _cell_text(ax: Axes, x: int, y: int, text: str, colour: str, size: float = _SMALL) -> None:
    ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=size, color=colour,
            linespacing=1.0, in_layout=False)  # fmt: skip


def _heat(
    ax: Axes, block: _Block, needed: pd.Series, look: tuple[Colormap, LogNorm],
    names: Mapping[str, str],
) -> Any:  # fmt: skip
    """Colour the cells by the samples, and write them with the names below."""
    colours, norm = look
    values = block.table({str(k): float(n) for k, n in needed.items()}, math.nan)
    mesh = ax.pcolormesh(np.ma.masked_invalid(values), cmap=colours, norm=norm, linewidth=0)
    mesh.set_rasterized(not block.labelled)
    for (y, x), n in np.ndenumerate(values if block.labelled else np.empty(0)):
        if math.isfinite(n):
            red, green, blue = to_rgb(colours(norm(n)))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            number = f"{n:,.0f}" if n < _ROUNDED_FROM else rounded(n)
            text = f"{number}\n{names.get(block.settings[y][x], '')}".rstrip()
            _cell_text(ax, x, y, text, "white" if dark else "black")
    return mesh


def _signs(ax: Axes, block: _Block, verdicts: np.ndarray) -> set[str]:
    """Mark the cells without a number; returns the verdicts that occur."""
    present = set()
    for verdict, (sign, hatch, _) in _SIGNS.items():
        cells = np.argwhere(verdicts == verdict)
        if not len(cells):
            continue
        present.add(verdict)
        # The cells are one patch, so that a pattern has no seams.
        square = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)], dtype=float)
        squares = (Path(square + np.array((x, y)), closed=True) for y, x in cells)
        patch = PathPatch(Path.make_compound_path(*squares))
        patch.set(facecolor="#F0F0F0", edgecolor="#8A8A8A", linewidth=0)
        ax.add_patch(patch)
        if not block.labelled:
            patch.set(hatch=hatch, rasterized=True)
            continue
        for y, x in cells:
            _cell_text(ax, x, y, sign, "#333333", 9.0 if verdict == INFINITE else _SMALL)
    return present


def _winners(
    rows: pd.DataFrame, samplers: Sequence[str], estimators: Sequence[str]
) -> pd.DataFrame:
    """The row that needs the fewest samples, by setting; the simplest of equal ones."""
    reached = rows[rows["verdict"].isin(REACHED) & rows["samples_needed"].notna()]
    order = reached.assign(
        e=reached["estimator"].map({n: i for i, n in enumerate(estimators)}),
        s=reached["sampler"].map({n: i for i, n in enumerate(samplers)}),
    )
    return order.sort_values(["samples_needed", "e", "s"]).groupby("setting").first()


def _columns(estimators: Sequence[str]) -> list[str]:
    """The plainest estimator, and the plainest mean of a sum over factors."""
    plain = parts.plainest_estimator(pd.Series(estimators))
    by_factor = [
        name for name in estimators
        if name in ESTIMATORS and ESTIMATORS[name].sums
        and ESTIMATORS[name].consistent and ESTIMATORS[name].parameters == 1
    ]  # fmt: skip
    return list(dict.fromkeys([*([plain] if plain else []), *by_factor[:1]]))


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw heat maps of the samples needed by exact theory, and of what needs the fewest."""
    settings, budget = frames["settings"], frames["budget"]
    tolerance = parts.tolerance(budget)
    rows = budget[budget["tolerance"] == tolerance].astype({"samples_needed": float})
    estimators = parts.ordered(rows["estimator"], theme.ESTIMATOR_COLOURS)
    samplers = parts.ordered(rows["sampler"], theme.SAMPLER_COLOURS)
    sampler = parts.plainest_sampler(rows["sampler"]) or next(iter(SAMPLERS))
    blocks, winners = _blocks(settings), _winners(rows, samplers, estimators)
    shown = {s for block in blocks for row in block.settings for s in row}
    columns = _columns(
        parts.ordered(rows.loc[rows["setting"].isin(shown), "estimator"], ESTIMATORS)
    )
    reference = (columns or [*ESTIMATORS])[0]
    numbers = _numbers(rows, settings, winners, (sampler, reference), blocks)
    if rows.empty or (rows["verdict"] == ZERO).all():
        return parts.empty_figure(parts.NO_KL), numbers
    plain = rows[rows["sampler"] == sampler]
    each = {name: plain[plain["estimator"] == name].set_index("setting") for name in columns}
    names = {str(row.Index): f"{row.estimator}\n{row.sampler}" for row in winners.itertuples()}
    panels: list[tuple[str, pd.DataFrame, dict[str, str]]] = [
        (f"{name}, {sampler}", each[name], {}) for name in columns
    ]
    if len(winners):
        panels.append(("the fewest of all", winners, names))

    lines = [0.31 * len(block.y) + 0.15 if block.labelled else 1.0 for block in blocks]
    fig, axes = plt.subplots(
        len(blocks), len(panels), squeeze=False, height_ratios=lines,
        width_ratios=[1.0] * len(columns) + [1.45] * (len(panels) - len(columns)),
        figsize=(theme.WIDTH, sum(lines) + 1.2),
    )  # fmt: skip
    drawn = pd.concat([table["samples_needed"] for _, table, _ in panels])
    drawn = drawn[drawn.index.isin(shown)].dropna()
    low, high = (max(drawn.min(), 1.0), drawn.max()) if len(drawn) else (1.0, 10.0)
    # Cells with far more samples than the others share the last colour.
    end = min(max(high, 10.0 * low), low * _SPAN)
    look = (matplotlib.colormaps["viridis_r"], LogNorm(low, end))
    present: set[str] = set()
    for i, block in enumerate(blocks):
        for j, (title, table, winner) in enumerate(panels):
            ax = axes[i, j]
            _frame(ax, block, bottom=i == len(blocks) - 1, left=j == 0)
            mesh = _heat(ax, block, table["samples_needed"], look, winner)
            told = rows[rows["verdict"] == ZERO].set_index("setting") if winner else table
            verdicts = {str(k): str(v) for k, v in told["verdict"].items()}
            present |= _signs(ax, block, block.table(verdicts, ""))
            ax.set_title(f"{block.title}: {title}")
    if blocks[0].x != [""]:
        for ax in axes[:, 0]:
            ax.set_ylabel("offset")
        for ax in axes[-1]:
            ax.set_xlabel("scale")
    bar = fig.colorbar(
        mesh, ax=axes, location="bottom", pad=0.02, aspect=60, format=theme.plain_number,
        extend="max" if high > end else "neither",
    )  # fmt: skip
    bar.ax.xaxis.set_minor_formatter(NullFormatter())
    bar.set_label(f"samples for a relative RMSE of {100 * tolerance:g} %")
    _key(fig, present, all(block.labelled for block in blocks))
    return fig, numbers


def _key(fig: matplotlib.figure.Figure, present: set[str], labelled: bool) -> None:
    """Explain the signs and patterns, below the panels."""
    handles, texts = [], []
    for verdict, (sign, hatch, meaning) in _SIGNS.items():
        if verdict in present:
            patch = Rectangle((0, 0), 1, 1, facecolor="#F0F0F0", edgecolor="#8A8A8A", linewidth=0)
            patch.set_hatch("" if labelled else hatch)
            handles.append(patch)
            texts.append(f"{sign}  {meaning}" if labelled else meaning)
    if handles:
        fig.legend(
            handles, texts, loc="outside lower center", ncols=len(handles), fontsize=6.5,
            handlelength=0 if labelled else 1.6,
        )  # fmt: skip


def _numbers(
    rows: pd.DataFrame, settings: pd.DataFrame, winners: pd.DataFrame, plainest: tuple[str, str],
    blocks: Sequence[_Block],
) -> dict[str, Any]:  # fmt: skip
    sampler, reference = plainest
    counts = (winners["estimator"] + "/" + winners["sampler"]).value_counts()
    plain = rows[(rows["sampler"] == sampler) & (rows["estimator"] == reference)]
    needed = plain.set_index("setting")["samples_needed"].dropna()
    gains = (needed / winners["samples_needed"]).dropna()
    measured = rows[rows["samples_needed_measured"].notna() & rows["samples_needed"].notna()]
    inside = (measured["samples_needed_low"] <= measured["samples_needed"]) & ~(
        measured["samples_needed_high"] < measured["samples_needed"]
    )
    grid = settings["case"].isna()
    return {
        "tolerance": f"{100 * rows['tolerance'].iloc[0]:g} %" if len(rows) else "",
        "sampler": sampler,
        "reference": reference,
        "settings": len(settings),
        "shown": len(blocks),
        "dimensions": settings[grid]["dimension"].nunique(),
        "families": len(parts.families(settings)),
        "dimension": int(parts.middle(settings.loc[grid, "dimension"])) if grid.any() else 0,
        "fewest": [
            dict(zip(("estimator", "sampler"), str(name).split("/"), strict=True))
            | {"settings": int(n)}
            for name, n in counts.items()
        ],
        "median": rounded(float(needed.median())) if len(needed) else None,
        "most": rounded(float(needed.max())) if len(needed) else None,
        "most_setting": parts.named(settings, needed.idxmax()) if len(needed) else None,
        "gain": rounded(float(gains.median())) if len(gains) else None,
        "zero": int(rows[rows["verdict"] == ZERO]["setting"].nunique()),
        "measured": f"{len(measured):,}",
        "inside": f"{100 * inside.mean():.0f} %" if len(measured) else None,
    }
