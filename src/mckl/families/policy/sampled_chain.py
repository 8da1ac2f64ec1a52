"""q and p with a third law s, which draws the tokens: an inference engine, or an older policy.

A sample is a sequence of s. Its token y after x has the weight w = q(y | x) / s(y | x), and the
sequence the product of these. A categorical is a sequence of one token.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.streams import generator
from mckl.exact.moments import EPS, Function, Moments
from mckl.exact.remainders import phi
from mckl.families.policy.law import Transitions
from mckl.families.policy.next_token import NextToken, transitions
from mckl.families.policy.token_sums import probability_error

_SEED = 20261130  # that of the tables by which a lagging s differs from q; they depend on S alone


NEVER_DRAWN = "no weight q/s makes up for what s never draws"


class SampledChain(NamedTuple):
    """Tables over (previous token, next token), at the tokens that s can reach from the start.

    pair          q and p; a table of theirs is 0 where q is
    s, s_error    the probabilities of s, and bounds on their errors, shape (rows, states)
    log_weight    log(q / s), -inf where q is 0; and bounds on its errors
    log_weight_error
    start, tokens the law of the state before the first token, and the number of tokens
    ended         whether a sequence has ended in each state
    """

    pair: Transitions
    s: Vector
    s_error: Vector
    log_weight: Vector
    log_weight_error: Vector
    start: Vector
    tokens: int
    ended: NDArray[np.bool_]

    @property
    def outside(self) -> bool:
        """Whether s draws tokens that q never does, so that l of some samples is -inf."""
        return bool(((self.s > 0) & (self.log_weight == -np.inf)).any())

    @property
    def k3_of_s(self) -> Moments:
        """w - 1 - log w of each transition, whose sum over a sample of s has the mean KL(s||q).

        It is never negative, so that nothing cancels where s is close to q.
        """
        drawn = self.s > 0
        ell = np.where(drawn, -self.log_weight, 0.0)
        error = np.where(drawn, self.log_weight_error, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            value = np.where(ell < np.inf, phi(np.where(ell < np.inf, -ell, 0.0)), np.inf)
            return Moments(value, np.abs(np.expm1(-ell)) * error + 8.0 * EPS * value)

    def values(self, name: str) -> Moments:
        """What each transition adds to the sum ``ell``, ``half_square``, ``ratio``, ``k3``, ``rb``.

        It is 0 where q is, where a weight is 0 too.
        """
        value, error = self.pair.table(Function(name)).values
        if name == "rb":
            return Moments(value, error)
        taken = self.log_weight > -np.inf
        return Moments(np.where(taken, value, 0.0), np.where(taken, error, 0.0))


def sampled_chain(
    q: NextToken, p: NextToken, s: NextToken, start: Vector, tokens: int,
    reached: NDArray[np.intp], ended: NDArray[np.bool_] | None = None,
    q_less_p: Vector | None = None, q_less_s: Vector | None = None,
) -> SampledChain:  # fmt: skip
    """The tables of q, p and s among the states that s can reach.

    start                The law of the state before the first token.
    reached              The states that s can reach; it cannot leave them.
    ended                Whether a sequence has ended in each state; in none by default.
    q_less_p, q_less_s   Differences of logits that are known to more digits than the tables have.
    """
    pair = transitions(q, p, start, q_less_p)
    weight = transitions(q, s, start, q_less_s)
    columns = reached if len(start) == s.logits.shape[1] else np.arange(s.logits.shape[1])
    square = np.ix_(reached, columns)
    taken = (q.logits > -np.inf)[square]
    law = s.probabilities[square]
    some = Transitions(*(x[square] if x.ndim == 2 else x[reached] for x in pair))
    return SampledChain(
        some,
        law,
        probability_error(law),
        np.where(taken, weight.ell[square], -np.inf),
        np.where(taken, weight.ell_error[square] + EPS, 0.0),
        start[reached],
        tokens,
        np.zeros(reached.size, dtype=bool) if ended is None else ended[reached],
    )


def lagging(q: NextToken, lag: float) -> tuple[NextToken, Vector]:
    """The law s that lags behind q, and the logits of q less those of s.

    The logits of s are those of q less lag times a fixed table of standard normals.
    """
    step = lag * _steps(*q.logits.shape)
    # From the largest of the row, so that rounding is relative to differences.
    return NextToken(q.logits - q.logits.max(axis=1, keepdims=True) - step), step


def _steps(rows: int, states: int) -> Vector:
    return np.asarray(generator(_SEED, "lag", rows, states).standard_normal((rows, states)))


def unsupported(
    q: NextToken, other: NextToken, reached: NDArray[np.intp]
) -> tuple[Any, Any] | None:
    """The first row and token, among these rows, for which `other` is 0 and q is not."""
    wrong = ((q.logits > -np.inf) & (other.logits == -np.inf))[reached]
    if not wrong.any():
        return None
    row, token = np.argwhere(wrong)[0]
    return reached[row], token
