"""The estimator cv: the mean of l with the control variate r - 1, whose exact mean is 0.

The coefficient is fitted on the same samples (`mckl.estimation.values.regression`).
"""

from __future__ import annotations

from mckl.estimation.values import regression
from mckl.exact.law import Law
from mckl.exact.moments import Moments


def moments(law: Law, paired: bool, order: int, slope: float, rest: float) -> Moments:
    """The joint central moments of r - 1 and k3 - slope (r - 1)."""
    block = law.block(paired, order, slope, rest)
    return Moments(block.value[:, 0], block.error[:, 0]) if paired else block


CV = regression.estimator("cv", regression.Control("ratio", "k3"), moments)
