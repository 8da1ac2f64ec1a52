"""Reads one side of a pair, q or p, from a small text in YAML, which includes JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mckl.errors import UserError
from mckl.record.case import check_size, with_numbers
from mckl.text import quoted

_EXAMPLE = "{family: gamma, shape: 2, rate: 1}"


def is_text(value: str) -> bool:
    """Whether an option's value is a text in YAML, and not the name of a file."""
    return value.lstrip().startswith("{") or ": " in value or "\n" in value


def read_side(side: str, text: str) -> dict[str, Any]:
    """The parameters of ``q`` or ``p`` in a text, as in a case of a config.

    In place of a vector or a matrix there may be the path of a file, which is read. Raises
    `UserError` for a text that is not a mapping, and for a file that cannot be read.

    >>> read_side("q", "{family: gamma, shape: [2, 1e1], rate: 1}")
    {'family': 'gamma', 'shape': [2.0, 10.0], 'rate': 1.0}
    """
    import yaml

    try:
        given = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = getattr(error, "problem", None) or "not YAML"
        raise UserError(
            f"--{side}: {quoted(text)}: {why}, expected a text such as {_EXAMPLE}"
        ) from None
    if not isinstance(given, Mapping):
        raise UserError(f"--{side}: {quoted(text)}, expected a text such as {_EXAMPLE}")
    check_size(given, f"--{side}: ")
    return with_numbers(given, f"--{side}: ", side)
