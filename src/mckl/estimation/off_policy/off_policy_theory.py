"""Bias and variance of estimators over samples of a law s that is not q (theory.md, section 12).

Weights of tokens, and no weights, leave a sum over tokens of a table g(previous, next), whose
moments under s the recursion of `mckl.families.policy.token_sums` gives. The weight of a sequence
is a product over its tokens (`mckl.families.policy.weighted_products`). Samples of one token are
summed over their outcomes, whatever the weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.off_policy.sample_weights import SampleWeight
from mckl.estimation.values.base import (
    NOT_SETTLED,
    TOO_LARGE,
    Estimator,
    UnitTheory,
    is_nothing,
    unknown,
)
from mckl.estimation.values.regression import TWO_VALUES
from mckl.exact import joint
from mckl.exact.law import Law
from mckl.exact.moments import EPS, LARGEST_ERROR, Bounded, Moments, settled
from mckl.families.policy.sampled_chain import SampledChain
from mckl.families.policy.token_sums import TransitionTable, token_sums
from mckl.families.policy.weighted_products import weighted_products

OUTSIDE = "s draws what q never does, where log q is -inf"
CLAMPED_PRODUCT = "a clamp of the product of weights of several tokens has no exact law here"
TIED = "a weight is at an end of the mask, so that rounding decides whether it is 0"
ENDING = "a mean over tokens divides by lengths, which differ between sequences"
NO_CONTROL = "p/q is constant on the samples of s: nothing can be fitted"
# The leading order in 1/n is used if the next one is at most this share of it.
_MOST_NEXT_ORDER = 0.2
# What an estimator averages: a sum over tokens, or a function of the whole l.
_SUMS = {"ell": "ell"} | {f"factor_{name}": name for name in ("half_square", "k3", "rb")}
_WHOLE = ("half_square", "k3")


class Averaged(NamedTuple):
    """What an estimator averages over samples.

    name     the function of l: ``ell``, ``half_square``, ``k3`` or ``rb``
    whole    whether it is applied to the whole l, and not summed over tokens
    control  whether r - 1, of which this says the same, is a control variate of l
    """

    name: str
    whole: bool
    control: bool = False


def averaged(estimator: Estimator) -> Averaged | None:
    """What an estimator averages; None for one that has an integrand of its own."""
    if estimator.parameters > 1:
        controlled = {"ratio": True, "factor_ratio": False}
        names = [name for pair in estimator.products for name in pair if name in controlled]
        return Averaged("ell", controlled[names[0]], control=True) if names else None
    integrand = estimator.products[0][0]
    if integrand in _SUMS:
        return Averaged(_SUMS[integrand], whole=False)
    return Averaged(integrand, whole=True) if integrand in _WHOLE else None


def takes_weight(chain: SampledChain, estimator: Estimator, weight: SampleWeight) -> bool:
    """Whether an estimator can be used with a weight.

    With one token, weights of tokens are those of the sequence, and are left out, as are estimators
    by factor. Weights of tokens do not go with functions of the whole l.
    """
    function = averaged(estimator)
    if function is None:
        return False
    if function.control and weight.normalised:
        return False
    if chain.tokens == 1:
        if estimator.sums and chain.start.size == 1:
            return False
        return weight.level != "token" and estimator.whole is None
    return not (function.whole and weight.level == "token")


class SampledLaw:
    """The moments of weighted functions of samples of s.

    chain  the tables of q, p and s
    law    the law of l under q
    """

    chain: SampledChain
    law: Law

    def __init__(self, chain: SampledChain, law: Law) -> None:
        self.chain, self.law = chain, law
        self.kl: Bounded = Bounded(law.kl, law.kl_error)

    def is_tied(self, weight: SampleWeight) -> bool:
        """Whether a weight is so close to an end of a mask that rounding decides on its side."""
        value, error = weight.bounds(self.chain.log_weight, self.chain.log_weight_error)
        drawn = self.chain.s > 0
        return bool((drawn & (error > 0.5 * np.maximum(value, weight.least))).any())

    def weights(self, weight: SampleWeight, power: int = 1) -> Moments:
        """A power of each transition's weight."""
        value, error = weight.bounds(self.chain.log_weight, self.chain.log_weight_error)
        with np.errstate(over="ignore", invalid="ignore"):
            most = (np.abs(value) + error) ** power
            value = value**power
            return Moments(value, (most - value) + 2.0 * EPS * most * (power > 1))

    def weighted(self, name: str, weight: SampleWeight) -> Moments:
        """The term of each transition times its weight."""
        return weighted_table(self.weights(weight), self.values[name])

    @cached_property
    def values(self) -> dict[str, Moments]:
        """The terms of transitions by the name of their sum."""
        names = ("ell", "half_square", "ratio", "k3", "rb")
        return {name: self.chain.values(name) for name in names}

    def sums(self, tables: Sequence[Moments], order: int) -> tuple[list[Bounded], Moments]:
        """The means and the joint central moments of sums over the tokens of a sample of s."""
        n, chain = len(tables), self.chain
        if chain.tokens == 1:
            return self._outcomes(tables, order)
        every = [TransitionTable(table, self._row_means(table)) for table in tables]
        kappa = token_sums(chain.s, chain.start, every, chain.tokens, order)
        means = [kappa.at(*first) for first in joint.firsts(n)]
        return means, joint.central_moments(kappa, n)

    def _row_means(self, table: Moments) -> Moments:
        s, size = self.chain.s, np.abs(table.value)
        value = (s * table.value).sum(axis=1)
        error = (s * table.error + self.chain.s_error * (size + table.error)).sum(axis=1)
        return Moments(value, error + (2.0 + math.log2(len(s.T))) * EPS * (s * size).sum(axis=1))

    @np.errstate(over="ignore", invalid="ignore")
    def _outcomes(self, tables: Sequence[Moments], order: int) -> tuple[list[Bounded], Moments]:
        """The same for samples of one token, as sums over what can be drawn."""
        chain, n = self.chain, len(tables)
        weight = (chain.start[:, None] * chain.s).ravel()
        most = (chain.start[:, None] * (chain.s + chain.s_error)).ravel() * (1.0 + 2.0 * EPS)
        rounding = (4.0 + math.log2(weight.size)) * EPS

        def total(terms: Vector, sizes: Vector) -> Bounded:
            value, size = math.fsum(weight * terms), math.fsum(most * sizes)
            return Bounded(value, size - math.fsum(weight * np.abs(terms)) + rounding * size)

        away, away_error, means = [], [], []
        for value, error in ((x.ravel() for x in table) for table in tables):
            mean = total(value, np.abs(value) + error)
            means.append(mean)
            away.append(value - mean.value)
            away_error.append(error + mean.error + EPS * np.abs(away[-1]))
        out = Moments(*np.zeros((2, *(order + 1,) * n)))
        out.value[(0,) * n] = 1.0
        for index in joint.indices(n, order):
            if sum(index) < 2:
                continue
            terms, sizes = np.ones(weight.size), np.ones(weight.size)
            for power, d, error in zip(index, away, away_error, strict=True):
                terms, sizes = terms * d**power, sizes * (np.abs(d) + error) ** power
            out.value[index], out.error[index] = total(terms, sizes)
        return means, settled(*out)

    @property
    def mismatch(self) -> float:
        """KL(s||q), in nats a token."""
        (mean,), _ = self.sums([self.chain.k3_of_s], 2)
        return mean.value / self.chain.tokens

    @cached_property
    def effective_share(self) -> float:
        """1 / E W^2, where W is the weight of a sequence."""
        weight = SampleWeight("", "", "sequence")
        if self.chain.tokens == 1:
            _, moments = self.sums([self.weights(weight)], 2)
            return 1.0 / (1.0 + float(moments.value[2]))
        square = self.products(Averaged("ell", whole=False), weight, 2, 0.0)[0]
        return 1.0 / max(square.value, 1.0) if math.isfinite(square.error) else math.nan

    def products(
        self, function: Averaged, weight: SampleWeight, power: int, center: float
    ) -> list[Bounded]:
        """E_s of V, V f and V f^2, where V is a power of the sequence's weight.

        `center` is taken off f; it must be 0 for a function of the whole l.
        """
        chain, values = self.chain, self.values
        m = weighted_table(self.weights(weight, power), Moments(chain.s, chain.s_error))
        if not function.whole:
            y, own = values[function.name], center / chain.tokens
            y = Moments(y.value - own, y.error + EPS * np.abs(own) + EPS * np.abs(y.value - own))
            return weighted_products(chain.start, m, y, chain.tokens, ((0, 0), (0, 1), (0, 2)))
        if function.name == "half_square":
            wanted = ((0, 0), (0, 2), (0, 4))
            made = weighted_products(chain.start, m, values["ell"], chain.tokens, wanted)
            return [Bounded(part.value / 2**k, part.error / 2**k) for k, part in enumerate(made)]
        x = values["ratio"]
        r = Moments(1.0 + x.value, x.error + EPS * (1.0 + x.value))
        return weighted_products(
            chain.start, m, values["k3"], chain.tokens, ((0, 0), (0, 1), (0, 2)), x, r
        )


def off_policy_theory(law: SampledLaw, estimator: Estimator, weight: SampleWeight) -> UnitTheory:
    """The bias and the variance of an estimator over one sample of s, by the weight it uses."""
    chain, function = law.chain, averaged(estimator)
    assert function is not None
    weighs_outside = weight(np.array([-np.inf]))[0] > 0.0
    if chain.outside and weighs_outside and function.name != "rb":
        return unknown(OUTSIDE)
    one = chain.tokens == 1
    if weight.masked and (one or weight.level == "token") and law.is_tied(weight):
        return unknown(TIED)
    of_sequences = weight.level == "sequence" and not one
    if of_sequences and weight.bounded:
        return unknown(CLAMPED_PRODUCT)
    if function.control:
        if of_sequences or (function.whole and not one):
            return _regression_of_sequences(law, function, weight)
        return _regression(law, weight)
    if of_sequences:
        return _of_sequences(law, estimator, function, weight)
    if function.whole and not one:
        return _of_sequences(law, estimator, function, weight)
    if not weight.normalised:
        terms = law.weighted(function.name, weight)
        return theory_of_terms(law, terms, _exact_mean(law, estimator, weight))
    if chain.ended.any():
        return unknown(ENDING)
    return _over_mean_weight(law, estimator, function, weight)


def theory_of_terms(law: SampledLaw, terms: Moments, mean: Bounded | None = None) -> UnitTheory:
    """The bias and the variance of the sum of `terms` over the tokens of a sample of s.

    terms  what each transition adds, with its weight; shape (states, states)
    mean   the mean of the sum, if it is known otherwise
    """
    (of_terms,), moments = law.sums([terms], 2)
    return _unit(law, mean or of_terms, moments.at(2), exactly=mean is not None)


def _exact_mean(law: SampledLaw, estimator: Estimator, weight: SampleWeight) -> Bounded | None:
    """The mean under q, where the weight makes it the mean under s; else None."""
    if not weight.unbiased:
        return None
    of_q = estimator.theory(law.law, False)
    if math.isnan(of_q.bias):
        return None
    scale = math.hypot(of_q.bias, math.sqrt(of_q.variance)) if of_q.variance >= 0.0 else 0.0
    error = of_q.relative_error * scale if of_q.bias else 0.0
    return Bounded(law.kl.value + of_q.bias, law.kl.error + error)


def _of_sequences(
    law: SampledLaw, estimator: Estimator, function: Averaged, weight: SampleWeight
) -> UnitTheory:
    """The theory of the mean of V f, or of the mean of V f over that of V."""
    known = _exact_mean(law, estimator, weight)
    center = law.kl.value if not function.whole and weight.level else 0.0
    if known is not None and not function.whole:
        center = known.value
    plain = Bounded(1.0, 0.0)
    h1, m1 = plain, Bounded(0.0, 0.0)
    if known is not None:
        m1 = Bounded(known.value - center, known.error)
    else:
        h1, m1, _ = law.products(function, weight, 1, center)
        if weight.level is None:
            h1 = plain
    h2, n1, n2 = law.products(function, weight, 2, center)
    f = Bounded(center, 0.0)
    mean = combination((1.0, f, h1), (1.0, m1))
    if not weight.normalised:
        variance = combination(
            (1.0, f, f, h2), (-1.0, f, f, h1, h1), (2.0, f, n1), (-2.0, f, h1, m1), (1.0, n2),
            (-1.0, m1, m1),
        )  # fmt: skip
        return _unit(law, mean, variance, exactly=known is not None)
    # Sum V f over sum V has the influence V (f - E V f), as E V = 1.
    variance = combination((1.0, n2), (-2.0, m1, n1), (1.0, m1, m1, h2))
    of_bias = combination((-1.0, n1), (1.0, m1, h2))
    unit = _unit(law, mean, variance, of_bias, exactly=known is not None)
    return unit._replace(least_units=h2.value / _MOST_NEXT_ORDER)


def _over_mean_weight(
    law: SampledLaw, estimator: Estimator, function: Averaged, weight: SampleWeight
) -> UnitTheory:
    """The theory of T sum w g over sum w, both over all tokens of all sequences."""
    weights = law.weights(weight)
    (x, n), _ = law.sums([law.weighted(function.name, weight), weights], 2)
    ratio, tokens = x.value / n.value, law.chain.tokens
    ratio_error = (x.error + abs(ratio) * n.error) / n.value + EPS * abs(ratio)
    g = law.values[function.name]
    less = Moments(g.value - ratio, g.error + ratio_error + EPS * np.abs(g.value - ratio))
    _, moments = law.sums([weighted_table(weights, less), weights], 2)
    known = _exact_mean(law, estimator, weight)
    mean = known or Bounded(tokens * ratio, tokens * ratio_error)
    scale = tokens / n.value
    second, cross, spread = moments.at(2, 0), moments.at(1, 1), moments.at(0, 2)
    relative = 2.0 * n.error / n.value + 4.0 * EPS
    variance = Bounded(second.value * scale**2, (second.error + relative * second.value) * scale**2)
    by = scale / n.value
    of_bias = Bounded(-cross.value * by, (cross.error + relative * abs(cross.value)) * by)
    unit = _unit(law, mean, variance, of_bias, exactly=known is not None)
    return unit._replace(least_units=(1.0 + spread.value / n.value**2) / _MOST_NEXT_ORDER)


def _regression(law: SampledLaw, weight: SampleWeight) -> UnitTheory:
    """The theory of the intercept of w l regressed on w (r - 1), both summed over tokens.

    Under s the mean c of the control variate x is 0 only with the weight of each token. With
    u = (x - c) / sd(x), k = c / sd(x) and the residual e, the intercept has the variance
    E e^2 (1 - k u)^2 / n, and the bias -E u^2 e (1 - k u) / n beside what is left of c.
    """
    x = law.weighted("ratio", weight)
    (_, _), second = law.sums([x, law.weighted("ell", weight)], 2)
    spread, cross = second.at(2, 0), second.at(1, 1)
    if not law.values["ell"].value.any():  # every l is 0, and so is the intercept
        return UnitTheory(0.0, 0.0, math.nan, math.nan)
    if not spread.value > spread.error:
        return unknown(NO_CONTROL)
    slope = cross.value / spread.value
    # The slope that is used may differ from the best one by rounding, as its square counts.
    ell, ratio = law.values["ell"], law.values["ratio"]
    rest = ell.value - slope * ratio.value
    size = np.abs(ell.value) + np.abs(slope * ratio.value)
    rest_error = ell.error + abs(slope) * ratio.error + 2.0 * EPS * size
    e = weighted_table(law.weights(weight), Moments(rest, rest_error))
    (c, mean), moments = law.sums([x, e], 4)
    return _intercept(law, c, mean, moments)


def _regression_of_sequences(
    law: SampledLaw, function: Averaged, weight: SampleWeight
) -> UnitTheory:
    """The same for a power V of the sequence's weight: V l is regressed on V (r - 1).

    l is k3 less its control variate x, so that k3 in its place leaves the same residual. Near
    q = p it is of second order as the residual is, and l is not.
    """
    order, chain, values = 4, law.chain, law.values
    x = values["ratio"]
    if not values["ell"].value.any():  # every l is 0, and so is the intercept
        return UnitTheory(0.0, 0.0, math.nan, math.nan)
    r = Moments(1.0 + x.value, x.error + EPS * (1.0 + x.value)) if function.whole else None
    plain = Moments(*np.zeros((2, order + 1, order + 1)))
    plain.value[0, 0] = 1.0
    for power in range(1, order + 1):
        m = weighted_table(law.weights(weight, power), Moments(chain.s, chain.s_error))
        wanted = [(i, power - i) for i in range(power + 1)]
        found = weighted_products(
            chain.start, m, values["k3"], chain.tokens, wanted, x, r, joined=function.whole
        )
        for index, part in zip(wanted, found, strict=True):
            plain.value[index], plain.error[index] = part
    moments = joint.centered(plain, 2)
    spread, cross, square = moments.at(2, 0), moments.at(1, 1), moments.at(0, 2)
    if not math.isfinite(square.error + spread.error):
        return unknown(f"the variance is {TOO_LARGE}")
    if not spread.value > spread.error:
        return unknown(NOT_SETTLED.format(spread.relative))
    slope = cross.value / spread.value
    residual = Moments(moments.value.copy(), moments.error.copy())
    for i, j in joint.indices(2, order):
        terms = [(math.comb(j, k) * (-slope) ** k, moments.at(i + k, j - k)) for k in range(j + 1)]
        residual.value[i, j], residual.error[i, j] = combination(*terms)
    c, y = plain.at(1, 0), plain.at(0, 1)
    return _intercept(law, c, combination((1.0, y), (-slope, c)), residual)


def _intercept(law: SampledLaw, c: Bounded, mean: Bounded, moments: Moments) -> UnitTheory:
    """The theory of an intercept.

    c, mean  the means of the control variate x and of the residual e
    moments  the joint central moments of (x, e), to the fourth order
    """
    spread = moments.at(2, 0)
    sd = math.sqrt(spread.value)
    k = c.value / sd
    k_error = c.error / sd + abs(k) * (0.5 * spread.relative + EPS)

    def of(i: int, j: int) -> Bounded:
        """E u^i e^j."""
        part = moments.at(i, j)
        share = 0.5 * i * spread.relative
        return Bounded(part.value / sd**i, (part.error + share * abs(part.value)) / sd**i)

    of_k = Bounded(k, k_error)
    variance = combination((1.0, of(0, 2)), (-2.0, of_k, of(1, 2)), (1.0, of_k, of_k, of(2, 2)))
    of_bias = combination((-1.0, of(2, 1)), (1.0, of_k, of(3, 1)))
    unit = _unit(law, mean, variance, of_bias)
    if unit.variance == 0.0:
        return unknown(TWO_VALUES)
    if unit.kind == "none":
        return unit
    third, fourth = of(3, 0).value, of(4, 0).value
    u2e = of(2, 1).value
    following = (
        of(2, 2).value, 3.0 * u2e * u2e, 2.0 * unit.variance, 2.0 * third * of(1, 2).value,
        (fourth - 1.0) * unit.variance,
    )  # fmt: skip
    least = sum(map(abs, following)) / (_MOST_NEXT_ORDER * unit.variance)
    return unit._replace(least_units=least)


def combination(*terms: Any) -> Bounded:
    """A sum of terms with bounds, each a tuple: a coefficient and `Bounded` factors."""
    total, error, size = 0.0, 0.0, 0.0
    for coefficient, *factors in terms:
        value, most = coefficient, abs(coefficient)
        for factor in factors:
            value *= factor.value
            most *= abs(factor.value) + factor.error
        total += value
        error += most - abs(value)
        size += most
    return Bounded(total, error + 8.0 * EPS * size)


def weighted_table(a: Moments, b: Moments) -> Moments:
    """The product of two tables, with its bounds."""
    with np.errstate(over="ignore", invalid="ignore"):
        value = a.value * b.value
        most = (np.abs(a.value) + a.error) * (np.abs(b.value) + b.error)
        return Moments(value, (most - np.abs(value)) + 2.0 * EPS * most)


def _unit(
    law: SampledLaw, mean: Bounded, variance: Bounded, of_bias: Bounded | None = None,
    exactly: bool = False,
) -> UnitTheory:  # fmt: skip
    """The theory from the mean and the variance of one sample; `of_bias` is n times what vanishes.

    `exactly` says that the mean is that under q, so that a bias of 0 is 0 without rounding.
    """
    kind = "exact" if of_bias is None else "asymptotic"
    if not (math.isfinite(mean.value) and math.isfinite(variance.value)):
        return unknown(f"the variance is {TOO_LARGE}")
    if is_nothing(variance, mean.value):
        variance = Bounded(0.0, 0.0)
    elif not variance.relative <= LARGEST_ERROR:
        return unknown(NOT_SETTLED.format(variance.relative))
    bias = mean.value - law.kl.value
    bias_error = mean.error + law.kl.error + EPS * abs(mean.value)
    if exactly and mean.error <= law.kl.error and bias == 0.0:
        bias_error = 0.0
    if abs(bias) <= bias_error:  # as where a clamp never acts
        bias = 0.0
    rmse = math.hypot(bias, math.sqrt(max(variance.value, 0.0)))
    relative = [variance.relative]
    if bias_error:
        relative.append(bias_error / rmse if rmse else 0.0)  # where it is 0, so is the bias
    if max(relative) > LARGEST_ERROR:
        return unknown(NOT_SETTLED.format(max(relative)))
    bias_times_n = 0.0 if of_bias is None else of_bias.value
    if of_bias is not None and of_bias.error:
        size = max(rmse, abs(bias_times_n))
        share = of_bias.error / size if size else 0.0
        if share <= LARGEST_ERROR:
            relative.append(share)
        else:
            bias_times_n = math.nan
    return UnitTheory(
        bias, max(variance.value, 0.0), math.nan, math.nan, bias_times_n, kind,
        relative_error=max(relative),
    )  # fmt: skip
