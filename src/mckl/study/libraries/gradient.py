"""The exact mean of the gradient of a library's loss, compared with the gradient of KL(q||p)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.gradients.gradient_theory import numbers
from mckl.families.policy.pair import PolicyPair
from mckl.families.scores import ELL, Rule, Weight, linear
from mckl.study.libraries.base import SEQUENCE_SUMS, Use
from mckl.study.libraries.formula import K1, KINDS, Formula

# The weights for functions of the sequence's l. The derivative of k1 is the score, whose mean is 0.
_WHOLE: Mapping[tuple[str, str], Weight] = {
    ("k1", "value and ratio"): ELL,
    ("k2", "value"): ELL,
    ("k3", "value"): linear(ratio=-1.0),
    ("k3", "value and ratio"): ELL,
}


def slope_of_formula(formula: Formula, ell: Vector) -> Vector:
    """The derivative of a formula in l, which is 0 where a clamp acts."""
    return _unclamped(formula, ell, KINDS[formula.kind].slope)


def _unclamped(formula: Formula, ell: Vector, function: Callable[[Vector], Vector]) -> Vector:
    """A function of l where no clamp of the formula acts, and 0 elsewhere."""
    with np.errstate(over="ignore"):
        inside = (np.abs(ell) < formula.most_log_ratio) & (formula.clamped(ell) == 0)
        return np.asarray(np.where(inside, function(ell), 0.0))


def factor(use: Use, ell: Vector) -> Vector:
    """The factor by which a loss by token multiplies the score of a token with this l."""
    formula = use.formula
    # The sum over the vocabulary also depends on the weights q of its terms, as a ratio does.
    if use.differentiated == "value and ratio" or formula.vocabulary:
        return slope_of_formula(formula, ell) + formula(ell)
    if use.differentiated == "value and ratio, clamped":
        slope_of = KINDS[formula.kind].slope
        return _unclamped(formula, ell, lambda ell: slope_of(ell) + formula(ell))
    return {"value": slope_of_formula(formula, ell), "k2": ell}[use.differentiated]


def loss_gradient(pair: PolicyPair, use: Use) -> tuple[float, float]:
    """The relative bias and the cosine of the mean gradient of a loss, summed over tokens.

    The gradient is that in the logits of q, or of p if that is the law that the loss trains. NaN
    for uses other than a loss, and where the exact mean is not known.
    """
    scores = pair.scores
    if use.used_as != "loss" or scores is None:
        return math.nan, math.nan
    formula = use.formula
    if use.differentiated == "value in p":
        mean, gradient = (_in_p(pair, f) for f in (formula, K1))
        error = numbers(mean, 0.0, gradient, np.ones(mean.size))
        return error.relative_bias, error.cosine
    with_ratio = use.differentiated == "value and ratio"
    # If the ratio is that of the sequence, the sequence's score is multiplied by the whole value.
    if formula.whole or (with_ratio and use.averaged == SEQUENCE_SUMS):
        whole = _WHOLE.get((formula.kind, use.differentiated))
        if whole is None or formula.clamps:
            return math.nan, math.nan
        (mean,) = scores.whole(whole, 1)
    else:
        (mean,) = scores.by_factor(Rule(Weight(partial(factor, use))), 1)
    # A mean that is 0 but for rounding has no direction.
    size = float(np.sqrt(scores.fisher.sum()))
    mean = np.where(np.abs(mean) > 1e-13 * size, mean, 0.0)
    error = numbers(mean, 0.0, scores.gradient, scores.count)
    return error.relative_bias, error.cosine


def _in_p(pair: PolicyPair, formula: Formula) -> Vector:
    """The mean gradient of a formula's sum in the logits of p, from which no token is drawn."""
    chain = pair.transitions
    p, state, visits = chain.q * np.exp(-chain.ell), chain.start, np.zeros(chain.start.size)
    for _ in range(pair.dimension):
        visits, state = visits + state, state @ chain.q
    slopes = visits[:, None] * chain.q * slope_of_formula(formula, chain.ell)
    return np.asarray(p * slopes.sum(axis=1, keepdims=True) - slopes).ravel()
