"""The KL that torch or TensorFlow Probability (TFP) has registered, where it can be confirmed.

The library's formula is evaluated with float64 parameters, and its number is given only if samples
agree with it. Formulas fail where exponentials under- or overflow: torch's for the continuous
Bernoulli laws of the logits -400 and 30 is -11.0 in float32 and 18.3 in float64, and KL is 31.5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mckl.api.conversion import as_numpy
from mckl.api.double import doubled
from mckl.api.draws import LogProb, Sampled, check_shapes, sample_shape
from mckl.api.objects import given_first, library_of
from mckl.arrays import Vector
from mckl.errors import UserError
from mckl.limits import SEED

_NUMBERS, _LEAST = 2**18, 2**10  # the numbers that samples have together; the fewest samples
_ERRORS = 7.0  # standard errors; correct numbers are further off in about one case of 10^11
_NEAR = 0.5  # where |l| is below this, k3 tells more than k1
_DIGITS = 1e-8  # the largest relative error that rounding may leave


def registered(q: Any, p: Any) -> tuple[float | None, str]:
    """KL(q||p) by the library's own formula, in nats; or None, and why there is no such number.

    Raises `UserError` where KL is infinite, and for samples of different shapes.
    """
    library = library_of(q)
    if library not in ("torch", "tfp") or library != library_of(p):
        return None, "no registered formula"
    check_shapes(q, p)
    if {type(q).__name__, type(p).__name__} == {"ContinuousBernoulli"}:
        return _continuous_bernoulli(*map(_logits, (q, p))), ""
    q, p = doubled(q), doubled(p)
    try:
        if library == "torch":
            import torch

            tensor_kl = as_numpy("KL", torch.distributions.kl_divergence(q, p))
        else:
            tensor_kl = as_numpy("KL", q.kl_divergence(p))
    except NotImplementedError:
        return None, "no registered formula"
    except Exception as error:
        return None, f"{library} fails with {type(error).__name__}"
    if tensor_kl.dtype != np.float64:
        return None, f"{library} computes it in {tensor_kl.dtype} only"
    value = float(tensor_kl.sum())
    if value == math.inf:
        raise UserError(f"KL is infinite by the formula of {library}")
    why = _doubt(q, p, value)
    return (value, "") if why is None else (None, f"{library} gives {value:.6g}, {why}")


def _doubt(q: Any, p: Any, value: float) -> str | None:
    """Why the value cannot be KL(q||p) to many digits, by samples of q; None if it can."""
    if not value >= 0.0:
        return "which KL cannot be"
    n = max(_NUMBERS // math.prod(sample_shape(q) or ()), _LEAST)
    samples = Sampled("q", q).draw(n, np.random.default_rng(SEED))
    of_q, of_p = LogProb("q", q)(samples, n), LogProb("p", p)(samples, n)
    ell = of_q - of_p
    near = np.isfinite(ell).all() and np.abs(ell).max() < _NEAR
    for summand in [ell, np.expm1(-ell) + ell] if near else [ell]:
        mean, error = summand.mean(), summand.std() / math.sqrt(n)
        if not abs(mean - value) <= _ERRORS * error + _DIGITS * abs(mean):
            return f"but its samples give {mean:.6g} with a standard error of {error:.2g}"
    terms = 1.0 + float(np.abs(of_q).mean() + np.abs(of_p).mean())
    if value and np.finfo(np.float64).eps * terms > _DIGITS * value:
        return "to fewer than 8 digits"
    return None


def _logits(value: Any) -> Vector:
    """The parameter of the density e^(logit x) on [0, 1], up to a constant factor."""
    value = doubled(value)
    held = value.logits
    if library_of(value) == "torch" and given_first(value, "probs", "logits") == "probs":
        held = None
    if held is not None:
        return np.asarray(held, np.float64)
    probs = np.asarray(value.probs, np.float64)
    return np.log(probs) - np.log1p(-probs)


def _continuous_bernoulli(q: Vector, p: Vector) -> float:
    """KL of laws with the density e^(logit x) on [0, 1], up to a factor, added up over a batch.

    It is the integral of (1 + t) d^2 Var x over the laws from p (t = -1) to q (t = 0), d being the
    difference of the logits.
    """
    from scipy.integrate import quad

    def of_one(a: float, b: float) -> float:
        d = a - b
        peak = [-a / d] if a * b < 0 else None
        integral, _ = quad(
            lambda t: (1.0 + t) * d * d * _variance(a + t * d), -1.0, 0.0,
            points=peak, limit=500, epsabs=0.0, epsrel=1e-12,
        )  # fmt: skip
        return float(integral)

    logits = (v.ravel().tolist() for v in np.broadcast_arrays(q, p))
    return math.fsum(map(of_one, *logits))


def _variance(logit: float) -> float:
    """The variance of x under the density e^(logit x) on [0, 1]."""
    if abs(logit) < 0.2:
        s = logit * logit
        return 1 / 12 - s * (1 / 240 - s * (1 / 6048 - s * (1 / 172800 - s / 5322240)))
    half = math.exp(-abs(logit))
    return 1.0 / (logit * logit) - half / (1.0 - half) ** 2
