"""Joint moments of functions of l_i = kl + a (g^2 - 1) + b g, for many coordinates at once.

The functions are evaluated, less their means, and averaged over the standard normal g by the
trapezoidal rule in v, where

    g = middle + sinh(v) sqrt(s^2 + half^2 / cosh(v)^2).

A power of r moves the bulk of the integrand: under the law tilted by r^n, g is normal with mean
-n b / (1 + 2 n a) and variance 1 / (1 + 2 n a). Nodes are densest, a step times s apart, at
middle - half and middle + half, the outermost of these means; elsewhere their distance grows with
that from both. The rule converges exponentially. Its difference from the rule with every second
node bounds what it leaves, and nodes are doubled until that is below the bound on rounding.

Rounding and the errors of the coefficients are followed at each node: if y is off by at most d,
then y^k is off by at most u (|y| + d / u)^k for every u <= 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.moments import EPS, WITH_RATIO, Function, Moments, settled
from mckl.exact.remainders import phi, x_minus_log1p

BORDER = 1e-12  # where 1 + 2 n a is at most this, E r^n counts as infinite

_REACH = 14.0  # standard deviations from each mean at which integrals end
_DENSEST = 4.0  # s in units of the smallest standard deviation
_STEP, _SMALLEST_STEP = 0.04, 2e-4
_NEAR = 0.4, 1.2  # up to these n |2a| and n |b|, coordinates share nodes and no r^n overflows
_LARGEST_LOG_MOMENT = 720.0  # e^709.8 is the largest float64
_CELLS = 2**15  # values of a function that are worked on at a time, so that arrays stay in cache

_Rows = NDArray[np.intp]
_Mask = NDArray[np.bool_]


class BoundedCoefficients(NamedTuple):
    """The coefficients of coordinates and bounds on their errors; all have shape (rows,)."""

    a: Vector
    b: Vector
    kl: Vector
    a_error: Vector
    b_error: Vector
    kl_error: Vector

    def take(self, rows: _Rows) -> BoundedCoefficients:
        return BoundedCoefficients(*(x[rows] for x in self))


def coordinate_moments(
    c: BoundedCoefficients, functions: Sequence[Function], paired: bool, order: int
) -> Moments:
    """The joint central moments of functions of each l_i (`mckl.exact.law.Law.factor_moments`).

    The result has shape (order + 1,) * len(functions) + (rows,).
    """
    of_ratio = [f.name in WITH_RATIO and (f.name != "k3" or f.rest != 0.0) for f in functions]
    powers = {
        index: sum(k for k, has in zip(index, of_ratio, strict=True) if has)
        for index in joint.indices(len(functions), order)
    }
    highest = max(powers.values())
    n = np.arange(highest + 1.0)[:, None]
    precision, doubt = 1.0 + 2.0 * n * c.a, 2.0 * n * c.a_error
    infinite = (precision + doubt <= BORDER) & (n > 1.0)  # E r is finite for every pair
    # The logarithm of E r^n; where E r^n overflows, the nodes need not find where its bulk lies.
    log_mass = -n * c.kl + 0.5 * (x_minus_log1p(np.maximum(precision, BORDER) - 1.0)
                                  + (n * c.b) ** 2 / np.maximum(precision, BORDER))  # fmt: skip
    certain = (precision > BORDER) & (doubt <= 0.1 * precision)
    certain &= (log_mass < _LARGEST_LOG_MOMENT) | (n <= 1.0)
    near = (np.abs(2.0 * highest * c.a) <= _NEAR[0]) & (np.abs(highest * c.b) <= _NEAR[1])
    near &= certain[-1]

    value, error = (np.zeros(((order + 1),) * len(functions) + c.a.shape) for _ in range(2))
    with np.errstate(all="ignore"):
        for shared in (True, False):
            todo, step = np.flatnonzero(near == shared), _STEP
            while todo.size and step > _SMALLEST_STEP:
                rough = []
                for rows, nodes in _pieces(todo, c, n, certain, paired, shared, step):
                    points = _Points(c.take(rows), nodes, paired, shared)
                    finite = certain[:, rows]
                    bad = _integrate(points, functions, powers, finite, value, error, rows)
                    rough.append(rows[bad])
                todo, step = np.concatenate(rough), 0.5 * step
    for index, power in powers.items():
        if sum(index) == 1:
            value[index], error[index] = _mean(functions[index.index(1)].name, c)
        elif sum(index) > 1 and not _is_odd(functions, index):
            moment = np.where(certain[power], value[index], math.nan)
            value[index], error[index] = settled(moment, error[index], infinite[power])
    value[(0,) * len(functions)] = 1.0
    return Moments(value, error)


def _mean(name: str, c: BoundedCoefficients) -> tuple[Vector, Vector]:
    if name in ("ratio", "gap"):
        return np.zeros_like(c.kl), np.zeros_like(c.kl)
    if name != "half_square":
        return c.kl, c.kl_error
    value = c.a * c.a + 0.5 * c.b * c.b + 0.5 * c.kl * c.kl
    error = 2.0 * np.abs(c.a) * c.a_error + np.abs(c.b) * c.b_error + c.kl * c.kl_error
    return value, error + 4.0 * EPS * value


class _Nodes(NamedTuple):
    """Nodes and the logarithms of their weights, shape (nodes, rows), or (nodes, 1) if shared.

    `alternate`, shape (nodes,), has the sign of a node's term in the difference of the two rules.
    """

    g: Vector
    log_weight: Vector
    alternate: Vector


def _pieces(
    todo: _Rows,
    c: BoundedCoefficients,
    n: Vector,
    finite: _Mask,
    paired: bool,
    shared: bool,
    step: float,
) -> Iterator[tuple[_Rows, _Nodes]]:
    """The rows in pieces that need about as many nodes, with these nodes."""
    finite = finite[:, todo]
    precision = np.where(finite, 1.0 + 2.0 * n * c.a[todo], 1.0)
    mean, sd = np.where(finite, -n * c.b[todo], 0.0) / precision, 1.0 / np.sqrt(precision)
    s = _DENSEST * sd.min(axis=0)
    if paired or shared:
        middle, half = np.zeros_like(s), np.abs(mean).max(axis=0)
    else:
        middle = 0.5 * (mean.max(axis=0) + mean.min(axis=0))
        half = mean.max(axis=0) - middle
    reach = (np.abs(mean - middle) + _REACH * sd).max(axis=0)
    if shared:
        middle, half, s, reach = np.zeros(1), np.zeros(1), s.min()[None], reach.max()[None]
    last = np.arcsinh(reach / s)
    by_size = np.argsort(-last) if not shared else np.arange(todo.size)
    start = 0
    while start < todo.size:
        count = 2 * math.ceil(last[by_size[start] if not shared else 0] / (2.0 * step))
        width = max(_CELLS // (count * (1 if paired else 2)), 1)
        piece = by_size[start : start + width]
        cells = slice(None) if shared else piece
        yield (
            todo[piece],
            _nodes(middle[cells], half[cells], s[cells], last[cells] / count, count, paired),
        )
        start += width


def _nodes(
    middle: Vector, half: Vector, s: Vector, step: Vector, count: int, paired: bool
) -> _Nodes:
    """So many nodes on each side of the middle; on one side for pairs, whose functions are even."""
    k = np.arange(0 if paired else -count, count + 1)
    v = np.multiply.outer(k, step)
    cosh, sinh = np.cosh(v), np.abs(np.sinh(v))
    root = np.sqrt(s * s + (half / cosh) ** 2)
    g = sinh * root
    if not paired:  # as an end plus the distance from it, so that no digit is lost near 0
        beyond = (s * sinh - half / cosh) * (s * sinh + half / cosh) / (g + half + 1e-300)
        g = np.where(v < 0.0, middle - half - beyond, middle + half + beyond)
    slope = (s * s * cosh + half * half / cosh**3) / root
    log_weight = np.log(step * slope / math.sqrt(2.0 * math.pi)) - 0.5 * g * g
    if paired:
        log_weight[1:] += math.log(2.0)
    return _Nodes(g, log_weight, np.where(k % 2, -1.0, 1.0))


class _Points:
    """l at nodes, and functions of it. With pairs, l and its mirror image are even -+ odd.

    Functions of r are divided by e^top where nodes are not shared, so that nothing overflows.
    """

    def __init__(self, c: BoundedCoefficients, nodes: _Nodes, paired: bool, shared: bool) -> None:
        self.c, self.nodes, self.shared = c, nodes, shared
        square, size = nodes.g * nodes.g, np.abs(nodes.g)
        # A term of l is rounded by at most EPS of itself, as often as it is added to.
        a_error, b_error, self.kl_error = (
            error + 2.0 * EPS * np.abs(x)
            for x, error in ((c.a, c.a_error), (c.b, c.b_error), (c.kl, c.kl_error))
        )
        self.central = (square - 1.0) * c.a
        self.odd, self.odd_error = size * np.abs(c.b), size * b_error
        linear = linear_error = np.zeros(1)
        if not paired:
            linear, linear_error = nodes.g * c.b, self.odd_error
            self.central = self.central + linear
            self.odd = self.odd_error = np.zeros(1)
        self.central_error = (square + 1.0) * a_error + linear_error
        self.even = self.central + c.kl
        self.even_error = self.central_error + self.kl_error
        # u of the module's docstring: a few of the relative errors, of l or of r
        scale = np.abs(c.a) + np.abs(c.b)
        u = np.maximum(a_error, b_error) / np.where(scale > 0.0, scale, 1.0)
        self.u = np.clip(16.0 * u, 64.0 * EPS, 1.0)
        self.top = np.zeros(1)
        if not shared:
            self._about_zero(square * c.a + linear, square * a_error + linear_error)
            relative = (self.even_error + self.odd_error) / np.maximum(self.even - self.odd, 1.0)
            self.u = np.clip(8.0 * relative, self.u, 1.0)
            self.top = np.maximum(self.odd - self.even, 0.0)
        self._of_ratio()

    def _about_zero(self, moving: Vector, moving_error: Vector) -> None:
        """Where a is large, l at 0 has more digits than kl and a, whose difference it is."""
        c, rho_square = self.c, 1.0 + 2.0 * self.c.a
        log, shift_square = np.log1p(2.0 * c.a), c.b * c.b / rho_square
        error = (c.a_error * (1.0 + shift_square) + np.abs(c.b) * c.b_error) / rho_square
        error = error + 4.0 * EPS * (log + shift_square)
        wide = c.a > 0.25
        self.even = np.where(wide, moving + 0.5 * (shift_square - log), self.even)
        self.even_error = np.where(wide, moving_error + error, self.even_error)

    def _of_ratio(self) -> None:
        """With E = e^-even, all divided by e^top: E - 1, E (cosh(odd) - 1) and E sinh(odd)."""
        self.shrink = np.exp(-self.top)
        if self.shared:
            self.expm1 = np.expm1(-self.even)
        else:
            positive = np.expm1(-np.abs(self.even)) * np.exp(np.maximum(-self.even, 0.0) - self.top)
            self.expm1 = np.where(self.even < 0.0, -positive, positive)
        self.cosh = self.sinh = np.zeros(1)
        if self.odd.size > 1:
            larger = np.exp(self.odd - self.even - self.top)
            self.cosh = 0.5 * larger * np.expm1(-self.odd) ** 2
            self.sinh = -0.5 * larger * np.expm1(-2.0 * self.odd)
        self.ratio = self.expm1 + self.cosh

    def function(self, f: Function) -> tuple[Vector, Vector]:
        """The function less its mean, and a bound on its error."""
        c, of_r = self.c, self.ratio + self.shrink
        if f.name == "rb":
            return np.zeros_like(self.even), np.zeros_like(self.even)
        if f.name == "ell" or (f.name == "k3" and f.rest == 0.0):  # k3 less r - 1 is l
            return self.central, self.central_error
        if f.name == "half_square":
            # The mean is that of l^2 / 2 less kl^2 / 2, which l^2 / 2 has as well.
            mean, error = _mean(f.name, c._replace(kl=np.zeros_like(c.kl)))
            twice = self.central + 2.0 * c.kl
            error = error + np.abs(self.central + c.kl) * self.central_error
            error = error + np.abs(self.central) * self.kl_error + self.odd * self.odd_error
            even, odd = 0.5 * self.central * twice, 0.5 * self.odd * self.odd
            return even + odd - mean, error + 2.0 * EPS * (np.abs(even) + odd + mean)
        if f.name == "ratio":
            error = of_r * self.even_error + self.sinh * self.odd_error
            return self.ratio, error + 2.0 * EPS * (np.abs(self.expm1) + self.cosh)
        if f.name == "gap":
            return self.sinh, self.sinh * self.even_error + of_r * self.odd_error
        # k3 less slope (r - 1) and its mean is slope (l - kl) + rest (phi(-l) - kl), whose terms do
        # not cancel where l is small, and l - kl + rest (r - 1), whose terms do not elsewhere.
        small = np.abs(self.even) < 1.0
        central, central_error = self.central * self.shrink, self.central_error * self.shrink
        mean, mean_error = c.kl * self.shrink, self.kl_error * self.shrink
        curved = phi(-np.where(small, self.even, 0.0)) * self.shrink + self.cosh
        value = f.slope * central + f.rest * (curved - mean)
        terms = abs(f.slope) * np.abs(central) + abs(f.rest) * (curved + mean)
        error = abs(f.slope) * central_error
        error = error + abs(f.rest) * (np.abs(self.ratio) * self.even_error + mean_error)
        if not small.all():
            value = np.where(small, value, central + f.rest * self.ratio)
            of_terms = np.abs(central) + abs(f.rest) * (np.abs(self.expm1) + self.cosh)
            terms = np.where(small, terms, of_terms)
            far = central_error + abs(f.rest) * of_r * self.even_error
            error = np.where(small, error, far)
        error = error + abs(f.rest) * self.sinh * self.odd_error
        return value, error + 4.0 * EPS * terms


def _integrate(
    points: _Points, functions: Sequence[Function], powers: dict[joint.Index, int],
    finite_powers: _Mask, value: Vector, error: Vector, rows: _Rows,
) -> _Mask:  # fmt: skip
    """Fills in the moments of some rows; returns for which of these the rule is too coarse."""
    nodes = points.nodes
    signs = np.stack((np.ones_like(nodes.alternate), nodes.alternate))
    # Rounding of the weights and of sums, relative to each term.
    relative = points.u + EPS * (16.0 + nodes.g**2 + max(powers.values()) * points.top)
    values = [points.function(f) for f in functions]
    y, wide = [v for v, _ in values], [np.abs(v) + e / points.u for v, e in values]
    weights = [np.exp(nodes.log_weight + n * points.top) for n in range(len(finite_powers))]
    # Shared weights are the same for every power of r, and are multiplied once.
    ones = weights[0] if points.shared else np.ones_like(weights[0])
    zero = (0,) * len(functions)
    products, bounds = {zero: ones}, {zero: ones * relative}
    rough = np.zeros(rows.size, dtype=bool)
    for index, power in powers.items():
        if index == zero:
            continue
        axis = next(i for i, k in enumerate(index) if k)
        lower = tuple(k - (i == axis) for i, k in enumerate(index))
        products[index] = products[lower] * y[axis]
        bounds[index] = bounds[lower] * wide[axis]
        if sum(index) == 1 or _is_odd(functions, index):
            continue
        term, bound = products[index], bounds[index]
        if not points.shared:
            term, bound = term * weights[power], bound * weights[power]
        total, coarse = signs @ term
        rounding = bound.sum(axis=0)
        value[index][rows] = total
        error[index][rows] = rounding + np.abs(coarse)
        rough |= finite_powers[power] & (np.abs(coarse) > rounding)
    return rough


def _is_odd(functions: Sequence[Function], index: joint.Index) -> bool:
    """Whether a moment is 0 since it has an odd power of the gap."""
    return any(f.name == "gap" and k % 2 for f, k in zip(functions, index, strict=True))
