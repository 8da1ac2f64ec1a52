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

from mckl.estimation.budget import REACHED
from mckl.show.figures import Frames, parts, theme
from mckl.text import duration, two_digits

_seconds = partial(duration, finest="ns")


def _prices(budget: pd.DataFrame, cost: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """The CPU seconds of the samples that the best estimator needs, by setting and sampler."""
    reached = budget[budget["verdict"].isin(REACHED) & budget["samples_needed"].notna()]
    best = reached.sort_values(["samples_needed", "estimator"]).groupby(
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
        colour, marker = parts.sampler_look(sampler)
        dashes = theme.SAMPLER_DASHES.get(sampler, "-")
        parts.theory_line(ax, rows[rows["exact_mse"] > 0], colour, x="cpu", dashes=dashes)
        parts.rmse_with_bars(ax, rows, colour, marker, x="cpu")
        ends.append((float(rows["rmse"].iloc[-1]), sampler, colour))
    ax.set_ylim(*parts.y_limits(np.sqrt(cells["mse"].to_numpy(float))))
    parts.end_labels(ax, ends, gap=0.095)


def _prices_panel(
    ax: Axes, prices: pd.DataFrame, samplers: list[str], start: float, empty: str
) -> None:
    """Draw the CPU seconds for the tolerance in all settings, with a row for each sampler."""
    if prices.empty:
        parts.instead_of_data(ax, empty)
        return
    samplers = [name for name in samplers if (prices["sampler"] == name).any()]
    theme.log_axis(ax, "x")
    for y, sampler in enumerate(samplers):
        values = prices.loc[prices["sampler"] == sampler, "cpu"].tolist()
        parts.strip(ax, y, values, *parts.sampler_look(sampler))
        ax.text(
            1.02, y, f"median\n{_seconds(float(np.median(values)))}", fontsize=6.5, va="center",
            transform=ax.get_yaxis_transform(),
        )  # fmt: skip
    drawn = prices["cpu"].to_numpy(float)
    if math.isfinite(start) and start > 0:
        drawn = np.append(drawn, start)
        ax.axvline(start, color=theme.TRUTH, linewidth=0.8, linestyle="--")
        ax.annotate(
            f"start-up of a job\n{_seconds(start)}, not added", (start, 0.02),
            xycoords=("data", "axes fraction"), xytext=(-3, 0), textcoords="offset points",
            fontsize=6.5, ha="right",
        )  # fmt: skip
    ax.set_xlim(*parts.y_limits(drawn, 2.5))
    ax.set_ylim(len(samplers) - 0.2, -0.6)
    parts.name_rows(ax, samplers, colours=[parts.sampler_look(name)[0] for name in samplers])


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw RMSE against CPU seconds in two settings, and CPU seconds for a tolerance in all."""
    settings, summary, cost, budget = (
        frames[name] for name in ("settings", "summary", "cost", "budget")
    )
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
    names = parts.two_settings(parts.with_samplers(settings, cells))

    fig = plt.figure(figsize=(theme.WIDTH, 3.9 if len(names) > 1 else 2.6))
    grid = fig.add_gridspec(len(names), 2)
    axes = [fig.add_subplot(grid[i, 0]) for i in range(len(names))]
    for ax, name in zip(axes, names, strict=True):
        row = parts.setting(settings, name)
        _falling(ax, cells[cells["setting"] == name], samplers, row)
        ax.set_title(parts.title(row))
        ax.set_ylabel(f"RMSE of {estimator} (nats)")
    axes[-1].set_xlabel("CPU seconds of one replicate")
    right = fig.add_subplot(grid[:, 1])
    zero = bool((settings["kl"] == 0).all())
    empty = "KL is 0 in every setting:\nno relative error is defined"
    _prices_panel(
        right, prices, samplers, start, empty if zero else "no estimator is known to reach it"
    )
    right.set_title(f"time to a relative RMSE of {100 * tolerance:g} %, all settings")
    right.set_xlabel("CPU seconds, best estimator")
    return fig, {
        "estimator": estimator,
        "backend": backend,
        "others": [name for name in others if name != backend],
        "replicates": int(cells["replicates"].max()),
        "tolerance": f"{100 * tolerance:g} %",
        "start": _seconds(start) if math.isfinite(start) and start > 0 else "",
        "all_zero": zero,
        **_numbers(prices),
    }


def _numbers(prices: pd.DataFrame) -> dict[str, Any]:
    """The cheapest sampler and its gain, which compares samplers in the same setting."""
    plain = parts.plainest_sampler(prices["sampler"])
    if plain is None:
        return {"best": ""}
    wide = prices.pivot_table(index="setting", columns="sampler", values="cpu")
    gains = wide.rdiv(wide[plain], axis=0)
    ranks = gains.median().dropna().sort_values(ascending=False, kind="stable")
    best, second = [*map(str, ranks.index), ""][:2]
    return {
        "best": best,
        "plain": plain,
        "second": second,
        "settings": len(wide),
        "time": _seconds(float(wide[best].median())),
        "plain_time": _seconds(float(wide[plain].median())),
        "gain": two_digits(float(ranks.iloc[0])),
        "second_gain": two_digits(float(ranks.iloc[1])) if second else "",
    }
