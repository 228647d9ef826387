"""The distributed store: one PostgreSQL database, and collectors on several machines.

Theory of operation
-------------------
Exactly-once storage relies on the commit id (see `aioservices.stores.protocol`): one UPDATE moves
the tails of all services in the batches from the commit ids that this daemon knows to new ones, and
returns which tails have moved. Only the lines of these follow, by COPY, in the same transaction. If
the connection is lost, the same batches are sent again: if a tail has the new id, its lines were
stored, whether or not the response to COMMIT arrived; if it has any other id, another daemon owns
it.

Leases determine which daemon reads which service, so that two daemons do not spend API calls on the
same log. They are times of the database's clock. A daemon that is late only loses its lease.

No prepared statement, session lock, temporary table, LISTEN or setting outlives a transaction, so
that everything works with pgbouncer in transaction mode.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Self
from uuid import uuid4

import anyio

from aioservices.stores.errors import StoreError
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
from aioservices.stores.record import StoredEntry
from aioservices.validation import validate_int, validate_seconds

from . import forwarding, reading, writing
from .audit import audit
from .partitions import Partitions
from .retention import apply_retention
from .schema import check_schema, open_schema
from .session import Session, describe

__all__ = ["PostgresStore"]

_DEREGISTER_SECONDS = 2
_AUDIT_SECONDS = 3600


class PostgresStore(Store):
    """Log lines in a PostgreSQL database, in its schema ``aioservices``.

    An async context manager, which creates missing tables when it is entered. It needs PostgreSQL
    14 or newer. Pass the password as for libpq: in ``PGPASSWORD``, ``~/.pgpass`` or a service file.

    Parameters
    ----------
    dsn : str
        As for libpq: ``postgresql://user@host:port/database``, with commas between several hosts.
    read_only : bool, default False
        Only read; the tables must exist.
    lease : float, default 30.0
        Seconds after which a service of a dead daemon is free for others.

    Raises
    ------
    StoreConfigError
        If the DSN is invalid; when entered, if the database cannot be used.
    StoreUnavailableError
        When entered, if the database is unavailable.
    StoreVersionError
        When entered, if the tables are of a newer release.
    """

    def __init__(self, dsn: str, *, read_only: bool = False, lease: float = 30.0) -> None:
        self._name = describe(dsn)
        self._dsn = dsn
        self._read_only = read_only
        self._lease = validate_seconds(lease, "lease")
        self._daemon_id = uuid4()
        self._sharing = 1  # running daemons that use one of our keys, including this one
        self._salt: bytes | None = None
        self._partitions = Partitions()
        # Separate sessions, so that leases do not wait for a long commit, nor readers for either.
        self._writer = Session(dsn, self._name)
        self._leaser = Session(dsn, self._name)
        self._forwarder = Session(dsn, self._name)
        self._reader = Session(dsn, self._name, read_only=True)

    @property
    def url(self) -> str:
        """Its address for messages, without a password."""
        return self._name

    async def __aenter__(self) -> Self:
        session = self._reader if self._read_only else self._writer
        try:
            self._salt = await open_schema(session, self._name, read_only=self._read_only)
        except BaseException:
            await session.aclose()
            raise
        return self

    async def aclose(self) -> None:
        """Release all leases, and close the connections."""
        with anyio.CancelScope(shield=True):
            if self._salt is not None and not self._read_only:
                with anyio.move_on_after(_DEREGISTER_SECONDS):
                    await self._deregister()
            self._salt = None
            for session in (self._writer, self._leaser, self._forwarder, self._reader):
                await session.aclose()

    async def _deregister(self) -> None:
        try:
            async with self._leaser.transaction() as connection:
                await connection.execute("DELETE FROM daemon WHERE id = %s", (self._daemon_id,))
                await connection.execute(
                    """UPDATE tail SET owner = NULL, lease_until = clock_timestamp()
                       WHERE owner = %s""",
                    (self._daemon_id,),
                )
        except StoreError:
            return  # the leases will expire

    def _check_open(self) -> bytes:
        if self._salt is None:
            raise StoreError(f"the store {self.url} is not open")
        if self._read_only:
            raise StoreError(f"the store {self.url} was opened read-only")
        return self._salt

    # Storing

    async def lease(self, visible: Collection[int], held: Collection[int]) -> LeaseResult:
        """Renew the leases of held services, and lease free ones, up to a fair share.

        The services are shared evenly among the daemons that use the same key. A service that
        nobody has leased for the duration of a lease is leased even beyond that share, because the
        other daemons may not be able to see it.
        """
        self._check_open()
        fair = math.ceil(len(visible) / self._sharing)
        async with self._leaser.transaction() as connection:
            await writing.end_stuck_sessions(connection)
            renewed = await writing.renew(
                connection, sorted(held), daemon_id=self._daemon_id, lease=self._lease
            )
            granted = await writing.take(
                connection,
                sorted(visible),
                sorted(renewed),
                daemon_id=self._daemon_id,
                lease=self._lease,
                limit=fair - len(renewed),
            )
        excess = 0 if self._sharing == 1 else max(0, len(renewed) + len(granted) - fair)
        return LeaseResult(granted=tuple(granted), held=renewed, excess=excess)

    async def keep(self, batches: Sequence[PendingBatch]) -> KeepResult:
        """Store lines and cursors of many services in one transaction."""
        self._check_open()
        return await writing.keep(
            self._writer, self._partitions, batches, daemon_id=self._daemon_id, lease=self._lease
        )

    async def release(self, service_ids: Collection[int]) -> None:
        """Release leases, so that another daemon need not wait until they expire."""
        self._check_open()
        async with self._leaser.transaction() as connection:
            await connection.execute(
                """UPDATE tail SET owner = NULL, lease_until = clock_timestamp()
                   WHERE owner = %s AND service_id = ANY(%s)""",
                (self._daemon_id, list(service_ids)),
            )

    async def heartbeat(self, daemon: DaemonInfo) -> dict[bytes, int]:
        """Record that this daemon is running; return the number of running daemons by key id."""
        self._check_open()
        keys = list(daemon.key_ids)
        async with self._leaser.transaction() as connection:
            await check_schema(connection, self._name)
            await connection.execute(
                """DELETE FROM daemon
                   WHERE id = %s OR seen_at < clock_timestamp() - interval '1 day'""",
                (self._daemon_id,),
            )
            await connection.execute(
                """INSERT INTO daemon SELECT %s, v.key_id, %s, %s, clock_timestamp(), %s
                   FROM unnest(%s::bytea[]) AS v (key_id)""",
                (self._daemon_id, daemon.host, daemon.version, daemon.tails, keys),
            )
            rows = await connection.execute(
                """SELECT key_id, id FROM daemon WHERE key_id = ANY(%s)
                   AND seen_at > clock_timestamp() - %s * interval '1 second'""",
                (keys, self._lease),
            )
            found = await rows.fetchall()
        self._sharing = max(1, len({each for _, each in found}))
        counts = dict.fromkeys(keys, 0)
        for key_id, _ in found:
            counts[bytes(key_id)] += 1
        return counts

    @property
    def salt(self) -> bytes:
        """The salt with which API keys are hashed to distinguish them."""
        return self._check_open()

    async def retain(self, retention: Retention) -> RemovedLines:
        """Drop partitions according to retention rules."""
        self._check_open()
        return await apply_retention(self._forwarder, self._partitions, retention)

    # Reading

    def _read(self, service_id: int, query: LineQuery) -> AsyncIterator[StoredEntry]:
        return reading.read(self._reader, service_id, query)

    async def read_after(self, service_id: int, seq: int, limit: int) -> list[StoredEntry]:
        """Read the lines that were stored after a line, in that order."""
        validate_int(service_id, "service_id")
        return await reading.read_after(self._reader, service_id, seq, limit)

    async def services(self) -> list[StoredService]:
        """List the services in the store."""
        return await reading.services(self._reader)

    async def gaps(self, service_id: int | None = None) -> list[StoredGap]:
        """List the recorded gaps."""
        return await reading.gaps(self._reader, service_id)

    async def audit(self, *, thorough: bool = False) -> StoreAudit:
        """Check that no line is missing, service by service."""
        session = Session(self._dsn, self._name, read_only=True, seconds=_AUDIT_SECONDS)
        try:
            return await audit(session, thorough=thorough)
        finally:
            with anyio.CancelScope(shield=True):
                await session.aclose()

    # Forwarding

    async def forward_positions(self, forwarder: str | None = None) -> list[ForwardPosition]:
        """Return the positions of forwarders."""
        return await forwarding.forward_positions(self._reader, forwarder, self._daemon_id)

    async def forward_note(self, forwarder: str, place: str) -> str | None:
        """Return the note that a forwarder stored with its last lines."""
        return await forwarding.forward_note(self._reader, forwarder, place)

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
        self._check_open()
        return await forwarding.mark_forwarded(
            self._forwarder, forwarder, moves, rejected, place, note
        )

    async def rejected(self, forwarder: str | None = None) -> list[RejectedLines]:
        """List dead letters."""
        return await forwarding.rejected(self._reader, forwarder)

    async def resend(
        self, forwarder: str, *, since: dt.datetime | None = None, rejected_only: bool = False
    ) -> int:
        """Move a forwarder back, so that it sends lines again."""
        self._check_open()
        return await forwarding.resend(
            self._forwarder, forwarder, since, rejected_only=rejected_only
        )
