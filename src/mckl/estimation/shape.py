"""What is known of KL and of the shape of l, and which of its digits are certain."""

from __future__ import annotations

import math
from typing import NamedTuple

from mckl.errors import UserError
from mckl.exact.law import Law
from mckl.exact.moments import LARGEST_ERROR, LARGEST_ERROR_OF_KL, Bounded
from mckl.families.base import Pair


class LogRatioShape(NamedTuple):
    """The variance of l in nats squared, its skewness and excess kurtosis; NaN: not known."""

    variance: Bounded
    skewness: float
    excess_kurtosis: float


def shape_of(law: Law) -> LogRatioShape:
    """The shape of l. Skewness and kurtosis are NaN where their bounds exceed `LARGEST_ERROR`."""
    kappa = law.ell(4)
    variance, third, fourth = (kappa.at(k) for k in (2, 3, 4))
    if not (0.0 < variance.value < math.inf):
        return LogRatioShape(variance, math.nan, math.nan)
    shapes = []
    for power, cumulant in ((1.5, third), (2.0, fourth)):
        # By parts, since a power of the variance may underflow.
        unit = variance.value * variance.value ** (power - 1.0)
        value = cumulant.value / variance.value / variance.value ** (power - 1.0)
        error = cumulant.error / unit if unit else math.inf
        error += power * variance.relative * abs(value)
        certain = math.isinf(value) or error <= LARGEST_ERROR * max(1.0, abs(value))
        shapes.append(value if certain else math.nan)
    return LogRatioShape(variance, *shapes)


def k3_variance_finite(law: Law) -> bool:
    """Whether the variance of k3 is finite: so must be those of r and l."""
    return law.ratio_variance_finite and law.is_finite(0, 2)


def check_certain(pair: Pair, name: str) -> None:
    """Raise UserError, naming the setting, where KL or Var l is not known to enough digits."""
    law = pair.law
    for what, number in (
        ("KL(q||p)", Bounded(law.kl, law.kl_error)),
        ("the variance of l", shape_of(law).variance),
    ):
        if number.relative > LARGEST_ERROR_OF_KL:
            known = f"is {certain(number)}"
            if math.isfinite(number.error):
                known = f"is only known as {certain(number)}"
            raise UserError(
                f"{name}: {what} {known}: a study needs it with a relative error of at most "
                f"{LARGEST_ERROR_OF_KL:g}"
            )


def in_nats(number: Bounded, digits: int = 15) -> str:
    """A number of nats as `certain` writes it, or ``not known``."""
    return f"{certain(number, digits)} nats" if math.isfinite(number.error) else "not known"


def certain(number: Bounded, digits: int = 15) -> str:
    """A number with this number of digits, or ``about 62.026 ± 0.004`` where they are not certain.

    >>> certain(Bounded(0.25, 1e-16)), certain(Bounded(62.0248, 0.0038))
    ('0.25', 'about 62.025 ± 0.004')
    """
    if number.relative <= LARGEST_ERROR_OF_KL:
        return f"{number.value:.{digits}g}"
    if not math.isfinite(number.error):
        return "not known"
    exponent = math.floor(math.log10(number.error))
    error = math.ceil(number.error / 10.0**exponent) * 10.0**exponent
    if exponent < -15:
        return f"about {number.value:.3g} ± {error:.1g}"
    if abs(number.value) >= 1e15:
        figures = math.floor(math.log10(abs(number.value))) - exponent + 1
        return f"about {number.value:.{max(figures, 1)}g} ± {error:.1g}"
    return f"about {number.value:.{max(0, -exponent)}f} ± {error:.1g}"
