"""Captions and the landing page: templates filled with the run's own numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd


def render(template: str, numbers: Mapping[str, Any], path: str) -> None:
    """Fill a template with numbers and write it; a number that it lacks is an error."""
    text = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template)
    Path(path).write_text(text.render(numbers) + "\n", encoding="utf-8")


def landing_numbers(
    settings: pd.DataFrame,
    summary: pd.DataFrame,
    verification: pd.DataFrame,
    manifest: Mapping[str, Any],
) -> dict[str, Any]:
    """The numbers that the landing page quotes."""
    return {}
