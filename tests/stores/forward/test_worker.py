"""What sends to a destination: of any kind, and whatever it raises."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from aioservices.stores import SQLiteStore, StoredEntry
from aioservices.stores.forward import ForwardWorker
from tests.stores.lines import Writer, lines

pytestmark = pytest.mark.anyio


class Leaking:
    """Waits for a task of its own that somebody has cancelled."""

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
