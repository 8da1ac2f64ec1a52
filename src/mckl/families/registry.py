# ruff: noqa: F401, I001 - an import is a registration, and their order is the study's
"""The families, by name. A new family is one file in a folder here and one line below."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mckl.errors import within_float64
from mckl.families.base import NO_SAMPLER, Family, OtherFamilyError, Pair, Side
from mckl.families.policy.sampled_chain import SampledChain
from mckl.families.transformed import transformed
from mckl.text import nearest, quoted, shortened, with_shapes

# Every family imported here is registered; tables, figures and messages keep this order.
from mckl.families.normal.pair import NORMAL
from mckl.families.coordinates.student_t import STUDENT_T
from mckl.families.coordinates.laplace import LAPLACE
from mckl.families.coordinates.logistic import LOGISTIC
from mckl.families.coordinates.gamma import GAMMA
from mckl.families.coordinates.beta import BETA
from mckl.families.coordinates.uniform import UNIFORM
from mckl.families.coordinates.triangular import TRIANGULAR
from mckl.families.coordinates.truncated import TRUNCATED, TRUNCATED_NORMAL
from mckl.families.coordinates.mixture import MIXTURE
from mckl.families.normal.images import LOGNORMAL, LOGIT_NORMAL
from mckl.families.coordinates.named_images import (
    EXPONENTIAL,
    CHI_SQUARED,
    INVERSE_GAMMA,
    WEIBULL,
    FRECHET,
    GUMBEL,
    LOG_LOGISTIC,
    LOG_LAPLACE,
    HALF_NORMAL,
    RAYLEIGH,
    MAXWELL,
    CHI,
    GENERALIZED_GAMMA,
    PARETO,
    LOMAX,
    BETA_PRIME,
    F,
    HALF_STUDENT_T,
    HALF_CAUCHY,
)
from mckl.families.exponential.poisson import POISSON
from mckl.families.countable.binomial import BERNOULLI, BINOMIAL
from mckl.families.countable.negative_binomial import GEOMETRIC, NEGATIVE_BINOMIAL
from mckl.families.countable.beta_binomial import BETA_BINOMIAL
from mckl.families.exponential.categorical import CATEGORICAL
from mckl.families.exponential.dirichlet import DIRICHLET
from mckl.families.policy.pair import POLICY

FAMILIES: Mapping[str, Family] = {f.name: f for f in [*globals().values()] if isinstance(f, Family)}

# The laws of a case: q, p, and the one that draws the samples where this is not q.
SIDES = ("q", "p", "s")
MOST_LAG = 100  # beyond it, s draws one token after each
_TEXT = re.compile(r"\s*([a-z][a-z-]*)\s*(?:\(([^()]*)\))?\s*")


def family_and_shapes(text: str) -> tuple[Family, tuple[float, ...]]:
    """The family and the shape parameters that a sweep's text names, such as ``student-t(5)``.

    Raises ValueError, with a message of one line, for any other text.
    """
    match = _TEXT.fullmatch(text)
    swept = {name: f for name, f in FAMILIES.items() if f.sweep}
    name = match[1] if match else text
    if name in FAMILIES and name not in swept:
        raise ValueError(
            f"'{name}' can only be used in cases: `mckl families` shows which a sweep can have"
        )
    family = _family(name, swept)
    assert match
    try:
        shapes = tuple(float(part) for part in match[2].split(",")) if match[2] else ()
    except ValueError:
        shapes = ()
    if len(shapes) != len(family.shapes):
        raise ValueError(f"{quoted(text)}, expected {family.example}")
    return family, shapes


def canonical(text: str) -> str:
    """The text of a family as results write it: ``student-t(5)`` for ``student-t( 5.0 )``."""
    family, shapes = family_and_shapes(text)
    return with_shapes(family.name, shapes)


def sweep_pair(text: str, dimension: int, scale: float, offset: float) -> Pair:
    """The pair of one cell of a sweep; theory.md, section 1, defines scale and offset.

    Raises ValueError, with a message of one line, where the family has no such pair.
    """
    family, shapes = family_and_shapes(text)
    assert family.sweep is not None
    return family.sweep(shapes, dimension, float(scale), float(offset))


def case_pair(case: Mapping[str, Any]) -> Pair:
    """The pair of a case, which has mappings `q` and `p`, each with its `family` (default normal).

    Keys beside `q` and `p` are parameters that both share (`Family.shared`); they may also be among
    those of `q`. Raises ValueError, with a message of one line that names the side.
    """
    sides = {}
    shared = {name: value for name, value in case.items() if name not in SIDES}
    for name in ("q", "p"):
        sides[name] = _named_side(name, dict(case[name]) | (shared if name == "q" else {}))
    with within_float64():
        return sides["q"].against(sides["p"])


def sampled_pair(pair: Pair, s: Mapping[str, Any]) -> SampledChain:
    """The pair with samples of the law `s`, a side of the same family or ``{"lag": 0.1}``.

    The latter is q moved by a lag (theory.md, section 12). Raises ValueError, with a message of one
    line, where s does not fit, or is 0 where q is not.
    """
    if "lag" not in s:
        if not {"family", "transform"} & {*s} and {*s} - {"mean", "sd"}:
            unknown = sorted({*s} - {"mean", "sd"})[0]
            raise ValueError(f"s: {quoted(unknown)}, expected lag, or a family with parameters")
        return pair.sampled(_named_side("s", s))
    others = sorted({*s} - {"lag", "family"})
    if others:
        raise ValueError(f"s: {quoted(others[0])} beside lag, expected lag alone")
    lag = s["lag"]
    if isinstance(lag, bool) or not isinstance(lag, (int, float)) or not abs(lag) <= MOST_LAG:
        raise ValueError(f"s: lag {quoted(lag)}, expected a number from -{MOST_LAG} to {MOST_LAG}")
    return lagging_pair(pair, float(lag))


def lagging_pair(pair: Pair, lag: float) -> SampledChain:
    """The pair with samples of the s that lags behind q; OtherFamilyError where there is none."""
    chain = pair.lagging(lag)
    if chain is None:
        raise OtherFamilyError(f"{pair.family}: {NO_SAMPLER}")
    return chain


def _named_side(name: str, given: Mapping[str, Any]) -> Side:
    with _message_of(name), within_float64():
        return transformed(given, _side)


def canonical_case(case: Mapping[str, Any]) -> dict[str, Any]:
    """The case with the parameters of `q` and `p` under the families' own names.

    Raises ValueError as `case_pair` does.
    """
    out = dict(case)
    for name, given in ((x, dict(case[x])) for x in SIDES if x in case):
        if name == "s" and "lag" in given:
            continue
        with _message_of(name):
            out[name] = _canonical(given)
    return out


def _canonical(given: Mapping[str, Any]) -> dict[str, Any]:
    if "transform" in given and isinstance(given.get("of"), Mapping):
        return {**given, "of": _canonical(given["of"])}
    if "transform" in given:
        transformed(given, _side)  # raises
    own = {name: value for name, value in given.items() if name != "family"}
    family = {"family": given["family"]} if "family" in given else {}
    return family | _family(given.get("family", "normal")).named(own)


def _side(given: Mapping[str, Any]) -> Side:
    own = {name: value for name, value in given.items() if name != "family"}
    family = _family(given.get("family", "normal"))
    return family.side(family.named(own))


@contextmanager
def _message_of(side: str) -> Iterator[None]:
    """Puts the name of a side before the message of a ValueError."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{side}: {shortened(str(error), 240)}") from None


def _family(name: Any, known: Mapping[str, Family] = {}) -> Family:
    known = known or FAMILIES
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{quoted(name)} is not a family: {nearest(name, known)}")
    return known[name]
