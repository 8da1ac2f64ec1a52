"""The figure of gradient descent with each method: KL against steps, with exact predictions."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mckl.show.figures import Frames, parts, theme
from mckl.study.training import SAMPLES, labels
from mckl.text import two_digits

# All unbiased methods follow one curve on average, so only some of them are drawn.
_DRAWN = ("score", "stl", "full-sum", "k1-loss", "k3-loss", "k3-reward")


def _panel(ax: Axes, rows: pd.DataFrame) -> dict[str, float]:
    """Draw the runs and the prediction of every method; returns the KL at the end, by method."""
    ends: dict[str, float] = {}
    for method in _DRAWN:
        own = rows[rows["method"] == method]
        if own.empty:
            continue
        colour = theme.METHOD_COLOURS[method]
        for _, run in own.groupby("run"):
            ax.plot(run["step"], run["kl"], color=colour, linewidth=0.7, alpha=0.75, zorder=2)
        one = own[own["run"] == own["run"].min()].sort_values("step")
        ax.plot(
            one["step"], one["predicted_kl"], color=colour, linewidth=1.6, linestyle=(0, (4, 2)),
            zorder=3,
        )  # fmt: skip
        final = own[own["step"] == own["step"].max()]["kl"]
        ends[method] = float(np.exp(np.mean(np.log(final)))) if (final > 0).all() else np.nan
    theme.log_axis(ax, "y")
    start = float(rows["kl"].iloc[0])
    ax.set_ylim(1e-3 * start, 8.0 * start)
    labelled = [
        (float(np.clip(value if np.isfinite(value) else np.inf, *ax.get_ylim())), method,
         theme.METHOD_COLOURS[method])
        for method, value in ends.items()
    ]  # fmt: skip
    parts.end_labels(ax, labelled)
    ax.set_xlabel("steps")
    return ends


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw a panel for each problem: thin lines are runs, dashed lines follow the exact mean."""
    training = frames["training"]
    problems = list(dict.fromkeys(training["problem"]))
    fig, axes = plt.subplots(1, max(len(problems), 1), figsize=(theme.WIDTH, 2.9), squeeze=False)
    if not problems:
        parts.instead_of_data(
            axes[0, 0], "this study has none of the methods\nthat the training runs use"
        )
    numbers = []
    for ax, letter, problem in zip(axes[0], ascii_lowercase, problems, strict=False):
        rows = training[training["problem"] == problem]
        ends = _panel(ax, rows)
        about = labels(problem)
        ax.set_title(f"{about['about']}, rate {about['rate']:g}")
        numbers.append(
            {
                "letter": letter,
                "start": two_digits(float(rows["kl"].iloc[0])),
                "ends": {method: two_digits(x) for method, x in ends.items()},
            }
        )
    axes[0, 0].set_ylabel("KL(q‖p), nats")
    steps = int(training["step"].max()) if problems else 0
    runs = training["run"].nunique()
    return fig, {"problems": numbers, "samples": SAMPLES, "steps": steps, "runs": runs}
