"""Joint moments of r and k3 of whole sequences of a Markov chain, by one recursion over its tokens.

Let R = prod r - 1 over the tokens that are still to come after a state, and let y be k3 of these
tokens together, less its mean and less slope R. For a token with x = r - 1 and k = r - 1 + l, with
R' and y' over the tokens after it,

    R = x + R' + x R',        y = e + y' + (1 - slope) x R',
    e = k - slope x + E k3' - E k3,

where E k3 is that of the state before the token and E k3' that of the state after it. All of
x, e, R and y have mean 0 given the state before. So the moments of (R, y) follow backwards from the
last token, and nothing cancels that does not cancel within a token (theory.md, section 2.5).

Where p can take tokens that q never takes, x does not have mean 0. Then p is given that it takes
none of them in all tokens to come: its transitions are p(a, b) P_b / P_a, where P is the
probability of this, with the same number of tokens left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.independent_blocks import JOINED
from mckl.exact.moments import EPS, Moments, moment_norm, settled
from mckl.exact.remainders import phi, weighted_phi
from mckl.families.policy.token_sums import probability_error

_LARGEST_IGNORED_CHANGE = 8.0 * EPS  # the largest relative change in a step that is ignored
_SHAPE_SETTLED = 64.0 * EPS
# For more tokens than this, the recursion may be shortened; the attempt takes an eighth of them.
_MANY, _TOKENS_PER_TRY = 256, 8
_MOST_APART = 1e3  # how much moments may differ between states, or digits are lost
_ROUNDING = 4.0 * EPS  # a bound on what the rounding of a token adds to a moment, relative to it


class Steps(NamedTuple):
    """Transitions from some states to all others: what `Transitions` has of them, row by row."""

    q: Vector
    log_q: Vector
    ell: Vector
    ell_error: Vector
    missed: Vector


class _After(NamedTuple):
    """What depends on the state after a token.

    log_kept    the log probability that p takes no token that q never takes, up to a constant
    mean        the mean of k3 of the tokens to come, up to a constant
    mean_error  a bound on its error
    """

    log_kept: Vector
    mean: Vector
    mean_error: Vector


class _Token(NamedTuple):
    """The functions of one token, and how far rounding can move them.

    powers   q x^i e^j for i + j <= order, in the order of `joint.indices`
    x_error  for each order n, the largest norm (E |error of x|^n)^(1/n) after any state
    e_error  the same of e
    """

    powers: Vector
    x_error: Vector
    e_error: Vector


@np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore")
def token_products(
    steps: Steps, start: Vector, tokens: int, order: int, slope: float, rest: float
) -> Moments:
    """The joint moments of (R, y), shape (order + 1, order + 1); `rest` is 1 - slope.

    A moment that exceeds float64 makes all of its order NaN.
    """
    products = _products(steps, start, tokens, order, slope, rest)
    if order == 2 or np.isfinite(products.value).all():
        return products
    lower = token_products(steps, start, tokens, order - 1, slope, rest)
    value, error = products
    total = np.add.outer(np.arange(order + 1), np.arange(order + 1))
    value[:-1, :-1] = np.where(total[:-1, :-1] < order, lower.value, math.nan)
    error[:-1, :-1] = np.where(total[:-1, :-1] < order, lower.error, math.inf)
    value[total == order], error[total == order] = math.nan, math.inf
    return Moments(np.where(total > order, 0.0, value), np.where(total > order, 0.0, error))


def _products(
    steps: Steps, start: Vector, tokens: int, order: int, slope: float, rest: float
) -> Moments:
    moments, terms = _terms(order)
    times = np.asarray(sum(rest**power * term for power, term in enumerate(terms)))
    later = np.zeros((len(moments), start.size))
    later[0] = 1.0
    reference = int(np.argmax(start @ steps.q))
    after, left, fixed = _After(*np.zeros((3, start.size))), tokens, False
    x_error, e_error = np.zeros((2, order + 1))
    while left and not fixed:
        token, new = _token(steps, after, order, slope, rest)
        shares = (new.log_kept[reference], new.mean[reference])
        fixed = all(
            np.abs(now - share - last).max() <= _LARGEST_IGNORED_CHANGE * np.abs(now).max()
            for now, share, last in zip(new[:2], shares, after[:2], strict=True)
        )
        after = _After(new.log_kept - shares[0], new.mean - shares[1], new.mean_error)
        count = left if fixed else 1
        later = _repeated(moments, times, token.powers, later, count, reference)
        x_error, e_error = x_error + count * token.x_error, e_error + count * token.e_error
        left -= count
    kept = [_cancelled(moments, steps.q, steps.ell, later, rest, n) for n in range(order + 1)]
    row = start[None]
    first = Steps(row, np.log(row), np.zeros_like(row), np.zeros_like(row), np.zeros(1))
    token, _ = _token(first, after, order, slope, rest)
    later = _step(times, token.powers, later[..., None])[:, 0, 0]
    value = np.zeros((order + 1, order + 1))
    value[tuple(np.transpose(moments))] = later
    x_error, e_error = x_error + token.x_error, e_error + token.e_error
    return settled(value, _bounds(value, x_error, e_error, (tokens + 1) * np.array(kept), rest))


def _step(times: Vector, powers: Vector, later: Vector) -> Vector:
    """The moments before a token, from those after it, both of shape (moments, states, columns)."""
    moments, states, columns = later.shape
    flat = np.moveaxis(later, 1, 0).reshape(states, -1)
    terms = (powers @ flat).reshape(*powers.shape[:2], moments, columns)
    return np.tensordot(times, terms, ((1, 2), (0, 2)))


def _repeated(
    moments: Sequence[joint.Index],
    times: Vector,
    powers: Vector,
    later: Vector,
    tokens: int,
    reference: int,
) -> Vector:
    """The moments before `tokens` equal tokens, from those after them, shape (moments, states)."""
    if tokens > _MANY:
        later, tokens = _shortened(moments, times, powers, later, tokens, reference)
    for _ in range(tokens):
        later = _step(times, powers, later[..., None])[..., 0]
    return later


def _shortened(
    moments: Sequence[joint.Index],
    times: Vector,
    powers: Vector,
    later: Vector,
    tokens: int,
    reference: int,
) -> tuple[Vector, int]:
    """The moments before some of the equal tokens, or all, and the number of tokens left.

    A token is a linear map of the moments after all states. It is found as a small matrix: let
    `shape` be the moments after each state as a linear function of those after the reference state.
    Once a token no longer changes it, each remaining token multiplies the reference's moments by
    one matrix. This needs moments of one size after all states.
    """
    count = len(times)
    of_r, of_y = np.transpose(moments)  # the powers of R and y; moments 1 and 3 are R^2 and y^2
    shape = np.repeat(np.eye(count)[:, None], later.shape[1], axis=1)
    reference_moments = later[:, reference]  # later is shape @ these + apart
    apart = later - reference_moments[:, None]
    for n in range(tries := tokens // _TOKENS_PER_TRY):
        squares = (shape @ reference_moments + apart)[[1, 3]]
        if not (squares.max(axis=1) < _MOST_APART * squares.min(axis=1)).all():
            return shape @ reference_moments + apart, tokens - n
        new = _step(times, powers, np.concatenate((shape, apart[..., None]), axis=2))
        matrix, added = new[:, reference, :count], new[:, reference, count]
        if not np.isfinite(new).all():
            return np.full(later.shape, math.nan), 0
        last = shape
        # The matrix is a triangle in the order of the moments, and its diagonal is positive.
        shape = scipy.linalg.solve_triangular(
            matrix, new[..., :count].reshape(-1, count).T, trans="T", lower=True
        ).T.reshape(shape.shape)
        apart, reference_moments = (
            new[..., count] - shape @ added,
            matrix @ reference_moments + added,
        )
        # What is left to change, as a share of moments of the usual size.
        size = np.maximum(
            np.abs(reference_moments),
            reference_moments[1] ** (0.5 * of_r) * reference_moments[3] ** (0.5 * of_y),
        )
        moved = np.abs(shape - last).max(axis=1) @ size + np.abs(apart).max(axis=1)
        if (moved <= _SHAPE_SETTLED * size).all():
            return shape @ (np.linalg.matrix_power(matrix, tokens - 1 - n) @ reference_moments), 0
    return shape @ reference_moments + apart, tokens - tries


def residual(ell: Vector, slope: float, rest: float) -> tuple[Vector, Vector, Vector]:
    """k3 - slope (r - 1), which is also l + rest (r - 1), by the form with the smaller terms.

    With it comes how steep it is in l, and the size of its terms.
    """
    x, k = np.expm1(-ell), phi(-ell)
    of_ratio = rest * x if rest else np.zeros_like(x)
    close, far = np.abs(k) + np.abs(slope * x), np.abs(ell) + np.abs(of_ratio)
    value = np.where(close < far, k - slope * x, ell + of_ratio)
    return value, np.abs(slope - of_ratio), np.minimum(close, far)


def _token(
    steps: Steps, after: _After, order: int, slope: float, rest: float
) -> tuple[_Token, _After]:
    """The functions of a token, and what depends on the state before it."""
    ell, ell_error, log_kept = steps.ell, steps.ell_error, np.zeros(len(steps.q))
    if steps.missed.any() or after.log_kept.any():
        p = np.exp(steps.log_q - steps.ell)
        lost = steps.missed - p @ np.expm1(after.log_kept)
        kept = p @ np.exp(after.log_kept)
        log_kept = np.where(lost < 0.5, np.log1p(-np.minimum(lost, 0.5)), np.log(kept))
        ell = np.where(steps.log_q > -np.inf, ell + log_kept[:, None] - after.log_kept, 0.0)
        ell_error = ell_error + 4.0 * EPS * (np.abs(log_kept)[:, None] + np.abs(after.log_kept))
    x, taken = np.expm1(-ell), steps.q > 0
    y, steepness, size = residual(ell, slope, rest)
    own = weighted_phi(steps.q, np.exp(steps.log_q - ell), ell)[0].sum(axis=1)
    mean = own + steps.q @ after.mean
    mean_error = 8.0 * EPS * own + steps.q @ (after.mean_error + 4.0 * EPS * np.abs(after.mean))
    e = y + (after.mean - mean[:, None])
    relative = np.where(taken, probability_error(steps.q) / steps.q, 0.0)
    x_error = (1.0 + x) * ell_error + (EPS + 0.5 * relative) * np.abs(x)
    e_error = steepness * ell_error + 2.0 * EPS * size
    e_error += EPS * (np.abs(after.mean) + np.abs(mean)[:, None])
    e_error += 0.5 * relative * np.abs(e) + after.mean_error + mean_error[:, None]
    powers: dict[joint.Index, Vector] = {(0, 0): steps.q}
    for i, j in joint.indices(2, order):
        if i:
            powers[i, j] = powers[i - 1, j] * x
        elif j:
            powers[i, j] = powers[i, j - 1] * e
    norms = ([_norm(steps.q, error, n) for n in range(order + 1)] for error in (x_error, e_error))
    token = _Token(np.stack([*powers.values()]), *map(np.array, norms))
    return token, _After(log_kept, mean, mean_error)


def _norm(q: Vector, error: Vector, n: int) -> float:
    """The largest (E error^n)^(1/n) after any state."""
    most = float(error.max())
    if n < 2 or not most:
        return 0.0
    share = (q * (error / most) ** n).sum(axis=1).max()
    return most * math.pow(share, 1.0 / n)


def _bounds(
    value: Vector, x_error: Vector, e_error: Vector, rounded: Vector, rest: float
) -> Vector:
    """Bounds on the errors of the moments E R^i y^j, by Hoelder's inequality.

    With the norms |R| and |y| of order i + j, a moment is at most |R|^i |y|^j. The errors of x and
    e add up over tokens; R moves by (1 + R) times that of x, and y by that of e and rest x R.
    """
    order = len(value) - 1
    out = np.zeros_like(value)
    for i, j in joint.indices(2, order):
        n = i + j
        if n < 2:
            continue
        r, y = moment_norm(value[:, 0], n), moment_norm(value[0], n)
        r_moved = (1.0 + r) * x_error[n]
        y_moved = e_error[n] + 2.0 * abs(rest) * r * r_moved
        out[i, j] = _ROUNDING * rounded[n] * r**i * y**j
        if i:
            out[i, j] += i * r ** (i - 1) * y**j * r_moved
        if j:
            out[i, j] += j * r**i * y ** (j - 1) * y_moved
    return out


def _cancelled(
    moments: Sequence[joint.Index], q: Vector, ell: Vector, later: Vector, rest: float, n: int
) -> float:
    """How much larger the terms of moments of order n are than the moments, after any state.

    It is large where r is small for a token after which R is large.
    """
    if n % 2:  # as for the next order, if that is known
        n = n + 1 if n < sum(moments[-1]) else n - 1
    if n < 2:
        return 1.0
    x = np.abs(np.expm1(-ell))
    r, y = (later[moments.index(index)] for index in ((n, 0), (0, n)))
    of_r = (q * (1.0 + x) ** n) @ r
    of_y = q @ y + (q * (abs(rest) * x) ** n) @ r
    return float(np.nanmax(np.concatenate(([1.0], of_r / r, of_y / y))))


@lru_cache(maxsize=8)
def _terms(order: int) -> tuple[list[joint.Index], list[Vector]]:
    """The moments of (R, y), and their coefficients in the recursion for each power of 1 - slope.

    The coefficient [m, i, k] belongs to moment m of the tokens from this one on, to the power i of
    (x, e) and the moment k of the tokens after it.
    """
    powers = list(joint.indices(2, order))
    # No moment depends on one that follows it.
    moments = sorted((m for m in powers if sum(m) != 1), key=lambda m: (sum(m), m[1]))
    out = np.zeros((order + 1, len(moments), len(powers), len(moments)))
    # A token and the tokens after it are joined like two independent blocks.
    for m, moment in enumerate(moments):
        for (x, e, r, y, power), times in joint.power_product(JOINED, moment).items():
            if (r, y) in moments:
                out[power, m, powers.index((x, e)), moments.index((r, y))] = times
    return moments, list(out)
