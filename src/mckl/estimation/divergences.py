"""KL(q||p) as a number that says how well it is known, with KL(p||q) beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mckl.errors import UserError
from mckl.estimation.results import plain_data
from mckl.estimation.shape import certain, in_nats
from mckl.exact.moments import LARGEST_ERROR_OF_KL, Bounded
from mckl.families.base import Pair

_NOT_KNOWN = Bounded(math.nan, math.inf)


class KL(float):
    """KL(q||p) in nats: a float that also says how well it is known, and what it is of.

    It is NaN where no bound on its error is known.

    Attributes
    ----------
    error
        A bound on its error. Where this exceeds 1e-8 of the number, the number is shown with the
        digits that are certain, as ``about 62.026 ± 0.004``.
    reverse
        KL(p||q), which may be inf and is NaN where it is not known or exceeds the largest float64,
        with a bound on its error.
    family, dimension
        The family of q and p, and the number of coordinates or tokens; None where not known.
    """

    error: float
    reverse: Bounded
    family: str | None
    dimension: int | None

    def __new__(
        cls,
        value: float,
        error: float = math.inf,
        reverse: Bounded = _NOT_KNOWN,
        family: str | None = None,
        dimension: int | None = None,
    ) -> KL:
        self = super().__new__(cls, value)
        self.error, self.reverse = error, reverse
        self.family, self.dimension = family, dimension
        return self

    @property
    def relative_error(self) -> float:
        """A bound on the error, relative to the number."""
        return Bounded(float(self), self.error).relative

    @property
    def symmetrised(self) -> Bounded:
        """KL(q||p) + KL(p||q), with a bound on its error."""
        return Bounded(float(self) + self.reverse.value, self.error + self.reverse.error)

    def text(self, digits: int = 15) -> str:
        """The number with these digits, or those that are certain if these are fewer."""
        return certain(Bounded(float(self), self.error), digits)

    def in_nats(self, digits: int = 15) -> str:
        """The same with its unit; ``not known`` has none."""
        return in_nats(Bounded(float(self), self.error), digits)

    def __repr__(self) -> str:
        return super().__repr__() if self.relative_error <= LARGEST_ERROR_OF_KL else self.text()

    def __str__(self) -> str:
        return repr(self)

    def lines(self) -> Iterator[str]:
        """KL(q||p), and if KL(p||q) is known also this and their sum, as lines of text."""
        yield f"KL(q||p)  {self.in_nats()}"
        if self.family is not None:
            yield f"KL(p||q)  {in_nats(self.reverse)}"
            yield f"sum       {in_nats(self.symmetrised)}"

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain data for JSON, with None in place of NaN and inf."""
        return {
            "family": self.family,
            "dimension": self.dimension,
            "kl": plain_data(float(self)),
            "kl_relative_error": plain_data(self.relative_error),
            "reverse_kl": plain_data(self.reverse.value),
            "reverse_kl_relative_error": plain_data(self.reverse.relative),
            "symmetrised_kl": plain_data(self.symmetrised.value),
        }


def divergences(pair: Pair) -> KL:
    """KL(q||p) of a pair, with KL(p||q); raises `UserError` if it exceeds the largest float64."""
    kl = Bounded(pair.law.kl, pair.law.kl_error)
    if not math.isfinite(kl.value):
        raise UserError("KL(q||p) exceeds the largest number, 1.8e308")
    reverse = Bounded(pair.reverse_kl, pair.reverse_kl_error)
    known = Bounded(reverse.known, reverse.error)
    return KL(kl.known, kl.error, known, pair.family, pair.dimension)
