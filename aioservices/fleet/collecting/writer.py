"""Lines of many tails on their way into a store, a commit for all of them at a time.

Theory of operation
-------------------
Each tail puts its lines into a `Slot`; the writer takes what has come since its last commit, makes
one batch for each tail, and keeps them in one transaction. While the store does not answer, the
very same batches are offered again and again, with the same commit ids: that is what makes the
repetition harmless. What comes meanwhile waits behind them.

The cursor of a batch is asked for when the batch is made. A tail's cursor stands behind the last
line that it gave, and every line is added in the step that gives it, with nothing awaited in
between: so the cursor stands behind the lines of the batch, and not one further.

There is one cap for the waiting lines of all tails. When it is reached, or the store has not
answered for a while, the tails are closed, with all that they hold in memory; when there is room
they are opened again at their cursors.
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

_DELAYS = (0.25, 30.0)  # between attempts of a commit
_LINES_AT_ONCE = 20_000  # of a commit, about
_PATIENCE = 20.0  # seconds without a commit, after which nothing more is fetched
_ROOM = 0.5  # the share of the cap below which fetching goes on


class Slot:
    """The lines of one tail that wait to be kept.

    Parameters
    ----------
    lease : Lease
    name : str or None
        What the service is called.
    on_fenced : callable
        Is called when the tail turns out to be somebody else's.
    """

    def __init__(self, lease: Lease, name: str | None, on_fenced: Callable[[], None]) -> None:
        self.service_id = lease.service_id
        self.name = name
        self.base: UUID = lease.commit_id
        self.lines = 0  # kept through this slot
        self.entries: list[TailedEntry] = []
        self.gaps: list[StoredGap] = []
        self.is_closed = False
        self.cursor: Callable[[], LogCursor] | None = None
        self.on_fenced = on_fenced

    @property
    def has_pending(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.entries or self.gaps) and not self.is_closed


class StoreWriter:
    """Keeps the lines of all tails.

    Parameters
    ----------
    store : Store
    max_waiting : int
        The cap on waiting lines.
    interval : float
        Seconds between commits, while lines come.
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
        self.error: str | None = None  # why the store does not commit at present
        self.on_kept: list[Callable[[], None]] = []
        self.on_full: Callable[[], None] = lambda: None
        self._store = store
        self._max_waiting = max_waiting
        self._interval = interval
        self._clock = clock
        self._slots: dict[int, Slot] = {}
        self._in_flight: dict[int, Slot] = {}
        self._news = anyio.Event()
        self._room = anyio.Event()
        self._room.set()
        self._idle = anyio.Event()
        self._hurry = anyio.Event()  # somebody waits for the next commit
        self._streams: list[Callable[[Sequence[StoredEntry]], None]] = []
        self._ending = False

    # For the tails

    def open(self, lease: Lease, name: str | None, on_fenced: Callable[[], None]) -> Slot:
        """Make a slot for the tail of a lease."""
        slot = Slot(lease, name, on_fenced)
        self._slots[lease.service_id] = slot
        return slot

    def close(self, slot: Slot) -> None:
        """Forget what waits in a slot. What is being kept at this moment may be kept."""
        self._forget(slot)
        if self._slots.get(slot.service_id) is slot:
            del self._slots[slot.service_id]

    def add(self, slot: Slot, entries: Sequence[TailedEntry]) -> None:
        """Have lines kept that the tail has just given."""
        if slot.is_closed:
            return
        slot.entries += entries
        self.waiting += len(entries)
        self._news.set()
        if self.waiting >= _LINES_AT_ONCE:
            self._hurry.set()
        if self.waiting >= self._max_waiting:
            self._stop_fetching()

    def add_gap(self, slot: Slot, gap: StoredGap) -> None:
        """Have a gap noted."""
        if not slot.is_closed:
            slot.gaps.append(gap)
            self._news.set()

    @property
    def room(self) -> int:
        """How many lines more may wait."""
        return max(0, self._max_waiting - self.waiting) if self._room.is_set() else 0

    async def wait_for_room(self) -> None:
        """Wait until logs may be read."""
        while not self._room.is_set():
            await self._room.wait()

    async def flush(self, slot: Slot) -> None:
        """Wait until nothing of a slot waits any more."""
        while slot.has_pending or self._in_flight.get(slot.service_id) is slot:
            self._hurry.set()
            self._idle = self._idle if not self._idle.is_set() else anyio.Event()
            await self._idle.wait()

    def end(self) -> None:
        """Have `run` return once nothing waits any more."""
        self._ending = True
        self._hurry.set()
        self._news.set()

    @contextmanager
    def stream(self, receive: Callable[[Sequence[StoredEntry]], None]) -> Generator[None]:
        """Give what is kept to a callable as well, inside the block."""
        self._streams.append(receive)
        try:
            yield
        finally:
            self._streams.remove(receive)

    # Keeping

    async def run(self) -> None:
        """Store what arrives until it is ended, or until the store fails for good.

        Raises
        ------
        StoreError
            If waiting does not help.
        """
        while True:
            if not any(slot.has_pending for slot in self._slots.values()):
                if self._ending:
                    return
                self._news = anyio.Event()
                await self._news.wait()
                continue
            began = self._clock()
            await self._commit()
            if not self._ending and self.waiting < _LINES_AT_ONCE:
                self._hurry = anyio.Event()
                with anyio.move_on_after(began + self._interval - self._clock()):
                    await self._hurry.wait()

    async def _commit(self) -> None:
        """Keep one batch of each tail that has lines, as many as are good to keep at once."""
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
            # Behind the others at the next commit: each tail has its turn.
            self._slots[service_id] = self._slots.pop(service_id)
            lines += len(batches[service_id].entries)
            if lines >= _LINES_AT_ONCE:
                break
        if not batches:
            self._news = anyio.Event()
            await self._news.wait()
            return
        try:
            result = await self._keep([*batches.values()])
            self._record_result(batches, result)
        finally:
            self._in_flight.clear()
            self._idle.set()
            self.waiting -= lines
        self._go_on_fetching()

    async def _keep(self, batches: Sequence[PendingBatch]) -> KeepResult:
        """Offer batches to the store until it says whether it stored them."""
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
                if self._clock() - failing_since > _PATIENCE:
                    self._stop_fetching()
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
                    "its log is read again from where the store stands",
                    service_id,
                )
                self._forget(slot)
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
                self._show(batch, result.kept[service_id])
        for notify in self.on_kept:
            notify()

    def _show(self, batch: PendingBatch, seq: int) -> None:
        now = to_micros(dt.datetime.now(dt.UTC))
        rows = rows_of(batch.entries, seq - len(batch.entries), now)
        entries = [row.entry(batch.service_id, batch.service_name) for row in rows]
        for receive in self._streams:
            receive(entries)

    def _forget(self, slot: Slot) -> None:
        if not slot.is_closed:
            self.waiting -= len(slot.entries)
            slot.entries, slot.gaps = [], []
            slot.is_closed = True
            self._idle.set()
            self._go_on_fetching()

    def _stop_fetching(self) -> None:
        if self._room.is_set():
            log.warning("no more logs are read until the store has accepted the lines that wait")
            self._room = anyio.Event()
            self.on_full()

    def _go_on_fetching(self) -> None:
        has_room = self.waiting <= self._max_waiting * _ROOM
        if has_room and self.error is None and not self._room.is_set():
            self._room.set()
