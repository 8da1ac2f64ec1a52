"""A job's log: all that it prints, and how it failed."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType

from mckl.errors import UserError


def log_to(path: str) -> None:
    """Send standard output, standard error and uncaught exceptions to a file from here on."""
    sys.stdout = sys.stderr = open(path, "w", buffering=1, encoding="utf-8")  # noqa: SIM115 - open to the end
    sys.excepthook = _report


def _report(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    if issubclass(kind, UserError | FloatingPointError):
        print(f"mckl: {error}", file=sys.stderr)
    else:
        traceback.print_exception(kind, error, where, file=sys.stderr)
