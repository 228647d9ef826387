"""The work behind a watch: which services, a tail for each, and whose turn it is."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup

from aioservices.api.matching import matches
from aioservices.api.models import TailedEntry
from aioservices.errors import (
    AuthenticationError,
    RequestError,
    ServicesError,
    SessionClosedError,
)
from aioservices.http.retry import backoff_delays
from aioservices.tail import Batch, LogCursor, LogGap, LogTail

from .discovery import ServiceIndex, ServiceSnapshot
from .merge import HoldBack
from .session import Session

__all__ = ["Sink", "Turn", "WatchOptions", "WatchedEntry", "Watcher"]

log = logging.getLogger(__name__)

# How many lines of one service are handed on before it is another one's turn ...
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
    """Where a watch puts its lines before it yields them."""

    async def write(
        self, entries: Sequence[WatchedEntry], checkpoint: Mapping[int, LogCursor]
    ) -> None:
        """Keep lines, and the cursors that stand behind them.

        Who keeps both in one transaction sees every line exactly once. An
        exception means that nothing was kept: the same lines come again.

        Parameters
        ----------
        entries : sequence of WatchedEntry
            Lines of one service, in their order.
        checkpoint : mapping of int to LogCursor
            By service where its log stands behind these lines.
        """
        ...


class WatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch was asked for; see `Services.watch_logs`."""

    ids: tuple[int, ...] | None
    status: str | None
    name: str | None
    sink: Sink | None
    refresh: float
    hold_back: float | None
    linger: float


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
        self._batch = batch  # None where a sink has the lines already
        self._given = 0

    def next(self) -> WatchedEntry:
        """Give the next line, and have the cursor stand behind it."""
        entry = self.entries[self._given]
        self._given += 1
        if self._batch is not None:
            self._batch.give(1)
        if self._given == len(self.entries):
            self.over.set()
        return self.watched(entry)

    def watched(self, entry: TailedEntry) -> WatchedEntry:
        """Say whose line it is."""
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
        Opens the tail of a service at a cursor.
    options : WatchOptions
    cursors : dict of int to LogCursor
        By service where to go on.
    held : HoldBack, optional
        Where the caller puts the turns to give their lines in order.
    """

    def __init__(
        self,
        session: Session,
        open_tail: Callable[[int, LogCursor | None], LogTail],
        options: WatchOptions,
        cursors: dict[int, LogCursor],
        held: HoldBack[Turn] | None = None,
    ) -> None:
        self.tails: dict[int, LogTail] = {}
        self.failures: dict[int, ServicesError] = {}
        self._session = session.with_options(background=True)
        self._index = ServiceIndex(session)
        self._open_tail = open_tail
        self._options = options
        self._cursors = cursors  # of services that are not read now; with a sink, of all
        self._names: dict[int, str | None] = {}
        self._missed: dict[int, float] = {}  # since when a service was not found any more
        self._held = held
        self._room: dict[int, anyio.Event] = {}  # for logs of which too much is held
        self._sink_turn = anyio.Lock()
        self._broken = anyio.Event()
        self._failure: ServicesError | None = None

    def checkpoint(self) -> dict[int, LogCursor]:
        """By service where its log stands."""
        if self._options.sink is not None:
            return dict(self._cursors)
        return self._cursors | {each: tail.cursor for each, tail in self.tails.items()}

    def make_room(self, service_id: int) -> None:
        """Note that a line of a service is not held any more."""
        if room := self._room.pop(service_id, None):
            room.set()

    async def run(self, send: Callable[[Turn], Awaitable[None]]) -> None:
        """Watch until cancelled, or until no service can be watched any more."""
        async with anyio.create_task_group() as group:
            while not self._broken.is_set():
                try:
                    found = await self._find()
                except (AuthenticationError, SessionClosedError) as exc:
                    self._break(exc)
                except RequestError as exc:
                    log.warning("the services could not be listed: %s", exc)
                else:
                    self._stop_missing(group, found)
                    for service_id in found:
                        if service_id not in self.tails:
                            self._begin(group, service_id, send)
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
            listed = [each async for each in self._session.list(status=self._options.status)]
            self._names |= {service.id: service.name for service in listed}
            found = {service.id for service in listed}
        else:
            found = set(ids)
            await self._learn_names(found - self._names.keys())
        if pattern is None:
            return found
        return {each for each in found if matches(self._names.get(each), pattern)}

    async def _learn_names(self, ids: set[int]) -> None:
        def found(service_id: int, snapshot: ServiceSnapshot | ServicesError) -> None:
            if not isinstance(snapshot, ServicesError):
                self._names[service_id] = snapshot.name

        await self._index.fetch(ids, found)

    def _stop_missing(self, group: TaskGroup, found: set[int]) -> None:
        """Stop reading what is not to be watched any more, once its last lines are there."""
        now = time.monotonic()
        for service_id in found:
            self._missed.pop(service_id, None)
        for service_id in self.tails.keys() - found:
            since = self._missed.setdefault(service_id, now)
            if now - since >= self._options.linger:
                group.start_soon(self.tails[service_id].aclose)

    # One service

    def _begin(
        self, group: TaskGroup, service_id: int, send: Callable[[Turn], Awaitable[None]]
    ) -> None:
        self.tails[service_id] = self._open_tail(service_id, self._cursors.get(service_id))
        if self._held is not None:
            self._held.open(service_id, time.monotonic())
        group.start_soon(self._read, service_id, send)

    async def _read(self, service_id: int, send: Callable[[Turn], Awaitable[None]]) -> None:
        tail = self.tails[service_id]
        self.failures.pop(service_id, None)
        turns: deque[Turn] = deque()  # that are under way
        try:
            await self._follow(service_id, tail, send, turns)
            for turn in turns:  # when it is taken up again, the cursor must be behind its lines
                await turn.over.wait()
        finally:
            if self._options.sink is None:
                self._cursors[service_id] = tail.cursor
            if self._held is not None:
                self._held.close(service_id)
            del self.tails[service_id]
            self._missed.pop(service_id, None)

    async def _follow(
        self,
        service_id: int,
        tail: LogTail,
        send: Callable[[Turn], Awaitable[None]],
        turns: deque[Turn],
    ) -> None:
        """Hand on the lines of a service until there will be none."""
        try:
            async with tail:
                while True:
                    try:
                        batch = await tail.take()
                    except StopAsyncIteration:
                        return
                    except LogGap:
                        continue  # where warnings are errors; the tail's status has it
                    await self._hand_on(service_id, tail, batch, send, turns)
        except (AuthenticationError, SessionClosedError) as exc:
            self._break(exc)  # no other log will fare better
        except ServicesError as exc:
            self.failures[service_id] = exc
            log.warning("the log of service %d is not watched for now: %s", service_id, exc)

    async def _hand_on(
        self,
        service_id: int,
        tail: LogTail,
        batch: Batch,
        send: Callable[[Turn], Awaitable[None]],
        turns: deque[Turn],
    ) -> None:
        """Hand lines on, some at a time, each when it is the service's turn."""
        sink, name, lines = self._options.sink, self._names.get(service_id), batch.rest
        step = _TURN if sink is None else _SINK_TURN
        for first in range(0, len(lines), step):
            some = lines[first : first + step]
            turn = Turn(service_id, name, some, batch if sink is None else None)
            if sink is not None:
                batch.give(len(some))
                await self._write(sink, service_id, turn, tail.cursor)
            turns.append(turn)
            await send(turn)
            if self._held is None:
                await turn.over.wait()
            else:  # what is held back must not hold up what comes behind it, up to a bound
                await self._wait_for_room(service_id, self._held)
            while turns and turns[0].over.is_set():
                turns.popleft()

    async def _write(self, sink: Sink, service_id: int, turn: Turn, cursor: LogCursor) -> None:
        """Have a sink keep lines, however often it refuses them."""
        entries = [turn.watched(entry) for entry in turn.entries]
        delays = backoff_delays(*_SINK_DELAYS)
        while True:
            try:
                async with self._sink_turn:  # not while it waits: the others may be taken
                    await sink.write(entries, {service_id: cursor})
            except Exception as exc:
                delay = next(delays)
                log.warning(
                    "the sink refused %d lines of service %d (%s: %s); trying again in %.1f s",
                    len(entries),
                    service_id,
                    type(exc).__name__,
                    exc,
                    delay,
                )
                await anyio.sleep(delay)
            else:
                self._cursors[service_id] = cursor
                return

    async def _wait_for_room(self, service_id: int, held: HoldBack[Turn]) -> None:
        while held.is_full(service_id):
            room = self._room[service_id] = anyio.Event()
            await room.wait()

    def _break(self, error: ServicesError) -> None:
        if self._failure is None:
            self._failure = error
        self._broken.set()
