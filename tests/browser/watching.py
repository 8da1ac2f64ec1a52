"""What a page shows, read in the browser."""

from __future__ import annotations

import functools
from importlib.resources import files

from tools import PATIENCE


def wait(driver, script: str) -> object:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, PATIENCE / 5, 0.05).until(lambda d: d.execute_script(script))


def shown(driver) -> dict[str, object]:
    """What the explorer's chart, table and words say now."""
    points = wait(driver, "return document.querySelector('[data-points]')?.dataset.points")
    return {
        "points": int(points),
        "said": driver.find_element("id", "said").text,
        "rows": len(driver.find_elements("css selector", "#budget tbody tr")),
    }


@functools.cache
def _axe() -> str:
    return files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def barriers(driver, context: str = "document") -> list[str]:
    """What axe-core finds serious or critical in a part of the page."""
    driver.execute_script(_axe())
    results = driver.execute_async_script(
        f"axe.run({context}, {{resultTypes: ['violations']}}).then(arguments[0])"
    )
    return [
        f"{v['id']}: {node['html']}"
        for v in results["violations"]
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]
