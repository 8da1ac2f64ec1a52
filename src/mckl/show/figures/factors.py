"""The figure that compares estimators by factor with those of the whole l, by relative RMSE."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mckl.estimation.budget import BIASED, INFINITE, REACHED
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import FAMILIES
from mckl.show.figures import Frames, parts, theme
from mckl.text import two_digits

# A biased estimator of the whole l is so far off with many factors that it would set the scale.
SHOWN = [name for name, e in ESTIMATORS.items() if e.sums or e.consistent]
_SCALE, _OFFSET, _TOLERANCE = 1.0, 0.25, 0.01  # shown if the study has them
_DECADES = 1e5  # the largest ratio of errors that the panels span
_NEVER = (BIASED, INFINITE)
_NO_SETTING = "no setting with several coordinates or tokens"


def product_setting(settings: pd.DataFrame, by_factor: set[str]) -> pd.Series | None:
    """The setting with independent coordinates: if possible, the sweep's normal with the largest D.

    `by_factor` has the names of the settings for which the study has estimators by factor.
    """
    rows = settings[
        (settings["kl"] > 0) & (settings["dimension"] > 1) & ~_is_policy(settings["family"])
    ]
    if rows.empty:
        return None
    ranks = pd.DataFrame(
        {
            "factors": ~rows["setting"].isin(by_factor),
            "case": rows["case"].notna(),
            "family": rows["family"] != "normal",
            "dimension": -rows["dimension"],
            "scale": np.log(rows["scale"] / _SCALE).abs(),
            "offset": (rows["offset"] - _OFFSET).abs(),
        }
    )
    order = rows.loc[ranks.sort_values([*ranks], kind="stable").index]
    return order.iloc[0]


def policy_setting(settings: pd.DataFrame) -> pd.Series | None:
    """The policy that is shown: the case `chain`, or else the one whose KL is nearest to 1 nat."""
    rows = settings[(settings["kl"] > 0) & _is_policy(settings["family"])]
    if rows.empty:
        return None
    far = np.log(rows["kl"]).abs().where(rows["case"] != "chain", -1.0)
    return rows.assign(far=far).sort_values("far", kind="stable").iloc[0]


def _is_policy(family: pd.Series) -> pd.Series:
    sequential = [name for name, family in FAMILIES.items() if family.sequential]
    return family.str.partition("(")[0].isin(sequential)


def _needs(budget: pd.DataFrame, setting: str) -> dict[str, str]:
    """The samples for the tolerance by estimator; "never" if no number is enough."""
    out = {}
    rows = budget[budget["setting"] == setting]
    for name, samples, verdict in zip(
        rows["estimator"], rows["samples_needed"], rows["verdict"], strict=True
    ):
        if verdict in REACHED:
            out[str(name)] = f"{int(samples):,}"
        elif verdict in _NEVER:
            out[str(name)] = "never"
    return out


def _panel(ax: Axes, cells: pd.DataFrame, needs: dict[str, str]) -> None:
    """Draw the curves of one setting, with names and samples needed at their ends."""
    low, high = ax.get_ylim()
    ends = []
    for name in parts.ordered(cells["estimator"], SHOWN):
        colour = theme.ESTIMATOR_COLOURS[name]
        rows = cells[cells["estimator"] == name]
        parts.theory_line(ax, rows, colour)
        parts.rmse_with_bars(ax, rows, colour, theme.ESTIMATOR_MARKERS[name], size=2.8)
        last = math.sqrt(rows["mse"].iloc[-1])
        if last > 0:
            ends.append(
                (min(max(last, low), high), f"{name}  {needs.get(name, '')}".rstrip(), colour)
            )
    parts.end_labels(ax, ends, gap=0.06)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw relative RMSE against samples, for independent coordinates and for a policy.

    Either has a panel if the study has such a setting.
    """
    settings = frames["settings"]
    cells, sampler = parts.plainest_cells(frames)
    cells = cells[cells["estimator"].isin(SHOWN)]
    by_factor = {name for name, e in ESTIMATORS.items() if e.sums}
    factored = set(cells.loc[cells["estimator"].isin(by_factor), "setting"])
    budget = frames["budget"]
    budget = budget[budget["sampler"] == sampler]
    tolerance = min(budget["tolerance"], key=lambda x: abs(math.log(x / _TOLERANCE)), default=0.0)
    budget = budget[budget["tolerance"] == tolerance]

    chosen = (product_setting(settings, factored), policy_setting(settings))
    cells = parts.relative_to_kl(cells).sort_values("samples")
    both = [(row, cells[cells["setting"] == row["setting"]]) for row in chosen if row is not None]
    drawn = [(row, rows) for row, rows in both if len(rows)]
    axes: list[Axes] = []
    if drawn:
        fig, grid = plt.subplots(1, len(drawn), figsize=(theme.WIDTH, 3.3), squeeze=False)
        axes = [*grid[0]]
        axes[0].set_ylabel("RMSE / KL")
    else:
        lacks = f"no estimator among {', '.join(SHOWN)}" if both else _NO_SETTING
        fig = parts.empty_figure(f"This study has {lacks}.")
    errors = np.concatenate([np.empty(0), *(np.sqrt(rows["mse"]) for _, rows in drawn)])
    low, high = parts.y_limits(errors)
    numbers = []
    for ax, letter, (row, rows) in zip(axes, "ab", drawn, strict=False):
        theme.decades(ax)
        parts.sample_limits(ax, rows)
        ax.set_ylim(low, min(high, low * _DECADES))
        ax.yaxis.set_major_formatter(theme.percent)
        ax.set_title(
            f"{parts.title(row, family=True)}\nKL {two_digits(row['kl'])} nats", linespacing=1.25
        )
        needs = _needs(budget, row["setting"])
        _panel(ax, rows, needs)
        if tolerance:
            ax.axhline(tolerance, color=theme.MUTED, linewidth=0.8, linestyle=":")
            ax.text(
                1.02, 1.02, f"samples for {100 * tolerance:g} %", transform=ax.transAxes,
                fontsize=7, color=theme.MUTED,
            )  # fmt: skip
        ax.set_xlabel("samples n")
        where = f" in ({letter})" if len(drawn) > 1 else ""
        shown = {*rows["estimator"]}
        numbers.append(_numbers(where, row, {k: v for k, v in needs.items() if k in shown}))
    return fig, {
        "panels": numbers,
        "explosions": [x for panel in numbers for x in panel["explosion"]],
        "biased": _never_reaches([panel["needs"] for panel in numbers]),
        "sampler": sampler,
        "replicates": int(cells["replicates"].max()) if len(cells) else 0,
        "tolerance": f"{100 * tolerance:g} %" if tolerance else "",
        "leading": any((rows["theory"] == "asymptotic").any() for _, rows in drawn),
    }


def _never_reaches(needs: list[dict[str, str]]) -> str:
    """The first biased estimator by factor that reaches the tolerance in no panel, or ""."""
    biased = [name for name, e in ESTIMATORS.items() if e.sums and not e.consistent]
    never = (name for name in biased if all(need.get(name) == "never" for need in needs))
    return next(never, "") if needs else ""


def _numbers(where: str, row: pd.Series, needs: dict[str, str]) -> dict[str, Any]:
    whole = {
        name: theme.of_whole(e) for name, e in ESTIMATORS.items()
        if e.consistent and e.parameters == 1 and theme.of_whole(e) in needs and name in needs
    }  # fmt: skip
    return {
        "where": where,
        "policy": bool(_is_policy(pd.Series([row["family"]])).iloc[0]),
        "needs": needs,
        "explosion": [
            {"where": where, "whole": other, "few": needs[name], "many": needs[other]}
            for name, other in whole.items() if "never" not in (needs[name], needs[other])
        ][:1],
    }  # fmt: skip
