"""Reads the log of one leased service into the writer."""

from __future__ import annotations

import logging
from typing import Protocol

import anyio

from aioservices.errors import SESSION_WIDE, ServicesError
from aioservices.stores import Lease, Store, StoredGap, StoreError
from aioservices.tail import GapFound, LogGap, LogTail, TailEvent

from .options import CollectOptions
from .source import Source
from .status import ServiceStatus
from .writer import Slot, StoreWriter

__all__ = ["ReaderHost", "ServiceReader"]

log = logging.getLogger("aioservices.collect")


class ReaderHost(Protocol):
    """What a reader needs from its collector."""

    @property
    def writer(self) -> StoreWriter:
        """Stores the lines."""
        ...

    @property
    def options(self) -> CollectOptions:
        """The options of the collector."""
        ...

    @property
    def store(self) -> Store:
        """The store."""
        ...

    def source_of(self, service_id: int) -> Source:
        """Return the source of the session that reads a service."""
        ...

    def name_of(self, service_id: int) -> str | None:
        """Return the name of a service."""
        ...

    def ended(self, reader: ServiceReader, *, is_fenced: bool) -> None:
        """Remove a reader that has ended."""
        ...

    def count_gap(self) -> None:
        """Count a gap."""
        ...

    def count_late(self, lines: int) -> None:
        """Count the late lines of a closed tail."""
        ...


class ServiceReader:
    """Reads the log of one leased service, until it is asked to end or loses the lease."""

    def __init__(self, host: ReaderHost, lease: Lease) -> None:
        self.service_id = lease.service_id
        self.tail: LogTail | None = None
        self.slot: Slot = host.writer.open(lease, host.name_of(lease.service_id), self._fence)
        self._host = host
        self._cursor = lease.cursor
        self._error: str | None = None
        self._gaps = 0
        self.is_finished = False  # the log was read to its end and stored
        self._is_finishing = False
        self._has_ended = False  # the tail, after `finish`
        self._is_ending = False
        self._is_fenced = False
        self._tail_scope: anyio.CancelScope | None = None
        self._scope = anyio.CancelScope()

    def status(self) -> ServiceStatus:
        """The current status."""
        tail = None if self.tail is None else self.tail.status
        source = self._host.source_of(self.service_id)
        error = self._error or (None if tail is None else tail.error)
        if not source.is_valid:
            error = source.error
        state = "reading" if tail is not None else "waiting"
        return ServiceStatus(
            service_id=self.service_id,
            service_name=self.slot.name,
            state="ending" if self._is_ending or self._is_finishing else state,
            tail=tail,
            lines=self.slot.lines,
            lag_seconds=tail.lag if tail is not None and tail.deployments else None,
            gaps=self._gaps,
            error=error,
        )

    def finish(self) -> None:
        """Read the log until its deployments have ended, without following a new one."""
        self._is_finishing = True
        if self.tail is not None:
            self.tail.finish()

    def keep_following(self) -> None:
        """Undo `finish`, unless the log has already been read to its end."""
        if self._is_finishing:
            self._is_finishing = False
            if self.tail is not None:
                self.tail.keep_following()

    def end(self) -> None:
        """Stop reading, store what was read, and release the lease."""
        self._is_ending = True
        self.close_tail()

    def abandon(self) -> None:
        """Stop at once: another collector has the service."""
        self._scope.cancel()

    def close_tail(self) -> None:
        """Close the tail; it is opened again, unless the reader ends."""
        if self._tail_scope is not None:
            self._tail_scope.cancel()

    def _fence(self) -> None:
        self._is_fenced = True
        self._scope.cancel()

    async def run(self) -> None:
        """Read until it ends."""
        try:
            with self._scope:
                while not self._is_ending:
                    with anyio.CancelScope() as self._tail_scope:
                        await self._read()
                await self._host.writer.flush(self.slot)
                self.is_finished = self._is_finishing and self._has_ended
                await self._release()
        finally:
            self._host.ended(self, is_fenced=self._is_fenced)

    async def _release(self) -> None:
        try:
            await self._host.store.release([self.service_id])
        except StoreError as exc:
            log.info(
                "the lease of service %d was not released and will expire: %s", self.service_id, exc
            )

    async def _read(self) -> None:
        """Open the tail and read; returns when it must be opened again."""
        host = self._host
        await host.writer.wait_for_capacity()
        source = host.source_of(self.service_id)
        await source.wait_until_valid()
        session = source.session
        options = host.options
        try:
            tail = session.tail_logs(
                self.service_id,
                start_at=None if self._cursor is not None else options.start_at,
                resume=self._cursor,
                poll_interval=options.poll_interval,
                max_poll_interval=options.max_poll_interval,
                overlap=options.overlap,
                grace=options.grace,
                limit=options.limit,
                on_event=self._on_event,
            )
            await self._follow(tail)
        except SESSION_WIDE as exc:
            if session is source.session:
                source.reject(exc)
        except ServicesError as exc:
            if str(exc) != self._error:
                log.warning("the log of service %d cannot be read now: %s", self.service_id, exc)
            self._error = str(exc)
            await anyio.sleep(options.refresh)
        else:
            if self._is_finishing:
                self._is_ending = self._has_ended = True
            else:
                await anyio.sleep(options.refresh)  # another deployment may follow

    async def _follow(self, tail: LogTail) -> None:
        writer, slot = self._host.writer, self.slot
        slot.name = self._host.name_of(self.service_id)
        try:
            async with tail:
                self.tail = tail
                if self._is_finishing:
                    tail.finish()
                slot.cursor = lambda: tail.cursor
                while True:
                    try:
                        batch = await tail.take()
                    except StopAsyncIteration:
                        return
                    except LogGap:
                        continue  # warnings are errors here; the event has reported the gap
                    # No await between the next two steps: see the theory in `writer`.
                    # Lines beyond the capacity are not delivered: the cursor stays before them.
                    entries = batch.rest[: writer.capacity]
                    batch.given += len(entries)
                    writer.add(slot, entries)
                    self._error = None
                    if not batch.is_given:
                        # The writer is full, and has closed all tails, including this one.
                        await anyio.sleep_forever()
        finally:
            self.tail = None
            self._cursor = tail.cursor
            self._host.count_late(tail.status.late_lines)

    def _on_event(self, event: TailEvent) -> None:
        if isinstance(event, GapFound):
            self._gaps += 1
            self._host.count_gap()
            gap = event.gap
            self._host.writer.add_gap(
                self.slot,
                StoredGap(
                    service_id=gap.service_id,
                    deployment_id=gap.deployment_id,
                    start=gap.start,
                    end=gap.end,
                ),
            )
