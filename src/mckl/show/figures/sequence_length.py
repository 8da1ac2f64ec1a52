"""The figure of samples needed against a sequence's length, which stay flat, fall or explode."""

from __future__ import annotations

from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.study.long_sequences import (
    LENGTHS,
    POLICIES,
    STATES,
    TOLERANCE,
    LongSequences,
    long_sequences,
)
from mckl.text import rounded, two_digits

_MOST = 1e8  # the most samples that the panels show
# The place of the name of a line that ends within the panel, in points from its end.
_BESIDE = {"k3": ("right", (-3, 0)), "k2": ("left", (3, 5)), "cv-factor": ("right", (-4, -5))}


def _panel(ax: Axes, theory: LongSequences) -> None:
    theme.decades(ax)
    ax.set_xlim(LENGTHS[0], LENGTHS[-1])
    ax.set_ylim(0.7, _MOST)
    theme.fix_ticks(ax.xaxis, LENGTHS[::3], ",.0f")
    ends = []
    for name, needed in theory.needed.items():
        colour = theme.ESTIMATOR_COLOURS[name]
        style = parts.LEADING if ESTIMATORS[name].parameters > 1 else "-"  # the order of a fit
        ax.plot(LENGTHS, needed, color=colour, linestyle=style)
        seen = np.flatnonzero(needed <= _MOST)
        if not seen.size:
            continue
        last = int(seen[-1])
        if last == len(LENGTHS) - 1:
            ends.append((float(needed[last]), name, colour))
            continue
        side, shift = _BESIDE.get(name, ("left", (3, 0)))
        ax.annotate(
            name, (LENGTHS[last], needed[last]), color=colour, fontsize=7, fontweight="bold",
            xytext=shift, textcoords="offset points", ha=side, va="center",
        )  # fmt: skip
    parts.end_labels(ax, ends, gap=0.055)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw the samples needed against the length, for two policies."""
    theories = [long_sequences(*policy) for policy in POLICIES]
    fig, axes = plt.subplots(1, len(theories), figsize=(theme.WIDTH, 3.4), sharey=True)
    for ax, near, theory in zip(axes, ("near", "far from"), theories, strict=True):
        _panel(ax, theory)
        ax.set_title(
            f"q {near} p: KL {two_digits(theory.kl[0])} nats at 1 token,\n"
            f"{two_digits(theory.kl[-1])} at {LENGTHS[-1]:,}",
            linespacing=1.25,
        )
        ax.set_xlabel("tokens of a sequence")
    axes[0].set_ylabel(f"iid sequences for {100 * TOLERANCE:g} %")
    return fig, _numbers(theories)


def _numbers(theories: list[LongSequences]) -> dict[str, Any]:
    def row(letter: str, theory: LongSequences) -> dict[str, Any]:
        k3, k2 = (np.flatnonzero(np.isfinite(theory.needed[name])) for name in ("k3", "k2"))
        return {
            "letter": letter,
            "ends": {
                name: [rounded(float(theory.needed[name][end])) for end in (0, -1)]
                for name in ("k1", "k3-factor")
            },
            "k3": {
                "length": f"{LENGTHS[k3[-1]]:,}",
                "samples": rounded(float(theory.needed["k3"][k3[-1]])),
            },
            "k2": f"{LENGTHS[k2[-1]]:,}" if k2.size else "",
        }

    return {
        "panels": [row(letter, theory) for letter, theory in zip("ab", theories, strict=True)],
        "states": STATES,
        "most": f"{LENGTHS[-1]:,}",
        "tolerance": f"{100 * TOLERANCE:g} %",
    }
