"""The log of a job, with everything that it prints and the reason if it fails."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
import traceback
from functools import partial
from types import TracebackType

from mckl.errors import UserError

# Errors of the disk, and not of the code.
_REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}


def collect_rarely() -> None:
    """Make the garbage collector of this process rare, which saves a short one a fifth of its time.

    It would mostly run while modules are imported, and at the end, when everything is freed anyway.
    """
    gc.set_threshold(100_000, 50, 100)
    atexit.register(gc.freeze)


def log_to(path: str) -> None:
    """From now on, write standard output, standard error and uncaught exceptions to a file."""
    collect_rarely()
    sys.excepthook = partial(_report, os.dup(2))
    sys.stdout = sys.stderr = open(path, "w", buffering=1, encoding="utf-8")  # noqa: SIM115 - open to the end
    try:
        print()  # takes the block in which `_report` can still name a full disk
    except OSError as error:
        error.filename = path
        raise


def _report(
    terminal: int, kind: type[BaseException], error: BaseException, where: TracebackType | None
) -> None:
    if isinstance(error, UserError | FloatingPointError):
        text = f"mckl: {error}\n"
    elif isinstance(error, OSError) and error.errno in _REFUSED:
        why = os.strerror(error.errno)
        text = f"mckl: {error.filename} cannot be written ({why}): fix that and run again\n"
    elif isinstance(error, KeyboardInterrupt):
        text = "mckl: interrupted\n"
    else:
        text = "".join(traceback.format_exception(kind, error, where))
    try:
        print(text, end="", file=sys.stderr)
    except OSError:  # the log is on the full disk, and only its first block can be written again
        message, log = text.encode(), sys.stderr.fileno()
        try:
            os.ftruncate(log, os.pwrite(log, message, 0))
        except OSError:
            os.write(terminal, message)
        os.dup2(os.open(os.devnull, os.O_WRONLY), log)  # for what is still in a buffer
