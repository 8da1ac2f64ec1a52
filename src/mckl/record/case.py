"""The parameters of a case: numbers as float64, read from files where they are, and stored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.errors import UserError
from mckl.record.columns import SUFFIXES
from mckl.record.vectors import read_parameter

TEXT = "text"  # the name of the parameter that is a text
MOST_SHOWN = 64  # numbers of a parameter that are stored themselves


def with_numbers(given: Mapping[Any, Any], where: str, side: str = "") -> dict[str, Any]:
    """The same parameters with every number a float and the array of a file in place of its path.

    A number that YAML reads as text, such as 1e-3, is one as well. The family's name stays.

    Parameters
    ----------
    given
        A side of a case, or a case with its sides ``q`` and ``p``.
    where
        What stands before a parameter's name in messages: ``cases.posterior.``.
    side
        ``q`` or ``p``, by which columns of a file may be named.

    Raises
    ------
    UserError
        With one line that names the parameter, the file and what was expected.
    """
    return {
        str(name): _numbers(value, f"{where}{name}", side, str(name))
        for name, value in given.items()
    }


def _numbers(value: Any, where: str, side: str, name: str) -> Any:
    if isinstance(value, Mapping):
        return with_numbers(value, f"{where}.", name if name in ("q", "p") else side)
    if isinstance(value, list):
        return [_numbers(item, where, side, name) for item in value]
    if is_file(value, name):
        try:
            array = _code_points(value) if name == TEXT else read_parameter(value, side, name)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        if np.isnan(array).any():
            raise UserError(f"{where}: {value}: NaN among its numbers, expected none")
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
    """Whether a parameter is the path of a file that holds it; a text always is."""
    return isinstance(value, str) and (name == TEXT or value.lower().endswith(SUFFIXES))


def _code_points(path: str) -> Vector:
    """The code points of a text's characters, which is an array as any other."""
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text in UTF-8") from None
    return np.array([*map(ord, text)], dtype=np.float64)


def files(given: Any) -> Iterator[str]:
    """The paths of files in the parameters of a case, as they were given."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            if is_file(value, str(name)):
                yield value
            else:
                yield from files(value)
    elif isinstance(given, list):
        for value in given:
            yield from files(value)
    elif is_file(given):
        yield given


def abridged(parameters: Any) -> Any:
    """Parameters for JSON: an array of more than 64 numbers is stored as its shape and SHA-256.

    The digest is that of the numbers, as little-endian float64 in C order, so that the name and
    the format of a file make no difference.
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
    """Whether a list is an array of more than 64 numbers, rather than a list of other things."""
    if not isinstance(value, list) or not value or isinstance(value[0], (Mapping, np.ndarray)):
        return False
    return np.size(value) > MOST_SHOWN


def is_abridged(parameters: Any) -> bool:
    """Whether `abridged` has left numbers out."""
    if isinstance(parameters, Mapping):
        return "sha256" in parameters or any(map(is_abridged, parameters.values()))
    return isinstance(parameters, list) and any(map(is_abridged, parameters))
