"""A pair of one-dimensional densities at the nodes of an integration rule.

The double exponential rule is used on each piece between the breakpoints: the peaks and kinks of q
and p, and the peaks of p^k / q^(k - 1), where E r^k gets its value. Where a tail is a power, log q
and l are straight lines in log x, and the nodes go on along these beyond the range of float64.

A mixture of many components has many short pieces, on which both densities are smooth. There the
rule of Clenshaw and Curtis needs few nodes. Functions of l at the mirror image are not as smooth,
and have further breakpoints, so that they get a grid of their own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact import clenshaw_curtis, double_exponential, ends
from mckl.exact.double_exponential import REACH, Halvings, Nodes, left
from mckl.exact.ends import Tail
from mckl.exact.moments import EPS
from mckl.exact.remainders import ELL_OF_LARGE_RATIO, weighted_phi

Tilt = tuple[float, float]

_DROPS = 45.0  # how far a power tail is followed, in units of its integrand's logarithm
_LEAST = 1e-60  # breakpoints nearer to an end of the support are left out
_FAR = -1e3  # below it log densities are added up themselves, and not their differences
_LOST = 1e12  # log densities below -_LOST may leave no digit of a product of powers of q and p
_LEAST_LOG_TAIL = math.log(1e-299)  # a little above where mirror images end
LARGE = 1.0  # the log r above which functions that contain r are kept over r
_PEAKS = (1, 2, 3, 4)  # the k whose p^k / q^(k - 1) is looked at for peaks
_ROUGH = 64.0  # roundings of log q and k l by which a peak exceeds its neighbours at least
_NO_TERM = 1e-30  # a share of an integral that is only rounding
_NOISE = 1e-14  # the rounding error of the sum of p's weights


class DensityPair(Protocol, Hashable):
    """A pair (q, p) of one-dimensional laws with densities. Equal factors compare equal."""

    @property
    def support(self) -> tuple[float, float]:
        """The interval in which q has its mass, which is also that of p."""

    def breakpoints(self, mirrored: bool) -> Iterable[float]:
        """The points within the support at which a density peaks or has a kink.

        mirrored  Whether their mirror images are among them.
        """

    @property
    def smooth_width(self) -> float:
        """The length over which both densities change between breakpoints; 0 if it is not known."""

    @property
    def tails(self) -> tuple[tuple[Tail, Tail], tuple[Tail, Tail]]:
        """The tails of (q, p) at the lower end, then at the upper end."""

    @property
    def symmetric(self) -> bool:
        """Whether q is symmetric, so that mirror images are equally far out."""

    def log_q(self, x: Vector) -> Vector:
        """The log density of q."""

    def log_p(self, x: Vector) -> Vector:
        """The log density of p."""

    def log_ratio(self, x: Vector) -> Vector:
        """The log density ratio l, to full relative accuracy even where q is close to p."""

    def log_q_error(self, x: Vector) -> Vector:
        """A bound on the rounding error of `log_q`."""

    def log_p_error(self, x: Vector) -> Vector:
        """A bound on the rounding error of `log_p`."""

    def log_ratio_error(self, x: Vector) -> Vector:
        """A bound on the rounding error of `log_ratio`."""

    def mirror(self, x: Vector) -> Vector:
        """The mirror image of x: q has as much probability above it as below x."""


class Grid:
    """The nodes of a factor, shape (nodes,) each.

    log_w, w            The weights of q, which add up to 1, and their logarithms.
    ell                 l.
    ell_error, w_error  Bounds on the rounding errors of l and of `log_w`.
    growth              How much the logarithm of |l| grows beyond the last point at which it is
                        evaluated.
    beyond              How far log |x| is beyond that point.
    kl, kl_error        KL(q||p) and a bound on its error.
    """

    beyond: Vector
    ell: Vector

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def __init__(
        self, factor: DensityPair, edges: Sequence[float], per_unit: int, smooth_width: float
    ) -> None:
        pieces, last = [], len(edges) - 2
        for i, (a, b) in enumerate(itertools.pairwise(edges)):
            low = _reach(factor, 0) if i == 0 else REACH
            high = _reach(factor, 1) if i == last else REACH
            # From a breakpoint b to -inf, log x grows away from b.
            reach = (low, high) if math.isfinite(a) else (REACH, low)
            pieces.append(_nodes(a, b, per_unit, reach, smooth_width))
        x, log_dx, coarse, beyond = (np.concatenate(column) for column in zip(*pieces, strict=True))
        upper = 1 * (x > (edges[1] if last else 0.5 * (edges[0] + edges[1])))
        powers = np.array([[tail.power for tail in tails] for tails in factor.tails])[upper]
        degrees = np.array([ends.degree(*tails) for tails in factor.tails])[upper]
        log_q = factor.log_q(x) - powers[:, 0] * beyond
        log_dx += beyond
        # Where q and p are both powers, l goes on as a straight line.
        line = np.where(degrees == 0, (powers[:, 1] - powers[:, 0]) * beyond, 0.0)
        ell = factor.log_ratio(x) + line
        good = np.isfinite(log_q + log_dx) & np.isfinite(ell)
        # Sums of log q and log p that are so large and nearly cancel are only rounding.
        lost = good & (log_q <= -_LOST)
        good[lost] = factor.log_p(x[lost]) > -_LOST
        # Where log q is below -10^308, KL's integrand p - q + q l is p, which may still have mass.
        unseen = np.flatnonzero(~(good | lost))
        log_of_p = factor.log_p(x[unseen]) - powers[unseen, 1] * beyond[unseen] + log_dx[unseen]
        bare = np.isneginf(log_q[unseen]) & (log_of_p > -_LOST)
        self._bare: _Bare | None = None
        if np.exp(log_of_p[bare]).sum() > _NO_TERM:
            at = unseen[bare]
            self._bare = _Bare(factor, x[at], log_dx[at], log_of_p[bare])
            log_of_p = log_of_p[~bare]
        self._unseen = float(np.nansum(np.exp(log_of_p)))
        outwards = len(pieces[0].x) if math.isinf(edges[0]) else 0
        self._rule = self._rule_of_kl = _UsedNodes(coarse, good, outwards)
        if self._bare:
            used = good.copy()
            used[at] = True
            self._rule_of_kl = _UsedNodes(coarse, used, outwards)
            self._seen = good[used]
        x, log_dx, log_q = x[good], log_dx[good], log_q[good]
        if x.size < 2:
            raise OverflowError("the law has no nodes within float64")
        self._factor, self._x, self._line = factor, x, line[good]
        self._log_dx, self._log_q = log_dx, log_q
        self.beyond, self.ell = beyond[good], ell[good]
        self._weights: dict[tuple[int, bool], tuple[Vector, Vector]] = {}
        self.growth: Vector = np.where(self.beyond == 0.0, 0.0, degrees[good] * self.beyond)
        self._far = _Far(factor, x, log_dx, log_q, powers[good], self.beyond)
        self._total = float(scipy.special.logsumexp(log_q + log_dx))
        self.log_w: Vector = log_q + log_dx - self._total
        self.w: Vector = np.exp(self.log_w)
        self._integrate_kl()

    # Errors are computed where they are needed, as a step that is too large needs none.

    @cached_property
    @np.errstate(all="ignore")
    def ell_error(self) -> Vector:
        """Bounds on the rounding errors of l."""
        error = np.broadcast_to(self._factor.log_ratio_error(self._x), self._x.shape)
        return np.nan_to_num(error, nan=0.0, posinf=0.0)

    @cached_property
    @np.errstate(all="ignore")
    def w_error(self) -> Vector:
        """Bounds on the rounding errors of the weights' logarithms."""
        # A node is rounded, which moves the log density by its slope times this.
        x, log_q = self._x, self._log_q
        order, slope = np.argsort(x, kind="stable"), np.empty_like(x)  # pieces run either way
        slope[order] = np.gradient(log_q[order]) / _apart(x[order])
        moved = np.nan_to_num(np.abs(x * slope), nan=0.0, posinf=0.0) * (self.beyond == 0.0)
        of_q = self._factor.log_q_error(x)
        return np.asarray(of_q + EPS * (moved + np.abs(self._log_dx)))

    @cached_property
    @np.errstate(all="ignore")
    def _mirrored(self) -> tuple[Vector, Vector]:
        """l at the mirror images of the nodes, and bounds on its errors; made where needed."""
        factor, x = self._factor, self._x
        images = factor.mirror(x)
        ell = factor.log_ratio(images) + self._line
        error = np.nan_to_num(factor.log_ratio_error(images), nan=0.0, posinf=0.0)
        if not factor.symmetric:
            error = error + _moved_image(factor, x, images, self.log_w)
        # An image beyond float64 has no weight that counts.
        return np.where(np.isfinite(ell), ell, self.ell), error

    @property
    def image_error(self) -> Vector:
        """Bounds on the rounding errors of l at the mirror images."""
        return self._mirrored[1]

    @cached_property
    def even(self) -> Vector:
        """The mean of l and its value at the mirror image."""
        return np.asarray(0.5 * (self.ell + self._mirrored[0]))

    @cached_property
    def odd(self) -> Vector:
        """Half of l less its value at the mirror image."""
        return np.asarray(0.5 * (self.ell - self._mirrored[0]))

    def _integrate_kl(self) -> None:
        # Where r is large, w may underflow and r overflow, so w r is computed as p's weight.
        self._of_p = np.exp(self.log_tilted((-1.0, -1.0)))
        terms, self._slope = weighted_phi(self.w, self._of_p, self.ell)
        # Where l grows beyond float64, r is 0.
        grows = (self.growth > 0.0) & (self.ell >= ELL_OF_LARGE_RATIO)
        grown = np.exp(self.log_w + self.growth) * self.ell
        self._seen_terms: Vector = np.where(grows, grown, terms)
        self.kl_terms: Vector = self._seen_terms
        if self._bare:
            self.kl_terms = np.empty(self._seen.size)
            self.kl_terms[self._seen] = self._seen_terms
            self.kl_terms[~self._seen] = self._bare.terms
        self.kl: float = float(self.kl_terms.sum())

    @cached_property
    @np.errstate(all="ignore")
    def _errors_of_p(self) -> Vector:
        """Bounds on the rounding errors of the logarithms of p's weights."""
        far, error = self._far.nodes, self.w_error + self.ell_error
        error[far] = self._far.error(1)  # there p's weight does not depend on log q
        return error

    @cached_property
    def missed(self) -> float:
        """A bound on the shares of q's and p's mass that the nodes miss."""
        return self._missed(0.0, 0.0)

    @cached_property
    def missed_without_ratio(self) -> float:
        """The same bound for functions without r, to which p adds nothing where q is 0."""
        bare = self._bare
        return self._missed(float(bare.terms.sum()), bare.error) if bare else self.missed

    @np.errstate(all="ignore")
    def _missed(self, more: float, error: float) -> float:
        # p's weights add up to 1 as well, unless the nodes miss some of its mass. Those of q are
        # divided by their sum, which is an integral by the same rule.
        noise = float(self._of_p @ self._errors_of_p) + error + _NOISE
        return max(0.0, abs(float(self._of_p.sum()) + more - 1.0) - noise) + self.lost(self.w)

    @cached_property
    @np.errstate(all="ignore")
    def kl_error(self) -> float:
        """A bound on the error of `kl`."""
        far, error = self._far.nodes, self._errors_of_p
        rounding = self._seen_terms * (self.w_error + 4.0 * EPS) + self._slope * self.ell_error
        of_far = self._of_p[far] * (error[far] + 4.0 * EPS)
        rounding[far] = np.where(self.ell[far] < ELL_OF_LARGE_RATIO, of_far, rounding[far])
        share = self.missed_without_ratio + 2.0 * EPS
        lost = self._rule_of_kl.lost(self.kl_terms)
        more = self._unseen + (self._bare.error if self._bare else 0.0)
        return float(rounding.sum()) + lost + share * self.kl + more

    def left(self, terms: Vector) -> float:
        """A bound on what the rule leaves of an integral with these terms, less with more nodes."""
        return self._rule.left(terms)

    @cached_property
    def left_of_kl(self) -> float:
        """The same for KL."""
        return self._rule_of_kl.left(self.kl_terms)

    def cut_off(self, terms: Vector) -> float:
        """A bound on the terms that would follow the outermost ones, where l is beyond float64."""
        return self._rule.cut_off(terms)

    def lost(self, terms: Vector) -> float:
        """A bound on what is missing in the sum of the terms."""
        return self._rule.lost(terms)

    @cached_property
    @np.errstate(all="ignore")
    def _without_image(self) -> NDArray[np.intp]:
        """The nodes beyond which there is too little mass to know their mirror images."""
        if self._factor.symmetric:
            return np.empty(0, np.intp)
        order = np.argsort(self._x, kind="stable")
        below = np.logaddexp.accumulate(self.log_w[order])
        above = np.logaddexp.accumulate(self.log_w[order[::-1]])[::-1]
        return order[np.minimum(below, above) < _LEAST_LOG_TAIL]

    def left_by_images(self, terms: Vector) -> float:
        """A bound on what an integral of a function of pairs lacks where images are not known.

        A pair counts at each of its points, and at the one of them it is right to some extent.
        """
        return 4.0 * float(np.abs(terms[self._without_image]).sum())

    def exponent(self, tilt: Tilt) -> Vector:
        """T E + S L at the nodes, where E is the even part of l and L the odd part."""
        T, S = tilt
        return np.asarray(T * self.ell if T == S else T * self.even + S * self.odd)

    def log_tilted(self, tilt: Tilt) -> Vector:
        """The logarithms of the weights times the exponential of a tilt."""
        out = np.asarray(self.log_w + self.exponent(tilt))
        out[self._far.nodes] = self._far.log_tilted(tilt) - self._total
        return out

    @cached_property
    def _log_mean_ratio(self) -> Vector:
        return np.asarray(np.logaddexp(-self.ell, self.odd - self.even) - math.log(2.0))

    def log_ratio(self, paired: bool) -> Vector:
        """log r, or the logarithm of r's mean over an antithetic pair."""
        return self._log_mean_ratio if paired else np.asarray(-self.ell)

    def weights(self, power: int, paired: bool) -> tuple[Vector, Vector]:
        """The logarithms of the weights, times r^power where r is large, and their errors."""
        if not power:
            return self.log_w, self.w_error
        if (power, paired) not in self._weights:
            self._weights[power, paired] = self._weights_of(power, paired)
        return self._weights[power, paired]

    def _weights_of(self, power: int, paired: bool) -> tuple[Vector, Vector]:
        log_ratio = self.log_ratio(paired)
        large = log_ratio > LARGE
        of_ratio = np.maximum(self.ell_error, self.image_error) if paired else self.ell_error
        log_w = np.where(large, self._with_ratio(power, log_ratio, paired), self.log_w)
        error = self.w_error + np.where(large, power * of_ratio, 0.0)
        error[self._far.nodes] = np.where(
            large[self._far.nodes], self._far.error(power), error[self._far.nodes]
        )
        return log_w, error

    def _with_ratio(self, power: int, log_ratio: Vector, paired: bool) -> Vector:
        if not paired:
            return self.log_tilted((-power, -power))
        # The larger of r and r' times a factor between 1/2 and 1, which is due to the other.
        both = [self.log_tilted((-power, sign * power)) for sign in (-1, 1)]
        lead = np.where(self.odd <= 0.0, both[0], both[1])
        return np.asarray(lead + power * (log_ratio - np.abs(self.odd) + self.even))


class _UsedNodes:
    """What is missing in integrals over some of the nodes of a rule.

    coarse    that of all nodes
    used      which nodes are used
    outwards  how many of the nodes at the beginning run outwards
    """

    def __init__(self, coarse: Vector, used: NDArray[np.bool_], outwards: int) -> None:
        self._halvings = Halvings.of(coarse[used])
        first = max(int(np.count_nonzero(used[:outwards])), 2)
        self._outermost = [[first - 1, first - 2] if outwards else [0, 1], [-1, -2]]

    def left(self, terms: Vector) -> float:
        """`Grid.left`."""
        return left(terms, self._halvings)

    def cut_off(self, terms: Vector) -> float:
        """`Grid.cut_off`.

        The terms fall at least as fast as these, since the nodes are ever farther apart.
        """
        cut_off = 0.0
        for outermost in self._outermost:
            last, before = np.abs(terms.take(outermost)).tolist()
            if last < before:
                cut_off += last * last / (before - last)
            elif last > _NO_TERM * float(np.abs(terms).sum()):
                return math.inf
        return cut_off

    def lost(self, terms: Vector) -> float:
        """Both together."""
        return self.left(terms) + self.cut_off(terms)


class _Bare:
    """The nodes at which log q is below float64, so that KL's integrand is p.

    terms  p's weights
    error  a bound on the error of their sum
    """

    @np.errstate(all="ignore")
    def __init__(self, factor: DensityPair, x: Vector, log_dx: Vector, log_of_p: Vector) -> None:
        self.terms: Vector = np.exp(log_of_p)
        # A node is rounded, which moves log p by its slope times this.
        step = 2.0**-20
        moved = np.abs(factor.log_p(x * (1.0 + step)) - factor.log_p(x)) / step
        moved = np.nan_to_num(moved, nan=0.0, posinf=0.0)
        share = factor.log_p_error(x) + EPS * (4.0 + moved + np.abs(log_dx))
        self.error: float = float(self.terms @ share)


def _nodes(
    low: float, high: float, per_unit: int, reach: tuple[float, float], smooth_width: float
) -> Nodes:
    """The nodes between two edges, for densities that change over `smooth_width` or more."""
    doublings = clenshaw_curtis.doublings(high - low, smooth_width)
    if doublings is None:
        # Beside many short pieces the nodes of the few others take no time.
        fine = per_unit * 2 if smooth_width else per_unit
        return double_exponential.nodes(low, high, fine, reach)
    return clenshaw_curtis.short_nodes(low, high, per_unit * 2**doublings)


def edges_of(factor: DensityPair, mirrored: bool) -> list[float]:
    """The ends of the support and the breakpoints, with the peaks of p^k / q^(k - 1).

    mirrored  Whether their mirror images are among them.
    """
    low, high = factor.support

    def within(points: Iterable[float]) -> set[float]:
        return {x for x in points if low + _LEAST < x < high - _LEAST}

    with np.errstate(all="ignore"):
        inner = within(factor.breakpoints(mirrored))
        edges = sorted({low, *inner, high})
        width = 0.0 if mirrored else factor.smooth_width
        # On short pieces of smooth densities no peak is too narrow for the nodes.
        pieces = [
            double_exponential.nodes(a, b, 8, (REACH, REACH)).x
            for a, b in itertools.pairwise(edges)
            if clenshaw_curtis.doublings(b - a, width) is None
        ]
        x = np.unique(np.concatenate(pieces))
        log_q, ell = factor.log_q(x), factor.log_ratio(x)
        peaks: set[float] = set()
        for k in _PEAKS:
            f = np.where(log_q > -_LOST, log_q - k * ell, math.nan)
            # Where it is flat, rounding makes peaks that are none.
            stands_out = (
                2.0 * f[1:-1] - f[:-2] - f[2:]
                > _ROUGH * EPS * (np.abs(log_q) + k * np.abs(ell))[1:-1]
            )
            rises = (f[1:-1] > f[:-2]) & (f[1:-1] >= f[2:]) & stands_out & np.isfinite(f[1:-1])
            i = np.flatnonzero(rises) + 1
            found = _refined(factor, k, x[i - 1], x[i + 1])
            for peak, width in zip(*(column.tolist() for column in found), strict=True):
                near = [y for y in (*inner, *peaks) if abs(y - peak) <= 0.5 * width]
                if not near and math.isfinite(peak):
                    peaks.add(peak)
        if peaks and mirrored:
            peaks |= {float(y) for y in factor.mirror(np.array(sorted(peaks)))}
    return sorted({*edges, *within(peaks)})


def _refined(factor: DensityPair, k: int, low: Vector, high: Vector) -> tuple[Vector, Vector]:
    """Where p^k / q^(k - 1) peaks between points, and the peaks' standard deviations."""

    def f(x: Vector) -> Vector:
        return np.asarray(factor.log_q(x) - k * factor.log_ratio(x))

    peak, rows = 0.5 * (low + high), np.arange(low.size)
    for _ in range(6):
        x = np.linspace(low, high, 17, axis=-1)
        j = np.clip(np.nanargmax(f(x), axis=-1), 1, 15)
        low, peak, high = (x[rows, j + step] for step in (-1, 0, 1))
    step = np.maximum(1e-4 * np.abs(peak), high - low)
    below, middle, above = f(np.stack((peak - step, peak, peak + step)))
    bend = (2.0 * middle - below - above) / (step * step)
    return peak, np.where(bend > 0.0, 1.0 / np.sqrt(bend), step)


def _reach(factor: DensityPair, end: int) -> float:
    """How far in log x the nodes go at an end of the support."""
    q, p = factor.tails[end]
    if not (q.is_power or p.is_power):
        return REACH
    slowest = (q if q.is_power else p).power - 1.0
    for u, order in itertools.product((-4.0, -3.0, -2.0, -1.0, 0.0), range(5)):
        straight = q.is_power and (p.is_power or u == 0.0)
        if straight and ends.is_finite(q, p, u, order):
            grows = order * ends.degree(q, p) if order else 0.0
            net = (1.0 + u) * q.power - u * p.power - grows - 1.0
            slowest = min(slowest, net)
    return max(REACH, _DROPS / max(slowest, 1e-12))


def _apart(x: Vector) -> Vector:
    """The distances between neighbouring nodes, inf for equal ones."""
    apart = np.abs(np.gradient(x))
    return np.where(apart > 0.0, apart, np.inf)


def _moved_image(factor: DensityPair, x: Vector, image: Vector, log_w: Vector) -> Vector:
    """How far l may move as mirror images move by the rounding of their probabilities.

    Between peaks that are far apart a small change of a probability is a large one of the point.
    """
    order = np.argsort(x)
    w = np.exp(log_w[order] - log_w.max())
    tail = np.empty_like(w)
    tail[order] = np.minimum(np.cumsum(w), np.cumsum(w[::-1])[::-1]) / w.sum()
    step = 8.0 * EPS * tail * np.exp(-factor.log_q(image))
    low, high = factor.support
    ell = factor.log_ratio(image)
    ends = (np.maximum(image - step, low), np.minimum(image + step, high))
    moved = [np.nan_to_num(np.abs(factor.log_ratio(y) - ell), posinf=0.0) for y in ends]
    return np.asarray(np.maximum(*moved))


class _Far:
    """The nodes at which q is so small that log q + T E + S L may have lost all digits.

    There the coefficients of log q are added up before they multiply it.
    """

    def __init__(
        self, factor: DensityPair, x: Vector, log_dx: Vector, log_q: Vector, powers: Vector,
        beyond: Vector,
    ) -> None:  # fmt: skip
        self.nodes = np.flatnonzero(log_q < _FAR)
        x, powers = x[self.nodes], powers[self.nodes]
        self._factor, self._x = factor, x
        self._log_q, self._log_dx = log_q[self.nodes], log_dx[self.nodes]
        self._straight = (powers * beyond[self.nodes, None]).T
        self._log_p = factor.log_p(x) - self._straight[1]

    @cached_property
    @np.errstate(all="ignore")
    def _errors(self) -> tuple[Vector, Vector]:
        return self._factor.log_q_error(self._x), self._factor.log_p_error(self._x)

    @cached_property
    def _image(self) -> tuple[Vector, Vector]:
        """log p at the mirror images, and by how much log q is larger there."""
        image, (of_q, of_p) = self._factor.mirror(self._x), self._straight
        apart = self._factor.log_q(image) - of_q - self._log_q
        # For a symmetric q this difference is only rounding.
        apart = np.where(np.abs(apart) < 1e-9 * np.abs(self._log_q), 0.0, apart)
        return self._factor.log_p(image) - of_p, apart

    def log_tilted(self, tilt: Tilt) -> Vector:
        u, v = of_both(tilt)
        whole = 1.0 + u + v if abs(1.0 + u + v) > 1e-12 else 0.0
        # Both logarithms of p may be far larger than all else, and cancel.
        of_p = -u * self._log_p
        if v:
            log_p, apart = self._image
            of_p = of_p + v * (apart - log_p)
        return np.asarray(self._log_dx + whole * self._log_q + of_p)

    def error(self, power: int) -> Vector:
        """The error of the log weights times r^power."""
        of_q, of_p = self._errors
        return np.asarray(abs(power - 1) * of_q + power * of_p)


def of_both(tilt: Tilt) -> tuple[float, float]:
    """The coefficients of l and of its mirror image in the exponent T E + S L."""
    return 0.5 * (tilt[0] + tilt[1]), 0.5 * (tilt[0] - tilt[1])
