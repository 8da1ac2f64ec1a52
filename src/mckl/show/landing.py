"""The numbers that the report's landing page quotes."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from mckl.estimation.values import ESTIMATORS
from mckl.show.captions import shown_tolerance
from mckl.show.figures.parts import setting, title
from mckl.study.gaps import message, outside
from mckl.study.summary_table import smallest_error
from mckl.study.verification import BOUNDS, LEVEL, failures
from mckl.study.verified import smallest_errors
from mckl.text import rounded, two_digits


def landing_numbers(
    settings: pd.DataFrame,
    summary: pd.DataFrame,
    verification: pd.DataFrame,
    gaps: pd.DataFrame,
    manifest: Mapping[str, Any],
    overview: Mapping[str, Any],
    tolerances: Iterable[float],
) -> dict[str, Any]:
    """The numbers for the landing page, from the tables of a run and their manifest.

    The page has the figure `overview` in it, as `picture` returns it. Of the study's `tolerances`
    it takes the nearest to 1 %.
    """
    compared = outside(verification, gaps)
    test = compared["test"]
    last = summary[summary["samples"] == summary["samples"].max()]
    positive = settings[settings["kl"] > 0]
    # k1 with iid samples: relative RMSE^2 = V / (n KL^2)
    tolerance = shown_tolerance(tolerances)
    enough = (positive["log_ratio_variance"] / (tolerance * positive["kl"]) ** 2).clip(lower=1)
    needs = pd.Series(enough.to_numpy(), index=positive["setting"].astype(str))
    return {
        "tolerance": f"{two_digits(100 * tolerance)} %",
        "settings": len(settings),
        "cases": int(settings["case"].notna().sum()),
        "samples": int(summary["samples"].max()),
        "replicates": int(summary["replicates"].max()),
        "samplers": sorted(summary["sampler"].astype(str).unique()),
        "estimators": sorted(summary["estimator"].astype(str).unique()),
        "backends": sorted(summary["backend"].astype(str).unique()),
        "easiest": _need(needs, positive, needs.idxmin()) if len(needs) else None,
        "middle": _count(needs.median()) if len(needs) else None,
        "hardest": _need(needs, positive, needs.idxmax()) if len(needs) else None,
        "zero_kl": int((settings["kl"] == 0).sum()),
        "infinite_k3": int((~settings["k3_variance_finite"].astype(bool)).sum()),
        "best": _best(last),
        "normal": bool((settings["family"].astype(str) == "normal").all()),
        "families": _families(settings, last, enough),
        "sobol_gain": _gain(last),
        "gaps": message(gaps),
        "gate": failures(compared),
        "cells": int((test != "none").sum()),
        "bounded": int(test.isin(BOUNDS).sum()),
        "untested": int((test == "none").sum()),
        "one_in": f"{1 / LEVEL:,.0f}",
        "smallest": {
            quantity: two_digits(100 * errors["pooled"])
            for quantity, errors in smallest_errors(compared).items()
            if errors["pooled"] < math.inf
        },
        "manifest": manifest,
        "overview": overview,
    }


def picture(png: str, caption: str) -> dict[str, str]:
    """A figure within a page: its image as an address, and its caption, which is markup.

    The address has line breaks, since docutils refuses lines of more than 10,000 characters.
    """
    lines = base64.encodebytes(Path(png).read_bytes()).decode("ascii").split()
    image = "\n   ".join(["data:image/png;base64,", *lines])
    words = " ".join(Path(caption).read_text(encoding="utf-8").split())
    return {"image": image, "caption": Markup(words)}


def _count(value: float) -> str:
    return f"{math.ceil(value):,}" if value < 1e7 else rounded(value)


def _need(needs: pd.Series, settings: pd.DataFrame, name: Any) -> dict[str, str]:
    """A setting in words, its KL, and the samples that it needs."""
    row = setting(settings, str(name))
    samples = _count(float(needs[name]))
    return {"setting": title(row), "samples": samples, "kl": two_digits(row["kl"])}


def _best(last: pd.DataFrame) -> list[dict[str, Any]]:
    """The number of settings in which each estimator has the smallest RMSE over iid samples."""
    iid = last[(last["sampler"] == "iid") & (last["kl"] > 0)]
    if iid.empty:
        return []
    kl = iid.astype({"setting": str}).groupby("setting")["kl"].first()
    winners = smallest_error(iid)
    won = [
        {
            "estimator": name,
            "settings": int((winners == name).sum()),
            "kl": f"{kl[winners.index[winners == name]].median():.2g}",
        }
        for name in ESTIMATORS
        if (winners == name).any()
    ]
    return sorted(won, key=lambda winner: -winner["settings"])


def _families(settings: pd.DataFrame, last: pd.DataFrame, needs: pd.Series) -> list[dict[str, Any]]:
    """The same by family of the sweep; empty if there is only one family.

    `needs` has the samples for 1 % with k1 over iid samples, with the index of `settings`.
    """
    grid = settings[settings["case"].isna()]
    families = grid["family"].astype(str).unique()
    if len(families) < 2:
        return []
    last = last.assign(setting=last["setting"].astype(str))
    out = []
    for family in families:
        rows = grid[grid["family"] == family]
        cells = last[last["setting"].isin(rows["setting"].astype(str))]
        needed = needs.reindex(rows.index).dropna()
        out.append(
            {
                "family": family,
                "middle": _count(needed.median()) if len(needed) else None,
                "best": _best(cells),
                "settings": len(rows),
                "infinite_k3": int((~rows["k3_variance_finite"].astype(bool)).sum()),
            }
        )
    return out


def _gain(last: pd.DataFrame) -> str | None:
    """k1's RMSE over iid samples, divided by that over as many sobol-radial points, as text."""
    k1 = last[(last["estimator"] == "k1") & (last["kl"] > 0)]
    k1 = k1.astype({"setting": str, "sampler": str})
    by = k1.pivot_table(index="setting", columns="sampler", values="rmse")
    if not {"iid", "sobol-radial"} <= set(by.columns):
        return None
    ratio = (by["iid"] / by["sobol-radial"].where(by["sobol-radial"] > 0)).dropna()
    return f"{ratio.median():.0f}" if len(ratio) else None
