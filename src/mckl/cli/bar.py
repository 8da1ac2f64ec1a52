"""A progress bar for a command that draws or reads many samples."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(samples: int) -> Iterator[Callable[[int], object]]:
    """A progress bar for about this number of samples on standard error, if this is a terminal.

    It disappears when the work is done.
    """
    if not sys.stderr.isatty():
        yield lambda evaluations: None
        return
    from tqdm import tqdm

    with tqdm(total=samples, unit=" samples", unit_scale=True, leave=False) as bar:

        def advance(evaluations: int) -> None:
            bar.total = max(bar.total or 0, bar.n + evaluations)  # the forecast may be too low
            bar.update(evaluations)

        yield advance
