"""Lines and batches for the tests of stores."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import uuid4

from aioservices.api.models import TailedEntry
from aioservices.stores import KeepResult, Lease, PendingBatch, Store, StoredGap
from aioservices.tail import LogCursor

START = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)


def line(number: int, *, service_id: int = 1, **fields: object) -> TailedEntry:
    """Make a line; the number says when it was written, and what it says."""
    values: dict[str, object] = {
        "message": f"line {number}",
        "stream": "stdout",
        "source": "user",
        "created_at": START + dt.timedelta(milliseconds=number),
        "deployment_id": 10,
    }
    return TailedEntry(service_id=service_id, **(values | fields))  # type: ignore[arg-type]


def lines(first: int, last: int, *, service_id: int = 1) -> list[TailedEntry]:
    """Make the lines of some numbers, the last one included."""
    return [line(number, service_id=service_id) for number in range(first, last + 1)]


class Writer:
    """A collector that stands on a tail, as far as a store can tell."""

    def __init__(self, store: Store, lease: Lease, name: str | None = "web") -> None:
        self.store = store
        self.service_id = lease.service_id
        self.name = name
        self.base = lease.commit_id

    @classmethod
    async def on(cls, store: Store, service_id: int = 1, name: str | None = "web") -> Writer:
        """Lease a service."""
        result = await store.lease([service_id], [])
        return cls(store, result.granted[0], name)

    def batch(
        self, entries: Sequence[TailedEntry], gaps: tuple[StoredGap, ...] = ()
    ) -> PendingBatch:
        """Make a batch that is based on the last one that was kept."""
        return PendingBatch(
            service_id=self.service_id,
            service_name=self.name,
            base=self.base,
            commit_id=uuid4(),
            cursor=LogCursor(service_id=self.service_id, start_at=START),
            entries=entries,
            gaps=gaps,
        )

    async def keep(
        self, entries: Sequence[TailedEntry], gaps: tuple[StoredGap, ...] = ()
    ) -> KeepResult:
        """Keep lines, and stand behind them."""
        batch = self.batch(entries, gaps)
        result = await self.store.keep([batch])
        if self.service_id in result.kept:
            self.base = batch.commit_id
        return result


async def messages(store: Store, service_id: int = 1) -> list[str | None]:
    """Read the messages of a service that are stored."""
    return [entry.message async for entry in store.read(service_id)]
