"""KL is the same for what one bijection makes of q and p, under whatever names it is given."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import stats

import mckl
from mckl.families import wide
from mckl.families.maps import EXP, LOG, LOGISTIC, Maps, power, shifted, then, transforms
from mckl.families.normal.pair import Correlated, Diagonal
from mckl.families.registry import FAMILIES, canonical_case, case_pair, sweep_pair

from .test_families import continuous

Q, P = {"mean": [0.3, -1.0], "sd": [1.2, 0.5]}, {"mean": 0.0, "sd": [1.0, 0.7]}
MATRIX = [[1.0, 0.5], [0.5, 2.0]]


def pair(q: Any, p: Any) -> Any:
    return case_pair({"q": q, "p": p})


def under(transform: Any, law: Any) -> dict[str, Any]:
    return {"transform": transform, "of": law}


def steps(given: Any) -> Maps:
    """The normal form of a case's transforms."""
    return then((), *(step for t in transforms(given) for step in t.of_coordinate(0)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["exp", "log"], []),
        (["tanh", "arctanh"], []),
        (["softplus", "expm1", "log"], []),
        (
            ["logistic", {"affine": {"shift": 1, "scale": -1}}],
            [{"affine": {"scale": -1}}, "sigmoid"],
        ),
        (["exp", {"power": 3}, "reciprocal"], [{"affine": {"scale": -3}}, "exp"]),
        (["exp", "square", "sqrt"], ["exp"]),
        (["exp", {"affine": {"scale": 4}}, {"affine": {"scale": 0.25}}], ["exp"]),
        (["log1p", "expm1"], []),
    ],
)  # fmt: skip
def test_equal_maps_have_one_normal_form(one: Any, other: Any) -> None:
    assert steps(one) == (steps(other) if other else ())


def test_a_map_keeps_the_digits_of_its_numbers() -> None:
    near = 1e200 * (1 + 2.0**-50)
    a, b = (then((EXP,), shifted(0.0, x)) for x in (1e200, near))
    assert float(a[0].shift) == float(b[0].shift)  # rounded, their logarithms are equal
    assert a != b
    assert b[0].shift - a[0].shift == pytest.approx(math.log1p(2.0**-50), rel=1e-15)
    assert wide.log(3.0) != math.log(3.0)
    assert then(power(2.0), LOG) == (LOG, shifted(0.0, 2.0))
    assert then((LOGISTIC,), shifted(1.0, -2.0)) == (
        shifted(0.0, -1.0), LOGISTIC, shifted(-1.0, 2.0),
    )  # fmt: skip


TRANSFORMS = [
    "exp", "logistic", "tanh", "softplus", ["exp", {"power": -2.5}],
    ["exp", {"affine": {"shift": [1, 2], "scale": [3, -4]}}], [{"affine": {"scale": 3}}, "sigmoid"],
]  # fmt: skip


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_a_shared_map_leaves_the_pair_of_normal_laws(transform: Any) -> None:
    for spread in ({}, {"covariance": MATRIX}):
        q, p = ({"mean": side["mean"], **(spread or {"sd": side["sd"]})} for side in (Q, P))
        p = {**p, "covariance": [[2.0, 0.0], [0.0, 1.0]]} if spread else p
        plain, found = pair(q, p), pair(under(transform, q), under(transform, p))
        assert type(found) is type(plain) is (Correlated if spread else Diagonal)
        assert found.law.kl == plain.law.kl
        assert found.law.variance == plain.law.variance
        assert found.reversed().family == found.family != "normal"


@pytest.mark.parametrize(
    ("q", "p"),
    [
        (
            {"family": "student-t", "df": 5, "location": 1},
            {"family": "student-t", "df": 7, "scale": 2},
        ),
        ({"family": "gamma", "shape": 2}, {"family": "gamma", "shape": 3, "rate": [0.5, 2]}),
        ({"family": "beta", "a": 2, "b": 3}, {"family": "beta", "a": 1, "b": 2}),
        ({"family": "laplace"}, {"family": "logistic", "location": 1}),
    ],
)
def test_a_shared_map_leaves_other_pairs(q: Any, p: Any) -> None:
    plain = pair(q, p)
    for transform in ({"affine": {"shift": 0.1, "scale": 7}}, ["exp", {"affine": {"scale": -3}}]):
        found = pair(under(transform, q), under(transform, p))
        assert found.factors[0].q == plain.factors[0].q
        assert found.law.kl == plain.law.kl
        assert found.reverse_kl == plain.reverse_kl


def named(family: str, **numbers: float) -> dict[str, Any]:
    return {"family": family, **numbers}


NORMAL = {"mean": 0.3, "sd": 1.2}
# Two names of one law, and a law to compare with.
SAME = [
    (named("lognormal", mean=0.3, sd=1.2), under("exp", NORMAL), named("gamma", shape=2)),
    (named("logit-normal", mu=0.3, sigma=1.2), under("sigmoid", NORMAL), named("beta", a=1, b=2)),
    (named("weibull", shape=1, scale=2), named("exponential", rate=0.5), named("chi", df=2)),
    (named("weibull", shape=2, scale=8**0.5), named("rayleigh", scale=2), named("maxwell")),
    (named("chi", df=1, scale=2), named("half-normal", scale=2), named("half-cauchy")),
    (named("chi", df=3), named("maxwell"), named("exponential")),
    (under("square", named("half-normal")), named("chi-squared", df=1), named("gamma", shape=2)),
    (named("inverse-gamma", shape=2, scale=3),
     under("reciprocal", named("gamma", shape=2, rate=3)), named("f", df1=2, df2=3)),
    (named("frechet", shape=2), under("exp", named("gumbel", scale=0.5)), named("lomax", shape=1)),
    (named("weibull", shape=2), under("reciprocal", named("frechet", shape=2)),
     named("lognormal", mean=0, sd=2)),
    (under("log", named("weibull", shape=2)),
     under({"affine": {"scale": -0.5}}, named("gumbel")), {"mean": 0, "sd": 2}),
    (named("log-logistic", shape=1, scale=3), named("beta-prime", a=1, b=1, scale=3),
     named("log-laplace", shape=0.5)),
    (named("half-student-t", df=1, scale=3), named("half-cauchy", scale=3),
     named("half-student-t", df=2)),
    (named("generalized-gamma", shape=2, power=1, scale=0.5), named("gamma", shape=2, rate=2),
     named("generalized-gamma", shape=2, power=0.7)),
    (under("log", named("lognormal", mean=0.3, sd=1.2)), NORMAL, named("student-t", df=3)),
    (named("f", df1=3, df2=5), named("beta-prime", a=1.5, b=2.5, scale=5 / 3),
     named("inverse-gamma", shape=2)),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "third"), SAME, ids=str)
def test_a_law_has_several_names(one: Any, other: Any, third: Any) -> None:
    """Against each other and against a third, in both directions."""
    for q, p in ((one, other), (other, one)):
        assert pair(q, p).law.kl < 1e-15
        found = pair(q, third).law
        assert found.kl == pytest.approx(pair(p, third).law.kl, rel=1e-12)
        assert found.kl_error < 1e-11 * found.kl
        reverse = pair(q, third).reverse_kl
        assert reverse == pytest.approx(pair(p, third).reverse_kl, rel=1e-11)


NEAR = 2.0**-30
# KL of nearly equal laws is half of a quadratic form in what differs, up to a share of 2^-30: the
# Fisher information, by the textbooks. Numbers that are no powers of 2 would lose these digits.
FISHER = {
    "weibull": ({"shape": 1.7, "scale": 3e5}, lambda k, s: ((1 + (1 - np.euler_gamma) ** 2 - 1
                 + np.pi**2 / 6) / k**2, k**2 / s**2)),
    "gumbel": ({"location": 3.0, "scale": 0.7}, lambda m, s: (1 / s**2, (np.pi**2 / 6
               + (1 - np.euler_gamma) ** 2) / s**2)),
    "half-normal": ({"scale": 3e5}, lambda s: (2 / s**2,)),
    "exponential": ({"rate": 3e5}, lambda r: (1 / r**2,)),
    "pareto": ({"shape": 1.7, "scale": 3.0}, lambda a, s: (1 / a**2, None)),
    "log-logistic": ({"shape": 1.7, "scale": 3e5}, lambda k, s: ((3 + np.pi**2) / 9 / k**2,
                     k**2 / 3 / s**2)),
    "inverse-gamma": ({"shape": 1.7, "scale": 3e5}, lambda a, s: (float(mpmath.psi(1, a)),
                      a / s**2)),
    "lomax": ({"shape": 1.7, "scale": 3e5}, lambda a, s: (1 / a**2, a / (a + 2) / s**2)),
    "half-cauchy": ({"scale": 3e5}, lambda s: (0.5 / s**2,)),
    "log-laplace": ({"shape": 1.7, "scale": 3e5}, lambda k, s: (1 / k**2, k**2 / s**2)),
}  # fmt: skip


@pytest.mark.parametrize("family", FISHER)
def test_near_pairs_keep_their_digits(family: str) -> None:
    numbers, information = FISHER[family]
    for (name, value), of_one in zip(numbers.items(), information(*numbers.values()), strict=True):
        if of_one is None:
            continue
        moved = value * (1 + NEAR)
        law = pair(named(family, **numbers), named(family, **{**numbers, name: moved})).law
        expected = 0.5 * of_one * (moved - value) ** 2
        assert law.kl == pytest.approx(expected, rel=1e-8)
        assert law.kl_error < 1e-11 * expected


# Laws of scipy.stats with a location and a scale, and by what the second is stretched.
LAWS: dict[str, tuple[tuple[float, ...], float]] = {
    "cauchy": ((), 1.2), "gamma": ((2.0,), 1.2), "erlang": ((2,), 1.2), "expon": ((), 1.2),
    "chi2": ((3.0,), 1.2), "invgamma": ((3.0,), 1.2), "beta": ((2.0, 3.0), 1.0),
    "powerlaw": ((2.0,), 1.0), "lognorm": ((0.8,), 1.2), "weibull_min": ((1.5,), 1.2),
    "weibull_max": ((1.5,), 1.2), "gumbel_r": ((), 1.2), "gumbel_l": ((), 1.2),
    "loggamma": ((2.0,), 1.2), "genlogistic": ((2.0,), 1.2), "pareto": ((3.0,), 1.0),
    "lomax": ((3.0,), 1.2), "fisk": ((3.0,), 1.2), "loglaplace": ((3.0,), 1.2),
    "halfnorm": ((), 1.2), "halfcauchy": ((), 1.2), "rayleigh": ((), 1.2), "maxwell": ((), 1.2),
    "chi": ((3.0,), 1.2), "nakagami": ((1.2,), 1.2), "gengamma": ((2.0, 1.3), 1.2),
    "betaprime": ((2.0, 3.0), 1.2), "f": ((3.0, 5.0), 1.2), "johnsonsb": ((0.5, 1.2), 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_scipys_laws_are_read_as_they_are(name: str) -> None:
    """By the objects' own densities and quantiles, whose ends SciPy does not always reach."""
    shapes, stretch = LAWS[name]
    others = shapes if name == "erlang" else [1.1 * x for x in shapes]
    make, at = getattr(stats, name), -0.25 if name == "pareto" else 0.0
    q, p = make(*shapes, at, 0.8), make(*others, at, 0.8 * stretch)
    x = continuous(q, p, *([0.8, 0.96] if name == "loglaplace" else []))()
    with np.errstate(all="ignore"):
        terms = np.where(x.weight > 1e-25, x.weight * x.ell, 0.0)
    assert mckl.kl(q, p) == pytest.approx(float(np.nansum(terms)), rel=1e-7)


@pytest.mark.parametrize(
    ("q", "p", "message"),
    [
        (under("square", {"mean": 0, "sd": 1}), NORMAL,
         r"q: transform square: values on \(-inf, inf\), expected values on \(0, inf\)"),
        (under(["exp", "logit"], NORMAL), NORMAL, r"transform logit: values on \(0, inf\)"),
        (under(["exp", {"affine": {"shift": -1}}, {"power": 0.5}], NORMAL), NORMAL,
         r"transform power: values on \(-1, inf\)"),
        (under("cube", NORMAL), NORMAL, "transform: 'cube' is not one that mckl knows"),
        (under("logistik", NORMAL), NORMAL, "logistic"),
        (under({"power": 0}, named("exponential")), NORMAL, "power 0, expected another number"),
        (under("power", named("exponential")), NORMAL, "transform power: power is missing"),
        (under({"affine": 3}, NORMAL), NORMAL, "transform affine: 3, expected shift and scale"),
        (under({"affine": {"scal": 3}}, NORMAL), NORMAL, "unknown scal, expected shift and scale"),
        (under({"exp": 3}, NORMAL), NORMAL, "transform exp: 3, expected no numbers"),
        (under([], NORMAL), NORMAL, "an empty list, expected a transform"),
        (under(3, NORMAL), NORMAL, "transform: 3 is not one that mckl knows"),
        (under({"affine": {"scale": [1, 2]}}, {"mean": [1, 2, 3], "sd": 1}), NORMAL,
         "vectors of 2 and 3 numbers, expected one length"),
        ({"transform": "exp"}, NORMAL, "transform: of is missing, expected a law"),
        ({"transform": "exp", "of": NORMAL, "mean": 1}, NORMAL, "expected transform and of"),
        ({"transform": "exp", "of": 3}, NORMAL, "of: 3, expected a law with its parameters"),
        (under("exp", named("poisson", rate=1)), NORMAL, "poisson: expected a law of numbers"),
        (under("exp", named("poisso", rate=1)), NORMAL, "'poisso' is not a family"),
        (NORMAL, under("exp", NORMAL),
         r"p = 0 and q > 0 between -inf and 0: q is normal on .*, p is exp\(normal\) on \(0"),
        (named("pareto", shape=2), named("pareto", shape=2, scale=1.5),
         r"p = 0 and q > 0 between 1 and 1.5: q is pareto\(2\) on \(1, inf\), p is par"),
        (under("softplus", NORMAL), named("gamma", shape=2), "no variable in which to integrate"),
        (named("frechet", shape=1), named("gamma", shape=2), "KL is infinite.*too heavy"),
        (named("half-cauchy"), named("half-normal"), "KL is infinite.*too heavy"),
        (named("weibull", shape=0), NORMAL, "weibull: shape 0, expected a number above 0"),
        (named("pareto", shape=2, scale=0), NORMAL, "pareto: scale 0, expected a number above 0"),
        (named("lognormal", sd=1), NORMAL, "lognormal: mean is missing"),
        (named("lognormal", mean=0, sd=0), NORMAL, "lognormal: sd 0, expected a number above 0"),
        (named("half-normal", scale=math.inf), NORMAL, "scale inf, expected a finite number"),
        ({"family": "mixture", "weights": [0.5, 0.5],
          "components": [named("lognormal", mean=0, sd=1), under("softplus", NORMAL)]}, NORMAL,
         "mckl knows no variable of which all are laws"),
    ],
)  # fmt: skip
def test_bad_input(q: Any, p: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        pair(q, p)
    assert "\n" not in str(error.value)


def test_what_is_infinite_follows_from_the_tails() -> None:
    """E r^2 of Pareto, Fréchet and inverse-gamma laws, by their powers, and of k1 by its own."""
    for q, p, finite in (
        (named("pareto", shape=3), named("pareto", shape=1.51), True),
        (named("pareto", shape=3), named("pareto", shape=1.49), False),
        (named("frechet", shape=3), named("frechet", shape=3.1), True),
        (named("frechet", shape=3), named("frechet", shape=2.9), False),
        (named("inverse-gamma", shape=3), named("inverse-gamma", shape=1.51), True),
        (named("inverse-gamma", shape=3), named("inverse-gamma", shape=1.49), False),
        (named("lognormal", mean=0, sd=1), named("gamma", shape=2), False),  # at 0
        (named("gamma", shape=2), named("lognormal", mean=0, sd=1), False),  # at infinity
        (under("exp", named("student-t", df=5)), named("lognormal", mean=0, sd=1), True),
        (named("half-normal"), named("exponential"), False),
        (named("rayleigh"), named("weibull", shape=2), True),
        (named("rayleigh"), named("weibull", shape=2, scale=2), False),  # r^2 q grows like x
    ):
        assert pair(q, p).law.is_finite(-2.0) == finite, (q, p)


def test_mixtures_and_names() -> None:
    parts = [named("lognormal", mean=0, sd=1), named("weibull", shape=2)]
    mixed = {"family": "mixture", "weights": [0.25, 0.75], "components": parts}
    by_log = {**mixed, "components": [under("log", law) for law in parts]}
    found, other = pair(mixed, parts[0]), pair(by_log, under("log", parts[0]))
    assert found.law.kl == pytest.approx(other.law.kl, rel=1e-13)
    assert found.family == "mixture(0.25 lognormal, 0.75 weibull(2))|lognormal"
    case = {"q": under("exp", {"mu": 0, "sigma": 1}), "p": parts[0]}
    assert canonical_case(case)["q"] == under("exp", {"mean": 0, "sd": 1})
    assert pair(*case.values()).family == "exp(normal)|lognormal"
    assert "weibull" in FAMILIES
    assert sweep_pair("lognormal", 2, 1.25, 0.5).law.kl == sweep_pair("normal", 2, 1.25, 0.5).law.kl


def test_breakpoints_that_differ_beyond_float64_are_one_point() -> None:
    """The logarithm of q's mode has more digits than that of p, which is equal in float64."""
    q, p = named("lognormal", mean=0, sd=1), named("gamma", shape=3, rate=3)
    law = case_pair({"q": q, "p": p}).law
    # E log q = -(1 + log(2 pi)) / 2 and E log p = 3 log 3 - log 2 - 3 e^(1/2), with E log x = 0.
    entropy = 0.5 * (1.0 + math.log(2.0 * math.pi))
    assert law.kl == pytest.approx(
        -entropy - (3.0 * math.log(3.0) - math.log(2.0) - 3.0 * math.exp(0.5)), rel=1e-13
    )
