"""The figure of theory against measurement: QQ plots of p-values, and errors they would detect."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

from mckl.arrays import Vector
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.study.verification import BOUNDS, LEVEL, POWER, cell_name
from mckl.study.verified import smallest_errors
from mckl.text import two_digits

_TRACE = ["setting", "backend", "sampler", "estimator", "quantity"]
_MOST = 600  # the most points of a panel: all in both tails, some in the middle
_TAIL = 150
_FAILED = "#D55E00"
_TESTS = {
    "gamma": "gamma tail", "fisher": "Fisher's transform", "median": "bound on the median",
    "nonnegative": "bound for numbers ≥ 0", "self-normalised": "self-normalised bound",
    "chernoff": "Chernoff bound", "bennett": "Bennett bound", "chebyshev": "Chebyshev bound",
    "rounding": "equal to rounding", "none": "not testable",
}  # fmt: skip
_QUANTITIES = {
    "mean": "mean", "variance": "variance", "std_error": "standard error²",
}  # fmt: skip
# The numbers relative to which the smallest errors are given.
_SHARES = {
    "mean": "bias / KL", "variance": "variance", "std_error": "standard error",
    "coverage": "coverage lost",
}  # fmt: skip


def normal_scores(p_value: Vector, z: Vector) -> Vector:
    """The standard normal numbers with these two-sided p-values and the signs of z."""
    with np.errstate(divide="ignore"):
        return np.sign(z) * -ndtri(0.5 * p_value)


def _last_cells(verification: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """The last cell with a gamma test of each trace, in the order of scores.

    Settings of one family and dimension share their draws, and so do estimators, so of all that a
    sampler gives them only one cell is used, each time another. Cells that failed are always
    included. cv is left out: the
    margin for its theory, a leading order, makes most of its scores 0.
    """
    means = [name for name, e in ESTIMATORS.items() if e.parameters == 1]
    tested = verification[
        (verification["test"] == "gamma") & (verification["samples"] > 0)
        & verification["estimator"].isin(means) & verification["setting"].isin(settings["setting"])
    ]  # fmt: skip
    last = tested.loc[tested.groupby(_TRACE)["samples"].idxmax()].sort_values("setting")
    about = settings.set_index("setting")
    family, dimension = (last["setting"].map(about[axis]) for axis in ("family", "dimension"))
    groups = last.groupby([family, dimension, "backend", "sampler", "quantity"])
    turn = groups.ngroup() % groups["setting"].transform("size")
    last = last[(groups.cumcount() == turn) | ~last["passed"]]
    score = normal_scores(last["p_value"].to_numpy(float), last["z"].to_numpy(float))
    return last.assign(score=score).sort_values("score", kind="stable").reset_index(drop=True)


def _drawn(count: int) -> NDArray[np.int64]:
    """The ranks that are drawn: all, or else both tails and ranks at equal steps between them."""
    if count <= _MOST:
        return np.arange(count, dtype=np.int64)
    middle = np.linspace(_TAIL, count - _TAIL - 1, _MOST - 2 * _TAIL).round().astype(np.int64)
    return np.unique(np.r_[:_TAIL, middle, count - _TAIL : count])


def _name(cell: pd.Series) -> str:
    return f"{cell['setting']}, {cell['sampler']},\n{cell['estimator']} at n = {cell['samples']:,}"


def _panel(ax: Axes, cells: pd.DataFrame, quantity: str, border: float) -> int:
    """Draw the QQ plot of one quantity; returns the number of points outside of the band."""
    if cells.empty:
        parts.instead_of_data(ax, f"no {quantity} could be tested\nby a known tail")
        return 0
    count = len(cells)
    rank = np.arange(1, count + 1)
    expected = ndtri((rank - 0.5) / count)
    low, high = (ndtri(betaincinv(rank, count + 1 - rank, q)) for q in (0.025, 0.975))
    top = border * 1.14
    score = np.clip(cells["score"].to_numpy(float), -top, top)
    outside = int(((score < low) | (score > high)).sum())
    drawn = _drawn(count)
    ax.fill_between(expected[drawn], low[drawn], high[drawn], color="#D8D8D8", linewidth=0)
    ends = np.array([expected[0], expected[-1]]) if count > 1 else np.array([-1.0, 1.0])
    ax.plot(ends, ends, color=theme.TRUTH, linewidth=0.8)
    failed = ~cells["passed"].to_numpy(bool)
    for mask, marker, colour, size in (
        (~failed, "o", theme.ESTIMATOR_COLOURS["k1"], 2.2), (failed, "X", _FAILED, 6.0)
    ):  # fmt: skip
        # A failed cell is always drawn, whatever its rank.
        ranks = drawn[mask[drawn]] if marker == "o" else np.flatnonzero(mask)
        parts.whole_dots(
            ax, expected[ranks], score[ranks], marker=marker, markersize=size, color=colour,
            markeredgewidth=0, zorder=4,
        )  # fmt: skip
    wide = max(3.0, float(np.abs(expected).max()) * 1.08)
    ax.set_xlim(-wide, wide)
    ax.set_ylim(-top, top)
    for y in (-border, border):
        ax.axhline(y, color=_FAILED, linewidth=0.9, linestyle="--")
    ax.text(-wide * 0.97, border * 0.97, "fails beyond", color=_FAILED, fontsize=7, va="top")
    # The lowest point is named at its lower right, and the highest at its upper left.
    for i, x, y, ha in ((0, 0.97, 0.20, "right"), (count - 1, 0.03, 0.80, "left"))[-count:]:
        cell = cells.iloc[i]
        ax.annotate(
            _name(cell), (expected[i], score[i]), xytext=(x, y), textcoords="axes fraction",
            fontsize=6.5, ha=ha, va="center", linespacing=1.1,
            color=theme.TRUTH if cell["passed"] else _FAILED,
            arrowprops={"arrowstyle": "-", "color": theme.MUTED, "linewidth": 0.5, "shrinkB": 3},
        )  # fmt: skip
    ax.set_xlabel("normal quantile")
    return outside


def _bars(ax: Axes, verification: pd.DataFrame) -> dict[str, int]:
    """Draw the number of rows of each test as a bar, with failed ones at its end."""
    tests, passed = verification["test"], verification["passed"]
    counts = {test: int((tests == test).sum()) for test in _TESTS}
    longest = max(max(counts.values()), 1)
    for i, (test, label) in enumerate(_TESTS.items()):
        failed = int(((tests == test) & ~passed).sum())
        ax.barh(-i, counts[test], height=0.3, color="#9FB8CC" if test != "none" else "#DDDDDD")
        ax.barh(-i, failed, left=counts[test] - failed, height=0.3, color=_FAILED)
        text = f"{label}: {counts[test]:,}" + (f", {failed:,} failed" if failed else "")
        ax.text(0, -i + 0.17, text, fontsize=6.5, va="bottom", color=theme.TRUTH)
    ax.set_xlim(0, longest * 1.05)
    ax.set_ylim(0.4 - len(_TESTS), 0.75)
    ax.set_axis_off()
    return counts


def _sensitivity(ax: Axes, errors: Mapping[str, Mapping[str, float]]) -> None:
    """Draw the least errors that would be detected: over many cells at once, and in the median."""
    styles = {
        "pooled": ("D", theme.TRUTH, "over many cells at once"),
        "median": ("o", "white", "in the median cell"),
    }
    look: dict[str, Any] = {"markersize": 5, "markeredgecolor": theme.TRUTH, "zorder": 3}
    theme.log_axis(ax, "x")
    for i, quantity in enumerate(_SHARES):
        drawn = {
            kind: 100.0 * errors[quantity][kind]
            for kind in styles if math.isfinite(errors[quantity][kind])
        }  # fmt: skip
        ax.plot([*drawn.values()], [-i] * len(drawn), color=theme.MUTED, linewidth=0.8, zorder=1)
        for kind, x in drawn.items():
            marker, colour, _ = styles[kind]
            ax.plot(x, -i, marker, color=colour, **look)
            side = 1 if x == max(drawn.values()) else -1
            ax.annotate(f"{two_digits(x)} %", (x, -i), xytext=(7 * side, 0), fontsize=6.5,
                        textcoords="offset points", ha="left" if side > 0 else "right",
                        va="center")  # fmt: skip
    for marker, colour, label in styles.values():
        ax.plot([], [], marker, color=colour, label=label, **look)
    ax.margins(x=0.3)
    ax.set_ylim(0.5 - len(_SHARES), 0.5)
    ax.set_yticks([-i for i in range(len(_SHARES))], list(_SHARES.values()))
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("error in %", loc="left")
    # In the line of the label of the axis.
    ax.legend(
        loc="upper right", bbox_to_anchor=(1.0, -0.135), borderaxespad=0.0, ncols=2,
        handletextpad=0.2, columnspacing=1.5,
    )  # fmt: skip


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw QQ plots of the normal scores, the smallest errors detected, and counts of tests."""
    verification = frames["verification"].reset_index(drop=True)
    verification = verification.astype({"passed": bool})
    tested = int((verification["test"] != "none").sum())
    share = LEVEL / max(tested, 1)
    border = float(-ndtri(share / 2))
    # Margins are fixed, as a constrained layout would make room for the names inside of panels.
    fig = plt.figure(figsize=(theme.WIDTH, 4.9))
    fig.set_layout_engine("none")
    top = fig.add_gridspec(1, 3, left=0.07, right=0.99, bottom=0.56, top=0.95, wspace=0.2)
    low = fig.add_gridspec(
        1, 2, left=0.13, right=0.99, bottom=0.085, top=0.40, wspace=0.06, width_ratios=[1.75, 1]
    )
    axes = [fig.add_subplot(top[0, i]) for i in range(3)]
    settings = frames["settings"]
    last = _last_cells(verification, settings)
    outside = points = 0
    for ax, (quantity, label) in zip(axes, _QUANTITIES.items(), strict=True):
        cells = last[last["quantity"] == quantity].reset_index(drop=True)
        outside += _panel(ax, cells, label, border)
        points += len(cells)
        ax.set_title(f"{label}: {len(cells):,} traces")
    axes[0].set_ylabel("normal score of the p-value")
    errors = smallest_errors(verification)
    sensitivity = fig.add_subplot(low[0, 0])
    _sensitivity(sensitivity, errors)
    sensitivity.set_title(f"smallest error caught with a probability of {POWER:g}")
    bars = fig.add_subplot(low[0, 1])
    counts = _bars(bars, verification)
    bars.set_title(f"(e) comparisons by test: {len(verification):,}")
    failed = verification[~verification["passed"]].sort_values("p_value", kind="stable")
    if len(failed):
        lines = [
            f"{cell_name(c)}: measured {c.measured:.4g}, exact {c.exact:.4g}"
            for c in failed.head(3).itertuples()
        ]
        more = f"\nand {len(failed) - 3:,} more" if len(failed) > 3 else ""
        text = f"{len(failed):,} FAILED\n" + "\n".join(lines) + more
        fig.text(0.07, 0.0, text, fontsize=7, color=_FAILED, ha="left", va="top")
    numbers = _numbers(verification, failed, counts, tested, outside, points, errors)
    return fig, numbers | {"families": len(parts.families(settings))}


def _numbers(
    verification: pd.DataFrame, failed: pd.DataFrame, counts: dict[str, int], tested: int,
    outside: int, points: int, errors: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:  # fmt: skip
    return {
        "tested": tested,
        "bounded": sum(counts[test] for test in BOUNDS),
        "power": f"{POWER:g}",
        "errors": {
            quantity: two_digits(100.0 * x) if math.isfinite(x := shares["pooled"]) else ""
            for quantity, shares in errors.items()
        },
        "studies": f"{1 / LEVEL:,.0f}",
        "failed": len(failed),
        "points": points,
        "outside": outside,
    }  # fmt: skip
