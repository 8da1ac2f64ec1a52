"""Laws of what a bijection makes of a variable whose law has a density.

Two such laws are a pair of laws of one variable if they share the bijection, perhaps after an
affine map has become part of a law, or a positive variable has been replaced by its logarithm.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mckl.exact.ends import is_finite
from mckl.families.base import OtherFamilyError
from mckl.families.coordinates.univariate import Between, Univariate, between
from mckl.families.maps import EXP, Interval, Maps, check_bijection, domain_text, image, then

_POSITIVE = (0.0, float("inf"))


@dataclass(frozen=True)
class Image:
    """The law of the value that `maps` makes of a variable with the law `law`.

    kind  The law as results name it.
    """

    law: Univariate
    maps: Maps
    kind: str

    @property
    def interval(self) -> Interval:
        """The interval of the values."""
        return image(self.law.support, self.maps)

    @property
    def domain(self) -> str:
        return domain_text(self.interval)

    def under(self, name: str, steps: Maps) -> Image:
        """The law of these steps of the value; ValueError if they are no bijection of it."""
        check_bijection(self.law.support, self.maps, steps, name)
        return Image(self.law, then(self.maps, *steps), f"{name}({self.kind})")

    def absorbed(self) -> Image:
        """The same law, where an affine first step is part of `law` if its family allows this."""
        if not self.maps or self.maps[0].name != "affine":
            return self
        law = self.law.affine(self.maps[0].shift, self.maps[0].scale)
        return self if law is None else Image(law, self.maps[1:], self.kind).absorbed()

    def by_logarithm(self) -> Image:
        """The same law with the logarithm of a positive variable in its place."""
        if self.law.support != _POSITIVE:
            return self.absorbed()
        return Image(self.law.logarithm(), then((EXP,), *self.maps), self.kind).absorbed()


Law = Univariate | Image  # of one value


def image_of(law: Law) -> Image:
    """The law as one of what its maps make of its variable."""
    return law if isinstance(law, Image) else Image(law, law.maps, law.kind)


def shared(laws: Sequence[Law]) -> tuple[list[Univariate], Maps] | None:
    """The laws of one variable, and the maps that make the values of it; None if there is none."""
    change: Callable[[Image], Image]
    for change in (lambda x: x, Image.absorbed, Image.by_logarithm):
        images = [change(image_of(law)) for law in laws]
        maps = images[0].maps
        if all(x.maps == maps for x in images) and len({x.law.support for x in images}) == 1:
            return [x.law for x in images], maps
        inner = _without_last(images)
        if len({x.maps for x in inner}) == 1 and len({x.law.support for x in inner}) == 1:
            return [x.law for x in inner], maps
    return None


def _without_last(images: Sequence[Image]) -> list[Image]:
    """The laws without the last steps that all share, with what is then an affine step absorbed."""
    columns = zip(*(reversed(x.maps) for x in images), strict=False)
    last = sum(1 for _ in itertools.takewhile(lambda steps: len({*steps}) == 1, columns))
    return [Image(x.law, x.maps[: len(x.maps) - last], x.kind).absorbed() for x in images]


def facing(q: Law, p: Law) -> Between:
    """q and p in one coordinate; raises ValueError where KL(q||p) is infinite."""
    sides = image_of(q), image_of(p)
    text = ", ".join(
        f"{x} is {side.kind} on {side.domain}" for x, side in zip("qp", sides, strict=True)
    )
    (q_low, q_high), (p_low, p_high) = (side.interval for side in sides)
    if q_low < p_low or q_high > p_high:
        raise ValueError(f"KL is infinite, since p = 0 where q > 0: {text}")
    if (q_low, q_high) != (p_low, p_high):
        raise OtherFamilyError(f"{text}: mckl has no theory for a p with the larger support")
    if (found := shared(sides)) is None:
        raise OtherFamilyError(f"{text}: mckl knows no variable in which to integrate both")
    laws = between(*found[0])
    factor = laws._replace(names=(sides[0].kind, sides[1].kind))
    if not all(is_finite(*tails, 0.0, 1) for tails in factor.centred().tails):
        q_kind, p_kind = factor.kinds
        raise ValueError(
            f"KL is infinite: q is {q_kind}, whose tails are too heavy for p, which is {p_kind}"
        )
    return factor
