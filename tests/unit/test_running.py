"""Moments merged block by block are the moments of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mckl.estimation.running import RunningMoments


class Functions:
    def __init__(self, ell):
        self.x, self.y = ell, np.cos(ell)


PRODUCTS = [("x", "x"), ("x", "y"), ("y", "y"), ("x", "x")]


@given(
    points=st.sampled_from([1, 2]),
    replicates=st.integers(1, 3),
    blocks=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    shift=st.sampled_from([0.0, 1.0, -1e6]),
    seed=st.integers(0, 2**32),
)
def test_any_split_gives_the_moments_of_the_whole(points, replicates, blocks, shift, seed):
    units = sum(blocks)
    ell = shift + np.random.default_rng(seed).normal(size=(points, replicates, units))
    moments = RunningMoments(PRODUCTS, Functions, replicates)
    for start, block in zip(np.cumsum([0, *blocks[:-1]]), blocks, strict=True):
        moments.update(ell[:, :, start : start + block])
    assert moments.units == units
    value = {name: getattr(Functions(ell), name).mean(axis=0) for name in "xy"}
    for name, v in value.items():
        np.testing.assert_allclose(moments.mean(name), v.mean(axis=1), rtol=1e-13, atol=1e-14)
    for first, second in PRODUCTS:
        one, two = (value[n] - value[n].mean(axis=1, keepdims=True) for n in (first, second))
        # two passes; at a mean of 1e6 each value carries a rounding of 1e-10
        np.testing.assert_allclose(
            moments.comoment(first, second),
            (one * two).sum(axis=1),
            rtol=1e-12,
            atol=1e-13 * units * max(1.0, abs(shift)),
        )


def test_no_digits_are_lost_to_a_large_mean():
    x = 1e8 + np.random.default_rng(1).normal(size=100_000)
    moments = RunningMoments([("x", "x")], Functions, 1)
    for block in np.split(x, 100):
        moments.update(block[None, None])
    exact = np.sum((x - x.mean()) ** 2)
    assert moments.comoment("x", "x")[0] == pytest.approx(exact, rel=1e-9)
    # the sum of squares less the squared sum, which this is not, has no digit left
    assert abs(np.sum(x * x) - x.size * x.mean() ** 2 - exact) > 0.1 * exact
