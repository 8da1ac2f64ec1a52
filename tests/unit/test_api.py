"""`import mckl`: objects of scipy.stats and torch, callables, arrays of all kinds, `Watch`."""

from __future__ import annotations

import json
import math
import pickle
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import special, stats
from tools import need

import mckl
from mckl.api import registered_formulas
from mckl.api.objects import held
from mckl.cli.commands import main
from mckl.errors import UserError
from mckl.estimation.anytime import half_width
from mckl.families.registry import case_pair

Q = {"mean": 0, "sd": 1}


def told(*words):
    """The text that the command prints."""
    return CliRunner().invoke(main, [*words], catch_exceptions=False).stdout.removesuffix("\n")


def told_json(*words):
    """The JSON that the command prints, less its version."""
    answer = json.loads(told(*words, "--json"))
    assert answer.pop("mckl") == mckl.__version__
    return answer


def kl(q, p):
    return case_pair({"q": q, "p": p}).law.kl


PAIRS = {
    "norm": (
        stats.norm([0, 1], [1, 2]), stats.norm(0, 3),
        {"mean": [0, 1], "sd": [1, 2]}, {"mean": 0, "sd": 3},
    ),
    "Normal": (
        stats.Normal(mu=1.0, sigma=2.0), stats.Normal(),
        {"mean": 1, "sd": 2}, {"mean": 0, "sd": 1},
    ),
    "multivariate_normal": (
        stats.multivariate_normal([0, 1], [[1, 0.5], [0.5, 2]]),
        stats.multivariate_normal([0, 0], 3),
        {"mean": [0, 1], "covariance": [[1, 0.5], [0.5, 2]]},
        {"mean": [0, 0], "covariance": [[3, 0], [0, 3]]},
    ),
    "t": (
        stats.t(5, loc=1), stats.t(5, scale=2),
        {"family": "student-t", "df": 5, "location": 1},
        {"family": "student-t", "df": 5, "scale": 2},
    ),
    "laplace": (
        stats.laplace(1), stats.logistic(0, 2),
        {"family": "laplace", "location": 1}, {"family": "logistic", "scale": 2},
    ),
    "gamma": (
        stats.gamma(2, scale=0.5), stats.expon(scale=3),
        {"family": "gamma", "shape": 2, "rate": 2}, {"family": "gamma", "shape": 1, "rate": 1 / 3},
    ),
    "chi2": (
        stats.chi2(4), stats.gamma(3),
        {"family": "gamma", "shape": 2, "rate": 0.5}, {"family": "gamma", "shape": 3, "rate": 1},
    ),
    "beta": (
        stats.beta(2, 3), stats.beta(1, 1),
        {"family": "beta", "a": 2, "b": 3}, {"family": "beta", "a": 1, "b": 1},
    ),
    "uniform": (
        stats.uniform(1, 2), stats.norm(2, 3),
        {"family": "uniform", "low": 1, "high": 3}, {"mean": 2, "sd": 3},
    ),
    "triang": (
        stats.triang(0.25, 1, 2), stats.uniform(0, 4),
        {"family": "triangular", "low": 1, "mode": 1.5, "high": 3},
        {"family": "uniform", "low": 0, "high": 4},
    ),
    "truncnorm": (
        stats.truncnorm(-1, 2, 0.5, 2), stats.truncnorm(-4, math.inf, 1, 1),
        {"family": "truncated-normal", "mean": 0.5, "sd": 2, "low": -1.5, "high": 4.5},
        {"family": "truncated", "of": {"mean": 1}, "low": -3},
    ),
    "poisson": (
        stats.poisson(3), stats.poisson(4),
        {"family": "poisson", "rate": 3}, {"family": "poisson", "rate": 4},
    ),
    "bernoulli": (
        stats.bernoulli(0.2), stats.bernoulli(0.5),
        {"family": "categorical", "probabilities": [0.8, 0.2]},
        {"family": "categorical", "probabilities": [0.5, 0.5]},
    ),
    "dirichlet": (
        stats.dirichlet([2, 3, 1]), stats.dirichlet([1, 1, 1]),
        {"family": "dirichlet", "concentration": [2, 3, 1]},
        {"family": "dirichlet", "concentration": [1, 1, 1]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_kl_of_scipys_laws_is_that_of_the_family(name):
    q, p, *sides = PAIRS[name]
    assert mckl.kl(q, p) == pytest.approx(kl(*sides), rel=1e-12)
    assert mckl.kl(*sides) == pytest.approx(kl(*sides), rel=1e-12)


@pytest.mark.parametrize(
    "name", ["norm", "t", "gamma", "beta", "multivariate_normal", "uniform", "triang", "truncnorm"]
)
def test_scipys_own_densities_give_the_same_kl(name):
    """The parameters are read correctly: the objects' own log densities give the same KL."""
    q, p, *_ = PAIRS[name]
    z = q.rvs(size=(4000, 2) if name == "norm" else 4000, random_state=np.random.default_rng(1))
    log_q, log_p = q.logpdf(z), p.logpdf(z)
    if name == "norm":
        log_q, log_p = log_q.sum(axis=1), log_p.sum(axis=1)
    found = mckl.from_log_probs(log_q, log_p)["k1"]
    assert abs(found.estimate - mckl.kl(q, p)) < 5 * found.std_error


@pytest.mark.parametrize(
    "law",
    [stats.skewnorm(2), stats.norminvgauss(2, 1), stats.zipf(3)],
)
def test_what_no_family_has_is_not_taken_for_one(law):
    assert held("q", law) is None


def test_kl_raises_where_none_is_known():
    with pytest.raises(ValueError, match=r"no exact KL is known \(no family for q"):
        mckl.kl(stats.skewnorm(2), stats.norm())
    with pytest.raises(ValueError, match="KL is infinite, since p = 0 and q > 0 between -inf"):
        mckl.kl(stats.norm(), stats.gamma(2))
    with pytest.raises(
        ValueError, match=r"no exact KL is known \(q is uniform.* no theory for this pair"
    ):
        mckl.kl(stats.uniform(), stats.lognorm(1))
    with pytest.raises(
        ValueError, match=r"q is uniform on \(0, 1\).*: mckl has no theory for this"
    ):
        mckl.kl({"family": "uniform"}, {"family": "lognormal", "mean": 0, "sd": 1})
    with pytest.raises(ValueError, match="q: normal: unknown parameter"):
        mckl.kl({"mean": 0, "standard_deviation": 1}, {"mean": 0})
    with pytest.raises(ValueError, match="no family for q, an object of class int"):
        mckl.kl(3, stats.norm())


def test_advice_is_that_of_the_command():
    found = mckl.advise(stats.norm(0, 1), stats.norm(1, 1), tolerance=0.01)
    best = found.recommendation
    assert found.kl == 0.5
    assert "<table>" in found._repr_html_()
    assert "<td>k3-factor</td>" in found._repr_html_()
    words = ("advise", "-d", "1", "-o", "-1")
    assert repr(found) == told(*words)
    assert f"Use {best.estimator} over {best.sampler} samples" in repr(found)
    assert found.to_dict() == told_json(*words)
    frame = found.to_frame().set_index(["estimator", "sampler"])
    assert frame.samples_needed[best.estimator, best.sampler] == best.samples_needed
    assert frame.expected_rmse.isna().sum() == sum(o.samples_needed is None for o in found.options)


def test_advice_on_some_estimators_and_samplers():
    q, p = {"mean": [1, 4], "sd": 1}, {"mean": [-3, 2], "sd": 2.5}
    found = mckl.advise(q, p, samplers=["sobol"], estimators=["cv", "k1"])
    assert [option[:2] for option in found.options] == [("k1", "sobol"), ("cv", "sobol")]
    for options, words in (
        ({"estimators": ["k9"]}, "estimator: normal does not have 'k9', expected k1, k2, "),
        ({"samplers": ["halton"]}, "sampler: normal does not have 'halton', expected iid, "),
        (
            {"estimators": ["k3-factor"], "samplers": ["iid-radial"]},
            "'k3-factor' takes sums over factors, expected sampler iid, ",
        ),
    ):
        with pytest.raises(UserError, match=words):
            mckl.advise(q, p, **options)
    again = mckl.advise(q, p, samplers={"sobol"}, estimators=np.array(["cv", "k1"]))
    assert repr(again) == repr(found)


@pytest.mark.parametrize("name", ["samplers", "estimators"])
@pytest.mark.parametrize("value", ["iid", "k1", "", b"iid", 3, None, [3], np.array(3), [["iid"]]])
def test_advice_takes_lists_of_names(name, value):
    with pytest.raises(UserError) as caught:
        mckl.advise(Q, {"mean": 1, "sd": 1}, **{name: value})
    example = {"samplers": "iid", "estimators": "k1"}[name]
    line = f"{name}: '{value}', expected a list of names such as ['{example}']"
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("dimension", "options", "line"),
    [
        (
            30_000, {"sampler": "sobol"},
            "sampler: 'sobol' makes points of at most 21201 numbers, and the pair takes 30000: "
            "use sobol-radial",
        ),
        (2, {"sampler": "halton"}, "sampler: normal does not have 'halton', expected iid, "),
        (2, {"estimator": ""}, "estimator: normal does not have '', expected k1, k2, "),
        (
            2, {"estimator": "k3-factor", "sampler": "iid-radial"},
            "'k3-factor' takes sums over factors, expected sampler iid, ",
        ),
    ],
)  # fmt: skip
def test_what_a_pair_cannot_be_estimated_with_is_refused(dimension, options, line):
    q, p = ({"mean": np.full(dimension, mean), "sd": 1} for mean in (0, 1))
    with pytest.raises(UserError, match=line) as caught:
        mckl.estimate(q, p, **options)
    assert "\n" not in str(caught.value)


def test_kl_is_a_number_that_says_what_it_is_of():
    q, p = {"mean": [1, 4], "sd": 1}, {"mean": [-3, 2], "sd": 2.5}
    found = mckl.kl(q, p)
    assert found == pytest.approx(2.592581463748310, rel=1e-15)
    assert found.reverse.value == pytest.approx(13.417418535, rel=1e-10)
    assert found.symmetrised.value == pytest.approx(16.01, rel=1e-14)
    assert (found.family, found.dimension) == ("normal", 2)
    assert 0 < found.relative_error < 1e-13
    assert pickle.loads(pickle.dumps(found)).reverse == found.reverse
    words = ("kl", "--q-mean", "1,4", "--q-sd", "1", "--p-mean=-3,2", "--p-sd", "2.5")
    assert found.to_dict() == told_json(*words)
    assert "\n".join(found.lines()) == told(*words)
    trials = mckl.kl(stats.geom(0.3), stats.geom(0.5))  # whose reverse is not known
    assert [*trials.lines()] == [f"KL(q||p)  {float(trials):.15g} nats"]
    assert trials.to_dict()["reverse_kl"] is None
    both = mckl.kl(stats.multivariate_normal([0, 0]), stats.multivariate_normal([1, 2]))
    assert (both.dimension, both, both.reverse.value) == (2, 2.5, 2.5)


def test_estimate_of_a_known_pair_uses_theory():
    found = mckl.estimate(stats.norm([0] * 8), stats.norm([0.3] * 8), tolerance=0.05, seed=3)
    assert found.stopped == "tight"
    assert found.exact == pytest.approx(0.36)
    assert found.half_width <= found.target
    assert found.exact.relative_error < 1e-12
    assert f"Exact: {found.exact:.8g}" in repr(found)
    sides = {"mean": 0, "sd": 1}, {"mean": 1, "sd": 2}
    found = mckl.estimate(*sides, tolerance=0.05, seed=3)
    q, p = map(json.dumps, sides)
    words = ("estimate", "--q", q, "--p", p, "-t", "0.05", "--seed", "3")
    assert found.to_dict() == told_json(*words)
    assert repr(found) == told(*words)
    assert mckl.estimate(stats.norm([0] * 64), stats.norm([1] * 64), estimator="k3").withheld


def test_estimate_of_two_callables_finds_kl():
    def sample(n, rng):
        return rng.normal(size=(n, 3))

    def log_q(z):
        return -0.5 * (z**2).sum(axis=1)

    def log_p(z):
        return -0.5 * ((z - 0.2) ** 2).sum(axis=1)

    found = mckl.estimate((sample, log_q), log_p, tolerance=0.02, seed=5)
    assert found.stopped == "tight"
    assert abs(found.estimate - 0.06) < 2.5 * found.half_width
    assert found.samples < 200_000
    assert found.exact is None
    assert found == mckl.estimate((sample, log_q), log_p, tolerance=0.02, seed=5)

    class Both:
        def sample(self, n, rng):
            return sample(n, rng)

        def log_prob(self, z):
            return log_q(z)

    assert mckl.estimate(Both(), (sample, log_p), tolerance=0.02, seed=5) == found


def test_estimate_of_laws_without_a_family_finds_kl():
    q, p = stats.skewnorm(2), stats.norm(0.5, 1.2)
    x = np.linspace(-6, 8, 20_001)
    exact = np.trapezoid(q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), x)
    found = mckl.estimate(q, p, tolerance=0.05, seed=2)
    assert found.stopped == "tight"
    assert abs(found.estimate - exact) < 2.5 * found.half_width
    spent = mckl.estimate(q, p, tolerance=0.001, budget=20_000)
    assert spent.stopped == "budget"
    assert spent.samples <= 20_000


def test_estimate_withholds_what_the_samples_cast_doubt_on():
    z = stats.norm()
    q = (lambda n, rng: rng.normal(size=n), z.logpdf)
    found = mckl.estimate(q, lambda x: z.logpdf(x) + 5, budget=50_000)
    assert found.stopped == "withheld"
    assert found.interval is None
    assert "log_p is not normalised" in found.withheld
    below = mckl.estimate(q, lambda x: z.logpdf(x) - 5, budget=50_000)
    assert "if q has no such zeros, check that p is normalised" in repr(below)
    assert "an event rarer than 3/" in below.unseen


TRIL = {"mean": 0, "scale_tril": [[1, 0], [1, 1]]}


@pytest.mark.parametrize(
    ("q", "p", "line"),
    [
        (
            {"mean": [1, 2], "sd": 1},
            {"mean": [1, 2, 3], "sd": 1},
            "q has 2 coordinates and p has 3",
        ),
        (TRIL, {"mean": 0, "sd": [1, 2, 3]}, "normal: q has 2 coordinates and p has 3"),
        ({**TRIL, "mean": [1, 2, 3]}, Q, "q: normal: 3 numbers of mean and 2 rows of scale_tril"),
        ({**TRIL, "scale_tril": [[1, 1], [0, 1]]}, Q, "scale_tril, expected a lower triangular"),
        ({**TRIL, "scale_tril": [[1, 0], [1, 0]]}, Q, "scale_tril, expected a lower triangular"),
        ({**TRIL, "scale_tril": [[1, 0]]}, Q, "scale_tril has shape (1, 2), expected a square"),
        ({**TRIL, "sd": 1}, Q, "normal: expected one of sd, covariance or scale_tril"),
        (
            {"mean": 0, "covariance": [[1, 0], [0, math.nan]]},
            Q,
            "covariance nan (row 2, column 2, from 1), expected a finite number",
        ),
        ({"mean": [0, math.nan], "sd": 1}, Q, "mean nan (number 2 of 2), expected a finite number"),
        ({"mean": 0, "sd": -1}, Q, "q: normal: sd -1, expected a number above 0"),
        (stats.norm(0, math.nan), Q, "q: normal: sd nan, expected a finite number"),
        (
            stats.bernoulli([0.5, math.nan]),
            stats.bernoulli(0.5),
            "q: bernoulli: probability nan (number 2 of 2)",
        ),
        (
            stats.binom(5, 0.3),
            stats.binom(4, 0.3),
            "p is 0 at 5, where q is not: KL is infinite",
        ),
        (stats.poisson(3), Q, "KL is infinite: q is poisson, which has no density, and p is"),
        (Q, stats.poisson(3), "KL is infinite: q is normal, which has a density, and p is"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(q, p, line):
    with pytest.raises(UserError, match=re.escape(line)) as error:
        mckl.kl(q, p)
    assert "\n" not in str(error.value)


def test_a_factor_keeps_the_digits_that_the_covariance_loses():
    """L_p^-1 L_q = diag(1, 1/2), so KL is log 2 - 3/8; both covariances are singular in float64."""
    q, p = ({"mean": 0, "scale_tril": [[1, 0], [1, e]]} for e in (1e-9, 2e-9))
    assert mckl.kl(q, p) == pytest.approx(math.log(2) - 0.375, rel=1e-14)
    ratio = 1e-9 * (1 + 1e-6) / 1e-9 - 1  # as float64 has it
    near = {"mean": 0, "scale_tril": [[1, 0], [1, 1e-9 * (1 + 1e-6)]]}
    assert mckl.kl(near, q) == pytest.approx(ratio**2 * (1 - ratio / 3), rel=1e-9)
    # L^-1 (1e-9, 1e-9) = (1e-9, 0)
    assert mckl.kl({**q, "mean": 1e-9}, q) == pytest.approx(0.5e-18, rel=1e-14)


def test_a_factor_gives_what_its_covariance_gives():
    rng = np.random.default_rng(1)
    roots = [np.tril(rng.normal(size=(4, 4))) + 2 * np.eye(4) for _ in range(2)]
    means = rng.normal(size=(2, 4))
    one, other = (
        case_pair(
            {side: {"mean": m, key: make(r)} for side, m, r in zip("qp", means, roots, strict=True)}
        )
        for key, make in (("scale_tril", lambda r: r), ("covariance", lambda r: r @ r.T))
    )
    assert one.law.ell(4).value == pytest.approx(other.law.ell(4).value, rel=1e-11)
    assert one.reverse_kl == pytest.approx(other.reverse_kl, rel=1e-11)
    assert [*one.integrals()[:2]] == pytest.approx(one.law.ell(2).value[1:], rel=1e-12)
    mixed = case_pair({"q": {"mean": means[0], "scale_tril": roots[0]}, "p": {"mean": 0, "sd": 2}})
    whole = {"mean": means[0], "covariance": roots[0] @ roots[0].T}
    assert mixed.law.kl == pytest.approx(mckl.kl(whole, {"mean": 0, "sd": 2}), rel=1e-12)


@pytest.mark.parametrize(
    ("q", "p", "expected"),
    [
        (stats.bernoulli([0.3, 0.7]), stats.bernoulli([0.5, 0.5]), 0.16456575701010369),
        (stats.bernoulli([0.3, 0.7]), stats.bernoulli(0.5), 0.16456575701010369),
        (stats.geom(0.3), stats.geom(0.30001), 7.9364071587999436e-10),
        (stats.binom([5, 6], 0.3), stats.binom([5, 6], 0.5), 11 * 0.08228287850505185),
        (stats.bernoulli([0.3, 0.7]), stats.binom(1, 0.5), 0.16456575701010369),
        (stats.geom(0.3, loc=-1), stats.nbinom(1, 0.5), 0.2742762616835062),
        (stats.nbinom([2, 6], 0.3), stats.nbinom([2, 6], 0.5), 8 * 0.2742762616835062),
        (stats.betabinom(7, 1, 1), stats.betabinom(7, 1, 1), 0.0),
        # KL of one trial, divided by 1e-7
        (stats.geom(1e-7), stats.geom(2e-7), 0.30685286944006285),
        (stats.betabinom(1, 3, 7), stats.bernoulli(0.5), 0.08228287850505185),
        (stats.poisson([3, 7]), stats.poisson([4, 5]), 0.4922594389931477),
        (stats.norm(np.zeros((2, 3))), stats.norm([1, 1, 1]), 3.0),
        (stats.lognorm([1, 0.5]), stats.lognorm([1, 1]), math.log(2) - 0.375),
        (
            stats.multivariate_normal([0, 0], stats.Covariance.from_cholesky([[1, 0], [1, 1e-9]])),
            stats.multivariate_normal([0, 0], stats.Covariance.from_cholesky([[1, 0], [1, 2e-9]])),
            math.log(2) - 0.375,
        ),
    ],
)
def test_vectors_and_matrices_of_scipys_laws(q, p, expected):
    assert mckl.kl(q, p) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("q", "p", "exact"),
    [
        (stats.bernoulli([0.3, 0.7]), stats.bernoulli([0.5, 0.5]), 0.16456575701010369),
        (stats.lognorm([1, 0.5]), stats.lognorm([1, 1]), math.log(2) - 0.375),
        (stats.vonmises([1, 0.5]), stats.vonmises([1, 1]), None),
        (stats.gamma(2), stats.norm(), 2.3417228683031395),
        (stats.norm(np.zeros((2, 3))), stats.norm([1, 1, 1]), 3.0),
    ],
)
def test_what_kl_recommends_works(q, p, exact):
    """`estimate` draws samples of every object for which `kl` knows no number, and of vectors."""
    found = mckl.estimate(q, p, tolerance=0.1, seed=3)
    if exact is None:  # von Mises: KL is the mean of log q - log p = (kappa - kappa') cos z + const
        i = [special.ive(n, k) * math.exp(k) for n, k in ((1, 0.5), (0, 0.5), (0, 1.0))]
        exact = (0.5 - 1.0) * i[0] / i[1] - math.log(i[1]) + math.log(i[2])
    assert abs(found.estimate - exact) <= 2.5 * found.half_width


def test_kernel_density_estimates_are_sampled():
    """Against the mean of l over samples that SciPy draws, in its own shapes."""
    data, n = np.random.default_rng(1).normal(size=(2, 50)), 200_000
    plane, line = stats.gaussian_kde(data), stats.gaussian_kde(data[0])
    flat, wide = stats.multivariate_normal([0, 0]), stats.norm(0, 1.5)
    columns = plane.resample(n, seed=5)
    (row,) = line.resample(n, seed=5)
    narrow = stats.norm(0, 0.8)
    drawn = narrow.rvs(n, random_state=5)
    for q, p, ell in (
        (plane, flat, plane.logpdf(columns) - flat.logpdf(columns.T)),
        (line, wide, line.logpdf(row) - wide.logpdf(row)),
        (narrow, line, narrow.logpdf(drawn) - line.logpdf(drawn)),
    ):
        found = mckl.estimate(q, p, tolerance=0.2, seed=3)
        assert found.interval is not None
        assert abs(found.estimate - ell.mean()) < 3 * found.half_width


def test_the_interval_of_a_constant_estimator_contains_kl():
    """An antithetic pair of k1 is KL if p is q shifted, and a sample of rb if tokens are alike."""
    rng = np.random.default_rng(0)
    for _ in range(12):
        size, sd = int(rng.integers(1, 50)), np.exp(rng.normal())
        mean = rng.normal(size=size) * 10 ** rng.uniform(-6, 0)
        q, p = {"mean": mean, "sd": sd}, {"mean": 0, "sd": sd}
        found = mckl.estimate(q, p, estimator="k1", sampler="antithetic")
        assert found.interval[0] <= found.exact <= found.interval[1]
        assert found.half_width <= 1e-8 * found.exact
        tables = [[row] * 3 for row in rng.dirichlet([1, 1, 1], size=2).tolist()]
        q, p = ({"family": "policy", "transitions": table} for table in tables)
        found = mckl.estimate({**q, "dimension": size}, p, estimator="rb")
        assert found.interval[0] <= found.exact <= found.interval[1]


def test_a_constant_ratio_that_is_not_1_gives_k3_no_interval():
    """k3 is KL less the mass of p that no sample has shown, and its samples do not vary."""
    q = (lambda n, rng: (rng.random(n) < 1e-9) * 1, lambda z: np.where(z, np.log(1e-9), -1e-9))
    p = lambda z: np.full(len(z), np.log(0.5))  # noqa: E731
    found = mckl.estimate(q, p, budget=10_000)
    assert found.estimator == "k1"
    assert abs(found.estimate - np.log(2.0)) < 1e-7
    k3 = mckl.estimate(q, p, estimator="k3", budget=10_000)
    assert k3.interval is None
    assert "the mean of p/q is 0.5 ± 0, and k3 takes it as 1" in repr(k3)


def test_samples_that_are_all_alike_are_not_called_swapped_without_proof():
    """So small a log ratio below 0 is what q gives where it has most of its mass."""
    ell = np.log1p(-1e-5)
    found = mckl.from_log_probs(np.full(8192, ell), np.zeros(8192))
    assert all(row.interval is None for row in found.estimates)
    # With a probability of e^-45 at most.
    assert "swapped" in mckl.from_log_probs(np.full(50, -1.0), np.full(50, -0.1)).why


@pytest.mark.parametrize("p", [[0.999, 1e-3], [1.0, 1e-300]])
def test_cv_of_two_values_is_kl_only_once_both_are_drawn(p):
    q = {"family": "categorical", "probabilities": [1.0 - 1e-9, 1e-9]}
    p = {"family": "categorical", "probabilities": p}
    rows = [o for o in mckl.advise(q, p).options if o.estimator in ("cv", "cv-factor")]
    assert [row.samples_needed for row in rows] == [None, None]
    assert mckl.estimate(q, p, tolerance=1e-3).interval is None


NORMAL = (lambda n, rng: rng.normal(size=n), lambda z: -0.5 * z**2)


@pytest.mark.parametrize(
    ("q", "p", "words"),
    [
        (NORMAL, lambda z: z[:, None], r"p: log_prob gave shape \(4096, 1\) for 4096 samples"),
        (NORMAL, lambda z: 0.0, r"p: log_prob gave shape \(\) for 4096 samples"),
        (NORMAL, lambda z: z @ np.ones((3, 3)), "p: log_prob fails at samples of q"),
        (NORMAL, stats.expon(), "log_p: row . is -inf: KL is infinite"),
        (NORMAL, lambda z: np.full(z.size, np.nan), "log_p: row 0 is not a number"),
        (
            (lambda n, rng: rng.normal(size=(2, n)), NORMAL[1]), NORMAL[1],
            r"q: sample\(4096, rng\) gave shape \(2, 4096\)",
        ),
        (NORMAL, 3, "p: an object of class int"),
        (NORMAL[1], NORMAL[1], "q: an object of class function"),
        ({"mean": 0}, NORMAL, "q is a mapping and p an object"),
        (
            stats.multivariate_normal([0, 0]), stats.multivariate_normal([0, 0, 0]),
            "normal: q has 2 coordinates and p has 3",
        ),
        (stats.norm([0, 1]), stats.norm([0, 1, 2]), r"q has shape \(2,\) and p has shape \(3,\)"),
        (stats.norm([0, 1], [1, 2, 3]), stats.norm(), "q: the parameters of scipy.stats' norm"),
        (
            stats.skewnorm(1), stats.norm([0, 1, 2]),
            r"a sample of q has shape \(\), of p \(3,\), expected one shape",
        ),
        (
            stats.skewnorm([1, 2]), stats.skewnorm([1, 2, 3]),
            r"a sample of q has shape \(2,\), of p \(3,\), expected one shape",
        ),
    ],
)  # fmt: skip
def test_bad_objects_are_refused_in_one_line(q, p, words):
    with pytest.raises(ValueError, match=words) as error:
        mckl.estimate(q, p)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"log_p": [-1.0] * 9}, r"log_p: shape \(9,\), expected \(10,\) as of log_q"),
        ({"sequence": [1] * 11}, r"sequence: shape \(11,\), expected \(10,\): one id a row"),
        ({"log_q": [], "log_p": []}, "log_q: no values"),
        ({"log_q": ["a"] * 10}, "log_q: values of type .*, expected numbers"),
        ({"log_q": [None] * 9 + ["a"]}, "log_q: some values are not numbers"),
        (
            {"log_q": [[1.0], [1.0, 2.0]]},
            r"log_p: shape \(10,\), expected \(2, lists\) as of log_q",
        ),
        ({"full_kl": [0.0] * 10}, "full_kl: only with sequences"),
        ({"mask": [True] * 10}, "mask: only with arrays of shape"),
        ({"tolerance": 0.0}, "tolerance: 0, expected a number greater than 0"),
        ({"absolute": -1.0}, "absolute: -1, expected a number greater than 0"),
        ({"confidence": 95}, "confidence: 95, expected a number between 0 and 1"),
        ({"estimator": "k9"}, "estimator: 'k9', expected one of k1, k2, k3, cv here"),
        ({"estimator": "rb"}, "estimator: 'rb', expected one of"),
        ({"log_q": None}, "log_q: missing"),
    ],
)
def test_bad_arrays_are_refused_in_one_line(changes, words):
    given = {"log_q": [-1.0] * 10, "log_p": [-1.0] * 10} | changes
    with pytest.raises(ValueError, match=words) as error:
        mckl.from_log_probs(given.pop("log_q"), given.pop("log_p"), **given)
    assert "\n" not in str(error.value)


def test_arrays_of_every_library_give_the_same():
    z = np.random.default_rng(1).normal(size=600)
    q, p = -0.5 * z**2, -0.5 * (z - 0.3) ** 2
    expected = mckl.from_log_probs(q, p).to_dict()
    assert mckl.from_log_probs(list(q), pd.Series(p)).to_dict() == expected
    index = pd.Index(np.arange(600)[::-1])
    assert mckl.from_log_probs(pd.Series(q, index), pd.Series(p)).to_dict() == expected


def test_padded_arrays_are_sequences():
    rng = np.random.default_rng(2)
    log_q = -1 - rng.random((50, 20))
    log_p = log_q - 0.1 * rng.normal(size=(50, 20)) - 0.01
    mask = np.arange(20) < rng.integers(3, 20, 50)[:, None]
    found = mckl.from_log_probs(log_q, np.where(mask, log_p, np.nan), mask=mask)
    ids = np.repeat(np.arange(50), mask.sum(axis=1))
    flat = mckl.from_log_probs(log_q[mask], log_p[mask], sequence=ids)
    assert found.to_dict() == flat.to_dict()
    assert (found.rows, found.units) == (mask.sum(), 50)


def test_a_result_is_readable_and_plain():
    ids = np.repeat(np.arange(400), 10)
    ell = 0.02 + 0.2 * np.random.default_rng(3).normal(size=4000)
    found = mckl.from_log_probs(ell, 0 * ell, sequence=ids)
    text = repr(found)
    assert "natural logarithms assumed" in text
    assert "4,000 tokens in 400 sequences" in text
    assert "Trust" in text
    assert found.per_token.per == "token"
    assert found.kl == pytest.approx(10 * found.per_token.estimate)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["trusted"] == found.trusted
    assert len(plain["estimates"]) == len(found.estimates)
    assert "<td>k3-factor</td>" in found._repr_html_()
    frame = found.to_frame()
    assert [*frame.columns] == [
        "estimator", "per", "estimate", "std_error", "low", "high", "trusted", "reason",
    ]  # fmt: skip
    best = frame[frame.trusted & (frame.per == "sequence")]
    assert [(row.estimate, row.low, row.high) for row in best.itertuples()] == [
        (found.kl, *found.interval)
    ]
    assert plain["diagnostics"]["mean_ratio"]["mean"] == found.diagnostics.mean_ratio.mean
    with pytest.raises(AttributeError):
        found.kl = 1.0
    with pytest.raises(KeyError, match="expected one of k1"):
        found["k9"]


def test_samples_needed_are_those_at_which_the_interval_is_short_enough():
    rng = np.random.default_rng(4)

    def needed(n):
        z = rng.normal(size=n)
        return mckl.from_log_probs(-0.5 * z**2, -0.5 * (z - 1) ** 2, tolerance=0.02)["k1"]

    few = needed(2000).samples_needed
    assert few[1] < few[0] < few[2]
    # (1.96 sd / (tolerance KL))^2 with an sd of 1 and a KL of 1/2; the interval is of 95 %.
    exact = (1.96 / 0.01) ** 2
    inside = [n[1] <= exact <= n[2] for n in (needed(2000).samples_needed for _ in range(40))]
    assert sum(inside) >= 31  # P(fewer) < 1e-4 for a coverage of 0.95
    assert needed(int(2 * exact)).interval[1] < 0.5 * 1.04


def test_import_is_light():
    code = (
        "import sys, mckl; assert not {'numpy', 'scipy', 'click'} & {*sys.modules}; "
        "assert {'kl', 'Watch'} <= {*dir(mckl)}; mckl.kl; "
        "assert not {'torch', 'tensorflow', 'pandas', 'pyarrow'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'kls'"):
        _ = mckl.kls


def batches(rng, count, size, offset=0.5):
    for _ in range(count):
        z = rng.normal(size=size)
        yield -0.5 * z**2, -0.5 * (z - offset) ** 2


def test_a_watch_is_the_same_however_its_data_come():
    rng = np.random.default_rng(5)
    data = [*batches(rng, 6, 300)]
    one, left, right = (mckl.Watch(estimator="k3") for _ in range(3))
    for i, (q, p) in enumerate(data):
        one.update(q, p)
        (left if i % 2 else right).update(q, p)
    state = json.loads(json.dumps(left.state()))
    left = mckl.Watch.from_state(state)
    left.merge(right)
    left.merge(mckl.Watch(estimator="k3"))
    a, b = one.look(), left.look()
    assert a.samples == b.samples == 1800
    assert (a.estimate, a.std_error) == pytest.approx((b.estimate, b.std_error), rel=1e-12)
    assert a.interval == pytest.approx(b.interval, rel=1e-12)
    z = np.concatenate([q - p for q, p in data])
    assert a.estimate == pytest.approx((np.expm1(-z) + z).mean(), rel=1e-12)
    with pytest.raises(ValueError, match="other options"):
        one.merge(mckl.Watch())
    with pytest.raises(ValueError, match="not that of a watch"):
        mckl.Watch.from_state({"estimator": "k1"})


def test_a_watch_covers_at_all_times_and_a_peeked_interval_does_not():
    rng = np.random.default_rng(6)
    runs, most, start = 400, 20_000, 100
    missed = peeked = 0
    n = np.arange(1, most + 1)
    half = np.array([half_width(int(m), 1.0, 0.95, 10 * start) for m in n])
    for _ in range(runs):
        ell = 0.5 + rng.normal(size=most)  # q and p normal with the offset 1
        mean = ell.cumsum() / n
        sd = np.sqrt(np.maximum((ell**2).cumsum() / n - mean**2, 0) * n / np.maximum(n - 1, 1))
        off = np.abs(mean - 0.5)[start:]
        missed += bool((off > (half * sd)[start:]).any())
        peeked += bool((off > (1.96 * sd / np.sqrt(n))[start:]).any())
    assert missed <= 32  # P(more) < 1e-6 at a level of 0.05 would be 45
    assert peeked > 0.4 * runs


def test_a_watch_looks_as_the_formula_says_and_withholds():
    watch = mckl.Watch(estimator="k3", start=500)
    rng = np.random.default_rng(7)
    (first,) = batches(rng, 1, 400)
    assert watch.update(*first).interval is None
    (second,) = batches(rng, 1, 400)
    seen = watch.update(*second)
    sd = seen.std_error * math.sqrt(800)
    half = (seen.interval[1] - seen.interval[0]) / 2
    assert half == pytest.approx(half_width(800, sd, 0.95, 5000))
    far = mckl.Watch(estimator="k3")
    for q, p in batches(rng, 5, 400, offset=9.0):
        seen = far.update(q, p)
    assert seen.interval is None
    assert "the mean of p/q" in seen.withheld
    by_token = mckl.Watch(estimator="k3-factor")
    with pytest.raises(ValueError, match="sequence is missing"):
        by_token.update(*first)
    seen = by_token.update(*first, sequence=np.repeat(np.arange(200), 2))
    assert seen.samples == 200
    with pytest.raises(ValueError, match="expected one of k1, k3"):
        mckl.Watch(estimator="cv")


def test_a_bad_batch_changes_nothing():
    watch = mckl.Watch()
    (good,) = batches(np.random.default_rng(8), 1, 20_000)
    watch.update(*good)
    before = watch.state()
    bad = good[1].copy()
    bad[-1] = -math.inf
    with pytest.raises(UserError, match="row 19999 is -inf"):
        watch.update(good[0], bad)
    assert watch.state() == before


def test_torchs_laws_and_arrays():
    need("torch", find_spec("torch"))
    import torch
    from torch import distributions as d

    t = d.transforms
    torch.manual_seed(20171127)
    pairs = [
        (d.Normal(torch.tensor([0.0, 1.0]), 1.0), d.Normal(torch.zeros(2), 2.0)),
        (
            d.Independent(d.Normal(torch.zeros(3), 1.0), 1),
            d.Independent(d.Normal(torch.ones(3), 2.0), 1),
        ),
        (
            d.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.5], [0.5, 2.0]])),
            d.MultivariateNormal(torch.ones(2), torch.eye(2)),
        ),
        (d.Gamma(torch.tensor(2.0), torch.tensor(1.0)), d.Exponential(torch.tensor(0.5))),
        (
            d.Beta(torch.tensor(2.0), torch.tensor(3.0)),
            d.Beta(torch.tensor(1.0), torch.tensor(1.0)),
        ),
        (d.Poisson(torch.tensor(3.0)), d.Poisson(torch.tensor(4.0))),
        (d.Categorical(probs=torch.tensor([0.7, 0.3])), d.Categorical(logits=torch.zeros(2))),
        (d.Dirichlet(torch.tensor([2.0, 3.0])), d.Dirichlet(torch.ones(2))),
        (d.Laplace(torch.tensor(0.0), 1.0), d.Laplace(torch.tensor(1.0), 2.0)),
        (d.Bernoulli(torch.tensor(0.3)), d.Bernoulli(torch.tensor(0.5))),
        (d.Geometric(torch.tensor(0.3)), d.Geometric(torch.tensor(0.5))),
        (d.Binomial(10, torch.tensor(0.3)), d.Binomial(10, torch.tensor(0.5))),
        (d.Bernoulli(torch.tensor(0.5)), d.Poisson(torch.tensor(3.0))),
        (
            d.Independent(d.Categorical(logits=torch.zeros(4, 5)), 1),
            d.Independent(d.Categorical(logits=torch.eye(5)[:4]), 1),
        ),
        (d.LogNormal(torch.tensor(0.0), 1.0), d.LogNormal(torch.tensor(1.0), 2.0)),
        (d.OneHotCategorical(torch.ones(3)), d.OneHotCategorical(logits=torch.arange(3.0))),
        # Batches of laws: torch's KLs are added up.
        (d.Normal(torch.zeros(2, 3), 1.0), d.Normal(torch.ones(3), 2.0)),
        (d.Bernoulli(torch.tensor([[0.3, 0.4]])), d.Bernoulli(torch.tensor([[0.5, 0.6]]))),
        (d.Categorical(logits=torch.zeros(4, 5)), d.Categorical(logits=torch.eye(5)[:4])),
        (d.Dirichlet(torch.ones(3, 2)), d.Dirichlet(torch.tensor([2.0, 3.0]))),
        (
            d.MultivariateNormal(torch.zeros(3, 2), torch.eye(2)),
            d.MultivariateNormal(torch.ones(2), precision_matrix=torch.eye(2) + 1),
        ),
        (
            d.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), torch.ones(3)),
            d.MultivariateNormal(torch.ones(3), scale_tril=torch.eye(3) * 2),
        ),
        # Bijections of other laws
        (d.InverseGamma(torch.tensor(3.0), 2.0), d.InverseGamma(torch.tensor(2.0), 1.0)),
        (d.Pareto(torch.tensor(2.0), 1.5), d.Pareto(torch.tensor(2.0), 1.2)),
        (d.HalfNormal(torch.tensor(2.0)), d.HalfNormal(torch.tensor(3.0))),
        (d.HalfCauchy(torch.tensor(2.0)), d.HalfCauchy(torch.tensor(3.0))),
        *(
            tuple(d.TransformedDistribution(law, transforms) for law in laws)
            for laws in (
                (d.Normal(torch.tensor(0.0), 1.0), d.Normal(torch.tensor(1.0), 2.0)),
                (d.Gamma(torch.tensor(2.0).double(), 1), d.Gamma(torch.tensor(3.0).double(), 2)),
                (
                    d.MultivariateNormal(torch.zeros(2), torch.eye(2) + 1),
                    d.MultivariateNormal(torch.ones(2), torch.eye(2)),
                ),
            )
            for transforms in (
                [t.ExpTransform()],
                [t.AffineTransform(1.0, -3.0), t.SigmoidTransform()],
                [t.ComposeTransform([t.TanhTransform(), t.SoftplusTransform()])],
            )
        ),
        # torch's own formulas, in float64
        (d.Gumbel(torch.tensor(0.0), 1.0), d.Gumbel(torch.tensor(1.0), 2.0)),
        (d.Gamma(torch.tensor(2.0), 1.0), d.Normal(torch.tensor(0.0), 1.0)),
        (d.Cauchy(torch.zeros(2, 3), 1.0), d.Cauchy(torch.ones(3), 2.0)),
        (d.ContinuousBernoulli(torch.tensor([0.3, 0.5])), d.ContinuousBernoulli(torch.tensor(0.7))),
    ]
    for q, p in pairs:
        expected = float(d.kl_divergence(q, p).double().sum())
        assert mckl.kl(q, p) == pytest.approx(expected, rel=2e-6)
    # No formula in torch: the same laws by other names
    log = d.TransformedDistribution(d.Gamma(torch.tensor(2.0), 1.0), [t.ExpTransform().inv])
    assert mckl.kl(log, d.Gumbel(torch.tensor(0.0), 1.0)) == pytest.approx(
        mckl.kl({"transform": "log", "of": {"family": "gamma", "shape": 2}}, {"family": "gumbel"})
    )
    q, p = d.Weibull(torch.tensor(2.0), torch.tensor(1.5)), d.FisherSnedecor(3.0, torch.tensor(4.0))
    sides = {"family": "weibull", "scale": 2, "shape": 1.5}, {"family": "f", "df1": 3, "df2": 4}
    assert mckl.kl(q, p) == pytest.approx(mckl.kl(*sides))
    for q, p in (
        [
            d.TransformedDistribution(d.Normal(torch.tensor(m), 1.0), [t.AbsTransform()])
            for m in (1.0, -1.0)
        ],
        [
            d.TransformedDistribution(d.Normal(torch.tensor(m), 1.0), [t.PowerTransform(2.0)])
            for m in (1.0, -1.0)
        ],
    ):  # torch has 2, as if these were bijections
        assert d.kl_divergence(q, p) == 2.0
        with pytest.raises(UserError):
            mckl.kl(q, p)
    q, p = d.StudentT(torch.tensor(5.0)), d.StudentT(torch.tensor(5.0), 1.0)
    assert mckl.kl(q, p) == pytest.approx(mckl.kl(stats.t(5), stats.t(5, loc=1)))
    q, p = d.VonMises(torch.tensor(0.0), torch.tensor(1.0)), d.VonMises(0.0, torch.tensor(2.0))
    found = mckl.estimate(q, p, tolerance=0.1)
    z = q.sample((40_000,))
    ell = (q.log_prob(z) - p.log_prob(z)).double()
    assert abs(found.estimate - float(ell.mean())) < 3 * found.half_width
    assert found == mckl.estimate(q, p, tolerance=0.1)
    log_q = torch.tensor([[-1.0, -2.0]], dtype=torch.bfloat16, requires_grad=True)
    told = mckl.from_log_probs(log_q, log_q.detach() - 0.5)
    assert told["k1"].estimate == 1.0


def test_torchs_float32_laws_are_computed_in_float64():
    need("torch", find_spec("torch"))
    """The numbers by mpmath with 50 digits, for the parameters as float32 stores them."""
    import torch
    from torch import distributions as d

    half = d.Bernoulli(torch.tensor(0.5))
    for logit, expected in ((12.0, 5.3068589636335324), (17.0, 7.806852860839431)):
        p = d.Bernoulli(logits=torch.tensor(logit))
        assert mckl.kl(half, p) == pytest.approx(expected, rel=1e-14)
        both = torch.tensor([0.0, logit])
        assert mckl.kl(d.Categorical(torch.ones(2)), d.Categorical(logits=both)) == pytest.approx(
            expected,
            rel=1e-6,  # torch subtracts the logarithm of the sum in float32
        )
        p.probs  # noqa: B018 - torch keeps what it has computed beside what it was given
        assert mckl.kl(half, p) == pytest.approx(expected, rel=1e-14)
    double = torch.float64
    q, p = (d.Geometric(torch.tensor(x, dtype=double)) for x in (0.3, 0.30001))
    assert mckl.kl(q, p) == pytest.approx(7.9364071587999436e-10, rel=1e-10)
    q, p = (d.Geometric(torch.tensor(x)) for x in (0.3, 0.30001))
    assert mckl.kl(q, p) == pytest.approx(7.9106788331056895e-10, rel=1e-10)
    q, p = (d.Geometric(torch.tensor(x, dtype=double)) for x in (1e-12, 2e-12))
    assert mckl.kl(q, p) == pytest.approx(1 - math.log(2), rel=1e-11)  # torch gives 0.3101
    q, p = (d.Binomial(10, torch.tensor(x, dtype=double)) for x in (1.0, 0.5))
    assert mckl.kl(q, p) == pytest.approx(10 * math.log(2), rel=1e-14)  # torch gives -inf
    q, p = (d.NegativeBinomial(3, torch.tensor(x, dtype=double)) for x in (0.3, 0.5))
    assert mckl.kl(q, p) == pytest.approx(
        mckl.kl(stats.nbinom(3, 0.7), stats.nbinom(3, 0.5)), rel=1e-13
    )
    q, p = (d.NegativeBinomial(3, logits=torch.tensor(x, dtype=double)) for x in (-1.0, 0.5))
    torch.manual_seed(1)
    z = q.sample((40_000,))
    ell = q.log_prob(z) - p.log_prob(z)
    assert abs(float(ell.mean()) - mckl.kl(q, p)) < 5 * float(ell.std()) / 200
    q, p = (d.ContinuousBernoulli(logits=torch.tensor(x)) for x in (-400.0, 30.0))
    assert mckl.kl(q, p) == pytest.approx(31.515267165445733, rel=1e-12)
    q, p = (d.Gumbel(torch.tensor(x), 1.0) for x in (0.0, 1.0))
    assert mckl.kl(q, p) == pytest.approx(math.e - 2, rel=1e-14)
    nan = d.Bernoulli(logits=torch.tensor([0.0, math.nan]), validate_args=False)
    with pytest.raises(UserError, match=r"q: bernoulli: logit nan \(number 2 of 2\)"):
        mckl.kl(nan, half)


def test_torchs_factors_are_not_multiplied():
    need("torch", find_spec("torch"))
    """Along (1, -1) the variances are 1e-18 and 2e-18, and elsewhere q and p are alike."""
    import torch
    from torch import distributions as d

    ones = torch.ones(2, dtype=torch.float64)
    q, p = (d.LowRankMultivariateNormal(0 * ones, ones[:, None], e * ones) for e in (1e-18, 2e-18))
    assert mckl.kl(q, p) == pytest.approx(0.5 * (math.log(2) - 0.5), rel=1e-6)
    q, p = (
        d.MultivariateNormal(
            0 * ones, scale_tril=torch.tensor([[1, 0], [1, e]], dtype=torch.float64)
        )
        for e in (1e-9, 2e-9)
    )
    assert mckl.kl(q, p) == pytest.approx(math.log(2) - 0.375, rel=1e-14)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (-1.2e-7, "torch gives -1.2e-07, which KL cannot be"),
        (math.nan, "torch gives nan, which KL cannot be"),
        (18.2545, r"torch gives 18.2545, but its samples give 0\.1[78].* with a standard error"),
        (0.15, r"torch gives 0.15, but its samples give 0\.1[78]"),
        (math.inf, "KL is infinite by the formula of torch"),
    ],
)
def test_a_registered_kl_that_samples_contradict_is_not_given(monkeypatch, number, words):
    need("torch", find_spec("torch"))
    import torch
    from torch import distributions as d

    q, p = d.Beta(torch.tensor(2.0), torch.tensor(3.0)), d.ContinuousBernoulli(torch.tensor(0.3))
    assert mckl.kl(q, p) == pytest.approx(0.17991298700115543, rel=1e-6)  # of float32's 0.3
    wrong = torch.tensor(number, dtype=torch.float64)
    monkeypatch.setattr(d, "kl_divergence", lambda q, p: wrong)
    with pytest.raises(UserError, match=words) as error:
        mckl.kl(q, p)
    assert "\n" not in str(error.value)


def test_a_registered_kl_without_digits_is_not_given():
    need("torch", find_spec("torch"))
    import torch
    from torch import distributions as d

    one = torch.tensor(1.0, dtype=torch.float64)
    with pytest.raises(UserError, match="to fewer than 8 digits"):
        mckl.kl(d.Beta(one, one), d.ContinuousBernoulli(0.5 * one + 1e-5))
    with pytest.raises(UserError, match="no registered formula"):
        mckl.kl(d.VonMises(0.0 * one, one), d.VonMises(0.0 * one, 2.0 * one))
    for q, p in (
        (d.Geometric(torch.tensor([0.3, 0.4])), d.Geometric(torch.tensor([0.3, 0.4, 0.5]))),
        (d.Gumbel(torch.zeros(2), 1.0), d.Gumbel(torch.zeros(3), 1.0)),
    ):
        with pytest.raises(UserError, match=r"shape \(2,\).* \(3,\), expected") as error:
            mckl.kl(q, p)
        assert "\n" not in str(error.value)


def test_the_variance_of_a_continuous_bernoulli_law_is_continuous():
    """The series below 0.2 and the formula above agree, and both with quadrature."""
    x, weight = np.polynomial.legendre.leggauss(60)
    x = 0.5 * (x + 1)
    for logit in (1e-9, 0.19, 0.2, -0.21, 3.0, -20.0):
        w = weight * np.exp(logit * x)
        mean = w @ x / w.sum()
        expected = w @ (x - mean) ** 2 / w.sum()
        assert registered_formulas._variance(logit) == pytest.approx(expected, rel=1e-11)


def test_a_watch_of_swapped_log_probabilities_has_no_interval():
    watch, rng = mckl.Watch(), np.random.default_rng(1)
    for _ in range(6):
        z = rng.normal(size=400)
        seen = watch.update(-0.5 * (z - 0.3) ** 2, -0.5 * z**2)
    assert seen.estimate < 0
    assert seen.interval is None
    assert "log_q and log_p are swapped" in seen.withheld


def test_a_constant_full_kl_is_exact():
    rng = np.random.default_rng(1)
    log_q = -rng.exponential(size=(100, 20))
    log_p = log_q + rng.normal(0.0, 0.1, size=log_q.shape)
    told = mckl.from_log_probs(log_q, log_p, full_kl=np.full(log_q.shape, 0.005))
    assert told.trusted == "rb"
    assert told["rb"].estimate == pytest.approx(0.1)
    assert told["rb"].withheld is None


@pytest.mark.parametrize(
    ("log_q", "log_p", "note"),
    [
        (np.linspace(-2, -1, 600), np.linspace(-2, -1, 600), "or one of them is given twice"),
        (np.full((60, 10), 0.5), np.full((60, 10), 0.4), "most log_q are above 0"),
    ],
)
def test_what_is_hardly_meant_is_noted(log_q, log_p, note):
    found = mckl.from_log_probs(log_q, log_p)
    assert note in " ".join(found.notes)
    assert "Note: " in repr(found)
    assert mckl.from_log_probs(*rng_pair(log_q.shape)).notes == ()


def rng_pair(shape):
    rng = np.random.default_rng(1)
    log_q = -rng.exponential(size=shape)
    return log_q, log_q + rng.normal(-0.005, 0.1, size=shape)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: mckl.Watch().merge(3), "merge: int, expected another watch"),
        (lambda: mckl.advise(Q, Q, tolerance="a"), "tolerance: 'a', expected a number"),
        (lambda: mckl.estimate((lambda n: 0, abs), abs), "q: sample(4096, rng) fails (TypeError"),
        (
            lambda: mckl.from_log_probs(np.zeros((2, 2)), np.zeros((2, 2)), mask=[[0.5] * 2] * 2),
            "mask: expected True or False, or 1 or 0",
        ),
    ],
)
def test_wrong_arguments_are_value_errors_of_one_line(call, line):
    with pytest.raises(ValueError, match=re.escape(line)) as told:
        call()
    assert "\n" not in str(told.value)


def test_a_small_kl_is_judged_as_a_large_one():
    ell, unit = np.random.default_rng(1).pareto(2.5, size=300), 1e-14
    large, small = (mckl.from_log_probs(u * ell, 0 * ell)["k1"] for u in (1.0, unit))
    assert np.array(small.interval) == pytest.approx(unit * np.array(large.interval))


def test_a_reverse_kl_beyond_float64_is_not_called_infinite():
    narrow, wide = {"mean": 0, "sd": 1e-150}, {"mean": 0, "sd": 1e150}
    found = mckl.kl(narrow, wide)
    assert math.isnan(found.reverse.value)
    assert found.to_dict()["reverse_kl_relative_error"] is None
    assert "KL(p||q)  not known" in "\n".join(found.lines())
    infinite = mckl.kl({"mean": 0, "sd": 1}, {"family": "student-t", "df": 2})
    assert infinite.reverse == (math.inf, 0.0)


def test_one_tolerance_is_given():
    for function in (mckl.advise, mckl.estimate):
        with pytest.raises(ValueError, match=r"^tolerance and absolute: expected one of them$"):
            function({"mean": 0, "sd": 1}, {"mean": 0, "sd": 2}, tolerance=0.1, absolute=0.1)


@pytest.mark.parametrize("where", [3, "", ["0.2.0"]])
def test_published_results_are_a_folder_or_a_version(where):
    message = rf"^where: '{re.escape(str(where))}', expected a folder of published results, or a"
    with pytest.raises(ValueError, match=message):
        mckl.results(where)


@pytest.mark.parametrize("law", [stats.norm, stats.multivariate_normal])
def test_a_distribution_without_parameters_is_to_be_frozen(law):
    with pytest.raises(ValueError, match=r"no family for q, scipy\.stats' \w+ without parameters"):
        mckl.kl(law, stats.norm(0, 1))
