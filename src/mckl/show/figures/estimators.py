"""The figure of RMSE against samples for all estimators, if k3's variance is finite or not."""

from __future__ import annotations

from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.study.summary_table import smallest_error
from mckl.text import two_digits

# Estimators by factor, with those of the whole ℓ that they equal in one dimension.
BY_FACTOR = {name: theme.of_whole(e) for name, e in ESTIMATORS.items() if theme.of_whole(e)}
_DECADES = 1e6  # the largest ratio of errors that a panel spans


def _three(settings: pd.DataFrame) -> list[str]:
    """The settings with smallest, middle and largest KL; the notebook's pair is the middle one."""
    names = settings.sort_values("kl", kind="stable")["setting"].tolist()
    chosen = [names[0], names[(len(names) - 1) // 2], names[-1]] if names else []
    if "notebook" in names:
        chosen = ["notebook", *(x for x in (chosen[0], chosen[-1]) if x != "notebook")]
        chosen.sort(key=names.index)
    return list(dict.fromkeys(chosen))


def _panel(ax: Axes, cells: pd.DataFrame, row: pd.Series, several: bool, key: str) -> None:
    """Draw one setting, with notes on estimators whose line is outside of the panel, or the key."""
    theme.decades(ax)
    family = f"{row['family']}, " if several or row["family"] != "normal" else ""
    ax.set_title(
        f"{parts.title(row, family=False)}\n{family}KL {two_digits(row['kl'])} nats",
        linespacing=1.25,
    )
    low, high = parts.y_limits(np.sqrt(cells["mse"].to_numpy(float)))
    high = min(high, low * _DECADES)  # so that a huge variance of cv does not flatten other lines
    parts.sample_limits(ax, cells)
    ends: list[tuple[float, str, str]] = []
    unseen: list[str] = []
    infinite = []
    for name in parts.ordered(cells["estimator"], theme.ESTIMATOR_COLOURS):
        colour = theme.ESTIMATOR_COLOURS.get(name, theme.TRUTH)
        rows = cells[cells["estimator"] == name].sort_values("samples")
        line = parts.theory_line(ax, rows, colour)
        parts.rmse_with_bars(ax, rows, colour, theme.ESTIMATOR_MARKERS.get(name, "X"))
        if np.isinf(rows["exact_mse"]).any():
            infinite.append(name)
        elif np.isfinite(line).any() and np.nanmin(line) > high:
            unseen.append(f"{name}'s line ends at {two_digits(line[-1])}")
        last = float(np.sqrt(rows["mse"].iloc[-1]))
        if last > high:
            unseen.append(f"{name} ends at {two_digits(last)}")
        elif last > 0:
            ends.append((last, name, colour))
    if not ends:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "every error is 0", transform=ax.transAxes, ha="center")
    if infinite:
        unseen.append(f"infinite variance, no line:\n{' and '.join(infinite)}")
    if unseen:
        lines = len("\n".join(unseen).splitlines())
        low /= (high / low) ** (0.1 * lines)  # makes room below for the notes
    ax.set_ylim(low, high)
    parts.end_labels(ax, ends)
    ax.text(
        0.03, 0.03, "\n".join(unseen) or (key if ends else ""), transform=ax.transAxes,
        fontsize=7, va="bottom", linespacing=1.2,
    )  # fmt: skip


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw the measured RMSE of the estimators with theory, in at most six settings."""
    settings = frames["settings"]
    cells, sampler = parts.plainest_cells(frames)

    shown = settings[settings["kl"] > 0]
    shown = settings.head(1) if shown.empty else shown
    finite = shown["k3_variance_finite"].astype(bool)
    rows = [(_three(shown[finite]), "finite"), (_three(shown[~finite]), "infinite")]
    families = parts.by_family(shown, 6)
    if families:
        rows = [(families[:3], ""), (families[3:], "")]
    rows = [(names, kind) for names, kind in rows if names]
    width = max(len(names) for names, _ in rows)
    fig, axes = plt.subplots(
        len(rows), width, figsize=(theme.WIDTH, 2.25 * len(rows) + 0.3), squeeze=False, sharex=True
    )
    key = "solid: exact theory\ndashed: leading order"
    for line, (names, kind) in zip(axes, rows, strict=True):
        for ax in line[len(names) :]:
            ax.set_visible(False)
        for ax, name in zip(line, names, strict=False):
            row = parts.setting(settings, name)
            rows_shown = cells[cells["setting"] == name]
            if row["dimension"] == 1:  # the only factor is the whole sample
                present = {*rows_shown["estimator"]}
                rows_shown = rows_shown[~rows_shown["estimator"].map(BY_FACTOR).isin(present)]
            _panel(ax, rows_shown, row, bool(families), key)
            key = ""
        line[0].set_ylabel(f"{kind} k3 variance\nRMSE (nats)" if kind else "RMSE (nats)")
        for ax in line[: len(names)]:
            ax.xaxis.set_tick_params(labelbottom=True)
    fig.supxlabel("samples n", fontsize=7.5)
    numbers = _numbers(settings, cells, str(sampler), [n for names, _ in rows for n in names])
    return fig, numbers | {"families": len(families)}


def _numbers(
    settings: pd.DataFrame, cells: pd.DataFrame, sampler: str, chosen: list[str]
) -> dict[str, Any]:
    last = cells[cells["samples"] == cells["samples"].max()]
    wins = smallest_error(last[last["kl"] > 0])
    biased = [name for name, e in ESTIMATORS.items() if not e.consistent]
    off = last[last["setting"].isin(chosen) & (last["kl"] > 0) & last["exact_bias"].notna()]
    off = off[off["estimator"] == parts.first_of(biased, off["estimator"])]
    notebook = off[off["setting"] == "notebook"]
    off = (off.sort_values("kl") if notebook.empty else notebook).tail(1)
    bias = [
        {
            "estimator": row.estimator, "setting": parts.named(settings, row.setting),
            "nats": two_digits(abs(row.exact_bias)), "kl": two_digits(row.kl),
        }
        for row in off.itertuples() if row.estimator in biased
    ]  # fmt: skip
    return {
        "sampler": sampler,
        "samples": int(cells["samples"].max()),
        "replicates": int(cells["replicates"].max()),
        "chosen": len(chosen),
        "leading": bool(((cells["theory"] == "asymptotic") & cells["setting"].isin(chosen)).any()),
        "estimators": parts.ordered(cells["estimator"], theme.ESTIMATOR_COLOURS),
        "wins": {str(k): int(v) for k, v in wins.value_counts().items()},
        "contested": len(wins),
        "bias": bias[0] if bias else None,
    }
