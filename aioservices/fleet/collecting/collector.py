"""The collector: reads the logs of a fleet into a store, and forwards the stored lines.

Theory of operation
-------------------
Every third of a lease's duration, a round leases the visible services that no other collector
reads. Each leased service has a task, which reads its log from the cursor in the store. The writer
stores the lines of all tasks, one transaction at a time. If a commit is fenced, another collector
owns the tail, or a failover has reset it: the task ends, and the next round leases the service
again if it can.

The log of a service that is no longer listed is read until its deployments have ended, however long
that takes; then the service is removed. With several collectors, each one that has seen the service
reads the end of its log, so that nothing is lost if the one that reads it dies meanwhile. If a key
is rejected, a log cannot be read or the store is full, the tail is closed, and opened again later
at the cursor behind the last delivered line.
"""

from __future__ import annotations

import datetime as dt
import logging
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import anyio
from anyio.abc import TaskGroup

from aioservices._version import __version__
from aioservices.api.matching import ids_among
from aioservices.stores import (
    DaemonInfo,
    Retention,
    Store,
    StoreError,
    StoreUnavailableError,
)
from aioservices.stores.forward import Forwarder, ForwardWorker, name_of
from aioservices.validation import validate_int

from .catalog import ServiceCatalog
from .kept_lines import KeptLines
from .options import CollectOptions, CollectSession
from .reader import ServiceReader
from .retaining import Retainer
from .source import Source
from .status import CollectorStatus, SessionStatus
from .writer import StoreWriter

__all__ = ["Collector"]

log = logging.getLogger("aioservices.collect")

_DEFAULTS = CollectOptions()
_FORWARD_SECONDS = 5.0  # at the end, to finish the batches that are being forwarded


class Collector:
    """Collects the logs of a fleet into a store.

    Parameters
    ----------
    store : Store
        An open store.
    sessions : sequence of Services
        A service is read with the first of them that lists it.
    options : CollectOptions, optional
    forwarders : sequence of Forwarder, optional
        Destinations of the stored lines.
    retention : Retention, optional
        What to remove from the store. Default: nothing.
    """

    def __init__(
        self,
        store: Store,
        sessions: Sequence[CollectSession],
        options: CollectOptions = _DEFAULTS,
        *,
        forwarders: Sequence[Forwarder] = (),
        retention: Retention | None = None,
    ) -> None:
        self._store = store
        self._options = options
        self._retainer = (
            None if retention is None else Retainer(store, retention, self._server_time)
        )
        if not sessions:
            raise ValueError("a collector needs a session")
        for service_id in ids_among(options.patterns):
            validate_int(service_id, "a service's id", least=1)
        names = [name_of(each) for each in forwarders]
        if len(set(names)) < len(names):
            raise ValueError(
                f"two forwarders have the same name, of {', '.join(names)}: a store has one "
                "position for each name. Give each of them a different attribute `name`"
            )
        self._sources = [Source(session) for session in sessions]
        self._catalog = ServiceCatalog(store, self._sources, options)
        self._writer = StoreWriter(
            store, max_waiting=options.max_waiting, interval=options.commit_interval
        )
        self._writer.on_full = self._close_tails
        self._forwarders = list(forwarders)
        self._workers = [ForwardWorker(store, each) for each in forwarders]
        self._writer.on_kept += [worker.wake for worker in self._workers]
        self._readers: dict[int, ServiceReader] = {}
        self._wake = anyio.Event()
        self._refresh_now = anyio.Event()
        self._stopping = anyio.Event()
        self._not_started: tuple[str, ...] = CollectorStatus.empty().reasons
        self._lease_error: str | None = None
        self._late_lines = self._gaps = 0  # of closed tails

    @property
    def status(self) -> CollectorStatus:
        """The current status."""
        reasons = self.reasons
        services = tuple(self._readers[each].status() for each in sorted(self._readers))
        tails = [each.tail for each in services if each.tail is not None]
        writer = self._writer
        return CollectorStatus(
            ready=not reasons,
            reasons=reasons,
            services=services,
            forwarders=tuple(worker.status for worker in self._workers),
            sessions=tuple(self._session_status(source) for source in self._sources),
            waiting=writer.waiting,
            lines=writer.lines,
            bytes=writer.bytes,
            late_lines=self._late_lines + sum(tail.late_lines for tail in tails),
            gaps=self._gaps,
            fenced=writer.fenced,
            leases=len(self._readers),
            commits=dict(writer.commits),
            commit_seconds=writer.commit_seconds,
            removed=0 if self._retainer is None else self._retainer.removed,
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not ready; empty if it is."""
        return tuple(self._reasons())

    @property
    def kept(self) -> dict[int, int]:
        """The lines stored since this collector has each service, by service."""
        return {service_id: reader.slot.lines for service_id, reader in self._readers.items()}

    def postpone(self, reason: str) -> None:
        """Report why `run` is not called yet."""
        self._not_started = (reason,)

    def stop(self) -> None:
        """Let `run` end the tails, commit the waiting lines, finish forwarding, and return."""
        self._stopping.set()
        self._wake.set()

    def refresh(self) -> None:
        """List the services now, and try rejected keys again."""
        self._refresh_now.set()

    def replace_session(self, old: CollectSession, new: CollectSession) -> None:
        """Replace a session, for example when its key has changed.

        The tails continue at their cursors; the old session may be closed afterwards.
        """
        for source in self._sources:
            if source.original is old:
                source.replace(new)
        self._close_tails()
        self.refresh()

    @asynccontextmanager
    async def lines(self) -> AsyncGenerator[KeptLines]:
        """Watch the lines that are stored from now on.

        Yields
        ------
        KeptLines
            An async iterator of `StoredEntry`.
        """
        kept = KeptLines()
        with self._writer.stream(kept.receive):
            yield kept

    async def run(self) -> None:
        """Collect until cancelled, or until `stop` was called and everything is stored.

        Raises
        ------
        StoreError
            If the store fails in a way that waiting does not resolve.
        """
        self._not_started = ()
        try:
            async with anyio.create_task_group() as group:
                if self._retainer is not None:
                    group.start_soon(self._retainer.run)
                async with anyio.create_task_group() as forwarding:
                    for worker in self._workers:
                        forwarding.start_soon(worker.run)
                    async with anyio.create_task_group() as writing:
                        writing.start_soon(self._writer.run)
                        await self._read_logs()
                        self._writer.end()
                    for worker in self._workers:
                        worker.end()
                    forwarding.cancel_scope.deadline = anyio.current_time() + _FORWARD_SECONDS
                group.cancel_scope.cancel()
        except BaseExceptionGroup as exc:
            # The error of the store, if there is one, has caused the others.
            errors = _errors_in(exc)
            error = next((each for each in errors if isinstance(each, StoreError)), errors[0])
            raise error from None
        finally:
            with anyio.CancelScope(shield=True):
                for forwarder in self._forwarders:
                    close = getattr(forwarder, "aclose", None)
                    if close is not None:
                        await close()

    async def _read_logs(self) -> None:
        """Read logs until `stop`, then let the readers store what they have read."""
        async with anyio.create_task_group() as reading:
            async with anyio.create_task_group() as refreshing:
                refreshing.start_soon(self._refresh_services)
                await self._lease_periodically(reading)
                refreshing.cancel_scope.cancel()
            for reader in self._readers.values():
                reader.end()

    # Which services

    async def _refresh_services(self) -> None:
        """List the services periodically; leases do not wait for that."""
        while True:
            self._refresh_now = anyio.Event()
            await self._catalog.update()
            for reader in self._readers.values():
                if self._catalog.is_missing(reader.service_id):
                    reader.finish()
                else:
                    reader.keep_following()
            self._wake.set()
            with anyio.move_on_after(self._options.refresh):
                await self._refresh_now.wait()

    async def _lease_periodically(self, group: TaskGroup) -> None:
        interval = min(self._options.lease / 3, self._options.refresh)
        while not self._stopping.is_set():
            self._wake = anyio.Event()
            try:
                await self._lease(group)
                self._lease_error = None
            except StoreUnavailableError as exc:
                # Reading continues: a commit shows whether the service is still ours.
                if self._lease_error is None:
                    log.warning("services cannot be leased now: %s", exc)
                self._lease_error = str(exc)
            with anyio.move_on_after(interval):
                await self._wake.wait()

    async def _lease(self, group: TaskGroup) -> None:
        """Send a heartbeat, and lease the services that are free."""
        salt = self._store.salt
        keys = {source.session.key_id(salt): source for source in self._sources}
        daemons = await self._store.heartbeat(
            DaemonInfo(
                host=socket.gethostname(),
                version=__version__,
                key_ids=tuple(keys),
                tails=len(self._readers),
            )
        )
        for key_id, source in keys.items():
            source.share_with(max(1, daemons.get(key_id, 1)))
        result = await self._store.lease(self._catalog.service_ids, list(self._readers))
        for service_id in self._readers.keys() - result.held:
            self._readers[service_id].abandon()
        for lease in result.granted:
            if lease.service_id not in self._readers:
                reader = ServiceReader(self, lease)
                self._readers[lease.service_id] = reader
                if self._catalog.is_missing(lease.service_id):
                    reader.finish()
                group.start_soon(reader.run)
        for service_id in sorted(result.held)[: result.excess]:
            self._readers[service_id].end()

    def _server_time(self) -> dt.datetime | None:
        """The server's time, if a tail knows it; the earliest if they differ."""
        tails = (reader.tail for reader in self._readers.values())
        times = (None if tail is None else tail.server_time for tail in tails)
        return min((time for time in times if time is not None), default=None)

    # For the readers

    def source_of(self, service_id: int) -> Source:
        """Return the source of the session that reads a service."""
        return self._catalog.source_of(service_id)

    def name_of(self, service_id: int) -> str | None:
        """Return the name of a service."""
        return self._catalog.name_of(service_id)

    def ended(self, reader: ServiceReader, *, is_fenced: bool) -> None:
        """Remove a reader that has ended."""
        self._writer.close(reader.slot)
        if self._readers.get(reader.service_id) is reader:
            del self._readers[reader.service_id]
        if reader.is_finished:
            self._catalog.forget(reader.service_id)
        if is_fenced:
            self._wake.set()  # to lease it again at the cursor in the store

    def count_gap(self) -> None:
        """Count a gap."""
        self._gaps += 1

    def count_late(self, lines: int) -> None:
        """Count the late lines of a closed tail."""
        self._late_lines += lines

    @property
    def writer(self) -> StoreWriter:
        """Stores the lines."""
        return self._writer

    @property
    def options(self) -> CollectOptions:
        """The options of the collector."""
        return self._options

    @property
    def store(self) -> Store:
        """The store."""
        return self._store

    def _close_tails(self) -> None:
        """Close all tails; their readers open them again when possible."""
        for reader in self._readers.values():
            reader.close_tail()

    def _reasons(self) -> list[str]:
        if self._not_started:
            return [*self._not_started]
        reasons = [
            f"the API refuses key {number}: {source.error}"
            for number, source in enumerate(self._sources, 1)
            if not source.is_valid
        ]
        if not any(source.has_listed for source in self._sources):
            problems = "; ".join(filter(None, (source.problem for source in self._sources)))
            reasons.append(f"the services have not been listed yet{problems and f': {problems}'}")
        if self._writer.error is not None:
            reasons.append(f"the store does not commit: {self._writer.error}")
        elif self._lease_error is not None:
            reasons.append(f"services cannot be leased: {self._lease_error}")
        reasons += [
            f"{status.name} needs attention: {status.error}"
            for status in (worker.status for worker in self._workers)
            if status.needs_attention
        ]
        return reasons

    def _session_status(self, source: Source) -> SessionStatus:
        used = [each for each in self._readers if self._catalog.source_of(each) is source]
        return SessionStatus(
            valid=source.is_valid,
            services=len(used),
            rate_limit=source.session.rate_limit,
            daemons=source.daemons,
        )


def _errors_in(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """List the errors in a group, including nested groups."""
    errors: list[BaseException] = []
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            errors += _errors_in(cast("BaseExceptionGroup[BaseException]", each))
        else:
            errors.append(each)
    return errors
