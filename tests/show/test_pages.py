"""The numbers of the landing page and the data of the explorer, against the tables."""

from __future__ import annotations

import base64
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from packed import unpacked

from mckl.estimation.values import ESTIMATORS
from mckl.show import explorer
from mckl.show.captions import render, template
from mckl.show.landing import landing_numbers, picture
from mckl.show.runlog import answers
from mckl.study.summary_table import smallest_error
from mckl.study.verification import BOUNDS
from mckl.study.verified import smallest_errors
from mckl.text import two_digits

from .study import (
    BACKENDS,
    MANIFEST,
    NOTEBOOK,
    REPLICATES,
    SAMPLES,
    SEED,
    SETTINGS,
    TOLERANCES,
    USED,
    frames,
)
from .test_figures import FINITE, HERE, KL, POSITIVE, RATIO, cell, exact, of, quoted, said, wins

ROOT = Path(__file__).resolve().parents[2]
REPORT = str(ROOT / "workflow" / "report")
PNG = b"\x89PNG"
PAGE = ("settings", "summary", "verification", "gaps")
# Settings, samplers and estimators that go together, and how many series a setting has, about.
CELLS = sum(len(e) for s in SETTINGS for e in s.combinations(USED, [*ESTIMATORS]).values())
PER_SETTING = len(BACKENDS) * CELLS // len(SETTINGS)


def landing(tmp_path: Path, **changed: pd.DataFrame) -> str:
    tables = {table: frames()[table] for table in PAGE} | changed
    png, caption = tmp_path / "overview.png", tmp_path / "overview.rst"
    png.write_bytes(PNG)
    caption.write_text("**A message.**\nAnd more.\n")
    overview = picture(str(png), str(caption))
    more: dict[str, Any] = {"manifest": MANIFEST, "tolerances": [0.1, 0.01]}
    numbers = landing_numbers(**tables, overview=overview, **more)
    render(template("landing.rst"), numbers, str(tmp_path / "landing.rst"))
    return (tmp_path / "landing.rst").read_text()


def test_the_landing_page_quotes_the_tables(tmp_path: Path) -> None:
    needed = sorted((RATIO[name] / 0.01) ** 2 for name in POSITIVE)
    rmse = {
        sampler: np.mean(
            [[cell(n, sampler, backend=b).rmse[-1] for n in POSITIVE] for b in BACKENDS], axis=0
        )
        for sampler in ("iid", "sobol-radial")
    }
    gain = np.median(rmse["iid"] / rmse["sobol-radial"])
    verification = frames()["verification"]
    tests = verification["test"].value_counts()
    errors = smallest_errors(verification)
    infinite = str(sum(not finite for finite in FINITE.values()))
    last, settings = str(SAMPLES[-1]), str(len(SETTINGS))
    best = re.search(r"No estimator wins(.*)\nErrors are measured", landing(tmp_path), re.DOTALL)
    assert best
    told = best[1].replace(" has the smallest measured error", "")
    won = {e: str(n) for e, n in wins(*BACKENDS).items()}
    assert dict(re.findall(r"((?:k\d|cv)(?:-factor)?) in (\d+)", told)) == won
    iid = of("summary", sampler="iid", samples=SAMPLES[-1])
    of_setting = smallest_error(iid[iid["kl"] > 0])
    kls = [f"{np.median([KL[n] for n, e in of_setting.items() if e == w]):.2g}" for w in won]
    ordered = sorted(POSITIVE, key=RATIO.__getitem__)
    expected = [
        two_digits(KL[ordered[0]]), two_digits(KL[ordered[-1]]), *kls,
        *said(ordered[0]), *said(ordered[-1]),
        "0", *(f"{math.ceil(x):,}" for x in (np.median(needed), needed[0], needed[-1])), "1",
        last, *won.values(), str(len(POSITIVE)), infinite, settings,
        f"{gain:.0f}", last,
        f"{len(verification) - tests['none']:,}", "1,000,000",
        f"{sum(tests.get(test, 0) for test in BOUNDS):,}",
        f"{tests['none']:,}",
        *(f"{100 * errors[q]['pooled']:.2g}" for q in ("variance", "std_error")),
        settings, "1", str(REPLICATES), last, "0",
        str(len(SETTINGS) - len(POSITIVE)),
    ]  # fmt: skip
    page = landing(tmp_path)
    image = f"data:image/png;base64,\n   {base64.b64encode(PNG).decode()}"
    words = "**A message.** And more."
    assert f".. figure:: {image}\n" in page
    assert f"\n\n   {words}\n" in page
    expected.append("100")  # the width of the figure in percent
    assert sorted(quoted(page.replace(image, ""))) == sorted(expected)


def test_the_landing_page_tells_a_gap_apart_from_a_failed_gate(tmp_path: Path) -> None:
    gap = {"setting": "d4-s1-o0.25", "backend": "numpy", "sampler": "iid", "replicate": 3,
           "sample": 7}  # fmt: skip
    gaps = pd.DataFrame([gap])
    text = landing(tmp_path, gaps=gaps)
    where = ", ".join(f"{key} {value}" for key, value in gap.items())
    assert f"**Incomplete**: log density ratio is not finite in 1 of the traces: {where}." in text
    lost = of("verification", setting="d4-s1-o0.25", backend="numpy", sampler="iid")
    verification = frames()["verification"]
    tested = (verification["test"] != "none").sum() - (lost["test"] != "none").sum()
    assert f"**Can I trust it?** Apart from what is missing, all {tested:,} checks" in text

    def failed_at(row: int) -> str:
        passed = verification["passed"].copy()
        passed.loc[row] = False
        return landing(tmp_path, gaps=gaps, verification=verification.assign(passed=passed))

    assert "Apart from what is missing" in failed_at(lost.index[0])
    other = of("verification", setting="notebook", sampler="iid", estimator="k1").index[0]
    wrong = failed_at(other)
    assert "**Can I trust it?** No, theory and measurement disagree. In detail: " in wrong
    assert answers(wrong)[-1] == "No, theory and measurement disagree."


# The explorer's data.


def rounded(values: Any) -> list[float | None]:
    return [None if not math.isfinite(v) else float(f"{v:.4g}") for v in values]


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    return explorer.data(frames()["settings"], frames()["summary"], frames()["budget"])


def test_the_explorer_has_every_series_of_the_traces(shown: dict[str, Any]) -> None:
    keys = ("backend", "setting", "sampler", "estimator")
    series = {tuple(one[key] for key in keys): one for one in shown["series"]}
    assert len(series) == len(shown["series"]) == len(BACKENDS) * CELLS
    for (backend, setting, sampler, estimator), one in series.items():
        c = cell(setting, sampler, estimator, backend)
        assert one["samples"] == c.n.tolist()
        np.testing.assert_allclose(one["rmse"], c.rmse, rtol=1e-3, atol=1e-12 * KL[setting])
        drawn = np.array(one["rmse"]) > 0
        spread = np.minimum(2 * c.error[drawn] / c.mse[drawn], 0.98)
        np.testing.assert_allclose(np.array(one["spread"], float)[drawn], spread, rtol=0.05)
        assert one["ci_coverage"] == rounded(c.coverage)
        line = [
            (n, y) for n, y in zip(one["samples"], one["theory"], strict=True) if y not in (None, 0)
        ]
        if line or len(exact(setting, sampler, estimator)):
            np.testing.assert_allclose(line, exact(setting, sampler, estimator), rtol=1e-3)


def test_the_explorer_has_every_setting_and_need(shown: dict[str, Any]) -> None:
    assert {s["setting"]: s["kl"] for s in shown["settings"]} == KL
    assert {s["setting"]: s["finite"] for s in shown["settings"]} == FINITE
    for told, setting in zip(shown["settings"], SETTINGS, strict=True):
        at = (setting.dimension, setting.scale, setting.offset)
        assert (told["dimension"], told["scale"], told["offset"]) == at
        assert told["case"] == ("notebook" if setting is NOTEBOOK else None)
    budget = frames()["budget"].drop(columns=["samples_needed_low", "samples_needed_high"])
    told = pd.DataFrame(shown["budget"], columns=budget.columns)
    assert len(told) == CELLS * len(TOLERANCES)
    for column in ("samples_needed", "samples_needed_measured"):
        known = budget[column].astype(float)
        found = pd.to_numeric(told[column]).astype(float)
        np.testing.assert_allclose(found, known, rtol=1e-3)
    for column in ("setting", "sampler", "estimator", "tolerance", "theory", "verdict"):
        assert told[column].tolist() == budget[column].astype(object).tolist()
    assert {*shown["samplers"]} == {*USED}
    assert [*shown["estimators"]] == HERE
    assert (shown["backends"], shown["tolerances"]) == ([*BACKENDS], [*TOLERANCES])
    assert shown["omitted"] == 0


@pytest.mark.parametrize(
    ("most", "step"),
    [
        (len(SETTINGS) * PER_SETTING, 1),
        (len(SETTINGS) * PER_SETTING - 1, 2),
        (5 * PER_SETTING, 3),
        (1, 416),
    ],
)
def test_a_study_too_large_for_the_page_is_thinned_evenly(
    shown: dict[str, Any], most: int, step: int
) -> None:
    """The page keeps settings at equal steps, the first one shown among them, and the case."""
    tables = (frames()["settings"], frames()["summary"], frames()["budget"])
    thin = explorer.data(*tables, most=most)
    names = [setting.name for setting in SETTINGS]
    cases = {"notebook"} if most > PER_SETTING else set()
    first = names.index(shown["opening"]) % step
    kept = sorted({*names[first::step], *cases}, key=names.index)
    assert [s["setting"] for s in thin["settings"]] == kept
    assert thin["omitted"] == len(names) - len(kept)
    for part, key in (("series", "setting"), ("budget", 0)):
        assert thin[part] == [row for row in shown[part] if row[key] in kept]


def test_the_explorer_opens_on_a_setting_with_answers() -> None:
    tables = [frames()[name] for name in ("settings", "summary", "budget")]
    renamed = [
        t.assign(setting=t["setting"].astype(str).replace("notebook", "d64-s1-o0.25"))
        for t in tables
    ]
    assert explorer.data(*renamed)["opening"] == "d64-s1-o0.25"
    opening = explorer.data(*tables)["opening"]
    answered = tables[2].dropna(subset="samples_needed")["setting"].value_counts()
    assert answered[opening] == answered.max()


def test_curves_stand_out_and_those_by_factor_differ() -> None:
    looks = {e: explorer.line_colours(e) for e in ESTIMATORS}
    for colours in looks.values():
        for colour, paper in zip(colours, explorer.PAPER, strict=True):
            assert explorer.contrast(colour, paper) >= 4.5
    for mode in range(2):
        assert len({colours[mode] for colours in looks.values()}) == len(ESTIMATORS)


def test_the_page_holds_its_data_and_says_what_it_left_out() -> None:
    tables = {name: frames()[name] for name in ("settings", "summary", "budget")}
    whole = explorer.page(REPORT, **tables, about=MANIFEST)
    assert unpacked(whole) == json.loads(json.dumps(explorer.data(**tables)))
    assert "were left out" not in whole

    smaller = len(whole) - 20_000
    page = explorer.page(REPORT, **tables, about=MANIFEST, largest=smaller)
    assert 0.8 * smaller < len(page.encode()) <= smaller
    told = re.search(r"This page has (\d+) settings; (\d+) were left out", page)
    assert told is not None
    shown, omitted = map(int, told.groups())
    assert shown + omitted == len(SETTINGS)
    names = [s["setting"] for s in unpacked(page)["settings"]]
    assert len(names) == shown
    assert "notebook" in names


def test_a_frame_shows_the_page_of_a_large_study() -> None:
    """In frames, Chromium shows no data URI of more than 2 MiB."""
    copies, numbers = 20, np.random.default_rng(SEED)
    tables = {}
    for name in ("settings", "summary", "budget"):
        frame = pd.concat([frames()[name]] * copies, ignore_index=True)
        number = (np.arange(len(frame)) // len(frames()[name])).astype(str)
        tables[name] = frame.assign(setting=frame["setting"].astype(str) + "-" + number)
    # Numbers that repeat would compress to nothing.
    for column in ("rmse", "mse_std_error", "exact_mse"):
        tables["summary"][column] *= numbers.lognormal(sigma=0.1, size=len(tables["summary"]))
    assert copies * len(BACKENDS) * CELLS > explorer.MOST_SERIES
    page = explorer.page(REPORT, **tables, about=MANIFEST)
    assert "were left out to keep it small" in page
    assert 700_000 < len(page.encode()) < 1_450_000
    assert len(base64.b64encode(page.encode())) < 2**21 - 1_000
