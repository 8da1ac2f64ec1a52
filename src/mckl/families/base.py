"""The interfaces of a family: its pairs, one side of a pair, and its entry in the registry.

A family of one-dimensional laws only writes its law (`mckl.families.coordinates.univariate`), and
one whose log-partition function is known only that (`mckl.families.exponential.pair`). Any other
family writes a `Pair` and a `Side`, and all of them have one `Family` in the registry.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from mckl.draw.distribution import Factor
from mckl.draw.form import Drawable, Seconds
from mckl.errors import within_float64
from mckl.exact.factor_sums import SUMS
from mckl.exact.law import Law
from mckl.families.maps import Transform
from mckl.families.parameters import Synonym, own_names
from mckl.families.policy.sampled_chain import SampledChain
from mckl.families.scores import Scores

NO_SAMPLER = "a sampler's law is known for policies and categoricals of one factor alone"


class Integrals(NamedTuple):
    """Moments of l = log q - log p and of r = p / q, integrated from their definitions.

    The integrals use the two log densities and the law of q alone, so that they are a check on the
    formulas of the family's `Law`. NaN where a family has no such integral.

    kl, log_ratio_variance  mean and variance of l under q, in nats and nats squared
    third, fourth           its third and fourth cumulant
    chi_square              E_q r^2 - 1
    """

    kl: float
    log_ratio_variance: float
    third: float = math.nan
    fourth: float = math.nan
    chi_square: float = math.nan

    @property
    def shape(self) -> tuple[float, float]:
        """The skewness and the excess kurtosis of l; NaN where its variance is 0."""
        variance = self.log_ratio_variance
        if not variance > 0.0:
            return math.nan, math.nan
        return self.third / variance / math.sqrt(variance), self.fourth / variance / variance


class Pair(Drawable):
    """The sampled q and the reference p; l = log q(z) - log p(z) is their log density ratio.

    A family must write `family`, `dimension`, `_law`, `reversed` and `form`, and set to False what
    its samples lack of `mirrored` and `additive`. It may write `radial_numbers` and `radial`,
    `scores`, `integrals`, `distributions`, `sums` and `seconds`; without them it has no radial
    samplers, no gradients, no independent check of its law, no TensorFlow, all sums of
    `mckl.exact.factor_sums`, and a forecast as for normals.

    Attributes beside those of `Drawable`
    ----------
    family
        The family as results name it: ``student-t(5)``, or ``student-t(10)|normal`` where q and p
        differ.
    sums
        The names of the sums over a sample's factors that its forms can compute
        (`mckl.exact.factor_sums`).
    seconds
        CPU seconds that one random number of a sample takes; None for normals, whose cost the point
        sets know.
    """

    family: str
    sums: frozenset[str] = frozenset(SUMS)
    seconds: Seconds | None = None

    @cached_property
    def law(self) -> Law:
        """The law of the log density ratio under q."""
        with within_float64():
            return self._law()

    @abstractmethod
    def _law(self) -> Law: ...

    @cached_property
    def scores(self) -> Scores | None:
        """The joint law of l and the score of q; None where the family has no gradients."""
        return None

    @property
    def reverse_kl(self) -> float:
        """KL(p||q), in nats; inf where it is infinite, NaN where it exceeds the largest float64."""
        law = self._reversed_law
        too_large = math.isinf(law.kl) and law.is_finite(0.0, 1)
        return math.nan if too_large else law.kl

    @property
    def reverse_kl_error(self) -> float:
        """A bound on the absolute error of `reverse_kl`; 0 where that is infinite."""
        if math.isnan(self.reverse_kl):
            return math.inf
        return self._reversed_law.kl_error if math.isfinite(self.reverse_kl) else 0.0

    @cached_property
    def _reversed_law(self) -> Law:
        return self.reversed().law

    def integrals(self) -> Integrals:
        """KL(q||p) and the variance of l, integrated from their definitions."""
        return Integrals(math.nan, math.nan)

    def distributions(self) -> Sequence[Factor] | None:
        """The factors of q and p as TensorFlow Probability names them; None where it lacks one."""
        return None

    @abstractmethod
    def reversed(self) -> Pair:
        """The same pair with the roles of q and p exchanged."""

    def sampled(self, s: Side) -> SampledChain:
        """The same pair with samples of another law s, such as an older q.

        Raises OtherFamilyError where the family has no theory of such samples, and ValueError where
        s does not fit, or is 0 where q is not.
        """
        raise OtherFamilyError(f"{self.family}: {NO_SAMPLER}")

    def lagging(self, lag: float) -> SampledChain | None:
        """The same pair with samples of the s that lags behind q; None where there is none."""
        return None


class OtherFamilyError(ValueError):
    """Raised where q and p are of different families, for which mckl has no exact law."""


class Side(ABC):
    """q or p, with the parameters that a case of the config gives.

    family  The name of the family, such as ``student-t``, for messages.
    """

    family: str

    def independent(self) -> Side:
        """The same law as independent coordinates, so that the other side may be of another family.

        Raises OtherFamilyError where the family has no such form.
        """
        raise OtherFamilyError(f"q and p must both be {self.family} where one of them is")

    def under(self, transforms: Sequence[Transform]) -> Side:
        """The law of what bijections of each coordinate make of it, the first applied first.

        Raises ValueError where they are not bijections, and for laws without densities.
        """
        raise ValueError(
            f"transform {transforms[0].text} of {self.family}: expected a law of "
            "numbers with a density"
        )

    @abstractmethod
    def against(self, p: Side) -> Pair:
        """The pair of this q and a p.

        Raises ValueError where the two do not fit together, and where KL(q||p) is infinite.
        """


class About(NamedTuple):
    """What the list of families says of a family beside its parameters.

    support  the values that its variable takes
    moments  when moments of l and of r = p / q are finite, for q and p of the family
    source   where its definition comes from
    """

    support: str
    moments: str
    source: str


NOTHING = About("", "", "")


class Family(NamedTuple):
    """The entry of a family in the registry: its name in the config, and how it is read.

    name        the name, such as ``student-t``
    shapes      the names of the numbers in parentheses after it, such as ``("df",)``
    parameters  the names of one side's parameters in a case, with their meanings
    side        a function that reads the mapping of one side of a case, without the key `family`
                and with the names above alone; it raises ValueError
    sweep       a function (shapes, dimension, scale, offset) -> the pair of one cell of the sweep;
                None for a family that can only be used in cases
    shared      the names of the parameters that q and p have in common, with their meanings; a case
                gives them beside `q` and `p`, or among those of q
    aliases     other names of parameters, with their conversions
    sequential  whether a sample is a sequence, each of whose factors depends on those before it
    countable   whether a factor takes countably many values
    about       what the list of families says of it
    """

    name: str
    shapes: Sequence[str]
    parameters: Mapping[str, str]
    side: Callable[[Mapping[str, Any]], Side]
    sweep: Callable[[Sequence[float], int, float, float], Pair] | None = None
    shared: Mapping[str, str] = {}
    aliases: Mapping[str, Synonym] = {}
    sequential: bool = False
    countable: bool = False
    about: About = NOTHING

    def named(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of one side under the family's own names; raises ValueError."""
        return own_names(self.name, given, [*self.parameters, *self.shared], self.aliases)

    @property
    def example(self) -> str:
        """How the family is written in a sweep: ``student-t(df)``."""
        return self.name + (f"({', '.join(self.shapes)})" if self.shapes else "")
