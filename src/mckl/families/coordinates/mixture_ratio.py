"""The log density ratio of two mixtures, component by component, with a bound on its error.

Each component c of q, of weight w, is matched with an equal or similar component d of p, of weight
v. With the shares s = v d / p and t = log(w c) - log(v d), which keeps its digits for similar
components,

    q / p - 1 = sum over pairs of s (e^t - 1) + sum over other c of w c / p - sum over other d of s.

No term is large where q is near p. Where q / p is far from 1, l is the logarithm of the sum over
pairs of s e^t and over other c of w c / p. A law that is no mixture has a single component.

Components of one kind are evaluated as one law with arrays of locations and scales.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact.moments import EPS
from mckl.exact.remainders import log_quotient
from mckl.families.coordinates.mixture_window import LEFT_OUT, in_windows
from mckl.families.coordinates.univariate import Univariate

_FEW = 16  # components; of at most as many, each is matched
_SIMILAR = 0.125  # the distance up to which one of many components is matched
_STACKED = ("location", "scale", "rate")  # fields of laws in which components of a kind may differ

Evaluated = Callable[[Univariate, Vector], Vector]


class _Alike(NamedTuple):
    """Components of one kind as one law, whose parameters have shape (components, 1, columns)."""

    law: Univariate
    members: NDArray[np.intp]


class Weighted:
    """Components and their weights, which are divided by their sum.

    x is one number or, where the components' locations or scales are arrays, as many numbers as
    these have, the columns.
    """

    def __init__(self, weights: Sequence[float], components: Sequence[Univariate]) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        self.components = components
        self.total = math.fsum(weights)

    @cached_property
    def log_weights(self) -> Vector:
        """Logarithms of the weights, shape (components, 1, 1)."""
        return np.log(self.weights / self.total)[:, None, None]

    @cached_property
    def columns(self) -> int:
        fields = (getattr(c, name) for c in self.components for name in ("location", "scale"))
        return max((int(np.size(field)) for field in fields), default=1)

    @cached_property
    def _stacks(self) -> list[_Alike]:
        groups = _groups(map(_kind, self.components))
        return [
            _Alike(_stacked([self.components[i] for i in members], self.columns), members)
            for members in groups
        ]

    def each(self, evaluated: Evaluated, x: Vector) -> Vector:
        """A function of each component at x, shape (components, *x.shape)."""
        if len(self._stacks) == 1:
            return _broad(evaluated(self._stacks[0].law, x), len(self.components), x)
        out = np.empty((len(self.components), *x.shape))
        for law, members in self._stacks:
            out[members] = evaluated(law, x)
        return out

    def quantile(self, chosen: NDArray[np.intp], u: Vector) -> Vector:
        """The quantiles of u, each of one component."""
        if len(self._stacks) == 1:
            return _member(self._stacks[0].law, chosen).quantile(u)
        out, within = np.empty(u.shape), np.empty(len(self.components), dtype=np.intp)
        for law, members in self._stacks:
            within[members] = np.arange(members.size)
            some = np.isin(chosen, members)
            out[some] = _member(law, within[chosen[some]]).quantile(u[some])
        return out

    def log_parts(self, x: Vector) -> Vector:
        """The logarithms of the weighted densities, shape (components, *x.shape)."""
        return self.log_weights + self.each(_log_density, x)

    @property
    def count(self) -> int:
        return len(self.components)

    @cached_property
    def peaked(self) -> bool:
        return self.columns == 1 and all(c.smooth for c in self.components)

    def within(self, low: Vector, high: Vector) -> Iterator[Weighted]:
        return map(self.part, self.matter(low, high))

    def matter(self, low: Vector, high: Vector) -> NDArray[np.bool_]:
        """Whether components matter in windows, shape (windows, components); they are `peaked`.

        Those that do not are together less than `LEFT_OUT` of the sum of all.
        """
        least = np.minimum(self.log_parts(low), self.log_parts(high)).max(axis=0)
        nearest = self.each(lambda law, _: law.log_density(np.clip(law.location, low, high)), low)
        most = self.log_weights + nearest
        # Rounding is far less than this share of the larger logarithm.
        negligible = math.log(LEFT_OUT / self.count) - 1e-12 * np.abs(least)
        return np.asarray(~(most < least + negligible)[..., 0].T)

    def part(self, chosen: NDArray[np.bool_]) -> Weighted:
        """The chosen components, whose weights are as they were."""
        out, position = copy.copy(self), np.cumsum(chosen) - 1
        out.components = [*itertools.compress(self.components, chosen.tolist())]
        out.weights, out.log_weights = self.weights[chosen], self.log_weights[chosen]
        out._stacks = [
            _Alike(_some(law, chosen[members]), position[members[chosen[members]]])
            for law, members in self._stacks
            if chosen[members].any()
        ]
        return out


class _Parts(NamedTuple):
    """What two mixtures' components are at points x; arrays of shape (components, *x.shape).

    log_shares, shares  Those of p's components.
    logs                log(w c / p) of q's components: of those with a partner, then of the others.
    t                   t of the pairs.
    gains               The terms of q / p - 1: pairs, others of q, others of p.
    """

    log_shares: Vector
    shares: Vector
    logs: Vector
    t: Vector
    gains: tuple[Vector, Vector, Vector]


class Ratio:
    """The log density ratio of two mixtures, whose components are matched once."""

    def __init__(self, q: Weighted, p: Weighted) -> None:
        self.q, self.p = q, p
        self.columns: int = max(q.columns, p.columns)
        self.peaked: bool = self.columns == 1 and q.peaked and p.peaked
        ours, theirs = _partners(q.components, p.components)
        pairs = list(zip(ours.tolist(), theirs.tolist(), strict=True))
        kinds = [(_kind(q.components[i]), _kind(p.components[j])) for i, j in pairs]
        self._pairs = [
            (
                _stacked([q.components[ours[k]] for k in members], self.columns),
                _stacked([p.components[theirs[k]] for k in members], self.columns),
                members,
            )
            for members in _groups(kinds)
        ]
        self._ours, self._theirs = ours, theirs
        self._of_only_q = only_q = np.setdiff1d(np.arange(len(q.components)), ours)
        self._only_p = np.setdiff1d(np.arange(len(p.components)), theirs)
        self._only_q = Weighted(q.weights[only_q].tolist(), [q.components[i] for i in only_q])
        self._log_only_q = q.log_weights[only_q]
        # The weights' sums may differ by less than a rounding of either.
        log_totals = math.log1p(math.fsum((*p.weights, *(-w for w in q.weights))) / q.total)
        of_weights = log_quotient(q.weights[ours], p.weights[theirs])
        self._of_weights, self._log_weights = (
            np.reshape(y, (-1, 1, 1)) for y in (of_weights, of_weights + log_totals)
        )

    def log_ratio(self, x: Vector) -> Vector:
        """log q - log p at x."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return in_windows(self, lambda part, y: _value(part._parts(y))[0], np.asarray(x))

    def log_ratio_error(self, x: Vector) -> Vector:
        """A bound on the rounding error of `log_ratio`."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return in_windows(self, Ratio._error, np.asarray(x)) + 2.0 * LEFT_OUT

    @property
    def count(self) -> int:
        return self.p.count + len(self._theirs) + self._only_q.count

    def within(self, low: Vector, high: Vector) -> Iterator[Ratio]:
        return map(self._part, self.q.matter(low, high), self.p.matter(low, high))

    def _part(self, of_q: NDArray[np.bool_], of_p: NDArray[np.bool_]) -> Ratio:
        """The ratio with these components and their partners."""
        pairs = of_q[self._ours] | of_p[self._theirs]
        of_p = of_p.copy()
        of_p[self._theirs[pairs]] = True
        only_q, only_p = of_q[self._of_only_q], self._only_p[of_p[self._only_p]]
        place, position = np.cumsum(of_p) - 1, np.cumsum(pairs) - 1
        out = copy.copy(self)
        out.p, out._only_q = self.p.part(of_p), self._only_q.part(only_q)
        out._theirs, out._only_p = place[self._theirs[pairs]], place[only_p]
        out._pairs = [
            (_some(c, kept), _some(d, kept), position[members[kept]])
            for c, d, members in self._pairs
            if (kept := pairs[members]).any()
        ]
        out._log_only_q = self._log_only_q[only_q]
        out._of_weights, out._log_weights = self._of_weights[pairs], self._log_weights[pairs]
        return out

    def _of_pairs(self, function: Callable[[Univariate, Univariate], Vector], x: Vector) -> Vector:
        """A function of each pair's laws at x."""
        out = np.empty((len(self._theirs), *x.shape))
        for c, d, members in self._pairs:
            out[members] = function(c, d)
        return out

    def _parts(self, x: Vector) -> _Parts:
        logs = self.p.log_parts(x)
        top, log_sum, _ = log_sum_terms(logs)
        log_p = top + log_sum
        log_shares = logs - log_p
        shares = np.exp(log_shares)
        t = self._log_weights + self._of_pairs(lambda c, d: c.log_ratio(d, x), x)
        log, share, near = log_shares[self._theirs] + t, shares[self._theirs], np.abs(t) < 0.5
        of_pairs = share * np.expm1(np.where(near, t, 0.0))
        if not near.all():
            of_pairs = np.where(near, of_pairs, np.exp(log) - share)
        only_q = np.empty((0, *x.shape))
        if self._only_q.components:
            only_q = self._log_only_q + self._only_q.each(_log_density, x) - log_p
        gains = of_pairs, np.exp(only_q), -shares[self._only_p]
        return _Parts(log_shares, shares, np.concatenate((log, only_q)), t, gains)

    def _error(self, x: Vector) -> Vector:
        parts = self._parts(x)
        ell, near, gain = _value(parts)
        pairs, log_shares, shares = len(parts.t), parts.log_shares, parts.shares
        errors = self.p.each(_log_density_error, x)
        mean_error = weighed(shares, errors).sum(axis=0)
        # Where a share is nearly 1, its own error cancels.
        share_errors = mean_error + (1.0 - 2.0 * shares) * errors
        share_errors += EPS * (4.0 + np.abs(log_shares))
        t_errors = self._of_pairs(lambda c, d: c.log_ratio_error(d, x), x)
        t_errors += EPS * (np.abs(parts.t) + 3.0 * np.abs(self._of_weights))
        log, log_only = parts.logs[:pairs], parts.logs[pairs:]
        only_errors = np.empty((0, *x.shape))
        if len(log_only):
            only_errors = self._only_q.each(_log_density_error, x) + mean_error
            only_errors += EPS * (4.0 + 2.0 * np.abs(log_only))
        of_pairs, of_others, _ = parts.gains
        paired = share_errors[self._theirs]
        far = np.where(np.abs(parts.t) < 0.5, 0.0, 4.0 * EPS * shares[self._theirs])
        of_gain = weighed(np.abs(of_pairs), paired) + weighed(np.exp(log), t_errors) + far
        of_gain = of_gain.sum(axis=0)
        of_gain += weighed(of_others, only_errors).sum(axis=0)
        of_gain += weighed(shares[self._only_p], share_errors[self._only_p]).sum(axis=0)
        error = of_gain / (1.0 + gain)
        if not near.all():
            each = np.concatenate((paired + t_errors + EPS * np.abs(log), only_errors))
            of_log = weighed(np.exp(parts.logs - ell), each).sum(axis=0)
            error = np.where(near, error, of_log + 2.0 * EPS)
        return np.asarray(error + 2.0 * EPS * np.abs(ell))


def _value(parts: _Parts) -> tuple[Vector, Vector, Vector]:
    """l, where it is the logarithm of 1 + gain, and the gain there, else 0."""
    gain = np.asarray(sum(part.sum(axis=0) for part in parts.gains))
    near = np.abs(gain) < 0.5
    gain = np.where(near, gain, 0.0)
    out = np.log1p(gain)
    if not near.all():
        top, log_sum, _ = log_sum_terms(parts.logs)
        out = np.where(near, out, top + log_sum)
    return out, near, gain


def log_sum_terms(logs: Vector) -> tuple[Vector, Vector, Vector]:
    """The two terms of the log of a sum of exponentials over axis 0, and each over the largest."""
    top = np.maximum(logs.max(axis=0), -np.finfo(np.float64).max)
    powers = np.exp(logs - top)
    return top, np.log(powers.sum(axis=0)), powers


def weighed(weight: Vector, error: Vector) -> Vector:
    """weight error, which is 0 where the weight is 0 and the error infinite."""
    return np.asarray(weight * np.where(weight == 0.0, 0.0, error))


def _log_density(law: Univariate, x: Vector) -> Vector:
    return law.log_density(x)


def _log_density_error(law: Univariate, x: Vector) -> Vector:
    return law.log_density_error(x)


def _broad(values: Vector, components: int, x: Vector) -> Vector:
    """Values of each component, though they may be the same for all."""
    return np.broadcast_to(values, (components, *x.shape))


def _kind(law: Univariate) -> Hashable:
    """What laws must have in common to be evaluated as one: all but locations, scales and rates."""
    fields: Any = dataclasses.fields(cast(Any, law))
    return type(law), law.kind, *(_stackable(f.name, getattr(law, f.name)) for f in fields)


def _stackable(name: str, value: Any) -> Hashable:
    """True if the value of a field may differ; else the value itself.

    A `Wide` number would lose digits in an array.
    """
    return (name in _STACKED and type(value) in (float, np.float64, np.ndarray)) or value


def _groups(kinds: Iterable[Hashable]) -> list[NDArray[np.intp]]:
    """The positions of each kind."""
    members: dict[Hashable, list[int]] = {}
    for i, kind in enumerate(kinds):
        members.setdefault(kind, []).append(i)
    return [np.array(group) for group in members.values()]


def _stacked(laws: Sequence[Univariate], columns: int) -> Univariate:
    """Laws of one kind as one, whose fields have shape (laws, 1, columns) or (laws, 1, 1)."""
    if len(laws) == 1 and columns == 1:
        return laws[0]
    first: Any = laws[0]
    names = {field.name for field in dataclasses.fields(first)} & {*_STACKED}
    fields: dict[str, Vector] = {}
    for name in names:
        given = [getattr(law, name) for law in laws]
        if given[0] is not None:
            wide = np.broadcast_arrays(*map(np.atleast_1d, given))
            fields[name] = np.stack(wide)[:, None, :]
    return cast(Univariate, dataclasses.replace(first, **fields))


def _some(stack: Univariate, chosen: NDArray[np.bool_]) -> Univariate:
    """The chosen laws of a stack of one column, as one law."""
    if chosen.all():
        return stack
    first: Any = stack
    names = {field.name for field in dataclasses.fields(first)} & {*_STACKED}
    fields = {name: getattr(stack, name)[chosen] for name in names if np.ndim(getattr(stack, name))}
    return cast(Univariate, dataclasses.replace(first, **fields))


def _member(stack: Univariate, chosen: NDArray[np.intp]) -> Univariate:
    """The laws of a stack with these numbers, of one column, as one law."""
    first: Any = stack
    names = {field.name for field in dataclasses.fields(first)} & {*_STACKED}
    fields = {name: getattr(stack, name) for name in names}
    fields = {name: np.ravel(x).take(chosen) for name, x in fields.items() if np.size(x) > 1}
    return cast(Univariate, dataclasses.replace(first, **fields)) if fields else stack


def _partners(
    q: Sequence[Univariate], p: Sequence[Univariate]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The components of q and of p that are matched: the nearest first, each with one at most."""
    types, kinds = [type(d) for d in p], np.array([d.kind for d in p])
    centres, scales = _centres(p), _scales(p)
    apart, other = np.empty((len(q), len(p))), np.empty((len(q), len(p)), bool)
    for i, (c, centre, scale) in enumerate(zip(q, _centres(q), _scales(q), strict=True)):
        far = np.abs(centre - centres) / (scale + scales) + np.abs(np.log(scale / scales))
        apart[i] = far.max(axis=-1) + (kinds != c.kind) * 1e-300
        other[i] = [of_d is not type(c) for of_d in types]
    distant = (apart > _SIMILAR) & (max(apart.shape) > _FEW)
    most = min(len(q), len(p))
    free = [np.ones(len(q), bool), np.ones(len(p), bool)]
    out: list[tuple[int, int]] = []
    near = np.flatnonzero(~distant)
    for k in near[np.lexsort((apart.ravel()[near], other.ravel()[near]))].tolist():
        i, j = divmod(k, len(p))
        if free[0][i] and free[1][j]:
            free[0][i] = free[1][j] = False
            out.append((i, j))
            if len(out) == most:
                break
    pairs = np.array(out, dtype=np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _centres(laws: Sequence[Univariate]) -> Vector:
    """Where each law peaks, shape (laws, columns)."""
    # A density without a peak or a kink has no breakpoints.
    places = ((law.breakpoints or (law.centre,))[0] for law in laws)
    return np.stack(np.broadcast_arrays(*map(np.atleast_1d, places)))


def _scales(laws: Sequence[Univariate]) -> Vector:
    return np.stack(np.broadcast_arrays(*(np.atleast_1d(law.scale) for law in laws)))
