"""The explorer in a real browser, from disk: what it shows, how it is used, and by whom."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from show.study import MANIFEST, SAMPLES, SETTINGS, TOLERANCES, USED, measured

from mckl.draw.points import SAMPLERS
from mckl.estimation.budget import Forecasts, Tolerance
from mckl.estimation.values import ESTIMATORS
from mckl.record import tables
from mckl.show import explorer
from mckl.study.budget_table import budget_columns
from mckl.study.settings import grid_setting
from mckl.study.theory_table import setting_rows

from .watching import barriers, shown, wait

REPORT = Path(__file__).resolve().parents[2] / "workflow" / "report"
pytestmark = pytest.mark.slow

HERE = [e for e in ESTIMATORS if e != "rb"]  # of policies alone
ROWS = (
    "return [...document.querySelectorAll('#budget tbody tr')]"
    ".map(row => [...row.cells].map(cell => cell.textContent))"
)
NAMES = "return [...document.querySelectorAll('#names button')].map(b => b.textContent)"
CURVES = "return [...document.querySelectorAll('g[data-curve]')].map(g => g.dataset.curve)"


@pytest.fixture(scope="module")
def study() -> dict[str, pd.DataFrame]:
    return measured(SETTINGS, USED, SAMPLES, TOLERANCES)


@pytest.fixture(scope="module")
def address(study: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the explorer of the study in memory."""
    path = tmp_path_factory.mktemp("pages") / "explorer.html"
    parts = {name: study[name] for name in ("settings", "summary", "budget")}
    path.write_text(explorer.page(str(REPORT), **parts, about=MANIFEST), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def wide(page, address: str):
    """The browser with the whole explorer in view."""
    page.set_window_size(1440, 900)
    page.get(address)
    shown(page)
    return page


def choose(driver, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("id", name)).select_by_value(value)


def visit(driver, address: str) -> dict[str, object]:
    driver.get("about:blank")
    driver.get(address)
    return shown(driver)


def click(driver, selector: str, number: int = 0) -> None:
    driver.find_elements("css selector", selector)[number].click()


def numbers(text: str) -> float:
    return float(re.sub("[≈, ]", "", text)) if re.search(r"\d", text) else math.inf


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("sized", [(1440, 900), (768, 1024), (390, 844)], indirect=True)
def test_every_screen_shows_all_to_everyone(sized, address: str, dark: bool) -> None:
    page = sized
    mode = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [mode]})
    seen = visit(page, address)
    assert seen["points"] == 4 * len(
        SAMPLES
    )  # since k2, k3 and cv by factor are the same for D = 1
    assert seen["rows"] == 8
    assert "For an error of 1 %: 2 samples with k1 over antithetic points" in seen["said"]
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert barriers(page) == []
    drawn = page.execute_script(
        "const hex = c => '#' + c.match(/\\d+/g).slice(0, 3)"
        ".map(x => (+x).toString(16).padStart(2, '0')).join('');"
        "const style = (all, key) => [...document.querySelectorAll(all)]"
        ".map(e => hex(getComputedStyle(e)[key]));"
        "return [style('body', 'backgroundColor'), style('#plot .curve', 'stroke'),"
        "style('#plot .marker', 'fill'), style('#plot text', 'fill')]"
    )
    ((paper,), *colours) = drawn
    assert paper.upper() == explorer.PAPER[dark]
    assert all(colours)
    assert min(explorer.contrast(c, paper) for part in colours for c in part) >= 4.5


def test_pickers_change_the_view_and_the_link_restores_it(wide, address: str) -> None:
    before = shown(wide)
    for name, value in (("dimension", "4"), ("scale", "2.5"), ("offset", "0.25")):
        choose(wide, name, value)
    click(wide, "#samplers input[value=sobol-radial]")
    click(wide, "#samplers input[value=iid]")
    click(wide, "#estimators input[value=k2]")
    field = wide.find_element("id", "tolerance")
    field.clear()
    field.send_keys("3\n")
    wait(wide, "return view.tolerance === 0.03")
    after = shown(wide)
    assert after["points"] == 3 * len(SAMPLES)  # k1, k3 and cv
    assert after["said"] != before["said"]
    assert "dimension 4, scale 2.5, offset 0.25. For an error of 3 %: " in after["said"]
    assert "infinite" in after["said"]
    link = wide.current_url
    assert "setting=d4-s2.5-o0.25" in link
    assert visit(wide, link) == after
    assert wide.find_element("id", "tolerance").get_attribute("value") == "3"
    boxes = "return [...document.querySelectorAll('fieldset :checked')].map(b => b.value)"
    others = [e for e in HERE if e != "k2"]
    assert wide.execute_script(boxes) == [*others, "sobol-radial"]


def test_keyboard_alone_reaches_and_changes_everything(wide) -> None:
    from selenium.webdriver.common.keys import Keys

    before = shown(wide)
    seen = []
    while "csv" not in seen:
        wide.switch_to.active_element.send_keys(Keys.TAB)
        active = wide.switch_to.active_element
        seen.append(active.get_attribute("id") or active.get_attribute("value") or active.text)
        if seen[-1] == "dimension":
            active.send_keys(Keys.ARROW_DOWN)
        assert len(seen) < 100
    reached = {"case", "dimension", "scale", "offset", "tolerance", "k1", "cv", "sobol-radial"}
    assert reached | {"estimator", "needed", "fold", "zoom-in", "whole", "keep"} <= set(seen)
    assert shown(wide)["said"] != before["said"]


def test_kl_of_zero_and_the_case_are_told(page, address: str) -> None:
    zero = visit(page, address + "#setting=d1-s1-o0")
    assert "KL = 0 for dimension 1, scale 1, offset 0" in zero["said"]
    assert zero["points"] == 0
    case = visit(page, address + "#setting=notebook")
    assert "KL = 2.593 nats for the pair notebook (dimension 2)" in case["said"]
    assert not page.find_element("id", "dimension").is_displayed()


def test_what_a_pair_lacks_cannot_be_chosen(page, tmp_path: Path) -> None:
    cells = [
        grid_setting(d, 2.5, o, family)
        for family in ("normal", "student-t(3)")
        for d in (1, 4)
        for o in (0.25, 1.0)
    ]
    keys = {"backend": "numpy", "estimator": "k3", "samples": 64}
    errors = {"rmse": 0.5, "mse": 0.25, "mse_std_error": 0.02, "exact_mse": 0.24, "exact_bias": 0.0}
    rows = [
        {"setting": c.name, "sampler": sampler, **keys, **errors}
        for c in cells
        for sampler in c.combinations(["iid", "iid-radial"], ["k3"])
    ]
    summary = pd.DataFrame(rows).assign(replicates=20, ci_coverage=0.9)
    budget = budget_columns(cells, ["iid", "iid-radial"], ["k3"], [0.1], summary)
    settings = tables.table("settings", setting_rows(cells)).to_pandas()
    needs = pd.concat(map(pd.DataFrame, budget))
    path = tmp_path / "explorer.html"
    text = explorer.page(str(REPORT), settings, summary, needs, MANIFEST)
    path.write_text(text, encoding="utf-8")

    before = visit(page, path.as_uri() + "#setting=d4-s2.5-o1&samplers=iid-radial")
    assert "for normal, dimension 4, scale 2.5, offset 1." in before["said"]
    assert "k3's variance is infinite" in before["said"]
    radial = "#samplers input[value=iid-radial]"
    assert page.find_element("css selector", radial).is_selected()
    choose(page, "family", "student-t(3)")
    wait(page, "return document.getElementById('said').textContent.includes('student')")
    after = shown(page)
    assert "for student-t(3), dimension 4, scale 2.5, offset 1." in after["said"]
    assert "infinite" not in after["said"]
    assert after["points"] == 1  # over iid points instead
    assert not page.find_element("css selector", radial).is_enabled()
    link = page.current_url
    assert "setting=student-t3-d4-s2.5-o1" in link
    assert visit(page, link) == after


def test_the_table_answers_first_sorts_and_unfolds(wide) -> None:
    rows = wide.execute_script(ROWS)
    assert (rows[0][0], rows[0][1:]) == ("k1 = cv = cv-factor", ["antithetic", "2", "2"])
    needed = [numbers(row[2]) for row in rows]
    assert needed == sorted(needed)
    click(wide, "#fold")
    rows = wide.execute_script(ROWS)
    assert sum(len(row[0].split(" = ")) for row in rows) == len(USED) * len(HERE)
    click(wide, "#budget th button", 3)
    click(wide, "#budget th button", 3)
    measured_samples = [numbers(row[3]) for row in wide.execute_script(ROWS)]
    numbered = [n for n in measured_samples if n < math.inf]
    assert numbered == sorted(numbered, reverse=True)
    assert measured_samples[: len(numbered)] == numbered


@pytest.mark.parametrize("tolerance", [0.5, 0.01, 0.037, 0.002])
def test_samples_for_any_tolerance_are_those_of_theory(wide, tolerance: float) -> None:
    numbered = 0
    for setting in SETTINGS:
        forecasts = Forecasts(setting.pair)
        found = wide.execute_script(
            "const s = DATA.settings.find(s => s.setting === arguments[0]);"
            "return curvesOf(s, 'numpy').flatMap(c => c.estimators.map("
            "e => [e, c.sampler, need(c, arguments[1], s.kl)]))",
            setting.name, tolerance,
        )  # fmt: skip
        for estimator, sampler, told in found:
            limit = Tolerance(tolerance * forecasts.law.kl)
            independent = SAMPLERS[sampler].points.independent
            need = forecasts.need(ESTIMATORS[estimator], SAMPLERS[sampler], limit)
            if need.samples and told["samples"]:
                # The page knows theory's errors to four digits, and between the numbers of samples
                # of the study's Sobol' points it is careful.
                close = told["samples"] == pytest.approx(need.samples, rel=0.01, abs=2)
                assert close or (told["samples"] == 2 * need.samples and not independent)
                numbered += 1
            elif need.samples and independent:
                assert "no theory" in told["reason"]  # at any of the study's numbers of samples
    assert numbered > 50


def test_equal_curves_are_one_and_rounding_errors_are_exact(page, address: str) -> None:
    visit(page, address + "#setting=d1-s1-o0.25&samplers=iid,antithetic")
    names = page.execute_script(NAMES)
    assert "k3 = k3-factor, iid" in names
    assert "k1 = cv = cv-factor, antithetic: exact" in names
    low, high = page.execute_script("return scene.axes.slice(2)")
    assert 1e-6 < low < high < 10


def test_axes_are_kept_on_request_and_zoomed(wide) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    axes = "return scene.axes"
    first = wide.execute_script(axes)
    choose(wide, "dimension", "4")
    assert wide.execute_script(axes) != first
    click(wide, "#keep")
    kept = wide.execute_script(axes)
    choose(wide, "dimension", "1")
    assert wide.execute_script(axes) == kept
    click(wide, "#keep")
    assert wide.execute_script(axes) == first

    chart = wide.find_element("css selector", "#plot svg")
    drag = ActionChains(wide).move_to_element(chart).click_and_hold().move_by_offset(90, 70)
    drag.release().perform()
    low, high, least, most = wide.execute_script(axes)
    assert first[0] < low < high < first[1]
    assert first[2] < least < most < first[3]
    assert "points lie outside these axes" in wide.find_element("id", "outside").text
    click(wide, "#whole")
    click(wide, "#zoom-in")
    low, high = wide.execute_script(axes)[:2]
    assert high / low == pytest.approx((first[1] / first[0]) ** 0.6)
    click(wide, "#zoom-out")
    assert wide.execute_script(axes) == pytest.approx(first)


def test_a_curve_is_told_under_the_mouse_and_isolated_by_a_click(wide) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    everything = shown(wide)["points"]
    x, y = wide.execute_script(
        "const p = scene.points.findLast(p => p.curve.estimator === 'k1'),"
        "box = scene.svg.getBoundingClientRect();"
        "return [Math.round(p.x - box.width / 2), Math.round(p.y - box.height / 2)]"
    )
    chart = wide.find_element("css selector", "#plot svg")
    ActionChains(wide).move_to_element_with_offset(chart, x, y).perform()
    tip = wide.find_element("id", "tip").text
    assert f"over iid points, {SAMPLES[-1]} samples" in tip
    assert "by theory" in tip
    ActionChains(wide).click().perform()
    assert shown(wide)["points"] == len(SAMPLES)
    (alone,) = wide.execute_script(CURVES)
    assert tip.startswith(alone.split()[1])
    wide.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert shown(wide)["points"] == everything
    click(wide, "#budget .name")  # the best row, whose sampler was not shown
    assert "antithetic" in wide.execute_script("return [...view.samplers]")
    click(wide, "#budget .name")
    click(wide, "#names button")
    assert len(wide.execute_script(CURVES)) == 1


def test_the_csv_file_has_the_summary_of_the_view(page, address: str, study) -> None:
    where = "#setting=d4-s2.5-o0.25&samplers=iid,sobol-radial&estimators=k1,k3,cv"
    visit(page, address + where)
    page.execute_script("HTMLAnchorElement.prototype.click = function () { window.saved = this; }")
    click(page, "#csv")
    assert page.execute_script("return saved.download") == "mckl-d4-s2.5-o0.25.csv"
    told = pd.read_csv(io.StringIO(page.execute_script("return csv()")))
    summary = study["summary"].astype({"setting": str, "sampler": str, "estimator": str})
    rows = summary.query(
        "setting == 'd4-s2.5-o0.25' and backend == 'numpy'"
        " and sampler in ['iid', 'sobol-radial'] and estimator in ['k1', 'k3', 'cv']"
    ).assign(exact_rmse=lambda x: np.sqrt(x["exact_mse"].where(np.isfinite(x["exact_mse"]))))
    keys = ["sampler", "estimator", "samples"]
    told, rows = (frame.set_index(keys).sort_index() for frame in (told, rows))
    assert told.index.equals(rows.index)
    for column in ("rmse", "relative_rmse", "exact_rmse", "ci_coverage", "kl"):
        np.testing.assert_allclose(told[column], rows[column].astype(float), rtol=1e-3)
