"""Theory against measurement: the QQ plot of the verification's p-values."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

from mckl.arrays import Vector
from mckl.show.figures import Frames, parts, theme
from mckl.study.verification import LEVEL

_TRACE = ["setting", "backend", "sampler", "estimator", "quantity"]
_MOST = 600  # points drawn a panel: all of both tails, some of the middle
_TAIL = 150
_FAILED = "#D55E00"
_TESTS = ("gamma", "chebyshev", "rounding", "none")


def normal_scores(p_value: Vector, z: Vector) -> Vector:
    """The standard normal numbers with these two-sided p-values, on the side of z."""
    with np.errstate(divide="ignore"):
        return np.sign(z) * -ndtri(0.5 * p_value)


def _last_cells(verification: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """The gamma cell of the largest checkpoint of a trace, in order of its score.

    Of the settings of a dimension, which share their draws, one: another for each sampler and
    estimator. A cell that failed is always among them.
    """
    tested = verification[verification["test"] == "gamma"]
    last = tested.loc[tested.groupby(_TRACE)["samples"].idxmax()].sort_values("setting")
    dimension = last["setting"].map(settings.set_index("setting")["dimension"])
    groups = last.groupby([dimension, *_TRACE[1:]])
    turn = groups.ngroup() % groups["setting"].transform("size")
    last = last[(groups.cumcount() == turn) | ~last["passed"]]
    score = normal_scores(last["p_value"].to_numpy(float), last["z"].to_numpy(float))
    return last.assign(score=score).sort_values("score", kind="stable").reset_index(drop=True)


def _drawn(count: int) -> NDArray[np.int64]:
    """Which ranks are drawn: every one, or both tails and an even choice between them."""
    if count <= _MOST:
        return np.arange(count, dtype=np.int64)
    middle = np.linspace(_TAIL, count - _TAIL - 1, _MOST - 2 * _TAIL).round().astype(np.int64)
    return np.unique(np.r_[:_TAIL, middle, count - _TAIL : count])


def _name(cell: pd.Series) -> str:
    return f"{cell['setting']}, {cell['sampler']},\n{cell['estimator']} at n = {cell['samples']:,}"


def _panel(ax: Axes, cells: pd.DataFrame, quantity: str, border: float) -> int:
    """The QQ plot of one quantity; returns how many points lie outside the band."""
    if cells.empty:
        parts.message(ax, f"no {quantity} could be tested\nby a known tail")
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
        # A failed cell is always drawn, wherever it ranks.
        at = drawn[mask[drawn]] if marker == "o" else np.flatnonzero(mask)
        ax.plot(
            expected[at], score[at], linestyle="none", marker=marker, markersize=size,
            color=colour, markeredgewidth=0, zorder=4, clip_on=False,
        )  # fmt: skip
    wide = max(3.0, float(np.abs(expected).max()) * 1.08)
    ax.set_xlim(-wide, wide)
    ax.set_ylim(-top, top)
    for y in (-border, border):
        ax.axhline(y, color=_FAILED, linewidth=0.9, linestyle="--")
    ax.text(-wide * 0.97, border * 0.97, "fails beyond", color=_FAILED, fontsize=7, va="top")
    # The lowest is named at the lower right of its point, the highest at the upper left.
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
    """How many cells each test took, the failed ones at the end of their bar."""
    counts = {test: int((verification["test"] == test).sum()) for test in _TESTS}
    failed = {
        test: int(((verification["test"] == test) & ~verification["passed"]).sum())
        for test in _TESTS
    }
    labels = {
        "gamma": "gamma tail", "chebyshev": "Chebyshev bound", "rounding": "rounding",
        "none": "not testable",
    }  # fmt: skip
    longest = max(max(counts.values()), 1)
    for i, test in enumerate(_TESTS):
        ax.barh(-i, counts[test], height=0.42, color="#9FB8CC" if test != "none" else "#DDDDDD")
        ax.barh(-i, failed[test], left=counts[test] - failed[test], height=0.42, color=_FAILED)
        text = f"{labels[test]}: {counts[test]:,}"
        text += f", {failed[test]:,} failed" if failed[test] else ""
        ax.text(0, -i + 0.28, text, fontsize=7, va="bottom", color=theme.TRUTH)
    ax.set_xlim(0, longest * 1.05)
    ax.set_ylim(-3.4, 0.75)
    ax.set_axis_off()
    return counts


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """QQ plots of the normal scores of mean and variance, and what was tested how.

    Parameters
    ----------
    frames
        The tables verification and settings.

    Returns
    -------
    The figure, and what its caption quotes.
    """
    verification = parts.plain(frames["verification"]).reset_index(drop=True)
    verification = verification.astype({"passed": bool})
    tested = int((verification["test"] != "none").sum())
    share = LEVEL / max(tested, 1)
    border = float(-ndtri(share / 2))
    # Names inside of the panels would push a constrained layout apart: the margins are fixed.
    room = {"left": 0.07, "right": 0.99, "bottom": 0.15, "top": 0.91, "wspace": 0.2}
    fig, axes = plt.subplots(
        1, 3, figsize=(theme.WIDTH, 2.8), gridspec_kw={"width_ratios": [1, 1, 0.62], **room}
    )
    fig.set_layout_engine("none")
    last = _last_cells(verification, parts.plain(frames["settings"]))
    outside = points = 0
    for ax, quantity, letter in zip(axes, ("mean", "variance"), "ab", strict=False):
        cells = last[last["quantity"] == quantity].reset_index(drop=True)
        outside += _panel(ax, cells, quantity, border)
        points += len(cells)
        ax.set_title(f"({letter}) {quantity}: {len(cells):,} traces")
    axes[0].set_ylabel("normal score of the p-value")
    counts = _bars(axes[2], verification)
    axes[2].set_title(f"(c) cells by test: {len(verification):,}")
    failed = verification[~verification["passed"]].sort_values("p_value", kind="stable")
    if len(failed):
        lines = [
            f"{c.quantity} of {c.setting}, {c.sampler}, {c.estimator} at n = {c.samples:,}: "
            f"measured {c.measured:.4g}, exact {c.exact:.4g}"
            for c in failed.head(3).itertuples()
        ]
        more = f"\nand {len(failed) - 3:,} more" if len(failed) > 3 else ""
        text = f"{len(failed):,} FAILED\n" + "\n".join(lines) + more
        fig.text(0.07, 0.0, text, fontsize=7, color=_FAILED, ha="left", va="top")
    return fig, _numbers(verification, failed, counts, tested, outside, points)


def _numbers(
    verification: pd.DataFrame, failed: pd.DataFrame, counts: dict[str, int], tested: int,
    outside: int, points: int,
) -> dict[str, Any]:  # fmt: skip
    known = verification[verification["p_value"].notna()].sort_values("p_value", kind="stable")
    worst = known.iloc[0] if len(known) else None
    return {
        "cells": len(verification),
        "tested": tested,
        "counts": counts,
        "level": f"{LEVEL:g}",
        "share": parts.nats(LEVEL / max(tested, 1)),
        "failed": len(failed),
        "points": points,
        "outside": outside,
        "outside_share": 100 * outside / points if points else math.nan,
        "thinned": points > 2 * _MOST,
        "worst": "" if worst is None else
                 f"the {worst['quantity']} of {worst['setting']}, {worst['sampler']}, "
                 f"{worst['estimator']} at n = {worst['samples']:,}",
        "worst_p": "" if worst is None else parts.nats(float(worst["p_value"])),
    }  # fmt: skip
