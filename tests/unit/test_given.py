"""KL from given log-probabilities: estimates, clustered errors, diagnostics, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.special import ndtri

import mckl
from mckl.errors import UserError
from mckl.estimation.given import ids as ids_module
from mckl.estimation.given.answer import answer
from mckl.estimation.given.blocks import ROWS
from mckl.estimation.given.ids import Ids
from mckl.estimation.given.signs import Signs
from mckl.estimation.given.summary import Summary
from mckl.estimation.given.verdict import judge
from mckl.estimation.intervals import Request
from mckl.estimation.pareto import Largest, pareto_index, tail_size
from mckl.estimation.values import ESTIMATORS
from mckl.estimation.values.base import UnitTheory, mean_of, plain_mean
from mckl.study.interval_coverage import coverage
from mckl.study.settings import grid_setting

REQUEST = Request(0.01, True, 0.95, 10**18)
WHOLE = {name for name, e in ESTIMATORS.items() if not e.sums}


def asked(**columns):
    return answer([columns], columns, REQUEST)


def by_name(found, per="unit"):
    return {e.estimator: e for e in found.estimates if (e.per == "token") == (per == "token")}


def rollout(seed=1, sequences=700, spread=0.2):
    """Tokens of sequences whose lengths and tokens depend on each other."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 40, sequences)
    ids = np.repeat(np.arange(sequences), lengths)
    means = 0.02 + 0.01 * rng.normal(size=sequences)[ids]
    return ids, means + spread * rng.normal(size=ids.size)


def regression(y, x):
    """Intercept and its standard error, by the normal equations."""
    design = np.column_stack((np.ones_like(x), x))
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ y
    residual = y - design @ beta
    return beta[0], math.sqrt(inverse[0, 0] * residual @ residual / (y.size - 2))


@np.errstate(divide="ignore")
def test_a_sample_of_another_law_may_have_q_0():
    """Every outcome as often as s draws it gives KL itself, whatever p is where q is 0."""
    q, p, s = np.array([0.6, 0.4, 0.0, 0.0]), [0.5, 0.5, 0.0, 0.0], np.array([0.2, 0.3, 0.4, 0.1])
    kl = 0.6 * math.log(1.2) + 0.4 * math.log(0.8)
    drawn = np.repeat(np.arange(4), (1000 * s).round().astype(int))
    columns = {n: np.log(x)[drawn] for n, x in (("log_q", q), ("log_p", p), ("log_sampler", s))}
    found = asked(**columns)
    for estimator in ("k1", "k3", "cv"):
        assert found[estimator].estimate == pytest.approx(kl, rel=1e-12), estimator
    k2 = 0.3 * math.log(1.2) ** 2 + 0.2 * math.log(0.8) ** 2
    assert found["k2"].estimate == pytest.approx(k2, rel=1e-12)
    assert found.diagnostics.mean_weight.mean == pytest.approx(1.0)
    # A p that is not 0 where q is changes nothing either, as with samples of q.
    wide = columns | {"log_p": np.log([0.3, 0.3, 0.2, 0.2])[drawn]}
    assert asked(**wide)["k1"].estimate == pytest.approx(kl + math.log(5 / 3), rel=1e-12)
    # Sequences of two tokens: after a token with q = 0, the sequence has no weight.
    first, second = (x.ravel() for x in np.indices((4, 4)))
    tokens = np.stack((first, second), axis=1)
    times = (100 * s[first] * s[second]).round().astype(int)
    assert times.sum() == 100
    tokens = np.repeat(tokens, times, axis=0)
    rows = {name: np.log(x)[tokens] for name, x in (("log_q", q), ("log_p", p), ("log_sampler", s))}
    for clustered in ({}, {"cluster": np.random.default_rng(5).integers(0, 20, 100)}):
        by_token = mckl.from_log_probs(**rows, **clustered)
        for estimator in ("k1", "k3", "k3-factor"):
            assert by_token[estimator].estimate == pytest.approx(2 * kl, rel=1e-12), estimator
    with pytest.raises(
        UserError, match=r"log_q: row 500 is -inf.*if another law drew it, give log"
    ):
        asked(log_q=columns["log_q"], log_p=np.zeros(1000))
    with pytest.raises(UserError, match="log_p: row 0 is -inf: KL is infinite"):
        asked(**columns | {"log_p": np.full(1000, -math.inf)})
    with pytest.raises(UserError, match=r"log_q: row 5.* masked logit: expected -inf where q = 0"):
        asked(**columns | {"log_q": np.where(np.isinf(columns["log_q"]), -1e9, columns["log_q"])})


@np.errstate(divide="ignore")
def test_the_evidence_against_swapped_columns_counts_samples_with_q_0():
    rng = np.random.default_rng(7)
    s, p = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])
    drawn = rng.choice(3, 400, p=s)
    log_q = np.log([0.6, 0.4, 0.0])[drawn]
    found = asked(log_q=log_q, log_p=np.log(s)[drawn], log_sampler=np.log(p)[drawn])
    assert "log_sampler and log_p are swapped" in found.why


def test_sequences_without_weight_are_no_copies():
    log_q, log_p, log_sampler = np.random.default_rng(8).normal(-2.0, 0.01, (3, 200, 12))
    log_q[:100, 5] = -math.inf
    found = mckl.from_log_probs(log_q, log_p, log_sampler=log_sampler)
    assert not any("same ℓ" in note for note in found.notes)


def test_an_estimate_says_its_interval_once():
    ell = 0.08 + 0.4 * np.random.default_rng(2).normal(size=5000)
    found = asked(log_q=ell, log_p=np.zeros(5000))
    one = found[found.trusted]
    low, high = one.interval
    value, interval = f"{one.estimate:.6g} nats per sample", f"interval {low:.6g} to {high:.6g}"
    assert repr(one) == f"{one.estimator}: {value}, {interval}"
    assert repr(found).splitlines()[0] == f"KL(q||p) = {value}, 95 % {interval} ({one.estimator})"


def test_estimates_of_samples_are_those_of_their_definitions():
    ell = 0.1 + 0.4 * np.random.default_rng(2).normal(size=3 * ROWS + 17)
    found = by_name(asked(log_q=ell - 1.0, log_p=np.full(ell.size, -1.0)))
    r = np.exp(-ell)
    values = {"k1": ell, "k2": ell**2 / 2, "k3": r - 1 + ell}
    for name, x in values.items():
        assert found[name].estimate == pytest.approx(x.mean(), rel=1e-10)
        assert found[name].std_error == pytest.approx(x.std(ddof=1) / math.sqrt(x.size), rel=1e-9)
    expected = regression(ell, r - 1)
    assert (found["cv"].estimate, found["cv"].std_error) == pytest.approx(expected, rel=1e-8)
    assert set(found) == WHOLE


def test_estimates_of_sequences_are_those_of_sums_over_tokens_with_clustered_errors():
    ids, ell = rollout()
    exact = 0.03 + 0.0 * ell
    found = by_name(asked(log_ratio=ell, sequence=ids, full_kl=exact))
    n = ids[-1] + 1

    def total(x):
        return np.bincount(ids, x, n)

    whole, r = total(ell), np.exp(-ell)
    values = {
        "k1": whole, "k2": whole**2 / 2, "k3": np.exp(-whole) - 1 + whole,
        "k2-factor": total(ell**2 / 2), "k3-factor": total(r - 1 + ell), "rb": total(exact),
    }  # fmt: skip
    for name, x in values.items():
        assert found[name].estimate == pytest.approx(x.mean(), rel=1e-10)
        assert found[name].std_error == pytest.approx(x.std(ddof=1) / math.sqrt(n), rel=1e-8)
    expected = regression(whole, total(r - 1))
    one = found["cv-factor"]
    assert (one.estimate, one.std_error) == pytest.approx(expected, rel=1e-8)


def test_kl_per_token_is_a_ratio_of_sums_with_the_delta_methods_clustered_error():
    ids, ell = rollout()
    found = by_name(asked(log_ratio=ell, sequence=ids), "token")
    n = ids[-1] + 1
    length, k3 = np.bincount(ids), np.bincount(ids, np.expm1(-ell) + ell, n)
    for name, x in (("k1", np.bincount(ids, ell, n)), ("k3-factor", k3)):
        theta = x.sum() / length.sum()
        influence = (x - theta * length) / length.mean()
        assert found[name].estimate == pytest.approx(theta, rel=1e-10)
        assert found[name].std_error == pytest.approx(
            influence.std(ddof=1) / math.sqrt(n), rel=1e-8
        )


def test_the_clustered_error_is_that_of_repeated_rollouts():
    estimates, errors = [], []
    for seed in range(120):
        ids, ell = rollout(seed, sequences=60)
        one = by_name(asked(log_ratio=ell, sequence=ids), "token")["k1"]
        estimates.append(one.estimate)
        errors.append(one.std_error)
    # The standard deviation of 120 estimates has a relative standard error of 7 %.
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.35)
    naive = 0.2 / math.sqrt(60 * 22)
    assert np.std(estimates) > 1.02 * naive


def test_samples_of_another_law_are_weighted():
    rng = np.random.default_rng(3)
    z = 1.1 * rng.normal(size=20_000)  # drawn from s, with the standard deviation 1.1

    def log_density(mean, sd):
        return -0.5 * ((z - mean) / sd) ** 2 - math.log(sd)

    q, p, s = log_density(0, 1), log_density(0.3, 1), log_density(0, 1.1)
    found = by_name(asked(log_q=q, log_p=p, log_sampler=s))
    w, ell = np.exp(q - s), q - p
    for name, x in (("k1", ell), ("k3", np.expm1(-ell) + ell)):
        theta = (w * x).sum() / w.sum()
        influence = w * (x - theta) / w.mean()
        assert found[name].estimate == pytest.approx(theta, rel=1e-9)
        error = influence.std(ddof=1) / math.sqrt(z.size)
        assert found[name].std_error == pytest.approx(error, rel=1e-6)
    for name in ("k1", "k3", "cv"):
        assert abs(found[name].estimate - 0.045) < 5 * found[name].std_error
        assert found[name].withheld is None
    assert found["cv"].std_error < 1.01 * found["k3"].std_error
    # Without the weights the estimate is of something else, and the mean of p/q tells.
    unweighted = by_name(asked(log_q=q, log_p=p))
    assert unweighted["k3"].withheld.startswith("the mean of p/q is 1.0")


def test_a_sampler_that_did_not_draw_the_samples_is_noticed():
    z = np.random.default_rng(4).normal(size=5000)
    q, p = -0.5 * z**2, -0.5 * (z - 1.0) ** 2
    above = asked(log_q=q, log_p=p, log_sampler=q - 0.05)
    assert above.trusted is None
    assert "log_sampler is not what drew the samples" in above.why
    # Below 1 it accuses nobody, but no sample tells of the part of q where s is 0.
    below = asked(log_q=q, log_p=p, log_sampler=q + 0.05)
    assert below.trusted is None
    assert "s is 0 where q is not, on 0.049 of q, as after top-p sampling" in below.why
    swapped = asked(log_q=q, log_p=q, log_sampler=p)
    assert "log_sampler and log_p are swapped" in swapped.why
    assert "effective" in asked(log_q=-0.5 * (z + 2) ** 2, log_p=q, log_sampler=-0.5 * z**2).why


def test_nothing_depends_on_how_rows_are_cut():
    ids, ell = rollout(sequences=900)
    whole = asked(log_ratio=ell, sequence=ids)
    pieces = [
        {"log_ratio": a, "sequence": b}
        for a, b in zip(np.array_split(ell, 13), np.array_split(ids, 13), strict=True)
    ]
    cut = answer(pieces, pieces[0], REQUEST)
    assert (cut.rows, cut.units) == (whole.rows, whole.units) == (ids.size, 900)
    for a, b in zip(whole.estimates, cut.estimates, strict=True):
        assert (a.estimate, a.std_error) == pytest.approx((b.estimate, b.std_error), rel=1e-10)
        shape = a.skewness, a.tail_index
        assert shape == pytest.approx((b.skewness, b.tail_index), rel=1e-6, nan_ok=True)
        assert a.withheld == b.withheld


@pytest.mark.parametrize(
    "ids",
    [
        [0, 0, 1, 2, 1],
        [5, 5, 3, 3, 5],
        [*range(9000), 17],
        ["a", "b", "b", "a"],
        [9, 8, 7, 8],
    ],
)
def test_an_id_that_returns_is_refused_by_name(ids):
    ids = np.array(ids)
    ell = np.zeros(ids.size)
    with pytest.raises(UserError, match=f"sequence: id {ids[-1]} returns after another one"):
        asked(log_ratio=ell, sequence=ids)


def test_ids_in_any_order_are_taken_and_rising_ones_take_no_memory(monkeypatch):
    ids = np.random.default_rng(5).permutation(30_000)
    known = Ids()
    for some in np.array_split(ids, 40):
        known.add(some)
    with pytest.raises(UserError, match="returns"):
        known.add(ids[123:124])
    monkeypatch.setattr(ids_module, "_REMEMBERED", 100)
    rising = Ids()
    for some in np.array_split(np.arange(0, 3000, 3), 20):
        rising.add(some)
    assert rising._sorted == []
    with pytest.raises(UserError, match="id 4 comes after higher ones"):
        rising.add(np.array([4]))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"log_q": [-1.0, math.nan], "log_p": [-1.0, -1.0]}, "log_q: row 1 is not a number"),
        ({"log_q": [-1.0, -2.0], "log_p": [-1.0, -math.inf]}, "log_p: row 1 is -inf: KL is inf"),
        ({"log_q": [-math.inf, -2.0], "log_p": [-1.0, -1.0]}, "log_q: row 0 is -inf: a sample of"),
        ({"log_q": [math.inf, -2.0], "log_p": [-1.0, -1.0]}, "log_q: row 0 is inf: expected fin"),
        ({"log_ratio": [0.0, math.inf]}, "log_ratio: row 1 is inf: KL is infinite"),
        (
            {"log_q": [0.0], "log_p": [0.0], "log_sampler": [-math.inf]},
            "log_sampler: row 0 is -inf: no sample",
        ),
        (
            {"log_ratio": [0.0], "sequence": [1], "full_kl": [-0.5]},
            "full_kl: row 0 is -0.5, and no KL is negative",
        ),
        ({"log_ratio": [0.0, 1.0], "sequence": [1.0, math.nan]}, "sequence: row 1 has no id"),
        ({"log_ratio": []}, "no rows"),
    ],
)
def test_what_no_sample_of_q_has_is_refused(columns, words):
    with pytest.raises(UserError, match=words):
        asked(**{name: np.array(values) for name, values in columns.items()})


def test_a_bad_row_is_named_across_blocks():
    log_p = np.zeros(2 * ROWS + 5)
    log_p[ROWS + 3] = -math.inf
    with pytest.raises(UserError, match=f"row {ROWS + 3} is -inf"):
        asked(log_q=np.zeros(log_p.size), log_p=log_p)


def test_swapped_arguments_are_noticed():
    z = np.random.default_rng(6).normal(size=4000)
    q, p = -0.5 * z**2, -0.5 * (z - 0.5) ** 2
    assert asked(log_q=q, log_p=p).trusted is not None
    swapped = asked(log_q=p, log_p=q)
    assert swapped.trusted is None
    assert "log_q and log_p are swapped" in swapped.why


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_sequences_make_no_interval(count):
    ids, ell = rollout(sequences=count)
    found = asked(log_ratio=ell, sequence=ids)
    assert found.trusted is None
    assert found.why.startswith(f"{count} independent sequence")


@pytest.mark.parametrize(
    ("count", "estimator"), [(10, "k1"), (20, "k3-factor"), (300, "k3-factor")]
)
def test_estimates_by_token_need_20_sequences(count, estimator):
    ell = 0.01 + math.sqrt(0.02) * np.random.default_rng(3).normal(size=(count, 200))
    found = mckl.from_log_probs(ell, 0 * ell)
    assert found.trusted == estimator
    assert f"trust {estimator}" in repr(found).lower()
    assert "a token rarer than 3/" in found.unseen or estimator == "k1"


def test_sequences_of_few_tokens_count_as_whole_samples():
    # N(0, 1) against N(0.5, 1.5^2): the variance of r is infinite.
    z = np.random.default_rng(3).normal(size=(128, 1))
    ell = math.log(1.5) - 0.5 * z**2 + 0.5 * ((z - 0.5) / 1.5) ** 2
    found = mckl.from_log_probs(ell, 0 * ell)
    assert found.trusted == "k1"
    assert found["k3-factor"].withheld == "128 sequences cannot tell the tail of k3-factor"


def test_by_token_k1_is_trusted_where_r_does_not_have_the_mean_1():
    # A token with the probability 1e-6 in q and 0.01 in p, which the samples lack.
    ell = 0.01 + math.sqrt(0.02) * np.random.default_rng(3).normal(size=(64, 1000)) + 0.01
    found = mckl.from_log_probs(ell, 0 * ell)
    assert found.trusted == "k1"
    assert "and k3-factor takes it as 1" in found["k3-factor"].withheld


def test_huge_ratios_withhold_what_overflows_alone():
    rng = np.random.default_rng(7)
    ell = np.where(rng.random(4000) < 0.5, -800.0, 900.0) + rng.normal(size=4000)
    found = by_name(asked(log_ratio=ell))
    assert found["k1"].withheld is None
    assert "overflows" in found["k3"].withheld
    assert "overflows" in found["cv"].withheld
    beyond = by_name(asked(log_ratio=1e200 * ell**2))
    assert all("overflows" in one.withheld for one in beyond.values())


def test_drift_and_autocorrelation_are_noticed():
    rng = np.random.default_rng(8)
    noise = rng.normal(size=20_000)
    steady = asked(log_ratio=0.5 + noise)
    assert steady.trusted is not None
    assert abs(steady.diagnostics.drift) < 3.5
    drifting = asked(log_ratio=0.5 + noise + np.linspace(0, 0.2, noise.size))
    assert "k1 drifts: its mean over the second half" in drifting.why
    moving = (noise[1:] + 0.5 * noise[:-1]) / math.sqrt(1.25)
    dependent = asked(log_ratio=0.5 + moving)
    assert "depend on each other" in dependent.why
    # Neighbours have a correlation of 0.5 / 1.25; its standard error is below 1/sqrt(n).
    assert dependent.diagnostics.autocorrelation == pytest.approx(0.4, abs=0.04)


def test_autocorrelation_and_drift_are_those_of_their_definitions():
    x = np.random.default_rng(9).normal(size=1600)
    found = asked(log_ratio=x + 0.5).diagnostics
    centred = x - x.mean()
    expected = centred[1:] @ centred[:-1] / (x.size - 1) / x.var()
    assert found.autocorrelation == pytest.approx(expected, rel=1e-6)
    gap = x[800:].mean() - x[:800].mean()
    assert found.drift == pytest.approx(gap / (x.std() * math.sqrt(2 / 800)), rel=1e-6)


# Pareto k of `arviz.psislw` 0.23.4 (as in Vehtari et al. 2024) for these log weights.
ARVIZ = {
    "normal": (lambda u: ndtri(u), 0.26568513218),
    "wide": (lambda u: 2 * ndtri(u), 0.62706618696),
    "pareto": (lambda u: -0.4 * np.log1p(-u), 0.4058303451),
    "heavy": (lambda u: -0.9 * np.log1p(-u), 0.86908549511),
    "cauchy": (lambda u: ndtri(u) ** 2 / 2 - np.log1p(ndtri(u) ** 2), 0.73727913623),
    "uniform": (np.log, -0.89092586733),
}


@pytest.mark.parametrize("name", ARVIZ)
def test_the_tail_index_is_that_of_arviz(name):
    log_weights, expected = ARVIZ[name]
    n = 3600  # 3 sqrt(n) is whole: ArviZ rounds it up, and we down
    weights = np.exp(log_weights((np.arange(n) + 0.5) / n))
    largest = Largest(tail_size(n) + 1)
    largest.update(np.random.default_rng(10).permutation(weights))
    assert pareto_index(np.diff(largest.values()).cumsum()) == pytest.approx(expected, abs=1e-9)


def test_samples_that_miss_p_give_k1_alone():
    setting = grid_setting(100, 1.0, 1.0)
    ((rows, alarms),) = coverage([setting], 2000, 15, 3)
    last = {row["estimator"]: row for row in rows if row["samples"] == 2000}
    assert last["k1"]["given"] == 15
    assert all(last[name]["given"] == 0 for name in ("k2", "k3", "cv"))
    # In none of these does Student's interval of cv hold KL, and the mean of p/q tells in each.
    assert last["cv"]["covered_withheld"] == 0
    missed = {r["diagnostic"]: r["alarms"] for r in alarms
              if r["samples"] == 2000 and r["estimator"] == "cv"}  # fmt: skip
    assert missed["mean-ratio"] == 15


@pytest.mark.parametrize(
    "setting",
    [
        grid_setting(16, 1.1, 0.1),
        grid_setting(8, 1.1, 0.5, "policy(4)"),
    ],
    ids=lambda s: s.name,
)
def test_given_intervals_cover(setting):
    ((rows, _),) = coverage([setting], 2048, 60, 7)
    given = sum(row["given"] for row in rows)
    covered = sum(row["covered_given"] for row in rows)
    assert given > 200
    # Estimators share their samples: the standard error is that of 60 intervals, at most 0.028.
    assert covered / given > 0.85


def biased(name, twin, share):
    """The estimator `share` x k1, whose name says nothing of its twin."""

    def estimate(moments):
        mean, variance = mean_of("ell")(moments)
        return share * mean, share**2 * variance

    return plain_mean(
        name, "ell", lambda law, paired: UnitTheory((share - 1.0) * law.kl, 0.0, 0.0, 0.0),
        consistent=False, unbiased_twin=twin,
    )._replace(estimate=estimate, summand=lambda moments: {"ell": share})  # fmt: skip


@pytest.mark.parametrize("name", ["shrunk", "k2-again", "nothing-like-it"])
@pytest.mark.parametrize("twin", ["k1", "k3"])
def test_a_biased_estimator_is_compared_with_its_unbiased_twin(monkeypatch, name, twin):
    ell = 0.5 + np.random.default_rng(4).normal(size=20_000)
    of_twin = {"k1": ell, "k3": np.expm1(-ell) + ell}[twin]
    monkeypatch.setitem(ESTIMATORS, name, biased(name, ESTIMATORS[twin], 0.9))
    found, gap = by_name(asked(log_ratio=ell)), 0.9 * ell - of_twin
    assert found[twin].withheld is None
    assert found[name].withheld == (
        f"{name} is biased: on the same samples it is {gap.mean():.3g} nats from {twin}"
    )


def test_a_biased_estimator_without_a_twin_makes_no_interval(monkeypatch):
    monkeypatch.setitem(ESTIMATORS, "shrunk", biased("shrunk", None, 0.9))
    ell = 0.5 + np.random.default_rng(4).normal(size=20_000)
    assert by_name(asked(log_ratio=ell))["shrunk"].withheld == (
        "shrunk is biased, and no unbiased estimator is known to compare with"
    )


def test_the_unbiased_twins():
    twins = {name: e.unbiased_twin for name, e in ESTIMATORS.items() if not e.consistent}
    assert twins["k2"] is ESTIMATORS["k3"]
    assert twins["k2-factor"] is ESTIMATORS["k3-factor"]


def test_an_estimate_without_spread_is_given():
    found = asked(log_ratio=np.zeros(100))
    assert found.estimates[0].half_width == 0.0
    assert found.trusted is not None


def test_a_residual_that_vanishes_makes_no_interval():
    # Of laplace laws l is +-0.1 but for a few samples between: on two values cv fits a line.
    ell = np.where(np.random.default_rng(12).random(200) < 0.5, 0.1, -0.1)
    found = by_name(asked(log_ratio=ell))
    assert found["cv"].std_error < 1e-9
    assert found["cv"].withheld is not None
    assert found["k1"].withheld is None


def test_a_summary_is_of_constant_size():
    summary = Summary()
    rng = np.random.default_rng(11)
    for _ in range(300):
        summary.update({"ell": 0.5 + rng.normal(size=ROWS)})
    held = sum(
        sum(part.nbytes for part in s._largest._held) for s in summary._summands.values()
    )  # fmt: skip
    assert held < len(WHOLE) * 8 * (2 * 30_001 + 2 * ROWS)
    assert len(summary._orders["k1"]._pieces) <= 4096
    _, judged = judge(summary)
    assert {one.estimator for one in judged} == WHOLE


def test_errors_by_cluster_are_those_of_leaving_one_cluster_out():
    rng = np.random.default_rng(13)
    cluster = rng.permutation(np.repeat(np.arange(40), rng.integers(2, 12, 40)))
    mask = np.arange(30) < rng.integers(5, 31, cluster.size)[:, None]
    ell = 0.01 + 0.003 * rng.normal(size=40)[cluster, None] + 0.1 * rng.normal(size=mask.shape)
    found = mckl.from_log_probs(ell, 0 * ell, mask=mask, cluster=cluster)
    assert (found.rows, found.units, found.clusters) == (mask.sum(), cluster.size, 40)
    x, length = (ell * mask).sum(axis=1), mask.sum(axis=1)
    for per, over in (("unit", np.ones_like(x)), ("token", length)):
        one = by_name(found, per)["k1"]
        assert one.estimate == pytest.approx(x.sum() / over.sum(), rel=1e-12)
        left = [x[cluster != g].sum() / over[cluster != g].sum() for g in range(40)]
        error = math.sqrt(39 / 40 * np.square(np.array(left) - one.estimate).sum())
        assert one.std_error == pytest.approx(error, rel=1e-6)


def test_clusters_take_weights_and_a_constant_full_kl():
    log_sampler = LOG_Q + 0.01 * np.random.default_rng(21).normal(size=LOG_Q.shape)
    full, cluster = np.full(ELL.shape, 0.02), np.repeat(np.arange(16), 4)
    for more in ({}, {"log_sampler": log_sampler}):
        found = mckl.from_log_probs(LOG_Q, LOG_Q - ELL, cluster=cluster, full_kl=full, **more)
        assert found.trusted == "rb"
        assert found.kl == pytest.approx(8.0)
        assert found["k1"].interval[0] < 8.0 < found["k1"].interval[1]
    assert found.diagnostics.mean_weight.mean == pytest.approx(1.0, abs=0.1)


def test_a_cluster_has_whole_sequences():
    ell = np.zeros(5)
    with pytest.raises(UserError, match="cluster: sequence 7 has tokens in two clusters"):
        asked(log_ratio=ell, sequence=np.array([3, 3, 7, 7, 9]), cluster=np.array([1, 1, 1, 2, 2]))


RNG = np.random.default_rng(14)
LOG_Q = -RNG.exponential(size=(64, 400))
ELL = 0.02 + 0.2 * RNG.normal(size=LOG_Q.shape)
TAIL = np.arange(400) >= RNG.integers(100, 390, 64)[:, None]


def nearer(scale):
    """ELL with its standard deviation times `scale`, and its mean times the square."""
    return scale * (ELL - 0.02) + 0.02 * scale**2


def to_bfloat16(x):
    """The nearest bfloat16 numbers, as float32."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize(
    ("log_q", "log_p", "words"),
    [
        (LOG_Q - ELL, LOG_Q, "log_q and log_p are swapped"),
        (-LOG_Q, -LOG_Q + ELL, "or have the wrong sign"),
        (np.exp(LOG_Q), np.exp(LOG_Q - 0.5), "between 0 and 1, as probabilities are"),
        (LOG_Q / np.log(2), (LOG_Q - ELL) / np.log(2), "with base 2: expected natural"),
        (LOG_Q / np.log(10), (LOG_Q - ELL) / np.log(10), "with base 10: expected natural"),
        (LOG_Q, LOG_Q - ELL + 0.01, "log_p is not normalised"),
        (np.tile(LOG_Q, (2, 1)), np.tile(LOG_Q - ELL, (2, 1)), "occurs 2 times"),
    ],
    ids=["swapped", "negated", "probabilities", "base 2", "base 10", "unnormalised", "twice"],
)
def test_what_is_wrong_withholds_the_answer_in_one_sentence(log_q, log_p, words):
    assert mckl.from_log_probs(LOG_Q, LOG_Q - ELL).trusted == "k3-factor"
    found = mckl.from_log_probs(log_q, log_p)
    assert found.trusted is None
    assert words in found.why
    assert "Trust" not in repr(found)


def test_rows_that_were_partly_logged_twice_are_noted():
    rows = np.append(np.arange(64), np.arange(16))
    found = mckl.from_log_probs(LOG_Q[rows], (LOG_Q - ELL)[rows])
    assert found.notes == (
        "20% of the sequences have the same ℓ as another one: rows that were logged twice count "
        "twice",
    )


def test_short_sequences_and_a_policy_before_its_first_update_repeat_without_a_note():
    rng = np.random.default_rng(18)
    probabilities = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]])
    tokens = rng.choice(3, p=probabilities[0], size=3000)
    ids = np.repeat(np.arange(1000), 3)
    log_q, log_p = np.log(probabilities[:, tokens])
    assert mckl.from_log_probs(log_q, log_p, sequence=ids).notes == ()
    (note,) = mckl.from_log_probs(LOG_Q, LOG_Q).notes
    assert "as before the first update" in note


@pytest.mark.parametrize("value", [0.0, 1.0, -100.0])
def test_padding_without_a_mask_spoils_the_number_of_tokens_alone(value):
    log_q, log_p = (np.where(TAIL, value, x) for x in (LOG_Q, LOG_Q - ELL))
    padded, right = mckl.from_log_probs(log_q, log_p), mckl.from_log_probs(log_q, log_p, mask=~TAIL)
    assert padded.interval == pytest.approx(right.interval, rel=1e-9)
    assert padded.trusted == right.trusted
    assert padded.per_token.interval is None
    assert "as padding is: give mask" in padded.per_token.withheld
    assert right.per_token.interval is not None
    other = mckl.from_log_probs(log_q, np.where(TAIL, 0.0 if value else -100.0, log_p))
    assert other.trusted is None
    assert f"are {value:g} in log_q and {0 if value else -100} in log_p, as padding" in other.why


@pytest.mark.parametrize(
    ("factor", "trusted", "words"),
    [
        (1.0, "rb", None),
        (1.0 / math.log(2.0), "k3-factor", "as it is in bits"),
        (0.5, "k3-factor", "the whole vocabulary"),
        (1e-5, "k3-factor", "the whole vocabulary"),
        (1.15, "k1", "after top-p sampling, or full_kl is not in nats"),
    ],
)
def test_full_kl_is_compared_with_k1_and_k3(factor, trusted, words):
    full = np.full(ELL.shape, factor * 0.02)
    found = mckl.from_log_probs(LOG_Q, LOG_Q - ELL, full_kl=full)
    assert found.trusted == trusted
    assert words is None or words in found["rb"].withheld


def test_a_full_kl_shifted_by_a_token_is_noticed():
    full = 0.02 * np.random.default_rng(15).exponential(size=ELL.shape)
    ell = full + np.sqrt(2 * full) * np.random.default_rng(16).normal(size=ELL.shape)
    for rows, trusted in ((full, "rb"), (np.roll(full, 1, axis=1), "k3-factor")):
        found = mckl.from_log_probs(LOG_Q, LOG_Q - ell, full_kl=rows)
        assert found.trusted == trusted
    assert "as if its rows were shifted by a token" in found["rb"].withheld


def test_a_full_kl_that_knows_of_unseen_tokens_is_no_shifted_one():
    unseen = 0.002 * np.random.default_rng(15).exponential(size=ELL.shape)
    found = mckl.from_log_probs(LOG_Q, LOG_Q - nearer(0.1), full_kl=0.0002 + unseen)
    assert found.trusted == "rb"


@pytest.mark.parametrize("narrow", [to_bfloat16, np.float16])
def test_k1_is_trusted_where_rounding_to_16_bits_is_most_of_k3(narrow):
    near, far = (
        mckl.from_log_probs(narrow(LOG_Q), narrow(LOG_Q - nearer(x))) for x in (0.005, 1.0)
    )
    assert near.trusted == "k1"
    assert "rounding to 16 bits adds about" in near["k3-factor"].withheld
    assert far.trusted == "k3-factor"


def test_rounding_adds_what_it_is_said_to_add():
    log_q = LOG_Q - 4.0
    signs = Signs()
    ell = nearer(0.3)  # larger than the spacing, mostly
    signs.add({"log_q": to_bfloat16(log_q), "log_p": to_bfloat16(log_q - ell)})
    rounded = to_bfloat16(log_q).astype(float) - to_bfloat16(log_q - ell)
    added = (np.expm1(-rounded) + rounded).sum() - (np.expm1(-ell) + ell).sum()
    assert 0.5 * signs.rounding_variance() == pytest.approx(added, rel=0.25)
    assert signs.rounding_variance() == pytest.approx(((rounded - ell) ** 2).sum(), rel=0.05)


@pytest.mark.parametrize("value", [-1e9, np.finfo(np.float32).min])
def test_a_masked_logit_is_refused_by_its_row(value):
    log_p = np.full(40, -2.0)
    log_p[17] = value
    with pytest.raises(UserError, match=r"log_p: row 17 is .* as of a masked logit: KL is inf"):
        asked(log_q=np.full(40, -1.0), log_p=log_p)


def test_sequences_sorted_by_length_do_not_drift():
    mask = np.arange(400) < np.sort(RNG.integers(10, 400, 64))[:, None]
    times = np.linspace(0.8, 1.3, 64)[:, None]  # KL per token depends on the length
    ell = 0.02 * times + np.sqrt(times) * (ELL - 0.02)
    found = mckl.from_log_probs(LOG_Q, LOG_Q - ell, mask=mask)
    assert not any("drifts" in (one.withheld or "") for one in found.estimates)
    assert "if they are sorted, shuffle them" in mckl.from_log_probs(LOG_Q, LOG_Q - ell).why


def test_completions_of_one_prompt_are_noticed_and_clusters_cover():
    rng, covered = np.random.default_rng(17), 0
    for _ in range(60):
        scale = np.repeat(np.exp(0.35 * rng.normal(size=64) - 0.35**2 / 2), 8)[:, None]
        ell = 0.02 * scale + np.sqrt(0.04 * scale) * rng.normal(size=(512, 60))
        order, prompt = rng.permutation(512), np.repeat(np.arange(64), 8)
        found = mckl.from_log_probs(ell[order], 0 * ell, cluster=prompt[order])
        low, high = found.interval
        covered += low < 1.2 < high
    assert covered >= 51  # of 60 at 0.95: fewer come with a probability of 1e-3
    assert "if they share a prompt, give cluster" in mckl.from_log_probs(ell, 0 * ell).why


def test_valid_data_are_not_accused():
    # 1 % of N(10, 1) in q, which most of these samples lack: l is -0.01 without it.
    rng = np.random.default_rng(18)
    for _ in range(40):
        z = rng.normal(size=50) + 10 * (rng.random(50) < 0.01)
        found = asked(log_ratio=np.logaddexp(math.log(0.99), math.log(0.01) + 10 * z - 50))
        assert "swapped" not in found.why
        assert found.trusted == (None if z.max() < 5 else "k1")
    for _ in range(10):  # a Markov chain whose marginal law is q = N(0, 1), against N(0.5, 1)
        z = lfilter([math.sqrt(1 - 0.99**2)], [1, -0.99], rng.normal(size=2000))
        assert "depend on each other" in asked(log_ratio=0.125 - 0.5 * z)["k1"].withheld
    assert (
        asked(log_ratio=np.full(20, -0.05)).why == "the interval of k1 is below 0, where no KL is"
    )


def test_forecasts_use_the_width_before_it_is_lengthened():
    # l = log(sd) + (1 / sd^2 - 1) z^2 / 2 has the skewness of z^2, sqrt(8).
    rng, held = np.random.default_rng(19), 0
    for _ in range(100):
        one = asked(log_ratio=math.log(1.5) - (5 / 18) * rng.normal(size=1000) ** 2)["k1"]
        needed = 1.96**2 * (5 / 18) ** 2 * 2 / (0.01 * (math.log(1.5) - 5 / 18)) ** 2
        held += one.samples_needed.low < needed < one.samples_needed.high
    assert held >= 85  # of 100 at 0.95: fewer come with a probability of 1e-4


def test_skewed_intervals_are_longer_on_one_side_by_at_most_a_half():
    skewed = np.random.default_rng(20).pareto(1.2, size=200)
    for ell in (skewed, 8.0 - np.minimum(skewed, 9.0)):
        one = asked(log_ratio=ell)["k1"]
        half = 1.971957 * one.std_error  # Student's quantile with 199 degrees of freedom
        sides = np.abs(np.array(one.interval) - one.estimate) / half
        side = 0 if one.skewness > 0 else 1
        assert sides[side] == pytest.approx(1.0, rel=1e-6)
        assert 1.05 < sides[1 - side] <= 2.0 + 1e-9


def test_rounding_to_16_bits_accuses_nobody():
    rng = np.random.default_rng(5)
    for _ in range(5):
        log_q = -70.0 - 50.0 * rng.random(10_000)
        log_p = log_q + 0.05 * rng.normal(size=10_000) - 0.00125
        q, p = (0.5 * np.round(2.0 * x) for x in (log_q, log_p))  # as bfloat16 has them here
        for found in (mckl.from_log_probs(q, p), mckl.from_log_probs(log_q, log_p, log_sampler=q)):
            # The mean of e^(rounding) is above 1 by more than six standard errors.
            assert found.trusted == "k1"
