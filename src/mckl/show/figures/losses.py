"""The figure of what each loss descends: the cosine of its exact mean gradient, as bars."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from mckl.estimation.gradients import METHODS
from mckl.show.figures import Frames, parts, theme

_MOST = 3  # the most settings that are shown
_RIGHT, _BIASED, _WRONG, _NOTHING = "#0072B2", "#E69F00", "#D55E00", "#999999"
_NONE = 1e-9  # a smaller relative bias is rounding
_KINDS = {
    "the gradient of KL(q‖p)": _RIGHT, "biased": _BIASED, "biased, against it": _WRONG,
    "mean 0": _NOTHING,
}  # fmt: skip


def shown(gradients: pd.DataFrame) -> list[str]:
    """At most three settings whose gradient is not 0, from the smallest to the largest one."""
    norms = gradients[gradients["gradient_norm"] > 0].groupby("setting")["gradient_norm"].first()
    return parts.spaced([str(name) for name in norms.sort_values().index], _MOST)


def last(gradients: pd.DataFrame, setting: str) -> pd.DataFrame:
    """The rows of a setting at its largest number of samples, by method."""
    rows = gradients[gradients["setting"] == setting]
    final: pd.DataFrame = rows[rows["samples"] == rows["samples"].max()].set_index("method")
    return final


def _kind(row: Any) -> str:
    if row.exact_mean_norm == 0:
        return "mean 0"
    # With the batch mean as the baseline there is a bias of 1/n, but in the same direction.
    if row.exact_cosine > 1 - _NONE and row.exact_relative_bias < 2 / row.samples:
        return "the gradient of KL(q‖p)"
    return "biased" if row.exact_cosine > 0 else "biased, against it"


def relative(value: float) -> str:
    """A relative bias as text."""
    if value < _NONE:
        return "0"
    return f"{100 * value:.2g} %" if value < 0.995 else f"{100 * value:,.0f} %"


def _bar(ax: Axes, i: int, row: Any) -> None:
    """Draw a method's exact cosine as a bar, the measured one as a tick, and its bias as text."""
    if not math.isfinite(row.exact_bias_norm):
        ax.text(-0.06, -i, "no theory", fontsize=6, color=theme.MUTED, va="center", ha="right")
    elif row.exact_mean_norm == 0:
        ax.plot(0, -i, "o", color=_NOTHING, markersize=3)
    else:
        ax.barh(-i, row.exact_cosine, height=0.62, color=_KINDS[_kind(row)], zorder=2)
    if row.exact_mean_norm != 0 and math.isfinite(row.cosine):
        ax.plot(row.cosine, -i, "|", color=theme.TRUTH, markersize=7, zorder=3)
    if math.isfinite(row.exact_relative_bias):
        bias = relative(row.exact_relative_bias)
        ax.text(1.06, -i, bias, fontsize=6.5, va="center", ha="left", color=theme.TRUTH)


def _panel(ax: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    for row in rows.itertuples():
        _bar(ax, methods.index(str(row.Index)), row)
    ax.axvline(0, color=theme.TRUTH, linewidth=0.7, zorder=3)
    ax.set_xlim(-1.05, 1.05)
    ax.set_ylim(0.6 - len(methods), 0.6)
    ax.set_xticks([-1, 0, 1])
    parts.name_rows(ax, methods, -1)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw a panel for each setting and a bar for each method, with its relative bias."""
    gradients = frames["gradients"]
    settings = shown(gradients)
    present = gradients[gradients["setting"].isin(settings)]["method"]
    methods = [name for name in METHODS if name in set(present)]
    height = 0.9 + 0.19 * max(len(methods), 4)
    fig, axes = plt.subplots(
        1, max(len(settings), 1), figsize=(theme.WIDTH, height), sharey=True, squeeze=False
    )
    if not settings:
        parts.instead_of_data(axes[0, 0], "the gradient of every setting is 0: q = p")
    numbers = []
    for ax, setting in zip(axes[0], settings, strict=False):
        rows = last(gradients, setting)
        _panel(ax, rows, methods)
        ax.set_title(parts.short_label(setting, 24))
        ax.text(1.06, 0.75, "bias", fontsize=6.5, ha="left", va="bottom", color=theme.MUTED)
        numbers.append({"name": setting, **_numbers(rows)})
    axes[0, len(settings) // 2].set_xlabel("cosine with the gradient of KL(q‖p)")
    handles = [Patch(color=colour) for colour in _KINDS.values()]
    if settings:
        fig.legend(handles, list(_KINDS), loc="outside lower center", ncols=4, fontsize=7)
    return fig, {"settings": numbers, "samples": int(gradients["samples"].max()) if numbers else 0}


def _numbers(rows: pd.DataFrame) -> dict[str, str]:
    """The caption's numbers of a setting; "" for what was not measured."""
    out = {"k3_loss_bias": "", "k3_reward_bias": ""}
    for method, key in (("k3-loss", "k3_loss_bias"), ("k3-reward", "k3_reward_bias")):
        if method in rows.index and math.isfinite(rows["exact_cosine"].loc[method]):
            out[key] = relative(float(rows["exact_relative_bias"].loc[method]))
    return out
