"""Fixtures for the tests of many services at once."""

import asyncio
from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from aioservices import Services
from aioservices.emulator import Emulator

# How long anything may take before a test counts as failed; nothing waits for that long.
PATIENCE = 30.0
_OTHERS = ("TestRunner", "RequestHandler")


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    before = running_tasks()
    async with Emulator(services=3, pending_for=0.05) as emulator:
        yield emulator
    for _ in range(3):  # what was cancelled at last ends
        await asyncio.sleep(0)
    assert running_tasks() <= before


@pytest.fixture
async def services(emulator: Emulator) -> AsyncIterator[Services]:
    async with Services(emulator.api_key, base_url=emulator.url) as services:
        yield services


def running_tasks() -> set[str]:
    """Every task by its name, apart from a test's fixtures and the server's connections."""
    return {
        task.get_name()
        for task in asyncio.all_tasks()
        if not getattr(task.get_coro(), "__qualname__", "").startswith(_OTHERS)
    }


def requests_to(emulator: Emulator, path: str, method: str = "GET") -> int:
    """Count the requests of one kind that were answered."""
    return sum(each.path == path and each.method == method for each in emulator.requests)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to be so."""
    with anyio.fail_after(PATIENCE):
        while not condition():
            await anyio.sleep(0.005)
