"""The figure of libraries' formulas: the bias of each, and the sequences that it needs."""

from __future__ import annotations

import math
import textwrap
from typing import Any, NamedTuple

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from mckl.arrays import Vector
from mckl.show.figures import Frames, theme
from mckl.study.libraries import policies
from mckl.study.libraries.table import TOLERANCE, samples_needed
from mckl.text import rounded, two_digits

_NEVER = "#DDDDDD"
_DARK = 0.45  # the text of cells with a lower luminance is white


def table_of(formulas: pd.DataFrame, column: str) -> pd.DataFrame:
    """One column of the table, as a frame with a row per formula and a column per policy."""
    each = formulas.drop_duplicates(["setting", "formula"])
    out = each.set_index(["formula", "setting"])[column].unstack()  # noqa: PD010
    return out.loc[each["formula"].unique(), each["setting"].unique()]


def drawn_by_q(formulas: pd.DataFrame) -> pd.DataFrame:
    """The rows of tokens that q has drawn; the others are those of corrections for another law."""
    return formulas[formulas["lag"] == 0.0]


def users(formulas: pd.DataFrame) -> dict[str, list[str]]:
    """The libraries that compute each formula; those that do so by default come first."""
    first = formulas.sort_values("default", ascending=False, kind="stable")
    named = first.groupby("formula", sort=False)["library"].unique()
    return {str(formula): [str(name) for name in names] for formula, names in named.items()}


def _ordered(formulas: pd.DataFrame) -> pd.DataFrame:
    """The rows, ordered by the formula's kind from the simplest on."""
    kinds = ["k1", "k2", "l^2", "abs(l)", "k3", "k3 of -l"]
    key = formulas["formula"].map(lambda name: (kinds.index(_kind(name)), len(name)))
    return formulas.assign(key=key).sort_values("key", kind="stable")


def _kind(name: str) -> str:
    return name.split(",")[0].removesuffix(" of the sequence").removesuffix(" over the vocabulary")


def _cells(ax: Axes, shade: Vector, texts: list[list[str]], palette: Colormap) -> None:
    """Draw a matrix of cells with texts; NaN is grey."""
    ax.imshow(shade, cmap=palette, vmin=0.0, vmax=1.0, aspect="auto")
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.tick_params(length=0)
    for (i, j), value in np.ndenumerate(shade):
        red, green, blue, _ = palette(value)
        dark = math.isfinite(value) and 0.3 * red + 0.6 * green + 0.1 * blue < _DARK
        ax.text(
            j, i, texts[i][j], ha="center", va="center", fontsize=6.5,
            color="white" if dark else theme.TRUTH,
        )  # fmt: skip
    for edge in range(1, shade.shape[0]):
        ax.axhline(edge - 0.5, color="white", linewidth=0.8)


def _relative(share: float) -> str:
    """A relative bias in the form that cells show."""
    if abs(share) < 5e-4:
        return "0"
    if share < 0.995:
        text = f"{100 * share:+.1f} %" if abs(share) < 0.0995 else f"{100 * share:+.0f} %"
        return text.replace("-", "−")
    return f"×{1 + share:.2g}" if share < 99 else f"×{rounded(1 + share)}"


def formula_label(formula: str) -> str:
    """The name of a formula as figures show it, with ℓ for l."""
    for old, new in (("l within", "ℓ within"), ("l^2", "ℓ²"), ("(l)", "(ℓ)"), ("-l", "−ℓ")):
        formula = formula.replace(old, new)
    return formula


def _count(samples: float) -> str:
    """A number of sequences in the form that cells show."""
    return rounded(samples) if math.isfinite(samples) else "never"


class Row(NamedTuple):
    """A row of the figure: formulas whose cells have the same texts.

    formula  the simplest of these formulas
    users    the libraries that compute one of them; those that do so by default come first
    bias, needed
             the texts of the cells
    """

    formula: str
    users: list[str]
    bias: list[str]
    needed: list[str]


def _rows(formulas: pd.DataFrame, bias: pd.DataFrame, needed: pd.DataFrame) -> list[Row]:
    out: dict[tuple[str, ...], Row] = {}
    by = users(formulas)
    for name in bias.index:
        row = Row(
            str(name), by[name], [_relative(x) for x in bias.loc[name]],
            [_count(x) for x in needed.loc[name]],
        )  # fmt: skip
        same = out.setdefault((*row.bias, *row.needed), row)
        same.users.extend(user for user in row.users if user not in same.users)
    return list(out.values())


def _frame(ax: Axes, rows: list[Row], kl: pd.Series, title: str) -> None:
    """Draw the names of formulas and libraries at the sides, and the policies' KL above."""
    ax.set_yticks(range(len(rows)), [formula_label(row.formula) for row in rows])
    ax.set_xticks(range(len(kl)), [two_digits(float(x)) for x in kl])
    ax.xaxis.tick_top()
    for i, row in enumerate(rows):
        names = textwrap.fill(", ".join(row.users), 42, break_on_hyphens=False)
        ax.text(
            len(kl) - 0.42, i, names, fontsize=6, va="center", ha="left", color=theme.MUTED,
            linespacing=1.0,
        )  # fmt: skip
    first = len(kl) - policies.SHARPER
    ax.axvline(first - 0.5, color="white", linewidth=4)
    ax.set_title(title, pad=32, fontweight="bold")
    for at, text in ((0.5 * first - 0.5, "q leaves p: KL, nats a sequence"),
                     (first + 0.5 * policies.SHARPER - 0.5, "p is sharper")):  # fmt: skip
        ax.annotate(
            text, (at, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 16),
            textcoords="offset points", ha="center", va="bottom", fontsize=6.5, color=theme.MUTED,
        )  # fmt: skip


class Cells(NamedTuple):
    """The exact numbers of all formulas on all policies, from near to far.

    rows    the rows of the figure; formulas with equal texts share one
    kl      the KL of the policies in nats, by setting
    bias    the bias relative to KL, with a row per formula and a column per policy
    needed  the sequences for a relative RMSE of `TOLERANCE`; inf where the bias exceeds it
    """

    rows: list[Row]
    kl: pd.Series
    bias: pd.DataFrame
    needed: pd.DataFrame


def cells(formulas: pd.DataFrame) -> Cells:
    """The figure's numbers from the table `formulas`."""
    kl = formulas.drop_duplicates("setting").set_index("setting")["kl"]
    formulas = _ordered(formulas)
    mean, variance, off = (
        table_of(formulas, column)[kl.index]
        for column in ("exact_mean", "exact_variance", "exact_bias")
    )
    needed = mean.copy()
    for setting in kl.index:
        both = zip(mean[setting], variance[setting], strict=True)
        counts = (samples_needed(m, v, float(kl[setting])) for m, v in both)
        needed[setting] = [math.ceil(n) if math.isfinite(n) else n for n in counts]
    bias = off / kl
    return Cells(_rows(formulas, bias, needed), kl, bias, needed)


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw two tables of cells: relative bias, and sequences for a relative RMSE of 1 %."""
    formulas = drawn_by_q(frames["formulas"])
    numbers = cells(formulas)
    rows, kl, bias, needed = numbers
    names = [row.formula for row in rows]
    fig, (above, below) = plt.subplots(2, 1, figsize=(theme.WIDTH, 0.48 * len(rows) + 1.2))
    # The colour scale is logarithmic from 0.1 % to 100 %.
    off = bias.loc[names].to_numpy(float)
    size = np.clip(np.log10(np.maximum(np.abs(off), 1e-4) / 1e-3) / 3.0, 0.0, 1.0)
    shade = 0.5 + 0.5 * np.sign(off) * size
    _cells(above, shade, [row.bias for row in rows], plt.get_cmap("PuOr_r"))
    palette = plt.get_cmap("YlGnBu").with_extremes(bad=_NEVER)
    takes = needed.loc[names].to_numpy(float)
    reached = np.where(np.isfinite(takes), takes, np.nan)
    shade = np.clip((np.log10(reached) - 2.0) / 6.0, 0.0, 1.0)
    _cells(below, shade, [row.needed for row in rows], palette)
    _frame(above, rows, kl, "Bias of the mean, relative to KL")
    _frame(below, rows, kl, f"Sequences for a relative RMSE of {100 * TOLERANCE:g} %")
    return fig, _numbers(formulas, numbers)


def _numbers(formulas: pd.DataFrame, numbers: Cells) -> dict[str, Any]:
    _, kl, bias, needed = numbers
    order, rows = list(kl.index), list(needed.index)
    takes = needed.to_numpy(float)
    held = "k3, result within 10"
    about = {
        "policies": len(order),
        "libraries": formulas["library"].nunique(),
        "tokens": policies.TOKENS,
        "states": policies.STATES,
        "tolerance": f"{100 * TOLERANCE:g} %",
        "square": f"{1 + bias.loc['l^2', order[0]]:.2f}",
    }
    loss, cut = (
        dict(zip(order, x.loc[held, order].to_numpy(float), strict=True))
        for x in (bias, table_of(formulas, "clamped"))
    )
    away = order[: -policies.SHARPER]
    worst = min(away, key=loss.__getitem__)
    about |= {
        "away_loss": f"{-100 * loss[worst]:.0f} %",
        "away_kl": two_digits(float(kl[worst])),
        "away_share": f"{100 * cut[worst]:.2g} %",
    }
    for name, policy in (("close", away[0]), ("far", away[-1])):
        about |= {
            f"{name}_{formula}": rounded(float(takes[rows.index(formula), order.index(policy)]))
            for formula in ("k1", "k3")
        }
    return about
