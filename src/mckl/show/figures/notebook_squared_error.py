"""The figure of one running mean's squared error, compared with its expectation V/n."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.special import chdtri

from mckl.show.figures import Frames, parts, theme
from mckl.text import two_digits


def draw(frames: Frames) -> tuple[Figure, dict[str, Any]]:
    """Draw the squared error and V/n on log-log axes, with the 95 % range of a normal error."""
    trace = frames["notebook"]
    setting = parts.setting(frames["settings"], "notebook")
    variance, kl = float(setting["log_ratio_variance"]), float(setting["kl"])
    n, squared = trace["samples"].to_numpy(float), trace["squared_error"].to_numpy(float)
    expected = variance / n
    low, high = float(chdtri(1, 0.975)), float(chdtri(1, 0.025))
    fig, ax = plt.subplots(figsize=(3.5, 2.9))
    above = np.sign(trace["estimate"].to_numpy(float) - kl)
    held = (squared >= low * expected) & (squared <= high * expected)
    numbers = {
        "samples": f"{len(n):,}",
        "variance": f"{variance:.4g}",
        "final": two_digits(squared[-1]),
        "expected": two_digits(expected[-1]),
        "ratio": f"{squared[-1] / expected[-1]:.2g}" if variance else "",
        "crossings": f"{np.count_nonzero(np.diff(above)):,}",
        "low": f"{low:.3f}",
        "high": f"{high:.2g}",
        "inside": f"{100 * held.mean():.0f}",
        "exact": variance == 0,
    }
    if variance == 0:
        parts.instead_of_data(ax, "q = p: every squared error is 0")
        return fig, numbers
    theme.decades(ax)
    ends = n[[0, -1]]
    ax.fill_between(
        ends, low * variance / ends, high * variance / ends, color="#D9D9D9", linewidth=0, zorder=0
    )
    ax.plot(n, np.where(squared > 0, squared, np.nan), color=theme.Q_COLOUR, linewidth=0.6)
    ax.plot(
        ends, variance / ends, color=theme.TRUTH, linewidth=1.3, linestyle=(0, (4, 2)), zorder=3
    )
    ax.set_xlim(float(ends[0]), float(ends[1]))
    floor = 0.2 * low * expected[-1]
    ax.set_ylim(floor, 4.0 * max(high * variance, float(squared.max())))
    ax.set_xlabel("samples n")
    ax.set_ylabel("squared error of the running mean (nats²)")
    for x, y, text, colour in (
        (0.97, 0.93, "dashed: expectation V/n", theme.TRUTH),
        (0.97, 0.86, "grey: 95 % of independent traces", theme.MUTED),
        (0.03, 0.05, "line: this trace", theme.Q_COLOUR),
    ):
        ax.text(
            x, y, text, transform=ax.transAxes, color=colour, fontsize=7.5,
            ha="right" if x > 0.5 else "left",
            path_effects=parts.halo(2.5),
        )  # fmt: skip
    return fig, numbers
