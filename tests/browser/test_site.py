"""The website that `make site` builds: its links, and every page in a real browser, from disk."""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import matplotlib as mpl
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from tools import PATIENCE, need

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "site"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.slow

Browser = webdriver.Chrome


class Links(HTMLParser):
    """The addresses in a page, those that it loads by itself, and the ids of its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        address = values.get("href") or values.get("src")
        if "id" in values:
            self.ids.add(values["id"])
        if address and (tag in ("script", "img") or (tag == "link" and "rel" in values)):
            self.loaded.append(address)
        elif address:
            self.links.append(address)


@functools.cache
def read(page: Path) -> Links:
    return Links(page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    need("the site (make site)", (SITE / "index.html").exists())
    return sorted(p for p in SITE.rglob("*.html") if "_static" not in p.parts)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    need("Chromium or its driver", CHROMIUM and DRIVER)
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    yield driver
    driver.quit()


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_a_network(pages: list[Path]) -> None:
    wrong = []
    for page in (p for p in pages if p.parent.name != "results"):
        for address in read(page).loaded:
            if urlsplit(address).scheme not in ("", "data"):
                wrong.append(f"{page.name} loads {address}")
        for address in read(page).links + read(page).loaded:
            parts = urlsplit(address)
            if parts.scheme:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.is_file():
                wrong.append(f"{page.name}: {address}")
            elif target.parent.name == "results" or not parts.fragment:
                continue  # the report and the explorer make their elements by scripts
            elif unquote(parts.fragment) not in read(target).ids:
                wrong.append(f"{page.name}: {address}")
    assert wrong == []


def test_every_page_opens_without_an_error(pages: list[Path], browser: Browser) -> None:
    titles = []
    for width, height in ((1440, 900), (390, 844)):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        for page in (p for p in pages if p.parent.name != "results"):
            browser.get(page.as_uri())
            titles.append(browser.find_element(By.TAG_NAME, "h1").text)
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, f"{page.name} is {wide} wide on a screen of {width}"
            broken = "return [...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
            assert browser.execute_script(broken) == []
        assert [e["message"] for e in browser.get_log("browser") if e["level"] != "INFO"] == []
    assert all(titles)


def test_formulas_show_without_a_script(pages: list[Path], browser: Browser) -> None:
    browser.get((SITE / "explanation/theory.html").as_uri())
    size = "return [...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().width)"
    widths = browser.execute_script(size)
    assert len(widths) > 800
    assert min(widths) > 1
    assert "$" not in browser.find_element(By.CSS_SELECTOR, "section p").text


def test_the_search_finds_a_page(pages: list[Path], browser: Browser) -> None:
    browser.get((SITE / "search.html").as_uri() + "?q=antithetic")
    shown = WebDriverWait(browser, PATIENCE).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, "#search-results li a")
    )
    assert any("theory" in link.get_attribute("href") for link in shown)


def test_dark_mode(pages: list[Path], browser: Browser) -> None:
    browser.get((SITE / "index.html").as_uri())
    ground = "return getComputedStyle(document.body).backgroundColor"
    colours = set()
    for mode in ("light", "dark"):
        browser.execute_script(f"localStorage.setItem('mode', '{mode}')")
        browser.refresh()
        assert browser.execute_script("return document.documentElement.dataset.mode") == mode
        colours.add(browser.execute_script(ground))
    browser.execute_script("localStorage.clear()")
    assert len(colours) == 2


@pytest.mark.parametrize("page", ["how-to/own-figure.md", "how-to/study.md"])
def test_the_examples_that_read_a_run_work(
    page: str, pages: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mpl.use("Agg")
    (tmp_path / "results").symlink_to(ROOT / "results")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    exec(compile(example, page, "exec"), found := {})
    assert len(found["summary"])
    assert (tmp_path / "own-figure.png").exists() == page.endswith("own-figure.md")


def test_the_tutorial_is_there_as_a_notebook_that_ran(pages: list[Path]) -> None:
    (address,) = (
        link for link in read(SITE / "tutorial" / "notebook.html").links if link.endswith(".ipynb")
    )
    notebook = json.loads((SITE / "tutorial" / unquote(address)).resolve().read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 10
    assert all(cell["execution_count"] for cell in code)
    pictures = [cell for cell in notebook["cells"] if cell.get("attachments")]
    assert len(pictures) == 4
