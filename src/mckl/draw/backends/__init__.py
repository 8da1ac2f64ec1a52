"""The backends by name. A backend draws the numbers and evaluates l; it is imported when used.

A backend's module has a class `Stream` (`mckl.draw.points.base.Stream`) and a class `Kernel`, which
turns draws into log density ratios. A new backend is one file here and one entry of `LIBRARIES`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple, Protocol

import numpy as np

from mckl.arrays import Vector
from mckl.draw.distribution import Factor
from mckl.draw.points.base import Draw, Stream
from mckl.errors import UserError


class BackendFacts(NamedTuple):
    """The facts about a backend that are known without importing it. Costs are approximate.

    packages      the Python packages that it needs beside the study's own, and their least versions
    newest_python the newest Python for which these packages exist; None for any
    dtypes        the types of numbers in which it can work, its default first
    most_numbers  the most random numbers of one sample that it can hold; None for no limit
    distributions whether it draws and evaluates with distributions of its own
    start         CPU seconds of a job before its first draw
    slowness      CPU time of a sample relative to the NumPy backend, without quantiles
    slower        the same for distributions that take longer, by name
    memory_mb     memory of a job before its first draw, in MB
    """

    packages: Mapping[str, tuple[int, int]] = {}
    newest_python: tuple[int, int] | None = None
    dtypes: Sequence[str] = ("float64",)
    most_numbers: int | None = None
    distributions: bool = False
    start: float = 0.7
    slowness: float = 1.0
    slower: Mapping[str, float] = {}
    memory_mb: int = 400

    def slowness_of(self, factors: Iterable[Factor]) -> float:
        """The slowness for a pair with these factors."""
        known = (self.slower.get(factor.q.name, self.slowness) for factor in factors)
        return max(known, default=self.slowness)


LIBRARIES: Mapping[str, BackendFacts] = {
    "numpy": BackendFacts(),
    "tensorflow": BackendFacts(
        packages={"tensorflow": (2, 21), "tensorflow-probability": (0, 25), "tf-keras": (2, 21)},
        newest_python=(3, 13),
        dtypes=("float64", "float32"),
        most_numbers=10**7,
        distributions=True,
        start=5.0,
        slowness=3.0,
        slower={"StudentT": 7.0},
        memory_mb=1200,
    ),
}
BACKENDS = tuple(LIBRARIES)


class Kernel(Protocol):
    """Turns the draws of one group of replicates into log density ratios.

    A unit is one sample, or an antithetic pair of samples. A kernel may evaluate more units than it
    is asked for and return them when it is asked again, so it must always get the same draws until
    `restart` is called.
    """

    def evaluate(self, draws: Sequence[Draw], units: int) -> Vector:
        """l and the sums over factors that the kernel was made for, at the next `units` units.

        The array of shape (1 + sums, points per unit, forms, replicates, units) is valid until the
        next call.
        """

    def restart(self) -> None:
        """Forget the units that are left, so that the next call may bring other draws."""


class Backend(NamedTuple):
    """The functions of a loaded backend that make streams and kernels.

    stream  makes a stream from a replicate's seed
    kernel  makes a kernel from the forms that share their draws, the points per unit, the number of
            units that each draw will be asked for in all (None if unknown), and the names of the
            sums over factors that are wanted
    """

    name: str
    stream: Callable[[np.random.SeedSequence], Stream]
    kernel: Callable[..., Kernel]


def check(name: str, dtype: str = "float64") -> None:
    """Raise `UserError` if a backend cannot run here; nothing is imported to find out."""
    library = LIBRARIES[name]
    if dtype not in library.dtypes:
        raise UserError(
            f"dtype: the backend {name} does not have '{dtype}', "
            f"expected {' or '.join(library.dtypes)}"
        )
    how = _how(name)
    if library.newest_python and sys.version_info[:2] > library.newest_python:
        newest = ".".join(map(str, library.newest_python))
        here = ".".join(map(str, sys.version_info[:2]))
        raise UserError(
            f"backends: '{name}' has no packages for Python {here}: "
            f"use Python {newest} or older, and there {how}"
        )
    for package, least in library.packages.items():
        needed = f"{package} {'.'.join(map(str, least))} or newer"
        try:
            found = version(package)
        except PackageNotFoundError:
            raise UserError(f"backends: '{name}' needs {needed}, none found: {how}") from None
        if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < least:
            raise UserError(f"backends: '{name}' needs {needed}, found {found}: {how}")


def _how(name: str) -> str:
    return f"pip install '.[{name}]' -c constraints.txt"


def load(name: str, dtype: str = "float64") -> Backend:
    """The backend of this name, with its libraries imported.

    Raises `UserError` where they are not installed or lack the dtype.
    """
    check(name, dtype)
    try:
        module = import_module(f"mckl.draw.backends.{name}")
    except ImportError as error:
        why = " ".join(str(error).split())
        raise UserError(f"backends: '{name}' does not load ({why}): {_how(name)}") from error
    if dtype == LIBRARIES[name].dtypes[0]:
        return Backend(name, module.STREAM, module.KERNEL)
    return Backend(name, partial(module.STREAM, dtype=dtype), partial(module.KERNEL, dtype=dtype))
