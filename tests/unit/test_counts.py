"""Counts and vectors of categoricals: the gate, draws, digits, windows and bad input.

What every family owes is in test_families.py, and references of 30 digits in test_adversarial.py.
"""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import special, stats

import mckl
from mckl.draw.streams import Stream
from mckl.estimation.values import ESTIMATORS
from mckl.exact import quotients
from mckl.exact.quotients import MOST_VALUES
from mckl.families.registry import case_pair
from mckl.study.settings import case_setting
from mckl.study.verification import failures


def pair(q, p):
    return case_pair({"q": q, "p": p})


def of(family, **parameters):
    return {"family": family, **parameters}


CASES = {
    "trials": (
        of("binomial", n=[5, 5, 8], p=[0.3, 0.3, 0.6]),
        of("binomial", n=[5, 5, 9], p=0.45),
    ),
    "failures": (
        of("negative-binomial", r=[0.5, 3], mean=2),
        of("negative-binomial", r=[0.8, 2], mean=[2, 2.5]),
    ),
    "across": (of("negative-binomial", r=6, mean=[2, 1]), of("poisson", rate=[2, 1.5])),
    "mixed": (of("beta-binomial", n=6, a=2, b=[2, 3]), of("beta-binomial", n=6, a=1, b=1)),
    "categories": (
        of("categorical", probs=[[0.5, 0.5, 0], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]]),
        of("categorical", logits=[[0, 0, -1], [0, 0, 0], [0, 0, 0]]),
    ),
}


def test_counts_pass_the_gate(run_study):
    settings = [case_setting(name, {"q": q, "p": p}) for name, (q, p) in CASES.items()]
    study = run_study(settings, ["iid"], [*ESTIMATORS], seed=5, samples=256, replicates=60)
    assert failures(study.verification) is None
    quantities = {*study.verification["quantity"]}
    assert {"kl", "log_ratio_variance", "mean", "variance", "std_error"} <= quantities
    by_factor = study.theory[study.theory["estimator"] == "k3-factor"]
    assert {*by_factor["setting"]} == {*CASES}
    assert (study.theory["relative_error"] <= 1e-6).all()


@pytest.mark.parametrize(
    ("given", "law"),
    [
        (of("bernoulli", p=0.2), stats.bernoulli(0.2)),
        (of("binomial", n=40, logit=0.3), stats.binom(40, special.expit(0.3))),
        (of("geometric", p=0.05), stats.geom(0.05, loc=-1)),
        (of("geometric", logit=-2), stats.geom(special.expit(-2), loc=-1)),
        (of("negative-binomial", r=0.4, probs=0.8), stats.nbinom(0.4, 0.2)),
        (of("negative-binomial", dispersion=0.5, mu=3), stats.nbinom(2, 0.4)),
        (of("negative-binomial", r=2, logits=0.7), stats.nbinom(2, special.expit(-0.7))),
        (of("beta-binomial", n=30, a=0.4, b=0.7), stats.betabinom(30, 0.4, 0.7)),
    ],
)
def test_draws_have_the_law(given, law):
    """Pearson's chi-squared test over values with at least five draws expected."""
    draws = 40_000
    (block,) = pair(given, given).form().draw(Stream(np.random.SeedSequence(3)), draws)
    probability = law.pmf(np.arange(500))
    kept = probability * draws >= 5.0
    seen = np.bincount(block[:, 0], minlength=500)[:500]
    observed = np.append(seen[kept], draws - seen[kept].sum())
    expected = draws * np.append(probability[kept], 1.0 - probability[kept].sum())
    some = expected > 0.5
    assert stats.chisquare(observed[some], expected[some] * observed[some].sum()
                           / expected[some].sum()).pvalue > 1e-4  # fmt: skip


def test_an_impossible_value_is_not_drawn():
    q = of("categorical", probs=[[0.5, 0, 0.5], [0, 1, 0]])
    (*blocks,) = pair(q, q).form().draw(Stream(np.random.SeedSequence(3)), 1000)
    drawn = {frozenset(np.unique(block).tolist()) for block in blocks}
    assert drawn == {frozenset((0, 2)), frozenset((1,))}


@pytest.mark.parametrize("trials", [1e3, 1e6])
def test_many_trials_add_up_to_the_kl_of_one(trials):
    """KL of n trials is n times that of one: (1/2) log 2 - (1/2) log 3 + log 2 at 1/2 and 1/4."""
    near = 0.5 * (1 + 1e-8)
    for q, p in ((0.5, 0.25), (0.5, near), (1e-4, 2e-4)):
        if trials > 1e4 and p == 0.25:
            continue  # so far apart that it takes seconds
        law = pair(of("binomial", n=trials, p=q), of("binomial", n=trials, p=p)).law
        odds = math.log1p((q - p) / p) - math.log1p((p - q) / (1 - p))
        one = pair(of("bernoulli", p=q), of("bernoulli", p=p)).law
        assert law.kl == pytest.approx(trials * one.kl, rel=1e-11)
        assert law.variance == pytest.approx(trials * q * (1 - q) * odds**2, rel=1e-11)
        assert law.kl_error <= 1e-10 * law.kl


@pytest.mark.parametrize("change", [1e-8, 0.1])
def test_values_are_left_out_where_many_are_smooth(change):
    """With f = 1 - p, E r^2 = p'^2 / p / (1 - f'^2 / f), and l is linear in the count."""
    one, other = 1e-3, 1e-3 * (1 + change)
    apart = other - one
    found = pair(of("geometric", p=one), of("geometric", p=other))
    assert found.tables[0].ell.size > 40_000
    assert found.tables[0].outcomes.ell.size < 10_000
    slope = math.log1p(apart / (1 - other))
    kl = math.log1p(-apart / other) + slope * (1 - one) / one
    assert found.law.kl == pytest.approx(kl, rel=1e-6 if change < 1e-6 else 1e-12)
    assert found.law.variance == pytest.approx(slope**2 * (1 - one) / one**2, rel=1e-11)
    chi_square = apart**2 / (one * (1 - one) * (1 - (1 - other) ** 2 / (1 - one)))
    block = found.law.block(False, 4)
    assert block.value[2, 0] == pytest.approx(chi_square, rel=1e-11)
    assert block.error[0, 2] < 1e-8 * block.value[0, 2]
    assert block.error[0, 4] < 1e-8 * block.value[0, 4]
    x = np.arange(0.0, 60_000.0)
    weight = one * np.exp(x * math.log1p(-one))
    ell = math.log1p(-apart / other) + slope * x
    k3 = special.expm1(-ell) + ell - kl
    if change > 1e-6:
        assert block.value[0, 4] == pytest.approx(weight @ k3**4, rel=1e-9)
        assert found.law.ell(4).value[3] == pytest.approx(weight @ (ell - kl) ** 3, rel=1e-9)


def test_a_geometric_law_is_a_negative_binomial_one_and_poissons_is_a_limit():
    geometric = pair(of("geometric", p=0.3), of("geometric", mean=2)).law
    other = pair(
        of("negative-binomial", r=1, failure=0.7), of("negative-binomial", n=1, mean=2)
    ).law
    success, p = 0.3, 1 / 3
    kl = math.log(success / p) + (1 - success) / success * math.log((1 - success) / (1 - p))
    assert geometric.kl == pytest.approx(kl, rel=1e-12)
    assert other.kl == pytest.approx(kl, rel=1e-12)
    for r in (1e4, 1e8):
        law = pair(of("poisson", rate=3), of("negative-binomial", r=r, mean=3)).law
        # To leading order l = ((k - mean)^2 - k) / (2 r), of which half the variance is KL.
        assert law.kl == pytest.approx((3.0 / r) ** 2 / 4.0, rel=20.0 / r)


def test_a_vector_is_the_sum_of_its_factors():
    q, p = CASES["categories"]
    rows = [
        pair(of("categorical", probs=a), of("categorical", logits=b))
        for a, b in zip(q["probs"], p["logits"], strict=True)
    ]
    whole = pair(q, p)
    assert whole.law.kl == pytest.approx(sum(row.law.kl for row in rows), rel=1e-13)
    assert whole.law.ell(4).value[2:] == pytest.approx(
        sum(row.law.ell(4).value[2:] for row in rows), rel=1e-12
    )
    assert 1 - whole.law.missed_mass == pytest.approx(
        math.prod(1 - row.law.missed_mass for row in rows)
    )
    assert len(whole.factors) == 2  # equal factors are counted
    assert whole.reverse_kl == math.inf
    advice = mckl.advise(q, p, estimators=["k1", "k3", "k3-factor"])
    assert {row.estimator for row in advice.options} == {"k1", "k3", "k3-factor"}


def test_a_window_holds_all_weights_or_there_is_none():
    """KL of two geometric laws in closed form; what lies beyond 64 values is more than e^-64."""
    q, p = (
        pair(x, x).factors[0][0].quotients for x in (of("geometric", p=0.4), of("geometric", p=0.5))
    )
    exact = math.log(0.4 / 0.5) + 1.5 * math.log(0.6 / 0.5)
    found = quotients.window_of(q, p)
    kl = found.outcomes(q, p)[0].kl
    assert kl.value[0] == pytest.approx(exact, rel=1e-14)
    assert kl.error[0] < 1e-13 * exact
    assert max(found.log_q[-1] - found.log_q.max(), found.log_p[-1] - found.log_p.max()) < -64
    assert quotients.window_of(q, p, most=64) is None


@pytest.mark.parametrize(
    ("q", "p", "message"),
    [
        (
            of("binomial", n=10, p=0.3),
            of("binomial", n=8, p=0.3),
            "p is 0 at 9, where q is not: KL is infinite",
        ),
        (
            of("binomial", n=10, p=0.3),
            of("binomial", n=10, p=0),
            "p is 0 at 1, where q is not: KL is infinite",
        ),
        (
            of("binomial", n=10, p=0.3),
            of("binomial", n=10, p=1),
            "p is 0 at 0, where q is not: KL is infinite",
        ),
        (
            of("geometric", p=0.3),
            of("binomial", n=10, p=0.3),
            "p is 0 at 11, where q is not: KL is infinite",
        ),
        (
            of("binomial", n=10, p=[0.3, 0.2]),
            of("binomial", n=[10, 8], p=0.3),
            "factor 1, counted from 0: p is 0 at 9",
        ),
        (of("binomial", n=2.5, p=0.3), of("poisson", rate=1), "n 2.5, expected a whole number"),
        (of("binomial", n=-1, p=0.3), of("poisson", rate=1), "n -1, expected a number of at least"),
        (of("bernoulli", p=1.5), of("poisson", rate=1), "probability 1.5, .* at most 1"),
        (of("bernoulli", p=1, logit=2), of("poisson", rate=1), "probability and logit, expected"),
        (of("bernoulli"), of("poisson", rate=1), "expected one of probability and logit"),
        (of("geometric", p=0), of("poisson", rate=1), "probability 0, expected a number above 0"),
        (of("negative-binomial", r=1, probs=1), of("poisson", rate=1), "failure 1, .* below 1"),
        (of("beta-binomial", n=3, a=0, b=1), of("poisson", rate=1), "a 0, .* above 0"),
        (of("bernoulli", p=0.5), {"mean": 0, "sd": 1}, "KL is infinite: q is bernoulli, which has"),
        ({"mean": 0, "sd": 1}, of("bernoulli", p=0.5), "KL is infinite: q is normal, which has a"),
        (of("geometric", p=1e-7), of("geometric", p=2e-7), f"more than {MOST_VALUES:,} values"),
        (
            of("binomial", n=2, p=0.5),
            of("categorical", probs=[0.2, 0.3, 0.5]),
            "q is binomial and p is categorical",
        ),
        (
            of("categorical", probs=[[0.5, 0.5], [0.4, 0.4]]),
            of("categorical", probs=[0.5, 0.5]),
            "probabilities of factor 1, counted from 0, add up to 0.8",
        ),
        (
            of("categorical", probs=[0.5, 0.5]),
            of("categorical", probs=[[0.5, 0.5], [1, 0]]),
            "factor 1, counted from 0: categorical: p is 0 in category 1",
        ),
    ],
)
def test_what_has_no_kl_is_refused(q, p, message):
    with pytest.raises(ValueError, match=message) as error:
        pair(q, p)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("q", "p"),
    [
        (of("poisson", rate=4000), of("negative-binomial", r=500, mean=4000)),
        (of("binomial", n=30000, probability=0.3), of("binomial", n=40000, probability=0.225)),
    ],
)
def test_values_far_from_0_are_whole_numbers(q, p):
    """KL and V by sums over whole numbers in 40 digits, where the window starts far from 0."""
    made = pair(q, p)
    law = made.law
    mp = mpmath.MPContext()
    mp.dps = 40
    first, last = (3100, 4900) if q["family"] == "poisson" else (7800, 10200)
    log_q, log_p = _poisson(mp, 4000), _negative_binomial(mp, 500, 4000)
    if q["family"] == "binomial":
        log_q, log_p = _binomial(mp, 30000, mp.mpf(0.3)), _binomial(mp, 40000, mp.mpf(0.225))
    terms = [(mp.exp(log_q(n)), log_q(n) - log_p(n)) for n in range(first, last)]
    kl = mp.fsum(weight * ell for weight, ell in terms)
    v = mp.fsum(weight * (ell - kl) ** 2 for weight, ell in terms)
    assert abs(mp.fsum(weight for weight, _ in terms) - 1) < 1e-25
    assert abs(law.kl - kl) <= law.kl_error <= 2e-8 * law.kl
    of_v = ESTIMATORS["k1"].theory(law, False)
    assert abs(of_v.variance - v) <= of_v.relative_error * v


def _poisson(mp, rate):
    return lambda n: n * mp.log(rate) - rate - mp.loggamma(n + 1)


def _negative_binomial(mp, r, mean):
    success, failure = mp.mpf(r) / (r + mean), mp.mpf(mean) / (r + mean)
    return lambda n: (
        mp.loggamma(n + r) - mp.loggamma(r) - mp.loggamma(n + 1)
        + r * mp.log(success) + n * mp.log(failure)
    )  # fmt: skip


def _binomial(mp, trials, p):
    return lambda n: (
        mp.loggamma(trials + 1) - mp.loggamma(n + 1) - mp.loggamma(trials - n + 1)
        + n * mp.log(p) + (trials - n) * mp.log(1 - p)
    )  # fmt: skip
