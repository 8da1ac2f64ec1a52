"""Point sets and reductions: the same law from every sampler."""

from __future__ import annotations

import math

import numpy as np
import pytest
from definition import log_density_ratio
from scipy.special import ndtr, ndtri
from scipy.stats import chi2, ks_2samp, kstest

from mckl.draw.backends.numpy import NumpyKernel
from mckl.draw.points import SAMPLERS
from mckl.draw.quantiles import chisquare_of_normal
from mckl.draw.streams import Stream, seed_sequence
from mckl.families.normal.pair import Diagonal, grid_pair, pair

# two groups of equal a with unequal b, and one coordinate apart
GROUPS = pair([0.4, -0.3, 1.0, 0.0, 0.2], 1.0, 0.0, [1.25, 1.25, 1.25, 0.9, 0.7])
PAIRS = [grid_pair(1, 1.25, 0.3), grid_pair(6, 0.8, 0.2), grid_pair(3, 1.0, 0.4), GROUPS]


def start(sampler, p, replicate=0):
    form = SAMPLERS[sampler].form(p)
    key = seed_sequence(7, sampler, replicate)
    return form, SAMPLERS[sampler].points.start(Stream(key), form, key)


def ells(sampler, p, n, replicate=0):
    """The first n values of l, shape (points per unit, units)."""
    form, draw = start(sampler, p, replicate)
    points = SAMPLERS[sampler].points.points
    return NumpyKernel([form], points).evaluate([draw], n // points)[0, :, 0, 0]


@pytest.mark.parametrize("p", PAIRS)
@pytest.mark.parametrize("reduce", [Diagonal.form, Diagonal.radial])
def test_a_reduction_has_the_cumulants_of_l(p, reduce):
    f = reduce(p)
    kappa = [
        f.kl,
        np.sum(2 * f.square**2 + f.linear**2) + np.sum(2 * f.dof * f.chi**2),
        np.sum(8 * f.square**3 + 6 * f.square * f.linear**2) + np.sum(8 * f.dof * f.chi**3),
        np.sum(48 * f.square**4 + 48 * f.square**2 * f.linear**2) + np.sum(48 * f.dof * f.chi**4),
    ]
    assert kappa == pytest.approx(p.law.ell(4).value[1:], rel=1e-12)


def test_radial_takes_two_numbers_a_group():
    assert grid_pair(1, 1.25, 0.3).radial().numbers == 1
    assert grid_pair(10**9, 1.25, 0.3).radial().numbers == 2
    assert GROUPS.radial().numbers == 2 + 1 + 1
    assert GROUPS.form().numbers == 5


@pytest.mark.parametrize("p", PAIRS)
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "iid"])
def test_every_sampler_draws_from_the_same_law(p, sampler):
    n = 2**14
    points = SAMPLERS[sampler].points.points
    one, other = ells("iid", p, n)[0], ells(sampler, p, points * n)[0]
    assert ks_2samp(one, other).pvalue > 1e-4


@pytest.mark.parametrize("sampler", ["iid", "iid-radial", "sobol-radial"])
@pytest.mark.parametrize("p", PAIRS)
def test_the_first_four_moments_over_many_samples(sampler, p):
    n = 2**17
    y = ells(sampler, p, n)[0]
    v, third, fourth = p.law.ell(4).value[2:]
    y = (y - p.law.kl) / math.sqrt(v)
    excess = fourth / v**2
    # Stratified points only do better than these iid standard errors.
    assert abs(y.mean()) < 4.5 / math.sqrt(n)
    assert abs(y.var() - 1) < 4.5 * math.sqrt((excess + 2) / n)
    batches = y.reshape(128, -1)
    for m, exact in ((3, third / v**1.5), (4, excess + 3)):
        per_batch = (batches**m).mean(axis=1)
        assert abs(per_batch.mean() - exact) < 5 * per_batch.std(ddof=1) / math.sqrt(128)


@pytest.mark.parametrize("sampler", ["iid-radial", "antithetic-radial"])
def test_a_million_dimensions(sampler):
    p = grid_pair(10**6, 1.2, 0.0005)
    law, n = p.law, 2**15
    plus = ells(sampler, p, n)[0]
    m = plus.size
    assert abs(plus.mean() - law.kl) < 4.5 * math.sqrt(law.variance / m)
    assert abs(plus.var() / law.variance - 1) < 4.5 * math.sqrt(2 / m)  # normal in 10^6 dimensions
    assert math.sqrt(law.variance) < 0.01 * law.kl  # so the mean is a sharp test of KL


def test_the_kernel_is_the_definition():
    for p in (GROUPS, grid_pair(3, 1.25, 0.3)):
        form, draw = start("iid", p)
        epsilon = np.array(draw(1000)[0])
        direct = log_density_ratio(p, p.q_mean + p.q_sd * epsilon)
        np.testing.assert_allclose(ells("iid", p, 1000)[0], direct, rtol=1e-11, atol=1e-12)
        mirrored = log_density_ratio(p, p.q_mean - p.q_sd * epsilon)
        pairs = NumpyKernel([form], 2).evaluate([start("iid", p)[1]], 1000)[0, :, 0, 0]
        np.testing.assert_allclose(pairs, [direct, mirrored], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("sampler", ["antithetic", "antithetic-radial"])
def test_antithetic_points_are_mirrored(sampler):
    p = GROUPS
    plus, minus = ells(sampler, p, 4096)
    form, draw = start(sampler, p)
    normals = np.array(draw(2048)[0])
    # only the odd part of l changes sign
    np.testing.assert_allclose(plus - minus, 2 * normals @ form.linear, rtol=0, atol=1e-12)
    assert np.ptp(plus + minus) > 1


@pytest.mark.parametrize("sampler", ["sobol", "sobol-radial"])
@pytest.mark.parametrize("m", [0, 1, 4, 10])
def test_sobol_marginals_are_balanced_at_powers_of_two(sampler, m):
    n = 2**m
    form, draw = start(sampler, grid_pair(7, 1.25, 0.3))
    normals, chis = draw(n)
    u = np.column_stack([ndtr(normals), chi2.cdf(chis, form.dof)])
    assert u.shape == (n, form.numbers)
    strata = np.sort(np.floor(u * n).astype(int), axis=0)
    np.testing.assert_array_equal(strata, np.arange(n)[:, None] + np.zeros(form.numbers, int))


def test_sobol_points_are_not_balanced_between_powers_of_two():
    _, draw = start("sobol", grid_pair(7, 1.25, 0.3))
    u = ndtr(draw(24)[0])
    filled = [len(set(np.floor(column * 24).astype(int))) for column in u.T]
    assert min(filled) < 24


def test_one_sobol_point_is_uniform_over_scrambles():
    u = np.array([ndtr(start("sobol", grid_pair(3, 1.25, 0.3), r)[1](1)[0][0]) for r in range(600)])
    for column in u.T:
        assert kstest(column, "uniform").pvalue > 1e-4
    # within strata too: the third point of each scramble, at the scale of a quarter
    third = np.array([ndtr(start("sobol", GROUPS, r)[1](4)[0][2, 0]) for r in range(600)])
    assert kstest(4 * third % 1, "uniform").pvalue > 1e-4


def test_every_replicate_has_a_fresh_scramble():
    p = grid_pair(4, 1.25, 0.3)
    one, other = (ndtr(start("sobol", p, r)[1](16)[0]) for r in (0, 1))
    a, b = ((u * 2**20).astype(np.int64) for u in (one, other))
    assert (a != b).all()
    # More than the digital shift differs, else the bitwise difference would be constant.
    assert all(len(set(column)) > 1 for column in (a ^ b).T)
    np.testing.assert_array_equal(one, ndtr(start("sobol", p, 0)[1](16)[0]))


def test_successive_sobol_draws_continue_one_sequence():
    whole = start("sobol-radial", GROUPS)[1](64)
    draw = start("sobol-radial", GROUPS)[1]
    parts = [draw(rows) for rows in (1, 31, 32)]
    for i in (0, 1):
        np.testing.assert_array_equal(np.concatenate([p[i] for p in parts]), whole[i])


@pytest.mark.parametrize("dof", [1.0, 2.0, 3.0, 63.0, 1e4, 3e5])
def test_the_chi_square_quantile_is_scipys(dof):
    x = np.random.default_rng(8).uniform(-9, 9, 50_000)
    exact = np.where(x < 0, chi2.ppf(ndtr(x), dof), chi2.isf(ndtr(-x), dof))
    error = np.abs(chisquare_of_normal(dof)(x) - exact) / math.sqrt(2 * dof)
    assert error.max() < 1e-11


@pytest.mark.parametrize("dof", [1e6, 1e7, 1e9 - 1])
def test_the_chi_square_quantile_of_many_degrees(dof):
    x = np.linspace(-8, 8, 10_001)
    w = chisquare_of_normal(dof)(x)
    assert (np.diff(w) > 0).all()
    # Below x = -4 SciPy's own distribution function jumps: at 10^9 degrees by 0.2 deviations.
    sound = x > -4
    back = np.where(x < 0, ndtri(chi2.cdf(w, dof)), -ndtri(chi2.sf(w, dof)))
    assert np.abs(back - x)[sound].max() < 1e-11
    # Wilson & Hilferty's cube, an independent approximation whose error is of order 1/dof
    # (beyond rounding of dof itself); it vouches for the lower tail.
    cube = dof * (1 - 2 / (9 * dof) + x * math.sqrt(2 / (9 * dof))) ** 3
    assert np.abs(w - cube).max() / math.sqrt(2 * dof) < 100 / dof + 1e-9


@pytest.mark.parametrize("dof", [1.0, 2.0, 63.0])
def test_quantiles_stay_finite_at_the_ends_of_the_unit_interval(dof):
    ends = ndtri(np.array([2.0**-64, 1 - 2.0**-53]))
    w = chisquare_of_normal(dof)(ends)
    assert np.isfinite(w).all()
    assert w[0] < w[1]
