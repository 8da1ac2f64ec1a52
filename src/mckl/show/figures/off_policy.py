"""The figure of the error against the lag of the law that draws, with and without weights."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from mckl.show.figures import Frames, parts, theme
from mckl.study.off_policy_lags import (
    LAGS,
    SEQUENCES,
    SHOWN,
    SHOWN_WEIGHTS,
    TOKENS,
    WORTH,
    OffPolicyLags,
    off_policy_lags,
)
from mckl.text import power_of_ten, two_digits

_LEAST, _MOST = 1e-3, 3.0  # the relative errors that the panels show
_SMALL, _LARGE = 0.1, 1.0  # the lags of which the caption has numbers
# The dashes and the width of a line, and its name.
_LOOKS = {
    "none": ("-", 2.0, "no weight"),
    "token": ((0, (5, 1.5)), 1.1, "token"),
    "token-truncated": ((0, (1, 1)), 1.3, "token ≤ 2"),
    "sequence": ((0, (5, 1.2, 1, 1.2)), 1.1, "sequence"),
    "sequence-normalised": (parts.LEADING, 0.9, "normalised"),
}


def _panel(ax: Axes, theory: OffPolicyLags, estimator: str) -> None:
    theme.decades(ax)
    ax.set_xlim(LAGS[0], LAGS[-1])
    ax.set_ylim(_LEAST, _MOST)
    colour, ends = theme.ESTIMATOR_COLOURS[estimator], []
    for weight in SHOWN_WEIGHTS:
        dashes, width, name = _LOOKS[weight]
        error = theory.rmse[estimator, weight]
        ax.plot(LAGS, error, color=colour, linestyle=dashes, linewidth=width)
        if math.isfinite(error[-1]):
            ends.append((float(min(error[-1], _MOST)), name, colour))
            continue
        last = int(np.flatnonzero(np.isfinite(error))[-1])
        ax.plot(LAGS[last], error[last], "o", color=colour)  # theory is not known further on
        ax.annotate(
            name, (LAGS[last], error[last]), color=colour, fontsize=6.5, fontweight="bold",
            xytext=(-5, 5), textcoords="offset points", ha="right", va="center", zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    bias = np.abs(theory.bias[estimator, "none"])
    ax.fill_between(LAGS, _LEAST, np.maximum(bias, _LEAST), color=colour, alpha=0.13, linewidth=0)
    lag, _ = theory.worth(estimator)
    if math.isfinite(lag):
        ax.axvline(lag, color=theme.TRUTH, linewidth=0.8, linestyle=(0, (2, 2)))
    parts.end_labels(ax, ends, gap=0.06, fontsize=6.5)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw the relative RMSE of a batch against the lag, by estimator and weight."""
    theory = off_policy_lags()
    fig, axes = plt.subplots(1, len(SHOWN), figsize=(theme.WIDTH, 2.9), sharey=True)
    for ax, estimator in zip(axes, SHOWN, strict=True):
        _panel(ax, theory, estimator)
        ax.set_title(estimator)
        ax.set_xlabel("lag of the law that draws")
    axes[0].set_ylabel(f"relative RMSE, {SEQUENCES:,} sequences")
    return fig, _numbers(theory)


def _numbers(theory: OffPolicyLags) -> dict[str, Any]:
    small, large = theory.at(_SMALL), theory.at(_LARGE)

    def percent(share: float) -> str:
        return f"{two_digits(100.0 * abs(share))} %"

    def worth(estimator: str) -> str:
        lag, _ = theory.worth(estimator)
        return two_digits(lag) if math.isfinite(lag) else ""

    wide = theory.rmse["k3-factor", "sequence"][large]
    return {
        "tokens": TOKENS,
        "sequences": f"{SEQUENCES:,}",
        "lag": f"{_SMALL:g}",
        "mismatch": two_digits(float(theory.mismatch[small])),
        "bias": {name: percent(theory.bias[name, "none"][small]) for name in SHOWN},
        "times": two_digits(
            abs(theory.bias["k1", "none"][small] / theory.bias["k3-factor", "none"][small])
        ),
        "worth": {name: worth(name) for name in SHOWN},
        "saving": f"{100.0 * WORTH:g} %",
        "farthest": f"{_LARGE:g}",
        "sequence": power_of_ten(math.floor(math.log10(wide))),
        "at_most": {
            weight: percent(theory.bias["k3-factor", weight][large])
            for weight in ("none", "token", "token-truncated")
        },
    }  # fmt: skip
