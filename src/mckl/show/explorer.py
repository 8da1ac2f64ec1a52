"""explorer.html, one self-contained page that shows the errors and the budget of any setting."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures.theme import ESTIMATOR_COLOURS, SAMPLER_DASHES, SAMPLER_MARKERS, of_whole

# In a frame Chromium shows no data URI of more than 2 MiB, and base64 makes 4 bytes of 3.
LARGEST_PAGE = 1_450_000
# About as many series (each a setting, backend, sampler and estimator) as such a page has room for.
MOST_SERIES = 12_000
# The significant digits of what the chart shows of a series.
DIGITS = {"rmse": 4, "spread": 2, "theory": 4, "ci_coverage": 4}
# An error below this share of KL is what rounding leaves of an error of 0.
ROUNDING = 1e-12
# The setting that the page opens on, if the study has it.
OPENING = "d64-s1-o0.25"
# The page's background in light and in dark mode, and the least contrast of what is drawn on it.
PAPER = ("#FFFFFF", "#16181C")
CONTRAST = 4.5


def data(
    settings: pd.DataFrame, summary: pd.DataFrame, budget: pd.DataFrame, most: int = MOST_SERIES
) -> dict[str, Any]:
    """The data of the page, for JSON: settings, error series and budgets.

    A study with more than `most` series is thinned to settings at equal steps, the one that the
    page opens on among them, and all cases if these have at most half of `most` series. `omitted`
    is the number of settings that are left out. An error of 0 but for rounding is 0.
    """
    keys = ["setting", "backend", "sampler", "estimator"]
    names = settings["setting"].astype(str).tolist()
    per_setting = max(1, len(summary[keys].drop_duplicates()) // max(1, len(names)))
    step = max(1, math.ceil(len(names) * per_setting / most))
    cases = set(settings.loc[settings["case"].notna(), "setting"].astype(str))
    if len(cases) * per_setting > most / 2:
        cases = set()
    opening = _opening(names, budget)
    first = names.index(opening) % step if opening else 0
    kept = {*names[first::step], *cases}
    shown = settings[settings["setting"].astype(str).isin(kept)]
    rows = summary.astype(dict.fromkeys(keys, str))
    rows = rows[rows["setting"].isin(kept)].sort_values([*keys, "samples"])
    # Two standard errors of the MSE, as a share of it, from which the page computes its bars.
    spread = (2 * rows["mse_std_error"].fillna(0.0) / rows["mse"]).clip(upper=0.98)
    kl = (
        rows["setting"].map(settings.set_index(settings["setting"].astype(str))["kl"]).astype(float)
    )
    exact = rows["rmse"] <= ROUNDING * kl.where(kl > 0, 1.0)
    rows = rows.assign(
        spread=spread, theory=np.sqrt(rows["exact_mse"]), rmse=rows["rmse"].mask(exact, 0.0)
    )
    columns = {c: _for_json(rows[c], d) for c, d in DIGITS.items()}
    columns["samples"] = rows["samples"].tolist()
    ends = rows.groupby(keys, sort=False).size().cumsum()
    series = [
        dict(zip(keys, key, strict=True))
        | {"bias": _number(rows["exact_bias"].iloc[end - 1])}
        | {c: values[start:end] for c, values in columns.items()}
        for key, start, end in zip(ends.index, [0, *ends], ends, strict=False)
    ]
    wanted = ["setting", "sampler", "estimator", "tolerance", "samples_needed",
              "samples_needed_measured", "theory", "verdict"]  # fmt: skip
    needs = budget.astype(
        dict.fromkeys(["setting", "sampler", "estimator", "theory", "verdict"], str)
    )
    needs = needs.loc[needs["setting"].isin(kept), wanted]
    return {
        "settings": [
            {
                "setting": str(s["setting"]),
                "case": None if pd.isna(s["case"]) else str(s["case"]),
                "family": str(s["family"]),
                "dimension": int(s["dimension"]),
                "scale": _number(s["scale"]),
                "offset": _number(s["offset"]),
                "kl": float(s["kl"]),
                "finite": bool(s["k3_variance_finite"]),
            }
            for s in shown.to_dict("records")
        ],
        "series": series,
        "budget": [[_number(x) for x in row] for row in needs.itertuples(index=False)],
        "samplers": {
            name: {
                "marker": SAMPLER_MARKERS[name],
                "dash": SAMPLER_DASHES[name][1],
                "independent": sampler.points.independent,
                "points": sampler.points.points,
            }
            for name, sampler in SAMPLERS.items()
            if name in set(rows["sampler"])
        },
        "estimators": {
            name: {"colour": f"light-dark({', '.join(line_colours(name))})"}
            for name in ESTIMATORS
            if name in set(rows["estimator"])
        },
        "backends": sorted(set(rows["backend"])),
        "tolerances": sorted((float(t) for t in budget["tolerance"].unique()), reverse=True),
        "opening": opening,
        "omitted": len(names) - len(shown),
    }


def _opening(names: list[str], budget: pd.DataFrame) -> str | None:
    """The setting that the page opens on: the one where most combinations have an answer."""
    if OPENING in names:
        return OPENING
    answered = budget.loc[budget["samples_needed"].notna(), "setting"].astype(str).value_counts()
    return max(names, key=lambda name: int(answered.get(name, 0)), default=None)


def _number(value: Any) -> Any:
    """A number with four digits for JSON, None if it has none there; text is not changed."""
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return None
    if math.isinf(value):
        return "inf"
    return int(value) if float(value).is_integer() else float(f"{value:.4g}")


def _for_json(values: pd.Series, digits: int) -> list[Any]:
    return [None if pd.isna(v) or math.isinf(v) else float(f"{v:.{digits}g}") for v in values]


def line_colours(estimator: str) -> list[str]:
    """An estimator's colour on each background, which stands out from it.

    One by factor has the hue of the same one for the whole ℓ, and 1.8 times its contrast.
    """
    whole = of_whole(ESTIMATORS[estimator])
    colour = ESTIMATOR_COLOURS[whole or estimator]
    looks = []
    for paper, ink in zip(PAPER, ("#000000", "#FFFFFF"), strict=True):
        least = CONTRAST
        if whole:
            least = 1.8 * contrast(_standing_out(colour, paper, ink, CONTRAST), paper)
        looks.append(_standing_out(colour, paper, ink, least))
    return looks


def _standing_out(colour: str, paper: str, ink: str, least: float) -> str:
    """The colour, mixed with as little ink as gives it that contrast to the paper."""
    mixed = np.linspace(_channels(colour), _channels(ink), 256)
    texts = ["#" + "".join(f"{round(255 * c):02X}" for c in channels) for channels in mixed]
    return next((text for text in texts if contrast(text, paper) >= least), ink)


def _channels(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def contrast(colour: str, other: str) -> float:
    """The contrast of two colours, 1 to 21, as the Web Content Accessibility Guidelines define it.

    >>> round(contrast("#FFFFFF", "#000000"), 3)
    21.0
    """

    def luminance(text: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
                  for c in _channels(text)]  # fmt: skip
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(colour), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def page(
    folder: str,
    settings: pd.DataFrame,
    summary: pd.DataFrame,
    budget: pd.DataFrame,
    about: Mapping[str, Any],
    largest: int = LARGEST_PAGE,
) -> str:
    """The whole page in one file, from explorer.html, .css and .js in a folder.

    As many settings as the page has room for in `largest` bytes, or one.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined, autoescape=True
    )
    render = environment.get_template("explorer.html").render
    most = MOST_SERIES
    while True:
        content = data(settings, summary, budget, most)
        shown = len(content["settings"])
        text = render(
            data=_packed(content), paper=PAPER, about=about, omitted=content["omitted"], shown=shown
        )
        size = len(text.encode())
        if size <= largest or shown <= 1:
            return text
        most = int(0.9 * min(most, len(content["series"])) * largest / size)


def _packed(content: object) -> str:
    """JSON, compressed and as text, as the page's script expects it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()
