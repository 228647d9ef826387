"""Writes the lines of many tails into a store, with one commit for all of them at a time.

Theory of operation
-------------------
Each tail puts its lines into a `Slot`. The writer takes the lines that have arrived since its last
commit, makes one batch per tail, and stores all batches in one transaction. While the store does
not respond, the same batches are submitted repeatedly, with the same commit ids, which makes the
repetition harmless. Lines that arrive meanwhile wait for the next commit.

The cursor of a batch is read when the batch is made. A tail's cursor is behind the last line that
it delivered, and a line is added in the same step that delivers it, without an await in between. So
the cursor is exactly behind the lines of the batch.

The waiting lines of all tails share one limit. When it is reached, or the store has not responded
for a while, the tails are closed and release their memory. When there is capacity again, they are
opened at their cursors.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from uuid import UUID, uuid4

import anyio

from aioservices.api.models import TailedEntry
from aioservices.http.retry import backoff_delays
from aioservices.stores import (
    KeepResult,
    Lease,
    PendingBatch,
    Store,
    StoredEntry,
    StoredGap,
    StoreUnavailableError,
)
from aioservices.stores.record import rows_of, to_micros
from aioservices.tail import LogCursor

from .status import CommitTimes

__all__ = ["Slot", "StoreWriter"]

log = logging.getLogger("aioservices.collect")

_DELAYS = (0.25, 30.0)  # seconds between attempts of a commit, at first and at most
_LINES_AT_ONCE = 20_000  # in one commit, roughly
_PAUSE_AFTER = 20.0  # seconds without a commit until reading pauses
_RESUME_BELOW = 0.5  # the part of the limit below which reading resumes


class Slot:
    """The lines of one tail that wait to be stored.

    Parameters
    ----------
    lease : Lease
    name : str or None
        The name of the service.
    on_fenced : callable
        Called when another collector turns out to own the tail.
    """

    def __init__(self, lease: Lease, name: str | None, on_fenced: Callable[[], None]) -> None:
        self.service_id = lease.service_id
        self.name = name
        self.base: UUID = lease.commit_id
        self.lines = 0  # stored through this slot
        self.entries: list[TailedEntry] = []
        self.gaps: list[StoredGap] = []
        self.is_closed = False
        self.cursor: Callable[[], LogCursor] | None = None
        self.on_fenced = on_fenced

    @property
    def has_pending(self) -> bool:
        """Whether there is anything to store."""
        return bool(self.entries or self.gaps) and not self.is_closed


class StoreWriter:
    """Stores the lines of all tails.

    Parameters
    ----------
    store : Store
    max_waiting : int
        The limit on waiting lines.
    interval : float
        Seconds between commits while lines arrive.
    clock : callable, default anyio.current_time
    """

    def __init__(
        self,
        store: Store,
        *,
        max_waiting: int,
        interval: float,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self.waiting = 0
        self.lines = 0
        self.bytes = 0
        self.fenced = 0
        self.commits = {"kept": 0, "failed": 0}
        self.commit_seconds = CommitTimes()
        self.error: str | None = None  # why the store does not commit now
        self.on_kept: list[Callable[[], None]] = []
        self.on_full: Callable[[], None] = lambda: None
        self._store = store
        self._max_waiting = max_waiting
        self._interval = interval
        self._clock = clock
        self._slots: dict[int, Slot] = {}
        self._in_flight: dict[int, Slot] = {}
        self._has_work = anyio.Event()
        self._has_capacity = anyio.Event()
        self._has_capacity.set()
        self._idle = anyio.Event()
        self._commit_now = anyio.Event()  # the next commit is due at once
        self._streams: list[Callable[[Sequence[StoredEntry]], None]] = []
        self._ending = False

    # For the tails

    def open(self, lease: Lease, name: str | None, on_fenced: Callable[[], None]) -> Slot:
        """Open a slot for the tail of a lease."""
        slot = Slot(lease, name, on_fenced)
        self._slots[lease.service_id] = slot
        return slot

    def close(self, slot: Slot) -> None:
        """Discard the waiting lines of a slot. A commit in progress may still store its lines."""
        self._discard(slot)
        if self._slots.get(slot.service_id) is slot:
            del self._slots[slot.service_id]

    def add(self, slot: Slot, entries: Sequence[TailedEntry]) -> None:
        """Queue lines that the tail has just delivered."""
        if slot.is_closed:
            return
        slot.entries += entries
        self.waiting += len(entries)
        self._has_work.set()
        if self.waiting >= _LINES_AT_ONCE:
            self._commit_now.set()
        if self.waiting >= self._max_waiting:
            self._pause_reading()

    def add_gap(self, slot: Slot, gap: StoredGap) -> None:
        """Queue a gap."""
        if not slot.is_closed:
            slot.gaps.append(gap)
            self._has_work.set()

    @property
    def capacity(self) -> int:
        """How many more lines may wait."""
        return max(0, self._max_waiting - self.waiting) if self._has_capacity.is_set() else 0

    async def wait_for_capacity(self) -> None:
        """Wait until reading is not paused."""
        while not self._has_capacity.is_set():
            await self._has_capacity.wait()

    async def flush(self, slot: Slot) -> None:
        """Wait until all lines of a slot are stored."""
        while slot.has_pending or self._in_flight.get(slot.service_id) is slot:
            self._commit_now.set()
            self._idle = self._idle if not self._idle.is_set() else anyio.Event()
            await self._idle.wait()

    def end(self) -> None:
        """Let `run` return once everything is stored."""
        self._ending = True
        self._commit_now.set()
        self._has_work.set()

    @contextmanager
    def stream(self, receive: Callable[[Sequence[StoredEntry]], None]) -> Generator[None]:
        """Also pass the stored lines to a callable, inside the block."""
        self._streams.append(receive)
        try:
            yield
        finally:
            self._streams.remove(receive)

    # Storing

    async def run(self) -> None:
        """Store what arrives until `end`, or until the store fails permanently.

        Raises
        ------
        StoreError
            If waiting does not help.
        """
        while True:
            if not any(slot.has_pending for slot in self._slots.values()):
                if self._ending:
                    return
                self._has_work = anyio.Event()
                await self._has_work.wait()
                continue
            began = self._clock()
            await self._commit()
            if not self._ending and self.waiting < _LINES_AT_ONCE:
                self._commit_now = anyio.Event()
                with anyio.move_on_after(began + self._interval - self._clock()):
                    await self._commit_now.wait()

    async def _commit(self) -> None:
        """Store one batch for each tail that has lines, up to about the lines of one commit."""
        batches: dict[int, PendingBatch] = {}
        lines = 0
        for service_id, slot in [*self._slots.items()]:
            if not slot.has_pending or slot.cursor is None:
                continue
            batches[service_id] = PendingBatch(
                service_id=service_id,
                service_name=slot.name,
                base=slot.base,
                commit_id=uuid4(),
                cursor=slot.cursor(),
                entries=slot.entries,
                gaps=tuple(slot.gaps),
            )
            self._in_flight[service_id] = slot
            slot.entries, slot.gaps = [], []
            # Last in the next commit, so that the tails take turns.
            self._slots[service_id] = self._slots.pop(service_id)
            lines += len(batches[service_id].entries)
            if lines >= _LINES_AT_ONCE:
                break
        if not batches:
            self._has_work = anyio.Event()
            await self._has_work.wait()
            return
        try:
            result = await self._keep([*batches.values()])
            self._record_result(batches, result)
        finally:
            self._in_flight.clear()
            self._idle.set()
            self.waiting -= lines
        self._resume_reading()

    async def _keep(self, batches: Sequence[PendingBatch]) -> KeepResult:
        """Submit batches until the store responds whether it stored them."""
        delays = backoff_delays(*_DELAYS)
        failing_since: float | None = None
        while True:
            began = self._clock()
            try:
                result = await self._store.keep(batches)
            except StoreUnavailableError as exc:
                self.commits["failed"] += 1
                if self.error is None:
                    log.warning("the store does not accept lines now: %s", exc)
                self.error = str(exc)
                failing_since = began if failing_since is None else failing_since
                if self._clock() - failing_since > _PAUSE_AFTER:
                    self._pause_reading()
                await anyio.sleep(next(delays))
            else:
                if self.error is not None:
                    log.info("the store accepts lines again")
                self.error = None
                self.commits["kept"] += 1
                self.commit_seconds = self.commit_seconds.add(self._clock() - began)
                return result

    def _record_result(self, batches: dict[int, PendingBatch], result: KeepResult) -> None:
        for service_id, batch in batches.items():
            slot = self._in_flight[service_id]
            if service_id in result.fenced:
                self.fenced += 1
                log.warning(
                    "service %d is read by another collector, or the store has forgotten a commit: "
                    "its log is read again from the cursor in the store",
                    service_id,
                )
                self._discard(slot)
                slot.on_fenced()
                continue
            slot.base = batch.commit_id
            slot.lines += len(batch.entries)
            self.lines += len(batch.entries)
            self.bytes += sum(
                len(message) if message.isascii() else len(message.encode("utf-8", "replace"))
                for message in (entry.message or "" for entry in batch.entries)
            )
            if self._streams and batch.entries:
                self._publish(batch, result.kept[service_id])
        for notify in self.on_kept:
            notify()

    def _publish(self, batch: PendingBatch, seq: int) -> None:
        now = to_micros(dt.datetime.now(dt.UTC))
        rows = rows_of(batch.entries, seq - len(batch.entries), now)
        entries = [row.entry(batch.service_id, batch.service_name) for row in rows]
        for receive in self._streams:
            receive(entries)

    def _discard(self, slot: Slot) -> None:
        if not slot.is_closed:
            self.waiting -= len(slot.entries)
            slot.entries, slot.gaps = [], []
            slot.is_closed = True
            self._idle.set()
            self._resume_reading()

    def _pause_reading(self) -> None:
        if self._has_capacity.is_set():
            log.warning("reading pauses until the store has accepted the waiting lines")
            self._has_capacity = anyio.Event()
            self.on_full()

    def _resume_reading(self) -> None:
        is_enough = self.waiting <= self._max_waiting * _RESUME_BELOW
        if is_enough and self.error is None and not self._has_capacity.is_set():
            self._has_capacity.set()
