"""The functions of the log density ratio l whose running moments the estimators share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from mckl.arrays import Vector
from mckl.exact import factor_sums
from mckl.exact.factor_sums import SUMS

# The coefficient of r = e^-l in each shared integrand, or sum over factors, that contains r.
RATIO_IN = dict.fromkeys(("ratio", "k3", "factor_ratio", "factor_k3"), 1.0)


def of_only_factor(name: str) -> str:
    """The name of the integrand of the whole that equals this one if a sample has one factor.

    >>> of_only_factor("factor_ratio"), of_only_factor("ell")
    ('ratio', 'ell')
    """
    whole = name.removeprefix("factor_")
    return whole if whole in SUMS else name


class Integrands:
    """The integrands at the values `ell` of l. Each is computed once, when it is first used.

    `more` has further integrands by name, as functions of this object. `sums` has sums over each
    sample's factors by name; as integrands their names have the prefix ``factor_``. Without `sums`
    a sample is one factor, and ``factor_`` integrands are those of the whole sample.
    """

    def __init__(
        self,
        ell: Vector,
        more: Mapping[str, Callable[[Integrands], Vector]] | None = None,
        sums: Mapping[str, Vector] | None = None,
    ) -> None:
        self.ell = ell
        self._more = more or {}
        self._one_factor = not sums
        for name, values in (sums or {}).items():
            setattr(self, f"factor_{name}", values)

    def __getattr__(self, name: str) -> Vector:
        # Python calls this only for names that are neither below nor computed yet.
        whole = of_only_factor(name)
        if whole != name and self._one_factor:
            value: Vector = getattr(self, whole)
        elif not name.startswith("_") and name in self._more:
            value = np.array(self._more[name](self))  # a copy: no two names share an array
        else:
            raise AttributeError(name)
        setattr(self, name, value)
        return value

    @cached_property
    def half_square(self) -> Vector:
        """Half of l squared."""
        return factor_sums.half_square(self.ell)

    @cached_property
    def ratio(self) -> Vector:
        """The ratio less one, r - 1 = e^{-l} - 1, to full accuracy for small l."""
        return factor_sums.ratio(self.ell)

    @cached_property
    def k3(self) -> Vector:
        """The sum r - 1 + l >= 0, to full accuracy for small l."""
        return factor_sums.k3(self.ell, self.ratio)
