"""The distributed store: one PostgreSQL database, and collectors on several machines.

Theory of operation
-------------------
Exactly-once rests on the commit id (see `aioservices.stores.protocol`): one UPDATE moves the tails
of all waiting services from the commit ids that this daemon stands on to new ones, and its answer
says which of them moved; the lines of those, and of no others, follow by COPY in the same
transaction. If the connection breaks, the same batches are sent again: the lines of tails that
stand on the new ids were kept, whether or not the answer to COMMIT arrived, and tails that stand
elsewhere belong to somebody else.

Leases say who reads which service, so that two daemons do not spend API calls on the same log. They
are times by the database's clock. A daemon that is late loses only its turn.

There is no prepared statement, session lock, temporary table, LISTEN or setting that outlives a
transaction: it all works behind pgbouncer in transaction mode.
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

_GOODBYE_SECONDS = 2
_AUDIT_SECONDS = 3600


class PostgresStore(Store):
    """Log lines in a PostgreSQL database, in its schema ``aioservices``.

    An async context manager: the tables are made, if they are not there, when it is entered.
    PostgreSQL 14 or newer. The password is best given as libpq does it: ``PGPASSWORD``,
    ``~/.pgpass`` or a service file.

    Parameters
    ----------
    dsn : str
        As libpq reads it: ``postgresql://user@host:port/database``, several hosts with commas.
    read_only : bool, default False
        Only read; the tables must be there.
    lease : float, default 30.0
        Seconds for which a service belongs to a daemon that is not heard of any more.

    Raises
    ------
    StoreConfigError
        If the DSN cannot be read; when it is entered, if the database cannot be used.
    StoreUnavailableError
        When it is entered, if the database cannot be reached now.
    StoreVersionError
        When it is entered, if a newer release made the tables.
    """

    def __init__(self, dsn: str, *, read_only: bool = False, lease: float = 30.0) -> None:
        self._name = describe(dsn)
        self._dsn = dsn
        self._read_only = read_only
        self._lease = validate_seconds(lease, "lease")
        self._me = uuid4()
        self._sharing = 1  # daemons that live and use one of our keys, this one included
        self._salt: bytes | None = None
        self._partitions = Partitions()
        # Leases are not to wait for a long commit, or readers for either.
        self._writer = Session(dsn, self._name)
        self._leaser = Session(dsn, self._name)
        self._forwarder = Session(dsn, self._name)
        self._reader = Session(dsn, self._name, read_only=True)

    @property
    def url(self) -> str:
        """What it is called in messages; without a password."""
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
        """Give all leases back, and close the connections."""
        with anyio.CancelScope(shield=True):
            if self._salt is not None and not self._read_only:
                with anyio.move_on_after(_GOODBYE_SECONDS):
                    await self._say_goodbye()
            self._salt = None
            for session in (self._writer, self._leaser, self._forwarder, self._reader):
                await session.aclose()

    async def _say_goodbye(self) -> None:
        try:
            async with self._leaser.transaction() as connection:
                await connection.execute("DELETE FROM daemon WHERE id = %s", (self._me,))
                await connection.execute(
                    """UPDATE tail SET owner = NULL, lease_until = clock_timestamp()
                       WHERE owner = %s""",
                    (self._me,),
                )
        except StoreError:
            return  # the leases run out

    def _check_open(self) -> bytes:
        if self._salt is None:
            raise StoreError(f"the store {self.url} is not open")
        if self._read_only:
            raise StoreError(f"the store {self.url} was opened to be read only")
        return self._salt

    # Keeping

    async def lease(self, visible: Collection[int], held: Collection[int]) -> LeaseResult:
        """Prolong the leases of what is held, and take those of what is free, up to a fair share.

        A share is fair among the daemons that use the same key. What nobody has taken for the
        length of a lease is taken beyond it: the others may not be able to see it.
        """
        self._check_open()
        fair = math.ceil(len(visible) / self._sharing)
        async with self._leaser.transaction() as connection:
            await writing.end_stuck_sessions(connection)
            still = await writing.renew(connection, sorted(held), me=self._me, lease=self._lease)
            granted = await writing.take(
                connection,
                sorted(visible),
                sorted(still),
                me=self._me,
                lease=self._lease,
                room=fair - len(still),
            )
        excess = 0 if self._sharing == 1 else max(0, len(still) + len(granted) - fair)
        return LeaseResult(granted=tuple(granted), held=still, excess=excess)

    async def keep(self, batches: Sequence[PendingBatch]) -> KeepResult:
        """Keep lines and cursors of many services in one transaction."""
        self._check_open()
        return await writing.keep(
            self._writer, self._partitions, batches, me=self._me, lease=self._lease
        )

    async def release(self, service_ids: Collection[int]) -> None:
        """Give leases back, so that another daemon need not wait until they run out."""
        self._check_open()
        async with self._leaser.transaction() as connection:
            await connection.execute(
                """UPDATE tail SET owner = NULL, lease_until = clock_timestamp()
                   WHERE owner = %s AND service_id = ANY(%s)""",
                (self._me, list(service_ids)),
            )

    async def heartbeat(self, daemon: DaemonInfo) -> dict[bytes, int]:
        """Say that this daemon lives; get by key id how many do that use this key."""
        self._check_open()
        keys = list(daemon.key_ids)
        async with self._leaser.transaction() as connection:
            await check_schema(connection, self._name)
            await connection.execute(
                """DELETE FROM daemon
                   WHERE id = %s OR seen_at < clock_timestamp() - interval '1 day'""",
                (self._me,),
            )
            await connection.execute(
                """INSERT INTO daemon SELECT %s, v.key_id, %s, %s, clock_timestamp(), %s
                   FROM unnest(%s::bytea[]) AS v (key_id)""",
                (self._me, daemon.host, daemon.version, daemon.tails, keys),
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
        """What API keys are hashed with, where they are told apart."""
        return self._check_open()

    async def retain(self, retention: Retention) -> RemovedLines:
        """Drop the days that need not be kept any longer."""
        self._check_open()
        return await apply_retention(self._forwarder, self._partitions, retention)

    # Reading back

    def _read(self, service_id: int, query: LineQuery) -> AsyncIterator[StoredEntry]:
        return reading.read(self._reader, service_id, query)

    async def read_after(self, service_id: int, seq: int, limit: int) -> list[StoredEntry]:
        """Read the lines that were kept after a line, in the order of keeping."""
        validate_int(service_id, "service_id")
        return await reading.read_after(self._reader, service_id, seq, limit)

    async def services(self) -> list[StoredService]:
        """List the services that the store knows."""
        return await reading.services(self._reader)

    async def gaps(self, service_id: int | None = None) -> list[StoredGap]:
        """List the gaps that were noted."""
        return await reading.gaps(self._reader, service_id)

    async def audit(self, *, thorough: bool = False) -> StoreAudit:
        """Count what is stored, service by service."""
        session = Session(self._dsn, self._name, read_only=True, seconds=_AUDIT_SECONDS)
        try:
            return await audit(session, thorough=thorough)
        finally:
            with anyio.CancelScope(shield=True):
                await session.aclose()

    # Forwarding

    async def forward_positions(self, forwarder: str | None = None) -> list[ForwardPosition]:
        """Tell how far forwarders are."""
        return await forwarding.forward_positions(self._reader, forwarder, self._me)

    async def forward_note(self, forwarder: str, place: str) -> str | None:
        """Give what a forwarder noted with its last lines."""
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
        """Move positions, note dead letters and the forwarder's note: all, or nothing."""
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
        """Move a forwarder back, so that it sends again."""
        self._check_open()
        return await forwarding.resend(
            self._forwarder, forwarder, since, rejected_only=rejected_only
        )
