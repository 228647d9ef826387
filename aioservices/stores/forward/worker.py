"""Sends the stored lines to one destination, however long that takes.

Theory of operation
-------------------
For each forwarder, the store has a position in the lines of each service. A round reads some lines
after those positions, sends them, and moves the positions. After a crash in between, the lines are
sent again. A destination that can undo (`ResumableForwarder`) records its state in the transaction
that moves the positions, and restores the recorded state before it starts: it has each line exactly
once.

An orderly end repeats nothing: the current round is finished, unless the destination does not
accept the lines now. Even after a cancellation the positions are moved if the lines were accepted.

There is no limit on the number of attempts. A batch that a destination rejects permanently is
halved until the line at fault is found. That line becomes a dead letter, and the others are sent.
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
_CANCELLED_WITHIN = "a task that the forwarder waits for was cancelled"
_DELAYS = (0.5, 60.0)  # seconds between attempts, at first and at most
_MARK_SECONDS = 2.0  # to move the positions after a cancellation
_CHECK_SECONDS = 5.0  # between checks for lines stored by another collector
_MEASURE_SECONDS = 10.0
_MEASURED_SERVICES = 20  # services whose first unsent line is read


class _EndedError(Exception):
    """The worker must end, and the destination or the store does not accept anything now."""


class ForwarderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a forwarder.

    Attributes
    ----------
    name : str
    behind : int
        Stored lines that are not sent yet.
    oldest_seconds : float or None
        How long ago the first of them was stored, among the services that are furthest behind.
    sent, rejected, missed : int
        Lines so far; missed lines were removed by the retention before they were sent.
    error : str or None
        Why it does not send now.
    needs_attention : bool
        Whether somebody must resolve that.
    retry_in : float or None
        Seconds until the next attempt.
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
    """Return the name under which the store keeps a forwarder's positions."""
    return str(getattr(forwarder, "name", type(forwarder).__name__))


def _check(forwarder: Forwarder) -> None:
    send = getattr(forwarder, "send", None)
    is_plain = inspect.isroutine(send) and not inspect.iscoroutinefunction(inspect.unwrap(send))
    if not callable(send) or is_plain:
        kind = type(forwarder).__name__
        raise TypeError(f"a forwarder must have an async method send(lines), and {kind} has none")


def _raise_if_cancelled() -> None:
    """Re-raise a cancellation, unless it is not one of this task."""
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise


class ForwardWorker:
    """Sends the stored lines to one destination.

    Parameters
    ----------
    store : Store
    forwarder : Forwarder
    place : str, optional
        Where the forwarder's note is valid, such as a host. Default: this host.
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
        self._is_registered = False  # in the store
        self._wake = anyio.Event()
        self._ending = anyio.Event()

    @property
    def status(self) -> ForwarderStatus:
        """The current status."""
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
        """Check for lines now, because some have been stored."""
        self._wake.set()

    def end(self) -> None:
        """Let `run` return after the current round."""
        self._ending.set()
        self._wake.set()

    async def run(self) -> None:
        """Send until `end` or a cancellation."""
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
                with anyio.move_on_after(_CHECK_SECONDS):
                    await self._wake.wait()

    async def forward_stored(self) -> None:
        """Send all lines that are stored now, and return."""
        while await self._round():
            pass

    async def _round(self) -> bool:
        """Send some lines; return whether there were any."""
        if self._must_resume:
            await self._resume()
        positions = await self._store.forward_positions(self.name)
        self._behind = sum(each.behind for each in positions)
        if positions and not self._is_registered:
            # Registers the forwarder, so that its backlog is known before its first line.
            here = {each.service_id: (each.seq, each.seq) for each in positions}
            await self._mark(here, (), None)
            self._is_registered = True
        lines = await self._read_lines(positions)
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
            # Another collector sends these lines, or they are to be resent: undo, and start again.
            self._must_resume = True
        return True

    async def _read_lines(self, positions: Sequence[ForwardPosition]) -> list[StoredEntry]:
        """Read the next lines that are not sent yet."""
        lines: list[StoredEntry] = []
        for each in positions:
            capacity = self._lines_at_once - len(lines)
            if capacity <= 0:
                break
            if each.behind and each.is_ours:
                found = await self._store.read_after(each.service_id, each.seq, capacity)
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
        """Move the positions; after a lost response they may be moved already."""

        async def mark() -> bool:
            delays = backoff_delays(*_DELAYS)
            while True:
                try:
                    return await self._store.mark_forwarded(
                        self.name, moves, rejected=rejected, place=self._place, note=note
                    )
                except StoreUnavailableError as exc:
                    await anyio.sleep(self._record_error(exc, next(delays)))
                    self._retry_at = None

        # If this were interrupted, the lines would be sent again.
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
                # So that older content is not mistaken for the remains of a crash.
                await self._mark({}, (), forwarder.note())
        self._must_resume = False

    # Sending

    async def _deliver(self, lines: Sequence[StoredEntry]) -> list[RejectedLines]:
        """Send lines; return the dead letters among them."""
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
                return [self._dead_letter(lines, 1, str(exc))]
            middle = len(lines) // 2
            return await self._deliver(lines[:middle]) + await self._deliver(lines[middle:])
        return [] if partly is None else self._dead_letters(lines, partly)

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

    def _dead_letters(
        self, lines: Sequence[StoredEntry], partly: PartlyRejected
    ) -> list[RejectedLines]:
        """Make dead letters for lines of which some, unknown ones, were rejected."""
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
                break  # all are counted; their actual services are unknown
            reason = (
                f"{partly.count} of {len(lines)} lines, of {len(by_service)} services, were "
                f"rejected without saying which: {partly.reason}"
            )
            letters.append(self._dead_letter(some, count, reason))
        return letters

    def _dead_letter(self, lines: Sequence[StoredEntry], count: int, reason: str) -> RejectedLines:
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
        """Wait until the next attempt; raises if the worker must end."""
        seconds = self._record_error(error, delay)
        with anyio.move_on_after(seconds):
            await self._ending.wait()
            raise _EndedError
        self._retry_at = None

    def _record_error(self, error: Exception, delay: float) -> float:
        """Record why nothing is sent; return the seconds until the next attempt."""
        if isinstance(error, ForwardError):
            self._needs_attention = error.needs_attention
            if error.retry_after is not None:
                delay = max(delay, error.retry_after)
        text = str(error) or type(error).__name__
        if not isinstance(error, ForwardError | StoreUnavailableError):
            text = f"{type(error).__name__}: {text}"
        if text != self._error:
            log.warning("%s cannot send now and will try again: %s", self.name, text)
        self._error = text
        self._retry_at = anyio.current_time() + delay
        return delay

    def _clear_error(self) -> None:
        if self._error is not None:
            log.info("%s sends again", self.name)
        self._error = self._retry_at = None
        self._needs_attention = False

    async def _measure(self) -> None:
        """Measure the backlog, even while the destination does not accept lines."""
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
                pass  # `_rounds` reports it
            await anyio.sleep(_MEASURE_SECONDS)
