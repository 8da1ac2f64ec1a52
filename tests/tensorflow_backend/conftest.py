"""TensorFlow, which every test here needs."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest
from tools import need


@pytest.fixture(autouse=True, scope="session")
def _tensorflow() -> None:
    if sys.version_info >= (3, 14):
        pytest.skip("TensorFlow has no release for this Python")
    need("TensorFlow (make test installs it)", find_spec("tensorflow_probability"))
