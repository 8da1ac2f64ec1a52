"""Compares the full KL of each token with k1 and k3 by token on the same samples.

Given what came before, full_kl - l and full_kl - k3 have mean 0, if log q is the law that drew the
tokens; the latter has the mean P_p(q = 0) where q is 0 and p is not, as after top-p sampling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mckl.estimation.given.summary import Influence, Summary

# A difference of more standard errors is not due to chance. k3 may lack tokens that did not
# occur, so a full KL that exceeds it by less than this over the number of sequences is right.
_FAR, _UNSEEN = 4.0, 60.0
# The least squared coefficient of variation of full_kl over tokens at which a shift is noticed.
_MISFIT = 0.3
_BITS = 1.0 / math.log(2.0)
# The sums over tokens that are compared: full_kl, and full_kl (full_kl - k3).
_RB, _FIT = "factor_rb", "factor_rb_fit"


def full_kl_fault(summary: Summary) -> tuple[tuple[str, ...], str] | None:
    """The estimators that the comparison is evidence against, and why; None if there is none."""
    view = summary.influence("unit")
    rb, k3 = (float(view.mean(name)[0]) for name in (_RB, "factor_k3"))
    from_k1 = _gap(view, {_RB: 1.0, "ell": -1.0})
    from_k3 = _gap(view, {_RB: 1.0, "factor_k3": -1.0})
    gap, z = from_k3
    if abs(z) <= _FAR or abs(gap) <= _UNSEEN / view.units:
        if abs(from_k1[1]) > _FAR and abs(from_k1[0]) > _UNSEEN / view.units:
            why = f"the mean of full_kl is {rb:.4g} nats per sequence, {_from(from_k1)} k1"
            return ("rb",), why
        fit, far = _gap(view, {_FIT: 1.0})
        if abs(z) <= _FAR < far and fit * summary.rows > _MISFIT * rb * rb * summary.sequence_count:
            why = "full_kl does not fit its tokens, as if its rows were shifted by a token"
            return ("rb",), why
        return None
    why = f"full_kl is {rb / k3:.3g} times k3 on the same samples"
    bits = abs(_gap(view, {_RB: 1.0 / _BITS, "factor_k3": -1.0})[1]) <= _FAR
    if bits:
        return ("rb",), f"{why}, as it is in bits: expected nats"
    if gap < 0 or abs(from_k1[1]) > _FAR:
        return ("rb",), f"{why}: expected the sum over the whole vocabulary, in nats"
    return ("rb", "k3-factor", "cv-factor", "k3", "cv"), (
        f"{why}: q is 0 where p is not, as after top-p sampling, or full_kl is not in nats"
    )


def _from(gap: tuple[float, float]) -> str:
    return f"{abs(gap[1]):.3g} standard errors {'above' if gap[0] > 0 else 'below'}"


def _gap(view: Influence, weights: Mapping[str, float]) -> tuple[float, float]:
    """The mean of a combination of sums over tokens, and the same in standard errors."""
    n = view.units
    mean = sum(w * float(view.mean(name)[0]) for name, w in weights.items())
    square = sum(
        v * w * float(view.comoment(a, b)[0])
        for a, v in weights.items()
        for b, w in weights.items()
    )
    error = math.sqrt(max(square, 0.0) / (n * max(n - 1, 1)))
    return mean, mean / error if error > 1e-12 * abs(mean) else math.copysign(math.inf, mean)
