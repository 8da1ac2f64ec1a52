"""Reads the parameters of a case, with numbers as float64 and files read, and abridges them."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.errors import UserError
from mckl.record.columns import SUFFIXES
from mckl.record.shipped import shipped
from mckl.record.small import read_small
from mckl.record.vectors import read_parameter
from mckl.text import shortened

TEXT = "text"  # the name of the parameter whose value is the path of a text
MOST_SHOWN = 64  # a parameter with more numbers is stored as its shape and digest
# The most entries and levels of a mapping: aliases of YAML repeat what they name, or contain it.
_MOST_ENTRIES, _MOST_LEVELS = 10**6, 32


def check_size(given: Any, where: str) -> None:
    """Raise `UserError` for lists and mappings that are too large or too deep to be copied.

    `where` begins the message. Nothing is copied here, and the number of steps is limited, so a
    structure may repeat or contain itself.
    """
    entries, level = 0, [given]
    for _ in range(_MOST_LEVELS):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, (Mapping, list, tuple)):
                entries += len(value)
                if entries > _MOST_ENTRIES:
                    raise UserError(
                        f"{where}more than {_MOST_ENTRIES:,} entries, expected fewer: put long "
                        f"vectors into files ({', '.join(SUFFIXES)})"
                    )
                inner += value.values() if isinstance(value, Mapping) else value
        if not (level := inner):
            return
    raise UserError(f"{where}lists or mappings are nested too deeply")


def with_numbers(given: Mapping[Any, Any], where: str, side: str = "") -> dict[str, Any]:
    """The parameters with every number as a float, and arrays in place of the paths of files.

    Text that is a number, such as 1e-3, which YAML reads as text, becomes a float too. The family's
    name is kept.

    given  One side of a case, or a case with its sides ``q`` and ``p``.
    where  The prefix of a parameter's name in messages, such as ``cases.posterior.``.
    side   ``q`` or ``p``; columns of a file may have it as a prefix.

    Raises `UserError` with one line that names the parameter, the file and what was expected.
    """
    return {
        str(name): _numbers(value, f"{where}{shortened(str(name), 60)}", side, str(name))
        for name, value in given.items()
    }


def _numbers(value: Any, where: str, side: str, name: str) -> Any:
    if isinstance(value, Mapping):
        return with_numbers(value, f"{where}.", name if name in ("q", "p", "s") else side)
    if isinstance(value, list):
        return [_numbers(item, where, side, name) for item in value]
    if is_file(value, name):
        try:
            array = _code_points(value) if name == TEXT else read_parameter(value, side, name)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        if np.isnan(array).any():
            raise UserError(f"{where}: {value}: some numbers are NaN, expected none")
        return array
    if isinstance(value, bool) or name == "family":
        return value
    try:
        return float(value)
    except OverflowError:  # an integer beyond the largest float64
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        return value


def is_file(value: Any, name: str = "") -> bool:
    """Whether a parameter's value is the path of a file; that of `text` always is."""
    return isinstance(value, str) and (name == TEXT or value.lower().endswith(SUFFIXES))


def _code_points(path: str) -> Vector:
    """The code points of the characters in a text file, as an array.

    A name such as alice.txt, of which there is no file, is that of a text in the package's studies.
    """
    ready = shipped() / "studies" / path
    use_ready = Path(path).name == path and not os.path.exists(path) and ready.is_file()
    try:
        text = read_small(ready if use_ready else path).decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text in UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.float64)


def named_files(given: Any) -> Iterator[str]:
    """The paths of all files in the parameters of a case."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            if is_file(value, str(name)):
                yield value
            else:
                yield from named_files(value)
    elif isinstance(given, list):
        for value in given:
            yield from named_files(value)
    elif is_file(given):
        yield given


def abridged(parameters: Any) -> Any:
    """The parameters for JSON; an array of more than 64 numbers becomes its shape and SHA-256.

    The digest is of the numbers as little-endian float64 in C order, so it does not depend on the
    name or the format of a file.
    """
    if isinstance(parameters, Mapping):
        return {name: abridged(value) for name, value in parameters.items()}
    if isinstance(parameters, np.ndarray) or _is_long(parameters):
        array = np.ascontiguousarray(parameters, dtype="<f8")
        if array.size <= MOST_SHOWN:
            return array.tolist()
        return {"shape": list(array.shape), "sha256": hashlib.sha256(array.data).hexdigest()}
    if isinstance(parameters, list):
        return [abridged(value) for value in parameters]
    return parameters


def _is_long(value: Any) -> bool:
    """Whether a value is a list of more than 64 numbers."""
    if not isinstance(value, list) or not value or isinstance(value[0], (Mapping, np.ndarray)):
        return False
    return np.size(value) > MOST_SHOWN


def is_abridged(parameters: Any) -> bool:
    """Whether `abridged` has left numbers out."""
    if isinstance(parameters, Mapping):
        return "sha256" in parameters or any(map(is_abridged, parameters.values()))
    return isinstance(parameters, list) and any(map(is_abridged, parameters))
