"""Fixtures that every test may use."""

import os

import pytest

from tests.environment import isolate, leave
from tests.profiles import load_profile, prepare_characters
from tests.servers.browser import browser, open_page
from tests.servers.emulated import emulator, emulator_options, services
from tests.servers.ports import closed_port

__all__ = [
    "anyio_backend",
    "browser",
    "closed_port",
    "emulator",
    "emulator_options",
    "open_page",
    "services",
]

HOME = isolate()
load_profile()


def pytest_sessionstart(session: pytest.Session) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ and session.config.getoption("numprocesses", None):
        prepare_characters()


def pytest_unconfigure() -> None:
    leave(HOME)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
