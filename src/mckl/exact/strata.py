"""The exact law of a mean over balanced scrambled Sobol' points, for functions of one number.

Among the first n = 2^m scrambled Sobol' points, each coordinate has exactly one point in each of n
equal strata of [0, 1). It is uniform within its stratum, and the positions in any three strata are
independent (Owen 2003 shows that the linear scramble has the variance of the nested one).
Therefore a mean of sum_d f_d(u_d) has the variance

    n^-2 sum_d sum_strata Var(f_d | stratum).

Its third cumulant is that of independent strata (`mckl.exact.dyadic` has their sums). So is its
fourth, except for terms from quadruples of strata with bitwise sum 0, which are dependent under
SciPy's linear matrix scramble (docs/theory.md, section 6).

Only three functions occur in a quadratic form: a normal g, its square, and a chi-square w.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.form import Stratified
from mckl.draw.quantiles import MOST_DOF, chisquare_of_normal
from mckl.exact.dyadic import Dyadic
from mckl.exact.moments import EPS, Bounded

# The most strata for which quadruples are summed; skewness and kurtosis hardly change beyond.
MOST_STRATA = 2**15


class Quadratic(Protocol):
    """A quadratic form in normals and chi-squares (`mckl.families.quadratic_form`)."""

    kl: float
    square: Vector
    linear: Vector
    chi: Vector
    dof: Vector


_WALSH_LEVELS = 5  # the first 2^5 Walsh functions of the position within a stratum


UNKNOWN = Bounded(math.nan, math.inf)


class NormalStrata(NamedTuple):
    """Sums over n equal strata of the standard normal law, for functions a g^2 + b g.

    `square` and `linear` are the sums of Var(g^2) and of Var(g) within strata. `third` has the
    coefficients of a^3 and 3 a b^2 in the third cumulant of the sum over strata, and `fourth` those
    of a^4, 6 a^2 b^2 and b^4 in the fourth.
    """

    square: Bounded
    linear: Bounded
    third: tuple[Bounded, Bounded]
    fourth: tuple[Bounded, Bounded, Bounded]


def walsh_hadamard(x: Vector) -> Vector:
    """The Walsh-Hadamard transform along axis 0, whose length is a power of two."""
    n = x.shape[0]
    x = np.array(x.reshape(n, -1), order="C")  # a copy, which is transformed in place
    step = 1
    while step < n:
        y = x.reshape(n // (2 * step), 2, -1)
        first, second = y[:, 0], y[:, 1]
        difference = first - second
        first += second
        second[...] = difference
        step *= 2
    return x


def _linked(*functions: Vector) -> float:
    """The terms of quadruples of strata with bitwise sum 0 in the mean of a product of four sums.

    Each function has shape (strata, positions): its values at equally spaced positions within each
    stratum. Under the linear scramble, if the bitwise sum x + y + z + w is 0, then the position in
    stratum w is the bitwise sum of the positions in the other three. So the product's mean is the
    sum over Walsh functions k of the product of the four k-th coefficients. Quadruples with equal
    strata are counted elsewhere.
    """
    n, positions = functions[0].shape
    if n < 4:
        return 0.0
    # The four functions are often the same; each is transformed once, to shape (strata, k > 0).
    once = {id(f): (walsh_hadamard(f.T) / positions)[1:].T for f in functions}
    twice = {key: walsh_hadamard(x) for key, x in once.items()}
    h, H = [once[id(f)] for f in functions], [twice[id(f)] for f in functions]
    every = (H[0] * H[1] * H[2] * H[3]).sum() / n
    pairs = sum(
        ((h[i] * h[j]).sum(axis=0) * (h[k] * h[m]).sum(axis=0)).sum()
        for i, j, k, m in ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2))
    )
    return float(every - pairs + 2.0 * (h[0] * h[1] * h[2] * h[3]).sum())


def linked(n: int, *functions: Callable[[Vector], Vector]) -> Bounded:
    """The terms of quadruples of n strata for functions of a normal; see `_linked`.

    The bound is twice the difference that half as many positions in each stratum make.
    """
    fine, coarse = (
        _linked(*(_centred(function(scipy.special.ndtri(u))) for function in functions))
        for u in (_positions(n, 2**_WALSH_LEVELS), _positions(n, 2 ** (_WALSH_LEVELS - 1)))
    )
    return Bounded(fine, 2.0 * abs(fine - coarse))


def _centred(values: Vector) -> Vector:
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def _positions(n: int, cells: int) -> Vector:
    """Equally spaced points u within each of n strata, shape (n, cells)."""
    return np.asarray((np.arange(n)[:, None] + (np.arange(cells) + 0.5) / cells) / n)


@lru_cache(maxsize=1)
def _normal() -> Dyadic:
    """The strata of g^2, of g and of their sum."""

    def functions(u: Vector, upper: bool) -> Vector:
        g = (-1.0 if upper else 1.0) * scipy.special.ndtri(u)
        values = np.stack((g * g, g, g * g + g))
        return np.stack((values, 4.0 * EPS * np.abs((g * g, g, g * g + np.abs(g)))))

    return Dyadic(functions)


@lru_cache(maxsize=128)
def _chi(dof: float) -> Dyadic:
    def functions(u: Vector, upper: bool) -> Vector:
        if dof > MOST_DOF:
            values = chisquare_of_normal(dof)((-1.0 if upper else 1.0) * scipy.special.ndtri(u))
        else:
            inverse = scipy.special.gammainccinv if upper else scipy.special.gammaincinv
            values = 2.0 * inverse(0.5 * dof, u)
        return np.stack((values[None], 4.0 * EPS * np.abs(values)[None]))

    return Dyadic(functions)


@lru_cache(maxsize=64)
def normal_strata(n: int) -> NormalStrata:
    """`NormalStrata` for n = 2^m equal strata, as many as `MOST_STRATA`."""
    sums = _normal().sums(n)
    square, linear, both = ([sums.at(i, k) for k in range(3)] for i in range(3))
    # Terms that are odd in g cancel between the two halves of the line.
    return NormalStrata(
        square[0],
        linear[0],
        (square[1], _total((1 / 3, both[1]), (-1 / 3, square[1]))),
        (
            _total((1, square[2]), (1, linked(n, *[np.square] * 4))),
            _total(
                (1 / 6, both[2]), (-1 / 6, square[2]), (-1 / 6, linear[2]),
                (1, linked(n, np.square, np.square, np.array, np.array)),
            ),
            _total((1, linear[2]), (1, linked(n, *[np.array] * 4))),
        ),
    )  # fmt: skip


@lru_cache(maxsize=1024)
def chi_strata(n: int, dof: float) -> tuple[Bounded, Bounded, Bounded]:
    """The second to fourth cumulants of the chi-square law's sum over n = 2^m equal strata.

    n is at most `MOST_STRATA`.
    """
    if n == 1:
        # With one stratum these are the chi-square's own cumulants.
        return Bounded(2.0 * dof, 0.0), Bounded(8.0 * dof, 0.0), Bounded(48.0 * dof, 0.0)
    sums = _chi(dof).sums(n)
    quadruples = linked(n, *[chisquare_of_normal(dof)] * 4)
    return sums.at(0, 0), sums.at(0, 1), _total((1, sums.at(0, 2)), (1, quadruples))


def _total(*terms: tuple[float, Bounded]) -> Bounded:
    """The sum of multiples of bounded numbers."""
    value = math.fsum(times * of.value for times, of in terms)
    return Bounded(value, math.fsum(abs(times) * of.error for times, of in terms))


def balanced_variance(form: Quadratic, n: int) -> float:
    """Variance of the mean of l over n = 2^m balanced scrambled Sobol' points, n to 2^30."""
    return _second(form, n).value / n**2


def _second(form: Quadratic, n: int) -> Bounded:
    """n^2 times the variance in `balanced_variance`."""
    sums = _normal().sums(n)
    dofs, group = np.unique(form.dof, return_inverse=True)
    weights = np.bincount(group, weights=form.chi**2, minlength=dofs.size)
    chi = [_chi(float(k)).sums(n).at(0, 0) for k in dofs]
    return _total(
        (float(form.square @ form.square), sums.at(0, 0)),
        (float(form.linear @ form.linear), sums.at(1, 0)),
        *zip(weights.tolist(), chi, strict=True),
    )


def stratified(form: Quadratic, n: int) -> Stratified:
    """The law of the mean of l over n = 2^m Sobol' points.

    Skewness and kurtosis are those over at most `MOST_STRATA` points.
    """
    second = _second(form, n)
    k = min(n, MOST_STRATA)
    normal = normal_strata(k)
    a, b2 = form.square, form.linear**2
    chi = [(float(c), chi_strata(k, float(dof))) for c, dof in zip(form.chi, form.dof, strict=True)]
    with np.errstate(over="ignore"):
        third = _total(
            (float((a**3).sum()), normal.third[0]),
            (float(3.0 * (a * b2).sum()), normal.third[1]),
            *((c**3, of[1]) for c, of in chi),
        )
        fourth = _total(
            (float((a**4).sum()), normal.fourth[0]),
            (float(6.0 * (a**2 * b2).sum()), normal.fourth[1]),
            (float((b2**2).sum()), normal.fourth[2]),
            *((c**4, of[2]) for c, of in chi),
        )
    of_k = scaled(k, *np.transpose([_second(form, k), third, fourth]))
    return of_k._replace(variance=second.value / n**2, error=second.error / n**2)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def scaled(n: int, value: Vector, error: Vector) -> Stratified:
    """The law of a mean over n points, from cumulants of the sum and bounds on their errors."""
    second, third, fourth = map(float, value)
    if second == 0.0:
        return Stratified(0.0, 0.0, 0.0, float(error[0]) / n**2, float(error[1]), float(error[2]))
    # A scaled cumulant changes by at most so much with the variance that scales it.
    rest = second - float(error[0])
    share = float(error[0]) / rest if rest > 0.0 else math.inf
    bounds = [
        0.0 if math.isinf(of) else (float(bound) + 0.5 * power * abs(of) * share)
        / np.float64(max(rest, 0.0)) ** (0.5 * power)
        for of, bound, power in ((third, error[1], 3), (fourth, error[2], 4))
    ]  # fmt: skip
    return Stratified(
        second / n**2,
        float(third / np.power(second, 1.5)),
        float(fourth / np.square(second)),
        float(error[0]) / n**2,
        *(float(b) if b < math.inf else math.inf for b in bounds),
    )


class Linked:
    """The terms of quadruples of strata in the fourth cumulant of a sum of f(u) over n strata.

    Parameters
    ----------
    grid
        A function of a number of equal cells that returns f in the middle of each.
    """

    MOST = 2**14  # strata, beyond which these terms are not known
    CELLS = 4 * MOST

    def __init__(self, grid: Callable[[int], Vector]) -> None:
        self._fine, self._coarse = _Quadruples(grid(self.CELLS)), _Quadruples(grid(self.CELLS // 2))

    def __call__(self, n: int) -> Bounded:
        """The terms for n strata, as `_linked`; the bound is twice what half the cells change."""
        if n > self.MOST:
            return UNKNOWN
        value = self._fine(n)
        return Bounded(value, 2.0 * abs(value - self._coarse(n)))


class _Quadruples:
    """The terms in `Linked`, from values of f in the middle of 2^(2 m) or 2^(2 m + 1) equal cells.

    Means over these cells give what any n needs.
    """

    def __init__(self, values: Vector) -> None:
        values = values - values.mean()
        self._cells = values.size
        self._means = {values.size: values}  # over equal cells, by how many these are
        while len(values) > 1:
            values = 0.5 * (values[0::2] + values[1::2])
            self._means[values.size] = values
        # One transform over all cells, as rows of rows, has those over the strata of every n.
        side = 2 ** (self._cells.bit_length() // 2)
        square = self._means[self._cells].reshape(side, -1)
        transform = _hadamard(side) @ square @ _hadamard(square.shape[1])
        self._square = (transform.ravel() / self._cells) ** 2

    def __call__(self, n: int) -> float:
        """The terms for n strata.

        By Parseval's theorem, sums of squares over strata equal those of the coefficients.
        """
        if n < 4:
            return 0.0
        positions = min(self._cells // n, 2**_WALSH_LEVELS)
        square = self._square.reshape(n, positions, -1)[:, 1:, 0]
        at = self._means[n * positions].reshape(n, positions)
        h = at @ (_hadamard(positions)[:, 1:] / positions)
        h *= h
        every = float(n) ** 3 * np.square(square).sum()
        pairs = float(n) ** 2 * np.square(square.sum(axis=0)).sum()
        return float(every - 3.0 * pairs + 2.0 * np.vdot(h, h))


@lru_cache(maxsize=16)
def _hadamard(n: int) -> Vector:
    return walsh_hadamard(np.eye(n))
