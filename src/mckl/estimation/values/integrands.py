"""The functions of the log density ratio l whose running moments the estimators share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from mckl.arrays import Vector


class Integrands:
    """Each integrand at the values `ell` of l, computed when it is asked for, and once.

    `more` has the integrands that are not among these: functions of the values of those that are.
    """

    def __init__(
        self, ell: Vector, more: Mapping[str, Callable[[Integrands], Vector]] | None = None
    ) -> None:
        self.ell = ell
        self._more = more or {}

    def __getattr__(self, name: str) -> Vector:
        # Python asks here only for what is neither below nor computed yet.
        if name.startswith("_") or name not in self._more:
            raise AttributeError(name)
        value = self._more[name](self)
        setattr(self, name, value)
        return value

    @cached_property
    def half_square(self) -> Vector:
        """Half of l squared."""
        return 0.5 * self.ell * self.ell

    @cached_property
    def ratio(self) -> Vector:
        """The ratio less one, r - 1 = e^{-l} - 1, exact for small l."""
        return np.expm1(-self.ell)

    @cached_property
    def k3(self) -> Vector:
        """The sum r - 1 + l >= 0. For |l| < 1e-3 by its series: there r - 1 and -l cancel."""
        value = self.ratio + self.ell
        small = np.abs(self.ell) < 1e-3
        count = np.count_nonzero(small)
        if 8 * count > small.size:  # the series of every value is faster than picking so many
            np.copyto(value, _k3_series(self.ell), where=small)
        elif count:
            places = np.flatnonzero(small)
            value.put(places, _k3_series(self.ell.take(places)))
        return value


def _k3_series(x: Vector) -> Vector:
    return np.asarray(x * x * (0.5 - x * (1 / 6 - x * (1 / 24 - x * (1 / 120)))))
