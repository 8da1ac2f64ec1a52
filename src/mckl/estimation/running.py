"""Running means and co-moments of several integrands, merged block by block.

Blocks are merged by the pairwise update of Chan, Golub & LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances" (1979), which loses no digits where the mean is much
larger than the spread.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
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
    same
        Maps the name of an integrand to the name under which its moments are kept. Two integrands
        with the same values may share one name.
    overwrite
        Whether `update` may write into the integrands' arrays, which is faster. Each integrand must
        then have an array of its own.
    """

    def __init__(
        self,
        products: Iterable[tuple[str, str]],
        integrands: Callable[[Vector], Any],
        rows: int,
        dot: Callable[[Vector, Vector], Any] = np.vecdot,
        same: Callable[[str], str] = lambda name: name,
        overwrite: bool = False,
    ) -> None:
        self._integrands, self._dot = integrands, dot
        self._same, self._overwrite = same, overwrite
        kept = dict.fromkeys((same(first), same(second)) for first, second in products)
        # The row of each product in `_comoment`, and of each integrand in `_mean`.
        self._products = {product: i for i, product in enumerate(kept)}
        self._names = {name: i for i, name in enumerate(dict.fromkeys(n for p in kept for n in p))}
        self._pairs = [(self._names[first], self._names[second]) for first, second in kept]
        self._first, self._second = np.array(self._pairs, dtype=np.intp).reshape(-1, 2).T
        # An update replaces these two arrays and never changes them, so `so_far` can share them.
        self._mean: Vector = np.zeros((len(self._names), rows))
        self._comoment: Vector = np.zeros((len(self._products), rows))
        self.units: int = 0

    def mean(self, name: str) -> Vector:
        """The mean of an integrand so far, shape (rows,)."""
        mean: Vector = self._mean[self._names[self._same(name)]]
        return mean

    def comoment(self, first: str, second: str) -> Vector:
        """The sum of (x - mean x)(y - mean y) so far, shape (rows,)."""
        comoment: Vector = self._comoment[self._products[self._same(first), self._same(second)]]
        return comoment

    def update(self, block_values: Vector) -> None:
        """Add a block of log density ratios, shape (points per unit, rows, units).

        With sums over factors, the block has shape (1 + sums, points per unit, rows, units). The
        value of a unit is the mean of the integrand over its points.
        """
        for _ in self.updates(block_values, [block_values.shape[-1]]):
            pass

    def updates(self, block_values: Vector, stops: Iterable[int]) -> Iterator[int]:
        """Add a block as `update` does, but piece by piece, and yield after each stop.

        The stops are numbers of units of the block, in ascending order.
        """
        points = block_values.shape[-3]
        values = self._integrands(block_values)
        every = [getattr(values, name) for name in self._names]
        units = [value[0] if points == 1 else value.mean(axis=0) for value in every]
        overwrite = self._overwrite or points > 1
        for start, stop in itertools.pairwise([0, *stops]):
            self._take([unit[:, start:stop] for unit in units], stop - start, overwrite)
            yield stop

    @np.errstate(over="ignore", invalid="ignore")  # moments that overflow are not finite
    def _take(self, values: Sequence[Vector], units: int, overwrite: bool) -> None:
        """Add units, given the values of each integrand, shape (rows, units)."""
        mean, within = np.empty_like(self._mean), np.empty_like(self._comoment)
        for value, mean_of_value in zip(values, mean, strict=True):
            np.add.reduce(value, axis=-1, out=mean_of_value)
        mean /= units
        centred = [
            np.subtract(value, mean_of_value, out=value if overwrite else None)
            for value, mean_of_value in zip(values, mean[..., None], strict=True)
        ]
        for mean_of_value, (i, j) in zip(within, self._pairs, strict=True):
            mean_of_value[:] = self._dot(centred[i], centred[j])
        self._add(units, mean, within)

    def _add(self, units: int, mean: Vector, comoment: Vector) -> None:
        """Merge the moments of further units."""
        total = self.units + units
        shift = mean - self._mean
        weighted = self.units * units / total * shift
        between = weighted.take(self._first, axis=0) * shift.take(self._second, axis=0)
        self._comoment = self._comoment + (comoment + between)
        self._mean = self._mean + shift * (units / total)
        self.units = total

    def merge(self, other: RunningMoments) -> None:
        """Add everything that another object with the same products has been given."""
        if other.units:
            self._add(other.units, other._mean, other._comoment)

    def fade(self, share: float) -> None:
        """Let all units so far count for less: each by this share of what it counts now."""
        self.units *= share  # type: ignore[assignment]
        self._comoment = share * self._comoment

    def so_far(self) -> RunningMoments:
        """A copy of the present moments, which later updates do not change."""
        return copy(self)

    @staticmethod
    def side_by_side(parts: Sequence[RunningMoments]) -> RunningMoments:
        """One object with the rows of all parts, each of which has the same number of units."""
        out = parts[0].so_far()
        out._mean = np.concatenate([part._mean for part in parts], axis=1)
        out._comoment = np.concatenate([part._comoment for part in parts], axis=1)
        return out

    def state(self) -> dict[str, Any]:
        """The moments as plain numbers, from which `restore` can continue; for one row only."""
        return {
            "units": self.units,
            "mean": {name: float(self.mean(name)[0]) for name in self._names},
            "comoment": {
                " ".join(product): float(self.comoment(*product)[0]) for product in self._products
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state` with the same products."""
        self.units = state["units"]
        self._mean = np.array([[float(state["mean"][name])] for name in self._names])
        self._comoment = np.array(
            [[float(state["comoment"][" ".join(product)])] for product in self._products]
        )


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
