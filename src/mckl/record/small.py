"""Reads a small file whole, which may be anything: a pipe, a device, or far too large."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mckl.errors import UserError
from mckl.text import shortened, size

MOST_BYTES = 2**24


def check_regular(path: str | Path) -> None:
    """Raise `UserError` unless there is a regular file: reading a pipe or a device may not end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # none, a name that is too long, or one with a NUL
        raise UserError(f"{shortened(str(path))}: no such file") from None
    if not stat.S_ISREG(mode):
        raise UserError(f"{shortened(str(path))}: not a regular file")


def read_small(path: str | Path) -> bytes:
    """The bytes of a regular file; raises `UserError` for anything else and for a large file."""
    check_regular(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"{path}: a larger file than expected, at most {size(MOST_BYTES)}")
    return content
