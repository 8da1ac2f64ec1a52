"""explorer.html, one self-contained page that shows the errors and the budget of any setting."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import altair as alt
import jinja2
import markupsafe
import numpy as np
import pandas as pd
import vl_convert

from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.show.figures.theme import ESTIMATOR_COLOURS, ESTIMATOR_MARKERS, TRUTH

# In a frame Chromium shows no data URI of more than 2 MiB, and base64 makes 4 bytes of 3.
LARGEST_PAGE = 1_450_000
# About as many series (each a setting, backend, sampler and estimator) as such a page has room for.
MOST_SERIES = 8_000
# The significant digits of what the chart shows of a series.
DIGITS = {"rmse": 4, "spread": 2, "theory": 4, "ci_coverage": 4}
# The markers of the figures, by Vega's names; Vega has no star.
_SHAPES = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "P": "cross",
           "v": "triangle-down", "*": "triangle-left", "X": "triangle-right"}  # fmt: skip
# Only powers of ten have a label; the ticks between them need none.
_DECADES = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-9 ? datum.label : ''"


def data(
    settings: pd.DataFrame, summary: pd.DataFrame, budget: pd.DataFrame, most: int = MOST_SERIES
) -> dict[str, Any]:
    """The data of the page, for JSON: settings, error series and budgets.

    A study with more than `most` series is thinned to settings at equal steps, with all cases if
    these have at most half of `most` series; `omitted` is the number of settings that are left out.
    """
    keys = ["setting", "backend", "sampler", "estimator"]
    names = settings["setting"].astype(str).tolist()
    per_setting = max(1, len(summary[keys].drop_duplicates()) // max(1, len(names)))
    step = max(1, math.ceil(len(names) * per_setting / most))
    cases = set(settings.loc[settings["case"].notna(), "setting"].astype(str))
    if len(cases) * per_setting > most / 2:
        cases = set()
    kept = {n for i, n in enumerate(names) if i % step == 0 or n in cases}
    shown = settings[settings["setting"].astype(str).isin(kept)]
    rows = summary.astype(dict.fromkeys(keys, str))
    rows = rows[rows["setting"].isin(kept)].sort_values([*keys, "samples"])
    # Two standard errors of the MSE, as a share of it, from which the page computes its bars.
    spread = (2 * rows["mse_std_error"].fillna(0.0) / rows["mse"]).clip(upper=0.98)
    rows = rows.assign(spread=spread, theory=np.sqrt(rows["exact_mse"]))
    series = [
        dict(zip(keys, key, strict=True))
        | {"samples": group["samples"].tolist()}
        | {c: _for_json(group[c], d) for c, d in DIGITS.items()}
        for key, group in rows.groupby(keys, sort=False)
    ]
    wanted = ["setting", "sampler", "estimator", "tolerance", "samples_needed",
              "samples_needed_measured", "verdict"]  # fmt: skip
    needs = budget.astype({"setting": str, "sampler": str, "estimator": str, "verdict": str})
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
        "samplers": [name for name in SAMPLERS if name in set(rows["sampler"])],
        "estimators": [name for name in ESTIMATORS if name in set(rows["estimator"])],
        "backends": sorted(set(rows["backend"])),
        "tolerances": sorted((float(t) for t in budget["tolerance"].unique()), reverse=True),
        "omitted": len(names) - len(shown),
    }


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


def chart() -> dict[str, Any]:
    """The Vega-Lite chart, whose data sets `points`, `theory` and `tolerance` the page fills."""
    colour = alt.Color(
        "estimator:N",
        scale=alt.Scale(domain=list(ESTIMATOR_COLOURS), range=list(ESTIMATOR_COLOURS.values())),
        legend=None,
    )
    shape = alt.Shape(
        "estimator:N",
        scale=alt.Scale(
            domain=list(ESTIMATOR_MARKERS), range=[_SHAPES[m] for m in ESTIMATOR_MARKERS.values()]
        ),
        legend=None,
    )
    x = alt.X("samples:Q", title="samples n", scale=alt.Scale(type="log", nice=False),
              axis=alt.Axis(format="~s", labelExpr=_DECADES, labelOverlap=True))  # fmt: skip
    y = alt.Y("rmse:Q", title="RMSE / nats", scale=alt.Scale(type="log"),
              axis=alt.Axis(format=".0e", labelExpr=_DECADES, labelOverlap=True))  # fmt: skip
    points = alt.NamedData("points")
    tooltip = [
        alt.Tooltip("estimator:N"),
        alt.Tooltip("samples:Q", format=","),
        alt.Tooltip("rmse:Q", title="RMSE, measured", format=".3g"),
        alt.Tooltip("theory:Q", title="RMSE, theory", format=".3g"),
        alt.Tooltip("relative:Q", title="RMSE / KL", format=".3%"),
        alt.Tooltip("ci_coverage:Q", title="coverage of the 95 % interval", format=".0%"),
    ]
    line = alt.Chart(alt.NamedData("theory")).mark_line(strokeWidth=1.6).encode(x, y, colour)
    bars = (
        alt.Chart(points)
        .mark_rule(strokeWidth=1.2)
        .encode(x, alt.Y("low:Q", title="RMSE / nats"), alt.Y2("high:Q"), colour)
    )
    dots = (
        alt.Chart(points)
        .mark_point(filled=True, size=45, opacity=1)
        .encode(x, y, colour, shape, tooltip=tooltip)
    )
    labels = alt.Chart(alt.NamedData("labels")).mark_text(
        align="left", dx=7, fontSize=12, fontWeight="bold"
    ).encode(x, y, colour, text="estimator:N")  # fmt: skip
    rule = alt.Chart(alt.NamedData("tolerance")).mark_rule(
        strokeDash=[5, 4], color=TRUTH
    ).encode(y=y)  # fmt: skip
    label = alt.Chart(alt.NamedData("tolerance")).mark_text(
        align="left", baseline="bottom", dy=-3, x=4, color=TRUTH
    ).encode(y=y, text="label:N")  # fmt: skip
    layers = alt.layer(line, rule, label, bars, dots, labels)
    spec: dict[str, Any] = (
        layers.properties(width="container", height=400)
        .configure_view(stroke=None)
        .configure_axis(gridColor="#E4E4E4", labelFontSize=12, titleFontSize=12)
        .to_dict(validate=True)
    )
    return spec


def page(
    template: str,
    settings: pd.DataFrame,
    summary: pd.DataFrame,
    budget: pd.DataFrame,
    about: Mapping[str, Any],
    largest: int = LARGEST_PAGE,
) -> str:
    """The whole page in one file: template, data, chart and the Vega libraries.

    As many settings as the page has room for in `largest` bytes, or one.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
    environment.filters["packed"] = _packed
    render = environment.from_string(template).render
    vega = markupsafe.Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    most = MOST_SERIES
    while True:
        content = data(settings, summary, budget, most)
        shown = len(content["settings"])
        text = render(
            data=_json(content),
            chart=_json(chart()),
            vega=vega,
            about=about,
            omitted=content["omitted"],
            shown=shown,
        )
        size = len(text.encode())
        if size <= largest or shown <= 1:
            return text
        most = int(0.9 * min(most, len(content["series"])) * largest / size)


def _json(value: object) -> markupsafe.Markup:
    return markupsafe.Markup(json.dumps(value, separators=(",", ":"), allow_nan=False))


def _packed(script: str) -> str:
    """A script compressed, as the page's own loader expects it."""
    return base64.b64encode(zlib.compress(script.encode(), 9)).decode()
