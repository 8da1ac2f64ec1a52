"""Signs in the rows that they are not what was meant: padding, probabilities, bases, 16 bits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mckl.arrays import Vector

_FEWEST = 20  # rows below which nothing is concluded from all of them
_FIRST = 2**16  # rows on which the base of the logarithms is tested
_TRAILING = 4  # equal rows at the end of a sequence that look like padding
_PADDING = (0.0, 1.0, -100.0)  # usual values of it, which may differ between log_q and log_p
# Bases other than e, by the factor that turns their logarithms into natural ones.
_BASES = {2: math.log(2.0), 10: math.log(10.0)}


class Signs:
    """What the rows of log_q and log_p look like; nothing without these columns.

    Attributes
    ----------
    positive
        Whether most of the first rows of log_q are above 0.
    """

    def __init__(self) -> None:
        self.positive: bool = False
        self._least, self._most = np.full(2, math.inf), np.full(2, -math.inf)
        self._rows = self._ends = self._padded = 0
        self._padding = math.nan, math.nan
        # The sums of squared spacings of 16-bit numbers.
        self._spacings = dict.fromkeys(("log_q", "log_p", "log_sampler"), 0.0)
        self._base: str | None = None

    @np.errstate(over="ignore", invalid="ignore")
    def add(self, piece: Mapping[str, Any]) -> None:
        """Look at a piece of the columns."""
        if "log_q" not in piece or "log_p" not in piece or not len(piece["log_q"]):
            return
        q, p = (np.asarray(piece[name], np.float64) for name in ("log_q", "log_p"))
        if not self._rows:
            self.positive = bool(np.median(q[:_FIRST]) > 0.0)
            if "log_sampler" not in piece:
                self._base = _other_base((q - p)[:_FIRST])
        self._rows += q.size
        for i, values in enumerate((q, p)):
            self._least[i] = min(self._least[i], values.min())
            self._most[i] = max(self._most[i], values.max())
        for name in {*self._spacings}.intersection(piece):
            self._spacings[name] += squared_spacings(np.asarray(piece[name], np.float64))
        if "sequence" in piece:
            self._look_at_ends(q, p, np.asarray(piece["sequence"]))

    def _look_at_ends(self, q: Vector, p: Vector, ids: Any) -> None:
        last = np.flatnonzero(np.append(ids[1:] != ids[:-1], True))
        self._ends += last.size
        rows = last[last >= _TRAILING - 1, None] - np.arange(_TRAILING)
        if not rows.size:
            return
        one, other, end = (x[rows[:, :1]] for x in (q, p, ids))
        usual = np.isin(one, _PADDING) & np.isin(other, _PADDING)
        same = (q[rows] == one) & (p[rows] == other) & (ids[rows] == end)
        padded = (same & ((one == other) | usual)).all(axis=1)
        self._padded += int(padded.sum())
        if padded.any():
            first = np.argmax(padded)
            self._padding = float(one[first, 0]), float(other[first, 0])

    def rounding_variance(self, first: str = "log_q", second: str = "log_p") -> float:
        """The variance that rounding to 16 bits adds to the sum of two columns' difference.

        Half of it is what it adds to the sum of k3, and of r, on average.
        """
        return (self._spacings[first] + self._spacings[second]) / 12.0

    def padding(self) -> str | None:
        """Why the number of tokens is in doubt; None if it is not."""
        if self._padded < 3 or self._padded < 0.05 * self._ends:
            return None
        q, p = self._padding
        values = f"{q:g} in log_q and {'' if p == q else f'{p:g} '}in log_p"
        return (
            f"the last {_TRAILING} or more rows of {self._padded:,} of {self._ends:,} sequences "
            f"are {values}, as padding is: give mask"
        )

    def unequal_padding(self) -> str | None:
        """Why k1 is wrong, since padding differs between log_q and log_p; None if it does not."""
        return None if self._padding[0] == self._padding[1] else self.padding()

    def faults(self) -> Iterator[str]:
        """What is wrong with log_q and log_p, one sentence each."""
        if self._rows < _FEWEST or not (self._least < self._most).all():
            return
        if self._least.min() >= 0.0 and self._most.max() <= 1.0:
            yield (
                "all log_q and log_p are between 0 and 1, as probabilities are: expected their "
                "logarithms"
            )
        elif self._base is not None:
            yield self._base


def _other_base(ell: Vector) -> str | None:
    """Why l seems to be the difference of logarithms of another base; None if it does not.

    The mean of e^-l is 1 for natural logarithms.
    """
    if ell.size < _FEWEST:
        return None
    excess, error = _mean_and_error(np.expm1(-ell))
    for base, factor in _BASES.items():
        other, spread = _mean_and_error(np.expm1(-factor * ell))
        if abs(excess) > 6.0 * error and abs(other) < 2.0 * spread < 0.6 * abs(excess):
            return (
                f"the mean of p/q is {1 + excess:.4g} ± {error:.2g} with natural logarithms, and "
                f"{1 + other:.4g} ± {spread:.2g} with base {base}: expected natural logarithms "
                "of normalised q and p"
            )
    return None


def _mean_and_error(values: Vector) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / math.sqrt(values.size))


def squared_spacings(values: Vector) -> float:
    """The sum of the squared spacings of bfloat16 or float16 at values that all have 16 bits.

    0.0 if they are not such numbers, or need far fewer bits.

    >>> squared_spacings(np.array([1.0078125, -2.015625])), squared_spacings(np.array([0.1, 0.2]))
    (0.00030517578125, 0.0)
    """
    for some in (values[:256], values):
        rows = some if np.isfinite(some.min(initial=0.0)) else some[some > -math.inf]
        single = rows.astype(np.float32)
        if not (single == rows).all():
            return 0.0
        bits = single.view(np.uint32)
        if not (bits & 0xFFFF).any():
            mantissa = 7
        elif (single.astype(np.float16) == single).all():
            mantissa = 10
        else:
            return 0.0
    last = np.uint32(1 << (23 - mantissa))
    if 8 * np.count_nonzero(bits & last) < bits.size:
        return 0.0
    exponent = ((bits >> 23) & 0xFF).astype(np.float64) - 127.0
    return float(np.exp2(2.0 * (exponent - mantissa))[single != 0.0].sum())
