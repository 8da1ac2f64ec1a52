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
import scipy

from mckl.arrays import Vector
from mckl.exact.moments import EPS
from mckl.families.gamma_function import log_quotient
from mckl.families.univariate import Univariate


class Weighted(NamedTuple):
    """Components and their weights, which are divided by their sum."""

    weights: tuple[float, ...]
    components: tuple[Univariate, ...]

    @property
    def total(self) -> float:
        return math.fsum(self.weights)


class _Part(NamedTuple):
    """A term of q / p - 1, and what it adds to q / p as a logarithm; bounds on both errors."""

    gain: Vector
    gain_error: Vector
    log: Vector
    log_error: Vector


def log_ratio(q: Weighted, p: Weighted, x: Vector) -> tuple[Vector, Vector]:
    """log q - log p at x, and a bound on its rounding error."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        parts = _parts(q, p, x)
        gain, bound = (sum(of) for of in ([y.gain for y in parts], [y.gain_error for y in parts]))
        near = np.abs(gain) < 0.5
        gain = np.where(near, gain, 0.0)
        small = np.log1p(gain)
        large = scipy.special.logsumexp([part.log for part in parts], axis=0)
        errors = [np.exp(part.log - large) * part.log_error for part in parts]
        of_small = bound / (1.0 + gain) + 2.0 * EPS * np.abs(small)
        of_large = sum(errors) + 2.0 * EPS * (1.0 + np.abs(large))
    return np.where(near, small, large), np.where(near, of_small, of_large)


def _parts(q: Weighted, p: Weighted, x: Vector) -> list[_Part]:
    logs = [math.log(v / p.total) + d.log_density(x) for v, d in zip(*p, strict=True)]
    errors = [d.log_density_error(x) for d in p.components]
    log_p = scipy.special.logsumexp(logs, axis=0)
    log_shares = [log - log_p for log in logs]
    shares = [np.exp(log) for log in log_shares]
    mean_error = sum(share * error for share, error in zip(shares, errors, strict=True))
    # Where a share is nearly 1, its own error cancels.
    share_errors = [
        mean_error + (1.0 - 2.0 * share) * error + EPS * (4.0 + np.abs(log))
        for share, error, log in zip(shares, errors, log_shares, strict=True)
    ]
    out = []
    partners = _partners(q.components, p.components)
    # The weights' sums may differ by less than a rounding of either.
    log_totals = math.log1p(math.fsum((*p.weights, *(-w for w in q.weights))) / q.total)
    for i, (w, c) in enumerate(zip(*q, strict=True)):
        j = partners.get(i)
        if j is None:
            log = math.log(w / q.total) + c.log_density(x) - log_p
            log_error = c.log_density_error(x) + mean_error + EPS * (4.0 + np.abs(log))
            out.append(_Part(np.exp(log), np.exp(log) * log_error, log, log_error))
            continue
        d, share = p.components[j], shares[j]
        of_weights = log_quotient(w, p.weights[j]) + log_totals
        t = of_weights + c.log_ratio(d, x)
        t_error = c.log_ratio_error(d, x) + EPS * (np.abs(t) + 3.0 * abs(of_weights))
        share_error = share_errors[j]
        log, near = log_shares[j] + t, np.abs(t) < 0.5
        grown = np.exp(log)
        gain = np.where(near, share * np.expm1(np.where(near, t, 0.0)), grown - share)
        gain_error = np.abs(gain) * share_error + grown * t_error
        gain_error += np.where(near, 0.0, 4.0 * EPS * share)
        out.append(_Part(gain, gain_error, log, share_error + t_error + EPS * np.abs(log)))
    for j in sorted({*range(len(shares))} - {*partners.values()}):
        nothing = np.full_like(log_p, -math.inf)
        out.append(_Part(-shares[j], shares[j] * share_errors[j], nothing, np.zeros_like(log_p)))
    return out


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
    apart = np.abs(np.asarray(c.breakpoints[0]) - d.breakpoints[0]) / (c.scale + d.scale)
    apart = apart + np.abs(np.log(c.scale / d.scale)) + (c.kind != d.kind) * 1e-300
    return type(c) is not type(d), float(np.max(apart))
