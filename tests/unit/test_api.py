"""`import mckl`: objects of scipy.stats and torch, callables, arrays of all kinds, `Watch`."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tools import need

import mckl
from mckl.api.objects import as_side
from mckl.errors import UserError
from mckl.estimation.anytime import half_width
from mckl.families.registry import case_pair

Q = {"mean": 0, "sd": 1}


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


@pytest.mark.parametrize("name", ["norm", "t", "gamma", "beta", "multivariate_normal"])
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
    [stats.gamma(2, loc=1), stats.skewnorm(2), stats.beta(1, 2, scale=2), stats.nbinom(3, 0.5)],
)
def test_what_no_family_has_is_not_taken_for_one(law):
    assert as_side(law) is None


def test_kl_raises_where_none_is_known():
    with pytest.raises(ValueError, match=r"no exact KL is known \(no family for q"):
        mckl.kl(stats.skewnorm(2), stats.norm())
    with pytest.raises(ValueError, match="expected one support"):
        mckl.kl(stats.norm(), stats.gamma(2))
    with pytest.raises(ValueError, match="q: normal: unknown parameter"):
        mckl.kl({"mean": 0, "standard_deviation": 1}, {"mean": 0})
    with pytest.raises(ValueError, match="no family for q, an object of class int"):
        mckl.kl(3, stats.norm())


def test_advice_is_that_of_the_command():
    found = mckl.advise(stats.norm(0, 1), stats.norm(1, 1), tolerance=0.01)
    best = found.recommendation
    assert found.kl == 0.5
    assert f"Use {best['estimator']} over {best['sampler']} samples" in repr(found)
    assert json.loads(json.dumps(found.to_dict()))["recommendation"] == best
    assert "<table>" in found._repr_html_()


def test_estimate_of_a_known_pair_uses_theory():
    found = mckl.estimate(stats.norm([0] * 8), stats.norm([0.3] * 8), tolerance=0.05, seed=3)
    assert found.stopped == "tight"
    assert found.exact == pytest.approx(0.36)
    assert found.half_width <= found.target
    assert f"Exact: {found.exact:.8g}" in repr(found)
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
    # The variance of l is infinite: E z^4 is, of Student's t with 3 degrees of freedom.
    q, p = stats.multivariate_t([0], [[1]], df=3), stats.norm()
    found = mckl.estimate((lambda n, rng: q.rvs(n, random_state=rng), q.logpdf), p, budget=50_000)
    assert found.stopped == "withheld"
    assert found.interval is None
    assert "tail index" in found.withheld


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
        (stats.multivariate_normal([0, 0]), stats.multivariate_normal([0, 0, 0]), "square matrix"),
        (stats.norm([0, 1]), stats.norm([0, 1, 2]), "expected 3 numbers"),
        (stats.skewnorm(1), stats.norm([0, 1, 2]), "log_prob fails|gave shape"),
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
        ({"log_q": [[1.0], [1.0, 2.0]]}, "log_q: rows of different lengths"),
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
        (d.Geometric(torch.tensor(0.3)), d.Geometric(torch.tensor(0.5))),  # torch's own KL
    ]
    for q, p in pairs:
        expected = float(d.kl_divergence(q, p).double().sum())
        assert mckl.kl(q, p) == pytest.approx(expected, rel=2e-6)
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
        (np.linspace(-2, -1, 600), np.linspace(-2, -1, 600), "is one of them given twice?"),
        (np.full((60, 10), 0.5), np.full((60, 10), 0.4), "most log_q are above 0"),
    ],
)
def test_what_is_hardly_meant_is_noted(log_q, log_p, note):
    assert note in mckl.from_log_probs(log_q, log_p).why
    other = rng_pair(log_q.shape)
    assert note not in mckl.from_log_probs(*other).why


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


@pytest.mark.parametrize("unit", [1.0, 1e-14])
def test_a_small_kl_is_judged_as_a_large_one(unit):
    ell = unit * np.random.default_rng(1).pareto(2.5, size=300)
    assert "so skewed" in mckl.from_log_probs(ell, np.zeros(300))["k1"].withheld
