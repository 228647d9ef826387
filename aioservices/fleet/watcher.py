"""The work behind a watch: which services, a tail for each, and whose turn it is."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from typing import Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup

from aioservices.api.matching import matches
from aioservices.api.models import ServiceSummary, TailedEntry
from aioservices.api.pagination import DEFAULT_PAGE_SIZE, Page, Paginator, read_page
from aioservices.api.states import StatusFilter
from aioservices.errors import SESSION_WIDE, ServicesError
from aioservices.http.retry import backoff_delays
from aioservices.tail import Batch, LogCursor, LogGap, LogTail
from aioservices.tail.fetcher import FetchService

from .discovery import ServiceIndex, ServiceSnapshot, SharedChecks
from .failure import as_services_error
from .merge import ReorderBuffer
from .session import Session
from .wait import without_repeating

__all__ = ["Sink", "Turn", "WatchOptions", "WatchedEntry", "Watcher", "validate_sink"]

log = logging.getLogger(__name__)

# How many lines of one service are passed on before the next one's turn ...
_TURN = 100
# ... and to a sink, for which fewer and larger writes are cheaper.
_SINK_TURN = 1000
_SINK_DELAYS = (0.5, 60.0)


class WatchedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of one of many logs.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    deployment_id : int
        Which deployment wrote it.
    entry : TailedEntry
    """

    service_id: int
    service_name: str | None
    deployment_id: int
    entry: TailedEntry


class Sink(Protocol):
    """Receives the lines of a watch before they are returned."""

    async def write(
        self, entries: Sequence[WatchedEntry], checkpoint: Mapping[int, LogCursor]
    ) -> None:
        """Store lines, with the cursors of the positions after them.

        If both are stored in one transaction, every line is stored exactly once. An
        exception means that nothing was stored: the same lines come again.

        Parameters
        ----------
        entries : sequence of WatchedEntry
            Lines of one service, in their order.
        checkpoint : mapping of int to LogCursor
            The position in each service's log after these lines.
        """
        ...


def validate_sink(sink: Sink | None) -> Sink | None:
    """Refuse an object that is not a sink."""
    if sink is not None and not callable(getattr(sink, "write", None)):
        raise TypeError(f"sink must have an async method write, and {type(sink).__name__} has none")
    return sink


class WatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a watch; see `Services.watch_logs`."""

    ids: tuple[int, ...] | None
    status: StatusFilter | None
    name: str | None
    sink: Sink | None
    refresh: float
    hold_back: float | None
    poll_interval: float


class Turn:
    """Some lines of one service, on their way to the caller."""

    def __init__(
        self,
        service_id: int,
        name: str | None,
        entries: Sequence[TailedEntry],
        batch: Batch | None,
    ) -> None:
        self.entries = entries
        self.over = anyio.Event()
        self.service_id = service_id
        self._name = name
        self._batch = batch  # None if a sink has the lines already
        self._given = 0

    def next(self) -> WatchedEntry:
        """Return the next line, and move the cursor behind it."""
        entry = self.entries[self._given]
        self._given += 1
        if self._batch is not None:
            self._batch.given += 1
        if self._given == len(self.entries):
            self.over.set()
        return self.watched(entry)

    def skip(self) -> int:
        """Drop all lines that are left, which a sink has already; returns their number."""
        left = len(self.entries) - self._given
        self._given = len(self.entries)
        self.over.set()
        return left

    def watched(self, entry: TailedEntry) -> WatchedEntry:
        """Add the service to a line."""
        return WatchedEntry(
            service_id=self.service_id,
            service_name=self._name,
            deployment_id=entry.deployment_id,
            entry=entry,
        )


class Watcher:
    """The work of a watch.

    Parameters
    ----------
    session : Session
        Finds the services.
    open_tail : callable
        Opens the tail of a service at a cursor, with the way to fetch that service.
    options : WatchOptions
    cursors : dict of int to LogCursor
        The position in each service's log.
    held : ReorderBuffer, optional
        Where the caller puts the turns to sort their lines.
    """

    def __init__(
        self,
        session: Session,
        open_tail: Callable[[int, LogCursor | None, FetchService], LogTail],
        options: WatchOptions,
        cursors: dict[int, LogCursor],
        held: ReorderBuffer[Turn] | None = None,
    ) -> None:
        self.tails: dict[int, LogTail] = {}
        self.failures: dict[int, ServicesError] = {}
        self._session = session.with_options(background=True)
        # The tails' checks of their services share pages of the listing.
        self._index = ServiceIndex(without_repeating(self._session))
        self._checks = SharedChecks(self._index, spacing=options.poll_interval / 2)
        self._open_tail = open_tail
        self._options = options
        self._cursors = cursors  # of services that are not read now; with a sink, of all
        self._names: dict[int, str | None] = {}
        self._malformed: set[str] = set()  # entries of the listing already reported
        self._held = held
        self._capacity: dict[
            int, anyio.Event
        ] = {}  # events for logs with too many lines in the buffer
        self._sink_turn = anyio.Lock()
        self._broken = anyio.Event()
        self._failure: ServicesError | None = None

    def checkpoint(self) -> dict[int, LogCursor]:
        """The position in each service's log."""
        if self._options.sink is not None:
            return dict(self._cursors)
        return self._cursors | {each: tail.cursor for each, tail in self.tails.items()}

    def latest_time(self, service_id: int) -> dt.datetime:
        """The latest possible time by the server's clock, or the time by ours."""
        tail = self.tails.get(service_id)
        server_time = None if tail is None else tail.server_time
        return server_time or dt.datetime.now(dt.UTC)

    def release_line(self, service_id: int) -> None:
        """Record that a line of a service is no longer held."""
        if capacity := self._capacity.pop(service_id, None):
            capacity.set()

    async def run(self, send: Callable[[Turn], Awaitable[None]]) -> None:
        """Watch until cancelled, or until no service can be watched any more."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._checks.run)
            while not self._broken.is_set():
                try:
                    self._update(group, await self._find(), send)
                except SESSION_WIDE as exc:
                    self._fail(exc)
                except Exception as exc:  # the other logs continue
                    log.warning("the services could not be listed: %s", as_services_error(exc))
                with anyio.move_on_after(self._options.refresh):
                    await self._broken.wait()
            group.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    # Which services

    async def _find(self) -> set[int]:
        """Find the services to watch."""
        ids, pattern = self._options.ids, self._options.name
        if ids is None:
            found = await self._list()
        else:
            found = set(ids)
            await self._learn_names(found - self._names.keys())
        if pattern is None:
            return found
        return {each for each in found if matches(self._names.get(each), pattern)}

    async def _list(self) -> set[int]:
        """List the services; a malformed entry does not affect others."""
        failures: dict[int, ServicesError] = {}

        async def fetch(number: int) -> Page[ServiceSummary]:
            response = await self._session.raw.list(
                status=self._options.status,
                order="created_at",
                order_dir="asc",
                limit=DEFAULT_PAGE_SIZE,
                page_num=number,
            )
            page = read_page(response, ServiceSummary)
            for each in page.malformed:
                self._report_malformed(str(each))
                if each.item_id is not None:
                    failures[each.item_id] = ServicesError(str(each))
            return Page(page.items, page.total_pages, total_entries=page.total_entries)

        async def one() -> list[ServiceSummary]:
            return (await fetch(1)).items

        found: set[int] = set()
        async for service in Paginator(one, fetch, key=attrgetter("id")):
            found.add(service.id)
            self._names[service.id] = service.name
        # One that is being read continues: its log may be fine although its entry is not.
        found |= failures.keys() & self.tails.keys()
        for each in self.failures.keys() - found - failures.keys():
            del self.failures[each]
        self.failures.update((each, error) for each, error in failures.items() if each not in found)
        return found

    async def _learn_names(self, ids: set[int]) -> None:
        def found(service_id: int, snapshot: ServiceSnapshot | ServicesError) -> None:
            if not isinstance(snapshot, ServicesError):
                self._names[service_id] = snapshot.name

        await self._index.fetch(ids, found)

    def _report_malformed(self, text: str) -> None:
        if text not in self._malformed:
            self._malformed.add(text)
            log.warning("%s", text)

    def _update(
        self, group: TaskGroup, found: set[int], send: Callable[[Turn], Awaitable[None]]
    ) -> None:
        """Read the logs of the services found, and finish those of services no longer found."""
        for service_id, tail in self.tails.items():
            if service_id in found:
                tail.keep_following()
            else:
                tail.finish()
        for service_id in found:
            if service_id not in self.tails:
                self._begin(group, service_id, send)

    # One service

    def _begin(
        self, group: TaskGroup, service_id: int, send: Callable[[Turn], Awaitable[None]]
    ) -> None:
        cursor = self._cursors.get(service_id)
        self.tails[service_id] = self._open_tail(service_id, cursor, self._shared_fetch(service_id))
        if self._held is not None:
            self._held.open(service_id, time.monotonic())
        group.start_soon(self._read, service_id, send)

    def _shared_fetch(self, service_id: int) -> FetchService:
        """Make the function with which a tail fetches its service.

        A recent answer for another tail will do, if it is younger than half the time since this
        tail's last check. So a tail that checks often still sees changes early, and one that checks
        rarely costs almost nothing.
        """
        last_check = math.inf

        async def fetch() -> ServiceSnapshot:
            nonlocal last_check
            now = anyio.current_time()
            max_age, last_check = max(0.0, now - last_check) / 2, now
            check = await self._checks.check(service_id, due=now, max_age=max_age)
            if isinstance(check.snapshot, ServicesError):
                raise check.snapshot
            return check.snapshot

        return fetch

    async def _read(self, service_id: int, send: Callable[[Turn], Awaitable[None]]) -> None:
        tail = self.tails[service_id]
        self.failures.pop(service_id, None)
        turns: deque[Turn] = deque()  # that are under way
        try:
            await self._follow(service_id, tail, send, turns)
            for turn in turns:  # when it is watched again, the cursor must be behind its lines
                await turn.over.wait()
        finally:
            if self._options.sink is None:
                self._cursors[service_id] = tail.cursor
            if self._held is not None:
                self._held.close(service_id)
            del self.tails[service_id]

    async def _follow(
        self,
        service_id: int,
        tail: LogTail,
        send: Callable[[Turn], Awaitable[None]],
        turns: deque[Turn],
    ) -> None:
        """Pass on the lines of a service until its tail ends."""
        try:
            async with tail:
                while True:
                    try:
                        batch = await tail.take()
                    except StopAsyncIteration:
                        return
                    except LogGap:
                        continue  # warnings are errors here; the tail's status has it
                    await self._pass_on(service_id, tail, batch, send, turns)
        except SESSION_WIDE as exc:
            self._fail(exc)  # it would be the same for every other log
        except Exception as exc:  # it affects only this log
            self.failures[service_id] = error = as_services_error(exc)
            log.warning("the log of service %d is not watched for now: %s", service_id, error)

    async def _pass_on(
        self,
        service_id: int,
        tail: LogTail,
        batch: Batch,
        send: Callable[[Turn], Awaitable[None]],
        turns: deque[Turn],
    ) -> None:
        """Pass lines on, some at a time, whenever it is the service's turn."""
        sink, name, lines = self._options.sink, self._names.get(service_id), batch.rest
        step = _TURN if sink is None else _SINK_TURN
        for first in range(0, len(lines), step):
            some = lines[first : first + step]
            turn = Turn(service_id, name, some, batch if sink is None else None)
            if sink is not None:
                batch.given += len(some)
                await self._write(sink, service_id, turn, tail.cursor)
            turns.append(turn)
            await send(turn)
            if self._held is None:
                await turn.over.wait()
            else:  # held-back lines must not hold up later ones, up to a limit
                await self._wait_for_capacity(service_id, self._held)
            while turns and turns[0].over.is_set():
                turns.popleft()

    async def _write(self, sink: Sink, service_id: int, turn: Turn, cursor: LogCursor) -> None:
        """Let a sink store lines, and repeat that until it succeeds."""
        entries = [turn.watched(entry) for entry in turn.entries]
        delays = backoff_delays(*_SINK_DELAYS)
        while True:
            async with (
                self._sink_turn
            ):  # released while waiting, so that lines of other services are written
                error = await _error_of(sink.write(entries, {service_id: cursor}))
            if error is None:
                self._cursors[service_id] = cursor
                return
            delay = next(delays)
            log.warning(
                "the sink refused %d lines of service %d (%s: %s); trying again in %.1f s",
                len(entries),
                service_id,
                type(error).__name__,
                error,
                delay,
            )
            await anyio.sleep(delay)

    async def _wait_for_capacity(self, service_id: int, held: ReorderBuffer[Turn]) -> None:
        while held.is_full(service_id):
            capacity = self._capacity[service_id] = anyio.Event()
            await capacity.wait()

    def _fail(self, error: ServicesError) -> None:
        if self._failure is None:
            self._failure = error
        self._broken.set()


async def _error_of(writing: Awaitable[None]) -> BaseException | None:
    """Wait until a sink has written, and return the error that it raised, if any."""
    try:
        await writing
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return exc  # it is not this task that was cancelled, but one that the sink waited for
    except Exception as exc:
        return exc
    return None
