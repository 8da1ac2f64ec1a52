"""Laws on 0, 1, 2, ... that are known by the quotient of each two successive probabilities.

The quotient q(n + 1) / q(n) is a product of powers of linear functions of n. Its logarithms add up
to log q, but for a constant that follows as probabilities add up to 1. The quotient of two such
quotients, one of q and one of p, has full relative accuracy term by term, and so has log q - log p.

Sums are over one window of values. Beyond its ends each weight q r^k falls by at least a known
factor from value to value, as every term of its logarithm is monotone there. So what is left out
has a bound.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact.ends import LINEAR, Growth, Tail, is_finite
from mckl.exact.log_weights import outcomes_of
from mckl.exact.moments import EPS
from mckl.exact.outcomes import Outcomes
from mckl.exact.remainders import log_quotient
from mckl.exact.thinning import Thinned, places_taken

FACTORIAL = Growth(0.0, 1.5)  # n log n, which grows faster than n and more slowly than n^2
MOST_VALUES = 2**21  # of a window
LARGEST_COUNT = 2.0**53  # counts above this are not exact in float64
_POWERS = 4  # weights are q r^k for k up to this
_FALL = 64.0  # each weight is e^-64 of its largest value at the ends of the window, or less
_LONG = np.longdouble
_LONG_EPS = float(np.finfo(np.longdouble).eps)


LongVector = NDArray[Any]  # of extended precision, where the machine has it


class Linear(NamedTuple):
    """The factor (constant + rest + slope n)^power of a quotient.

    power     1 or -1.
    slope     1, 0 or -1.
    constant, rest  The constant is their sum, which float64 may not hold.
    error     A bound on its relative error.
    """

    power: int
    slope: int
    constant: Any
    rest: float = 0.0
    error: float = 0.0

    def at(self, n: Vector) -> LongVector:
        """The linear function at n."""
        return np.asarray((_LONG(self.constant) + self.slope * n) + self.rest)


def term_of_sum(power: int, slope: int, a: float, b: float) -> Linear:
    """The term with the constant a + b, without rounding."""
    total = a + b
    back = total - a
    return Linear(power, slope, total, (a - (total - back)) + (b - back))


class Quotients(NamedTuple):
    """A law on the whole numbers from `low` to `high`, which may be inf.

    terms  The factors of the quotient q(n + 1) / q(n).
    log    The logarithm of another factor, which does not depend on n.
    mean   About the mean, where sums begin.
    """

    low: float
    high: float
    mean: float
    terms: tuple[Linear, ...]
    log: float = 0.0

    def logs(self, n: Vector) -> tuple[LongVector, Vector]:
        """The logarithms of the quotients at n, and bounds on their errors."""
        value, size = np.full(n.size, _LONG(self.log)), np.full(n.size, abs(self.log))
        for term in self.terms:
            log = np.log(term.at(n))
            value += term.power * log
            size += 2.0 + np.abs(log.astype(float)) + term.error / _LONG_EPS
        return value, 2.0 * _LONG_EPS * size

    @property
    def tail(self) -> Tail:
        """How log q falls at infinity."""
        rising = [(t.power, float(t.constant)) for t in self.terms if t.slope]
        factorials = -float(sum(power for power, _ in rising))
        coefficients = {LINEAR: -self._constant - factorials}
        if factorials:
            coefficients[FACTORIAL] = factorials
        return Tail(coefficients, -sum(power * (c - 0.5) for power, c in rising))

    @property
    def _constant(self) -> float:
        """The logarithm of all factors that do not depend on n."""
        flat = (t.power * math.log(t.constant) for t in self.terms if not t.slope)
        return math.fsum((self.log, *flat))


def quotient_logs(q: Quotients, p: Quotients, n: Vector) -> tuple[LongVector, Vector]:
    """The logarithms of the quotients of q over those of p at n, and bounds on their errors."""
    apart: Any = _LONG(q.log) - _LONG(p.log)
    value, size = np.full(n.size, apart), np.full(n.size, abs(float(apart)))
    others = [*p.terms]
    for term in q.terms:
        alike = (t for t in others if t[:2] == term[:2])
        if (other := next(alike, None)) is None:
            log = np.log(term.at(n))
            value += term.power * log
            size += 2.0 + np.abs(log.astype(float)) + term.error / _LONG_EPS
            continue
        others.remove(other)
        if term == other:
            continue
        apart = (_LONG(term.constant) - _LONG(other.constant)) + (
            _LONG(term.rest) - _LONG(other.rest)
        )
        log = log_quotient(term.at(n), other.at(n), apart)
        value += term.power * log
        error = (term.error + other.error) / _LONG_EPS
        size += 4.0 * np.abs(log.astype(float)) + error
    for other in others:
        log = np.log(other.at(n))
        value -= other.power * log
        size += 2.0 + np.abs(log.astype(float)) + other.error / _LONG_EPS
    return value, 2.0 * _LONG_EPS * size


class Window(NamedTuple):
    """Values from `first` on, and what is known of a pair there.

    log_q, log_p  The logarithms of the probabilities, -inf where one is 0.
    q_error, p_error  Bounds on the relative errors of the probabilities.
    beyond        For each value, how many times its weight may lie beyond the window.
    powers        The largest power of r of which all weight is in the window, or infinite.
    """

    first: int
    log_q: Vector
    q_error: Vector
    log_p: Vector
    p_error: Vector
    beyond: Vector
    powers: int

    def outcomes(self, q: Quotients, p: Quotients) -> tuple[Outcomes, Vector]:
        """The outcomes of q in the window, or some that stand for all; and l at every value."""
        taken = self.log_q > -np.inf
        places = self._thinned(q, p)
        n = np.arange(float(self.first), float(self.first + taken.size))[taken][:-1]
        logs, errors = quotient_logs(q, p, n)
        kept = places.places[taken[places.places]]
        anchor = kept[np.argmax(np.minimum(self.log_q, self.log_p)[kept])]
        d, d_error = np.full(taken.size, -np.inf), np.zeros(taken.size)
        d[taken], d_error[taken] = _added(logs, errors, int(taken[:anchor].sum()))
        d_error[taken] += EPS * np.abs(d[taken])
        beyond = places.left.copy()
        np.add.at(beyond, np.searchsorted(places.places, [0, taken.size - 1]).clip(
            max=beyond.size - 1), self.beyond[[0, -1]])  # fmt: skip
        of_rule = EPS * 32.0 * (places.log != 0.0)
        columns = (self.log_q, self.q_error, self.log_p, self.p_error, d, d_error)
        log_q, q_error, log_p, p_error, d_some, d_bound = (
            column[places.places] for column in columns
        )
        made = outcomes_of(
            log_q + places.log, q_error + of_rule, log_p + places.log, p_error + of_rule, d_some,
            d_bound,
            beyond if beyond.any() else None,
            places.coarse if (places.coarse != 1.0).any() else None,
        )  # fmt: skip
        ell = np.zeros(taken.size)
        at_anchor = int(np.searchsorted(kept, anchor))
        ell[taken] = d[taken] + made.ell[at_anchor]
        powers = np.array([self.powers]) if self.powers < _POWERS else None
        return made._replace(powers=powers), ell

    def _thinned(self, q: Quotients, p: Quotients) -> Thinned:
        """The values that are taken."""
        rows = [self.log_p]
        for k in range(self.powers + 1):
            if k < 2 or _mean_is_finite(q, p, k):
                rows.append(np.full(self.log_q.size, -np.inf))
                inside = self.log_q > -np.inf
                rows[-1][inside] = (1.0 - k) * self.log_q[inside] + k * self.log_p[inside]
        end = self.first + self.log_q.size - 1.0
        low, high = max(q.low, p.low), min(q.high, p.high)
        return places_taken(np.array(rows), self.first - low, high - end, _FALL)


def _added(logs: LongVector, errors: Vector, anchor: int) -> tuple[Vector, Vector]:
    """The sums of logarithms from the value `anchor` on, in either direction, with bounds."""
    total, error = (np.concatenate(([0.0], np.cumsum(x))) for x in (logs, errors))
    rounding = _LONG_EPS * np.concatenate(([0.0], np.cumsum(np.abs(logs))))
    error = error + rounding.astype(float)
    return (total - total[anchor]).astype(float), np.abs(error - error[anchor])


def window_of(q: Quotients, p: Quotients, most: int = MOST_VALUES) -> Window | None:
    """The window in which q, p and the weights q r^k lie; None if it has more than `most` values.

    Weights of powers whose mean is infinite, or for which the window would be too wide, are left
    out, but for those of q and p themselves.
    """
    if not max(q.mean, p.mean) < LARGEST_COUNT:
        return None
    finite = [k for k in range(_POWERS + 1) if k < 2 or _mean_is_finite(q, p, k)]
    for powers in range(len(finite) - 1, 0, -1):
        if (ends := _ends(q, p, finite[: powers + 1], most)) is not None:
            known = _POWERS if powers == len(finite) - 1 else powers
            return _made(q, p, ends, known)
    return None


def alone(q: Quotients) -> tuple[int, Vector]:
    """The first value of a window of a law, and its probabilities there."""
    made = window_of(q, q)
    assert made is not None
    return made.first, np.exp(made.log_q)


def _mean_is_finite(q: Quotients, p: Quotients, power: int) -> bool:
    return math.isfinite(q.high) or is_finite(q.tail, p.tail, -float(power), 0)


class _Weight(NamedTuple):
    """The weight q^(1 - k) p^k on the values from `low` to `high`."""

    of_q: float
    of_p: float
    low: float
    high: float


class _Ends(NamedTuple):
    """The ends of a window, and by which logarithm weights fall at least from value to value."""

    low: float
    high: float
    down: float
    up: float


def _ends(q: Quotients, p: Quotients, powers: Sequence[int], most: int) -> _Ends | None:
    """The ends of the window for some powers of r; None if it would be too wide."""
    weights = [_Weight(1.0 - k, float(k), q.low, q.high) for k in powers]
    weights.append(_Weight(0.0, 1.0, p.low, p.high))
    least, largest = min(q.low, p.low), max(q.high, p.high)
    middles = [*(min(max(math.floor(s.mean), s.low), s.high) for s in (q, p)), *_edges(q, p)]
    low, high = min(middles), max(middles)
    width = 16.0
    while high - low < most:
        n = np.arange(low, high + 1.0)
        log_q, log_p = (_rough(law, n) for law in (q, p))
        falls = [_fall(w, q, p, n, log_q, log_p) for w in weights]
        down, up = (min(column) for column in zip(*falls, strict=True))
        if down > 0.0 and up > 0.0:
            return _Ends(low, high, down, up)
        if down <= 0.0:
            low = max(low - width, least)
        if up <= 0.0:
            high = min(high + width, largest)
        width += width // 2.0  # a whole number, as all ends are
    return None


def _edges(q: Quotients, p: Quotients) -> Iterable[float]:
    """The ends of q's values where p goes on, since p's mass beyond is that which q misses."""
    if p.low < q.low:
        yield q.low - 1.0
    if p.high > q.high:
        yield q.high + 1.0


def _rough(law: Quotients, n: Vector) -> Vector:
    """log q(n) up to a constant, -inf where it is 0."""
    inside = (n >= law.low) & (n <= law.high)
    out = np.full(n.size, -np.inf)
    values = n[inside][:-1]
    if inside.any():
        logs = np.full(values.size, law.log)
        for term in law.terms:
            linear = (float(term.constant) + term.slope * values) + term.rest
            logs += term.power * np.log(linear)
        out[inside] = np.concatenate(([0.0], np.cumsum(logs)))
    return out


def _fall(
    weight: _Weight, q: Quotients, p: Quotients, n: Vector, log_q: Vector, log_p: Vector
) -> tuple[float, float]:
    """By which logarithm a weight falls at least from value to value, below n and above n.

    It is 0 if the weight is not small at this end, and inf if its values end there.
    """
    inside = (n >= weight.low) & (n <= weight.high)
    if not inside.any():
        return (math.inf if weight.low >= n[0] else 0.0), (
            math.inf if weight.high <= n[-1] else 0.0
        )
    sides = (weight.of_q, log_q), (weight.of_p, log_p)
    log = np.asarray(sum(times * x[inside] for times, x in sides if times))
    largest = log.max()
    down = up = math.inf
    if weight.low < n[0]:
        small = log[0] < largest - _FALL
        down = max(_between(weight, q, p, weight.low, n[0] - 1.0)[0], 0.0) if small else 0.0
    if weight.high > n[-1]:
        small = log[-1] < largest - _FALL
        up = max(-_between(weight, q, p, n[-1], weight.high - 1.0)[1], 0.0) if small else 0.0
    return down, up


def _between(
    weight: _Weight, q: Quotients, p: Quotients, first: float, last: float
) -> tuple[float, float]:
    """Bounds on the logarithm of the weight's quotients at all values from `first` to `last`."""
    flat, rising = 0.0, 0.0
    linear: defaultdict[tuple[int, float, float], float] = defaultdict(float)
    for times, law in ((weight.of_q, q), (weight.of_p, p)):
        if times:
            flat += times * law.log
            for t in law.terms:
                constant = float(t.constant)
                if not t.slope:
                    flat += times * t.power * math.log(constant)
                    continue
                # log(n + c) is log((n + c) / (n + 1)), which is monotone up to 0, and log(n + 1).
                linear[t.slope, constant, t.rest] += times * t.power
                rising += times * t.power * (t.slope > 0)
    low = high = flat
    for (slope, constant, rest), times in linear.items():
        if slope > 0:
            ends = [
                times * math.log((n + constant) / (n + 1.0)) if math.isfinite(n) else 0.0
                for n in (first, last)
            ]
        else:
            ends = [times * math.log((constant - n) + rest) for n in (first, last)]
        low, high = low + min(ends), high + max(ends)
    if rising:
        ends = [rising * (math.log(n + 1.0) if math.isfinite(n) else n) for n in (first, last)]
        low, high = low + min(ends), high + max(ends)
    return low, high


def _made(q: Quotients, p: Quotients, ends: _Ends, powers: int) -> Window:
    n = np.arange(ends.low, ends.high + 1.0)
    (log_q, q_error), (log_p, p_error) = (_log_probability(law, n) for law in (q, p))
    beyond = np.zeros(n.size)
    for end, fall in ((0, ends.down), (-1, ends.up)):
        # Means are over weights times powers of l, which may grow: of each value beyond the end
        # they have at most e^(-fall / 2) of what they have of the one before.
        beyond[end] += 0.0 if fall == math.inf else 1.0 / math.expm1(0.5 * min(fall, 1e3))
    return Window(int(ends.low), log_q, q_error, log_p, p_error, beyond, powers)


def _log_probability(law: Quotients, n: Vector) -> tuple[Vector, Vector]:
    """The logarithms of the probabilities at n, and bounds on the relative errors of these."""
    inside = (n >= law.low) & (n <= law.high)
    log, error = np.full(n.size, -np.inf), np.zeros(n.size)
    logs, errors = law.logs(n[inside][:-1])
    total = np.concatenate(([_LONG(0.0)], np.cumsum(logs)))
    anchor = int(np.argmax(total))
    total -= total[anchor]
    whole = np.log(np.exp(total).sum())
    of_sum = _added(logs, errors, anchor)[1]
    share = np.exp(total.astype(float))
    of_whole = float(share @ of_sum) / float(share.sum()) + _LONG_EPS * n.size + 2.0**-60
    log[inside] = (total - whole).astype(float)
    error[inside] = of_sum + of_whole + EPS * np.abs(log[inside])
    return log, error + 4.0 * EPS * inside
