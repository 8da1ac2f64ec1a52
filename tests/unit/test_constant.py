"""What is the same for every config: `make docs` writes it, and fails if a check does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from mckl.errors import UserError
from mckl.estimation.gradients import METHODS
from mckl.limits import SEED
from mckl.record import tables
from mckl.show.figures import FIGURES
from mckl.study.config import schema_defaults
from mckl.study.libraries import LIBRARIES, table
from mckl.study.libraries.corrections import CORRECTIONS, LAGS
from mckl.study.libraries.policies import policies
from mckl.study.training import SHOWN

ROOT = Path(__file__).resolve().parents[2]


def test_the_training_is_that_of_the_default_config(schema):
    default = schema_defaults(schema)
    assert default["seed"] == SEED
    assert default["gradients"]["methods"] == [*METHODS]


def test_a_formula_that_disagrees_with_its_simulation_fails(monkeypatch):
    """On the nearest policy alone, which takes an eighth of the time."""
    nearest = dict([next(iter(policies().items()))])
    monkeypatch.setattr(table, "policies", lambda: nearest)
    formulas = tables.table("formulas", table.formula_rows()).to_pandas()
    uses = sum(len(library.uses) for library in LIBRARIES.values())
    assert len(formulas) == uses + len(LAGS) * len(CORRECTIONS)
    assert "mean and variance of 39 agree" in table.check_formulas(formulas)
    wrong = formulas.assign(passed=formulas["formula"].astype(str) != "k2")
    with pytest.raises(UserError, match=r"disagree: k2 of policy16-d32-s1-o0\.02: mean "):
        table.check_formulas(wrong)


@pytest.mark.slow
def test_the_script_writes_every_file(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/build.py"), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mckl: formulas of libraries: mean and variance of 158 agree")
    names = [name for name, figure in FIGURES.items() if figure.constant]
    assert names == ["sequence-length", "tails", "off-policy", "libraries", "training"]
    figures = {f"figures/{name}.{kind}" for name in names for kind in ("svg", "png", "pdf", "rst")}
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == figures | {"formulas.parquet", "training.parquet", "libraries.md"}
    page = (tmp_path / "libraries.md").read_text()
    assert page == (ROOT / "docs/explanation/libraries.md").read_text(), "run `make docs`"
    training = pd.read_parquet(tmp_path / "training.parquet")
    assert {*training["method"]} <= {*SHOWN}
    # Methods of a token and of a normal law, runs, and steps shown.
    assert len(training) == (8 + 9) * 3 * 41
