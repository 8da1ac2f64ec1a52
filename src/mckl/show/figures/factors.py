"""The figure that compares estimators by factor with those of the whole l, by relative RMSE."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from mckl.estimation.budget import BIASED, INFINITE, REACHED
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import FAMILIES
from mckl.show.figures import Frames, parts, theme
from mckl.text import two_digits

# A biased estimator of the whole l is so far off with many factors that it would set the scale.
SHOWN = [name for name, e in ESTIMATORS.items() if e.sums or e.consistent]
_SCALE, _OFFSET, _TOLERANCE = 1.0, 0.25, 0.01  # shown if the study has them
_DECADES = 1e5  # the largest ratio of errors that the panels span
_LEADING = (0, (3, 3))  # dashes through which a line below remains visible
_NEVER = (BIASED, INFINITE)


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


def _relative(cells: pd.DataFrame, kl: float) -> pd.DataFrame:
    """The cells of one setting with all errors relative to KL, and the line of theory."""
    # To leading order the variance is the whole error, as the bias adds O(1/n^2).
    leading = cells["theory"] == "asymptotic"
    exact = cells["exact_mse"].where(~leading, cells["exact_variance"]).to_numpy(float)
    line = np.sqrt(np.where(np.isfinite(exact) & (exact > 0), exact, np.nan)) / kl
    square = {name: cells[name] / kl**2 for name in ("mse", "mse_std_error")}
    return cells.assign(line=line, leading=leading, **square).sort_values("samples")


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
        style = _LEADING if rows["leading"].any() else "-"
        ax.plot(rows["samples"], rows["line"], color=colour, linestyle=style)
        parts.rmse_with_bars(ax, rows, colour, theme.ESTIMATOR_MARKERS[name], size=2.8)
        last = math.sqrt(rows["mse"].iloc[-1])
        if last > 0:
            at = min(max(last, low), high)
            ends.append((at, f"{name}  {needs.get(name, '')}".rstrip(), colour))
    parts.end_labels(ax, ends, gap=0.06)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw relative RMSE against samples, for independent coordinates and for a policy.

    Parameters
    ----------
    frames
        The tables summary, theory, settings and budget.

    Returns
    -------
    The figure, and the numbers that its caption quotes.
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
    of = [
        None if row is None else _relative(cells[cells["setting"] == row["setting"]], row["kl"])
        for row in chosen
    ]
    empty = (
        "This study has no setting of several coordinates.",
        "This study has no policy.",
    )
    fig, axes = plt.subplots(1, 2, figsize=(theme.WIDTH, 3.3))
    both = [x for x in of if x is not None and len(x)]
    errors = np.concatenate([np.sqrt(x["mse"].to_numpy(float)) for x in both] or [np.empty(0)])
    low, high = parts.y_limits(errors)
    numbers = []
    for ax, letter, row, here, why in zip(axes, "ab", chosen, of, empty, strict=True):
        if row is None or here is None or here.empty:
            parts.instead_of_data(
                ax, why if row is None else f"This study has no estimator among {', '.join(SHOWN)}."
            )
            continue
        theme.decades(ax)
        ax.set_xlim(here["samples"].min() / 1.4, here["samples"].max() * 1.4)
        ax.set_ylim(low, min(high, low * _DECADES))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
        ax.set_title(
            f"({letter}) {parts.title(row, family=True)}\nKL {two_digits(row['kl'])} nats",
            fontsize=7.5, linespacing=1.25,
        )  # fmt: skip
        needs = _needs(budget, row["setting"])
        _panel(ax, here, needs)
        if tolerance:
            ax.axhline(tolerance, color=theme.MUTED, linewidth=0.8, linestyle=":")
            ax.text(
                1.02, 1.02, f"samples for {100 * tolerance:g} %", transform=ax.transAxes,
                fontsize=7, color=theme.MUTED,
            )  # fmt: skip
        ax.set_xlabel("samples n")
        numbers.append(_numbers(letter, row, here, needs))
    axes[0].set_ylabel("RMSE / KL")
    return fig, {
        "panels": numbers,
        "biased": bool(numbers) and all(panel["biased"] for panel in numbers),
        "sampler": sampler,
        "replicates": int(cells["replicates"].max()) if len(cells) else 0,
        "tolerance": f"{100 * tolerance:g} %" if tolerance else "",
        "leading": parts.ordered(
            pd.concat([x.loc[x["leading"], "estimator"] for x in both] or [cells["estimator"]]),
            SHOWN,
        ),
    }


def _numbers(
    letter: str, row: pd.Series, here: pd.DataFrame, needs: dict[str, str]
) -> dict[str, Any]:
    present = set(here["estimator"])
    factored = [
        name for name, e in ESTIMATORS.items()
        if e.sums and e.consistent and e.parameters == 1 and name in present and name in needs
    ]  # fmt: skip
    return {
        "letter": letter,
        "title": parts.title(row, family=True),
        "policy": bool(_is_policy(pd.Series([row["family"]])).iloc[0]),
        "biased": needs.get("k2-factor") == "never" and "k2-factor" in present,
        "needs": {
            name: needs[name]
            for name in (*factored, "k3", "k1")
            if name in present and name in needs
        },
    }
