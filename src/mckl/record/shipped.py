"""Where the workflow's own files are: in the checkout, or in the installed package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from mckl.text import some

_PACKAGE = Path(__file__).resolve().parents[1]
_COPY = _PACKAGE / "_shipped"
_COPIED = ("Snakefile", "config.yaml", "workflow/", "scripts/")


def shipped() -> Path:
    """The folder with Snakefile, config.yaml, workflow/, scripts/, profiles/ and studies/.

    An installed package has a copy of them, laid out as in a checkout.
    """
    return _COPY if _COPY.is_dir() else _PACKAGE.parents[1]


def other_files(digests: Mapping[str, str]) -> str:
    """The files of the workflow and of the package that differ from a commit, in a few words.

    `digests` has git's digest of each file of the commit, by its name in the repository. What the
    package does not carry, such as docs and tests, does not count.
    """
    names = [name for name in digests if name.startswith(("src/mckl/", *_COPIED))]
    return some([name for name in names if _git_digest(_installed(name)) != digests[name]])


def _installed(name: str) -> Path:
    """Where a file of the repository is in this installation."""
    inside = name.removeprefix("src/mckl/")
    return shipped() / name if inside == name else _PACKAGE / inside


def _git_digest(path: Path) -> str | None:
    """The digest that git has of a file with this content; None if there is no such file."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
