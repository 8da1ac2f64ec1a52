"""The exact mean of the gradient of a library's loss, compared with the gradient of KL(q||p)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.gradients.theory import numbers
from mckl.families.policy import PolicyPair
from mckl.families.scores import ELL, Rule, Weight, linear
from mckl.study.libraries.base import SEQUENCE_SUMS, Use
from mckl.study.libraries.formula import Formula

_SLOPES: Mapping[str, Callable[[Vector], Vector]] = {
    "k1": np.ones_like,
    "k2": lambda ell: ell,
    "k3": lambda ell: -np.expm1(-ell),
    "l^2": lambda ell: 2.0 * ell,
    "k3 of -l": np.expm1,
}

# The weights for functions of the sequence's l. The derivative of k1 is the score, whose mean is 0.
_WHOLE: Mapping[tuple[str, str], Weight] = {
    ("k1", "value and ratio"): ELL,
    ("k2", "value"): ELL,
    ("k3", "value"): linear(ratio=-1.0),
    ("k3", "value and ratio"): ELL,
}


def slope(formula: Formula, ell: Vector) -> Vector:
    """The derivative of a formula in l, which is 0 where a clamp acts."""
    with np.errstate(over="ignore"):
        inside = (np.abs(ell) < formula.most_log_ratio) & (formula.clamped(ell) == 0)
        return np.asarray(np.where(inside, _SLOPES[formula.kind](ell), 0.0))


def loss_gradient(pair: PolicyPair, use: Use) -> tuple[float, float]:
    """The relative bias and the cosine of the mean gradient of a loss, summed over tokens.

    NaN for uses other than a loss, and where the exact mean is not known.
    """
    scores = pair.scores
    if use.used_as != "loss" or scores is None:
        return math.nan, math.nan
    formula = use.formula
    weights: dict[str, Callable[[Vector], Vector]] = {
        "value": lambda ell: slope(formula, ell),
        "value and ratio": lambda ell: slope(formula, ell) + formula(ell),
        "k2": lambda ell: ell,
    }
    with_ratio = use.differentiated == "value and ratio"
    # If the ratio is that of the sequence, the sequence's score is multiplied by the whole value.
    if formula.whole or (with_ratio and use.averaged == SEQUENCE_SUMS):
        whole = _WHOLE.get((formula.kind, use.differentiated))
        if whole is None or formula.clamps:
            return math.nan, math.nan
        (mean,) = scores.whole(whole, 1)
    else:
        (mean,) = scores.by_factor(Rule(Weight(weights[use.differentiated])), 1)
    # A mean that is 0 but for rounding has no direction.
    size = float(np.sqrt(scores.fisher.sum()))
    mean = np.where(np.abs(mean) > 1e-13 * size, mean, 0.0)
    found = numbers(mean, 0.0, scores.gradient, scores.count)
    return found.relative_bias, found.cosine
