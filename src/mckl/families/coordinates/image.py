"""Laws of what a bijection makes of a variable whose law has a density.

q and p become laws of one variable in two steps. If they share a bijection, perhaps after an affine
map has become part of a law, or a positive variable has been replaced by its logarithm, they are
laws of what it is applied to. Otherwise p is pulled back through the bijection of q. Then the
supports are compared (`mckl.families.coordinates.supports`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mckl.exact.ends import is_finite
from mckl.families.base import OtherFamilyError
from mckl.families.coordinates.conditional import Truncated, truncated
from mckl.families.coordinates.interval import Interval as Bounded
from mckl.families.coordinates.logit import Plain
from mckl.families.coordinates.supports import Seen, affine_law, matched, seen
from mckl.families.coordinates.univariate import Between, Univariate, between
from mckl.families.maps import (
    EXP,
    LOGISTIC,
    POSITIVE,
    Interval,
    Maps,
    check_bijection,
    domain_text,
    image,
    inverse,
    then,
)


@dataclass(frozen=True)
class Image:
    """The law of the value that `maps` makes of a variable with the law `law`.

    kind  What results and messages call the law.
    ends  The interval of the values, where that of the variable is a rounded one.
    """

    law: Univariate
    maps: Maps
    kind: str
    ends: Interval | None = None

    @property
    def interval(self) -> Interval:
        """The interval of the values."""
        return self.ends or image(self.law.support, self.maps)

    @property
    def domain(self) -> str:
        return domain_text(self.interval)

    def under(self, name: str, steps: Maps) -> Image:
        """The law of these steps of the value; ValueError if they are no bijection of it."""
        check_bijection(self.law.support, self.maps, steps, name)
        ends = self.ends and image(self.ends, steps)
        return Image(self.law, then(self.maps, *steps), f"{name}({self.kind})", ends)

    def absorbed(self) -> Image:
        """The same law, where an affine first step is part of `law` if its family allows this."""
        if not self.maps or self.maps[0].name != "affine":
            return self
        law = self.law.affine(self.maps[0].shift, self.maps[0].scale)
        return self if law is None else replace(self, law=law, maps=self.maps[1:]).absorbed()

    def by_logarithm(self) -> Image:
        """The same law with the logarithm of a positive variable in its place."""
        law = self.law.logarithm()
        if self.law.support != POSITIVE or law is self.law:
            return self.absorbed()
        return replace(self, law=law, maps=then((EXP,), *self.maps)).absorbed()

    def plain(self) -> Univariate | None:
        """The law of the value itself; None where it is not known."""
        if not self.maps:
            return self.law
        if isinstance(self.law, Truncated):
            base = Image(self.law.base, self.maps, self.kind).plain()
            return None if base is None else truncated(base, *self.interval)
        law: Univariate | None = self.law
        for step in self.maps:
            if law is None:
                return None
            if step.name == "affine":
                law = affine_law(law, step.shift, step.scale)
            elif step in (EXP, LOGISTIC) and law.support == (-POSITIVE[1], POSITIVE[1]):
                law = Plain(law, step(POSITIVE[1]))
            else:
                return None
        return law

    def within(self, low: float, high: float) -> Image:
        """The law given that the value is between two points of its interval."""
        law = truncated(self.law, *image((low, high), inverse(self.maps)))
        return Image(law, self.maps, f"truncated({self.kind})", (low, high))


Law = Univariate | Image  # of one value


def image_of(law: Law) -> Image:
    """The law as one of what its maps make of its variable."""
    return law if isinstance(law, Image) else Image(law, law.maps, law.label)


# What may be done to both laws of a pair to make their maps equal.
_CHANGES: Sequence[Callable[[Image], Image]] = (lambda x: x, Image.absorbed, Image.by_logarithm)


def shared(laws: Sequence[Law]) -> tuple[list[Univariate], Maps] | None:
    """The laws of one variable, and the maps that make the values of it; None if there is none."""
    for change in _CHANGES:
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
    if not last:
        return [x.absorbed() for x in images]
    return [Image(x.law, x.maps[: len(x.maps) - last], x.kind).absorbed() for x in images]


def facing(q: Law, p: Law) -> Between:
    """q and p in one variable; raises ValueError where KL(q||p) is infinite."""
    sides = image_of(q), image_of(p)
    text = ", ".join(
        f"{x} is {side.kind} on {side.domain}" for x, side in zip("qp", sides, strict=True)
    )
    (low, high), (p_low, p_high) = (side.interval for side in sides)
    if low < p_low or high > p_high:
        outside = (low, min(high, p_low)) if low < p_low else (max(low, p_high), high)
        raise ValueError(
            f"KL is infinite, since p = 0 and q > 0 between {outside[0]:g} and {outside[1]:g}: "
            f"{text}"
        )
    try:
        laws = _in_one_variable(*sides)
        tails = [] if laws is None else laws.centred().tails
    except OtherFamilyError:
        raise OtherFamilyError(f"{text}: mckl has no theory for this pair") from None
    if laws is None:
        raise OtherFamilyError(f"{text}: mckl knows no variable in which to integrate both")
    factor = laws._replace(names=(sides[0].kind, sides[1].kind))
    if not all(is_finite(*both, 0.0, 1) for both in tails):
        q_kind, p_kind = factor.labels
        raise ValueError(
            f"KL is infinite: q is {q_kind}, whose tails are too heavy for p, which is {p_kind}"
        )
    return factor


def _in_one_variable(q: Image, p: Image) -> Between | None:
    if found := shared((q, p)):
        laws = found[0]
        if any(isinstance(law, Bounded) for law in laws):
            return matched(laws[0], Seen(laws[1], laws[1]))
        return between(*laws)
    for change in _CHANGES:
        inner, other = _without_last([change(q), change(p)])
        plain = other.plain()
        there = None if plain is None else seen(plain, inner.maps)
        factor = None if there is None else matched(inner.law, there)
        if factor is not None:
            return factor
    return None
