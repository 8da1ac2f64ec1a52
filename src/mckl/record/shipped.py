"""Where the workflow's own files are: in the checkout, or in the installed package."""

from __future__ import annotations

from pathlib import Path


def shipped() -> Path:
    """The folder with Snakefile, config.yaml, workflow/, scripts/, profiles/ and studies/.

    An installed package has a copy of them, laid out as in a checkout.
    """
    package = Path(__file__).resolve().parents[1]
    copy = package / "_shipped"
    return copy if copy.is_dir() else package.parents[1]
