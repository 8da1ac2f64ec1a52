"""q and p whose factors are independent laws with countably many values, as configs name them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from mckl.exact.quotients import LARGEST_COUNT
from mckl.families.base import NOTHING, About, Family, Pair, Side
from mckl.families.coordinates.independent import Parameter
from mckl.families.countable.law import Countable
from mckl.families.countable.pair import CountablePair
from mckl.families.parameters import Synonym, missing, one_length
from mckl.text import listed, with_shapes

PROBABILITY = Parameter("of a success", least=0.0, most=1.0)
LOGIT = Parameter("log odds of a success")
COUNT = Parameter("number of trials", least=0.0, most=LARGEST_COUNT, whole=True)


@dataclass(frozen=True)
class Factors(Side):
    """Independent factors, one law each; with `scalar`, one law serves every factor."""

    family: str
    laws: tuple[Countable, ...]
    scalar: bool = False

    def independent(self) -> Factors:
        return self

    def against(self, p: Side) -> CountablePair:
        """The pair of this q and a p, which may be of another family with the same values."""
        p = p.independent()
        if not isinstance(p, Factors):
            raise ValueError(
                f"KL is infinite: q is {self.family}, which has no density, and p is {p.family}, "
                "which has one"
            )
        length = max(len(self.laws), len(p.laws))
        laws = [side.laws * length if side.scalar else side.laws for side in (self, p)]
        if len(laws[0]) != len(laws[1]):
            raise ValueError(
                f"q has {len(laws[0])} factors and p has {len(laws[1])}, expected the same number"
            )
        factors = Counter(zip(*laws, strict=True))
        family = self.family if self.family == p.family else f"{self.family}|{p.family}"
        try:
            return CountablePair(family, list(factors), list(factors.values()))
        except ValueError:
            for i, (q_law, p_law) in enumerate(zip(*laws, strict=True) if length > 1 else ()):
                with _message_of(f"factor {i}, counted from 0"):
                    q_law.table(p_law)
            raise


@contextmanager
def _message_of(place: str) -> Iterator[None]:
    """Puts a place before the message of a ValueError."""
    try:
        yield
    except ValueError as error:
        raise type(error)(f"{place}: {error}") from None


def countable_family(
    name: str,
    make: Callable[..., Countable],
    parameters: Mapping[str, Parameter],
    either: Sequence[str] = (),
    aliases: Mapping[str, Synonym] = {},
    shapes: Sequence[str] = (),
    from_log_odds: Callable[..., Countable] | None = None,
    about: About = NOTHING,
) -> Family:
    """The registry's entry of a family; `make` takes the parameters that are given, by name.

    Exactly one of the parameters `either` must be given, and all others. With `from_log_odds`, the
    law from the `shapes` and log odds, the family is swept: q has the log odds `offset` and p the
    odds `scale`.
    """

    def side(given: Mapping[str, Any]) -> Factors:
        some = [key for key in either if key in given]
        if len(some) > 1:
            raise ValueError(f"{name}: {listed(some, 'and')}, expected one of them")
        if either and not some:
            raise ValueError(f"{name}: expected one of {listed(either)}")
        vectors = {}
        for key, parameter in parameters.items():
            if key in given:
                vectors[key] = parameter.read(name, key, given[key])
            elif key not in either:
                raise missing(name, key)
        length = one_length(name, vectors)
        rows = np.column_stack([np.broadcast_to(v, (length or 1,)) for v in vectors.values()])
        made = {row: make(**dict(zip(vectors, row, strict=True)))
                for row in dict.fromkeys(map(tuple, rows.tolist()))}  # fmt: skip
        return Factors(name, tuple(made[tuple(row)] for row in rows.tolist()), length is None)

    def swept(values: Sequence[float], dimension: int, scale: float, offset: float) -> Pair:
        for key, value in zip(shapes, values, strict=True):
            parameters[key].read(name, key, value)
        assert from_log_odds is not None
        q, p = from_log_odds(*values, offset), from_log_odds(*values, math.log(scale))
        return CountablePair(with_shapes(name, values), [(q, p)], [dimension])

    meanings = {key: parameter.meaning for key, parameter in parameters.items()}
    sweep = None if from_log_odds is None else swept
    return Family(name, shapes, meanings, side, sweep, aliases=aliases, countable=True, about=about)
