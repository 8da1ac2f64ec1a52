"""The outcomes of one factor from the logarithms of q and p and of their quotient."""

from __future__ import annotations

import math

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.exact.moments import EPS, Moments
from mckl.exact.outcomes import Outcomes
from mckl.exact.remainders import ELL_OF_LARGE_RATIO, weighted_phi


def outcomes_of(
    log_q: Vector,
    q_error: Vector,
    log_p: Vector,
    p_error: Vector,
    d: Vector,
    d_error: Vector,
    beyond: Vector | None = None,
    coarse: Vector | None = None,
) -> Outcomes:
    """The outcomes among some values, of which those with q > 0 are kept.

    log_q, log_p      the logarithms of the probabilities, -inf where one is 0
    q_error, p_error  bounds on the relative errors of the probabilities
    d, d_error        log q - log p up to a constant, -inf where q = 0, and bounds on the errors
    beyond            how many times its weight each value stands for values that are left out, as a
                      bound; None where none are
    coarse            the weights of a coarser rule over those that `log_q` and `log_p` contain;
                      None where these are of probabilities alone
    """
    taken = log_q > -np.inf
    # From a value that both sides take, so that l = d less the log of p's mean of e^d.
    d = d - d[np.argmax(np.minimum(log_q, log_p))]
    d_error = d_error + EPS * np.where(taken, np.abs(d), 0.0)
    finer = None if coarse is None else coarse - 1.0
    mean, mean_error = _log_mean_exp(d, d_error, log_p, p_error, finer)
    ell = (d - mean)[taken]
    ell_error = d_error[taken] + mean_error + EPS * np.abs(ell)
    lost = np.exp(log_p[~taken])
    missed, missed_error = math.fsum(lost), math.fsum(lost * (p_error[~taken] + EPS))
    q, r_q, error = np.exp(log_q[taken]), np.exp(log_q[taken] - ell), q_error[taken]
    terms, _ = weighted_phi(q, r_q, ell)
    of_r = np.where(ell < ELL_OF_LARGE_RATIO, 2.0 * EPS * np.abs(ell), 0.0)
    errors = terms * (error + 10.0 * EPS + of_r)
    errors += np.abs(q - r_q) * ell_error + r_q * ell_error**2
    if beyond is not None:
        errors += terms * beyond[taken]
        missed_error += float((beyond * np.exp(log_p))[~taken].sum())
    k3 = math.fsum(terms)
    of_mean = 0.0
    if finer is not None:
        errors[0] += abs(float(terms @ finer[taken]))
        missed_error += abs(float(lost @ finer[~taken]))
        of_mean = abs(float((q * d[taken]) @ finer[taken]))
    k3_error = math.fsum(errors) + EPS * k3
    one = np.ones(1)
    d, d_error = d[taken], d_error[taken]
    share = q * (d_error + np.abs(d) * (error + EPS * math.log(4.0 * d.size)))
    away = d - math.fsum(q * d)
    away_error = d_error + math.fsum(share) + of_mean + EPS * np.abs(away)
    return Outcomes(
        np.zeros(1, dtype=np.intp), log_q[taken], error, ell, ell_error, away, away_error,
        Moments(k3 * one, k3_error * one), Moments(missed * one, missed_error * one),
        coarse=None if coarse is None else coarse[taken],
        beyond=None if beyond is None else beyond[taken],
    )  # fmt: skip


def _log_mean_exp(
    d: Vector, d_error: Vector, log_p: Vector, p_error: Vector, finer: Vector | None
) -> tuple[float, float]:
    """The logarithm of the mean of e^d under p, and a bound on its error."""
    taken = log_p > -np.inf
    d, d_error, log_p, p_error = (x[taken] for x in (d, d_error, log_p, p_error))
    p = np.exp(log_p)
    with np.errstate(over="ignore"):
        grown = np.exp(log_p + d)
        above = np.where(d < 1.0, p * np.expm1(np.minimum(d, 1.0)), grown - p)
        total = float(above.sum())
    if -0.5 < total < 1e3:  # little cancels, and nothing overflows
        value = math.log1p(math.fsum(above))
        error = np.abs(above) * (p_error + 4.0 * EPS) + grown * d_error
        far = np.where(d < 1.0, 0.0, 2.0 * EPS * grown * np.maximum(d, 0.0))
        of_rule = 0.0 if finer is None else abs(float(above @ finer[taken]))
        left = float((error + far).sum()) + of_rule
        return value, 2.0 * left / (1.0 + total) + 2.0 * EPS * abs(value)
    value = float(scipy.special.logsumexp(log_p + d))
    share = np.exp(log_p + d - value)
    terms = share * (d_error + p_error + EPS * np.where(share > 0.0, np.abs(log_p + d), 0.0))
    of_rule = 0.0 if finer is None else 2.0 * abs(float(share @ finer[taken]))
    return value, float(np.nansum(terms)) + of_rule + EPS * (8.0 + 2.0 * abs(value))
