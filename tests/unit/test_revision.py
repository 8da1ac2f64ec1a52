"""The digest of the code a script runs follows what it imports, and nothing else."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from mckl.record import revision
from mckl.record.revision import code_digest, modules


@pytest.fixture
def copy(root, tmp_path):
    """A copy of the package and scripts, and a fresh revision module in it."""
    shutil.copytree(root / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "scripts", tmp_path / "scripts")

    def load():
        path = tmp_path / "src/mckl/record/revision.py"
        spec = importlib.util.spec_from_file_location("revision_of_a_copy", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return tmp_path, load


def test_the_closure_of_the_estimation_script(root):
    script = root / "scripts/estimate.py"
    found = set(modules(script, "mckl.draw.backends.numpy"))
    assert {
        "mckl", "mckl.families.normal.pair", "mckl.draw.points.sobol", "mckl.draw.backends.numpy",
        "mckl.families.normal.form", "mckl.estimation.running", "mckl.estimation.traces",
        "mckl.estimation.values.cv", "mckl.record.tables",
    } <= found  # fmt: skip
    assert (
        not {"mckl.study.summary_table", "mckl.study.verification", "mckl.study.theory_table"}
        & found
    )
    assert not {name for name in found if name.startswith("mckl.show.figures")}
    assert "mckl.draw.backends.numpy" not in modules(script)  # it is loaded by name


def imported(path):
    """The mckl modules that a file imports, by Python's own parser."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {n for n in found if n.split(".")[0] == "mckl" and revision._file(n)}


def test_every_import_statement_is_found(root):
    for path in [*root.glob("scripts/*.py"), *root.glob("src/mckl/**/*.py")]:
        assert revision._imports(path) == imported(path), path


def test_the_closure_is_what_python_imports(root):
    # In a fresh process: whatever importing the closure brings in is in the closure.
    found = modules(root / "scripts/estimate.py", "mckl.draw.backends.numpy")
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
        ("estimate.py", "estimation/running.py", True),
        ("estimate.py", "estimation/values/k2.py", True),
        ("estimate.py", "families/normal/pair.py", True),
        ("estimate.py", "draw/backends/numpy.py", True),
        ("estimate.py", "study/summary_table.py", False),
        ("estimate.py", "exact/negative.py", False),
        ("estimate.py", "show/figures/theme.py", False),
        ("theory.py", "exact/strata.py", True),
        ("summary.py", "study/summary_table.py", True),
    ],
)
def test_the_digest_follows_the_modules_in_use(copy, script, module, changes):
    place, load = copy
    path, file = place / "scripts" / script, place / "src/mckl" / module
    extra = ("mckl.draw.backends.numpy",) if script == "estimate.py" else ()
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
    assert "mckl.exact.negative" not in before
    running = place / "src/mckl/estimation/running.py"
    running.write_text(
        running.read_text("utf-8")
        + "\n\ndef late():\n    from mckl.exact import negative\n    return negative\n",
        "utf-8",
    )
    assert "mckl.exact.negative" in load().modules(script)
