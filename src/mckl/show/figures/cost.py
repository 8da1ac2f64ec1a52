"""The figure of error per CPU second, which compares samplers by time and not by samples."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from mckl.draw.points import SAMPLERS
from mckl.estimation.budget import REACHED
from mckl.show.figures import Frames, parts, theme
from mckl.text import duration, two_digits

_DIMENSIONS = 6  # the most dimensions that are shown
_SPREAD = 0.68  # the share of a dimension's width that its samplers take
# A sampler's marker is shown beside its name, for readers who see no colours.
_GLYPHS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "P": "✚", "v": "▼", "*": "★"}
_seconds = partial(duration, finest="ns")


def _look(sampler: str) -> tuple[str, str]:
    """The colour and the marker of a sampler."""
    colour = theme.SAMPLER_COLOURS.get(sampler, theme.TRUTH)
    return colour, theme.SAMPLER_MARKERS.get(sampler, "X")


def _name(sampler: str) -> str:
    """The label of a sampler: its marker and its name."""
    return f"{_GLYPHS.get(_look(sampler)[1], '✖')} {sampler}"


def _prices(budget: pd.DataFrame, cost: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """The CPU seconds of the samples that the best estimator needs, by setting and sampler."""
    known = budget[budget["verdict"].isin(REACHED) & budget["samples_needed"].notna()]
    best = known.sort_values(["samples_needed", "estimator"]).groupby(
        ["setting", "sampler"], as_index=False
    )
    cells = best.first().rename(columns={"samples_needed": "samples"})
    cells["samples"] = cells["samples"].astype(float)
    cells = parts.with_cpu(cells.assign(backend=cost["backend"].iloc[0]), cost)
    return cells[cells["cpu"] > 0].merge(settings[["setting", "dimension"]], on="setting")


def _falling(ax: Axes, cells: pd.DataFrame, samplers: list[str], row: pd.Series) -> None:
    """Draw RMSE against the CPU seconds of one replicate."""
    theme.decades(ax)
    cells = cells[(cells["mse"] > 0) & (cells["cpu"] > 0)]
    if cells.empty:
        parts.instead_of_data(ax, "every error is 0" if row["kl"] == 0 else "nothing was timed")
        return
    ends = []
    for sampler in samplers:
        rows = cells[cells["sampler"] == sampler].sort_values("samples")
        if rows.empty:
            continue
        colour, marker = _look(sampler)
        exact = rows[np.isfinite(rows["exact_mse"]) & (rows["exact_mse"] > 0)]
        ax.plot(exact["cpu"], np.sqrt(exact["exact_mse"]), color=colour)
        parts.rmse_with_bars(ax, rows, colour, marker, x="cpu")
        ends.append((float(rows["rmse"].iloc[-1]), _name(sampler), colour))
    ax.set_ylim(*parts.y_limits(np.sqrt(cells["mse"].to_numpy(float))))
    parts.end_labels(ax, ends, gap=0.095)


def _ranges(ax: Axes, prices: pd.DataFrame, samplers: list[str], start: float, empty: str) -> None:
    """Draw the CPU seconds for the tolerance by dimension: median, quartiles, all settings."""
    ax.set_xlabel("dimension D")
    if prices.empty:
        parts.instead_of_data(ax, empty)
        return
    dimensions = parts.spaced(sorted(set(prices["dimension"])), _DIMENSIONS)
    samplers = [name for name in samplers if (prices["sampler"] == name).any()]
    ax.set_yscale("log")
    step = _SPREAD / max(len(samplers) - 1, 1)
    ends = []
    for i, sampler in enumerate(samplers):
        colour, marker = _look(sampler)
        shift = step * (i - (len(samplers) - 1) / 2)
        of = prices[prices["sampler"] == sampler].groupby("dimension")["cpu"]
        low, first, middle, third, high = (
            of.quantile(q).reindex(dimensions).to_numpy(float) for q in (0, 0.25, 0.5, 0.75, 1)
        )
        at = np.arange(len(dimensions)) + shift
        ax.plot(at, middle, color=colour, linewidth=0.5, linestyle=":")
        ax.vlines(at, low, high, color=colour, linewidth=0.6)
        ax.vlines(at, first, third, color=colour, linewidth=2.4, alpha=0.55)
        ax.plot(
            at, middle, linestyle="none", marker=marker, color=colour,
            markersize=5.4 if marker in "^v" else 4.6, markeredgecolor="white",
            markeredgewidth=0.4, zorder=3,
        )  # fmt: skip
        last = middle[np.isfinite(middle)]
        if last.size:
            ends.append((float(last[-1]), _name(sampler), colour))
    drawn = prices["cpu"].to_numpy(float)
    if math.isfinite(start) and start > 0:
        drawn = np.append(drawn, start)
        ax.axhline(start, color=theme.TRUTH, linewidth=0.8, linestyle="--")
        ax.annotate(
            f"start-up of a job, {_seconds(start)}: paid once, not added", (0, start),
            xycoords=("axes fraction", "data"), xytext=(3, 3), textcoords="offset points",
            fontsize=7, color=theme.TRUTH,
        )  # fmt: skip
    ax.set_ylim(*parts.y_limits(drawn, 2.5))
    ax.yaxis.set_major_locator(LogLocator(10.0, numticks=12))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlim(-0.55, len(dimensions) - 0.45)
    ax.set_xticks(range(len(dimensions)), [f"{int(d)}" for d in dimensions])
    ax.xaxis.grid(visible=False)
    for edge in range(1, len(dimensions)):
        ax.axvline(edge - 0.5, color="#E4E4E4", linewidth=0.5)
    parts.end_labels(ax, ends, gap=0.042)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw RMSE against CPU seconds in two settings, and CPU seconds for a tolerance in all.

    Parameters
    ----------
    frames
        The tables summary, cost, settings and budget.

    Returns
    -------
    The figure, and the numbers that its caption quotes.
    """
    settings, summary, cost, budget = (
        frames[name] for name in ("settings", "summary", "cost", "budget")
    )
    budget["verdict"] = budget["verdict"].astype(object)
    others = sorted(set(summary["backend"]))
    summary, cost = parts.one_backend(summary), parts.one_backend(cost)
    backend = str(cost["backend"].iloc[0])
    tolerance = parts.tolerance(budget)
    rows = budget[budget["tolerance"] == tolerance]
    prices = _prices(rows, cost, settings)
    start = parts.start_up(cost, backend)
    estimator = str(parts.plainest_estimator(summary["estimator"]))
    cells = summary[(summary["estimator"] == estimator) & parts.powers_of_two(summary["samples"])]
    cells = parts.with_cpu(cells, cost)
    samplers = parts.ordered(cells["sampler"], theme.SAMPLER_COLOURS)
    names = parts.two_settings(settings)

    fig = plt.figure(figsize=(theme.WIDTH, 4.4 if len(names) > 1 else 3.0))
    grid = fig.add_gridspec(len(names), 2, width_ratios=(1.0, 1.35))
    axes = [fig.add_subplot(grid[i, 0]) for i in range(len(names))]
    for ax, name, letter in zip(axes, names, "ab", strict=False):
        row = parts.setting(settings, name)
        _falling(ax, cells[cells["setting"] == name], samplers, row)
        ax.set_title(f"({letter}) {parts.title(row)}", fontsize=7.5)
        ax.set_ylabel(f"RMSE of {estimator} (nats)")
    axes[-1].set_xlabel("CPU seconds of one replicate")
    right = fig.add_subplot(grid[:, 1])
    zero = bool((settings["kl"] == 0).all())
    empty = "KL is 0 in every setting:\nno relative error is defined"
    _ranges(right, prices, samplers, start, empty if zero else "no estimator is known to reach it")
    right.set_title(
        f"({'abc'[len(names)]}) CPU seconds to a relative RMSE of {100 * tolerance:g} %",
        fontsize=7.5,
    )
    right.set_ylabel("CPU seconds, best estimator")
    return fig, {
        "estimator": estimator,
        "backend": backend,
        "others": [name for name in others if name != backend],
        "chosen": len(names),
        "replicates": int(cells["replicates"].max()),
        "tolerance": f"{100 * tolerance:g} %",
        "start": _seconds(start) if math.isfinite(start) and start > 0 else "",
        "all_zero": zero,
        **_numbers(prices, start),
    }


def _numbers(prices: pd.DataFrame, start: float) -> dict[str, Any]:
    """The cheapest sampler and its gain, which compares samplers in the same setting."""
    plain = parts.plainest_sampler(prices["sampler"])
    if plain is None:
        return {"best": ""}
    wide = prices.pivot_table(index="setting", columns="sampler", values="cpu")
    gains = wide.rdiv(wide[plain], axis=0)
    ranks = gains.median().dropna().sort_values(ascending=False, kind="stable")
    best, second = [*map(str, ranks.index), ""][:2]
    dimension = prices.drop_duplicates("setting").set_index("setting")["dimension"]
    by = gains[best].groupby(dimension).median().dropna()
    of_best = prices[prices["sampler"] == best]
    pairs = [name for name, sampler in SAMPLERS.items() if sampler.points.mirrored]
    one_pair = prices[prices["sampler"].isin(pairs) & (prices["samples"] <= 2)]
    return {
        "best": best,
        "plain": plain,
        "second": second,
        "settings": len(wide),
        "time": _seconds(float(wide[best].median())),
        "plain_time": _seconds(float(wide[plain].median())),
        "gain": two_digits(float(ranks.iloc[0])),
        "second_gain": two_digits(float(ranks.iloc[1])) if second else "",
        "estimators": parts.ordered(of_best["estimator"], theme.ESTIMATOR_COLOURS),
        "first": {"dimension": int(by.index[0]), "gain": two_digits(float(by.iloc[0]))},
        "last": {"dimension": int(by.index[-1]), "gain": two_digits(float(by.iloc[-1]))},
        "cheapest": int((wide.idxmin(axis=1) == best).sum()),
        "one_pair": int(one_pair["setting"].nunique()),
        "longest": _seconds(float(prices["cpu"].max())),
        "covers": bool(start > prices["cpu"].max()),
    }
