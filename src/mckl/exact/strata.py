"""The exact law of a mean over balanced scrambled Sobol' points, for functions of one number.

Among the first n = 2^m scrambled Sobol' points, each coordinate has exactly one point in each of n
equal strata of [0, 1). It is uniform within its stratum, and the positions in any three strata are
independent (Owen 2003 shows that the linear scramble has the variance of the nested one).
Therefore a mean of sum_d f_d(u_d) has the variance

    n^-2 sum_d sum_strata Var(f_d | stratum).

Its third cumulant is that of independent strata (`mckl.exact.dyadic` has their sums). So is its
fourth, except for terms from quadruples of strata with bitwise sum 0, which are dependent under
SciPy's linear matrix scramble (theory.md, section 6).

Only three functions occur in a quadratic form: a normal g, its square, and a chi-square w.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.form import Stratified
from mckl.draw.quantiles import MOST_DOF, chisquare_of_normal
from mckl.exact.dyadic import Dyadic
from mckl.exact.moments import EPS, Bounded
from mckl.exact.quadruples import linked

# The most strata for which quadruples are summed; skewness and kurtosis hardly change beyond.
MOST_STRATA = 2**15


class Quadratic(Protocol):
    """A quadratic form in normals and chi-squares (`mckl.families.normal.form`)."""

    kl: float
    square: Vector
    linear: Vector
    chi: Vector
    dof: Vector


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
            w = chisquare_of_normal(dof)((-1.0 if upper else 1.0) * scipy.special.ndtri(u))
        else:
            inverse = scipy.special.gammainccinv if upper else scipy.special.gammaincinv
            w = np.asarray(2.0 * inverse(0.5 * dof, u))
        return np.stack((w[None], 4.0 * EPS * np.abs(w)[None]))

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
            _total((1, square[2]), (1, linked(_normal(), n, 0, 0, 0, 0))),
            _total(
                (1 / 6, both[2]), (-1 / 6, square[2]), (-1 / 6, linear[2]),
                (1, linked(_normal(), n, 0, 0, 1, 1)),
            ),
            _total((1, linear[2]), (1, linked(_normal(), n, 1, 1, 1, 1))),
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
    quadruples = linked(_chi(dof), n, 0, 0, 0, 0)
    return sums.at(0, 0), sums.at(0, 1), _total((1, sums.at(0, 2)), (1, quadruples))


def _total(*terms: tuple[float, Bounded]) -> Bounded:
    """The sum of multiples of bounded numbers."""
    value = math.fsum(times * bounded.value for times, bounded in terms)
    return Bounded(value, math.fsum(abs(times) * bounded.error for times, bounded in terms))


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
            *((c**3, moments[1]) for c, moments in chi),
        )
        fourth = _total(
            (float((a**4).sum()), normal.fourth[0]),
            (float(6.0 * (a**2 * b2).sum()), normal.fourth[1]),
            (float((b2**2).sum()), normal.fourth[2]),
            *((c**4, moments[2]) for c, moments in chi),
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
        0.0 if math.isinf(cumulant) else (float(bound) + 0.5 * power * abs(cumulant) * share)
        / np.float64(max(rest, 0.0)) ** (0.5 * power)
        for cumulant, bound, power in ((third, error[1], 3), (fourth, error[2], 4))
    ]  # fmt: skip
    return Stratified(
        second / n**2,
        float(third / np.power(second, 1.5)),
        float(fourth / np.square(second)),
        float(error[0]) / n**2,
        *(float(b) if b < math.inf else math.inf for b in bounds),
    )
