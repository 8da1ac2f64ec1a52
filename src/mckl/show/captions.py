"""Captions and pages: templates filled with the run's own numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2


def template(scripts: str, name: str) -> str:
    """A caption or page of workflow/report, found from the folder of the workflow's scripts."""
    return (Path(scripts).parent / "workflow" / "report" / name).read_text(encoding="utf-8")


def escaped(value: Any) -> Any:
    """Text with the characters escaped that reStructuredText takes for markup, as in a_."""
    return re.sub(r"([\\`*_|])", r"\\\1", value) if isinstance(value, str) else value


def render(template: str, numbers: Mapping[str, Any], path: str) -> None:
    """Fill a template with numbers and write it; a number that it lacks is an error."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, finalize=escaped)
    text = environment.from_string(template).render(numbers)
    Path(path).write_text(text + "\n", encoding="utf-8")
