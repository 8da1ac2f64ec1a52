"""Moments of normal pairs against closed forms at 120 digits, each within its own bound."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import mpmath
import numpy as np
import pytest

from mckl.exact import joint
from mckl.exact.moments import ELL, GAP, HALF_SQUARE, K3, RATIO, RB, Function
from mckl.families.normal import law as normal_law
from mckl.families.normal.covariance_root import spectral_bound
from mckl.families.normal.pair import Factored, correlated, pair

# q's mean and standard deviation against the standard normal p
NEAR = [(1e-10, 1.0), (0.0, 1.0 + 2.0**-33), (1e-9, 1.0 - 2.0**-30), (1e-3, 1.01), (0.2, 0.95)]
CALM = [(0.3, 1.0), (0.5, 1.1), (-0.4, 0.96), (1.0, 1.0), (-2.0, 1.3), (0.0, 2.0), (3.0, 3.0)]
FAR = [(6.0, 1.0), (0.1, 1e3), (30.0, 20.0), (-1.0, 0.9), (0.7, 0.3), (1.0, 1e-4), (25.0, 1.0)]
# E r^4, and E r^2, are finite for sd^2 above 3/4, and above 1/2.
BORDER = [
    (0.0, math.sqrt(0.75 + 1e-9)), (1e-5, math.sqrt(0.75 + 1e-7)), (0.0, math.sqrt(0.75 - 1e-9)),
    (0.0, math.sqrt(0.5 + 1e-10)), (0.001, math.sqrt(0.5 + 1e-5)), (0.1, math.sqrt(0.5)),
]  # fmt: skip

SLOPE = Function("k3", 0.984375, 0.015625)


class Exact:
    """One coordinate's l from its float64 parameters; functions are polynomials times powers of r.

    A function is a mapping {(j, k): coefficients of powers of g}, for the powers r^j r'^k of r at a
    point and at its mirror image.
    """

    def __init__(self, mean: float, sd: float, p_mean: float = 0.0, p_sd: float = 1.0) -> None:
        mean, sd, p_mean, p_sd = map(mpmath.mpf, (mean, sd, p_mean, p_sd))
        rho, shift = sd / p_sd, (mean - p_mean) / p_sd
        self.a, self.b = (rho**2 - 1) / 2, rho * shift
        self.kl = self.a + shift**2 / 2 - mpmath.log(rho)

    def function(self, f: Function, paired: bool):
        even, odd = [self.kl - self.a, 0, self.a], [0, self.b]
        ell = even if paired else [even[0], self.b, self.a]
        r = {(1, 0): [mpmath.mpf(1) / 2], (0, 1): [mpmath.mpf(1) / 2]} if paired else {(1, 0): [1]}
        slope = mpmath.mpf(f.slope)
        if f.name == "ell":
            return {(0, 0): ell}
        if f.name == "half_square":
            square = _add(_times(even, even), _times(odd, odd)) if paired else _times(ell, ell)
            return {(0, 0): [c / 2 for c in square]}
        if f.name == "ratio":
            return r | {(0, 0): [-1]}
        if f.name == "gap":
            return {(1, 0): [mpmath.mpf(1) / 2], (0, 1): [-mpmath.mpf(1) / 2]}
        if f.name == "rb":
            return {(0, 0): [self.kl]}
        out = {power: [c * (1 - slope) for c in p] for power, p in r.items()}
        return out | {(0, 0): _add(ell, [slope - 1])}

    def mean(self, f) -> mpmath.mpf:
        """The expectation; inf where it diverges."""
        total = mpmath.mpf(0)
        for (j, k), poly in f.items():
            T, S = -(j + k), -(j - k)
            precision = 1 - 2 * T * self.a
            if precision <= 1e-12 and T < -1:
                return mpmath.inf
            mass = mpmath.exp(T * (self.kl - self.a) + (S * self.b) ** 2 / (2 * precision))
            g = [mpmath.mpf(1), S * self.b / precision]
            for m in range(1, len(poly)):
                g.append(g[1] * g[m] + m * g[m - 1] / precision)
            total += (
                mass
                / mpmath.sqrt(precision)
                * sum(c * x for c, x in zip(poly, g[: len(poly)], strict=True))
            )
        return total

    def moments(self, functions, paired, order):
        """All central moments by index; the means have the indices of order 1."""
        each = [self.function(f, paired) for f in functions]
        means = [self.mean(f) for f in each]
        centred = [_sum(f, {(0, 0): [-m]}) for f, m in zip(each, means, strict=True)]
        products = {(0,) * len(each): {(0, 0): [mpmath.mpf(1)]}}
        out = {}
        for index in joint.indices(len(each), order):
            if sum(index):
                axis = next(i for i, k in enumerate(index) if k)
                lower = tuple(k - (i == axis) for i, k in enumerate(index))
                products[index] = _product(products[lower], centred[axis])
                out[index] = means[axis] if sum(index) == 1 else self.mean(products[index])
        return out


def _add(f, g):
    return [x + y for x, y in itertools.zip_longest(f, g, fillvalue=0)]


def _times(f, g):
    out = [mpmath.mpf(0)] * (len(f) + len(g) - 1)
    for (i, x), (j, y) in itertools.product(enumerate(f), enumerate(g)):
        out[i + j] += x * y
    return out


def _sum(f, g):
    return {k: _add(f.get(k, [0]), g.get(k, [0])) for k in f.keys() | g.keys()}


def _product(f, g):
    out = defaultdict(lambda: [mpmath.mpf(0)])
    for (a, x), (b, y) in itertools.product(f.items(), g.items()):
        key = a[0] + b[0], a[1] + b[1]
        out[key] = _add(out[key], _times(x, y))
    return dict(out)


def _bound(value, error, exact, scale=0.0):
    """Asserts that one number is within its bound, which is returned relative to the number.

    It is returned relative to `scale` if that is larger, and is inf where the number is not known.
    """
    if mpmath.isinf(exact):
        assert value == math.inf
        assert error == 0.0
        return 0.0
    if math.isnan(value):
        assert error == math.inf
        return math.inf if abs(exact) < 1.7e308 else 0.0
    assert abs(mpmath.mpf(value) - exact) <= error, (value, error, mpmath.nstr(exact, 20))
    size = max(abs(exact), scale)
    return float(error / size) if size else 0.0


WAYS = [
    ((ELL, HALF_SQUARE, RATIO, K3), False), ((RATIO, GAP, K3), True), ((RATIO, SLOPE), False),
    ((RATIO, GAP, SLOPE), True), ((HALF_SQUARE, ELL), True), ((RB,), False),
]  # fmt: skip


def _bounds(which, functions, paired, order=4):
    """The bounds of all moments relative to the products of their standard deviations."""
    law = pair(which[0], which[1], 0.0, 1.0).law
    (value, error), counts = law.factor_moments(functions, paired, order)
    assert counts == [1.0]
    assert value.shape == (order + 1,) * len(functions) + (1,)
    with mpmath.workdps(150):
        exact = Exact(*which).moments(functions, paired, order)
        twice = [tuple(2 * (i == j) for j in range(len(functions))) for i in range(len(functions))]
        sd = [mpmath.sqrt(exact[index]) if order > 1 else 0 for index in twice]
        out = {}
        for index, number in exact.items():
            if abs(number) < 1e-120:  # moments that are 0 by symmetry
                number = mpmath.mpf(0)
            if any(f.name == "gap" and k % 2 for f, k in zip(functions, index, strict=True)):
                assert value[index] == error[index] == 0.0  # by symmetry
                continue
            scale = mpmath.fprod(
                s**k if mpmath.isfinite(s) else 0 for s, k in zip(sd, index, strict=True)
            )
            out[index] = _bound(value[index][0], error[index][0], number, scale)
    return out


@pytest.mark.parametrize(("functions", "paired"), WAYS)
def test_factor_moments_are_within_their_bounds(functions, paired):
    bounds = [
        bound
        for which in (*NEAR, *CALM, *FAR, *BORDER)
        for bound in _bounds(which, functions, paired).values()
    ]
    assert np.isfinite(bounds).all()
    assert np.quantile(bounds, 0.5) < 1e-12
    assert np.quantile(bounds, 0.9) < 1e-8


@pytest.mark.parametrize(("functions", "paired"), WAYS)
def test_factor_moments_of_pairs_that_are_not_at_a_border_are_tight(functions, paired):
    for which in (*NEAR, *CALM):
        assert max(_bounds(which, functions, paired).values()) < 1e-10, which


@pytest.mark.parametrize("seed", range(10))
def test_factor_moments_of_random_pairs(seed):
    generator = np.random.default_rng(seed)
    for functions, paired in WAYS[:4]:
        size, stretch = 10 ** generator.uniform(-8, 3), 10 ** generator.uniform(-8, 1)
        which = size * generator.normal(), math.exp(stretch * generator.normal())
        _bounds(which, functions, paired)


def test_rows_are_as_if_each_were_alone():
    """Near rows share nodes and others do not; weights and order do not matter."""
    means, sds = np.array(NEAR + CALM + FAR + BORDER).T
    for functions, paired in WAYS:
        (value, error), counts = pair(means, sds, 0.0, 1.0).law.factor_moments(functions, paired, 4)
        assert (counts == 1.0).all()
        for i, which in enumerate(zip(means, sds, strict=True)):
            one, its_error = pair(*which, 0.0, 1.0).law.factor_moments(functions, paired, 4)[0]
            row, slack = value[..., i], error[..., i] + its_error[..., 0]
            with np.errstate(invalid="ignore"):
                close = np.abs(row - one[..., 0]) <= slack
            same = (row == one[..., 0]) | (np.isnan(row) & np.isnan(one[..., 0]))
            assert (close | same).all(), which


def test_order_2_is_finite_where_order_4_is_not():
    law = pair(0.1, 0.8, 0.0, 1.0).law  # 1 + 2 n a = 1 - 0.36 n
    value, error = law.factor_moments((K3, ELL), False, 4)[0]
    assert np.isfinite(value[2, :3, 0]).all()
    assert np.isfinite(value[1, :4, 0]).all()
    assert value[3, 0, 0] == value[3, 1, 0] == value[4, 0, 0] == math.inf
    assert error[3, 0, 0] == 0.0


def test_k3_less_all_of_r_is_l():
    """With slope 1 nothing of r is left, so that every moment is finite."""
    law = pair(0.3, 0.5, 0.0, 1.0).law
    value, error = law.factor_moments((Function("k3", 1.0, 0.0),), False, 4)[0]
    expected, its_error = law.factor_moments((ELL,), False, 4)[0]
    assert (np.abs(value - expected) <= error + its_error).all()
    assert np.isfinite(value).all()


@pytest.mark.parametrize("which", NEAR + CALM + FAR)
def test_kl_and_cumulants(which):
    law = pair(which[0], which[1], 0.0, 1.0).law
    with mpmath.workdps(80):
        exact = Exact(*which)
        assert _bound(law.kl, law.kl_error, exact.kl) < 1e-13
        value, error = law.parts(8)
        for i, j in itertools.product(range(9), (0, 2)):
            if 2 <= i + j <= 8:
                t, b2 = 2 * exact.a, exact.b**2
                number = math.factorial(i) * t**i * (b2 if j else mpmath.mpf(1) / (2 * max(i, 1)))
                assert _bound(value[i, j], error[i, j], number) < 1e-13
        assert not value[:, 1].any()
        assert not value[:, 3:].any()
        ell = law.ell(4)
        assert _bound(*ell.at(2), 2 * exact.a**2 + exact.b**2) < 1e-13


def test_many_coordinates():
    """Sums and products over different coordinates against one of them after the other."""
    means, sds = [0.1, -0.3, 1e-6, 0.8], [1.1, 0.97, 1.0, 1.4]
    law = pair(means, sds, 0.0, 1.0).law
    with mpmath.workdps(80):
        each = [Exact(*which) for which in zip(means, sds, strict=True)]
        assert _bound(law.kl, law.kl_error, sum(e.kl for e in each)) < 1e-13
        moments = [e.moments((K3,), False, 3) for e in each]
        sums = law.sums((K3,), False)
        for k in (2, 3):  # central moments are cumulants up to order 3
            assert _bound(*sums.at(k), sum(m[k,] for m in moments)) < 1e-11
        second = mpmath.fprod(1 + e.moments((RATIO,), False, 2)[2,] for e in each) - 1
        assert _bound(*law.block(False, 2).at(2, 0), second) < 1e-11


def _block(law, paired, slope, monkeypatch, tilted):
    """`Law.block` by tilted laws whatever their bounds are, or factor by factor."""
    with monkeypatch.context() as patch:
        patch.setattr(normal_law, "_MANY", 0 if tilted else 10**9)
        patch.setattr(normal_law, "_TILTED_ERROR", math.inf)
        return law.block(paired, 4, slope, 1.0 - slope)


@pytest.mark.parametrize(("functions", "paired"), [way for way in WAYS if way[0][0] == RATIO])
def test_tilted_moments_are_within_their_bounds(functions, paired, monkeypatch):
    """Also where they are of no use, since q is near p."""
    tight = []
    for which in (*NEAR, *CALM, *FAR, *BORDER):
        law, slope = pair(*which, 0.0, 1.0).law, functions[-1].slope
        value, error = _block(law, paired, slope, monkeypatch, tilted=True)
        with mpmath.workdps(150):
            for index, number in Exact(*which).moments(functions, paired, 4).items():
                if sum(index) == 1 or (paired and index[1] % 2):
                    assert value[index] == error[index] == 0.0
                    continue
                number = number if abs(number) > 1e-120 else mpmath.mpf(0)
                bound = _bound(value[index], error[index], number)
                if which in CALM and number:
                    tight.append(bound)
    assert np.median(tight) < 1e-11
    assert np.quantile(tight, 0.9) < 1e-9


def _many(shift, stretch, seed=1):
    generator = np.random.default_rng(seed)
    means, sds = shift * generator.normal(size=2000), np.exp(stretch * generator.normal(size=2000))
    return means, sds


@pytest.mark.parametrize("slope", [0.0, 0.6])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("kind", ["usual", "infinite", "overflow"])
def test_tilted_moments_are_those_of_factors_one_by_one(kind, paired, slope, monkeypatch):
    means, sds = _many(0.3 if kind == "overflow" else 0.02, 0.02)
    if kind == "infinite":
        sds[7] = 0.85  # E r^4 is infinite, and E r^3 is not
    law = pair(means, sds, 0.0, 1.0).law
    default = law.block(paired, 4, slope, 1.0 - slope)
    tilted, other = (_block(law, paired, slope, monkeypatch, way) for way in (True, False))
    for x, y, z in zip(default, tilted, other, strict=True):
        assert np.array_equal(x, y, equal_nan=True)
        assert not np.array_equal(x, z, equal_nan=True)
    same = np.isinf(tilted.value)
    assert (same == np.isinf(other.value)).all()
    assert same.any() == (kind == "infinite")
    assert np.isnan(tilted.value).any() == (kind == "overflow")
    known = np.isfinite(tilted.value) & np.isfinite(other.value)
    slack = (tilted.error + other.error)[known]
    assert (np.abs(tilted.value[known] - other.value[known]) <= slack).all()
    variance = (0,) * (tilted.value.ndim - 1) + (2,)
    assert known[variance]
    assert tilted.error[variance] < 1e-9 * tilted.value[variance]


@pytest.mark.parametrize("paired", [False, True])
def test_tilted_moments_that_lose_digits_are_not_used(paired, monkeypatch):
    """Near q = p, where factor by factor nothing cancels."""
    law = pair(*_many(1e-4, 1e-5), 0.0, 1.0).law
    tilted, other = (_block(law, paired, 0.0, monkeypatch, way) for way in (True, False))
    found = law.block(paired, 4)
    assert np.array_equal(found.value, other.value)
    variance = (0,) * (found.value.ndim - 1) + (2,)
    assert found.error[variance] < 1e-9 * found.value[variance]
    assert tilted.error[variance] > 1e-9 * found.value[variance]
    assert (np.abs(tilted.value - other.value) <= tilted.error + other.error).all()


def _covariance(generator, size, condition):
    rotation, _ = np.linalg.qr(generator.normal(size=(size, size)))
    matrix = rotation * np.geomspace(1.0, 1.0 / condition, size) @ rotation.T
    return 0.5 * (matrix + matrix.T)


def _of_matrices(q_mean, q_cov, p_mean, p_cov):
    """KL, Var l, the third cumulant of l and E r^2 (or inf) from the matrices themselves."""
    size = len(q_cov)
    q, p = (mpmath.matrix(m.tolist()) for m in (q_cov, p_cov))
    gap = mpmath.matrix(
        [mpmath.mpf(float(x)) - mpmath.mpf(float(y)) for x, y in zip(q_mean, p_mean, strict=True)]
    )
    inverse = p**-1
    ratio = inverse * q
    less = ratio - mpmath.eye(size)
    moved = inverse * gap

    def trace(m):
        return sum(m[i, i] for i in range(size))

    kl = (trace(less) - mpmath.log(mpmath.det(ratio)) + (gap.T * moved)[0]) / 2
    variance = trace(less * less) / 2 + (moved.T * q * moved)[0]
    third = trace(less**3) + 3 * (moved.T * q * inverse * (q - p) * moved)[0]
    return kl, variance, third


def _kernel(length, jitter):
    x = np.linspace(0.0, 1.0, 20)
    return np.exp(-((x[:, None] - x) ** 2) / (2.0 * length * length)) + jitter * np.eye(20)


def _near(generator, size, condition, distance):
    p = _covariance(generator, size, condition)
    root, noise = np.linalg.cholesky(p), generator.normal(size=(size, size))
    q = p + distance * root @ (noise + noise.T) @ root.T
    return np.full(size, distance), 0.5 * (q + q.T), np.zeros(size), p


def _matrices():
    generator = np.random.default_rng(7)
    for q, p in itertools.product((1.0, 1e2, 1e8), (1.0, 1e4, 1e8, 1e11)):
        shift = generator.normal(size=8)
        of = _covariance(generator, 8, q), np.zeros(8), _covariance(generator, 8, p)
        yield pytest.param((shift, *of), id=f"{q:g}-{p:g}")
    for scale in (1e-8, 1e8):
        of_q, of_p = (_covariance(generator, 8, 1e4) for _ in range(2))
        shift = generator.normal(size=8)
        yield pytest.param((shift, scale * of_q, np.zeros(8), of_p), id=f"scale-{scale:g}")
    for condition, distance in ((1e2, 1e-8), (1e8, 1e-4)):
        yield pytest.param(_near(generator, 8, condition, distance), id=f"near-{condition:g}")
    yield pytest.param(
        (np.ones(4), 2.0 * np.eye(4), np.zeros(4), np.eye(4)), id="equal eigenvalues"
    )


@pytest.mark.parametrize("matrices", list(_matrices()))
def test_covariances_keep_their_digits(matrices):
    law = correlated(*matrices).law
    with mpmath.workdps(80):
        kl, variance, third = _of_matrices(*matrices)
        assert _bound(law.kl, law.kl_error, kl) < 1e-11
        ell = law.ell(4)
        assert _bound(*ell.at(2), variance) < 1e-9
        _bound(*ell.at(3), third)


@pytest.mark.parametrize("matrices", list(_matrices()))
def test_the_reverse_kl_is_within_its_bound(matrices):
    q_mean, q_cov, p_mean, p_cov = matrices
    both = correlated(*matrices)
    with mpmath.workdps(80):
        kl, *_ = _of_matrices(p_mean, p_cov, q_mean, q_cov)
        assert _bound(both.reverse_kl, both.reverse_kl_error, kl) < 1e-11


def test_shares_of_kl_are_within_their_bounds():
    """Where KL is taken from determinants, and rounding leaves little of the smallest 1 + 2a."""
    generator = np.random.default_rng(11)
    for q_condition, p_condition in ((1e2, 1e4), (1e6, 1.0), (1e8, 1e4)):
        q, p = (_covariance(generator, 5, c) for c in (q_condition, p_condition))
        value, error = correlated(0.0, q, 0.0, p).law.factor_moments((ELL,), False, 1)[0]
        with mpmath.workdps(80):
            root = mpmath.cholesky(mpmath.matrix(p.tolist())) ** -1
            t = mpmath.eigsy(root * mpmath.matrix((q - p).tolist()) * root.T, eigvals_only=True)
            for i, exact in enumerate(sorted(t)):
                _bound(value[1, i], error[1, i], (exact - mpmath.log(1 + exact)) / 2)


def test_well_conditioned_covariances_are_not_refined(monkeypatch):
    monkeypatch.setattr("mckl.families.normal.rotation.RefinedRoot", None)
    generator = np.random.default_rng(2)
    q, p = (_covariance(generator, 30, c) for c in (1e2, 10.0))
    law = correlated(np.full(30, 0.1), q, np.zeros(30), p).law
    with mpmath.workdps(30):
        kl, variance, _ = _of_matrices(np.full(30, 0.1), q, np.zeros(30), p)
    assert _bound(law.kl, law.kl_error, kl) < 1e-11
    assert _bound(*law.ell(2).at(2), variance) < 1e-11


@pytest.mark.parametrize("seed", range(20))
def test_measured_norms(seed):
    generator = np.random.default_rng(seed)
    n = int(generator.integers(1, 60))
    matrix = generator.normal(size=(n, n)) * np.geomspace(1.0, 10 ** generator.uniform(-9, 0), n)
    norm = np.linalg.norm(matrix, 2)
    assert norm <= spectral_bound(lambda x: matrix @ x, lambda x: matrix.T @ x, n) < 10.0 * norm


@pytest.mark.parametrize("distance", [0.0, 1e-8])
@pytest.mark.parametrize(
    ("of_q", "of_p"),
    [(1.0, 1.0), (1e2, 1e4), (1e8, 1.0), (1.0, 1e8), (1e8, 1e8), (1e11, 1e11), (1.0, 1e11)],
)
def test_factors_keep_their_digits(of_q, of_p, distance):
    """Covariances given by their roots; with a distance q's root is p's but for so much."""
    generator = np.random.default_rng(5)
    q, p = (np.linalg.cholesky(_covariance(generator, 6, c)) for c in (of_q, of_p))
    shift = generator.normal(size=6)
    if distance:
        q, shift = p * (1.0 + distance * generator.normal(size=p.shape)), distance * shift
    law = Factored(shift, q, np.zeros(6), p).law
    with mpmath.workdps(80):
        q, p = (mpmath.matrix(root.tolist()) for root in (q, p))
        kl, variance, third = _of_matrices(shift, q * q.T, np.zeros(6), p * p.T)
        assert _bound(law.kl, law.kl_error, kl) < 1e-11
        assert _bound(*law.ell(2).at(2), variance) < 1e-11
        _bound(*law.ell(3).at(3), third)


def test_the_moments_of_correlated_pairs_are_those_of_the_rotated_pair():
    """A rotation of both laws leaves k3 of whole samples as it is."""
    generator = np.random.default_rng(3)
    rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    means, sds = np.array([0.1, -0.3, 0.2]), np.array([1.1, 0.97, 1.2])
    straight = pair(means, sds, 0.0, 1.0).law
    cov = rotation * sds**2 @ rotation.T
    turned = correlated(rotation @ means, 0.5 * (cov + cov.T), np.zeros(3), np.eye(3)).law
    for paired in (False, True):
        (value, error), (other, its_error) = (x.block(paired, 4) for x in (straight, turned))
        # The rotated parameters are rounded, which no bound knows.
        assert (np.abs(value - other) <= error + its_error + 1e-13).all()
        assert value[(2,) + (0,) * (value.ndim - 1)] > 1e-3


@pytest.mark.parametrize(("jitter", "allowed"), [(1e-12, 1e-8), (1e-9, 1e-12), (1e-4, 1e-12)])
def test_kernels(jitter, allowed):
    """Kernel matrices of conditions up to 1.5e13."""
    matrices = np.zeros(20), _kernel(0.5, jitter), np.zeros(20), _kernel(0.6, jitter)
    law = correlated(*matrices).law
    with mpmath.workdps(80):
        kl, variance, _ = _of_matrices(*matrices)
        assert _bound(law.kl, law.kl_error, kl) < allowed
        assert _bound(*law.ell(2).at(2), variance) < allowed
    if jitter == 1e-12:
        assert law.kl == pytest.approx(62.02559309, rel=1e-10)


def test_a_covariance_that_keeps_no_digit_is_not_known():
    """Where the root of p's covariance is all rounding, the bound says so."""
    x = np.linspace(0.0, 1.0, 9)
    kernel = np.exp(-0.5 * (x[:, None] - x) ** 2 / 4.0)
    worst = kernel + 4e-16 * np.eye(9)
    law = correlated(np.zeros(9), np.eye(9), np.zeros(9), worst).law
    assert not law.kl_error <= 1e-8 * law.kl
