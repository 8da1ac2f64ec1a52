"""`make audit` fails for a known vulnerability, and for nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools import need

from .study import CHECKOUT


@pytest.fixture(autouse=True, scope="module")
def _make() -> None:
    need("make", shutil.which("make"))


def audit(venv: Path, python: str = sys.executable) -> tuple[int, list[str]]:
    done = subprocess.run(
        ["make", "-s", "--no-print-directory", "audit", f"VENV={venv}", f"PYTHON={python}"],
        cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("script", "fails", "said"),
    [
        ("echo 'No known vulnerabilities found' >&2", False, ["mckl: no vulnerability of the "
         "packages in constraints.txt is known"]),
        ("echo 'Found 1 known vulnerability in 1 package' >&2; echo 'urllib3 1.0'; exit 1", True,
         ["Found 1 known vulnerability in 1 package", "urllib3 1.0"]),
        ("echo Traceback >&2; echo 'no route to host' >&2; exit 1", False,
         ["mckl: not audited: no route to host"]),
    ],
    ids=["none", "one", "no service"],
)  # fmt: skip
def test_what_pip_audit_says_decides(
    tmp_path: Path, script: str, fails: bool, said: list[str]
) -> None:
    tool = tmp_path / "audit/bin/pip-audit"
    tool.parent.mkdir(parents=True)
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    code, lines = audit(tmp_path)
    assert (code != 0, lines) == (fails, said)


def test_a_tool_that_cannot_be_installed_is_told_in_one_line(tmp_path: Path) -> None:
    code, lines = audit(tmp_path, "false")
    told = f"mckl: not audited: pip-audit could not be installed ({tmp_path}/audit.log)"
    assert (code, lines) == (0, [told])
