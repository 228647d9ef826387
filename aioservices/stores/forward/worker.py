"""Sends what is stored to one destination, however long it takes.

Theory of operation
-------------------
The store keeps for each forwarder how far it is with each service. A round takes some lines behind
those positions, has them sent, and moves the positions; a crash in between sends them again. A
destination that can undo (`ResumableForwarder`) notes its state in the transaction that moves
the positions, and goes back to the noted state before it begins: there each line is once.

An orderly end repeats nothing either: the round at hand is finished, unless its destination does
not take the lines now. Also when it is cancelled, the positions are moved if the lines were taken.

There is no last attempt. What a destination refuses for good is halved until the line at fault is
found; that one becomes a dead letter, and the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import inspect
import logging
import socket
from collections.abc import Sequence

import anyio
import msgspec

from aioservices.concurrency import finish_within
from aioservices.http.retry import backoff_delays
from aioservices.stores.errors import (
    ForwardError,
    LinesRefusedError,
    StoreUnavailableError,
)
from aioservices.stores.models import ForwardPosition, RejectedLines
from aioservices.stores.protocol import Store
from aioservices.stores.record import StoredEntry

from .protocol import Forwarder, PartlyRejected, ResumableForwarder

__all__ = ["ForwardWorker", "ForwarderStatus", "name_of"]

log = logging.getLogger("aioservices.forward")

_LINES_AT_ONCE = 1000
_CANCELLED_WITHIN = "a task that it waits for was cancelled"
_DELAYS = (0.5, 60.0)  # between attempts
_MARK_SECONDS = 2.0  # to note what was taken, after a cancellation
_LOOK_SECONDS = 5.0  # between looks for lines that another collector has kept
_MEASURE_SECONDS = 10.0
_MEASURED_SERVICES = 20  # whose first unsent line is looked at


class _EndedError(Exception):
    """It is to end, and its destination or the store does not take anything now."""


class ForwarderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a forwarder is doing.

    Attributes
    ----------
    name : str
    behind : int
        Lines that are stored and not sent yet.
    oldest_seconds : float or None
        How long ago the first of these was kept, among the services that are furthest behind.
    sent, rejected, missed : int
        Lines so far; missed are those that retention removed before they were sent.
    error : str or None
        Why it does not send at present.
    needs_attention : bool
        Whether somebody has to do something about that.
    retry_in : float or None
        Seconds until it tries again.
    """

    name: str
    behind: int
    oldest_seconds: float | None
    sent: int
    rejected: int
    missed: int
    error: str | None
    needs_attention: bool
    retry_in: float | None


def name_of(forwarder: Forwarder) -> str:
    """Give the name under which the store keeps a forwarder's positions."""
    return str(getattr(forwarder, "name", type(forwarder).__name__))


def _check(forwarder: Forwarder) -> None:
    send = getattr(forwarder, "send", None)
    is_plain = inspect.isroutine(send) and not inspect.iscoroutinefunction(inspect.unwrap(send))
    if not callable(send) or is_plain:
        kind = type(forwarder).__name__
        raise TypeError(f"a forwarder has an async method send(lines), and {kind} has none")


def _raise_if_cancelled() -> None:
    """Let a cancellation go on, but for one that nobody has asked this task for."""
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise


class ForwardWorker:
    """Sends what is stored to one destination.

    Parameters
    ----------
    store : Store
    forwarder : Forwarder
    place : str, optional
        Where the forwarder's note is valid. Default: this host.
    """

    def __init__(self, store: Store, forwarder: Forwarder, *, place: str | None = None) -> None:
        _check(forwarder)
        self.name = name_of(forwarder)
        self._store = store
        self._forwarder = forwarder
        self._place = socket.gethostname() if place is None else place
        self._lines_at_once = int(getattr(forwarder, "lines_at_once", _LINES_AT_ONCE))
        self._sent = self._rejected = self._missed = self._behind = 0
        self._oldest: dt.datetime | None = None
        self._error: str | None = None
        self._needs_attention = False
        self._retry_at: float | None = None
        self._must_resume = True
        self._is_known = False  # to the store
        self._wake = anyio.Event()
        self._ending = anyio.Event()

    @property
    def status(self) -> ForwarderStatus:
        """How it is doing."""
        oldest = retry_in = None
        if self._oldest is not None and self._behind:
            oldest = max(0.0, (dt.datetime.now(dt.UTC) - self._oldest).total_seconds())
        if self._retry_at is not None:
            retry_in = max(0.0, self._retry_at - anyio.current_time())
        return ForwarderStatus(
            name=self.name,
            behind=self._behind,
            oldest_seconds=oldest,
            sent=self._sent,
            rejected=self._rejected,
            missed=self._missed,
            error=self._error,
            needs_attention=self._needs_attention,
            retry_in=retry_in,
        )

    def wake(self) -> None:
        """Look for lines now: some have been kept."""
        self._wake.set()

    def end(self) -> None:
        """Have `run` return when the destination has what it is being sent, and that is noted."""
        self._ending.set()
        self._wake.set()

    async def run(self) -> None:
        """Send until it is ended or cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._measure)
            with contextlib.suppress(_EndedError):
                await self._rounds()
            group.cancel_scope.cancel()

    async def _rounds(self) -> None:
        delays = backoff_delays(*_DELAYS)
        while not self._ending.is_set():
            self._wake = anyio.Event()
            try:
                more = await self._round()
            except StoreUnavailableError as exc:
                await self._pause(exc, next(delays))
                continue
            delays = backoff_delays(*_DELAYS)
            if not more and not self._ending.is_set():
                with anyio.move_on_after(_LOOK_SECONDS):
                    await self._wake.wait()

    async def forward_stored(self) -> None:
        """Send all that is stored now, and return."""
        while await self._round():
            pass

    async def _round(self) -> bool:
        """Send some lines; tell whether there were any."""
        if self._must_resume:
            await self._resume()
        positions = await self._store.forward_positions(self.name)
        self._behind = sum(each.behind for each in positions)
        if positions and not self._is_known:
            # The store can tell how far behind it is, though it may never have sent a line.
            here = {each.service_id: (each.seq, each.seq) for each in positions}
            await self._mark(here, (), None)
            self._is_known = True
        lines = await self._take(positions)
        if not lines:
            self._clear_error()
            return False
        rejected = await self._deliver(lines)
        seqs = {each.service_id: each.seq for each in positions}
        moves = {line.service_id: (seqs[line.service_id], line.seq) for line in lines}
        note = self._forwarder.note() if isinstance(self._forwarder, ResumableForwarder) else None
        moved = await self._mark(moves, rejected, note)
        if moved:
            count = sum(each.count for each in rejected)
            self._sent += len(lines) - count
            self._rejected += count
            self._behind = max(0, self._behind - len(lines))
        else:
            # Another collector sends them, or they are to be sent again: undo, and look once more.
            self._must_resume = True
        return True

    async def _take(self, positions: Sequence[ForwardPosition]) -> list[StoredEntry]:
        """Read the next lines of the services that have some."""
        lines: list[StoredEntry] = []
        for each in positions:
            room = self._lines_at_once - len(lines)
            if room <= 0:
                break
            if each.behind and each.is_ours:
                found = await self._store.read_after(each.service_id, each.seq, room)
                if found and (missed := found[0].seq - each.seq - 1):
                    self._missed += missed
                    log.warning(
                        "%d lines of service %d were removed before %s had sent them",
                        missed,
                        each.service_id,
                        self.name,
                    )
                lines += found
        return lines

    async def _mark(
        self,
        moves: dict[int, tuple[int, int]],
        rejected: Sequence[RejectedLines],
        note: str | None,
    ) -> bool:
        """Move the positions; after an unknown outcome they may be found moved already."""

        async def mark() -> bool:
            delays = backoff_delays(*_DELAYS)
            while True:
                try:
                    return await self._store.mark_forwarded(
                        self.name, moves, rejected=rejected, place=self._place, note=note
                    )
                except StoreUnavailableError as exc:
                    await anyio.sleep(self._note_error(exc, next(delays)))
                    self._retry_at = None

        # A round that is cut off here would be sent again.
        return await finish_within(_MARK_SECONDS, mark)

    async def _resume(self) -> None:
        forwarder = self._forwarder
        if isinstance(forwarder, ResumableForwarder):
            note = await self._store.forward_note(self.name, self._place)
            delays = backoff_delays(*_DELAYS)
            while True:
                try:
                    await forwarder.resume(note)
                    break
                except asyncio.CancelledError:
                    _raise_if_cancelled()
                    await self._pause(ForwardError(_CANCELLED_WITHIN), next(delays))
                except Exception as exc:
                    await self._pause(exc, next(delays))
            if note is None:
                # What is there before the first line is not to be taken for what a crash has left.
                await self._mark({}, (), forwarder.note())
        self._must_resume = False

    # Sending

    async def _deliver(self, lines: Sequence[StoredEntry]) -> list[RejectedLines]:
        """Have lines sent; give the dead letters among them."""
        try:
            partly = await self._send(lines)
        except LinesRefusedError as exc:
            if len(lines) == 1:
                log.warning(
                    "%s refuses line %d of service %d: %s",
                    self.name,
                    lines[0].seq,
                    lines[0].service_id,
                    exc,
                )
                return [self._letter(lines, 1, str(exc))]
            middle = len(lines) // 2
            return await self._deliver(lines[:middle]) + await self._deliver(lines[middle:])
        return [] if partly is None else self._letters(lines, partly)

    async def _send(self, lines: Sequence[StoredEntry]) -> PartlyRejected | None:
        delays = backoff_delays(*_DELAYS)
        while True:
            try:
                result = await self._forwarder.send(lines)
            except LinesRefusedError:
                self._clear_error()
                raise
            except asyncio.CancelledError:
                _raise_if_cancelled()
                await self._pause(ForwardError(_CANCELLED_WITHIN), next(delays))
            except Exception as exc:
                await self._pause(exc, next(delays))
            else:
                self._clear_error()
                return result

    def _letters(self, lines: Sequence[StoredEntry], partly: PartlyRejected) -> list[RejectedLines]:
        """Note that some of these lines were rejected, nobody knows which."""
        log.warning(
            "%s rejected %d of %d lines: %s", self.name, partly.count, len(lines), partly.reason
        )
        by_service: dict[int, list[StoredEntry]] = {}
        for line in lines:
            by_service.setdefault(line.service_id, []).append(line)
        letters: list[RejectedLines] = []
        left = partly.count
        for some in by_service.values():
            count = min(left, len(some))
            left -= count
            if count == 0:
                break  # all are noted: which service they are of is not known anyway
            reason = (
                f"{partly.count} lines out of {len(lines)}, of {len(by_service)} services, were "
                f"rejected, not said which: {partly.reason}"
            )
            letters.append(self._letter(some, count, reason))
        return letters

    def _letter(self, lines: Sequence[StoredEntry], count: int, reason: str) -> RejectedLines:
        return RejectedLines(
            forwarder=self.name,
            service_id=lines[0].service_id,
            first_seq=lines[0].seq,
            last_seq=lines[-1].seq,
            count=count,
            reason=reason,
        )

    # Waiting

    async def _pause(self, error: Exception, delay: float) -> None:
        """Wait until the next attempt, which there is not when it is to end."""
        seconds = self._note_error(error, delay)
        with anyio.move_on_after(seconds):
            await self._ending.wait()
            raise _EndedError
        self._retry_at = None

    def _note_error(self, error: Exception, delay: float) -> float:
        """Tell why it does not send, and in how many seconds it tries again."""
        if isinstance(error, ForwardError):
            self._needs_attention = error.needs_attention
            if error.retry_after is not None:
                delay = max(delay, error.retry_after)
        text = str(error) or type(error).__name__
        if not isinstance(error, ForwardError | StoreUnavailableError):
            text = f"{type(error).__name__}: {text}"
        if text != self._error:
            log.warning("%s cannot send now, and tries again: %s", self.name, text)
        self._error = text
        self._retry_at = anyio.current_time() + delay
        return delay

    def _clear_error(self) -> None:
        if self._error is not None:
            log.info("%s sends again", self.name)
        self._error = self._retry_at = None
        self._needs_attention = False

    async def _measure(self) -> None:
        """Find out how far behind it is, also while it waits for its destination."""
        while True:
            try:
                positions = await self._store.forward_positions(self.name)
                waiting = [each for each in positions if each.behind and each.is_ours]
                self._behind = sum(each.behind for each in waiting)
                oldest: list[dt.datetime] = []
                waiting.sort(key=lambda each: each.behind, reverse=True)
                for each in waiting[:_MEASURED_SERVICES]:
                    found = await self._store.read_after(each.service_id, each.seq, 1)
                    oldest += [line.kept_at for line in found]
                self._oldest = min(oldest, default=None)
            except StoreUnavailableError:
                pass  # what sends says so
            await anyio.sleep(_MEASURE_SECONDS)
