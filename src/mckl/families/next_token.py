"""Tables of next-token laws, one row a token, and how those of q differ from those of p.

A row of logits and a row of probabilities stand for the same law up to a factor. What depends on q
and p is computed from differences of their logs, so that no digit is lost where they are close.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.exact.chain import Transitions
from mckl.exact.phi import phi
from mckl.families.exponential import log_quotient
from mckl.families.parameters import shown_briefly

_NEVER = 1e-290  # a token that is less likely counts as one of probability 0
_ADD_UP = 1e-6  # how far the sum of a row of probabilities may be from 1
# Transition tables, their series and the tables that are drawn from: bytes an entry, about.
_BYTES_PER_ENTRY = 300
MOST_STATES = 4096


class NextToken(NamedTuple):
    """The laws of the next token, given the one before it.

    logits  log probabilities up to a constant a row, shape (states, states); -inf for 0
    given   the probabilities where they were given, up to a factor a row; None where logits were
    """

    logits: Vector
    given: Vector | None = None

    @property
    def probabilities(self) -> Vector:
        """Rows of probabilities, shape (states, states)."""
        if self.given is None:
            return np.asarray(scipy.special.softmax(self.logits, axis=1))
        return np.asarray(self.given / self.given.sum(axis=1, keepdims=True))

    def at(self, temperature: float) -> NextToken:
        """The laws with logits divided by a temperature."""
        return self if temperature == 1.0 else NextToken(self.logits / temperature)

    def most_likely(self, k: int) -> NextToken:
        """The k likeliest tokens of every row, those of equal probability in their order."""
        return self._kept(lambda mass: np.arange(mass.shape[1]) < k)

    def nucleus(self, share: float) -> NextToken:
        """The fewest tokens of every row with a share of its probability (top-p)."""
        return self._kept(lambda mass: np.cumsum(mass, axis=1) - mass < share)

    def _kept(self, which: Callable[[Vector], Any]) -> NextToken:
        """The table cut to some of the columns of sorted rows."""
        q = self.probabilities
        order = np.argsort(-q, axis=1, kind="stable")
        kept = np.empty(q.shape, dtype=bool)
        chosen = which(np.take_along_axis(q, order, axis=1))
        np.put_along_axis(kept, order, np.broadcast_to(chosen, q.shape), axis=1)
        logits, given = np.where(kept, self.logits, -np.inf), None
        if self.given is not None:
            given = np.where(kept, self.given, 0.0)
            left = given.sum(axis=1, keepdims=True)
            # Rows keep their sums, which are still to be checked.
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
    """Refuse more states than memory is meant for, with a ValueError in one line."""
    if states > MOST_STATES:
        needed, most = (n * n * _BYTES_PER_ENTRY / 1e9 for n in (states, MOST_STATES))
        raise ValueError(
            f"{name}: tables of {states:,} states take about {needed:,.0f} GB, expected at most "
            f"{MOST_STATES:,} states, which take {most:.0f} GB"
        )


def read_table(name: str, value: Any) -> NextToken:
    """The table of a side's `transitions` or `logits`, a square matrix; else a ValueError.

    Whether rows add up to 1 is for `check_rows`.
    """
    expected = "expected a square matrix of numbers, one row a token"
    try:
        table = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
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
            f"policy: {name} has {table[row, column]:g} in row {row}, column {column}, expected "
            + ("a probability" if name == "transitions" else "a number, or -inf for no chance")
        )
    if name == "logits":
        return NextToken(table)
    with np.errstate(divide="ignore"):
        return NextToken(np.log(table), table)


def check_rows(side: str, table: NextToken, but: int | None) -> None:
    """Refuse rows that are no probabilities, apart from the one of the stop token."""
    if table.given is not None:
        sums = table.given.sum(axis=1)
        wrong = np.abs(sums - 1.0) > _ADD_UP
    else:
        sums, wrong = np.zeros(len(table.logits)), (table.logits == -np.inf).all(axis=1)
    if but is not None:
        wrong[but] = False
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"policy: {side}'s row {row} adds up to {sums[row]:.10g}, expected 1")


@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def transitions(
    q: NextToken, p: NextToken, start: Vector, difference: Vector | None = None
) -> Transitions:
    """What the law of l needs of q and p; NaN in rows in which p is 0 and q is not.

    Parameters
    ----------
    difference
        Logits of q less logits of p, where they are known to more digits than the tables have.
    """
    of_q, of_p = q.probabilities, p.probabilities
    taken = of_q > _NEVER
    probabilities = np.where(taken, of_q, 0.0)
    log_q = q.logits - scipy.special.logsumexp(q.logits, axis=1, keepdims=True)
    d = np.zeros(log_q.shape)
    if difference is not None:
        d[taken] = difference[taken]
    elif q.given is None or p.given is None:
        d[taken] = q.logits[taken] - p.logits[taken]
    else:
        d[taken] = log_quotient(q.given[taken], p.given[taken])
    # A constant a row changes nothing; without it rounding is that of the differences.
    d = np.where(taken, d - (probabilities * d).sum(axis=1, keepdims=True), 0.0)
    missed = np.where(taken, 0.0, of_p).sum(axis=1)
    near = np.log1p((probabilities * phi(-d)).sum(axis=1))
    far = scipy.special.logsumexp(np.where(taken, log_q - d, -np.inf), axis=1)
    kl = np.where(np.abs(d).max(axis=1) < 1.0, near, far)
    # p's mass where q has any is summed where it is small, not left over from 1.
    kept = np.where(taken, of_p, 0.0).sum(axis=1)
    kl = kl - np.where(missed < 0.5, np.log1p(-np.minimum(missed, 0.5)), np.log(kept))
    return Transitions(
        probabilities, log_q, np.where(taken, d + kl[:, None], 0.0), kl, missed, start
    )
