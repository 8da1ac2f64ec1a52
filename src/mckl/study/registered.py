"""The KL that TensorFlow Probability registers for two Gaussians, against our closed form.

The notebook's own check, for every setting: it puts both numbers into registered-kl.parquet
and the comparison among the cells that the gate looks at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mckl.families.normal import kl_divergence
from mckl.study.identities import kl_rows
from mckl.study.settings import Setting


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


def with_registered(verification: pd.DataFrame, registered: pd.DataFrame) -> pd.DataFrame:
    """The rows of verification.parquet and one a setting with quantity `registered_kl`.

    No samples, sampler or estimator stand behind these rows: samples is 0, the others null.
    """
    rows = kl_rows(registered, "registered_kl", "registered_kl", "tensorflow")
    return pd.concat([verification, rows], ignore_index=True)
