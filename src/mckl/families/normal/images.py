"""Normal laws under one map of each coordinate: log-normal and logit-normal laws.

A pair of them is the pair of the normal laws, with their samplers, gradients and covariances.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mckl.families.base import About, Family
from mckl.families.coordinates.independent import INDEPENDENT
from mckl.families.maps import transforms
from mckl.families.normal.pair import NORMAL, Normal, grid_pair
from mckl.families.parameters import aliases

# Not the names of the law's own mean and spread.
_ALIASES = aliases(mean="mu meanlog", sd="sigma sdlog", covariance="cov covariance_matrix")


def _family(name: str, transform: str, variable: str, about: About) -> Family:
    def side(given: Mapping[str, Any]) -> Normal:
        try:
            normal = NORMAL.side(given)
        except ValueError as error:
            raise ValueError(str(error).replace("normal:", f"{name}:", 1)) from None
        assert isinstance(normal, Normal)
        return normal.under(transforms(transform)).named(name)

    meanings = {key: f"of {variable}: {meaning}" for key, meaning in NORMAL.parameters.items()}
    INDEPENDENT[name] = NORMAL._replace(
        name=name,
        parameters=meanings,
        side=side,
        aliases=_ALIASES,
        about=about,
        sweep=lambda _, dimension, scale, offset: grid_pair(dimension, scale, offset).named(name),
    )
    return INDEPENDENT[name]


LOGNORMAL = _family(
    "lognormal", "exp", "log x", About("positive numbers", "as normal of log x", "exp of normal")
)
LOGIT_NORMAL = _family(
    "logit-normal",
    "logistic",
    "log(x / (1 - x))",
    About(
        "numbers between 0 and 1", "as normal of log(x / (1 − x))", "logistic function of normal"
    ),
)
