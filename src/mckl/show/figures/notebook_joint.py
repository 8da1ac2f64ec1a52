"""The notebook's joint plot of samples and running estimate, with the law of the last estimate."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mckl.show.figures import Frames, parts, theme


def draw(frames: Frames) -> tuple[Figure, dict[str, Any]]:
    """Draw a joint grid: the path, its kernel density, and the normal law of its last estimate."""
    import seaborn as sns

    trace = frames["notebook"]
    setting = parts.setting(frames["settings"], "notebook")
    kl, variance = float(setting["kl"]), float(setting["log_ratio_variance"])
    n, estimate = trace["samples"].to_numpy(float), trace["estimate"].to_numpy(float)
    # The grid places its axes itself.
    with plt.rc_context({"figure.constrained_layout.use": False}):
        grid = sns.JointGrid(x=n, y=estimate, height=3.5, ratio=3, space=0.3, marginal_ticks=True)
        grid.ax_marg_x.remove()  # the margin over n would only show that every n occurs once
        thin = parts.thinned(len(n))
        ax, side = grid.ax_joint, grid.ax_marg_y
        sd = math.sqrt(variance / n[-1])
        spread = float(np.quantile(np.abs(estimate - kl), 0.98))
        half = max(1.3 * spread, 5.0 * sd) or 1e-3
        ax.plot(n[thin], estimate[thin], color=theme.Q_COLOUR, linewidth=1.2)
        for axes in (ax, side):
            axes.axhline(kl, color=theme.TRUTH, linewidth=0.9, zorder=1)
        ax.set(xlim=(0, n[-1]), ylim=(kl - half, kl + half))
        near = estimate[np.abs(estimate - kl) <= half]
        if np.ptp(near) > 0:
            sns.kdeplot(
                y=near, ax=side, color=theme.Q_COLOUR, fill=True, alpha=0.25, linewidth=1.2,
                gridsize=400, warn_singular=False,
            )  # fmt: skip
        if sd > 0:
            y = np.linspace(kl - half, kl + half, 400)
            density = np.exp(-0.5 * ((y - kl) / sd) ** 2) / (sd * math.sqrt(2.0 * math.pi))
            side.plot(density, y, color=theme.TRUTH, linewidth=1.1, linestyle=(0, (4, 2)))
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        grid.set_axis_labels("samples n", "running estimate (nats)")
        side.set(xticks=[], xlim=(0, None), xlabel="")
        ax.set_title("one path")
        side.set_title("its density")
        side.grid(visible=False)
        side.yaxis.get_offset_text().set_visible(False)
        side.tick_params(axis="y", length=0)
    for height, text, colour in (
        (0.94, "filled: density of the path", theme.Q_COLOUR),
        (0.87, "dashed: law of the last estimate", theme.TRUTH),
    ):
        if sd > 0:
            ax.text(
                0.98, height, text, transform=ax.transAxes, color=colour, fontsize=7.5,
                ha="right", path_effects=parts.halo(3),
            )  # fmt: skip
    quartiles = np.quantile(estimate, (0.25, 0.75))
    # The quartiles of a normal law are 1.349 standard deviations apart.
    numbers = {
        "samples": f"{len(n):,}",
        "kl": f"{kl:.5g}",
        "path": f"{quartiles[1] - quartiles[0]:.2g}",
        "law": f"{1.349 * sd:.2g}",
        "times": f"{(quartiles[1] - quartiles[0]) / (1.349 * sd):.2g}" if sd else "",
        "exact": variance == 0,
    }
    return grid.figure, numbers
