"""KL to laws so wide that much of their mass is where q, or x itself, is below float64."""

import mpmath
import pytest

from mckl.families.registry import case_pair

UNIFORM = {"family": "uniform", "low": 0.0, "high": 1.0}
VAGUE = 0.001


def check(q, p, expected):
    law = case_pair({"q": q, "p": p}).law
    assert abs(law.kl - float(expected)) <= law.kl_error + 1e-15 * law.kl
    assert law.kl_error <= 1e-10 * law.kl


def mean(function, *points):
    return mpmath.quad(function, points)


def gumbel_kl(scale):
    s = mpmath.mpf(scale)
    return mpmath.log(s) + mpmath.euler / s - mpmath.euler + mpmath.gamma(1 + 1 / s) - 1


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(30):
        yield


@pytest.mark.parametrize("scale", [100.0, 300.0, 1000.0, 1e4])
def test_gumbel_and_its_images_by_the_ratio_of_scales(scale):
    gumbel = {"family": "gumbel", "location": 0.0}
    check(gumbel | {"scale": 1.0}, gumbel | {"scale": scale}, gumbel_kl(scale))
    for family in ("weibull", "frechet"):
        check({"family": family, "shape": scale}, {"family": family, "shape": 1.0},
              gumbel_kl(scale))  # fmt: skip


@pytest.mark.parametrize("scale", [300.0, 1e4])
def test_variance_where_p_has_mass_beyond_q(scale):
    gumbel = {"family": "gumbel", "location": 0.0}
    law = case_pair({"q": gumbel | {"scale": 1.0}, "p": gumbel | {"scale": scale}}).law
    got, s = law.ell(2).at(2), mpmath.mpf(scale)

    def ell(e):  # with an exponential e = exp(-y)
        return mpmath.log(s) + mpmath.log(e) - e - mpmath.log(e) / s + e ** (1 / s)

    edges = (0, mpmath.mpf("1e-20"), mpmath.mpf("1e-8"), 0.001, 0.1, 1, 3, 10, 30, 100)
    one = mean(lambda e: mpmath.exp(-e) * ell(e), *edges)
    two = mean(lambda e: mpmath.exp(-e) * ell(e) ** 2, *edges)
    assert abs(got.value - float(two - one * one)) <= got.error + 1e-15
    assert got.error <= 1e-10


@pytest.mark.parametrize("scale", [300.0, 1e4])
def test_kl_above_the_largest_float_stays_unknown(scale):
    gumbel = {"family": "gumbel", "location": 0.0}
    pair = case_pair({"q": gumbel | {"scale": 1.0}, "p": gumbel | {"scale": scale}})
    assert pair.reverse_kl_error == float("inf")  # gamma(1 + scale) is above 1e308


@pytest.mark.parametrize("a", [0.1, 0.01, VAGUE])
@pytest.mark.parametrize("other", ["1", "a"])
def test_uniform_against_beta(a, other):
    b = a if other == "a" else 1.0
    x, y = mpmath.mpf(a), mpmath.mpf(b)
    log_beta = mpmath.log(mpmath.beta(x, y))
    check(UNIFORM, {"family": "beta", "a": a, "b": b}, log_beta + (x - 1) + (y - 1))
    pair = case_pair({"q": UNIFORM, "p": {"family": "beta", "a": a, "b": b}})
    psi = [mpmath.psi(0, z) for z in (x, y, x + y)]
    reverse = (x - 1) * (psi[0] - psi[2]) + (y - 1) * (psi[1] - psi[2]) - log_beta
    assert abs(pair.reverse_kl - float(reverse)) <= pair.reverse_kl_error
    assert pair.reverse_kl_error <= 1e-10 * pair.reverse_kl


def test_triangular_against_beta():
    a, mode = mpmath.mpf(VAGUE), mpmath.mpf(0.3)

    def term(x):
        f = 2 * x / mode if x < mode else 2 * (1 - x) / (1 - mode)
        log_p = (a - 1) * (mpmath.log(x) + mpmath.log1p(-x)) - mpmath.log(mpmath.beta(a, a))
        return f * (mpmath.log(f) - log_p)

    q = {"family": "triangular", "low": 0.0, "mode": 0.3, "high": 1.0}
    p = {"family": "beta", "a": VAGUE, "b": VAGUE}
    check(q, p, mean(term, 0, 0.15, mode, 0.7, 1))


def log_density(family, log_x):
    """The log densities of vague laws of a positive number."""
    a, x = mpmath.mpf(VAGUE), mpmath.exp(log_x)
    if family == "gamma":
        return a * mpmath.log(a) - mpmath.loggamma(a) + (a - 1) * log_x - a * x
    if family == "lomax":
        return mpmath.log(a) - (a + 1) * mpmath.log1p(x)
    if family == "beta-prime":
        return (a - 1) * log_x - 2 * a * mpmath.log1p(x) - mpmath.log(mpmath.beta(a, a))
    if family == "f":
        beta = mpmath.beta(a / 2, a / 2)
        return (a / 2 - 1) * log_x - a * mpmath.log1p(x) - mpmath.log(beta)
    if family == "log-logistic":
        return mpmath.log(a) + (a - 1) * log_x - 2 * mpmath.log1p(mpmath.exp(a * log_x))
    assert family == "weibull"
    return mpmath.log(a) + (a - 1) * log_x - mpmath.exp(a * log_x)


VAGUE_LAWS = {
    "gamma": {"shape": VAGUE, "rate": VAGUE},
    "lomax": {"shape": VAGUE},
    "beta-prime": {"a": VAGUE, "b": VAGUE},
    "f": {"df1": VAGUE, "df2": VAGUE},
    "log-logistic": {"shape": VAGUE},
    "weibull": {"shape": VAGUE},
}


# The log densities of log x, and where to integrate.
NARROW = {
    "gamma": ({"shape": 2.0, "rate": 1.0}, lambda y: 2 * y - mpmath.exp(y), (-70, 6)),
    "inverse-gamma": ({"shape": 2.0, "scale": 1.0}, lambda y: -2 * y - mpmath.exp(-y), (-6, 70)),
    "uniform": ({"low": 0.0, "high": 1.0}, lambda y: y, (-90, 0)),
    "logit-normal": (
        {"mean": 0.0, "sd": 1.0},
        lambda y: mpmath.log(mpmath.npdf(y - mpmath.log1p(-mpmath.exp(y))))
        - mpmath.log1p(-mpmath.exp(y)),
        (-14, -1e-7),
    ),
}  # fmt: skip


@pytest.mark.parametrize("wide", VAGUE_LAWS)
@pytest.mark.parametrize("narrow", NARROW)
def test_vague_laws_of_positive_numbers(narrow, wide):
    given, log_q, (low, high) = NARROW[narrow]

    def term(y):
        return mpmath.exp(log_q(y)) * (log_q(y) - log_density(wide, y) - y)

    points = [low + (high - low) * mpmath.mpf(k) / 24 for k in range(25)]
    if narrow == "logit-normal":  # the tail next to 1 falls slowly in log x
        points = [low, -10, -8, -6, -4, -3, -2, -1, -0.5, -0.2, -0.05, -0.01, -1e-3, -1e-5, high]
    q, p = {"family": narrow} | given, {"family": wide} | VAGUE_LAWS[wide]
    check(q, p, mean(term, *points))


def log_t(x, df):
    d = mpmath.mpf(df)
    level = mpmath.loggamma((d + 1) / 2) - mpmath.loggamma(d / 2) - mpmath.log(d * mpmath.pi) / 2
    return level - (d + 1) / 2 * mpmath.log1p(x * x / d)


@pytest.mark.parametrize("name", ["half-normal", "half-student-t"])
@pytest.mark.parametrize("wide", ["student-t", "half-student-t"])
def test_student_t_with_few_degrees_of_freedom(name, wide):
    two = mpmath.log(2)

    def log_q(x):
        return two + (mpmath.log(mpmath.npdf(x)) if name == "half-normal" else log_t(x, 3.0))

    def term(y):
        x = mpmath.exp(y)
        log_p = log_t(x, 0.01) + (0 if wide == "student-t" else two)
        return mpmath.exp(log_q(x) + y) * (log_q(x) - log_p)

    points = (-60, -30, -10, -4, -2, -1, 0, 1, 2, 3)
    points = points if name == "half-normal" else (*points, 5, 10, 30)
    q = {"family": name} | ({} if name == "half-normal" else {"df": 3.0})
    check(q, {"family": wide, "df": 0.01}, mean(term, *points))
