"""What sends to a destination: of any kind, and whatever it raises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioservices.stores import SQLiteStore, Store, StoredEntry, StoreUnavailableError
from aioservices.stores.forward import ForwardWorker
from tests.servers.waiting import PATIENCE, until
from tests.stores.lines import Writer, lines

pytestmark = pytest.mark.anyio


class Leaking:
    """Waits for a task that somebody has cancelled."""

    def __init__(self) -> None:
        self.calls = 0

    async def send(self, lines: Sequence[StoredEntry]) -> None:
        self.calls += 1
        if self.calls < 3:
            task = asyncio.create_task(asyncio.sleep(3600))
            task.cancel()
            await task


async def test_a_cancellation_that_nobody_asked_for_is_a_failure_like_others(
    store: SQLiteStore,
) -> None:
    await (await Writer.on(store)).keep(lines(1, 5))
    forwarder = Leaking()
    worker = ForwardWorker(store, forwarder)
    await worker.forward_stored()
    assert (forwarder.calls, worker.status.sent) == (3, 5)


class Plain:
    def send(self, lines: Sequence[StoredEntry]) -> None: ...


@pytest.mark.parametrize("forwarder", [None, object(), Plain()])
async def test_what_is_no_forwarder_is_refused_at_once(store: SQLiteStore, forwarder: Any) -> None:
    with pytest.raises(TypeError, match="async method send"):
        ForwardWorker(store, forwarder)


# The end


class Watched(SQLiteStore):
    """A store that calls something before it notes what was sent."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.before_mark: Callable[[], Awaitable[object]] = anyio.lowlevel.checkpoint

    async def mark_forwarded(self, *arguments: Any, **options: Any) -> bool:
        await self.before_mark()
        return await super().mark_forwarded(*arguments, **options)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """Open a store with five lines."""
    async with Watched(tmp_path / "watched.db") as store:
        await (await Writer.on(store)).keep(lines(1, 5))
        yield store


class Gate:
    """A destination that accepts lines once it is allowed to, and counts them."""

    def __init__(self) -> None:
        self.opened = anyio.Event()
        self.asked = self.taken = 0

    async def send(self, lines: Sequence[StoredEntry]) -> None:
        self.asked += 1
        await self.opened.wait()
        self.taken += len(lines)


async def position(store: Store, forwarder: str = "Gate") -> int:
    """Return the positions of a forwarder in the store."""
    return sum(each.seq for each in await store.forward_positions(forwarder))


@pytest.mark.parametrize("unavailable", [0, 3])
async def test_what_a_destination_took_is_noted_also_where_it_is_cancelled_then(
    watched: Watched, unavailable: int
) -> None:
    forwarder = Gate()
    forwarder.opened.set()
    failures = iter(range(unavailable))
    async with anyio.create_task_group() as group:

        async def before_mark() -> None:
            if forwarder.taken:
                group.cancel_scope.cancel()
                await anyio.lowlevel.checkpoint()
                if next(failures, None) is not None:
                    raise StoreUnavailableError("cut")

        watched.before_mark = before_mark
        group.start_soon(ForwardWorker(watched, forwarder).run)
    assert (await position(watched), forwarder.taken) == (5, 5)


async def test_a_store_that_does_not_note_what_was_sent_does_not_hold_up_the_end(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.stores.forward.worker._MARK_SECONDS", 0.05)
    forwarder = Gate()
    forwarder.opened.set()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:

            async def before_mark() -> None:
                if forwarder.taken:
                    group.cancel_scope.cancel()
                    await anyio.sleep_forever()

            watched.before_mark = before_mark
            group.start_soon(ForwardWorker(watched, forwarder).run)
    assert await position(watched) == 0


async def test_one_that_is_to_end_finishes_what_is_being_sent(watched: Watched) -> None:
    forwarder = Gate()
    worker = ForwardWorker(watched, forwarder)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: forwarder.asked)
        worker.end()
        await anyio.wait_all_tasks_blocked()
        forwarder.opened.set()
    assert (await position(watched), forwarder.taken) == (5, 5)


async def test_one_that_is_to_end_does_not_wait_for_a_destination_that_fails(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.stores.forward.worker._DELAYS", (3600.0, 3600.0))

    class Failing:
        async def send(self, lines: Sequence[StoredEntry]) -> None:
            raise OSError("nobody is there")

    worker = ForwardWorker(watched, Failing())
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run)
            await until(lambda: worker.status.error)
            worker.end()


async def test_one_that_has_nothing_to_send_ends_at_once(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.stores.forward.worker._CHECK_SECONDS", 3600.0)
    worker = ForwardWorker(store, Gate())
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run)
            await anyio.wait_all_tasks_blocked()
            worker.end()
