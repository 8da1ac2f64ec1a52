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

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS
from mckl.estimation.budget import BIASED, FAR, INFINITE, LEADING, OK, UNKNOWN, ZERO
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.text import brief, rounded, two_digits

_COLUMNS = 5  # the most dimensions, or families, that are shown
_CASES = 12  # the most cases that are shown if there is no sweep
_TEXT = 30  # the most cells of a panel that are labelled
_TICKS = 4
_SPAN = 1e5  # the largest ratio on the colour scale
# Cells without a number have a sign, or a pattern if cells are too small for signs.
_SIGNS: Mapping[str, tuple[str, str, str]] = {
    INFINITE: ("∞", "xxxxxx", "infinite variance"),
    FAR: (">10¹⁸", "++++++", "over 10¹⁸"),
    BIASED: ("bias", "//////", "bias above the tolerance"),
    UNKNOWN: ("?", "......", "no theory"),
    ZERO: ("–", "", "KL is 0"),
}


class _Block(NamedTuple):
    """A column of panels: the name of each cell's setting, shape (len(y), len(x)), or ""."""

    title: str
    x: list[str]
    y: list[str]
    settings: list[list[str]]

    @property
    def labelled(self) -> bool:
        return len(self.x) * len(self.y) <= _TEXT and len(self.x) <= 6


def _blocks(settings: pd.DataFrame) -> list[_Block]:
    grid = settings[settings["case"].isna()]
    if grid.empty:
        names = parts.spaced(settings["setting"].tolist(), _CASES)
        return [_Block("named pairs", [parts.short_label(n, 10) for n in names], [""], [names])]
    out = []
    for title, here in _columns(grid):
        scales, offsets = sorted(set(here["scale"])), sorted(set(here["offset"]))
        at = {(r.scale, r.offset): r.setting for r in here.itertuples()}
        cells = [[str(at.get((s, o), "")) for s in scales] for o in offsets]
        out.append(
            _Block(
                title,
                [f"{s:.3g}" for s in scales],
                [f"{o:.3g}" for o in offsets],
                cells,
            )
        )
    return out


def _columns(grid: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The dimensions of the sweep; or, if there are several families, each in the middle one."""
    families = parts.families(grid)
    if len(families) > 1:
        grid = grid[grid["dimension"] == parts.middle(grid["dimension"])]
        dimension = int(grid["dimension"].iloc[0])
        return [
            (f"{name}\nD = {dimension}", grid[grid["family"] == name])
            for name in parts.spaced(families, _COLUMNS)
        ]
    return [
        (f"D = {int(dimension)}", grid[grid["dimension"] == dimension])
        for dimension in parts.spaced(sorted(set(grid["dimension"])), _COLUMNS)
    ]


def _dark(colour: Any) -> bool:
    r, g, b = to_rgb(colour)
    return 0.299 * r + 0.587 * g + 0.114 * b < 0.5


def _frame(ax: Axes, block: _Block, bottom: bool, left: bool) -> None:
    ax.set_xlim(0, len(block.x))
    ax.set_ylim(0, len(block.y))
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color("#999999")
    for axis, names, shown in ((ax.xaxis, block.x, bottom), (ax.yaxis, block.y, left)):
        at = parts.spaced(range(len(names)), len(names) if block.labelled else _TICKS)
        axis.set_ticks([i + 0.5 for i in at], [names[i] if shown else "" for i in at])
        axis.set_tick_params(length=0 if block.labelled else 2, labelsize=6.5)
    if block.y == [""]:  # names
        plt.setp(ax.get_xticklabels(), rotation=60, ha="right", rotation_mode="anchor")


def _cell_text(ax: Axes, x: int, y: int, text: str, colour: str, size: float = 5.6) -> None:
    ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=size, color=colour,
            linespacing=0.95, in_layout=False)  # fmt: skip


def _heat(
    ax: Axes, block: _Block, values: Vector, colours: Colormap, norm: LogNorm, times: str = ""
) -> Any:
    mesh = ax.pcolormesh(np.ma.masked_invalid(values), cmap=colours, norm=norm, linewidth=0)
    mesh.set_rasterized(not block.labelled)
    if block.labelled:
        for (y, x), n in np.ndenumerate(values):
            if math.isfinite(n):
                ink = "white" if _dark(colours(norm(n))) else "black"
                _cell_text(ax, x, y, brief(n) + times, ink)
    return mesh


def _squares(cells: Sequence[tuple[int, int]]) -> PathPatch:
    """The cells as one patch, in which a pattern has no seams."""
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)], dtype=float)
    return PathPatch(Path.make_compound_path(*(Path(square + at, closed=True) for at in cells)))


def _signs(ax: Axes, block: _Block, verdicts: np.ndarray) -> set[str]:
    """Mark the cells without a number; returns the verdicts that occur."""
    found = set()
    for verdict, (sign, hatch, _) in _SIGNS.items():
        cells = np.argwhere(verdicts == verdict)
        if not len(cells):
            continue
        found.add(verdict)
        patch = _squares([(x, y) for y, x in cells])
        patch.set(facecolor="#F0F0F0", edgecolor="#8A8A8A", linewidth=0)
        ax.add_patch(patch)
        if not block.labelled:
            patch.set(hatch=hatch, rasterized=True)
            continue
        for y, x in cells:
            _cell_text(ax, x, y, sign, "#333333", 9.0 if verdict == INFINITE else 5.6)
    return found


class _Need:
    """The rows of one tolerance, by (setting, sampler, estimator)."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        keys = list(zip(rows["setting"], rows["sampler"], rows["estimator"], strict=True))
        self._needed = dict(zip(keys, rows["samples_needed"].astype(float), strict=True))
        self._verdict = dict(zip(keys, rows["verdict"], strict=True))

    def needed(self, block: _Block, sampler: str, estimator: str) -> Vector:
        return np.array(
            [[self._needed.get((s, sampler, estimator), math.nan) for s in row]
             for row in block.settings]
        )  # fmt: skip

    def verdicts(self, block: _Block, sampler: str, estimator: str) -> np.ndarray:
        return np.array(
            [[self._verdict.get((s, sampler, estimator), "") for s in row]
             for row in block.settings], dtype=object
        )  # fmt: skip


def _winners(
    rows: pd.DataFrame, samplers: Sequence[str], estimators: Sequence[str]
) -> pd.DataFrame:
    """The row that needs the fewest samples, by setting; the simplest of equal ones."""
    known = rows[rows["verdict"].isin((OK, LEADING)) & rows["samples_needed"].notna()]
    order = known.assign(
        e=known["estimator"].map({n: i for i, n in enumerate(estimators)}),
        s=known["sampler"].map({n: i for i, n in enumerate(samplers)}),
    )
    return order.sort_values(["samples_needed", "e", "s"]).groupby("setting").first()


def _face(sampler: str) -> tuple[Any, str]:
    """The tint of a sampler, and its full colour."""
    colour = theme.SAMPLER_COLOURS.get(sampler, theme.MUTED)
    return tuple(0.45 + 0.55 * c for c in to_rgb(colour)), colour


def _who(ax: Axes, block: _Block, winners: pd.DataFrame) -> set[tuple[str, str]]:
    """Colour the cells by sampler; small cells have a pattern too, and large ones names."""
    names = dict(
        zip(winners.index, zip(winners["estimator"], winners["sampler"], strict=True), strict=True)
    )
    cells = {
        (x, y): names.get(setting)
        for y, row in enumerate(block.settings)
        for x, setting in enumerate(row)
        if setting
    }
    for sampler in sorted({name[1] for name in cells.values() if name}):
        light, colour = _face(sampler)
        patch = _squares([at for at, name in cells.items() if name and name[1] == sampler])
        patch.set(facecolor=light, edgecolor=colour, linewidth=0)
        if block.labelled:
            patch.set(edgecolor="white", linewidth=0.5)
        else:
            patch.set(hatch=theme.SAMPLER_HATCHES.get(sampler, ""), rasterized=True)
        ax.add_patch(patch)
    if block.labelled:
        for (x, y), name in cells.items():
            text = f"{name[0]}\n{SAMPLERS[name[1]].short}" if name else "–"
            _cell_text(ax, x, y, text, "black" if name else "#555555", 5.0)
    return {name for name in cells.values() if name}


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw heat maps of the samples needed by exact theory, and of what needs the fewest.

    Parameters
    ----------
    frames
        The tables budget and settings.

    Returns
    -------
    The figure, and the numbers that its caption quotes.
    """
    settings = frames["settings"]
    budget = frames["budget"]
    budget["verdict"] = budget["verdict"].astype(object)
    tolerance = parts.tolerance(budget)
    rows = budget[budget["tolerance"] == tolerance]
    estimators = parts.ordered(rows["estimator"], theme.ESTIMATOR_COLOURS)
    samplers = parts.ordered(rows["sampler"], theme.SAMPLER_COLOURS)
    sampler = parts.plainest_sampler(rows["sampler"]) or next(iter(SAMPLERS))
    blocks, need = _blocks(settings), _Need(rows)
    shown = {s for block in blocks for row in block.settings for s in row}
    winners = _winners(rows, samplers, estimators)
    reference = (estimators or [*ESTIMATORS])[0]
    if rows.empty or (rows["verdict"] == ZERO).all():
        fig, ax = plt.subplots(figsize=(theme.WIDTH, 1.5))
        parts.instead_of_data(ax, parts.NO_KL)
        return fig, _numbers(rows, settings, winners, sampler, reference, blocks)
    # Some estimators for policies have no row in a sweep of other families.
    of_grid = set(rows.loc[rows["setting"].isin(shown), "estimator"])
    lines = [e for e in estimators if e in of_grid]
    lines += ["fewest", "gain"] if len(winners) else []
    height = 1.05 if len(blocks[0].y) > 1 else 0.5
    fig, axes = plt.subplots(
        len(lines), len(blocks), squeeze=False,
        figsize=(theme.WIDTH, height * len(lines) + (0.9 if height > 1 else 1.4)),
    )  # fmt: skip
    drawn = rows[rows["setting"].isin(shown) & (rows["sampler"] == sampler)]["samples_needed"]
    drawn = drawn.dropna()
    low, high = (drawn.min(), drawn.max()) if len(drawn) else (1.0, 10.0)
    low = max(low, 1.0)
    end = min(
        max(high, 10.0 * low), low * _SPAN
    )  # cells with far more samples than the others share the last colour
    norm = LogNorm(low, end)
    colours = matplotlib.colormaps["viridis_r"]
    found: set[str] = set()
    pairs: set[tuple[str, str]] = set()
    gains = _gains(winners, rows, sampler, reference)
    most = float(gains[gains.index.isin(shown)].max()) if len(gains) else 10.0
    gain_norm = LogNorm(1.0, max(most, 10.0) if math.isfinite(most) else 10.0)
    greys = matplotlib.colormaps["Greys"]
    meshes = {}
    for j, block in enumerate(blocks):
        for i, line in enumerate(lines):
            ax = axes[i, j]
            _frame(ax, block, bottom=i == len(lines) - 1, left=j == 0)
            if line == "fewest":
                pairs |= _who(ax, block, winners)
            elif line == "gain":
                values = np.array([[gains.get(s, math.nan) for s in row] for row in block.settings])
                meshes["gain"] = _heat(ax, block, values, greys, gain_norm, "×")
                if block.labelled:
                    for (y, x), n in np.ndenumerate(values):
                        if not math.isfinite(n) and block.settings[y][x]:
                            _cell_text(ax, x, y, "–", "#555555")
            else:
                values = need.needed(block, sampler, line)
                meshes["needed"] = _heat(ax, block, values, colours, norm)
                found |= _signs(ax, block, need.verdicts(block, sampler, line))
        axes[0, j].set_title(block.title, fontsize=8)
    for i, line in enumerate(lines):
        name = {"fewest": "fewest\nsamples", "gain": f"fewer than\n{reference}, {sampler}"}
        text = name.get(line, f"{line}, {sampler}")
        colour = theme.ESTIMATOR_COLOURS.get(line, theme.TRUTH)
        axes[i, 0].annotate(
            text, (0, 0.5), xycoords="axes fraction", xytext=(-34, 0), textcoords="offset points",
            rotation=90, ha="center", va="center", fontsize=7.5, color=colour, fontweight="bold",
        )  # fmt: skip
    if len(blocks[0].y) > 1:
        axes[0, 0].annotate(
            "offset", (0, 1), xycoords="axes fraction", xytext=(-4, 4), ha="right",
            textcoords="offset points", fontsize=7,
        )  # fmt: skip
        for ax in axes[-1]:
            ax.set_xlabel("scale", fontsize=7, labelpad=2)
    if "needed" in meshes:
        bar = fig.colorbar(
            meshes["needed"],
            ax=axes[: len(estimators), :],
            pad=0.01,
            aspect=35,
            extend="max" if high > end else "neither",
        )
        bar.set_label(f"samples for a relative RMSE of {tolerance:g}", fontsize=7)
        bar.ax.tick_params(labelsize=6.5)
    if "gain" in meshes:
        bar = fig.colorbar(meshes["gain"], ax=axes[len(estimators) :, :], pad=0.01, aspect=16)
        bar.set_label("times fewer", fontsize=7)
        bar.ax.tick_params(labelsize=6.5)
    _key(fig, found, pairs, blocks)
    return fig, _numbers(rows, settings, winners, sampler, reference, blocks)


def _gains(winners: pd.DataFrame, rows: pd.DataFrame, sampler: str, reference: str) -> pd.Series:
    """The samples of the reference divided by those of the winner, by setting."""
    plain = rows[(rows["sampler"] == sampler) & (rows["estimator"] == reference)]
    needed = plain.set_index("setting")["samples_needed"].astype(float)
    return (needed / winners["samples_needed"].astype(float)).dropna()


def _key(
    fig: matplotlib.figure.Figure, found: set[str], pairs: set[tuple[str, str]],
    blocks: Sequence[_Block],
) -> None:  # fmt: skip
    """Explain the signs and patterns, below the panels."""
    labelled = all(block.labelled for block in blocks)
    handles = []
    for verdict, (sign, hatch, meaning) in _SIGNS.items():
        if verdict in found:
            patch = Rectangle((0, 0), 1, 1, facecolor="#F0F0F0", edgecolor="#8A8A8A", linewidth=0)
            patch.set_hatch("" if labelled else hatch)
            handles.append((patch, f"{sign}  {meaning}" if labelled else meaning))
    if not labelled:
        for estimator, sampler in sorted(pairs):
            light, colour = _face(sampler)
            patch = Rectangle((0, 0), 1, 1, facecolor=light, edgecolor=colour, linewidth=0)
            patch.set_hatch(theme.SAMPLER_HATCHES.get(sampler, ""))
            handles.append((patch, f"fewest: {estimator}, {sampler}"))
    if handles:
        fig.legend(
            [h for h, _ in handles], [t for _, t in handles], loc="outside lower center",
            ncols=min(len(handles), 4), fontsize=6.5, handlelength=0 if labelled else 1.6,
            handletextpad=0.3 if labelled else 0.6, columnspacing=1.8,
        )  # fmt: skip


def _numbers(
    rows: pd.DataFrame, settings: pd.DataFrame, winners: pd.DataFrame, sampler: str,
    reference: str, blocks: Sequence[_Block],
) -> dict[str, Any]:  # fmt: skip
    names = winners["estimator"].astype(str) + "/" + winners["sampler"].astype(str)
    counts = names.value_counts()
    plain = rows[(rows["sampler"] == sampler) & (rows["estimator"] == reference)]
    needed = plain.set_index("setting")["samples_needed"].dropna()
    gains = _gains(winners, rows, sampler, reference)
    measured = rows[rows["samples_needed_measured"].notna() & rows["samples_needed"].notna()]
    inside = (measured["samples_needed_low"] <= measured["samples_needed"]) & ~(
        measured["samples_needed_high"] < measured["samples_needed"]
    )
    grid = settings["case"].isna()
    dimensions = settings[grid]["dimension"].nunique()
    return {
        "tolerance": f"{100 * rows['tolerance'].iloc[0]:g} %" if len(rows) else "",
        "sampler": sampler,
        "reference": reference,
        "settings": len(settings),
        "shown": len(blocks),
        "dimensions": dimensions,
        "families": len(parts.families(settings)),
        "dimension": int(parts.middle(settings.loc[grid, "dimension"])) if grid.any() else 0,
        "fewest": [
            dict(zip(("estimator", "sampler"), str(name).split("/"), strict=True))
            | {"settings": int(n)}
            for name, n in counts.items()
        ],
        "median": rounded(float(needed.median())) if len(needed) else None,
        "most": rounded(float(needed.max())) if len(needed) else None,
        "most_setting": str(needed.idxmax()) if len(needed) else None,
        "gain": two_digits(float(gains.median())) if len(gains) else None,
        "infinite": int(
            rows[(rows["sampler"] == sampler) & (rows["verdict"] == INFINITE)]["setting"].nunique()
        ),
        "elsewhere": len(counts) > 0 and not str(counts.index[0]).endswith(f"/{sampler}"),
        "zero": int(rows[rows["verdict"] == ZERO]["setting"].nunique()),
        "measured": len(measured),
        "inside": f"{100 * inside.mean():.0f} %" if len(measured) else None,
    }
