"""Reads one side of a pair, q or p, from a text in YAML, which includes JSON, or a file of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mckl.errors import UserError
from mckl.record.case import check_size, with_numbers
from mckl.record.small import read_small
from mckl.text import quoted

SUFFIXES = (".yaml", ".yml", ".json")
_EXAMPLE = "{family: gamma, shape: 2, rate: 1}"


def is_text(value: str) -> bool:
    """Whether an option's value is a text in YAML, and not the name of a file."""
    return value.lstrip().startswith("{") or ": " in value or "\n" in value


def is_side(value: str) -> bool:
    """Whether an option's value is a text in YAML or the name of a file of such a text."""
    return is_text(value) or value.lower().endswith(SUFFIXES)


def read_side(side: str, given: str) -> dict[str, Any]:
    """The parameters of ``q`` or ``p`` in a text or a file, as in a case of a config.

    In place of a vector or a matrix there may be the path of a file, which is read. Raises
    `UserError` for a text that is not a mapping, and for a file that cannot be read.

    >>> read_side("q", "{family: gamma, shape: [2, 1e1], rate: 1}")
    {'family': 'gamma', 'shape': [2.0, 10.0], 'rate': 1.0}
    """
    import yaml

    from mckl.record.yaml_text import repeated_key

    where = f"--{side}: " if is_text(given) else f"--{side}: {given}: "
    try:
        text = given if is_text(given) else read_small(given).decode("utf-8-sig")
        if given.lower().endswith(".json"):
            text = text.replace("\t", " ")  # YAML has no tabs between words
        parameters = yaml.safe_load(text)
        repeated = repeated_key(text)
    except UserError as error:
        raise UserError(f"--{side}: {error}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = getattr(error, "problem", None) or "not YAML"
        raise UserError(
            f"--{side}: {quoted(given)}: {why}, expected a text such as {_EXAMPLE}"
        ) from None
    if not isinstance(parameters, Mapping):
        raise UserError(f"--{side}: {quoted(given)}, expected a text such as {_EXAMPLE}")
    if repeated:
        raise UserError(f"{where}{repeated}: the key occurs twice, expected once")
    check_size(parameters, where)
    return with_numbers(parameters, where, side)
