"""Compares our KL with the one that TensorFlow Probability has registered for two laws.

This check of the notebook is made for every setting with a registered KL. Both numbers are in
registered-kl.parquet, and the comparison is part of verification.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mckl.study.identities import kl_rows
from mckl.study.settings import Setting


def registered_rows(chosen: Sequence[Setting]) -> Mapping[str, list[Any]]:
    """The columns of registered-kl.parquet; imports TensorFlow."""
    from mckl.draw.backends.tensorflow import registered_kl

    rows = []
    for setting in chosen:
        pair = setting.pair
        if (registered := registered_kl(pair)) is not None:
            terms = sum(f.times * f.q.terms for f in pair.distributions() or ())
            terms = max(terms, pair.dimension)
            coarse = registered_kl(pair, "float32")
            rows.append((setting.name, pair.dimension, terms, pair.law.kl, registered, coarse))
    names = ("setting", "dimension", "terms", "kl", "registered_kl", "registered_kl_float32")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def with_registered(verification: pd.DataFrame, registered: pd.DataFrame) -> pd.DataFrame:
    """The rows of verification.parquet, and one for each setting with a registered KL.

    The latter have the quantity `registered_kl`, 0 samples, and no sampler or estimator.
    """
    # A setting without a registered KL has no row here, so NaN is a wrong result.
    values = registered["registered_kl"].fillna(math.inf)
    rows = kl_rows(
        registered.assign(dimension=registered["terms"], registered_kl=values),
        "registered_kl", "registered_kl", "tensorflow",
    )  # fmt: skip
    return pd.concat([verification, rows], ignore_index=True)
