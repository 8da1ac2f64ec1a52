"""The KL that TensorFlow Probability registers for two Gaussians, against our closed form.

The notebook's own check, for every setting: it puts both numbers into registered-kl.parquet
and the comparison among the cells that the gate looks at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mckl.arrays import Vector
from mckl.families.normal import kl_divergence
from mckl.study.settings import Setting

# How far two float64 results may lie apart: in relative terms, and a coordinate. TFP adds and
# subtracts terms of size 1 in every coordinate, so where q is close to p it keeps the digits
# that this leaves and no more; the closed form keeps them all.
_RELATIVE, _A_COORDINATE = 1e-12, 1e-14


def registered_rows(chosen: Sequence[Setting]) -> Mapping[str, list[Any]]:
    """The columns of registered-kl.parquet; imports TensorFlow."""
    from mckl.draw.backends.tensorflow import registered_kl

    pairs = [setting.pair for setting in chosen]
    return {
        "setting": [setting.name for setting in chosen],
        "dimension": [setting.dimension for setting in chosen],
        "kl": [kl_divergence(pair) for pair in pairs],
        "registered_kl": [registered_kl(pair) for pair in pairs],
        "registered_kl_float32": [registered_kl(pair, "float32") for pair in pairs],
    }


def agrees(registered: Vector, kl: Vector, dimension: Vector) -> Vector:
    """Whether two values of one KL differ by rounding alone."""
    return np.asarray(np.abs(registered - kl) <= _RELATIVE * kl + _A_COORDINATE * dimension)


def with_registered(verification: pd.DataFrame, registered: pd.DataFrame) -> pd.DataFrame:
    """The rows of verification.parquet and one a setting with quantity `registered_kl`.

    No samples, sampler or estimator stand behind these rows: samples is 0, the others null.
    """
    kl, measured = (registered[name].to_numpy(float) for name in ("kl", "registered_kl"))
    passed = agrees(measured, kl, registered["dimension"].to_numpy(float)).astype(bool)
    rows = pd.DataFrame(
        {
            "setting": registered["setting"].astype(str),
            "backend": "tensorflow",
            "sampler": None,
            "estimator": None,
            "samples": 0,
            "quantity": "registered_kl",
            "measured": measured,
            "exact": kl,
            "z": np.where(passed, 0.0, np.inf),
            "p_value": np.where(passed, 1.0, 0.0),
            "passed": passed,
            "test": "rounding",
        }
    )
    return pd.concat([verification, rows], ignore_index=True)
