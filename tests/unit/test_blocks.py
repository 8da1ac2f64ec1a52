"""Joint moments of r - 1 and k3 over independent factors, against lists of all outcomes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mckl.exact import joint
from mckl.exact.independent_blocks import joined_blocks
from mckl.exact.moments import EPS, Moments

# Each factor: the probabilities of its outcomes under q and under p, and of p at mirror images.
FACTORS = [
    ([0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [1, 0, 2]),
    ([0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4], [3, 2, 1, 0]),
    ([1 - 2e-6, 1e-6, 1e-6], [1 - 3e-3, 1e-3, 2e-3], [0, 2, 1]),
]


def outcomes(q, p, image):
    """Weights, r - 1 and k3 of the outcomes, and those of r - 1 and k3 at their mirror images."""
    q, p = np.array(q) / math.fsum(q), np.array(p) / math.fsum(p)
    x = (p - q) / q
    k = np.expm1(np.log1p(x)) - np.log1p(x)
    return q, x, k, x[image], k[image]


def moments_of(weights, variables, order=4):
    """Joint central moments of variables at weighted points."""
    shape = (order + 1,) * len(variables)
    value, size = np.zeros(shape), np.zeros(shape)
    centred = [v - weights @ v for v in variables]
    for index in joint.indices(len(variables), order):
        terms = weights * math.prod(c**i for c, i in zip(centred, index, strict=True))
        value[index], size[index] = math.fsum(terms), np.abs(terms).sum()
    return Moments(value, 16 * EPS * size)


def block(chosen, slope, paired):
    """The joint moments of each factor, stacked."""
    every = []
    for q, x, k, x_image, k_image in (outcomes(*f) for f in chosen):
        if paired:
            m, d, k = 0.5 * (x + x_image), 0.5 * (x - x_image), 0.5 * (k + k_image)
            every.append(moments_of(q, [m, d, k - slope * m]))
        else:
            every.append(moments_of(q, [x, k - slope * x]))
    return Moments(*(np.stack(of, axis=-1) for of in zip(*every, strict=True)))


def listed(chosen, slope, paired):
    """The same moments over all outcomes of all factors."""
    every = [outcomes(*f) for f in chosen]
    weights, ratio, ratio_image, k, k_image = [], [], [], [], []
    for picks in itertools.product(*(range(len(q)) for q, *_ in every)):
        at = [tuple(column[j] for column in f) for f, j in zip(every, picks, strict=True)]
        weights.append(math.prod(w for w, *_ in at))
        for of, into, total in ((1, ratio, k), (3, ratio_image, k_image)):
            r = math.expm1(math.fsum(math.log1p(f[of]) for f in at))
            into.append(r)
            total.append(r - math.fsum(math.log1p(f[of]) for f in at))
    w, r, r_image, k, k_image = map(np.array, (weights, ratio, ratio_image, k, k_image))
    if paired:
        m, d, k = 0.5 * (r + r_image), 0.5 * (r - r_image), 0.5 * (k + k_image)
        return moments_of(w, [m, d, k - slope * m])
    return moments_of(w, [r, k - slope * r])


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("counts", [(1, 0, 0), (2, 1, 0), (0, 3, 0), (1, 1, 1), (5, 0, 0)])
def test_blocks_have_the_moments_of_all_outcomes(counts, slope, paired):
    # A mirror image must have the weight of its outcome, which holds for the last two factors.
    if paired and counts[0]:
        counts = (0, counts[0], counts[1])
    chosen = [f for f, n in zip(FACTORS, counts, strict=True) if n]
    found = joined_blocks(
        [(block(chosen, slope, paired), np.array([float(n) for n in counts if n]))],
        1.0 - slope,
        3 if paired else 2,
        4,
    )
    repeated = [f for f, n in zip(FACTORS, counts, strict=True) for _ in range(n)]
    expected = listed(repeated, slope, paired)
    for index in joint.indices(found.value.ndim, 4):
        off = abs(found.value[index] - expected.value[index])
        assert off <= found.error[index] + 1e3 * expected.error[index], index
    # The bound is of use: the variance of k3 less its multiple of r - 1 is known to 12 digits.
    last = (0,) * (found.value.ndim - 1) + (2,)
    assert found.error[last] <= 1e-12 * found.value[last]


def test_a_moment_may_be_infinite_or_too_large_where_those_of_lower_order_are_finite():
    one = block(FACTORS[:1], 0.0, False)
    one.value[4, 0], one.error[4, 0] = math.inf, 0.0
    found = joined_blocks([(one, np.array([3.0]))], 1.0, 2, 4)
    assert found.value[4, 0] == math.inf
    assert math.isfinite(found.value[2, 0])
    many = joined_blocks([(block(FACTORS[:1], 0.0, False), np.array([500.0]))], 1.0, 2, 4)
    assert math.isfinite(many.value[2, 0])
    assert math.isnan(many.value[4, 0])  # finite, but larger than 10^308
    assert many.error[4, 0] == math.inf
