"""The figure of the notebook's check for all settings: the KL registered in TFP against ours."""

from __future__ import annotations

from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mckl.arrays import Vector
from mckl.show.figures import Frames, parts, theme
from mckl.text import two_digits

_FLOAT = {
    "registered_kl_float32": ("float32", float(np.finfo(np.float32).eps), "#D55E00", "s"),
    "registered_kl": ("float64", float(np.finfo(np.float64).eps), "#0072B2", "o"),
}


def _differences(rows: pd.DataFrame, column: str) -> Vector:
    kl = rows["kl"].to_numpy(float)
    return np.asarray(np.abs(rows[column].to_numpy(float) / kl - 1.0))


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw the relative difference of two formulas for one KL, in both precisions, by setting."""
    table = frames["registered-kl"]
    table = table[table["registered_kl"].notna()]  # leaves out settings without a registered KL
    rows = table[table["kl"] > 0]
    fig, ax = plt.subplots(figsize=(theme.WIDTH, 2.8))
    numbers: dict[str, Any] = {"settings": len(rows), "zero": len(table) - len(rows), "worst": {}}
    numbers["zero_agree"] = bool((table.loc[table["kl"] == 0, "registered_kl"] == 0).all())
    numbers["notebook"] = None
    if rows.empty:
        parts.instead_of_data(
            ax, "KL is 0 in every setting" if len(table) else "no KL is registered"
        )
        return fig, numbers
    theme.decades(ax)
    floor = np.finfo(np.float64).eps / 8  # shown for equal numbers, as a log axis has no 0
    for column, (name, spacing, colour, marker) in _FLOAT.items():
        difference = _differences(rows, column)
        ax.plot(
            rows["kl"], np.maximum(difference, floor), linestyle="none", marker=marker,
            color=colour, markersize=3.5, markeredgewidth=0, alpha=0.8,
        )  # fmt: skip
        ax.axhline(spacing, color=colour, linewidth=0.8, linestyle="--")
        ax.text(
            1.01, spacing, f"{name}\n(dashed: its spacing)", color=colour, fontsize=7,
            transform=ax.get_yaxis_transform(), va="center",
        )  # fmt: skip
        worst = int(np.argmax(difference))
        numbers["worst"][name] = {
            "setting": rows["setting"].iloc[worst], "difference": two_digits(difference[worst])
        }  # fmt: skip
    ax.set_ylim(floor / 2, 1e-4)
    ax.axhline(floor, color=theme.MUTED, linewidth=0.5)
    ax.text(
        1.01, floor, "equal", color=theme.MUTED, fontsize=7, va="center",
        transform=ax.get_yaxis_transform(),
    )  # fmt: skip
    ax.set_xlabel("KL(q‖p) (nats)")
    ax.set_ylabel("relative difference")
    notebook = rows[rows["setting"] == "notebook"]
    if len(notebook):
        row = notebook.iloc[0]
        numbers["notebook"] = {
            "kl": f"{row['kl']:.15g}",
            "float64": f"{row['registered_kl']:.15g}",
            "float32": str(np.float32(row["registered_kl_float32"])),
        }
    top = max(float(_differences(rows, column).max()) for column in _FLOAT)
    ax.set_ylim(floor / 2, max(1e-5, 3 * top))
    return fig, numbers
