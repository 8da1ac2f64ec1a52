"""The backends by name. A backend draws the numbers and evaluates l; it is imported when used.

A backend is one function, `sums` of its module, from forms and points to sums (`Sums`). A new one
is one file here and one entry of `BACKENDS`.
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
from mckl.draw.form import Form
from mckl.draw.points.base import PointSet
from mckl.errors import UserError


class Backend(NamedTuple):
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
    start: float = 0.3
    slowness: float = 1.0
    slower: Mapping[str, float] = {}
    memory_mb: int = 400

    def slowness_of(self, factors: Iterable[Factor]) -> float:
        """The slowness for a pair with these factors."""
        factors_slowness = (self.slower.get(factor.q.name, self.slowness) for factor in factors)
        return max(factors_slowness, default=self.slowness)


BACKENDS: Mapping[str, Backend] = {
    "numpy": Backend(),
    "tensorflow": Backend(
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


# The values of l and of the sums at the next units, given how many: an array of shape (1 + sums,
# points per unit, forms, replicates, units), which is valid until the next call.
Following = Callable[[int], Vector]
# The units of a group of replicates, given the seed of each. One group is evaluated at a time.
Replicates = Callable[[Sequence[np.random.SeedSequence]], Following]


class Sums(Protocol):
    """A backend: a function from the forms of pairs and a point set to l and sums over factors.

    A unit is one sample, or an antithetic pair of samples. `forms` share their draws, `names` are
    the sums over factors that are wanted beside l, and `units` is the number of units that each
    replicate will be asked for in all (None if that is not known).
    """

    def __call__(
        self, forms: Sequence[Form], points: PointSet, names: Sequence[str] = (),
        units: int | None = None,
    ) -> Replicates: ...  # fmt: skip


def check(name: str, dtype: str = "float64") -> None:
    """Raise `UserError` if a backend cannot run here; nothing is imported to find out."""
    backend = BACKENDS[name]
    if dtype not in backend.dtypes:
        raise UserError(
            f"dtype: the backend {name} does not have '{dtype}', "
            f"expected {' or '.join(backend.dtypes)}"
        )
    how = _how(name)
    if backend.newest_python and sys.version_info[:2] > backend.newest_python:
        newest = ".".join(map(str, backend.newest_python))
        python = ".".join(map(str, sys.version_info[:2]))
        raise UserError(
            f"backends: '{name}' has no packages for Python {python}: "
            f"use Python {newest} or older, and there {how}"
        )
    for package, least in backend.packages.items():
        needed = f"{package} {'.'.join(map(str, least))} or newer"
        try:
            installed = version(package)
        except PackageNotFoundError:
            raise UserError(f"backends: '{name}' needs {needed}, none found: {how}") from None
        if tuple(int(part) for part in re.findall(r"\d+", installed)[:2]) < least:
            raise UserError(f"backends: '{name}' needs {needed}, found {installed}: {how}")


def _how(name: str) -> str:
    return f"pip install '.[{name}]' -c constraints.txt"


def load(name: str, dtype: str = "float64") -> Sums:
    """The backend of this name, with its libraries imported.

    Raises `UserError` where they are not installed or lack the dtype.
    """
    check(name, dtype)
    try:
        module = import_module(f"mckl.draw.backends.{name}")
    except ImportError as error:
        why = " ".join(str(error).split())
        raise UserError(f"backends: '{name}' does not load ({why}): {_how(name)}") from error
    sums: Sums = module.sums
    return sums if dtype == BACKENDS[name].dtypes[0] else partial(module.sums, dtype=dtype)
