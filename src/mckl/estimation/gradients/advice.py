"""Recommends a gradient estimator for a pair, from exact theory."""

from __future__ import annotations

from typing import Any

from mckl.estimation.gradients import METHODS
from mckl.estimation.gradients.base import law_of
from mckl.estimation.gradients.theory import exact, needed, norm
from mckl.families.base import Pair
from mckl.text import for_json, two_digits

MOST_ENTRIES = 2**17  # the most different parameters; more would take too much memory
_ROUNDING = 1e-9  # a smaller relative bias is rounding
_WITH_GRADIENTS = (
    "a normal law with diagonal covariance, a categorical, or a policy of at most 64 states"
)
# These need KL, which is not known in practice, and show what the best running mean would achieve.
_NOT_AT_HAND = ("score-kl",)


def advise(pair: Pair, tolerance: float) -> dict[str, Any]:
    """Bias, variance and samples needed of every gradient estimator that the pair's family has.

    Parameters
    ----------
    pair
        q and p.
    tolerance
        The largest relative RMSE of the gradient: the root mean squared Euclidean norm of its
        error, divided by the gradient's norm.

    Returns
    -------
    dict
        `pair`, `tolerance`, `methods` (one dict for each) and `recommendation`, made of plain
        numbers and strings. None stands for a number that is infinite, undefined or not known.

    Raises
    ------
    ValueError
        If the family has no gradients, or q has too many different parameters.

    Examples
    --------
    >>> from mckl.families.registry import sweep_pair
    >>> advise(sweep_pair("normal", 2, 1.25, 0.5), 0.1)["recommendation"]["method"]
    'stl'
    """
    scores = pair.scores
    if scores is None:
        raise ValueError(f"{pair.family} has no gradients here: expected {_WITH_GRADIENTS}")
    if scores.count.size > MOST_ENTRIES:
        raise ValueError(
            f"{scores.count.size:,} different parameters, expected at most {MOST_ENTRIES:,}"
        )
    size = norm(scores.gradient, scores.count)
    methods = []
    for method in METHODS.values():
        if not method.offered(scores):
            continue
        law = law_of(method, scores, 2)
        samples, verdict = needed(law, scores, tolerance, method.least_samples)
        limit = law._replace(shrinks=False)  # the limit for large n
        one = exact(limit._replace(of_pairs=None), scores, 1)
        methods.append(
            {
                "method": method.name,
                "label": method.label,
                "relative_bias": for_json(one.relative_bias),
                "bias": for_json(one.bias),
                "cosine": for_json(one.cosine),
                "total_variance": for_json(one.total_variance),
                "samples_needed": samples,
                "verdict": verdict,
            }
        )
    return {
        "pair": {
            "family": pair.family,
            "dimension": pair.dimension,
            "kl": pair.law.kl,
            "gradient_norm": size,
            "parameters": scores.parameter_count,
        },
        "tolerance": tolerance,
        "methods": methods,
        "recommendation": _recommended(methods),
    }


def _recommended(methods: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The usable unbiased method that needs the fewest samples; the first of equal ones.

    Biased methods are left out even if the bias is within the tolerance, since it would remain
    however many gradients a training averages.
    """
    reached = [
        m for m in methods if m["samples_needed"] is not None and m["method"] not in _NOT_AT_HAND
    ]
    able = [m for m in reached if m["relative_bias"] < _ROUNDING]
    if not able:
        return None
    best = min(able, key=lambda m: m["samples_needed"])
    known = {m["method"]: m for m in methods}
    others = []
    fewest = min(reached, key=lambda m: m["samples_needed"])
    if fewest["samples_needed"] < best["samples_needed"]:
        off = _percent(fewest["relative_bias"])
        others.append(
            f"{fewest['method']} needs {fewest['samples_needed']:,}, "
            f"but has a relative bias of {off}"
        )
    if best["method"] != "score" and known["score"]["samples_needed"] is not None:
        others.append(f"k1 in the reward needs {known['score']['samples_needed']:,} samples")
    k3 = known["k3-loss"]["relative_bias"]
    if k3 is not None and k3 > _ROUNDING:
        others.append(f"k3 as a loss has a relative bias of {_percent(k3)}")
    return {
        "method": best["method"],
        "label": best["label"],
        "samples_needed": best["samples_needed"],
        "reason": "; ".join(["it is unbiased", *others]),
    }


def _percent(share: float) -> str:
    return f"{two_digits(100.0 * share)} %"
