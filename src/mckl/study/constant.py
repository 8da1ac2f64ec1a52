"""The tables that are the same for every config: formulas.parquet and training.parquet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mckl.errors import UserError
from mckl.estimation.gradients import METHODS
from mckl.study.libraries.table import formula_failures, formula_rows, formulas_passed_line
from mckl.study.training import training_rows

SEED = 20171127  # the default of the config


def constant_tables() -> dict[str, Mapping[str, list[Any]]]:
    """The columns of each table, by its name."""
    return {"formulas": formula_rows(), "training": training_rows([*METHODS], SEED)}


def check_formulas(formulas: pd.DataFrame) -> str:
    """The message that all formulas agree with their simulation. Raises `UserError` if not."""
    if failed := formula_failures(formulas):
        raise UserError(failed)
    return formulas_passed_line(formulas)
