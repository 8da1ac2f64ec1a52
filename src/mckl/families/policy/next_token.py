"""Tables of next-token laws, and how the table of q differs from that of p.

Row x of a table is the law of the next token after token x, as logits or as probabilities, both up
to a factor of the probabilities. l is computed from differences of logs, so that no digit is lost
where q is close to p.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact.moments import EPS
from mckl.exact.remainders import log_quotient, weighted_phi
from mckl.families.parameters import shown_briefly
from mckl.families.policy.law import Transitions

_ADD_UP = 1e-6  # how far the sum of a row of probabilities may be from 1
# Approximate bytes an entry of the transition table takes, with series and alias tables.
_BYTES_PER_ENTRY = 300
MOST_STATES = 4096


class NextToken(NamedTuple):
    """The laws of the next token, given the one before it.

    logits  log probabilities up to a constant for each row, shape (states, states); -inf for 0
    given   the probabilities up to a factor for each row, if the user gave probabilities; None if
            the user gave logits
    """

    logits: Vector
    given: Vector | None = None

    @property
    def probabilities(self) -> Vector:
        """Rows of probabilities, shape (states, states)."""
        if self.given is None:
            return np.asarray(scipy.special.softmax(self.logits, axis=1))
        return np.asarray(self.given / np.array([[math.fsum(row)] for row in self.given]))

    def at(self, temperature: float) -> NextToken:
        """The laws with logits divided by a temperature."""
        return self if temperature == 1.0 else NextToken(self.logits / temperature)

    def most_likely(self, k: int) -> NextToken:
        """The table cut to the k likeliest tokens of every row (top-k); lower tokens win ties."""
        return self._kept(lambda mass: np.arange(mass.shape[1]) < k)

    def nucleus(self, share: float) -> NextToken:
        """The table cut to the fewest tokens of every row that have this share (top-p)."""
        return self._kept(lambda mass: np.cumsum(mass, axis=1) - mass < share)

    def _kept(self, which: Callable[[Vector], Any]) -> NextToken:
        """The table cut to the places that `which` chooses in rows sorted from the likeliest on."""
        q = self.probabilities
        order = np.argsort(-q, axis=1, kind="stable")
        kept = np.empty(q.shape, dtype=bool)
        chosen = which(np.take_along_axis(q, order, axis=1))
        np.put_along_axis(kept, order, np.broadcast_to(chosen, q.shape), axis=1)
        logits, given = np.where(kept, self.logits, -np.inf), None
        if self.given is not None:
            given = np.where(kept, self.given, 0.0)
            left = given.sum(axis=1, keepdims=True)
            # Rows keep their sums, as `check_rows` has still to check them.
            given *= self.given.sum(axis=1, keepdims=True) / np.where(left > 0, left, 1.0)
        return NextToken(logits, given)

    def replace_row(self, row: int, log_law: Vector) -> NextToken:
        """The table with another law in one row."""
        logits = self.logits.copy()
        logits[row] = log_law
        given = None
        if self.given is not None:
            given = self.given.copy()
            given[row] = np.exp(log_law)
        return NextToken(logits, given)


def check_states(states: int, name: str) -> None:
    """Raise ValueError where tables of this number of states would take too much memory."""
    if states > MOST_STATES:
        needed, most = (n * n * _BYTES_PER_ENTRY / 1e9 for n in (states, MOST_STATES))
        raise ValueError(
            f"{name}: tables of {states:,} states take about {needed:,.0f} GB, expected at most "
            f"{MOST_STATES:,} states, which take {most:.0f} GB"
        )


def read_table(name: str, value: Any) -> NextToken:
    """The table from `transitions` or `logits`, as `name` says; `value` must be a square matrix.

    Raises ValueError for anything else. `check_rows` checks that rows add up to 1.
    """
    expected = "expected a square matrix of numbers, one row a token"
    try:
        table = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"policy: {name} {shown_briefly(value)}, {expected}") from None
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
        shape = " x ".join(map(str, table.shape)) or "a number"
        raise ValueError(f"policy: {name} is {shape}, {expected}")
    check_states(len(table), "policy")
    wrong = np.isnan(table) | (table == np.inf)
    if name == "transitions":
        wrong |= table < 0
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"policy: {name} {table[row, column]:g} (row {row}, column {column}, from 0), expected "
            + ("a probability" if name == "transitions" else "a number, or -inf for probability 0")
        )
    if name == "logits":
        return NextToken(table)
    with np.errstate(divide="ignore"):
        return NextToken(np.log(table), table)


def check_rows(side: str, table: NextToken, but: int | None) -> None:
    """Raise ValueError where a row, except for `but`, the stop token's, does not add up to 1."""
    if table.given is not None:
        sums = table.given.sum(axis=1)
        wrong = np.abs(sums - 1.0) > _ADD_UP
    else:
        sums, wrong = np.zeros(len(table.logits)), (table.logits == -np.inf).all(axis=1)
    if but is not None:
        wrong[but] = False
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"policy: {side}'s row {row}, counted from 0, adds up to {sums[row]:.10g}, expected 1"
        )


@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def transitions(
    q: NextToken, p: NextToken, start: Vector, difference: Vector | None = None
) -> Transitions:
    """The tables from which the law of l follows; NaN in rows in which p is 0 and q is not.

    q, p        The laws of the next token, with equal numbers of states.
    start       The law of the state before the first token, shape (states,).
    difference  Logits of q less logits of p, where these are known to more digits than the tables
                have.
    """
    of_q, of_p = q.probabilities, p.probabilities
    taken = q.logits > -np.inf
    log_q = np.log(of_q)
    if q.given is None:
        log_q = q.logits - scipy.special.logsumexp(q.logits, axis=1, keepdims=True)
    if difference is None:
        difference = _difference(q, p, taken)
    d = np.where(taken, difference, 0.0)
    # A constant for each row has no effect; without it, rounding is relative to the differences.
    mean = (of_q * d).sum(axis=1, keepdims=True)
    d_error = np.where(taken, EPS * (2.0 * np.abs(d) + 2.0 * np.abs(mean)), 0.0)
    d = np.where(taken, d - mean, 0.0)
    missed = np.where(taken, 0.0, of_p).sum(axis=1)
    gap, slope = weighted_phi(of_q, np.exp(np.where(taken, log_q - d, -np.inf)), d)
    excess = gap.sum(axis=1)
    excess_error = (slope * d_error + 8.0 * EPS * gap).sum(axis=1)
    log_excess = np.log1p(excess)
    far = ~np.isfinite(excess)
    log_excess[far] = scipy.special.logsumexp(np.where(taken, log_q - d, -np.inf)[far], axis=1)
    # Where p's probability of what q can take is small, it is summed: 1 less the rest loses digits.
    kept = np.where(taken, of_p, 0.0).sum(axis=1)
    log_kept = np.where(missed < 0.5, np.log1p(-np.minimum(missed, 0.5)), np.log(kept))
    kl = log_excess - log_kept
    kl_error = np.where(far, d_error.max(axis=1), excess_error / (1.0 + excess))
    kl_error += 4.0 * EPS * (log_excess - log_kept)
    ell = np.where(taken, d + kl[:, None], 0.0)
    ell_error = np.where(taken, d_error + kl_error[:, None] + EPS * np.abs(ell), 0.0)
    return Transitions(of_q, log_q, ell, ell_error, kl, kl_error, missed, start)


def _difference(q: NextToken, p: NextToken, taken: NDArray[np.bool_]) -> Vector:
    """log q - log p up to a constant for each row, where q can be taken."""
    if q.given is not None and p.given is not None:
        v, w = np.where(taken, q.given, 1.0), np.where(taken, p.given, 1.0)
        return log_quotient(v, w)
    # Large logits with small differences: those to one token of the row are exact as two numbers.
    likeliest = np.argmax(q.logits, axis=1)[:, None]
    (a, a_rest), (b, b_rest) = (
        _minus(
            np.where(taken, side.logits, 0.0), np.take_along_axis(side.logits, likeliest, axis=1)
        )
        for side in (q, p)
    )
    return np.asarray((a - b) + (a_rest - b_rest))


def _minus(x: Vector, y: Vector) -> tuple[Vector, Vector]:
    """x - y as the sum of two numbers, without an error (Knuth's two-sum)."""
    total = x - y
    part = total - x
    return total, (x - (total - part)) - (y + part)
