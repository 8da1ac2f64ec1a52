"""`Watch` where q moves, samples depend on each other, and batches are empty or masked."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest

import mckl


def batch(rng, size=64, offset=0.5):
    z = rng.normal(size=size)
    return -0.5 * z**2, -0.5 * (z - offset) ** 2


def tokens(rng, sequences=16, length=30):
    log_q = -1 - rng.random((sequences, length))
    return log_q, log_q - 0.02 - 0.2 * rng.normal(size=log_q.shape)


def test_a_half_life_gives_the_weighted_mean_and_its_error():
    rng, half_life = np.random.default_rng(1), 100
    watch = mckl.Watch(half_life=half_life)
    ell, age, seen = [], [], 0
    for size in (64, 10, 200, 64, 64):
        q, p = batch(rng, size)
        seen = watch.update(q, p)
        age = [a + size for a in age] + [0] * size
        ell = [*ell, *(q - p)]
    weights = 0.5 ** (np.array(age) / half_life)
    mean = np.average(ell, weights=weights)
    effective = weights.sum() ** 2 / (weights**2).sum()
    # With such weights, an unbiased variance divides by the sum less the sum of squares over it.
    square = (weights * (np.array(ell) - mean) ** 2).sum()
    variance = square / (weights.sum() - (weights**2).sum() / weights.sum())
    assert (seen.samples, seen.effective) == (402, pytest.approx(effective))
    assert seen.estimate == pytest.approx(mean)
    assert seen.std_error == pytest.approx(math.sqrt(variance / effective))
    assert repr(seen).count("95 % now") == 1


def test_a_half_life_covers_where_q_is_steady_and_follows_where_it_moves():
    rng = np.random.default_rng(2)
    held, last = [], []
    for _ in range(40):
        watch = mckl.Watch(estimator="k3", half_life=300)
        for i in range(40):
            seen = watch.update(*batch(rng))
            if seen.interval is not None and i % 10 == 9:
                held.append(seen.interval[0] < 0.125 < seen.interval[1])
        for _ in range(40):
            seen = watch.update(*batch(rng, offset=0.8))
        last.append(seen.estimate)
    assert np.mean(held) > 0.9  # of 0.95; the standard error of 160 looks is below 0.02
    # What is left of the former q after 2,560 samples is 0.3 %.
    assert np.mean(last) == pytest.approx(0.32, rel=0.03)


def test_a_watch_notices_drift_and_dependence_and_clusters_answer_it():
    rng = np.random.default_rng(3)
    drifting, alone, clustered = mckl.Watch(), mckl.Watch(), mckl.Watch()
    for i in range(60):
        seen = drifting.update(*batch(rng, offset=0.5 + i / 100))
        prompts = np.repeat(np.arange(16), 8)
        z = 0.6 * rng.normal(size=16)[prompts] + 0.8 * rng.normal(size=128)
        given = -0.5 * z**2, -0.5 * (z - 0.5) ** 2
        alone.update(*given)
        shuffled = rng.permutation(128)
        by_prompt = clustered.update(*(x[shuffled] for x in given), cluster=prompts[shuffled])
    assert "k1 rises along the run" in seen.withheld
    assert "half_life" in seen.withheld
    told = alone.look()
    assert "k1 depends on its predecessor (correlation 0.3" in told.withheld
    assert "give cluster" in told.withheld
    assert by_prompt.interval[0] < 0.125 < by_prompt.interval[1]
    assert (by_prompt.samples, by_prompt.effective) == (7680, 960)
    # The variance of a mean of 8 with a correlation of 0.36 is (1 + 7 x 0.36) times as large.
    assert by_prompt.std_error / told.std_error == pytest.approx(math.sqrt(3.52), rel=0.1)


def test_the_first_batch_decides_the_estimator_which_then_stays():
    rng = np.random.default_rng(4)
    watch = mckl.Watch(start=20)
    assert watch.look().estimator is None
    for _ in range(3):
        seen = watch.update(*tokens(rng))
    assert (seen.estimator, seen.samples) == ("k3-factor", 48)
    assert seen.per_token == pytest.approx(seen.estimate / 30)
    with pytest.raises(ValueError, match="k3-factor: sequence is missing, for it is by token"):
        watch.update(*batch(rng))
    assert mckl.Watch().update(*batch(rng)).estimator == "k1"
    with pytest.raises(ValueError, match="rb needs full_kl, which a watch does not take"):
        mckl.Watch(estimator="rb")
    with pytest.raises(ValueError, match=r"half_life: 20, expected at least 34\.7, so that 100"):
        mckl.Watch(half_life=20)


def test_empty_and_masked_batches_and_lists():
    rng = np.random.default_rng(5)
    watch = mckl.Watch(start=10)
    empty = watch.update([], [])
    assert (empty.samples, empty.interval) == (0, None)
    q, p = tokens(rng)
    mask = np.arange(30) < rng.integers(3, 30, 16)[:, None]
    one = watch.update(q, np.where(mask, p, math.nan), mask=mask)
    assert watch.update(q, p, mask=np.zeros_like(mask)) == one
    assert watch.update(np.zeros((0, 30)), np.zeros((0, 30))) == one
    lists = [[row[m] for row, m in zip(x, mask, strict=True)] for x in (q, p)]
    assert mckl.Watch(start=10).update(*lists) == one
    with pytest.raises(ValueError, match="log_p: row 2, column 1 is inf"):
        watch.update(q, np.where(np.arange(480).reshape(16, 30) == 61, math.inf, p))
    assert watch.look() == one


@pytest.mark.parametrize("half_life", [None, 200.0])
def test_a_watch_is_pickled_stored_and_merged(half_life):
    rng = np.random.default_rng(6)
    options = {"start": 30, "half_life": half_life}
    left, right, never = (mckl.Watch(**options) for _ in range(3))
    for _ in range(5):
        left.update(*tokens(rng))
        right.update(*tokens(rng))
    for same in (
        pickle.loads(pickle.dumps(left)),
        mckl.Watch.from_state(json.loads(json.dumps(left.state()))),
    ):
        assert same.look() == left.look()
        assert same.state() == left.state()
        assert same.update(*tokens(np.random.default_rng(7))) == pickle.loads(
            pickle.dumps(left)
        ).update(*tokens(np.random.default_rng(7)))
    one = left.look()
    never.merge(mckl.Watch(**options))
    never.merge(left)
    assert never.look() == one
    left.merge(right)
    both = left.look()
    assert both.samples == 160
    assert both.effective == pytest.approx(2 * one.effective)
    assert both.estimate == pytest.approx((one.estimate + right.look().estimate) / 2)
    with pytest.raises(ValueError, match="a watch of other options"):
        left.merge(mckl.Watch(start=31, half_life=half_life))


def test_the_numbers_for_a_dashboard_always_have_the_same_keys():
    rng = np.random.default_rng(8)
    watch = mckl.Watch(start=100)
    told = [watch.floats()]
    for offset in (0.5, 0.5, 30.0):
        told.append(watch.update(*batch(rng, 300, offset)).floats())
    told.append(mckl.Watch(estimator="k3").update([0.0, 0.0], [900.0, 0.0]).floats())
    assert len({tuple(numbers) for numbers in told}) == 1
    assert all(type(value) is float for numbers in told for value in numbers.values())
    assert (told[1]["withheld"], told[3]["withheld"]) == (0.0, 1.0)
    assert told[2]["kl_low"] < told[2]["kl"] < told[2]["kl_high"]


def test_a_watch_accuses_as_from_log_probs_does_and_only_with_proof():
    rng = np.random.default_rng(9)
    # Where no sample of the rare mode of q appeared, l is -0.01 with a tiny variance.
    told = []
    for _ in range(20):
        z = rng.normal(size=50) + 10.0 * (rng.random(50) < 0.01)
        p = -0.5 * z**2
        q = np.logaddexp(math.log(0.99) + p, math.log(0.01) - 0.5 * (z - 10.0) ** 2)
        told.append(mckl.Watch(start=20).update(q, p).withheld)
    assert {*told} == {None, "the interval of k1 is below 0, where no KL is"}

    q, p = batch(rng, 400)
    swapped = mckl.Watch().update(p, q).withheld
    assert "log_q and log_p are swapped" in swapped
    assert swapped == mckl.from_log_probs(p, q).why

    # In bfloat16 these have a spacing of 4, whose noise alone brings sums below -13.82.
    sums = []
    for _ in range(20):
        exact = -900.0 - 100.0 * rng.random(2000)
        q, p = (4.0 * np.round(x / 4.0) for x in (exact, exact - 0.1 * rng.normal(size=2000)))
        sums.append((q - p).sum())
        assert "swapped" not in (mckl.Watch().update(q, p).withheld or "")
    assert min(sums) < -13.82
    for half_life in (None, 400.0):
        by_token = mckl.Watch(half_life=half_life)
        for _ in range(2):
            q, _ = tokens(rng, 400)
            near = q - 0.0005 * rng.normal(size=q.shape)
            seen = by_token.update(q.astype(np.float16), near.astype(np.float16))
        assert "rounding to 16 bits adds about" in seen.withheld
