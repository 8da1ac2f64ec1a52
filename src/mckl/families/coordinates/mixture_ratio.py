"""The log density ratio of two mixtures, component by component, with a bound on its error.

Each component c of q, of weight w, is matched with an equal or similar component d of p, of weight
v. With the shares s = v d / p and t = log(w c) - log(v d), which keeps its digits for similar
components,

    q / p - 1 = sum over pairs of s (e^t - 1) + sum over other c of w c / p - sum over other d of s.

No term is large where q is near p. Where q / p is far from 1, l is the logarithm of the sum over
pairs of s e^t and over other c of w c / p. A law that is no mixture has a single component.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.exact.moments import EPS
from mckl.exact.remainders import log_quotient
from mckl.families.coordinates.univariate import Univariate


class Weighted(NamedTuple):
    """Components and their weights, which are divided by their sum."""

    weights: tuple[float, ...]
    components: tuple[Univariate, ...]

    @property
    def total(self) -> float:
        return math.fsum(self.weights)


class _Parts(NamedTuple):
    """What two mixtures' components are at points x.

    log_shares, shares
        Those of p's components, in their order.
    pairs
        For each pair the numbers of the components in q and in p, log(w c / p) and t.
    only_q
        For each component of q without a partner its number and log(w c / p).
    only_p
        The numbers of p's components without a partner.
    gains
        The terms of q / p - 1, in the order of these three.
    """

    log_shares: list[Vector]
    shares: list[Vector]
    pairs: list[tuple[int, int, Vector, Vector]]
    only_q: list[tuple[int, Vector]]
    only_p: list[int]
    gains: list[Vector]

    @property
    def logs(self) -> list[Vector]:
        return [log for *_, log, _ in self.pairs] + [log for _, log in self.only_q]


def log_ratio(q: Weighted, p: Weighted, x: Vector) -> Vector:
    """log q - log p at x."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _value(_parts(q, p, x))[0]


def _value(parts: _Parts) -> tuple[Vector, Vector, Vector]:
    """l, where it is the logarithm of 1 + gain, and the gain there, else 0."""
    gain = np.asarray(sum(parts.gains))
    near = np.abs(gain) < 0.5
    gain = np.where(near, gain, 0.0)
    out = np.log1p(gain)
    if not near.all():
        out = np.where(near, out, _log_sum(parts.logs))
    return out, near, gain


def weighed(weight: Vector, error: Vector) -> Vector:
    """weight error, which is 0 where the weight is 0 and the error infinite."""
    return np.asarray(weight * np.where(weight == 0.0, 0.0, error))


def log_ratio_error(q: Weighted, p: Weighted, x: Vector) -> Vector:
    """A bound on the rounding error of `log_ratio`."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        parts = _parts(q, p, x)
        ell, near, gain = _value(parts)
        errors = [d.log_density_error(x) for d in p.components]
        both = zip(parts.shares, errors, strict=True)
        mean_error = np.asarray(sum(weighed(share, error) for share, error in both))
        # Where a share is nearly 1, its own error cancels.
        share_errors = [
            mean_error + (1.0 - 2.0 * share) * error + EPS * (4.0 + np.abs(log))
            for share, error, log in zip(parts.shares, errors, parts.log_shares, strict=True)
        ]
        of_gain, of_log = np.zeros_like(ell), np.zeros_like(ell)
        gains = iter(parts.gains)
        for i, j, log, t in parts.pairs:
            c, d = q.components[i], p.components[j]
            of_weights = log_quotient(q.weights[i], p.weights[j])
            t_error = c.log_ratio_error(d, x) + EPS * (np.abs(t) + 3.0 * abs(of_weights))
            far = np.where(np.abs(t) < 0.5, 0.0, 4.0 * EPS * parts.shares[j])
            of_gain += weighed(np.abs(next(gains)), share_errors[j])
            of_gain += weighed(np.exp(log), t_error) + far
            of_log += weighed(np.exp(log - ell), share_errors[j] + t_error + EPS * np.abs(log))
        for i, log in parts.only_q:
            error = q.components[i].log_density_error(x) + mean_error
            error += EPS * (4.0 + 2.0 * np.abs(log))
            of_gain += weighed(next(gains), error)
            of_log += weighed(np.exp(log - ell), error)
        for j in parts.only_p:
            of_gain += weighed(parts.shares[j], share_errors[j])
        error = np.where(near, of_gain / (1.0 + gain), of_log + 2.0 * EPS)
        return np.asarray(error + 2.0 * EPS * np.abs(ell))


def _parts(q: Weighted, p: Weighted, x: Vector) -> _Parts:
    logs = [math.log(v / p.total) + d.log_density(x) for v, d in zip(*p, strict=True)]
    log_p = _log_sum(logs)
    log_shares = [log - log_p for log in logs]
    shares = [np.exp(log) for log in log_shares]
    partners = _partners(q.components, p.components)
    # The weights' sums may differ by less than a rounding of either.
    log_totals = math.log1p(math.fsum((*p.weights, *(-w for w in q.weights))) / q.total)
    pairs, gains = [], []
    for i, j in partners.items():
        of_weights = log_quotient(q.weights[i], p.weights[j]) + log_totals
        t = of_weights + q.components[i].log_ratio(p.components[j], x)
        log, near = log_shares[j] + t, np.abs(t) < 0.5
        gain = shares[j] * np.expm1(np.where(near, t, 0.0))
        gains.append(gain if near.all() else np.where(near, gain, np.exp(log) - shares[j]))
        pairs.append((i, j, log, t))
    only_q = [
        (i, math.log(w / q.total) + c.log_density(x) - log_p)
        for i, (w, c) in enumerate(zip(*q, strict=True))
        if i not in partners
    ]
    only_p = sorted({*range(len(shares))} - {*partners.values()})
    gains += [*(np.exp(log) for _, log in only_q), *(-shares[j] for j in only_p)]
    return _Parts(log_shares, shares, pairs, only_q, only_p, gains)


def _log_sum(logs: Sequence[Vector]) -> Vector:
    """The logarithm of the sum of exponentials."""
    if len(logs) == 1:
        return logs[0]
    top = np.maximum(np.max(logs, axis=0), -np.finfo(np.float64).max)
    return np.asarray(top + np.log(sum(np.exp(log - top) for log in logs)))


def _partners(q: Sequence[Univariate], p: Sequence[Univariate]) -> dict[int, int]:
    """The component of p that each component of q is matched with, if any: the nearest first."""
    out: dict[int, int] = {}
    pairs = itertools.product(range(len(q)), range(len(p)))
    for i, j in sorted(pairs, key=lambda ij: _distance(q[ij[0]], p[ij[1]])):
        if i not in out and j not in out.values():
            out[i] = j
    return out


def _distance(c: Univariate, d: Univariate) -> tuple[bool, float]:
    """First of all whether they are of different families, then how far apart they are."""
    # A density without a peak or a kink has no breakpoints.
    places = [np.asarray((law.breakpoints or (law.centre,))[0]) for law in (c, d)]
    apart = np.abs(places[0] - places[1]) / (c.scale + d.scale)
    apart = apart + np.abs(np.log(c.scale / d.scale)) + (c.kind != d.kind) * 1e-300
    return type(c) is not type(d), float(np.max(apart))
