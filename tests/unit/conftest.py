"""Shared by the unit tests: quadrature, the schema, and a whole study in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import pandas as pd
import pytest
import yaml

from mckl.draw.points import SAMPLERS
from mckl.estimation.traces import checkpoints, trace
from mckl.estimation.values import ESTIMATORS
from mckl.record import tables
from mckl.study.settings import Setting
from mckl.study.summary_table import summaries
from mckl.study.theory_table import setting_rows, theory_rows
from mckl.study.trace_table import trace_columns
from mckl.study.verification import verify

ROOT = Path(__file__).resolve().parents[2]

hypothesis.settings.register_profile(
    "unit", derandomize=True, deadline=None, database=None, max_examples=200
)
hypothesis.settings.load_profile("unit")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text("utf-8"))


def _normal_mean(f: Callable[[np.ndarray], np.ndarray]) -> float:
    # The trapezoidal rule converges exponentially for analytic integrands that decay: halving
    # this step changes no digit of what the tests ask for.
    x = np.linspace(-40.0, 40.0, 4001)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        y = f(x) * np.exp(-0.5 * x * x)
    return float(np.sum(np.where(np.isfinite(y), y, 0.0)) * 0.02 / np.sqrt(2 * np.pi))


@pytest.fixture(scope="session")
def normal_mean() -> Callable[[Callable[[np.ndarray], np.ndarray]], float]:
    """E f(epsilon) for one standard normal, by quadrature."""
    return _normal_mean


class Study(NamedTuple):
    settings: pd.DataFrame
    theory: pd.DataFrame
    summary: pd.DataFrame
    verification: pd.DataFrame


def _study(
    settings: Sequence[Setting],
    samplers: Sequence[str],
    estimators: Sequence[str],
    *,
    seed: int,
    samples: int,
    replicates: int,
    per_octave: int = 1,
    first: int = 1,
) -> Study:
    """Traces, tables, summary and gate as the workflow makes them; checkpoints from `first` on."""
    at = [n for n in checkpoints(samples, per_octave) if n >= first]
    columns = [
        trace_columns(
            trace(
                setting.pair, "numpy", SAMPLERS[sampler], [ESTIMATORS[e] for e in those],
                seed=seed, samples=at, replicates=replicates, at_once=50,
            ),
            setting, "numpy", sampler, those,
        )
        for setting in settings
        for sampler, those in setting.combinations(samplers, estimators).items()
    ]  # fmt: skip
    known = tables.table("settings", setting_rows(settings)).to_pandas()
    theory = tables.concatenate(
        "theory", list(theory_rows(settings, samplers, estimators, at))
    ).to_pandas()
    (summary,) = summaries([tables.concatenate("traces", columns)], known, theory)
    return Study(known, theory, summary, verify(summary, theory, known))


@pytest.fixture(scope="session")
def run_study() -> Callable[..., Study]:
    return _study
