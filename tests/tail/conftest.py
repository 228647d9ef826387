"""A server, a session and a tail with short intervals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from aioservices import LogTail, TailedEntry
from aioservices.emulator import Emulator, LogBehaviour
from tests.servers.emulated import session
from tests.servers.waiting import PATIENCE, until

__all__ = ["PATIENCE", "session", "until"]  # for the tests here

# Two seconds after their time every line can be seen, and nobody is polled rarely.
QUICK: dict[str, Any] = {
    "poll_interval": 0.02,
    "max_poll_interval": 0.05,
    "overlap": 2.0,
    "grace": 0.3,
}


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    return {"pending_for": 0.0}


@pytest.fixture
def short_read_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server's reads follow its writes sooner, so that a 404 is believed sooner."""
    monkeypatch.setattr("aioservices.tail.fetcher._READ_LAG", 0.3)


async def take(tail: LogTail, count: int) -> list[str]:
    """Give the messages of the next lines."""
    messages: list[str] = []
    while len(messages) < count:
        with anyio.fail_after(PATIENCE):  # each of them: there may be thousands
            messages.append(str((await anext(tail)).message))
    return messages


async def drain(tail: LogTail) -> list[str]:
    """Give the messages of all lines until the tail ends."""
    messages: list[str] = []
    with anyio.fail_after(PATIENCE) as patience:
        async for entry in tail:
            messages.append(str(entry.message))
            patience.deadline = anyio.current_time() + PATIENCE
    return messages


@asynccontextmanager
async def collecting(tail: LogTail) -> AsyncIterator[list[str]]:
    """Read a tail in the background; the messages that came so far are in the list."""
    messages: list[str] = []

    async def collect() -> None:
        async for entry in tail:
            messages.append(str(entry.message))

    async with anyio.create_task_group() as group:
        group.start_soon(collect)
        yield messages
        group.cancel_scope.cancel()


async def arrival(messages: list[str], count: int) -> None:
    """Wait until so many lines have come."""
    await until(lambda: len(messages) >= count)


def write(emulator: Emulator, service_id: int, *numbers: int, **options: Any) -> list[str]:
    """Write numbered lines; gives their messages."""
    messages = [f"line {number}" for number in numbers]
    for message in messages:
        emulator.log(service_id, message, **options)
    return messages


def write_spread(emulator: Emulator, service_id: int, count: int, *, ago: float = 0.0) -> list[str]:
    """Write numbered lines whose times are 20 ms apart, up to so many seconds ago."""
    start = datetime.now(UTC) - timedelta(seconds=ago + count / 50)
    return [
        message
        for number in range(count)
        for message in write(
            emulator, service_id, number, at=start + timedelta(seconds=number / 50)
        )
    ]


def queries(emulator: Emulator, end: str = "/logs") -> int:
    return sum(request.path.endswith(end) for request in emulator.requests)


def looks(emulator: Emulator, service_id: int) -> int:
    return sum(request.path == f"/services/{service_id}" for request in emulator.requests)


def instants(entries: list[TailedEntry]) -> list[datetime]:
    return [entry.created_at for entry in entries]


def running() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if not task.done()}


def crowd(emulator: Emulator, service_id: int) -> datetime:
    """More lines at one instant than the server gives, between two others."""
    emulator.logs = LogBehaviour(max_limit=10)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    emulator.log(service_id, "before", at=start)
    for number in range(50):
        emulator.log(service_id, f"crowd {number}", at=start + timedelta(milliseconds=100))
    emulator.log(service_id, "behind", at=start + timedelta(milliseconds=200))
    return start
