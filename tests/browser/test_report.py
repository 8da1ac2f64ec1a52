"""The report in a real browser: every link, from disk and from a server."""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from workflow.study import Study

from mckl.show.figures import EXPLORER, QUESTIONS

from .watching import barriers, shown, wait

pytestmark = pytest.mark.slow

SHOWN = "#app nav + div"  # the part of the report beside its menu


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
    view = shown(driver)
    assert view["points"] > 0
    assert view["rows"] > 0
    assert "nats" in view["said"]
    assert not driver.find_element("id", "files").is_displayed()  # there are none beside it
    driver.switch_to.default_content()


@pytest.mark.parametrize("sized", [(1440, 900), (390, 844)], indirect=True)
def test_every_link_of_the_report_opens(sized, finished: Study) -> None:
    """Every question, picture and caption; the fixture fails on any error of the page."""
    driver, results = sized, finished.root / "results"
    driver.get((results / "report.html").as_uri())
    top, height, width = wait(
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
    assert barriers(driver, "'#app .prose'") == []  # what is ours; the rest is Snakemake's
    _click(driver, "#app .prose a", "explorer")
    assert_explorer_in_frame(driver)
    for item in ("Workflow", "Statistics"):
        _click(driver, "#app nav a", item)
        wait(driver, f"return document.querySelector('{SHOWN} .vega-embed canvas')")

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
                assert wait(driver, f"return {picture}?.complete && {picture}.naturalWidth") > 300
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
            wait(page, "return document.querySelector('h1.title')")
            _click(page, "#app .prose a", "explorer")
            assert_explorer_in_frame(page)
            page.get(f"{site}/explorer.html")
            assert shown(page)["points"] > 0
            assert page.find_element("id", "files").is_displayed()
        finally:
            page.set_network_conditions(offline=True, latency=0, throughput=0)
            server.shutdown()
