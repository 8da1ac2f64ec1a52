"""Tools that some machines lack: a test that needs one is skipped there, but never in CI."""

from __future__ import annotations

import os

import pytest

# Seconds until a process, page or daemon that does not answer counts as hung. Nothing is measured
# by it, so it may be long: a loaded machine takes many times as long as an idle one.
PATIENCE = 600


def need(what: str, present: object) -> None:
    """Skip the test if this machine lacks `what`; in CI, where nothing may be missing, fail it."""
    if not present and "CI" in os.environ:
        pytest.fail(f"{what} is missing, and CI runs every test")
    if not present:
        pytest.skip(f"{what} is missing")
