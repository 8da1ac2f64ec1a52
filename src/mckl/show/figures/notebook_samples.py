"""The figure of 500 points of q, over which l is averaged, and 500 points of p."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator

from mckl.arrays import Vector
from mckl.show.figures import Frames, parts, theme


def draw(frames: Frames) -> tuple[Figure, dict[str, Any]]:
    """Draw the points' first two coordinates, with standard deviations as ellipses."""
    points = frames["notebook-points"]
    fig, ax = plt.subplots(figsize=(3.5, 3.1))
    clouds = {
        name: points.loc[points["distribution"] == name, ["z1", "z2"]].to_numpy()
        for name in ("q", "p")
    }
    means = {name: z.mean(axis=0) for name, z in clouds.items()}
    sds = {name: z.std(axis=0, ddof=1) for name, z in clouds.items()}
    _cloud(ax, clouds["p"], theme.P_COLOUR, "^", 1)
    _cloud(ax, clouds["q"], theme.Q_COLOUR, "o", 2)
    up = means["q"][1] >= means["p"][1]
    right = means["q"][0] >= means["p"][0]
    for name, colour, style, text, above, after in (
        ("q", theme.Q_COLOUR, "-", "q, sampled", up, right),
        ("p", theme.P_COLOUR, "--", "p, reference", not up, not right),
    ):
        for times in (1.0, 2.0):
            ax.add_patch(
                Ellipse(
                    tuple(means[name]), *(2 * times * sds[name]), fill=False, edgecolor=colour,
                    linewidth=1.3, linestyle=style, zorder=3, path_effects=parts.halo(2.4),
                )
            )  # fmt: skip
        # Each name is above or below its ellipses, on the side away from the other name.
        edge = means[name][1] + (2.0 if above else -2.0) * sds[name][1]
        ax.annotate(
            text, (means[name][0], edge), (-8.0 if after else 8.0, 4.0 if above else -4.0),
            textcoords="offset points", color=colour, ha="left" if after else "right",
            va="bottom" if above else "top", fontweight="bold", zorder=4,
            path_effects=parts.halo(3.0),
        )  # fmt: skip
    ax.set_aspect("equal", adjustable="datalim")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    ax.set_xlabel("z₁")
    ax.set_ylabel("z₂")
    notebook = parts.setting(frames["settings"], "notebook")
    numbers = {
        "points": int((points["distribution"] == "q").sum()),
        "dimension": int(notebook["dimension"]),
        "kl": f"{notebook['kl']:.5g}",
        "reverse_kl": f"{notebook['reverse_kl']:.5g}",
        "differ": bool(not np.isclose(notebook["kl"], notebook["reverse_kl"], rtol=1e-3)),
    }
    return fig, numbers


def _cloud(ax: Axes, points: Vector, colour: str, marker: str, order: float) -> None:
    ax.plot(
        points[:, 0], points[:, 1], linestyle="none", marker=marker, markersize=2.3, color=colour,
        alpha=0.45, markeredgewidth=0, zorder=order,
    )  # fmt: skip
