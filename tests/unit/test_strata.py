"""The law of a mean over balanced scrambled Sobol' points, against SciPy's points themselves."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy import integrate
from scipy.special import ndtri
from scipy.stats import chi2, norm, qmc

from mckl.exact.dyadic import Dyadic
from mckl.exact.quadruples import linked
from mckl.exact.strata import (
    balanced_variance,
    chi_strata,
    normal_strata,
    scaled,
    stratified,
)
from mckl.families.coordinates.independent import INDEPENDENT
from mckl.families.coordinates.mixture import MIXTURE
from mckl.families.normal.form import QuadraticForm
from mckl.families.normal.pair import Diagonal, grid_pair

mp = mpmath.mp.clone()
mp.dps = 40
NONE = np.empty(0)
NORMAL = QuadraticForm(0.0, np.zeros(1), np.ones(1), NONE, NONE)
SQUARE = QuadraticForm(0.0, np.ones(1), np.zeros(1), NONE, NONE)


def test_one_stratum_is_the_whole_law():
    one = normal_strata(1)
    for got, expected in (
        (one.square, 2.0),
        (one.linear, 1.0),
        # the third cumulant of a g^2 + b g is 8 a^3 + 6 a b^2, and the fourth 48 a^4 + 48 a^2 b^2
        *zip(one.third, (8.0, 2.0), strict=True),
        *zip(one.fourth, (48.0, 8.0, 0.0), strict=True),
        # cumulants of a chi-square: 2^(m-1) (m-1)! dof
        *zip(chi_strata(1, 5.0), (10.0, 40.0, 240.0), strict=True),
    ):
        assert abs(got.value - expected) <= got.error <= 1e-10 * max(expected, 1.0)


@pytest.mark.parametrize("reduce", [Diagonal.form, Diagonal.radial])
@pytest.mark.parametrize("cell", [(1, 1.25, 0.3), (5, 0.8, 0.2), (3, 1.0, 0.5)])
def test_one_point_has_the_variance_and_kurtosis_of_l(reduce, cell):
    v, third, fourth = grid_pair(*cell).law.ell(4).value[2:]
    expected = (v, third / v**1.5, fourth / v**2)
    got = stratified(reduce(grid_pair(*cell)), 1)
    assert got[:3] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert (np.abs(np.subtract(got[:3], expected)) <= np.array(got[3:]) + 1e-14).all()


@pytest.mark.parametrize("n", [2, 8, 64])
def test_variances_within_strata_by_the_truncated_normal_formula(n):
    edges = ndtri(np.arange(n + 1) / n)
    # E x^m within a stratum from phi at its edges, by parts
    phi = norm.pdf(edges)
    with np.errstate(invalid="ignore"):
        xphi, x3phi = np.nan_to_num(edges * phi), np.nan_to_num(edges**3 * phi)
    first = -n * np.diff(phi)
    second = 1 - n * np.diff(xphi)
    fourth = 3 * second - n * np.diff(x3phi)
    got = normal_strata(n)
    assert got.linear.value == pytest.approx(np.sum(second - first**2), rel=1e-10)
    assert got.square.value == pytest.approx(np.sum(fourth - second**2), rel=1e-10)


@pytest.mark.parametrize("dof", [1.0, 2.0, 63.0])
@pytest.mark.parametrize("n", [2, 16])
def test_variances_within_chi_square_strata(dof, n):
    edges = chi2.ppf(np.arange(n + 1) / n, dof)
    edges[-1] = chi2.isf(1e-22, dof)
    total = 0.0
    for low, high in pairwise(edges):
        # over the square root, in which one degree has no singularity
        moments = [
            integrate.quad(
                lambda y, m=m: 2 * y ** (2 * m + 1) * chi2.pdf(y * y, dof) if y > 0 else 0.0,
                math.sqrt(low), math.sqrt(high), epsabs=0, epsrel=1e-11, limit=200,
            )[0]
            * n
            for m in (1, 2)
        ]  # fmt: skip
        total += moments[1] - moments[0] ** 2
    assert chi_strata(n, dof)[0].value == pytest.approx(total, rel=1e-7)


def variance_by_quadrature(n, power, dof):
    """The sum of Var(x^power) over n equal strata of a chi law, by 24 nodes in each of them."""
    edges = np.sqrt(np.concatenate((chi2.ppf(np.arange(n) / n, dof), [chi2.isf(1e-22, dof)])))
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = 0.5 * np.diff(edges)[:, None]
    x = edges[:-1, None] + half * (1 + nodes)
    weight = half * weights * x ** (dof - 1) * np.exp(-0.5 * (x * x - dof))
    weight /= weight.sum(axis=1, keepdims=True)
    y = x**power
    y = y - (weight * y).sum(axis=1, keepdims=True)
    return (weight * y * y).sum()


@pytest.mark.parametrize("n", [2, 64, 1024, 2**16])
def test_variances_by_quadrature_within_every_stratum(n):
    """Those of a normal follow from its absolute value, with half of the strata on either side."""
    chi = QuadraticForm(0.0, np.zeros(1), np.zeros(1), np.ones(1), np.array([63.0]))
    expected = variance_by_quadrature(n, 2, 63.0) / n**2
    assert balanced_variance(chi, n) == pytest.approx(expected, rel=1e-10)
    for power, form in ((1, NORMAL), (2, SQUARE)):
        expected = 2 * variance_by_quadrature(n // 2, power, 1.0) / n**2
        assert balanced_variance(form, n) == pytest.approx(expected, rel=1e-10)


@pytest.fixture(scope="module")
def scrambled():
    """u of 4,000 scrambles of 16 points in 8 dimensions, each of which is scrambled on its own."""
    rng = np.random.default_rng(9)
    return np.array([qmc.Sobol(8, scramble=True, bits=30, rng=rng).random(16) for _ in range(4000)])


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("g", NORMAL),
        ("g^2", SQUARE),
        ("g^2 + g", QuadraticForm(0.0, np.ones(1), np.ones(1), NONE, NONE)),
        ("chi-square of 1", QuadraticForm(0.0, np.zeros(1), np.zeros(1), np.ones(1), np.ones(1))),
        (
            "chi-square of 63",
            QuadraticForm(0.0, np.zeros(1), np.zeros(1), np.ones(1), 63 * np.ones(1)),
        ),
    ],
)
def test_variance_and_fourth_cumulant_of_scipys_scrambled_points(scrambled, name, form):
    if form.chi.size:
        y = chi2.ppf(scrambled, form.dof[0]) - form.dof[0]
    else:
        g = ndtri(scrambled + 2.0**-31)
        y = form.square[0] * (g * g - 1) + form.linear[0] * g
    means = y.mean(axis=1).ravel()  # one mean for each scramble and dimension
    variance, skewness, excess = stratified(form, 16)[:3]
    r = means.size
    z = (means.var(ddof=1) / variance - 1) / math.sqrt((excess + 2) / r)
    assert abs(means.mean()) < 4.5 * math.sqrt(variance / r)
    assert abs(z) < 4.5
    # independent points would have 5 to 50 times this variance
    assert stratified(form, 1)[0] / 16 > 4 * variance
    batches = means.reshape(40, -1)
    third = (batches**3).mean(axis=1) / variance**1.5
    assert abs(third.mean() - skewness) < 4.5 * third.std(ddof=1) / math.sqrt(40)
    fourth = ((batches**4).mean(axis=1) - 3 * variance**2) / variance**2
    error = fourth.std(ddof=1) / math.sqrt(40)
    assert abs(fourth.mean() - excess) < 4.5 * error
    assert error < 0.35 * max(abs(excess), 1.0)  # a normal law would be seen


def test_the_quadruples_of_strata_matter():
    # Without them, independent strata: the fourth cumulant of the mean of g would be this.
    n, x = 16, ndtri((np.arange(16 * 4096) + 0.5) / (16 * 4096)).reshape(16, -1)
    x = x - x.mean(axis=1, keepdims=True)
    independent = ((x**4).mean(axis=1) - 3 * (x**2).mean(axis=1) ** 2).sum()
    assert normal_strata(n).fourth[2].value > 2 * abs(independent)


@pytest.mark.parametrize("reduce", [Diagonal.form, Diagonal.radial])
@pytest.mark.parametrize("cell", [(1, 1.25, 0.3), (16, 0.8, 0.25), (64, 1.0, 0.5)])
def test_the_rate_is_about_n_to_the_minus_two(reduce, cell):
    form = reduce(grid_pair(*cell))
    n = np.array([2**m for m in range(6, 15)])
    variance = np.array([stratified(form, int(k))[0] for k in n])
    slope = np.diff(np.log2(variance))
    # n^-3 for smooth bounded functions; the normal's tails leave n^-2 up to logarithms
    assert ((slope > -2.35) & (slope < -1.9)).all()


@pytest.mark.parametrize(
    ("power", "centre"), [(0.5, 0.0), (-0.2, 0.0), (-0.24, 0.0), (0.5, 0.3), (3.0, 0.7)]
)
@pytest.mark.parametrize("n", [1, 16, 1024, 8192])
def test_powers_of_a_distance_against_their_integrals(n, power, centre):
    """The function is abs(u - centre)^power, whether or not the centre is said to be singular."""

    def functions(u, upper):
        values = np.abs((1.0 - u if upper else u) - centre) ** power
        return np.stack((values[None], 1e-15 * values[None]))

    c, a = mp.mpf(centre), mp.mpf(power)
    x = [mp.mpf(i) / n - c for i in range(n + 1)]
    raw = [[mp.sign(y) * abs(y) ** (k * a + 1) / (k * a + 1) * n for y in x] for k in range(1, 5)]
    total = [mp.mpf(0)] * 3
    for m1, m2, m3, m4 in zip(*([b - a for a, b in pairwise(row)] for row in raw), strict=True):
        v = m2 - m1**2
        total[0] += v
        total[1] += m3 - 3 * m1 * m2 + 2 * m1**3
        total[2] += m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4 - 3 * v**2
    for singular in ([], [(centre, 1.0 - centre)]) if centre else ([],):
        got = Dyadic(functions, singular).sums(n)
        assert got.error[0, 0] <= 1e-9 * total[0]
        for value, error, right in zip(got.value[0], got.error[0], total, strict=True):
            assert abs(value - right) <= error


INTEGRANDS = {"k1": "ell", "k2-factor": "half_square", "k3-factor": "k3"}
REFERENCES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "references" / "strata.json").read_text().splitlines()
]


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: reference["name"])
def test_variances_against_references_of_15_digits(reference):
    families = {**INDEPENDENT, "mixture": MIXTURE}
    q, p = (
        families[side["family"]].side({k: v for k, v in side.items() if k != "family"})
        for side in (reference["q"], reference["p"])
    )
    form = q.against(p).form()
    for name, integrand in INTEGRANDS.items():
        for n, text in reference["variances"][name].items():
            got, right = form.stratified(int(n), integrand), float(text)
            if math.isinf(right):
                assert not math.isfinite(got.variance)
                continue
            assert abs(got.variance - right) <= got.error + 2e-15 * right
            assert got.error <= 1e-7 * right
            assert form.balanced_variance(int(n), integrand) == pytest.approx(right, rel=1e-7)


@pytest.mark.parametrize("n", [4, 16, 1024, 2**14])
def test_the_kurtosis_of_a_mean_of_positions(n):
    """It is 0.6 (n - 3) for f(u) = u (docs/explanation/theory.md, section 6)."""

    def functions(u, upper):
        values = 1.0 - u if upper else u
        return np.stack((values[None], 1e-16 * values[None]))

    dyadic = Dyadic(functions)
    value, error = (of[0] for of in dyadic.sums(n))
    quadruples = linked(dyadic, n, 0, 0, 0, 0)
    law = scaled(
        n, value + np.array([0, 0, quadruples.value]), error + np.array([0, 0, quadruples.error])
    )
    assert law.variance == pytest.approx(1 / (12 * n**3), rel=1e-12)
    assert abs(law.excess_kurtosis - 0.6 * (n - 3)) <= law.kurtosis_error
    assert law.kurtosis_error < 2e-6 * n
