"""Fixtures that every test may use."""

import os

import pytest
from hypothesis import settings

from tests.environment import isolate, leave
from tests.servers.browser import browser, open_page
from tests.servers.emulated import emulator, emulator_options, services

__all__ = [
    "anyio_backend",
    "browser",
    "emulator",
    "emulator_options",
    "open_page",
    "services",
]

HOME = isolate()

# A busy machine is not a bug; and who changes one thing should not meet the fault of another.
settings.register_profile("patient", deadline=None, derandomize=True)
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=15)
settings.register_profile("thorough", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))


def pytest_unconfigure() -> None:
    leave(HOME)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
