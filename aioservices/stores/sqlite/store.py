"""The embedded store: one SQLite file, written by one process.

Theory of operation
-------------------
One thread owns the only writing connection, and one commit stores the waiting lines of all
services, which is what makes many quiet services fast. Readers have separate connections that
cannot write: before SQLite 3.51.3, two connections that write or checkpoint could damage the file.
A lock file keeps a second process out.

The newest lines of a service are rows of the table ``line``. When there are enough of them, the
oldest two thousand become one compressed block in the table ``block``, in a separate transaction;
a block has a quarter of the size of its rows. ``tail.sealed_seq`` separates the two.

A reader holds no transaction while its caller works. First it lists the blocks and the range of
rows (a `ReadPlan`), then it loads them one at a time. If rows have become a block meanwhile, they
are found in it by their numbers. Lines that were removed meanwhile are skipped.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import anyio

from aioservices.stores.errors import StoreError, StoreLockedError
from aioservices.stores.lock import OwnerLock
from aioservices.stores.models import (
    DaemonInfo,
    ForwardPosition,
    KeepResult,
    LeaseResult,
    PendingBatch,
    RejectedLines,
    RemovedLines,
    Retention,
    StoreAudit,
    StoredGap,
    StoredService,
)
from aioservices.stores.protocol import Store
from aioservices.stores.query import LineQuery
from aioservices.stores.record import StoredEntry, to_micros
from aioservices.validation import validate_int

from . import forwarding, reading
from .audit import audit
from .database import Database
from .requests import ResendRequest, pending_requests, post_request
from .retention import apply_retention
from .schema import check_header, check_usable, translated_errors
from .threads import ReaderThreads, WorkThreads

__all__ = ["SQLiteStore"]

log = logging.getLogger("aioservices.stores")

_REQUEST_SECONDS = 0.1  # between two checks whether a request is done


class SQLiteStore(Store):
    """Log lines in one SQLite file.

    An async context manager, which opens the file when it is entered, and creates it if needed.

    Parameters
    ----------
    path : str or Path
        The file. While it is open there are also ``-wal``, ``-shm`` and ``.lock`` files.
    read_only : bool, default False
        Only read: the file must exist, and may be in use by a collector.

    Raises
    ------
    StoreLockedError
        When entered, if another process collects into the file; the message names it.
    StoreCorruptError
        When entered, if the file was truncated or changed.
    StoreVersionError
        When entered, if the file is of a newer release.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self._path = Path(path)
        self._read_only = read_only
        self._lock = OwnerLock(self._path, "collect into it")
        self._database: Database | None = None
        self._writer = WorkThreads(1, "store-writer")
        self._readers = ReaderThreads(self._path)

    @property
    def url(self) -> str:
        """Its address for messages."""
        return f"sqlite:{self._path}"

    async def __aenter__(self) -> Self:
        if not self._read_only:
            await self._writer.run(self._open)
        else:
            await self._readers.check()
        return self

    async def aclose(self) -> None:
        """Wait until pending writes are done, and close the file."""
        with anyio.CancelScope(shield=True):
            await self._readers.aclose()
            await self._writer.aclose(self._close)

    def _open(self) -> None:
        with translated_errors(self._path):
            check_usable(self._path)
            if self._path.exists():
                check_header(
                    self._path
                )  # before a lock file is created next to a file that is not ours
            self._lock.acquire()
        try:
            # Set in this thread, so that it is closed even if the caller was cancelled.
            self._database = Database(self._path)
        except BaseException:
            self._lock.release()
            raise

    def _close(self) -> None:
        database, self._database = self._database, None
        try:
            if database is not None:
                database.close()
        finally:
            self._lock.release()

    @property
    def _open_database(self) -> Database:
        if self._database is None:
            state = "was opened read-only" if self._read_only else "is not open"
            raise StoreError(f"the store {self.url} {state}")
        return self._database

    # Storing

    async def lease(self, visible: Collection[int], held: Collection[int]) -> LeaseResult:
        """Lease all visible services, which have no other owner."""
        wanted = sorted(set(visible) - set(held))
        leases = await self._writer.run(self._open_database.lease, wanted) if wanted else []
        return LeaseResult(granted=tuple(leases), held=frozenset(held))

    async def keep(self, batches: Sequence[PendingBatch]) -> KeepResult:
        """Store lines and cursors of many services in one transaction."""
        database = self._open_database
        result = await self._writer.run(database.keep, batches)
        if database.has_sealable:
            self._writer.submit(self._seal, database)
        return result

    def _seal(self, database: Database) -> None:
        """Seal one block, and queue the next one behind the other work of the thread."""
        if database.has_sealable:
            database.try_to_seal()
        if database.has_sealable:
            self._writer.submit(self._seal, database)

    async def release(self, service_ids: Collection[int]) -> None:
        """Do nothing: there is no other reader."""

    async def heartbeat(self, daemon: DaemonInfo) -> dict[bytes, int]:
        """Return 1 for each key, as there is one owner; process the requests of others."""
        await self._writer.run(self._process_requests, self._open_database)
        return dict.fromkeys(daemon.key_ids, 1)

    def _check_owned(self) -> None:
        """Check that a process owns the file."""
        try:
            self._lock.acquire()
        except StoreLockedError:
            return
        self._lock.release()
        raise StoreError(f"no process collects into {self.url}: open it to write")

    def _process_requests(self, database: Database) -> None:
        with translated_errors(self._path):
            for posted, request in pending_requests(self._path):
                forwarding.resend(database, request.forwarder, request.since, request.rejected_only)
                posted.unlink(missing_ok=True)
                log.info("%s sends again, as requested", request.forwarder)

    @property
    def salt(self) -> bytes:
        """The salt with which API keys are hashed to distinguish them."""
        return self._open_database.salt

    async def retain(self, retention: Retention) -> RemovedLines:
        """Remove lines according to retention rules, and shrink the file."""
        return await self._writer.run(apply_retention, self._open_database, retention)

    # Reading

    async def _read(self, service_id: int, query: LineQuery) -> AsyncIterator[StoredEntry]:
        plan = await self._readers.run(reading.plan, service_id, query)

        async def load(line_range: reading.LineRange) -> list[StoredEntry]:
            rows = await self._readers.run(reading.load, self._path, service_id, line_range, query)
            entries = [row.entry(service_id, plan.service_name) for row in rows]
            return query.select(entries)

        if query.last is not None:
            for entry in await _last(plan.ranges, load, query.last):
                yield entry
            return
        ranges = sorted(plan.ranges, key=lambda line_range: line_range.first_at)
        waiting: list[StoredEntry] = []
        for number, line_range in enumerate(ranges):
            waiting = sorted(waiting + await load(line_range), key=_by_time)
            if number + 1 < len(ranges):
                # Lines that are older than all later ranges can be yielded.
                ready = bisect_left(waiting, ranges[number + 1].first_at, key=_micros)
            else:
                ready = len(waiting)
            for entry in waiting[:ready]:
                yield entry
            del waiting[:ready]

    async def read_after(self, service_id: int, seq: int, limit: int) -> list[StoredEntry]:
        """Read the lines that were stored after a line, in that order."""
        validate_int(service_id, "service_id")
        return await self._readers.run(reading.read_after, self._path, service_id, seq, limit)

    async def services(self) -> list[StoredService]:
        """List the services in the store."""
        return await self._readers.run(reading.services)

    async def gaps(self, service_id: int | None = None) -> list[StoredGap]:
        """List the recorded gaps."""
        return await self._readers.run(reading.gaps, service_id)

    async def audit(self, *, thorough: bool = False) -> StoreAudit:
        """Check that no line is missing, service by service."""
        return await self._readers.run(partial(audit, path=self._path, thorough=thorough))

    # Forwarding

    async def forward_positions(self, forwarder: str | None = None) -> list[ForwardPosition]:
        """Return the positions of forwarders."""
        return await self._readers.run(forwarding.forward_positions, forwarder)

    async def forward_note(self, forwarder: str, place: str) -> str | None:
        """Return the note that a forwarder stored with its last lines."""
        return await self._readers.run(forwarding.forward_note, forwarder, place)

    async def mark_forwarded(
        self,
        forwarder: str,
        moves: Mapping[int, tuple[int, int]],
        *,
        rejected: Sequence[RejectedLines] = (),
        place: str = "",
        note: str | None = None,
    ) -> bool:
        """Move positions, and store dead letters and the forwarder's note: all or nothing."""
        return await self._writer.run(
            forwarding.mark_forwarded,
            self._open_database,
            forwarder,
            moves,
            rejected,
            place,
            note,
        )

    async def rejected(self, forwarder: str | None = None) -> list[RejectedLines]:
        """List dead letters."""
        return await self._readers.run(forwarding.rejected, forwarder)

    async def resend(
        self, forwarder: str, *, since: dt.datetime | None = None, rejected_only: bool = False
    ) -> int:
        """Move a forwarder back; in a block, to its beginning.

        See `Store.resend`. If the store was opened read-only, the process that owns the file is
        asked to do it, and the result is -1.
        """
        micros = None if since is None else to_micros(since)
        if self._read_only:
            await asyncio.to_thread(self._check_owned)
            request = ResendRequest(forwarder=forwarder, since=micros, rejected_only=rejected_only)
            posted = await asyncio.to_thread(post_request, self._path, request)
            try:
                while posted.exists():  # noqa: ASYNC110 - another process removes it
                    await anyio.sleep(_REQUEST_SECONDS)
            finally:
                posted.unlink(missing_ok=True)
            return -1
        return await self._writer.run(
            forwarding.resend, self._open_database, forwarder, micros, rejected_only
        )


async def _last(
    ranges: Sequence[reading.LineRange],
    load: Callable[[reading.LineRange], Awaitable[list[StoredEntry]]],
    count: int,
) -> list[StoredEntry]:
    """Find the last lines, without reading more than necessary."""
    found: list[StoredEntry] = []
    for line_range in (
        sorted(ranges, key=lambda line_range: line_range.last_at, reverse=True) if count else ()
    ):
        if len(found) >= count and to_micros(found[-count].created_at) > line_range.last_at:
            break
        found = sorted(found + await load(line_range), key=_by_time)
    return found[-count:]


def _by_time(entry: StoredEntry) -> tuple[dt.datetime, int]:
    return entry.created_at, entry.seq


def _micros(entry: StoredEntry) -> int:
    return to_micros(entry.created_at)
