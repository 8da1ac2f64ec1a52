"""The manifest of a table: versions, git commit, config digest and host."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import mckl
from mckl.record.shipped import shipped

_PACKAGES = (
    "numpy", "scipy", "pandas", "pyarrow", "seaborn", "matplotlib", "snakemake", "tensorflow",
    "tensorflow-probability",
)  # fmt: skip
_SECRET = re.compile("secret|password|token|access-key")


def digest(data: object) -> str:
    """A short digest of JSON data, which does not depend on the order of keys."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def job_digest(job: Mapping[str, Any], code: str) -> str:
    """A digest of an estimation job's parameters and of the code that it runs."""
    return digest({"job": job, "code": code})


def _git_commit() -> str | None:
    """The commit of the checkout, with "-dirty" for uncommitted changes; None if there is none.

    An installed package may lie in a repository that is somebody else's.
    """
    folder = shipped()
    if not (folder / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def manifest(config: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a table that is written now, with this config.

    It contains no time, so that equal runs write equal bytes.
    """
    return {
        "mckl": mckl.__version__,
        "git_commit": _git_commit(),
        "config_digest": digest(config),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "host": platform.node(),
        "machine": platform.machine(),
        "system": platform.system(),
    }


def now() -> str:
    """The time in UTC, in the format of the run's manifest."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def command_line(words: Sequence[str]) -> str:
    """A command as one line for a shell, without the values of secret options."""

    def shown() -> Iterator[str]:
        secret = False
        for word in words:
            if word.startswith("-"):
                option, equals, _ = word.partition("=")
                secret = bool(_SECRET.search(option))
                yield f"{option}=***" if secret and equals else word
            else:
                yield "***" if secret else word

    return shlex.join(shown())
