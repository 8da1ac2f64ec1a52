"""Families that are bijections of gamma, beta, logistic and Laplace laws, as short as they are.

Each entry says which law's variable becomes the family's under which map. KL, moments, draws and
tails are those of that law, since q and p share the map (`mckl.families.coordinates.image`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mckl.families import wide
from mckl.families.base import About, Pair
from mckl.families.coordinates.beta import Beta
from mckl.families.coordinates.gamma import Gamma
from mckl.families.coordinates.image import Image, facing
from mckl.families.coordinates.independent import (
    LOCATION,
    SCALE,
    Parameter,
    exp_of,
    independent_family,
)
from mckl.families.coordinates.laplace import Laplace
from mckl.families.coordinates.log_gamma import LogGamma
from mckl.families.coordinates.logistic import Logistic
from mckl.families.coordinates.univariate import Coordinates, Univariate
from mckl.families.maps import EXP, LOG, Maps, power, shifted, then
from mckl.families.parameters import Synonym, aliases
from mckl.text import with_shapes

Make = Callable[..., Image]


def _image(law: Univariate, maps: Maps, name: str, *shapes: float) -> Image:
    return Image(law, then((), *maps), with_shapes(name, shapes))


def _gamma(shape: float, rate: float = 1.0) -> Gamma:
    return Gamma(shape, 1.0 / rate, rate)


def _power(log_scale: float, k: float) -> Maps:
    """e^log_scale x^k of a positive x."""
    return LOG, shifted(log_scale, k), EXP


def _chi(name: str, df: float, scale: float, *shapes: float) -> Image:
    """The root of scale^2 times a chi-squared variate, which is twice a gamma variate."""
    squares = Gamma(df / 2.0, wide.times(2.0, wide.times(scale, scale)))
    return _image(squares, power(0.5), name, *shapes)


def _in_log(make: Make) -> Callable[[Sequence[float], int, float, float], Pair]:
    """The sweep whose q is e^offset X, and whose p is X^scale; the last shape is a power of X."""

    def sweep(shapes: Sequence[float], dimension: int, scale: float, offset: float) -> Pair:
        *others, k = shapes
        factor = facing(make(*others, k, exp_of(offset)), make(*others, k / scale, 1.0))
        return Coordinates([factor], [dimension])

    return sweep


def _by_scale(make: Make) -> Callable[[Sequence[float], int, float, float], Pair]:
    """The sweep whose q is e^offset X, and whose p is scale X."""

    def sweep(shapes: Sequence[float], dimension: int, scale: float, offset: float) -> Pair:
        factor = facing(make(*shapes, exp_of(offset)), make(*shapes, scale))
        return Coordinates([factor], [dimension])

    return sweep


def _shape(meaning: str = "shape") -> Parameter:
    return Parameter(meaning, above=0.0)


_SHAPE, _DF = _shape(), _shape("degrees of freedom")
_K = aliases(shape="k concentration c alpha", scale="lambda")

EXPONENTIAL = independent_family(
    "exponential",
    lambda rate: _image(_gamma(1.0, rate), (), "exponential"),
    {"rate": Parameter("rate, the inverse of the mean", default=1.0, above=0.0)},
    sweep=_by_scale(lambda mean: _image(Gamma(1.0, mean), (), "exponential")),
    aliases=aliases(rate="lambda")
    | dict.fromkeys(("scale", "mean"), Synonym("rate", lambda scale: 1.0 / scale)),
    about=About("positive numbers", "E r² if 2 rate_p > rate_q", "gamma of shape 1"),
)
CHI_SQUARED = independent_family(
    "chi-squared",
    lambda df: _image(_gamma(df / 2.0, 0.5), (), "chi-squared", df),
    {"df": _DF},
    aliases=aliases(df="k nu"),
    about=About("positive numbers", "E r² if 2 df_p > df_q", "gamma of shape df/2 and rate 1/2"),
)


def _inverse_gamma(shape: float, scale: float) -> Image:
    return _image(_gamma(shape, scale), power(-1.0), "inverse-gamma", shape)


def _as_gamma(make: Make, power: float) -> Callable[[Sequence[float], int, float, float], Pair]:
    """The sweep whose q has shape k e^offset and scale 1, and p shape k and scale^power."""

    def sweep(shapes: Sequence[float], dimension: int, scale: float, offset: float) -> Pair:
        (k,) = shapes
        factor = facing(make(k * exp_of(offset), 1.0), make(k, scale**power))
        return Coordinates([factor], [dimension])

    return sweep


INVERSE_GAMMA = independent_family(
    "inverse-gamma",
    _inverse_gamma,
    {"shape": _SHAPE, "scale": SCALE},
    ("shape",),
    _as_gamma(_inverse_gamma, -1.0),
    aliases(shape="alpha a concentration", scale="beta rate"),
    about=About("positive numbers", "as gamma of 1/x", "reciprocal of gamma"),
)


def _weibull(shape: float, scale: float) -> Image:
    return _image(_gamma(1.0), _power(wide.log(scale), wide.quotient(1.0, shape)), "weibull", shape)


def _frechet(shape: float, scale: float) -> Image:
    return _image(
        _gamma(1.0), _power(wide.log(scale), wide.quotient(-1.0, shape)), "frechet", shape
    )


def _log_logistic(shape: float, scale: float) -> Image:
    return _image(
        Logistic(wide.log(scale), wide.quotient(1.0, shape)), (EXP,), "log-logistic", shape
    )


_SHAPE_SCALE = {"shape": _SHAPE, "scale": SCALE}
WEIBULL, FRECHET, LOG_LOGISTIC = (
    independent_family(name, make, _SHAPE_SCALE, ("shape",), _in_log(make), _K, about)
    for name, make, about in (
        (
            "weibull",
            _weibull,
            About(
                "positive numbers",
                "E r² if shape_p > shape_q, or both are k and scale_p^k < 2 scale_q^k",
                "power of exponential",
            ),
        ),
        (
            "frechet",
            _frechet,
            About("positive numbers", "as weibull of 1/x", "reciprocal of weibull"),
        ),
        (
            "log-logistic",
            _log_logistic,
            About(
                "positive numbers",
                "as logistic of log x: E r² if 2 shape_p > shape_q",
                "exp of logistic",
            ),
        ),
    )
)


def _log_laplace(shape: float, scale: float) -> Image:
    return _image(Laplace(wide.log(scale), wide.quotient(1.0, shape)), (EXP,), "log-laplace", shape)


LOG_LAPLACE = independent_family(
    "log-laplace",
    _log_laplace,
    _SHAPE_SCALE,
    ("shape",),
    _in_log(_log_laplace),
    aliases=_K,
    about=About(
        "positive numbers", "as laplace of log x: E r² if 2 shape_p > shape_q", "exp of laplace"
    ),
)
GUMBEL = independent_family(
    "gumbel",
    lambda location, scale: _image(LogGamma(1.0, location, scale, -1), (), "gumbel"),
    {"location": LOCATION, "scale": SCALE},
    aliases=aliases(location="loc mu", scale="beta"),
    about=About("real numbers", "as weibull of e^(−x)", "−log of exponential, moved and scaled"),
)
HALF_NORMAL = independent_family(
    "half-normal",
    partial(_chi, "half-normal", 1.0),
    {"scale": SCALE},
    sweep=_by_scale(partial(_chi, "half-normal", 1.0)),
    aliases=aliases(scale="sigma sd"),
    about=About("positive numbers", "E r² if scale_p² < 2 scale_q²", "root of gamma of shape 1/2"),
)
RAYLEIGH, MAXWELL = (
    independent_family(
        name,
        make,
        {"scale": SCALE},
        sweep=_by_scale(make),
        aliases=aliases(scale="sigma"),
        about=About("positive numbers", "E r² if scale_p² < 2 scale_q²", source),
    )
    for name, make, source in (
        ("rayleigh", partial(_chi, "rayleigh", 2.0), "root of exponential"),
        ("maxwell", partial(_chi, "maxwell", 3.0), "root of gamma of shape 3/2"),
    )
)


def _chi_of(df: float, scale: float) -> Image:
    return _chi("chi", df, scale, df)


CHI = independent_family(
    "chi",
    _chi_of,
    {"df": _DF, "scale": SCALE},
    ("df",),
    _as_gamma(_chi_of, 1.0),
    aliases=aliases(df="k nu", scale="sigma"),
    about=About("positive numbers", "as gamma of x²", "root of gamma of shape df/2"),
)


def _generalized_gamma(shape: float, power: float, scale: float) -> Image:
    maps = _power(wide.log(scale), wide.quotient(1.0, power))
    return _image(_gamma(shape), maps, "generalized-gamma", shape, power)


GENERALIZED_GAMMA = independent_family(
    "generalized-gamma",
    _generalized_gamma,
    {
        "shape": _shape("shape of the gamma law of (x / scale)^power"),
        "power": _shape("power"),
        "scale": SCALE,
    },
    ("shape", "power"),
    _in_log(_generalized_gamma),
    aliases=aliases(shape="a", power="c p"),
    about=About(
        "positive numbers", "as gamma of x^power where the powers are equal", "power of gamma"
    ),
)


def _pareto(shape: float, scale: float) -> Image:
    return _image(_gamma(1.0, shape), (shifted(wide.log(scale)), EXP), "pareto", shape)


PARETO = independent_family(
    "pareto",
    _pareto,
    {"shape": _SHAPE, "scale": Parameter("smallest value", default=1.0, above=0.0)},
    ("shape",),
    _in_log(_pareto),
    aliases=aliases(shape="alpha a b concentration", scale="minimum xm"),
    about=About(
        "numbers above scale", "E r² if 2 shape_p > shape_q", "scale times exp of exponential"
    ),
)


def _log_of_beta(
    name: str, a: float, b: float, location: float, scale: float = 1.0, shapes: Any = None
) -> Image:
    """The law of e^location (x / (1 - x))^scale, x being a beta variate."""
    return _image(
        Beta(a, b, location, scale), (EXP,), name, *((a, b) if shapes is None else shapes)
    )


def _lomax(shape: float, scale: float) -> Image:
    return _log_of_beta("lomax", 1.0, shape, wide.log(scale), shapes=(shape,))


def _beta_prime(a: float, b: float, scale: float) -> Image:
    return _log_of_beta("beta-prime", a, b, wide.log(scale))


def _half_student_t(df: float, scale: float) -> Image:
    location = wide.log(scale) + 0.5 * wide.log(df)
    return _log_of_beta("half-student-t", 0.5, df / 2.0, location, 0.5, (df,))


def _half_cauchy(scale: float) -> Image:
    return _log_of_beta("half-cauchy", 0.5, 0.5, wide.log(scale), 0.5, ())


LOMAX = independent_family(
    "lomax",
    _lomax,
    _SHAPE_SCALE,
    ("shape",),
    _by_scale(_lomax),
    aliases=aliases(shape="alpha c", scale="lambda"),
    about=About("positive numbers", "E r² if 2 shape_p > shape_q", "pareto less its scale"),
)
BETA_PRIME = independent_family(
    "beta-prime",
    _beta_prime,
    {
        "a": _shape("power of x near 0, plus 1"),
        "b": _shape("power of the tail, less 1"),
        "scale": SCALE,
    },
    ("a", "b"),
    _by_scale(_beta_prime),
    aliases=aliases(a="alpha", b="beta"),
    about=About("positive numbers", "E r² if 2 a_p > a_q and 2 b_p > b_q", "odds of beta"),
)
F = independent_family(
    "f",
    lambda df1, df2: _log_of_beta(
        "f", df1 / 2.0, df2 / 2.0, wide.log(df2) - wide.log(df1), shapes=(df1, df2)
    ),
    {
        "df1": _shape("degrees of freedom of the numerator"),
        "df2": _shape("degrees of freedom of the denominator"),
    },
    aliases=aliases(df1="dfn", df2="dfd"),
    about=About(
        "positive numbers", "as beta-prime of a = df1/2, b = df2/2", "ratio of two mean squares"
    ),
)
HALF_STUDENT_T = independent_family(
    "half-student-t",
    _half_student_t,
    {"df": _DF, "scale": SCALE},
    ("df",),
    _by_scale(_half_student_t),
    aliases=aliases(df="nu", scale="sigma"),
    about=About(
        "positive numbers", "as student-t: E r² if 2 df_p > df_q", "absolute value of student-t"
    ),
)
HALF_CAUCHY = independent_family(
    "half-cauchy",
    _half_cauchy,
    {"scale": SCALE},
    sweep=_by_scale(_half_cauchy),
    aliases=aliases(scale="sigma gamma"),
    about=About("positive numbers", "all", "half-student-t with df 1"),
)
