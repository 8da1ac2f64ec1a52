"""Joint moments of R = prod r_i - 1 and of k3 over independent factors, from those of each factor.

Let K = R + l be k3 of a whole sample, and y = K - E K - slope R. For two independent blocks of
factors,

    R = R1 + R2 + R1 R2,        y = y1 + y2 + (1 - slope) R1 R2,

so that the joint moments of (R, y) follow from those of the two blocks, and nothing cancels that
did not cancel within one factor (theory.md, section 2). For an antithetic pair let M be the
mean of R at the point and at its mirror image, D half of their difference, and y a mean as well:

    M = M1 + M2 + M1 M2 + D1 D2,   D = D1 + D2 + M1 D2 + D1 M2,
    y = y1 + y2 + (1 - slope) (M1 M2 + D1 D2).

All variables have mean 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.moments import EPS, Moments, settled

_COLUMNS = 2**12  # blocks that are joined at a time, so that arrays stay in cache

# The monomials of each variable, in the first block's variables, the second's and 1 - slope.
JOINED = (
    ((1, 0, 0, 0, 0), (0, 0, 1, 0, 0), (1, 0, 1, 0, 0)),
    ((0, 1, 0, 0, 0), (0, 0, 0, 1, 0), (1, 0, 1, 0, 1)),
)
_PAIRED = (
    ((1, 0, 0, 0, 0, 0, 0), (0, 0, 0, 1, 0, 0, 0), (1, 0, 0, 1, 0, 0, 0), (0, 1, 0, 0, 1, 0, 0)),
    ((0, 1, 0, 0, 0, 0, 0), (0, 0, 0, 0, 1, 0, 0), (1, 0, 0, 0, 1, 0, 0), (0, 1, 0, 1, 0, 0, 0)),
    ((0, 0, 1, 0, 0, 0, 0), (0, 0, 0, 0, 0, 1, 0), (1, 0, 0, 1, 0, 0, 1), (0, 1, 0, 0, 1, 0, 1)),
)


class _Terms(NamedTuple):
    """The terms of all joint moments of the whole: products of a moment of either block.

    moments   the moments' indices, in the order of the arrays of the blocks
    starts    where the terms of each moment begin
    first     which moment of the first block a term has, and so `second`
    times     its coefficient
    power     its power of 1 - slope
    """

    moments: list[joint.Index]
    starts: NDArray[np.intp]
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    times: Vector
    power: Vector


@lru_cache(maxsize=8)
def _terms(variables: int, order: int) -> _Terms:
    rules = JOINED if variables == 2 else _PAIRED
    moments = [i for i in joint.indices(variables, order) if _counts(i)]
    place = {m: k for k, m in enumerate(moments)}
    rows: list[tuple[int, int, float, int]] = []
    starts = []
    for moment in moments:
        starts.append(len(rows))
        rows += [
            (place[a], place[b], times, power)
            for (*both, power), times in joint.power_product(rules, moment).items()
            if (a := tuple(both[:variables])) in place and (b := tuple(both[variables:])) in place
        ]
    first, second, times, power = np.array(rows).T
    return _Terms(
        moments, np.array(starts), first.astype(np.intp), second.astype(np.intp), times, power
    )


def _counts(moment: joint.Index) -> bool:
    """Whether a moment may differ from 0: means are 0, and odd powers of D by symmetry."""
    return sum(moment) != 1 and (len(moment) == 2 or moment[1] % 2 == 0)


def joined_blocks(
    pieces: Iterable[tuple[Moments, Vector]], rest: float, variables: int, order: int
) -> Moments:
    """The joint moments of (R, y), or of (M, D, y), over all factors.

    pieces     The joint moments of some distinct factors at a time, with a last axis for the
               factors, and how many factors have each of these laws.
    rest       1 - slope.
    variables  2, or 3 for antithetic pairs.
    order      The largest total order.
    """
    terms, total = _terms(variables, order), None
    with np.errstate(over="ignore", invalid="ignore"):
        for factors, counts in pieces:
            flat = Moments(*(np.stack([array[m] for m in terms.moments]) for array in factors))
            left = counts.astype(np.int64)
            while True:
                odd = left % 2 == 1
                if odd.any():
                    some = _joined(Moments(*(array[:, odd] for array in flat)), terms, rest)
                    total = some if total is None else _product(total, some, terms, rest)
                left = left // 2
                if not left.any():
                    break
                flat = Moments(*(array[:, left > 0] for array in flat))
                left = left[left > 0]
                flat = _product(flat, flat, terms, rest)
    assert total is not None
    out = Moments(*(np.zeros((order + 1,) * variables) for _ in range(2)))
    for array, flat_array in zip(out, total, strict=True):
        for m, value in zip(terms.moments, flat_array[:, 0], strict=True):
            array[m] = value
    return out


def _joined(blocks: Moments, terms: _Terms, rest: float) -> Moments:
    """All blocks as one, by halves."""
    while (n := blocks.value.shape[1]) > 1:
        half = n // 2
        first, second = (
            Moments(*(array[:, k * half : (k + 1) * half] for array in blocks)) for k in (0, 1)
        )
        joined = _product(first, second, terms, rest)
        if n % 2:
            joined = Moments(
                *(
                    np.concatenate((a, array[:, -1:]), axis=1)
                    for a, array in zip(joined, blocks, strict=True)
                )
            )
        blocks = joined
    return blocks


def _product(a: Moments, b: Moments, terms: _Terms, rest: float) -> Moments:
    """The blocks a and b as one, column by column."""
    parts = []
    for start in range(0, a.value.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        x, y = (Moments(block.value[:, columns], block.error[:, columns]) for block in (a, b))
        parts.append(_product_of_columns(x, y, terms, rest))
    return Moments(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))


def _product_of_columns(a: Moments, b: Moments, terms: _Terms, rest: float) -> Moments:
    times = (terms.times * rest**terms.power)[:, None]
    x, y = a.value[terms.first], b.value[terms.second]
    x_error, y_error = a.error[terms.first], b.error[terms.second]
    value = times * (x * y)
    size = np.abs(times) * (
        np.abs(x) * y_error + x_error * (np.abs(y) + y_error) + 4.0 * EPS * np.abs(x * y)
    )
    infinite = np.add.reduceat(np.isinf(x) | np.isinf(y), terms.starts, axis=0)
    return settled(
        np.add.reduceat(value, terms.starts, axis=0),
        np.add.reduceat(size, terms.starts, axis=0),
        infinite > 0,
    )
