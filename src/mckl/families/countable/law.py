"""Laws with finitely or countably many values, as the factors of a vector."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.alias import MergedAlias, merged_alias
from mckl.draw.distribution import Distribution
from mckl.draw.form import Seconds
from mckl.exact.ends import Tail
from mckl.exact.outcomes import Outcomes
from mckl.exact.quotients import MOST_VALUES, Quotients, alone, window_of
from mckl.families.base import OtherFamilyError
from mckl.families.scores import Scores
from mckl.text import number


class LogRatios(NamedTuple):
    """What is known of a pair of laws.

    first      the value to which the first entry of `ell` belongs
    ell        l at this value and those after it; 0 where q is 0
    outcomes   the outcomes, for exact moments
    tails      how q and p fall at infinity; None where q takes finitely many values
    """

    first: int
    ell: Vector
    outcomes: Outcomes
    tails: tuple[Tail, Tail] | None


class Countable(Protocol):
    """A law on whole numbers.

    name     The name of the family.
    kind     The law as text, which is the key of its random stream: equal laws have equal texts.
    seconds  CPU seconds that one value takes.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def seconds(self) -> Seconds: ...

    @property
    def tensorflow(self) -> Distribution | None:
        """The law in TensorFlow Probability; None where it has none."""

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> NDArray[Any]:
        """Independent samples, of the given shape."""

    def table(self, p: Any) -> LogRatios:
        """What is known of the pair of this law and p.

        Raises ValueError where KL is infinite, and OtherFamilyError for laws on other values.
        """

    def log_probability(self, n: Vector) -> Vector:
        """The log probability at values, as its definition says; a check on `table`."""

    def categories(self) -> Countable:
        """The law as a categorical one, where its values are categories; else the law itself."""

    def scores(self, table: LogRatios) -> Scores | None:
        """The score of the law from what is known of a pair; None without gradients."""


class Count(ABC):
    """A law on the values 0, 1, 2, ... or on some of them, as `Countable` has it.

    A family writes `name`, `quotients` and `log_probability`; its parameters are the fields of a
    dataclass. It may write `tensorflow`, without which that backend refuses it, and `scores`.
    """

    name: str
    seconds: Seconds = Seconds(15e-9, 0.0, 0.0, 10e-9)

    @property
    def tensorflow(self) -> Distribution | None:
        return None

    @property
    @abstractmethod
    def quotients(self) -> Quotients:
        """The quotients of successive probabilities."""

    @property
    def kind(self) -> str:
        law: Any = self
        given = {field.name: getattr(law, field.name) for field in dataclasses.fields(law)}
        text = ", ".join(f"{key} {number(x)}" for key, x in given.items() if x is not None)
        return f"{self.name}({text})"

    @abstractmethod
    def log_probability(self, n: Vector) -> Vector:
        """The log probability at values, as its definition says."""

    def categories(self) -> Countable:
        return self

    def scores(self, table: LogRatios) -> Scores | None:
        return None

    @cached_property
    def _cells(self) -> MergedAlias:
        first, probabilities = alone(self.quotients)
        return merged_alias(probabilities, first)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.intp]:
        """Independent samples, of the given shape."""
        return self.values(generator.random(shape))

    def values(self, u: Vector) -> NDArray[np.intp]:
        """The values that follow from numbers u in [0, 1); u is overwritten."""
        return self._cells.samples(u)

    def table(self, p: Any) -> LogRatios:
        if not isinstance(p, Count):
            if (own := self.categories()) is not self:
                return own.table(p)
            raise OtherFamilyError(f"q is {self.name} and p is {p.name}: expected one family")
        q, other = self.quotients, p.quotients
        if q.low < other.low or q.high > other.high:
            where = q.low if q.low < other.low else other.high + 1.0
            raise ValueError(f"p is 0 at {number(where)}, where q is not: KL is infinite")
        found = window_of(q, other)
        if found is None:
            raise ValueError(
                f"q and p spread over more than {MOST_VALUES:,} values: too many to add up"
            )
        outcomes, ell = found.outcomes(q, other)
        infinite = q.high == math.inf
        return LogRatios(found.first, ell, outcomes, (q.tail, other.tail) if infinite else None)
