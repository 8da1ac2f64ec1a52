"""Running means and co-moments of several integrands, merged block by block.

Blocks are merged by the pairwise update of Chan, Golub & LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances" (1979), which loses no digits where the mean is much
larger than the spread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from mckl.arrays import Vector


class RunningMoments:
    """Means and co-moments sum (x - mean x)(y - mean y) of integrands, for many replicates.

    Parameters
    ----------
    products
        Pairs of names of integrands. The co-moment of each pair and the mean of each integrand are
        kept.
    integrands
        A function that turns the argument of `update` into an object with the integrands' values
        by name, such as `mckl.estimation.values.integrands.Integrands`.
    rows
        The number of traces that are updated together.
    dot
        The function for inner products over the last axis.
    """

    def __init__(
        self,
        products: Iterable[tuple[str, str]],
        integrands: Callable[[Vector], Any],
        rows: int,
        dot: Callable[[Vector, Vector], Any] = np.vecdot,
    ) -> None:
        self._dot = dot
        self._products = tuple(dict.fromkeys(products))
        self._integrands = integrands
        names = dict.fromkeys(name for product in self._products for name in product)
        self._mean = {name: np.zeros(rows) for name in names}
        self._comoment = {product: np.zeros(rows) for product in self._products}
        self.units = 0

    def mean(self, name: str) -> Vector:
        """The mean of an integrand so far, shape (rows,)."""
        return self._mean[name]

    def comoment(self, first: str, second: str) -> Vector:
        """The sum of (x - mean x)(y - mean y) so far, shape (rows,)."""
        return self._comoment[first, second]

    def update(self, block_values: Vector) -> None:
        """Add a block of log density ratios, shape (points per unit, rows, units).

        With sums over factors, the block has shape (1 + sums, points per unit, rows, units). The
        value of a unit is the mean of the integrand over its points.
        """
        points, _, block = block_values.shape[-3:]
        total = self.units + block
        values = self._integrands(block_values)
        shift, centred = {}, {}
        for name, before in self._mean.items():
            value = getattr(values, name)
            unit = value[0] if points == 1 else value.mean(axis=0)
            mean = np.add.reduce(unit, axis=-1) / block
            shift[name] = mean - before
            centred[name] = unit - mean[:, None]
        weight = self.units * block / total
        for first, second in self._products:
            within = self._dot(centred[first], centred[second])
            self._comoment[first, second] += within + weight * shift[first] * shift[second]
        for name, before in self._mean.items():
            self._mean[name] = before + shift[name] * (block / total)
        self.units = total

    def merge(self, other: RunningMoments) -> None:
        """Add everything that another object with the same products has been given."""
        total = self.units + other.units
        if not total:
            return
        shift = {name: other._mean[name] - before for name, before in self._mean.items()}
        weight = self.units * other.units / total
        for first, second in self._products:
            between = weight * shift[first] * shift[second]
            self._comoment[first, second] += other._comoment[first, second] + between
        for name, before in self._mean.items():
            self._mean[name] = before + shift[name] * (other.units / total)
        self.units = total

    def state(self) -> dict[str, Any]:
        """The moments as plain numbers, from which `restore` can continue; for one row only."""
        return {
            "units": self.units,
            "mean": {name: float(mean[0]) for name, mean in self._mean.items()},
            "comoment": {
                f"{first} {second}": float(self._comoment[first, second][0])
                for first, second in self._products
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state` with the same products."""
        self.units = int(state["units"])
        self._mean = {name: np.array([float(state["mean"][name])]) for name in self._mean}
        self._comoment = {
            (first, second): np.array([float(state["comoment"][f"{first} {second}"])])
            for first, second in self._products
        }


_SHORT = 2**13  # the length up to which OpenBLAS starts no threads, which would only cost time


def short_dot(first: Vector, second: Vector) -> Any:
    """Inner products over the last axis, computed in short parts.

    >>> float(short_dot(np.ones(20_000), np.ones(20_000)))
    20000.0
    """
    whole = first.shape[-1] // _SHORT * _SHORT
    rest = np.vecdot(first[..., whole:], second[..., whole:])
    if not whole:
        return rest
    shape = (*first.shape[:-1], -1, _SHORT)
    parts = np.vecdot(first[..., :whole].reshape(shape), second[..., :whole].reshape(shape))
    return rest + parts.sum(axis=-1)
