"""Dirichlet laws: phi(t) = sum log Gamma(alpha_i) - log Gamma(sum alpha_i), alpha on a line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.density_table import MOST_TABLES, DensityTable
from mckl.draw.distribution import Distribution
from mckl.exact.gamma_function import zeta_error, zeta_rest
from mckl.exact.moments import EPS, Moments
from mckl.families.base import About, Family
from mckl.families.coordinates.log_gamma import LogGamma, log_gammas
from mckl.families.exponential.pair import Exponential, text_of
from mckl.families.parameters import aliases, missing, parameter_numbers


class _DirichletLine:
    """The function phi of two Dirichlet laws.

    The derivatives of log Gamma are those of x log x - x and of a rest: the m-th derivatives of the
    two are (-1)^m (m - 2)! x^(1 - m) and (-1)^m (m - 1)! zeta_rest(m, x). With u_i = d_i / alpha_i
    and their mean u, weighted by alpha_i, the first parts of all terms add up to

        sum alpha_i (u_i^m - u^m - m u^(m - 1) (u_i - u)).

    This keeps its digits where the concentrations are large, as (u_i - u)^2 is a common factor.
    """

    log_mass = 0.0

    def __init__(self, alpha: Vector, of_p: Vector, d: Vector) -> None:
        self._alpha, self._of_p, self._d = alpha, of_p, d
        with np.errstate(divide="ignore"):
            ends = -alpha / d
        self.ends = (
            float(np.max(ends[d > 0], initial=-math.inf)),
            float(np.min(ends[d < 0], initial=math.inf)),
        )

    def derivatives(self, t: Vector, order: int, start: Vector | float = 0.0) -> Moments:
        d, of_q, of_p = self._d[:, None], self._alpha[:, None], self._of_p[:, None]
        begin = np.where(np.equal(start, 0.0), of_q, of_p + (1.0 + np.asarray(start)) * d)
        alpha = begin + t * d
        # How much alpha rounds; towards an end of the line it is small beside its terms.
        rounded = np.where(np.equal(start, 0.0), 0.0, np.abs((1.0 + np.asarray(start)) * d))
        rounding = EPS * (0.5 + (np.abs(t * d) + rounded + 0.5 * begin) / alpha)
        whole, d_whole = alpha.sum(axis=0), d.sum()
        of_whole = (alpha * rounding).sum(axis=0) / whole + len(d) * EPS
        u, mean = d / alpha, d_whole / whole
        away = alpha * (u - mean) ** 2
        lost = np.abs(u) * (rounding + EPS) + np.abs(mean) * (2.0 * of_whole)
        lost = alpha * (2.0 * np.abs(u - mean) + lost) * lost + away * rounding
        out = Moments(*(np.empty((order - 1, t.size)) for _ in range(2)))
        inner = size = np.ones_like(u)  # sum over k of (k + 1) mean^k u^(m - 2 - k)
        last = np.ones_like(mean)
        for m in range(2, order + 1):
            rests = d**m * zeta_rest(m, alpha), -(d_whole**m) * zeta_rest(m, whole)
            rest = rests[0].sum(axis=0) + rests[1]
            sign = (-1.0) ** m * math.factorial(m - 2)
            out.value[m - 2] = sign * ((away * inner).sum(axis=0) + (m - 1) * rest)
            first = (lost + away * (m * (rounding + of_whole) + 4.0 * EPS)) * size
            second = np.abs(rests[0]) * (m * rounding + zeta_error(m, alpha))
            third = np.abs(rests[1]) * (m * of_whole + zeta_error(m, whole))
            error = (first + (m - 1) * second).sum(axis=0) + (m - 1) * third
            out.error[m - 2] = abs(sign) * error + 2.0 * EPS * np.abs(out.value[m - 2])
            last = last * mean
            inner = inner * u + m * last
            size = size * np.abs(u) + m * np.abs(last)
        return out


@dataclass(frozen=True, eq=False)
class Dirichlet(Exponential):
    """A Dirichlet law; a sample is drawn as the logarithms of its coordinates."""

    concentration: Vector
    family = "dirichlet"
    parameters = "concentrations"
    dimension = 1

    @property
    def columns(self) -> int:  # type: ignore[override]
        return self.concentration.size

    @property
    def kind(self) -> str:
        return f"dirichlet({text_of(self.concentration)})"

    @property
    def mean(self) -> Vector:
        return np.asarray(
            scipy.special.psi(self.concentration) - scipy.special.psi(self.concentration.sum())
        )

    @property
    def tensorflow(self) -> Distribution:
        whole = self.concentration.sum()
        terms = 1.0 + whole + np.abs(scipy.special.gammaln([*self.concentration, whole])).sum()
        return Distribution("Dirichlet", {"concentration": self.concentration}, terms=terms)

    def line(self, p: Dirichlet) -> _DirichletLine:
        return _DirichletLine(self.concentration, p.concentration, self.coefficients(p))

    def coefficients(self, p: Dirichlet) -> Vector:
        return self.concentration - p.concentration

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        if np.unique(self.concentration).size > MOST_TABLES:
            logs = log_gammas(generator, shape[:1], self.concentration).T
        else:
            logs = generator.random(shape).T.copy()
            for table, rows in self._tables:
                logs[rows] = table.samples(logs[rows])
        if self.concentration.max() < 1.0:  # elsewhere not all variates are too small for float64
            logs -= logs.max(axis=0)
        logs -= np.log(np.exp(logs).sum(axis=0))
        return logs.T

    @cached_property
    def _tables(self) -> list[tuple[DensityTable, NDArray[np.intp]]]:
        """Tables of the logarithms of gamma variates, and the coordinates that each draws."""
        shapes, which = np.unique(self.concentration, return_inverse=True)
        laws = (DensityTable(LogGamma(float(shape))) for shape in shapes)
        return [(law, np.flatnonzero(which == i)) for i, law in enumerate(laws)]


def _side(given: Mapping[str, Any]) -> Dirichlet:
    if "concentration" not in given:
        raise missing("dirichlet", "concentration")
    concentration = parameter_numbers(
        "dirichlet", "concentration", given["concentration"], above=0.0
    )
    if concentration.size < 2:
        raise ValueError(f"dirichlet: concentration {concentration}, expected two numbers or more")
    return Dirichlet(concentration)


DIRICHLET = Family(
    "dirichlet",
    (),
    {"concentration": "powers of the coordinates, plus 1"},
    _side,
    aliases=aliases(concentration="alpha"),
    about=About(
        "positive vectors that add up to 1",
        "E r² if 2 concentration_p > concentration_q in every entry",
        "exponential family",
    ),
)
