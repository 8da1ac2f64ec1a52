"""The law of l for normal pairs, against quadrature, simulation and 120-digit arithmetic."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mckl.estimation.values import ESTIMATORS
from mckl.estimation.values.base import TOO_LARGE
from mckl.families.normal.pair import grid_pair, pair

PAIRS = [(1.25, 0.25), (0.8, 1.0), (2.5, 1.5), (1.0, 0.7), (0.6, 0.0), (1.0001, 0.01)]
# p is narrower, so that moments of r exist to any order
NARROW = pair([0.1, -0.2, 0.1], [1.0, 0.7, 1.3], [0.0, 0.0, 0.0], [0.9, 0.65, 1.3])
THREE = pair([0.2, -0.4, 0.1], [1.0, 0.7, 1.3], [0.0, 0.3, 0.1], [1.2, 0.8, 1.1])


def parts(scale, offset):
    """KL, Q(x) and L(x) of one coordinate by the textbook."""
    a, b = 0.5 * (scale**-2 - 1), offset / scale**2
    kl = math.log(scale) + 0.5 * (offset / scale) ** 2 + a
    return kl, lambda x: a * (x * x - 1), lambda x: b * x


@pytest.mark.parametrize(("scale", "offset"), PAIRS)
def test_cumulants_in_one_dimension(scale, offset, normal_mean):
    kl, q, ell = parts(scale, offset)
    centred = [normal_mean(lambda x, m=m: (q(x) + ell(x)) ** m) for m in range(7)]
    expected = [
        kl, centred[2], centred[3], centred[4] - 3 * centred[2] ** 2,
        centred[5] - 10 * centred[3] * centred[2],
        centred[6] - 15 * centred[4] * centred[2] - 10 * centred[3] ** 2 + 30 * centred[2] ** 3,
    ]  # fmt: skip
    sizes = [1e-3 + abs(c) for c in centred[1:]]
    got = grid_pair(1, scale, offset).law.ell(6).value[1:]
    for one, other, size in zip(got, expected, sizes, strict=True):
        assert one == pytest.approx(other, rel=1e-10, abs=1e-11 * size)


def test_the_notebooks_cumulants():
    law = pair([1, 4], 1, [-3, 2], 2.5).law
    variance, third, fourth = law.ell(4).value[2:]
    assert variance == law.variance == pytest.approx(1.2176, rel=1e-14)
    assert third / variance**1.5 == pytest.approx(-1.8426037, abs=5e-8)
    assert fourth / variance**2 == pytest.approx(4.9390818, abs=5e-8)
    assert not law.is_finite(-2)


def points_of(three, seed):
    """Q and L of a pair at 10^6 points, by the definition, as 100 batches."""
    x = np.random.default_rng(seed).normal(size=(100, 10_000, 3))
    rho, delta = three.q_sd / three.p_sd, three.q_mean - three.p_mean
    q = (0.5 * (rho**2 - 1) * (x * x - 1)).sum(axis=-1)
    ell = (three.q_sd * delta / three.p_sd**2 * x).sum(axis=-1)
    return q, ell


def t_score(batches, exact):
    return (batches.mean() - exact) / (batches.std(ddof=1) / math.sqrt(batches.size))


def test_cumulants_in_three_dimensions():
    q, ell = points_of(THREE, 3)
    law = THREE.law
    _, _, *kappa = law.ell(4).value
    y = q + ell
    exact = [0.0, kappa[0], kappa[1], kappa[2] + 3 * kappa[0] ** 2]
    # |t| < 4.5 has probability 1 - 2e-5 on 99 degrees of freedom
    for m, value in enumerate(exact, start=1):
        assert abs(t_score((y**m).mean(axis=1), value)) < 4.5


@pytest.mark.parametrize(("scale", "offset"), PAIRS)
@pytest.mark.parametrize("tilt", list(itertools.product((-2, -1, 0, 1), (-2, -1, 0, 1, 2))))
def test_joint_generating_function(scale, offset, tilt, normal_mean):
    T, S = tilt
    law = grid_pair(1, scale, offset).law
    kl, q, ell = parts(scale, offset)
    if 1 - T * (scale**-2 - 1) <= 0:
        assert law.log_mgf(tilt) == math.inf
        return
    value = normal_mean(lambda x: np.exp(T * (kl + q(x)) + S * ell(x)))
    assert law.log_mgf(tilt) == pytest.approx(math.log(value), rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.7])
def test_moments_of_r_and_k3_in_three_dimensions(paired, slope):
    q, ell = points_of(NARROW, 4)
    law = NARROW.law
    plus, minus = law.kl + q + ell, law.kl + q - ell
    ratio, image = np.expm1(-plus), np.expm1(-minus)
    y, y_image = (r + x - law.kl - slope * r for r, x in ((ratio, plus), (image, minus)))
    block = law.block(paired, 4, slope, 1.0 - slope).value
    if paired:
        variables = [0.5 * (ratio + image), 0.5 * (ratio - image), 0.5 * (y + y_image)]
    else:
        variables = [ratio, y]
    for index in itertools.product(range(3), repeat=len(variables)):
        if sum(index) in (2, 3):
            values = math.prod(v**i for v, i in zip(variables, index, strict=True))
            assert abs(t_score(values.mean(axis=1), block[index])) < 4.5, index


def test_outside_the_domain_expectations_are_infinite():
    # rho^2 > 1/2 is scale < sqrt(2); at scale 2.5 rho^2 is 0.16
    for scale, finite in [(1.41, True), (math.sqrt(2), False), (2.5, False)]:
        law = grid_pair(2, scale, 0.3).law
        assert law.is_finite(-2) is finite
        assert math.isfinite(law.block(False, 2).value[2, 0]) is finite
        for paired in (False, True):
            theory = ESTIMATORS["k3"].theory(law, paired)
            assert math.isfinite(theory.variance) is finite
            assert (theory.reason is None) is finite


def decimal_k3_variance(dimension, scale, offset):
    """chi^2 + V - 2 J in 120 digits."""
    with localcontext() as context:
        context.prec = 120
        s, o, d = Decimal(scale), Decimal(offset), Decimal(dimension)
        t, b = s**-2 - 1, o / s**2
        log_e2 = d * (2 * s.ln().copy_negate() - (o / s) ** 2)  # -2 c
        log_chi = log_e2 - d * (1 + 2 * t).ln() / 2 + d * 4 * b * b / (2 * (1 + 2 * t))
        variance = d * (t * t / 2 + b * b)
        forward = d * (t - (1 + t).ln() + (o / s) ** 2) / 2
        u = s**2 - 1
        backward = d * (u - (1 + u).ln() + o**2) / 2
        return log_chi.exp() - 1 + variance - 2 * (forward + backward)


@pytest.mark.parametrize("dimension", [1, 16])
@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1.0, 1e-8), (1 + 1e-8, 0.0), (1.0001, 1e-4), (1.002, 0.0), (1.0, 0.02), (1.1, 0.3), (0.7, 1)],
)
def test_variance_of_k3_keeps_its_digits(dimension, scale, offset):
    law = grid_pair(dimension, scale, offset).law
    exact = decimal_k3_variance(dimension, scale, offset)
    got = ESTIMATORS["k3"].theory(law, False).variance
    # The plain sum would keep none of them: its terms are up to 1e16 times the result.
    assert abs(Decimal(float(got)) / exact - 1) < Decimal("1e-12")


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("dimension", [1, 64])
def test_equal_gaussians_have_no_error_at_all(name, paired, dimension):
    theory = ESTIMATORS[name].theory(grid_pair(dimension, 1.0, 0.0).law, paired)
    assert theory[:5] == (0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("paired", [False, True])
def test_beyond_a_thousand_nats(name, paired):
    law = grid_pair(1000, 1.0, 2.0).law
    assert law.kl == 2000.0
    theory = ESTIMATORS[name].theory(law, paired)
    # Var l is 4000; chi^2 is e^4000, above the largest float64, but e^4 - 1 of a coordinate.
    if name.endswith("-factor"):
        assert math.isfinite(theory.variance)
        if name == "k3-factor" and not paired:
            exact = 1000 * (math.expm1(4.0) + 4.0 - 2.0 * 4.0)
            assert theory.variance == pytest.approx(exact, rel=1e-12)
    elif name == "rb":  # the closed form
        assert theory[:4] == (0.0, 0.0, 0.0, 0.0)
    elif name == "cv" and not paired:
        assert theory.kind == "none"
        assert math.isnan(theory.variance)
    elif name == "k3":  # finite, but e^4000 is larger than float64
        assert theory.kind == "none"
        assert math.isnan(theory.variance)
        assert theory.bias == 0.0
    elif name == "cv":  # every pair is KL, and so is the intercept of a constant
        assert theory[:4] == (0.0, 0.0, 0.0, 0.0)
    else:
        finite = {"k1": 0.0 if paired else 4000.0}
        # k2: l^2/2 of a normal l; the pair's mean is (KL^2 + L^2)/2 with Var L^2 = 2 V^2
        finite["k2"] = 0.5 * 4000.0**2 + (0 if paired else 4000.0 * 2000.0**2)
        assert theory.variance == pytest.approx(finite[name], rel=1e-12)
    if name == "k3" or (name == "cv" and not paired):
        assert TOO_LARGE in theory.reason


@settings(max_examples=200)
@given(
    st.integers(1, 10**9),
    st.floats(-30, 30),
    st.one_of(st.just(0.0), st.floats(-30, 30)),
    st.sampled_from(list(ESTIMATORS)),
    st.booleans(),
)
def test_a_variance_is_known_or_too_large(dimension, log_scale, log_offset, name, paired):
    p = grid_pair(dimension, 10.0**log_scale, 10.0**log_offset if log_offset else 0.0)
    law = p.law
    assert math.isfinite(law.kl)
    theory = ESTIMATORS[name].theory(law, paired)
    if theory.kind == "none":
        assert name in ("k3", "k3-factor", "cv", "cv-factor")
        assert theory.reason
        assert math.isnan(theory.variance)
    else:
        assert theory.variance >= 0.0  # NaN is not
    if math.isinf(theory.variance):
        assert theory.reason
