"""Fixtures for the tests of many services at once."""

from typing import Any

import pytest

from tests.servers.emulated import requests_to
from tests.servers.waiting import PATIENCE, running_tasks, until

__all__ = ["PATIENCE", "requests_to", "running_tasks", "until"]  # for the tests here


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    return {"services": 3, "pending_for": 0.05}
