"""The small study whose report the browser opens."""

from workflow.conftest import finished  # noqa: F401 - a fixture
