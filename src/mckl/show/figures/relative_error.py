"""The figure of what a setting needs: sqrt(V) / KL, which decides the samples for an error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from mckl.show.figures import Frames, parts, theme
from mckl.text import rounded

GROUPS, DIMENSIONS = 16, 6  # the most rows, and the most dimensions in a row


def draw(frames: Frames) -> tuple[Figure, dict[str, Any]]:
    """Draw sqrt(V) / KL of the settings in rows, with the samples that follow from it above."""
    settings = frames["settings"]
    positive = settings[settings["kl"] > 0].assign(
        relative=lambda t: np.sqrt(t["log_ratio_variance"]) / t["kl"]
    )
    positive = positive[positive["relative"] > 0].sort_values("relative", kind="stable")
    groups, left_out = _groups(positive)
    high = max(1.6, 0.155 * len(groups) + 0.85)
    fig, ax = plt.subplots(figsize=(theme.WIDTH, high))
    _needed(ax, groups)
    return fig, {
        "settings": len(settings),
        "zero": len(settings) - len(positive),
        "left_out": left_out,
        "groups": len(groups),
        "easiest": _words(positive, 0),
        "hardest": _words(positive, -1),
    }


def _words(relative: pd.DataFrame, rank: int) -> dict[str, str] | None:
    """A setting in words, and the samples that it takes for 1 %."""
    if not len(relative):
        return None
    row = relative.iloc[rank]
    return {"setting": parts.title(row), "one": rounded((row["relative"] / 0.01) ** 2)}


def _groups(relative: pd.DataFrame) -> tuple[list[tuple[str, pd.DataFrame]], int]:
    """The rows of the right panel, the hardest first, and the number of rows without room.

    A row is a family, scale and offset with all dimensions, or a case.
    """
    grid = relative[relative["scale"].notna()]
    several = len(parts.distinct(grid["family"])) > 1
    groups = [
        (f"{f'{family}, ' if several else ''}scale {scale:g}, offset {offset:g}", rows)
        for (family, scale, offset), rows in grid.groupby(["family", "scale", "offset"])
    ]
    cases = [
        (f"{parts.short_label(str(row['setting']))} (D = {row['dimension']})", relative.loc[[at]])
        for at, row in relative[relative["scale"].isna()].iterrows()
    ]
    everything = sorted(
        groups + cases, key=lambda group: float(group[1]["relative"].max()), reverse=True
    )
    shown = parts.spaced(everything, GROUPS)
    notebook = [g for g in cases if str(g[1]["setting"].iloc[0]) == "notebook"]
    if notebook and not any(label == notebook[0][0] for label, _ in shown):
        place = everything.index(notebook[0])
        nearest = min(range(len(shown)), key=lambda i: abs(everything.index(shown[i]) - place))
        shown[nearest] = notebook[0]
    return shown, len(everything) - len(shown)


def _needed(ax: Axes, groups: Sequence[tuple[str, pd.DataFrame]]) -> None:
    """Draw a row for each scale and offset, a mark for each dimension, and the samples above."""
    if not groups:
        parts.instead_of_data(ax, parts.NO_KL)
        return
    everything = pd.concat([rows for _, rows in groups])
    grid = everything[everything["scale"].notna()]
    dimensions = parts.spaced(sorted(grid["dimension"].unique()), DIMENSIONS)
    colours = parts.colours_of(grid["dimension"], theme.DIMENSIONS)
    marks = dict(zip(dimensions, parts.MARKERS, strict=False))
    values = everything["relative"]
    low, high = float(values.min()) / 1.6, float(values.max()) * 1.6
    if high / low < 100:
        middle = (low * high) ** 0.5
        low, high = middle / 10.0, middle * 10.0
    theme.log_axis(ax, "x", 7)
    ax.set_xlim(low, high)
    labelled = False
    for y, (_, rows) in enumerate(groups):
        ax.plot(
            [rows["relative"].min(), rows["relative"].max()], [y, y],
            color="#BBBBBB", linewidth=0.8, zorder=1,
        )  # fmt: skip
        if rows["scale"].isna().any():
            ax.plot(rows["relative"], [y], "*", color=theme.TRUTH, markersize=5.5, zorder=3)
            continue
        shown = rows[rows["dimension"].isin(dimensions)]
        for dimension, value in zip(shown["dimension"], shown["relative"], strict=True):
            ax.plot(
                value, y, marker=marks[dimension], color=colours[dimension], markersize=3.8,
                markeredgewidth=0, zorder=3,
            )  # fmt: skip
        if not labelled:
            _name_dimensions(ax, shown.sort_values("relative"), y, colours)
            labelled = True
    ax.set_ylim(len(groups) - 0.4, -1.2)
    parts.name_rows(ax, [label for label, _ in groups])
    ax.set_xlabel("√V / KL: relative RMSE of one sample")
    above = ax.secondary_xaxis("top", functions=(_samples, _relative))
    above.set_xlabel("samples n for a relative RMSE of 1 % (for 10 %, a hundredth)")
    powers = 10.0 ** np.arange(math.ceil(math.log10(_samples(low))), math.log10(_samples(high)))
    above.xaxis.set_major_locator(FixedLocator(powers.tolist()))
    above.xaxis.set_minor_locator(NullLocator())
    above.xaxis.set_major_formatter(theme.plain_number)


def _samples(relative: Any) -> Any:
    """The samples for a relative RMSE of 1 %, given that of one sample."""
    return np.square(np.asarray(relative) / 0.01)


def _relative(samples: Any) -> Any:
    """The inverse of `_samples`."""
    return 0.01 * np.sqrt(np.maximum(samples, 0.0))


def _name_dimensions(ax: Axes, rows: pd.DataFrame, y: float, colours: Mapping[int, str]) -> None:
    """Write dimensions over their marks, moved apart where they would touch."""
    low, high = np.log10(ax.get_xlim())
    shares = ((np.log10(rows["relative"]) - low) / (high - low)).tolist()
    texts = [f"{dimension}" for dimension in rows["dimension"]]
    texts[-1] = f"D = {texts[-1]}"
    widest = max(len(text) for text in texts[:-1]) if len(texts) > 1 else 1
    places = parts.apart(shares, 0.012 * widest, 0.98, 0.022 * (widest + 0.8))
    for place, text, dimension in zip(places, texts, rows["dimension"], strict=True):
        last = text.startswith("D")
        ax.annotate(
            text, (place, y), (-2.0 if last else 0.0, 3.2), xycoords=ax.get_yaxis_transform(),
            textcoords="offset points", ha="left" if last else "center", va="bottom",
            fontsize=6, color=colours[dimension],
        )  # fmt: skip
