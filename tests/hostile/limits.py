"""Runs the command, or a script, with so little memory and time that a bomb could not pass."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
MEMORY = 3 * 2**29  # bytes of address space; Python, NumPy, SciPy and Arrow take a part of it
SECONDS = 60  # on a machine that others load; each takes one or two


def limited(
    *words: str, folder: Path, stdin: bytes = b"", memory: int = MEMORY
) -> subprocess.CompletedProcess[bytes]:
    """What `python` with these words does in a folder."""
    environment = {"PYTHONPATH": str(SRC), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=os.environ | environment, input=stdin,
        timeout=SECONDS, check=False, capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
    )  # fmt: skip


def refused(*words: str, folder: Path, stdin: bytes = b"") -> str:
    """The one line with which `mckl` refuses these words, at most 400 characters long."""
    done = limited("-m", "mckl", *words, folder=folder, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, b""), done.stderr[-2000:]
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("mckl: ")
    assert line.isprintable()
    assert len(line) <= 400
    return line
