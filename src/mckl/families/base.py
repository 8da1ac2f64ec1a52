"""The interfaces of a family: its pairs, one side of a pair, and its entry in the registry."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from mckl.draw.distribution import Factor
from mckl.draw.form import Form, Seconds
from mckl.exact.integrands import SUMS
from mckl.exact.law import Law
from mckl.families.scores import Scores


class Integrals(NamedTuple):
    """Mean and variance of l by integrals of their definition; NaN where there is none.

    KL(q||p) in nats and the variance of l in nats squared, from the two log densities and the law
    of q alone: what the formulas of the family's law are checked against.
    """

    kl: float
    log_ratio_variance: float


class Pair(ABC):
    """The sampled q and the reference p.

    Attributes
    ----------
    family
        As in the results: ``student-t(5)``, or ``student-t(10)|normal`` where q and p differ.
    dimension
        How many factors a sample has.
    mirrored
        Whether a sample has a mirror image of the same law, for antithetic pairs.
    additive
        Whether l is a sum of functions of independent uniform numbers, for Sobol' points.
    radial_numbers
        How many normals and chi-squares stand for a sample in `radial`; None without that form.
    sums
        The sums over a sample's factors that its forms give (`mckl.exact.integrands`).
    seconds
        What a number of a sample costs; None where it is a normal, whose cost the point sets know.
    """

    family: str
    dimension: int
    mirrored: bool = True
    additive: bool = True
    radial_numbers: tuple[int, int] | None = None
    sums: frozenset[str] = frozenset(SUMS)
    seconds: Seconds | None = None

    @cached_property
    def law(self) -> Law:
        """The law of the log density ratio under q."""
        return self._law()

    @abstractmethod
    def _law(self) -> Law: ...

    @cached_property
    def scores(self) -> Scores | None:
        """The joint law of l and the score of q, for gradients; None where there is none."""
        return None

    @property
    def reverse_kl(self) -> float:
        """KL(p||q), in nats; inf where it is infinite or exceeds the largest float64."""
        return self.reversed().law.kl

    def integrals(self) -> Integrals:
        """KL and the variance of l from their definitions."""
        return Integrals(math.nan, math.nan)

    def distributions(self) -> Sequence[Factor] | None:
        """q and p as TensorFlow Probability has them; None where it lacks one of them."""
        return None

    @abstractmethod
    def reversed(self) -> Pair:
        """The same pair with the roles of q and p exchanged."""

    @abstractmethod
    def form(self) -> Form:
        """One sample, drawn factor by factor."""

    def radial(self) -> Form:
        """One sample in few numbers, where the family has such a form."""
        raise NotImplementedError


class OtherFamilyError(ValueError):
    """q and p are of families that no exact law here takes together."""


class Side(ABC):
    """q or p, as a case gives it.

    Attributes
    ----------
    family
        Such as ``student-t``, for messages.
    """

    family: str

    def independent(self) -> Side:
        """The same law as independent coordinates, for a pair with another family."""
        raise OtherFamilyError(f"{self.family} stands against its own family alone")

    @abstractmethod
    def against(self, p: Side) -> Pair:
        """The pair of this q and a p; raises ValueError where there is none, or its KL is inf."""


class Family(NamedTuple):
    """A family, as the config names it.

    name        such as ``student-t``
    shapes      names of the numbers in parentheses behind it, such as ``("df",)``
    parameters  the names of a side's parameters in a case, with their meanings
    side        the mapping of one side of a case, without `family` -> that side; raises ValueError
    sweep       (shapes, dimension, scale, offset) -> the pair of a cell of the sweep; None: the
                family stands in cases alone
    shared      names of the parameters that q and p share, with their meanings: they stand beside
                `q` and `p` in a case, or with those of q
    """

    name: str
    shapes: Sequence[str]
    parameters: Mapping[str, str]
    side: Callable[[Mapping[str, Any]], Side]
    sweep: Callable[[Sequence[float], int, float, float], Pair] | None = None
    shared: Mapping[str, str] = {}

    @property
    def example(self) -> str:
        """How the family is written in a sweep: ``student-t(df)``."""
        return self.name + (f"({', '.join(self.shapes)})" if self.shapes else "")
