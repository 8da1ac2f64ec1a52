"""Every job reads the Snakefile again: what that imports, and what an estimation job imports.

SciPy loads a submodule at its first use, so that what the Snakefile imports may name
`scipy.special.f` but not `from scipy.special import f`, which takes 0.2 s of every job.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .study import CHECKOUT

HEAVY = {"pandas", "seaborn", "matplotlib", "scipy.stats", "scipy.optimize", "tensorflow"}

PARSE = """
import re
text = open("workflow/rules/common.smk").read()
exec("\\n".join(re.findall(r"^(?:import|from mckl).*", text, re.MULTILINE)))
"""

# The script itself, with what Snakemake hands it, up to its first sample.
ESTIMATE = """
import runpy
from types import SimpleNamespace

import mckl.draw.backends.numpy as backend
from mckl.study.settings import grid_setting


class First(Exception):
    pass


def stop(*arguments):
    raise First


backend.NumpyKernel.evaluate = stop
job = dict(
    settings=[grid_setting(2, 0.8, 0.25).as_dict()], backend="numpy", dtype="float64",
    samplers=["iid"], estimators=["k1", "k3"], seed=1, samples=[1, 2], replicates=2,
)
folder = sys.argv[1]
out, err = sys.stdout, sys.stderr
try:
    runpy.run_path("scripts/estimate.py", init_globals={"snakemake": SimpleNamespace(
        threads=1, log=[folder + "/log"], config={}, params=SimpleNamespace(job=job, code=""),
        output=SimpleNamespace(traces=folder + "/traces", cost=folder + "/cost"),
        wildcards=SimpleNamespace(backend="numpy", chunk="d2-s0.8"),
    )})
except First:
    reached = True
assert reached
sys.stdout = out
"""


def modules_after(code: str, folder: Path) -> set[str]:
    """The modules that a new interpreter has imported after this code."""
    path = f"import sys; sys.path.insert(0, {str(CHECKOUT / 'src')!r})"
    tell = f"import json; json.dump(sorted(sys.modules), open({str(folder / 'modules')!r}, 'w'))"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join((path, code, tell)), str(folder)],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads((folder / "modules").read_text()))


@pytest.mark.parametrize(
    ("code", "besides"),
    [(PARSE, {"pyarrow.parquet", "scipy.special"}), (ESTIMATE, set())],
    ids=["Snakefile", "estimate"],
)
def test_start_is_light(code: str, besides: set[str], tmp_path: Path) -> None:
    modules = modules_after(code, tmp_path)
    assert "mckl.estimation.traces" in modules  # the code did run
    assert sorted(modules & (HEAVY | besides)) == []
