"""The tail index of known laws and in a stream, and the frequency of false alarms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mckl.estimation.pareto import Largest, Tails, limit, pareto_index, tail_size


def index(values):
    tails = Tails(values.size)
    tails.update(values)
    return tails.index()


@pytest.mark.parametrize("k", [0.25, 0.5, 0.9])
def test_index_of_a_pareto_law(k):
    rng = np.random.default_rng(1)
    found = [pareto_index(np.sort((rng.random(400) ** -k - 1) / k)) for _ in range(200)]
    shrunk = (400 * k + 5) / 410
    # The fit's standard error is about (1 + k) / sqrt(M); its bias is of order 1/M.
    assert np.mean(found) == pytest.approx(shrunk, abs=5 * (1 + k) / math.sqrt(400 * 200))
    assert np.std(found) == pytest.approx((1 + k) / math.sqrt(400), rel=0.25)


def test_what_is_held_is_what_sorting_finds():
    values = np.random.default_rng(2).standard_t(3, 20_000)
    held = Largest(300)
    for block in np.split(values, (1, 2, 700, 701, 9000)):
        held.update(block)
    np.testing.assert_array_equal(held.values(), np.sort(values)[-300:])


def test_index_does_not_depend_on_the_blocks_or_the_side():
    values = np.random.default_rng(3).pareto(1.5, 5000)
    tails = Tails(values.size)
    for block in np.split(values, (10, 4000)):
        tails.update(block)
    assert tails.index() == index(values)
    assert index(-values) == index(values)
    assert index(values) > 0.5


def test_light_tails_raise_no_alarm_and_heavy_ones_do():
    """No samples of k1's laws raise an alarm; most samples of an infinite variance do."""
    rng = np.random.default_rng(4)
    for draw in (rng.standard_normal, lambda n: rng.chisquare(1, n)):
        assert max(index(draw(400)) for _ in range(250)) < limit(400) + 0.1
        assert max(index(draw(2500)) for _ in range(250)) < limit(2500)
    heavy = [index(rng.pareto(1 / 0.9, 2500)) > limit(2500) for _ in range(100)]
    assert np.mean(heavy) > 0.8


def test_too_few_values_say_nothing():
    assert math.isnan(index(np.random.default_rng(5).standard_normal(90)))
    assert math.isnan(index(np.ones(10_000)))
    assert math.isnan(pareto_index(np.append(np.ones(50), math.inf)))
    assert tail_size(100) == 20
    assert limit(100) == 0.5
    assert limit(10**6) == 0.7
