"""The first figure: how fast four estimates reach 1 % in one setting, and what they need in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mckl.estimation.budget import BIASED, ENDS, FAR, INFINITE, TOO_WIDE, UNKNOWN
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures import Frames, parts, theme
from mckl.text import counted, listed, rounded, two_digits

HEIGHT = 75 / 25.4 - 2 * theme.MARGIN  # inches
_LABEL = 6.5  # points
_SPAN = 1e4  # the largest ratio of errors above or below the tolerance that is drawn
_VERDICTS: Mapping[str, str] = {
    INFINITE: "infinite variance", BIASED: "biased", UNKNOWN: "no theory", FAR: "over 10¹⁸",
    ENDS: "over 2³⁰", TOO_WIDE: "too wide",
}  # fmt: skip


class ErrorCurve(NamedTuple):
    """An estimator over the points of a sampler, with its look."""

    estimator: str
    sampler: str

    @property
    def label(self) -> str:
        return f"{self.estimator}, {self.sampler}"

    @property
    def look(self) -> tuple[str, str]:
        """Colour and marker."""
        colour = theme.ESTIMATOR_COLOURS.get(self.estimator, theme.TRUTH)
        return colour, parts.sampler_look(self.sampler)[1]

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table with this estimator and sampler."""
        own = (frame["estimator"] == self.estimator) & (frame["sampler"] == self.sampler)
        return frame[own]


CURVES = (
    ErrorCurve("k1", "iid"), ErrorCurve("k3-factor", "iid"), ErrorCurve("k1", "antithetic"),
    ErrorCurve("k1", "sobol"),
)  # fmt: skip


class _Needs(NamedTuple):
    """What each curve (column) needs for the tolerance in each setting (row), by theory.

    samples  NaN without such a number, where the error is 0, and where its square has an infinite
             variance, so that no measurement of it settles
    within   whether the study draws as many samples
    exact    whether the error is 0
    """

    samples: pd.DataFrame
    within: pd.DataFrame
    exact: pd.DataFrame

    def best(self) -> str:
        """The setting with a number for most curves, with most in view, with the widest spread."""
        spread = np.log(self.samples.max(axis=1) / self.samples.min(axis=1))
        rank = pd.DataFrame(
            {"known": self.samples.count(axis=1), "seen": self.within.sum(axis=1), "wide": spread}
        )
        order = rank.sort_values(["known", "seen", "wide"], ascending=False, kind="stable")
        return str(order.index[0])


def _needs(
    summary: pd.DataFrame, theory: pd.DataFrame, budget: pd.DataFrame, curves: Sequence[ErrorCurve]
) -> _Needs:
    """What the curves need in every setting of the summary, in its order."""
    names = [*dict.fromkeys(summary["setting"])]
    samples, exact = pd.DataFrame(index=names), pd.DataFrame(index=names)
    for curve in curves:
        by_setting = curve.rows(theory).groupby("setting")
        mse = by_setting["exact_mse"].max().reindex(names)
        kurtosis = by_setting["exact_excess_kurtosis"].max().reindex(names)
        needed = curve.rows(budget).set_index("setting")["samples_needed"].astype(float)
        exact[curve.label] = mse == 0
        samples[curve.label] = needed.reindex(names).where((mse != 0) & (kurtosis != np.inf))
    return _Needs(samples, samples <= summary["samples"].max(), exact)


def _three_best(summary: pd.DataFrame) -> list[ErrorCurve]:
    """The three estimators with the smallest final error over the simplest sampler's points."""
    sampler = str(parts.plainest_sampler(summary["sampler"]))
    last = summary[
        (summary["sampler"] == sampler) & (summary["samples"] == summary["samples"].max())
    ]
    median = last.groupby("estimator")["relative_rmse"].median()
    ranked = sorted(parts.ordered(last["estimator"], ESTIMATORS), key=lambda e: median[e])
    return [ErrorCurve(estimator, sampler) for estimator in ranked[:3]]


def _error_panel(
    ax: Axes,
    summary: pd.DataFrame,
    curves: Sequence[ErrorCurve],
    needed: pd.Series,
    tolerance: float,
) -> list[str]:
    """Draw the relative RMSE of the curves in one setting; returns those whose error is 0."""
    theme.decades(ax)
    ends: list[tuple[float, str, str]] = []
    crossings: list[tuple[float, float, str]] = []
    exact: list[str] = []
    shown = [tolerance]
    for curve in curves:
        rows = curve.rows(summary)
        if not (rows["mse"] > 0).any() or (rows["exact_mse"] == 0).all():
            if len(rows):
                exact.append(curve.label)
            continue
        rows = parts.relative_to_kl(rows)
        colour, marker = curve.look
        line = parts.theory_line(ax, rows, colour, dashes=theme.SAMPLER_DASHES[curve.sampler])
        parts.rmse_with_bars(ax, rows, colour, marker, size=2.8)
        measured = np.sqrt(rows["mse"].to_numpy())
        if (n := needed[curve.label]) <= rows["samples"].max():
            log_error = np.interp(np.log(n), np.log(rows["samples"]), np.log(line))
            crossings.append((n, float(np.exp(log_error)), colour))
        ends.append(
            (float(line[-1] if np.isfinite(line[-1]) else measured[-1]), curve.label, colour)
        )
        shown += [y for y in (*line, *measured) if np.isfinite(y) and y > 0]
    low = max(min(shown) / 1.6, tolerance / _SPAN)
    high = min(max(shown) * 1.6, tolerance * _SPAN)
    ax.set_ylim(low, high)
    parts.sample_limits(ax, summary)
    ax.axhline(tolerance, color=theme.TRUTH, linewidth=0.8)
    ax.text(
        summary["samples"].min() / 1.3, tolerance / 1.1, f"{100 * tolerance:g} % of KL", va="top",
        fontsize=_LABEL,
    )  # fmt: skip
    _crossings(ax, crossings)
    parts.end_labels(
        ax, [(min(max(y, low), high), text, colour) for y, text, colour in ends], fontsize=_LABEL,
    )  # fmt: skip
    if exact:
        text = "\n".join(f"{label}: exact" for label in exact)
        ax.text(0.03, 0.03, text, transform=ax.transAxes, fontsize=_LABEL)
    ax.yaxis.set_major_formatter(theme.percent)
    ax.set_xlabel("samples n")
    ax.set_ylabel("relative RMSE")
    return exact


def _crossings(ax: Axes, crossings: Sequence[tuple[float, float, str]]) -> None:
    """Write the samples that the tolerance needs above the points (n, error) of the curves."""
    low, high = np.log10(ax.get_xlim())
    shares = [(np.log10(n) - low) / (high - low) for n, _, _ in crossings]
    places = parts.apart(shares, 0.0, 1.0, 0.175)
    for x, (n, error, colour) in zip(places, crossings, strict=True):
        ax.vlines(n, error, ax.get_ylim()[1], color=colour, linewidth=0.7, linestyle=":")
        ax.plot(n, error, "o", markersize=4.5, color=colour, markerfacecolor="white", zorder=4)
        ax.text(
            x, 1.01, f"{n:,.0f}", transform=ax.transAxes, ha="center", va="bottom", color=colour,
            fontsize=_LABEL, fontweight="bold",
        )  # fmt: skip


def _need_panel(
    ax: Axes, budget: pd.DataFrame, curves: Sequence[ErrorCurve], needs: _Needs, chosen: str
) -> None:
    """Draw the samples that each curve needs in all settings."""
    theme.log_axis(ax, "x", 7)
    shown = pd.concat([curve.rows(budget)["samples_needed"] for curve in curves])
    low, high = np.log10(parts.y_limits(shown.to_numpy(float)))
    if np.floor(high) - np.ceil(low) < 1:  # fewer than two ticks
        low, high = np.floor(low), np.ceil(high)
    ax.set_xlim(10.0**low, 10.0**high)
    ax.set_ylim(len(curves) - 0.5, -0.5)
    names = [curve.label.replace(", ", "\n") for curve in curves]
    parts.name_rows(ax, names, colours=[curve.look[0] for curve in curves])
    ax.tick_params(axis="y", labelsize=_LABEL)
    ax.set_xlabel("samples n")
    for y, curve in enumerate(curves):
        rows = curve.rows(budget)
        needed = rows["samples_needed"].dropna().to_numpy(float)
        colour, marker = curve.look
        parts.strip(ax, y, needed.tolist(), colour, marker)
        own = rows.loc[rows["setting"] == chosen, "samples_needed"].dropna().to_numpy(float)
        ax.plot(own, [y] * len(own), marker, color=colour, markersize=4.5, markeredgecolor="black")
        told = []
        if len(needed):
            middle = float(np.median(needed))
            told.append(f"median {middle:,.0f}" if middle < 1e7 else f"median {rounded(middle)}")
        if exact := int(needs.exact[curve.label].sum()):
            told.append(f"{exact:,} exact")
        lost = rows["verdict"].map(_VERDICTS).value_counts()
        told += [f"{count:,} {reason}" for reason, count in lost.items()]
        ax.text(
            1.02, y, "\n".join(told), transform=ax.get_yaxis_transform(), fontsize=_LABEL,
            va="center", linespacing=1.25, color=theme.TRUTH,
        )  # fmt: skip


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw the error of four estimates in one setting, and the samples that they need in all.

    Most of the curves have a finite, measurable error other than 0 in the chosen setting. If there
    are several such settings, the study draws what the tolerance needs for most curves in it, and
    then the spread of these numbers of samples is the widest.
    """
    settings = frames["settings"]
    positive = settings.loc[settings["kl"] > 0, "setting"]
    tolerance = parts.tolerance(frames["budget"])
    budget, theory = frames["budget"], frames["theory"]
    budget = budget[(budget["tolerance"] == tolerance) & budget["setting"].isin(positive)]
    summary = parts.one_backend(frames["summary"])
    summary = summary[parts.powers_of_two(summary["samples"]) & summary["setting"].isin(positive)]
    numbers = {"tolerance": f"{100 * tolerance:g} %", "chosen": ""}
    if summary.empty:
        return parts.empty_figure(parts.NO_KL), numbers
    curves = [curve for curve in CURVES if len(curve.rows(summary))]
    needs = _needs(summary, theory, budget, curves)
    if not needs.samples.notna().any(axis=None):
        curves = _three_best(summary)
        needs = _needs(summary, theory, budget, curves)
    chosen = needs.best()
    row = parts.setting(settings, chosen)
    cells = summary[summary["setting"] == chosen].sort_values("samples")
    needed = needs.samples.T[chosen]

    fig, (left, right) = plt.subplots(
        1, 2, figsize=(theme.WIDTH, HEIGHT), width_ratios=[1.25, 1], gridspec_kw={"wspace": 0.06}
    )
    exact = _error_panel(left, cells, curves, needed, tolerance)
    left.set_title(parts.short_label(parts.title(row), 44), pad=13)
    _need_panel(right, budget, curves, needs, chosen)
    many = counted(len(positive), "setting")
    right.set_title(f"samples for {100 * tolerance:g} %, {many}", pad=13)
    ranked = needed.dropna().sort_values(kind="stable")
    return fig, numbers | {
        "chosen": parts.title(row),
        "kl": two_digits(row["kl"]),
        "ends": [(label, f"{ranked[label]:,.0f}") for label in dict.fromkeys(ranked.index[[0, -1]])]
        if len(ranked)
        else [],
        "exact": listed(exact),
        "settings": len(positive),
        "replicates": int(cells["replicates"].max()),
    }
