"""The figure of RMSE against samples for all samplers, over dimension or family."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mckl.draw.points import SAMPLERS
from mckl.show.figures import Frames, parts, theme
from mckl.text import listed, two_digits

_SAME_LAW = 1e-9  # exact variances with a smaller relative difference are equal


def _chosen(settings: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """The notebook's pair, and one scale and offset in three dimensions, or in every family.

    Without a sweep there are at most four cases, from the smallest KL to the largest. If possible,
    the settings have an error that is not 0, and several samplers, and the cases the most.
    """
    shown = parts.with_samplers(settings, cells)
    out = ["notebook"] if (shown["setting"] == "notebook").any() else []
    grid = shown[shown["case"].isna()]
    families = parts.by_family(shown, 6 - len(out))
    if families:
        return out + families
    if grid.empty:
        others = shown[~shown["setting"].isin(out)]
        others = others[others["samplers"] == others["samplers"].max()].sort_values("kl")
        return out + parts.spaced([str(name) for name in others["setting"]], 4 - len(out))
    pairs = grid[["scale", "offset"]].drop_duplicates().sort_values(["scale", "offset"])
    # In the general case a and b are not 0; antithetic pairs only remove b's share of the variance.
    general = pairs[(pairs["scale"] != 1) & (pairs["offset"] != 0)]
    pairs = pairs if general.empty else general
    scale, offset = pairs.iloc[len(pairs) // 2]
    like = grid[(grid["scale"] == scale) & (grid["offset"] == offset)].sort_values("dimension")
    names = like["setting"].tolist()
    names = names if len(names) <= 3 else [names[0], names[len(names) // 2], names[-1]]
    return (out + names)[:4]


def _same_law(cells: pd.DataFrame) -> list[list[str]]:
    """Samplers in groups of equal exact variance; one with an unknown variance is its own group."""
    groups: list[tuple[pd.Series, list[str]]] = []
    for name in parts.ordered(cells["sampler"], theme.SAMPLER_COLOURS):
        rows = cells[cells["sampler"] == name].set_index("samples")["exact_variance"].dropna()
        for variance, names in groups:
            if (
                len(rows) > 1
                and rows.index.equals(variance.index)
                and np.allclose(rows, variance, rtol=_SAME_LAW, atol=0.0)
            ):
                names.append(name)
                break
        else:
            groups.append((rows, [name]))
    return [names for _, names in groups]


def _slope(ax: Axes, power: float, text: str) -> None:
    """Draw a guide line with the given slope in the lower left corner of a log-log panel."""
    (x0, x1), (y0, y1) = np.log10(ax.get_xlim()), np.log10(ax.get_ylim())
    x = np.array([x0 + 0.04 * (x1 - x0), x0 + 0.34 * (x1 - x0)])
    start = y0 + (0.40 if power == -0.5 else 0.36) * (y1 - y0)
    y = np.maximum(start + power * (x - x[0]), y0 + 0.04 * (y1 - y0))  # with room for the text
    x[1] = x[0] + (y[1] - start) / power
    ax.plot(10**x, 10**y, color=theme.MUTED, linewidth=0.8, linestyle=":")
    ax.annotate(
        text, (10 ** x[1], 10 ** y[1]), xytext=(2, 0), textcoords="offset points", fontsize=7,
        color=theme.MUTED, va="center",
    )  # fmt: skip


def _panel(ax: Axes, cells: pd.DataFrame, row: pd.Series, family: bool | None) -> list[list[str]]:
    theme.decades(ax)
    ax.set_title(f"{parts.title(row, family=family)}, KL {two_digits(float(row['kl']))} nats")
    low, high = parts.y_limits(np.sqrt(cells["mse"].to_numpy(float)))
    ax.set_ylim(low, high)
    parts.sample_limits(ax, cells)
    ends = []
    groups = _same_law(cells)
    for names in groups:
        for i, name in enumerate(names):
            colour, marker = parts.sampler_look(name)
            rows = cells[cells["sampler"] == name].sort_values("samples")
            if i == 0:
                exact = rows[rows["exact_mse"] > 0]  # over Sobol' points at powers of two only
                parts.theory_line(ax, exact, colour, dashes=theme.SAMPLER_DASHES.get(name, "-"))
            balanced = parts.powers_of_two(rows["samples"])
            # Over balanced points theory is known at powers of two only.
            if _balanced(name) and rows["exact_mse"][~balanced].isna().any():
                ax.plot(rows["samples"], rows["rmse"], color=colour, linewidth=0.5)
                ax.plot(
                    rows["samples"][~balanced], rows["rmse"][~balanced], linestyle="none",
                    marker="_", color=colour, markersize=3.5, markeredgewidth=0.8,
                )  # fmt: skip
            # The second of two samplers with equal laws is drawn as a larger ring around the first.
            parts.rmse_with_bars(
                ax, rows[balanced], colour, marker, filled=i == 0, size=3.0 + 2.2 * i
            )
        last = float(rows["rmse"].iloc[-1])
        if last > 0:
            ends.append((last, "\n= ".join(names), parts.sampler_look(names[0])[0]))
    if ends and high > 300 * low:  # in a smaller range the guide lines would leave the panel
        _slope(ax, -0.5, "1/√n")
        _slope(ax, -1.0, "1/n")
        ax.set_ylim(low, high)
    if not ends:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "every error is 0", transform=ax.transAxes, ha="center")
    parts.end_labels(ax, ends, gap=0.1)
    return groups


def draw(frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw the measured RMSE of the samplers with theory, in at most six settings."""
    settings = frames["settings"]
    summary = parts.one_backend(frames["summary"])
    estimator = parts.plainest_estimator(summary["estimator"])
    cells = summary[summary["estimator"] == estimator]
    names = _chosen(settings, cells)
    several = len(parts.families(settings)) > 1
    fig, axes = parts.panels(len(names), 2.5, 0.2, f"RMSE of {estimator} (nats)")
    same: list[list[str]] = []
    for ax, name in zip(axes, names, strict=True):
        row, rows = parts.setting(settings, name), cells[cells["setting"] == name]
        groups = _panel(ax, rows, row, True if several else None)
        same += [g for g in groups if len(g) > 1]
    return fig, _numbers(settings, cells, str(estimator), names, same)


def _balanced(sampler: str) -> bool:
    """Whether a sampler places balanced points, which is what the caption says of Sobol' points."""
    return sampler in SAMPLERS and SAMPLERS[sampler].points.balanced


def _sobol_gain(cells: pd.DataFrame, samples: int) -> str:
    """The exact RMSE over iid samples, divided by that over the better Sobol' points, as text."""
    mse = cells[cells["samples"] == samples].set_index("sampler")["exact_mse"]
    mse = mse[mse > 0]
    sobol = [value for name, value in mse.items() if _balanced(str(name))]
    return two_digits(math.sqrt(mse["iid"] / min(sobol))) if sobol and "iid" in mse else ""


def _numbers(
    settings: pd.DataFrame, cells: pd.DataFrame, estimator: str, names: list[str],
    same: list[list[str]],
) -> dict[str, Any]:  # fmt: skip
    quoted = "notebook" if "notebook" in names else names[-1]
    rows = cells[cells["setting"] == quoted]
    counts = [set(group["samples"]) for _, group in rows.groupby("sampler")]
    common = [n for n in set.intersection(*counts) if not n & (n - 1)] if counts else []
    most = max(common) if common else int(rows["samples"].max())
    rows = rows[rows["samples"] == most].set_index("sampler")
    exact = np.sqrt(rows["exact_mse"].where(np.isfinite(rows["exact_mse"])))
    rmse = exact.fillna(rows["rmse"]).to_dict()
    plainest = str(parts.plainest_sampler(rows.index.to_series()))
    iid = rmse.get(plainest, 0.0)
    about = settings.set_index("setting")
    gains = {
        str(about.loc[name, "family"]): _sobol_gain(cells[cells["setting"] == name], most)
        for name in names
        if not isinstance(about.loc[name, "case"], str)
    }
    mirrored = [name for name in rmse if name in SAMPLERS and SAMPLERS[name].points.mirrored]
    between = ~parts.powers_of_two(cells["samples"]) & cells["sampler"].map(_balanced)
    sobol = {k: v for k, v in rmse.items() if _balanced(k) and v > 0}
    best = min(sobol, key=lambda k: sobol[k]) if sobol else ""
    return {
        "estimator": estimator,
        "gains": gains if len(gains) > 1 and all(gains.values()) else {},
        "quoted": parts.named(settings, quoted),
        "samples": most,
        "exact": bool(exact.notna().all()),
        "plainest": plainest,
        "replicates": int(cells["replicates"].max()),
        "between": bool((between & cells["exact_mse"].isna()).any()),
        "best": best,
        "gain": iid / sobol[best] if best and iid else 0.0,
        "antithetic": rmse[mirrored[0]] / iid if iid and mirrored else 0.0,
        "same": listed(same[0]) if same else "",
    }
