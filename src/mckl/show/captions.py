"""Fills the templates of captions and pages with the numbers of the run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mckl.record.shipped import shipped

_WANTED = 0.01  # the tolerance that is shown if the study has it


def template(name: str) -> str:
    """The text of a template in workflow/report."""
    return (shipped() / "workflow" / "report" / name).read_text(encoding="utf-8")


def escaped(value: Any) -> Any:
    """Text in which characters that reStructuredText reads as markup, as in a_, are escaped."""
    plain = isinstance(value, str) and not isinstance(value, Markup)
    return re.sub(r"([\\`*_|])", r"\\\1", value) if plain else value


def render(template: str, numbers: Mapping[str, Any], path: str) -> str:
    """Fill a template with numbers, write it, and return it as plain words.

    A missing number is an error.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, finalize=escaped)
    text = environment.from_string(template).render(numbers)
    Path(path).write_text(text + "\n", encoding="utf-8")
    return re.sub(r"[*`]|\\(?=\S)", "", " ".join(text.split()))


def shown_tolerance(tolerances: Iterable[float]) -> float:
    """The tolerance that pages and figures show: the study's nearest one to 1 %."""
    return min(tolerances, key=lambda t: abs(math.log(t / _WANTED)), default=_WANTED)
