"""An emulator and a session with it, as most tests need them.

A module or a folder whose emulator is another one gives the fixture `emulator_options`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from aioservices import Services
from aioservices.emulator import Emulator
from tests.servers.waiting import running_tasks


class Server(Protocol):
    """What a session needs to know of a server."""

    @property
    def url(self) -> str: ...
    @property
    def api_key(self) -> str: ...


def session(server: Server, **options: Any) -> Services:
    """Make a session with a server: an emulator, or a hostile one."""
    return Services(server.api_key, base_url=server.url, **options)


def requests_to(emulator: Emulator, path: str, method: str = "GET") -> int:
    """Count the requests of one kind that were answered."""
    return sum(each.path == path and each.method == method for each in emulator.requests)


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    """Return the options of the emulator."""
    return {}


@pytest.fixture
async def emulator(emulator_options: dict[str, Any]) -> AsyncIterator[Emulator]:
    """Run an emulator, and see that the test leaves no task behind."""
    before = running_tasks()
    async with Emulator(**emulator_options) as emulator:
        yield emulator
    for _ in range(3):  # what was cancelled at last ends
        await asyncio.sleep(0)
    assert running_tasks() <= before


@pytest.fixture
async def services(emulator: Emulator) -> AsyncIterator[Services]:
    """Open a session with the emulator."""
    async with session(emulator) as services:
        yield services
