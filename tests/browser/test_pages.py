"""Both pages in a real browser, from disk, with the network off."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from show.study import MANIFEST, SAMPLES, USED, frames
from tools import PATIENCE, need
from workflow.study import Study

from mckl.estimation.values import ESTIMATORS
from mckl.show import explorer
from mckl.show.captions import template
from mckl.show.figures import EXPLORER, QUESTIONS

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.slow

SHOWN = "#app nav + div"  # the part of the report beside its menu
POINTS = "document.querySelector('[data-points]')?.dataset.points"


class QuietHandler(SimpleHTTPRequestHandler):
    """A server of files that logs nothing and has an icon, for which Chromium asks."""

    def do_GET(self) -> None:
        if self.path == "/favicon.ico":
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True, scope="session")
def _chromium() -> None:
    need("Chromium or its driver", CHROMIUM and DRIVER)


@pytest.fixture(scope="module")
def explorer_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the explorer of the study in memory, which has more settings than others."""
    tables = {name: frames()[name] for name in ("settings", "summary", "budget")}
    words = template(str(ROOT / "scripts"), "explorer.html")
    path = tmp_path_factory.mktemp("pages") / "explorer.html"
    path.write_text(explorer.page(words, **tables, about=MANIFEST), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Headless Chromium without a network."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("profile")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                 "--no-first-run", "--disable-background-networking", "--disable-component-update",
                 "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
                 f"--user-data-dir={profile}"):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    driver.set_network_conditions(offline=True, latency=0, throughput=0)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, request: pytest.FixtureRequest) -> Iterator[object]:
    """The browser; keeps a screenshot of a failed test, and fails on console errors."""
    browser.get("about:blank")
    browser.get_log("browser")
    failed = request.session.testsfailed
    yield browser
    errors = [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"
    ]
    if request.session.testsfailed > failed or errors:
        shots = ROOT / "results" / "screenshots"
        shots.mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(shots / f"{request.node.name}.png"))
    assert not errors


def _wait(driver, script: str) -> object:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, PATIENCE / 5, 0.05).until(lambda d: d.execute_script(script))


def _choose(driver, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("id", name)).select_by_value(value)


def assert_charted(driver, setting: str, sampler: str, estimators: Sequence[str]) -> None:
    """The chart's data are those of the summary, to the page's four digits."""
    rows = frames()["summary"].query("backend == 'numpy' and setting == @setting")
    rows = rows[(rows["sampler"] == sampler) & rows["estimator"].isin(estimators)]
    columns = ["samples", "rmse", "ci_coverage"]
    for kind, value in (("points", "rmse"), ("theory", "exact_mse")):
        known = rows[np.isfinite(rows[value]) & (rows[value] > 0)].sort_values("samples")
        drawn = driver.execute_script(f"return JSON.stringify(shown.view.data('{kind}'))")
        drawn = pd.DataFrame(json.loads(drawn)).sort_values("samples")
        assert len(drawn) == len(known)
        for estimator in estimators:
            one, other = (x[x["estimator"] == estimator] for x in (drawn, known))
            other = other.assign(rmse=other["rmse"] if kind == "points" else other[value] ** 0.5)
            kept = columns if kind == "points" else columns[:2]
            np.testing.assert_allclose(one[kept].astype(float), other[kept], rtol=1e-3)


def _shown(driver) -> dict[str, object]:
    """What the chart and the words say now."""
    _wait(driver, "return document.querySelector('#chart svg')")
    return {
        "points": int(
            _wait(driver, "return document.querySelector('[data-points]')?.dataset.points")
        ),
        "said": driver.find_element("id", "said").text,
        "rows": len(driver.find_elements("css selector", "#budget tbody tr")),
    }


def test_the_family_picker_keeps_the_other_axes(page, tmp_path: Path) -> None:
    import pandas as pd

    from mckl.record import tables
    from mckl.show import explorer
    from mckl.study.budget_table import budget_columns
    from mckl.study.settings import grid_setting
    from mckl.study.theory_table import setting_rows

    cells = [
        grid_setting(d, 2.5, o, family)
        for family in ("normal", "student-t(3)")
        for d in (1, 4)
        for o in (0.25, 1.0)
    ]
    settings = tables.table("settings", setting_rows(cells)).to_pandas()
    keys = {"backend": "numpy", "sampler": "iid", "estimator": "k3", "samples": 64}
    measured = {"rmse": 0.5, "mse": 0.25, "mse_std_error": 0.02, "exact_mse": 0.24}
    summary = pd.DataFrame({"setting": [c.name for c in cells], **keys, **measured})
    summary = summary.assign(replicates=20, ci_coverage=0.9)
    budget = budget_columns(cells, ["iid"], ["k3"], [0.1], summary)
    needs = pd.concat(map(pd.DataFrame, budget))
    words = (ROOT / "workflow" / "report" / "explorer.html").read_text()
    path = tmp_path / "explorer.html"
    page_text = explorer.page(words, settings, summary, needs, MANIFEST)
    path.write_text(page_text, encoding="utf-8")

    page.set_window_size(1300, 1000)
    page.get(path.as_uri() + "#setting=d4-s2.5-o1")
    before = _shown(page)
    assert "for normal, dimension 4, scale 2.5, offset 1." in before["said"]
    assert "k3's variance is infinite here" in before["said"]
    _choose(page, "family", "student-t(3)")
    _wait(page, "return document.getElementById('said').textContent.includes('student')")
    after = _shown(page)
    assert "for student-t(3), dimension 4, scale 2.5, offset 1." in after["said"]
    assert "infinite" not in after["said"]
    link = page.current_url
    assert "setting=student-t3-d4-s2.5-o1" in link
    page.get("about:blank")
    page.get(link)
    assert _shown(page) == after


@pytest.mark.parametrize("width", [1300, 400])
def test_explorer_shows_a_chart_and_a_budget_at_every_width(
    page, explorer_page: str, width: int
) -> None:
    page.set_window_size(width, 1000)
    page.get(explorer_page)
    shown = _shown(page)
    every = [e for e in ESTIMATORS if e != "rb"]  # of policies alone
    assert shown["points"] == len(every) * len(SAMPLES)
    assert shown["rows"] == len(USED) * len(every)
    assert "nats" in shown["said"]
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_pickers_change_the_chart_and_the_link_restores_the_view(page, explorer_page: str) -> None:
    page.set_window_size(1300, 1000)
    page.get(explorer_page)
    before = _shown(page)
    _choose(page, "dimension", "4")
    _choose(page, "scale", "2.5")
    _choose(page, "offset", "0.25")
    _choose(page, "sampler", "sobol-radial")
    _choose(page, "tolerance", "0.1")
    page.find_element("css selector", "#estimators input[value=k2]").click()
    _wait(page, f"return {POINTS} == '{3 * len(SAMPLES)}'")
    after = _shown(page)
    assert_charted(page, "d4-s2.5-o0.25", "sobol-radial", ("k1", "k3", "cv"))
    assert after["said"] != before["said"]
    assert "dimension 4, scale 2.5, offset 0.25" in after["said"]
    assert "infinite" in after["said"]
    link = page.current_url
    assert "setting=d4-s2.5-o0.25" in link
    page.get("about:blank")
    page.get(link)
    assert _shown(page) == after
    assert page.find_element("id", "sampler").get_attribute("value") == "sobol-radial"
    assert not page.find_element("css selector", "#estimators input[value=k2]").is_selected()


def test_keyboard_alone_reaches_and_changes_every_picker(page, explorer_page: str) -> None:
    from selenium.webdriver.common.keys import Keys

    page.set_window_size(1300, 1000)
    page.get(explorer_page)
    before = _shown(page)
    seen = []
    for _ in range(12):
        page.switch_to.active_element.send_keys(Keys.TAB)
        active = page.switch_to.active_element
        seen.append(active.get_attribute("id") or active.get_attribute("value"))
        if seen[-1] == "dimension":
            active.send_keys(Keys.ARROW_DOWN)
    assert {"case", "dimension", "scale", "offset", "sampler", "tolerance", "k1", "cv"} <= set(seen)
    assert _shown(page)["said"] != before["said"]


def test_kl_of_zero_and_the_case_are_told(page, explorer_page: str) -> None:
    page.set_window_size(1300, 1000)
    page.get(explorer_page + "#setting=d1-s1-o0")
    zero = _shown(page)
    assert "KL = 0 for dimension 1, scale 1, offset 0" in zero["said"]
    assert zero["points"] == 0
    page.get("about:blank")
    page.get(explorer_page + "#setting=notebook&sampler=iid")
    assert "KL = 2.593 nats for the pair notebook (dimension 2)" in _shown(page)["said"]


@pytest.fixture
def sized(page, request: pytest.FixtureRequest) -> Iterator[object]:
    """The browser with a screen of so many pixels, narrow ones being phones."""
    width, height = request.param
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield page
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def _click(driver, selector: str, text: str | None = None, number: int = 0) -> None:
    """Click a link, after which the report still has a page to show."""
    links = driver.find_elements("css selector", selector)
    links = [a for a in links if text is None or a.get_attribute("textContent") == text]
    driver.execute_script("arguments[0].click()", links[number])
    assert driver.find_element("css selector", "#app nav").text


def assert_explorer_in_frame(driver) -> None:
    frame = driver.find_element("css selector", "#app iframe")
    assert frame.size["width"] > 300
    assert frame.size["height"] > 300
    driver.switch_to.frame(frame)
    shown = _shown(driver)
    assert shown["points"] > 0
    assert shown["rows"] > 0
    assert "nats" in shown["said"]
    assert not driver.find_element("id", "files").is_displayed()  # there are none beside it
    driver.switch_to.default_content()


@pytest.mark.parametrize("sized", [(1440, 900), (390, 844)], indirect=True)
def test_every_link_of_the_report_opens(sized, finished: Study) -> None:
    """Every question, picture and caption; the fixture fails on any error of the page."""
    driver, results = sized, finished.root / "results"
    driver.get((results / "report.html").as_uri())
    top, height, width = _wait(
        driver,
        "const h1 = document.querySelector('h1.title');"
        "return h1 && [h1.getBoundingClientRect().y, innerHeight,"
        " document.documentElement.scrollWidth - innerWidth]",
    )
    assert 0 <= top < 0.6 * height
    assert width == 0
    text, picture, drawn = driver.execute_script(
        "const img = document.querySelector('#app .prose img');"
        "return [document.querySelector('h1.title'), img].map(e => e.getBoundingClientRect().width)"
        ".concat(img.naturalWidth)"
    )
    assert drawn > 1300
    assert text < driver.execute_script("return innerWidth")
    assert 650 < picture < 750  # as in print; a phone scrolls it
    _click(driver, "#app .prose a", "explorer")
    assert_explorer_in_frame(driver)
    for item in ("Workflow", "Statistics"):
        _click(driver, "#app nav a", item)
        _wait(driver, f"return document.querySelector('{SHOWN} .vega-embed canvas')")

    questions = driver.execute_script("return Object.keys(categories).sort()")
    assert [question[:3] for question in questions] == [
        f"{i}. " for i in range(1, len(questions) + 1)
    ]
    assert [question[3:] for question in questions] == [*QUESTIONS]
    opened = set()
    for question in questions:
        _click(driver, "#app nav nav a")  # home
        _click(driver, "#app nav a", question)
        rows = driver.find_elements("css selector", "#app nav tbody tr")
        labels = [row.text.strip() for row in rows]
        assert [label[:3] for label in labels] == [f"{i}. " for i in range(1, len(rows) + 1)]
        for i, label in enumerate(labels):
            name = label[3:].split(":")[0]
            opened.add(name)
            _click(driver, "#app nav tbody td:last-child a", number=2 * i)
            if name == EXPLORER.name:
                assert_explorer_in_frame(driver)
            else:
                picture = f"document.querySelector('{SHOWN} img')"
                assert _wait(driver, f"return {picture}?.complete && {picture}.naturalWidth") > 300
                # On a phone the figure keeps its size, and its frame scrolls.
                left, right, wide, shown = driver.execute_script(
                    f"const box = {picture}.parentElement.getBoundingClientRect();"
                    f"return [box.left, box.right, innerWidth, {picture}.width]"
                )
                assert 0 <= left < right - 300
                assert right <= wide
                assert shown > 600
            _click(driver, "#app nav tbody td:last-child a", number=2 * i + 1)
            caption = driver.find_element("css selector", "#app nav .prose")
            assert len(caption.text) > 100
            assert caption.size["width"] > 250
            _click(driver, "#app nav nav a", question)
    figures = {path.stem for path in (results / "figures").glob("*.svg")}
    assert opened == figures | {EXPLORER.name}


def test_the_report_opens_from_a_server(page, finished: Study) -> None:
    handler = functools.partial(QuietHandler, directory=str(finished.root / "results"))
    with ThreadingHTTPServer(("localhost", 0), handler) as server:
        site = "http://{}:{}".format(*server.server_address)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.set_window_size(1300, 1000)
        page.delete_network_conditions()
        try:
            page.get(f"{site}/report.html")
            _wait(page, "return document.querySelector('h1.title')")
            _click(page, "#app .prose a", "explorer")
            assert_explorer_in_frame(page)
            page.get(f"{site}/explorer.html")
            assert _shown(page)["points"] > 0
            assert page.find_element("id", "files").is_displayed()
        finally:
            page.set_network_conditions(offline=True, latency=0, throughput=0)
            server.shutdown()
