"""The digest of the code a script runs follows what it imports, and nothing else."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from mckl.revision import code_digest, modules


@pytest.fixture
def copy(root, tmp_path):
    """A copy of the package and scripts, and a fresh revision module in it."""
    shutil.copytree(root / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "scripts", tmp_path / "scripts")

    def load():
        path = tmp_path / "src/mckl/revision.py"
        spec = importlib.util.spec_from_file_location("revision_of_a_copy", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return tmp_path, load


def test_the_closure_of_the_estimation_script(root):
    script = root / "scripts/estimate.py"
    found = set(modules(script, "mckl.backends.numpy"))
    assert {
        "mckl", "mckl.running", "mckl.traces", "mckl.gaussians", "mckl.estimators.cv",
        "mckl.points.sobol", "mckl.backends.numpy", "mckl.tables", "mckl.reduction",
    } <= found  # fmt: skip
    assert not {"mckl.summary", "mckl.verification", "mckl.theory", "mckl.strata"} & found
    assert not {name for name in found if name.startswith("mckl.figures")}
    assert "mckl.backends.numpy" not in modules(script)  # it is loaded by name


def test_the_closure_is_what_python_imports(root):
    # In a fresh process: whatever importing the closure brings in is in the closure.
    found = modules(root / "scripts/estimate.py", "mckl.backends.numpy")
    code = "import sys, importlib\n"
    code += "".join(f"importlib.import_module({name!r})\n" for name in found)
    code += "print(*(name for name in sys.modules if name.split('.')[0] == 'mckl'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
    )  # fmt: skip
    assert set(done.stdout.split()) == set(found)


@pytest.mark.parametrize(
    ("script", "module", "changes"),
    [
        ("estimate.py", "running.py", True),
        ("estimate.py", "estimators/k2.py", True),
        ("estimate.py", "gaussians.py", True),
        ("estimate.py", "backends/numpy.py", True),
        ("estimate.py", "summary.py", False),
        ("estimate.py", "strata.py", False),
        ("estimate.py", "figures/theme.py", False),
        ("theory.py", "strata.py", True),
        ("summary.py", "summary.py", True),
    ],
)
def test_the_digest_follows_the_modules_in_use(copy, script, module, changes):
    place, load = copy
    path, file = place / "scripts" / script, place / "src/mckl" / module
    extra = ("mckl.backends.numpy",) if script == "estimate.py" else ()
    before = load().code_digest(path, *extra)
    assert before == load().code_digest(path, *extra)
    file.write_text(file.read_text("utf-8") + "\nX = 1\n", "utf-8")
    assert (load().code_digest(path, *extra) != before) is changes


def test_the_digest_does_not_depend_on_the_place(copy, root):
    place, load = copy
    for script in sorted((root / "scripts").glob("*.py")):
        here = code_digest(script)
        assert load().code_digest(place / "scripts" / script.name) == here


def test_a_new_import_joins_the_closure(copy):
    place, load = copy
    script = place / "scripts/estimate.py"
    before = load().modules(script)
    assert "mckl.strata" not in before
    running = place / "src/mckl/running.py"
    running.write_text(
        running.read_text("utf-8")
        + "\n\ndef late():\n    from mckl import strata\n    return strata\n",
        "utf-8",
    )
    assert "mckl.strata" in load().modules(script)
