"""The figure of one running mean and the true KL, with the standard error of the mean."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mckl.show.figures import Frames, parts, theme
from mckl.text import rounded

WINDOWS = (0.05, 0.1, 0.2, 0.5, 1.0)  # the notebook's, and wider ones if the trace is outside
Z = 1.96


def draw(frames: Frames) -> tuple[Figure, dict[str, Any]]:
    """Draw the running mean on the notebook's linear axis, within 5 % of the true value."""
    trace = frames["notebook"]
    setting = parts.setting(frames["settings"], "notebook")
    kl, variance = float(setting["kl"]), float(setting["log_ratio_variance"])
    n = trace["samples"].to_numpy(float)
    estimate, error = trace["estimate"].to_numpy(float), trace["std_error"].to_numpy(float)
    last, expected = n[-1], np.sqrt(variance / n)
    share = next((w for w in WINDOWS if w * kl >= 5.0 * expected[-1]), None)
    half = share * kl if share and kl else 8.0 * expected[-1] or 1e-3

    fig, ax = plt.subplots(figsize=(theme.WIDTH, 2.9))
    thin = parts.thinned(len(n))
    n_, estimate_, error_, expected_ = n[thin], estimate[thin], error[thin], expected[thin]
    ax.axhline(kl, color=theme.TRUTH, linewidth=1.0, zorder=2)
    ax.fill_between(
        n_, estimate_ - Z * error_, estimate_ + Z * error_, color=theme.Q_COLOUR, alpha=0.2,
        linewidth=0, zorder=1,
    )  # fmt: skip
    for sign in (-1.0, 1.0):
        ax.plot(
            n_, kl + sign * Z * expected_, color=theme.TRUTH, linewidth=0.9, linestyle=(0, (4, 2)),
            zorder=2,
        )  # fmt: skip
    ax.plot(n_, estimate_, color=theme.Q_COLOUR, linewidth=1.3, zorder=3)
    ax.set_xlim(0, last)
    ax.set_ylim(kl - half, kl + half)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    ax.set_xlabel("samples n")
    ax.set_ylabel("running mean of ℓ (nats)")
    if variance > 0:
        middle = 0.62 * last
        edge = Z * math.sqrt(variance / middle)
        for text, sign, away, colour in (
            ("dashed: KL ± 1.96 √(V/n), theory", 1.0, 0.2, theme.TRUTH),
            ("shaded: estimate ± 1.96 standard errors of the trace", -1.0, 0.27, theme.Q_COLOUR),
        ):
            ax.annotate(
                text, (middle, kl + sign * (edge + away * half)), ha="center", va="center",
                fontsize=7.5, color=colour,
                path_effects=parts.halo(3),
            )  # fmt: skip
    last = f"estimate\n{estimate[-1]:.5g}"
    if math.isfinite(error[-1]):
        last += f" ± {error[-1]:.2g}"
    ends = ((kl, f"true KL\n{kl:.5g}", theme.TRUTH), (estimate[-1], last, theme.Q_COLOUR))
    places = parts.apart([(y - kl + half) / (2 * half) for y, _, _ in ends], 0.06, 0.94, 0.15)
    for place, (_, text, colour) in zip(places, ends, strict=True):
        ax.text(1.01, place, text, transform=ax.transAxes, color=colour, fontsize=7.5, va="center")

    outside = np.flatnonzero(np.abs(estimate - kl) > 0.05 * kl)
    held = np.abs(estimate - kl) <= Z * error
    numbers = {
        "samples": f"{len(n):,}",
        "kl": f"{kl:.5g}",
        "estimate": f"{estimate[-1]:.5g}",
        "std_error": f"{error[-1]:.2g}" if math.isfinite(error[-1]) else "",
        "off": f"{100 * abs(estimate[-1] - kl) / kl:.2g}" if kl else "",
        "window": f"{100 * share:.0f}" if share and kl else "",
        "stays": f"{outside[-1] + 2:,}" if outside.size and outside[-1] + 1 < len(n) else "",
        "theory": rounded(variance * (Z / (0.05 * kl)) ** 2) if kl else "",
        "held": bool(held[-1]),
        "exact": variance == 0,
    }
    return fig, numbers
