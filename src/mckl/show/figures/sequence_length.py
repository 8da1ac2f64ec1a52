"""The figure of samples needed against a sequence's length, which stay flat, fall or explode."""

from __future__ import annotations

from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

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


def _panel(ax: Axes, known: LongSequences) -> None:
    theme.decades(ax)
    ax.set_xlim(LENGTHS[0], LENGTHS[-1])
    ax.set_ylim(0.7, _MOST)
    ax.xaxis.set_major_locator(FixedLocator(LENGTHS[::3]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    ends = []
    for name, needed in known.needed.items():
        colour = theme.ESTIMATOR_COLOURS[name]
        style = "--" if ESTIMATORS[name].parameters > 1 else "-"  # a fit has a leading order
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
    """Draw the samples needed against the length, for two policies.

    Parameters
    ----------
    frames
        Not used: the figure is the same for every study.

    Returns
    -------
    The figure, and the numbers that its caption quotes.
    """
    known = [long_sequences(*at) for at in POLICIES]
    fig, axes = plt.subplots(1, len(known), figsize=(theme.WIDTH, 3.4), sharey=True)
    for ax, letter, near, of in zip(axes, "ab", ("near", "far from"), known, strict=True):
        _panel(ax, of)
        ax.set_title(
            f"({letter}) q {near} p: KL {of.kl[0]:.2g} nats at 1 token,\n"
            f"{two_digits(of.kl[-1])} at {LENGTHS[-1]:,}",
            fontsize=7.5, linespacing=1.25,
        )  # fmt: skip
        ax.set_xlabel("tokens of a sequence")
    axes[0].set_ylabel(f"iid sequences for {100 * TOLERANCE:g} %")
    return fig, _numbers(known)


def _numbers(known: list[LongSequences]) -> dict[str, Any]:
    def row(letter: str, of: LongSequences) -> dict[str, Any]:
        k3, k2 = of.needed["k3"], of.needed["k2"]
        flat, far = int(np.flatnonzero(of.kl < 0.5)[-1]), int(np.flatnonzero(np.isfinite(k3))[-1])
        ends = {
            name: [rounded(float(of.needed[name][at])) for at in (0, -1)]
            for name in ("k1", "k3-factor", "rb")
        }
        reached = np.flatnonzero(np.isfinite(k2))
        return {
            "letter": letter,
            "kl": f"{of.kl[0]:.2g}",
            "ends": ends,
            "k3": [
                {
                    "length": f"{LENGTHS[at]:,}",
                    "kl": two_digits(float(of.kl[at])),
                    "samples": rounded(float(k3[at])),
                }
                for at in (flat, far)
            ],
            "k2": f"{LENGTHS[reached[-1]]:,}" if reached.size else "",
            "k2_factor": bool(np.isfinite(of.needed["k2-factor"]).any()),
        }

    return {
        "panels": [row(letter, of) for letter, of in zip("ab", known, strict=True)],
        "states": STATES,
        "most": f"{LENGTHS[-1]:,}",
        "tolerance": f"{100 * TOLERANCE:g} %",
    }
