"""q and p whose coordinates are independent one-dimensional laws, as configs name them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.families.base import NOTHING, About, Family, Pair, Side
from mckl.families.coordinates.image import Law, facing, image_of
from mckl.families.coordinates.univariate import Coordinates
from mckl.families.maps import Transform, coordinates
from mckl.families.parameters import Synonym, missing, one_length, parameter_numbers


class Parameter(NamedTuple):
    """A parameter of a one-dimensional law, one number a coordinate.

    meaning  what it means, for help texts
    default  its value if a case does not give it; None for a parameter that must be given
    above    the number that it must exceed; None without such a bound
    least    its smallest value; None without such a bound
    most     its largest value; None without such a bound
    whole    whether it is a whole number
    infinite whether it may be infinite
    """

    meaning: str
    default: float | None = None
    above: float | None = None
    least: float | None = None
    most: float | None = None
    whole: bool = False
    infinite: bool = False

    def read(self, family: str, name: str, value: Any) -> Vector:
        """The numbers of a case, as `parameter_numbers` reads them."""
        return parameter_numbers(
            family, name, value, above=self.above, least=self.least, most=self.most,
            whole=self.whole, infinite=self.infinite,
        )  # fmt: skip


MOST_OFFSET = 30  # of a sweep that multiplies a parameter by e^offset
LOCATION = Parameter("where the density is centred", default=0.0)
SCALE = Parameter("how wide the density is, as in scipy.stats", default=1.0, above=0.0)


def exp_of(offset: float) -> float:
    """e^offset, by which a sweep multiplies a parameter of q; ValueError where that is no use."""
    if not abs(offset) <= MOST_OFFSET:
        raise ValueError(
            f"offset {offset:g}, expected a number from -{MOST_OFFSET} to {MOST_OFFSET}: a "
            "parameter of q is multiplied by e^offset"
        )
    return math.exp(offset)


@dataclass(frozen=True)
class Independent(Side):
    """Independent coordinates, one law each; with `scalar`, one law serves every coordinate."""

    family: str
    laws: tuple[Law, ...]
    scalar: bool = False

    def independent(self) -> Independent:
        return self

    def against(self, p: Side) -> Coordinates:
        """The pair of this q and a p, whose coordinates may be of other families."""
        if not isinstance(p, Independent):
            p = p.independent()
        if not isinstance(p, Independent):
            raise ValueError(
                f"KL is infinite: q is {self.family}, which has a density, and p is {p.family}, "
                "which has none"
            )
        if self.scalar:
            sides = zip(self.laws * len(p.laws), p.laws, strict=True)
        elif p.scalar:
            sides = zip(self.laws, p.laws * len(self.laws), strict=True)
        elif len(self.laws) == len(p.laws):
            sides = zip(self.laws, p.laws, strict=True)
        else:
            raise ValueError(
                f"q has {len(self.laws)} coordinates and p has {len(p.laws)}, expected the same "
                "number"
            )
        counts = Counter(sides)
        return Coordinates([facing(*both) for both in counts], list(counts.values()))

    def under(self, transforms: Sequence[Transform]) -> Independent:
        each = coordinates(transforms, None if self.scalar else len(self.laws))
        laws = self.laws * (len(each) if self.scalar else 1)
        made = []
        for law, steps in zip(laws, each, strict=True):
            images = itertools.accumulate(steps, lambda x, y: x.under(*y), initial=image_of(law))
            made.append([*images][-1])
        scalar = self.scalar and all(t.length is None for t in transforms)
        return Independent(self.family, tuple(made), scalar)


# The one-dimensional families by name; a mixture may have components of each.
INDEPENDENT: dict[str, Family] = {}


def independent_family(
    name: str,
    make: Callable[..., Law],
    parameters: Mapping[str, Parameter],
    shapes: Sequence[str] = (),
    sweep: Callable[[Sequence[float], int, float, float], Pair] | None = None,
    aliases: Mapping[str, Synonym] = {},
    about: About = NOTHING,
) -> Family:
    """The registry's entry of a one-dimensional family; `make` takes the parameters in their order.

    `sweep` gets shapes that have passed the checks of their parameters. Without one, a family whose
    last parameters are location and scale is swept as q = offset + X and p = scale X.
    """

    def side(given: Mapping[str, Any]) -> Independent:
        vectors = {}
        for key, parameter in parameters.items():
            if key not in given and parameter.default is None:
                raise missing(name, key)
            vectors[key] = parameter.read(name, key, given.get(key, parameter.default))
        length = one_length(name, vectors)
        rows = np.column_stack([np.broadcast_to(v, (length or 1,)) for v in vectors.values()])
        made = {row: make(*row) for row in dict.fromkeys(map(tuple, rows.tolist()))}
        return Independent(name, tuple(made[tuple(row)] for row in rows.tolist()), length is None)

    def located(values: Sequence[float], dimension: int, scale: float, offset: float) -> Pair:
        factor = facing(make(*values, offset, 1.0), make(*values, 0.0, scale))
        return Coordinates([factor], [dimension])

    if sweep is None and list(parameters)[-2:] == ["location", "scale"]:
        sweep = located

    def swept(values: Sequence[float], dimension: int, scale: float, offset: float) -> Pair:
        for key, value in zip(shapes, values, strict=True):
            parameters[key].read(name, key, value)
        assert sweep is not None
        return sweep(values, dimension, scale, offset)

    meanings = {key: parameter.meaning for key, parameter in parameters.items()}
    of_cells = None if sweep is None else swept
    INDEPENDENT[name] = Family(name, shapes, meanings, side, of_cells, {}, aliases, about=about)
    return INDEPENDENT[name]
