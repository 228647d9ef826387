"""The store is down for long while a large fleet writes: one cap holds for all that waits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aioservices import Services
from aioservices.api.models import TailedEntry
from aioservices.emulator import Emulator
from aioservices.fleet.collecting.writer import Slot, StoreWriter
from aioservices.stores import KeepResult, PendingBatch, SQLiteStore, StoreUnavailableError
from tests.servers.waiting import until, until_grown

from .conftest import collecting

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SERVICES = range(1, 501)
CAP = 2000
ATTEMPTS = 120  # of an hour, as often as the store is asked in one


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    services = len(SERVICES)
    return {"services": services, "deployed": True, "pending_for": 0.0, "null_state_for": 0.0}


class Away(SQLiteStore):
    """A store that is away at times, and sees what waits for it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.is_away = False
        self.attempts = 0
        self.offered = 0  # lines of the last attempt

    async def keep(self, batches: Sequence[PendingBatch]) -> KeepResult:
        self.offered = sum(len(each.entries) for each in batches)
        if self.is_away:
            self.attempts += 1
            raise StoreUnavailableError("the store is away")
        result = await super().keep(batches)
        self.offered = 0
        return result


class Chatter:
    """A fleet that writes, all its services in turn."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.lines = 0  # of each service

    def write(self, lines: int) -> None:
        for number in range(self.lines, self.lines + lines):
            for service_id in SERVICES:
                self._emulator.log(service_id, f"line {number}")
        self.lines += lines


async def test_an_hour_without_the_store_takes_no_more_memory_than_one_cap(
    emulator: Emulator, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.collecting.writer._DELAYS", (0.01, 0.02))
    writers: set[StoreWriter] = set()
    most = 0

    def log_requests() -> int:
        return sum(each.path.endswith("/logs") for each in emulator.requests)

    def in_memory() -> int:
        slots = (slot for writer in writers for slot in writer._slots.values())
        return store.offered + sum(len(slot.entries) for slot in slots)

    def add(writer: StoreWriter, slot: Slot, entries: Sequence[TailedEntry]) -> None:
        nonlocal most
        original(writer, slot, entries)
        writers.add(writer)
        most = max(most, writer.waiting, in_memory() if store.is_away else 0)

    original = StoreWriter.add
    monkeypatch.setattr(StoreWriter, "add", add)
    chatter = Chatter(emulator)
    chatter.write(1)
    options: dict[str, Any] = {"poll_interval": 0.5, "max_poll_interval": 1.0, "refresh": 1.0}
    async with (
        Away(tmp_path / "logs.db") as store,
        collecting(store, services, within=math.inf, max_waiting=CAP, **options) as collector,
    ):
        await until_grown(lambda: collector.status.lines, len(SERVICES))

        store.is_away = True
        chatter.write(10)
        await until_grown(lambda: collector.status.waiting, CAP)
        await until(lambda: all(each.tail is None for each in collector.status.services))
        asked = log_requests()
        for attempt in range(0, ATTEMPTS, 10):
            await until(lambda: store.attempts >= attempt)  # noqa: B023 - awaited at once
            chatter.write(2)
            status = collector.status
            assert status.waiting == in_memory() == CAP
            assert "the store is away" in status.reasons[0]
        assert log_requests() == asked

        store.is_away = False
        await until_grown(lambda: collector.status.lines, len(SERVICES) * chatter.lines)
        assert most == CAP
        assert (await store.audit(thorough=True)).ok
        for service_id in SERVICES:
            found = [entry.message async for entry in store.read(service_id)]
            assert found == [f"line {number}" for number in range(chatter.lines)]
