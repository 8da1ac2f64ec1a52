"""Pairs the laws that two objects, or an object and a mapping, hold, one by one.

Shapes follow NumPy: a batch of shape (2, 3) and one of shape (3,) give six pairs. Numbers that are
independent coordinates make one pair together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from mckl.api.objects import Held
from mckl.families.base import OtherFamilyError


class Member(NamedTuple):
    """Two laws as mappings like those of a case; `times` and `like` are those of `Held`."""

    q: Mapping[str, Any]
    p: Mapping[str, Any]
    times: float = 1.0
    like: tuple[Any, ...] = ()


def members(q: Held | Mapping[str, Any], p: Held | Mapping[str, Any]) -> Iterator[Member]:
    """The pairs whose KLs add up to KL(q||p); a batch of categoricals is one pair of vectors.

    Raises ValueError for shapes that do not fit together, and OtherFamilyError for laws of
    different kinds.
    """
    if isinstance(q, Mapping) or isinstance(p, Mapping):
        yield Member(_alone(q), _alone(p))
        return
    if q.like != p.like:
        raise OtherFamilyError("q and p are laws of different kinds")
    vectors = q.vector or p.vector
    if vectors:
        q, p = q.categorical(), p.categorical()
    shapes = q.batch(vectors), p.batch(vectors)
    try:
        batch = np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(
            f"q has shape {shapes[0]} and p has shape {shapes[1]}, expected shapes that fit"
        ) from None
    if batch and not q.like and q.family == p.family == "categorical":
        yield Member(q.rows(batch), p.rows(batch), like=q.like)
    elif vectors:
        times = np.broadcast_to(q.times, batch)
        for index in np.ndindex(batch):
            laws = q.member(index, batch), p.member(index, batch)
            yield Member(*laws, float(times[index]), q.like)
    elif len(batch) > 1:
        yield Member(q.flat(batch), p.flat(batch), like=q.like)
    else:
        yield Member(q.mapping(), p.mapping(), like=q.like)


def _alone(side: Held | Mapping[str, Any]) -> Mapping[str, Any]:
    """The one mapping of an object or a mapping; ValueError for a batch of laws of vectors."""
    if isinstance(side, Mapping):
        return side
    if side.like:
        raise OtherFamilyError("q and p are laws of different kinds")
    if not side.vector:
        shape = side.batch(False)
        return side.flat(shape) if len(shape) > 1 else side.mapping()
    if side.batch(True) and side.family == "categorical":
        return side.rows(side.batch(True))
    if side.batch(True):
        raise ValueError("expected objects on both sides, since one is a batch of laws")
    return side.member((), ())
