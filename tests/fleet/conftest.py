"""Fixtures for the tests of many services at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from aioservices import Services
from aioservices.emulator import Emulator


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
    """Every task by its name, apart from those in which a test's fixtures are set up."""
    return {
        task.get_name()
        for task in asyncio.all_tasks()
        if "TestRunner" not in getattr(task.get_coro(), "__qualname__", "")
    }
