"""Reads a small file whole, which may be anything: a pipe, a device, or far too large."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mckl.errors import UserError
from mckl.text import size

MOST_BYTES = 2**24


def is_regular(path: str | Path) -> bool:
    """Whether there is a regular file, or a link to one: reading a pipe or a device may not end."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):  # no such file, a name that is too long, or one with a NUL
        return False


def read_small(path: str | Path) -> bytes:
    """The bytes of a regular file; raises `UserError` for anything else and for a large file."""
    if not is_regular(path):
        raise UserError(f"{path}: no such file")
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"{path}: a larger file than expected, at most {size(MOST_BYTES)}")
    return content
