"""Headless Chromium without a network, and the small study whose report it opens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools import need
from workflow.conftest import finished  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(autouse=True, scope="session")
def _chromium() -> None:
    need("Chromium or its driver", CHROMIUM and DRIVER)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
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
    """The browser; keeps a screenshot of a failed test, and fails on what the console tells.

    The warnings of the report's own page are Snakemake's, whose page it is.
    """
    browser.get("about:blank")
    browser.get_log("browser")
    failed = request.session.testsfailed
    yield browser
    told = [
        entry["message"]
        for entry in browser.get_log("browser")
        if entry["level"] == "SEVERE"
        or (entry["level"] == "WARNING" and "/report.html " not in entry["message"])
    ]
    if request.session.testsfailed > failed or told:
        shots = ROOT / "results" / "screenshots"
        shots.mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(shots / f"{request.node.name}.png"))
    assert not told


@pytest.fixture
def sized(page, request: pytest.FixtureRequest) -> Iterator[object]:
    """The browser with a screen of so many pixels, narrow ones being phones."""
    width, height = request.param
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield page
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
