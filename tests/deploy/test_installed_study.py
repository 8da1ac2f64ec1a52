"""`mckl study` of an installed wheel, in a folder with no checkout near."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tools import PATIENCE, need

CHECKOUT = Path(__file__).parents[2]
TINY = """\
sweep: {dimension: [2], scale: [1.25], offset: [0.5]}
samplers: [iid, antithetic]
samples: 256
replicates: 16
"""
# Neither the environment's programs nor the checkout's source.
BARE = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("PYTHON", "MCKL", "VIRTUAL_ENV"))
} | {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/")}


def done(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, words)], capture_output=True, text=True, timeout=PATIENCE, check=False,
        stdin=subprocess.DEVNULL, **{"env": BARE, **options},
    )  # fmt: skip


def succeeded(*words: object, **options: object) -> str:
    ran = done(*words, **options)
    assert ran.returncode == 0, f"{words}:\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout + ran.stderr


def contents(folder: Path) -> dict[str, int]:
    """Every file of a folder with the time of its last change."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of somebody's that has an environment with the wheel, without its extras."""
    need("git", shutil.which("git"))
    home = tmp_path_factory.mktemp("home")
    dist = tmp_path_factory.mktemp("dist")
    git = ["git", "-C", home, "-c", "user.name=me", "-c", "user.email=me@example.org"]
    succeeded(*git[:3], "init", "--quiet")
    succeeded(*git, "commit", "--quiet", "--allow-empty", "--message", "mine")
    (home / "tiny.yaml").write_text(TINY)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    succeeded(*pip, "wheel", "--no-deps", "--wheel-dir", dist, CHECKOUT)
    succeeded(sys.executable, "-m", "venv", home / ".venv")
    install(home, *dist.glob("mckl-*.whl"))
    return home


def install(home: Path, what: object) -> None:
    succeeded(
        home / ".venv/bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet",
        "install", "-c", CHECKOUT / "constraints.txt", what,
    )  # fmt: skip


def study(home: Path) -> list[object]:
    return [home / ".venv/bin/mckl", "study", "--cores", "2", "--directory", "out"]


def test_without_the_extra_it_says_what_to_install(home: Path) -> None:
    ran = done(*study(home), cwd=home)
    assert ran.returncode == 2
    assert ran.stderr.startswith("mckl: the workflow's packages are missing (")
    assert ran.stderr.endswith(", snakemake): pip install 'mckl[study]'\n")
    assert len(ran.stderr.splitlines()) == 1
    assert not (home / "out").exists()


@pytest.fixture(scope="module")
def ready(home: Path, request: pytest.FixtureRequest) -> Path:
    """The same environment with the extra, after a whole run in the folder `out`."""
    (package,) = home.glob(".venv/lib/python*/site-packages/mckl")
    wheel = json.loads(
        (next(package.parent.glob("mckl-*.dist-info")) / "direct_url.json").read_text()
    )
    install(home, f"mckl[study] @ {wheel['url']}")
    before = contents(package)
    text = succeeded(*study(home), "--configfile", "tiny.yaml", cwd=home)
    assert "mckl: finished in " in text
    assert contents(package) == before
    return home


def test_a_whole_run_in_any_folder(ready: Path) -> None:
    results = ready / "out/results"
    manifest = json.loads((results / "manifest.json").read_text())
    command = "mckl study --cores 2 --directory out --configfile tiny.yaml"
    assert manifest["command"] == command
    assert manifest["git_commit"] is None  # the repository around the environment is not mckl's
    assert (results / "report.html").stat().st_size > 10**5
    assert sorted(path.name for path in ready.iterdir()) == [".git", ".venv", "out", "tiny.yaml"]
    succeeded(ready / ".venv/bin/mckl", "verify", results)
    again = succeeded(*study(ready), "--configfile", "tiny.yaml", cwd=ready)
    assert "nothing to do: the results are up to date" in again


def test_another_study_in_its_folder_is_noticed(ready: Path) -> None:
    ran = done(*study(ready), "--configfile", "policies", "--", "-n", cwd=ready)
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1
    assert "has the results of another study (mckl study --cores 2" in ran.stderr
    text = succeeded(*study(ready), "--configfile", "policies", "--update", "--", "-n", cwd=ready)
    assert "samples to draw" in text


def test_ctrl_c_ends_the_run(ready: Path) -> None:
    words = [*study(ready), "--configfile", "tiny.yaml", "--", "--forceall"]
    with subprocess.Popen(
        [*map(str, words)], cwd=ready, env=BARE, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as run:  # fmt: skip
        assert run.stdout is not None
        text = ""
        for line in run.stdout:
            text += line
            if "done after" in line and "stopped" not in text:
                os.killpg(run.pid, signal.SIGINT)  # as a terminal does
                break
        text += run.stdout.read()
    assert run.returncode == 1
    assert "mckl: The run was stopped. Finished results are kept" in text
    assert "Traceback" not in text
