"""A bare repository that git gives for an address on GitHub, and a wheel of its package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tools import PATIENCE, need
from workflow.study import CHECKOUT, TINY, offline

ADDRESS = "https://github.com/owner/mckl"
TAG = "v0"
WITHOUT = ("docs", "tests", "benchmarks", "paper", "results")
# The tiny study as a file of its own.
CONFIG = {**TINY, "cases": {}, "seed": 1, "tolerances": [0.1]}


def called(command: list[str], folder: Path, **more: str) -> str:
    """What a command prints, which must succeed."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | more, timeout=PATIENCE, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


class Published:
    """What somebody has who has neither a clone nor a network: the address, and the package."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "mckl.git"
        self.site = folder / "site"
        self.clone = folder / "clone"
        self.home = folder / "home"
        self.cache = folder / "cache"

    def publish(self) -> None:
        """Make the repository with one tag, and install a wheel of it."""
        git = ["git", "-c", "user.name=mckl", "-c", "user.email=mckl@localhost"]
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in called(listed, CHECKOUT).split("\0"):
            if name.partition("/")[0] not in WITHOUT and (CHECKOUT / name).is_file():
                (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, self.clone / name)
        self.home.mkdir()
        called([*git, "init", "--quiet", "--initial-branch=main"], self.clone)
        called([*git, "add", "--all"], self.clone)
        called([*git, "commit", "--quiet", "--message=all"], self.clone)
        called([*git, "tag", TAG], self.clone)
        called([*git, "clone", "--quiet", "--bare", str(self.clone), str(self.bare)], self.home)
        called(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "../dist"], self.clone
        )
        (wheel,) = (self.clone.parent / "dist").glob("*.whl")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        called([*pip, "--target", str(self.site), str(wheel)], self.home)

    def environment(self, **changes: str) -> dict[str, str]:
        """The environment of a user. The checkout may be installed too, and comes later."""
        mine = {
            "PYTHONPATH": str(self.site),
            "XDG_CACHE_HOME": str(self.cache),
            "HOME": str(self.home),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.file://{self.bare}.insteadOf",
            "GIT_CONFIG_VALUE_0": ADDRESS,
        }
        return os.environ | mine | changes

    def call(self, folder: Path, *words: str, **changes: str) -> tuple[int, str]:
        """The exit code of a command without a network, and all that it prints."""
        done = subprocess.run(
            [*offline(), *words], cwd=folder, env=self.environment(**changes), timeout=PATIENCE,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def snakemake(self, folder: Path, *words: str, **changes: str) -> tuple[int, str]:
        """The exit code of Snakemake on one core, and all that it prints."""
        return self.call(
            folder, sys.executable, "-m", "snakemake", "--cores", "1", *words, **changes
        )

    def run(self, folder: Path, *words: str, **changes: str) -> str:
        """What Snakemake prints, which must succeed."""
        code, text = self.snakemake(folder, *words, **changes)
        assert code == 0, text
        return text


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The repository and the package, made once."""
    need("git", shutil.which("git"))
    for package in ("hatchling", "snakedeploy"):
        need(f"{package} (make deploy installs it)", find_spec(package))
    published = Published(tmp_path_factory.mktemp("published"))
    published.clone.mkdir()
    published.publish()
    return published
