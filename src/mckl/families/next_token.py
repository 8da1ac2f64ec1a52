"""Tables of next-token laws, and how the table of q differs from that of p.

Row x of a table is the law of the next token after token x, as logits or as probabilities, both up
to a factor of the probabilities. l is computed from differences of logs, so that no digit is lost
where q is close to p.
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

_NEVER = 1e-290  # a token with a smaller probability counts as impossible
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
        return np.asarray(self.given / self.given.sum(axis=1, keepdims=True))

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
    """Raise ValueError where tables of so many states would take too much memory."""
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
            + ("a probability" if name == "transitions" else "a number, or -inf for no chance")
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

    Parameters
    ----------
    q, p
        The laws of the next token, with equal numbers of states.
    start
        The law of the state before the first token, shape (states,).
    difference
        Logits of q less logits of p, where these are known to more digits than the tables have.
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
    # A constant for each row has no effect; without it, rounding is relative to the differences.
    d = np.where(taken, d - (probabilities * d).sum(axis=1, keepdims=True), 0.0)
    missed = np.where(taken, 0.0, of_p).sum(axis=1)
    near = np.log1p((probabilities * phi(-d)).sum(axis=1))
    far = scipy.special.logsumexp(np.where(taken, log_q - d, -np.inf), axis=1)
    kl = np.where(np.abs(d).max(axis=1) < 1.0, near, far)
    # Where p's probability of what q can take is small, it is summed: 1 less the rest loses digits.
    kept = np.where(taken, of_p, 0.0).sum(axis=1)
    kl = kl - np.where(missed < 0.5, np.log1p(-np.minimum(missed, 0.5)), np.log(kept))
    return Transitions(
        probabilities, log_q, np.where(taken, d + kl[:, None], 0.0), kl, missed, start
    )
