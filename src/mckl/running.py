"""Running means and co-moments of several integrands, merged block by block.

Blocks are merged by the pairwise update of Chan, Golub & LeVeque, "Updating formulae and a
pairwise algorithm for computing sample variances" (1979), which loses no digits when the
mean is large beside the spread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from mckl.gaussians import Vector


class RunningMoments:
    """Means and co-moments sum (x - mean x)(y - mean y) of integrands, for many replicates.

    Parameters
    ----------
    products
        Pairs of names in `integrands`; their co-moments are kept, and the means of all.
    integrands
        Name -> function of the log density ratio.
    replicates
        How many independent traces run side by side.
    """

    def __init__(
        self,
        products: Iterable[tuple[str, str]],
        integrands: Mapping[str, Callable[[Vector], Vector]],
        replicates: int,
    ) -> None:
        self._products = tuple(dict.fromkeys(products))
        names = dict.fromkeys(name for product in self._products for name in product)
        self._functions = {name: integrands[name] for name in names}
        self._mean = {name: np.zeros(replicates) for name in names}
        self._comoment = {product: np.zeros(replicates) for product in self._products}
        self.units = 0

    def mean(self, name: str) -> Vector:
        """The mean of an integrand so far, shape (replicates,)."""
        return self._mean[name]

    def comoment(self, first: str, second: str) -> Vector:
        """Sum (x - mean x)(y - mean y) so far, shape (replicates,)."""
        return self._comoment[first, second]

    def update(self, ell: Vector) -> None:
        """Take in a block of log density ratios, shape (points per unit, replicates, units).

        The value of a unit is the mean of the integrand over its points.
        """
        points, _, block = ell.shape
        total = self.units + block
        shift, centred = {}, {}
        for name, function in self._functions.items():
            values = function(ell)
            unit = values[0] if points == 1 else values.mean(axis=0)
            mean = unit.mean(axis=-1)
            shift[name] = mean - self._mean[name]
            centred[name] = unit - mean[:, None]
        weight = self.units * block / total
        for first, second in self._products:
            within = np.einsum("rn,rn->r", centred[first], centred[second])
            self._comoment[first, second] += within + weight * shift[first] * shift[second]
        for name in self._functions:
            self._mean[name] = self._mean[name] + shift[name] * (block / total)
        self.units = total
