"""The tables of a study in memory: what the figures and pages are drawn from."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mckl.draw.points import SAMPLERS
from mckl.estimation.gradients import METHODS
from mckl.estimation.traces import checkpoints, trace
from mckl.estimation.values import ESTIMATORS
from mckl.record import tables
from mckl.study import notebook
from mckl.study.budget_table import budget_columns
from mckl.study.gradients import rows as gradient_rows
from mckl.study.libraries.table import formula_rows
from mckl.study.regime_map import regime_rows, window
from mckl.study.settings import Setting, case_setting, grid_setting
from mckl.study.summary_table import summaries
from mckl.study.theory_table import setting_rows, theory_rows
from mckl.study.trace_table import trace_columns
from mckl.study.training import SHOWN, training_rows
from mckl.study.verification import verify

SEED = 20171127
NOTEBOOK = case_setting(
    "notebook", {"q": {"mean": [1.0, 4.0], "sd": 1.0}, "p": {"mean": [-3.0, 2.0], "sd": 2.5}}
)
# With a KL of 0 and a k3 of infinite variance among them.
SETTINGS = [
    *(grid_setting(d, s, o) for d in (1, 4) for s in (0.8, 1.0, 2.5) for o in (0.0, 0.25)),
    NOTEBOOK,
]
_TOKEN = {"q": [0.7, 0.2, 0.1], "p": [0.1, 0.3, 0.6]}
# A near pair, one with a wide p, and one that is drawn alone.
GRADIENTS = [
    grid_setting(4, 1.1, 0.25),
    NOTEBOOK,
    case_setting(
        "token", {k: {"family": "categorical", "probabilities": v} for k, v in _TOKEN.items()}
    ),
]
GRADIENT_SAMPLES, GRADIENT_REPLICATES = 64, 50
BACKENDS = ("numpy", "tensorflow")
USED = ("iid", "antithetic", "iid-radial", "sobol-radial")
SAMPLES = checkpoints(256, 2)
REPLICATES = 20
TOLERANCES = (0.1, 0.01)
MANIFEST = {
    "mckl": "x", "git_commit": None, "config_digest": "y", "python": "z", "packages": {"numpy": "z"}
}  # fmt: skip


@functools.cache
def settings_table() -> pd.DataFrame:
    """The table of settings alone, which takes no draws; not to be changed."""
    return tables.table("settings", setting_rows(SETTINGS)).to_pandas()


@functools.cache
def frames() -> dict[str, pd.DataFrame]:
    """Every table of the study, as a script reads it; not to be changed."""
    study = measured(SETTINGS, USED, SAMPLES, TOLERANCES)
    settings, theory, summary = study["settings"], study["theory"], study["summary"]
    gaps = tables.table("gaps", {name: [] for name in tables.SCHEMAS["gaps"].names}).to_pandas()
    return {
        **study,
        "gaps": gaps,
        "verification": tables.table(
            "verification", verify(summary, theory, settings, study["budget"])
        ).to_pandas(),
        "gradients": pd.concat(
            tables.table("gradients", rows).to_pandas().astype({"setting": str, "method": str})
            for rows in gradient_rows(
                GRADIENTS, [*METHODS], SEED, GRADIENT_SAMPLES, GRADIENT_REPLICATES
            )
        ),
        "training": tables.table("training", training_rows(SHOWN, SEED)).to_pandas(),
        "regimes": pd.concat(
            pd.DataFrame(rows) for rows in regime_rows(**window(SETTINGS, SAMPLES[-1]))
        ),
        "cost": _cost(),
        "registered-kl": _registered(settings),
        "notebook": pd.DataFrame(notebook.running(NOTEBOOK, SEED)),
        "formulas": tables.table("formulas", formula_rows()).to_pandas(),
        "notebook-points": pd.DataFrame(notebook.points(NOTEBOOK, SEED)),
    }


def measured(
    settings: Sequence[Setting],
    used: Sequence[str],
    samples: Sequence[int],
    tolerances: Sequence[float],
) -> dict[str, pd.DataFrame]:
    """The tables settings, theory, traces, summary and budget of some settings."""
    about = tables.table("settings", setting_rows(settings)).to_pandas()
    theory = tables.concatenate(
        "theory", list(theory_rows(settings, used, [*ESTIMATORS], samples))
    ).to_pandas()
    traces = tables.concatenate(
        "traces", [_traces(s, b, used, samples) for s in settings for b in BACKENDS]
    )
    (rows,) = summaries([traces], about, theory)
    summary = tables.table("summary", rows).to_pandas()
    budget = pd.concat(
        tables.table("budget", rows).to_pandas().astype({"setting": str})
        for rows in budget_columns(settings, used, [*ESTIMATORS], tolerances, summary)
    )
    return {
        "settings": about,
        "theory": theory,
        "traces": traces.to_pandas(),
        "summary": summary,
        "budget": budget.reset_index(drop=True),
    }


def _traces(setting: Setting, backend: str, used: Sequence[str], samples: Sequence[int]) -> Any:
    """The rows of all samplers; TensorFlow's are NumPy's of another seed."""
    return tables.concatenate(
        "traces",
        [
            trace_columns(
                trace(
                    setting.pair, "numpy", SAMPLERS[sampler], [ESTIMATORS[e] for e in those],
                    name=setting.name,
                    seed=SEED + (backend != "numpy"), samples=samples, replicates=REPLICATES,
                ),
                setting, backend, sampler, those,
            )
            for sampler, those in setting.combinations(used, [*ESTIMATORS]).items()
        ],
    )  # fmt: skip


def _cost() -> pd.DataFrame:
    """The table cost: one job for each setting, whose start-up takes 0.3 to 3 seconds."""
    chance = np.random.default_rng(SEED)
    rows = []
    for backend in BACKENDS:
        for setting in SETTINGS:
            about = {"job": f"{backend}/{setting.name}", "backend": backend, "wall_seconds": 1.0}
            spent = chance.uniform(1e-5, 1e-3, len(USED)) * setting.dimension
            drawn = SAMPLES[-1] * REPLICATES
            rows += [
                about | {"setting": setting.name, "sampler": sampler, "cpu_seconds": seconds,
                         "samples": drawn, "estimates_per_cpu_second": drawn / seconds}
                for sampler, seconds in zip(USED, spent, strict=True)
            ]  # fmt: skip
            rows.append(about | {"cpu_seconds": spent.sum() + chance.uniform(0.3, 3.0)})
    columns = tables.SCHEMAS["cost"].names
    return pd.DataFrame(rows, columns=columns).astype({"setting": object, "sampler": object})


def _registered(settings: pd.DataFrame) -> pd.DataFrame:
    """A KL with a rounding error, as TensorFlow's has."""
    roundings = np.arange(len(settings))
    kl = settings["kl"].to_numpy()
    return pd.DataFrame(
        {
            "setting": settings["setting"].astype(str),
            "dimension": settings["dimension"],
            "kl": kl,
            "registered_kl": kl * (1 + roundings * 2.0**-52),
            "registered_kl_float32": kl * (1 - roundings * 2.0**-23),
        }
    )
