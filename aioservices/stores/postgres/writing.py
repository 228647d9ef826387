"""Writes lines and leases to a PostgreSQL store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import errors

from aioservices.stores.errors import StoreCorruptError, StoreUnavailableError
from aioservices.stores.models import KeepResult, Lease, PendingBatch
from aioservices.stores.record import rows_of, to_micros
from aioservices.tail import LogCursor

from .partitions import Partitions
from .session import APPLICATION_NAME, STUCK_SECONDS, Connection, Session
from .values import without_nul

__all__ = ["end_stuck_sessions", "keep", "renew", "take"]

# In the binary format of COPY, a time is microseconds since this one, in 8 bytes.
_POSTGRES_EPOCH = 946_684_800_000_000  # 2000-01-01, in microseconds since 1970
_ROWS_AT_ONCE = 500  # rows between two turns of the event loop

_UPDATE = """
    UPDATE tail AS t SET commit_id = v.new, cursor = v.cursor, seq = t.seq + v.lines,
        kept_at = clock_timestamp(), service_name = coalesce(v.name, t.service_name),
        lease_until = CASE WHEN t.owner = %(daemon_id)s
            THEN clock_timestamp() + %(lease)s * interval '1 second' ELSE t.lease_until END
    FROM unnest(%(ids)s::bigint[], %(bases)s::uuid[], %(news)s::uuid[], %(cursors)s::text[],
                %(names)s::text[], %(lines)s::int[]) AS v (id, base, new, cursor, name, lines)
    WHERE t.service_id = v.id AND t.commit_id = v.base
    RETURNING t.service_id, t.seq, (extract(epoch FROM t.kept_at) * 1000000)::bigint
"""
_COPY = """
    COPY line (created_at, kept_at, service_id, deployment_id, seq, copy, severity, stream, source,
               message, raw)
    FROM STDIN (FORMAT BINARY)
"""
# int8 for the times, too: see `_POSTGRES_EPOCH`.
_TYPES = ("int8", "int8", "int8", "int8", "int8", "int4", "int2", "text", "text", "text", "bytea")


async def keep(
    session: Session,
    partitions: Partitions,
    batches: Sequence[PendingBatch],
    *,
    daemon_id: UUID,
    lease: float,
) -> KeepResult:
    """Store lines and cursors in one transaction."""
    times = (to_micros(entry.created_at) for batch in batches for entry in batch.entries)
    if missing := partitions.missing(times):
        await partitions.create(session, missing)
    values: dict[str, Any] = {
        "daemon_id": daemon_id,
        "lease": lease,
        "ids": [batch.service_id for batch in batches],
        "bases": [batch.base for batch in batches],
        "news": [batch.commit_id for batch in batches],
        "cursors": [batch.cursor.to_json() for batch in batches],
        "names": [without_nul(batch.service_name) for batch in batches],
        "lines": [len(batch.entries) for batch in batches],
    }
    async with session.transaction() as connection:
        moved = await (await connection.execute(_UPDATE, values)).fetchall()
        kept = {service_id: (seq, kept_at) for service_id, seq, kept_at in moved}
        fresh = [batch for batch in batches if batch.service_id in kept]
        rest = [batch for batch in batches if batch.service_id not in kept]
        before = await _stored_before(connection, rest) if rest else {}
        try:
            # After the result is known, so that lines of tails that have not moved are never sent.
            await _copy(connection, fresh, kept)
        except errors.CheckViolation as exc:
            partitions.forget()
            raise StoreUnavailableError("another daemon has dropped a partition") from exc
        await _insert_gaps(connection, fresh)
    return KeepResult(
        kept={service_id: seq for service_id, (seq, _) in kept.items()} | before,
        fenced=frozenset(batch.service_id for batch in rest if batch.service_id not in before),
    )


async def _stored_before(connection: Connection, batches: Sequence[PendingBatch]) -> dict[int, int]:
    """Return the seq of tails for which these batches were already stored, by service."""
    rows = await connection.execute(
        "SELECT service_id, commit_id, seq FROM tail WHERE service_id = ANY(%s)",
        ([batch.service_id for batch in batches],),
    )
    expected = {batch.service_id: batch.commit_id for batch in batches}
    return {
        service_id: seq
        for service_id, commit_id, seq in await rows.fetchall()
        if expected[service_id] == commit_id
    }


async def _copy(
    connection: Connection,
    batches: Sequence[PendingBatch],
    kept: Mapping[int, tuple[int, int]],
) -> None:
    if not any(batch.entries for batch in batches):
        return
    written = 0
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for batch in batches:
            seq, kept_at = kept[batch.service_id]
            kept_at_value = kept_at - _POSTGRES_EPOCH
            for row in rows_of(batch.entries, seq - len(batch.entries), kept_at):
                await copy.write_row(
                    (
                        row.created_at - _POSTGRES_EPOCH,
                        kept_at_value,
                        batch.service_id,
                        row.deployment_id,
                        row.seq,
                        row.copy,
                        row.severity,
                        row.stream,
                        row.source,
                        row.message,
                        row.raw,
                    )
                )
                written += 1
                if written % _ROWS_AT_ONCE == 0:
                    await asyncio.sleep(0)


async def _insert_gaps(connection: Connection, batches: Sequence[PendingBatch]) -> None:
    gaps = [gap for batch in batches for gap in batch.gaps]
    if gaps:
        async with connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO gap VALUES (%s, %s, %s, %s, clock_timestamp())",
                [(gap.service_id, gap.deployment_id, gap.start, gap.end) for gap in gaps],
            )


# Leases


async def renew(
    connection: Connection, held: Sequence[int], *, daemon_id: UUID, lease: float
) -> frozenset[int]:
    """Renew leases; return those that are still held."""
    if not held:
        return frozenset()
    # A locked row is part of a commit, which renews its lease too; waiting for it could deadlock
    # with that transaction.
    await connection.execute(
        """UPDATE tail SET lease_until = clock_timestamp() + %(lease)s * interval '1 second'
           WHERE service_id IN (SELECT service_id FROM tail
               WHERE owner = %(daemon_id)s AND service_id = ANY(%(held)s)
               FOR UPDATE SKIP LOCKED)""",
        {"lease": lease, "daemon_id": daemon_id, "held": held},
    )
    rows = await connection.execute(
        "SELECT service_id FROM tail WHERE owner = %s AND service_id = ANY(%s)", (daemon_id, held)
    )
    return frozenset(service_id for (service_id,) in await rows.fetchall())


async def take(
    connection: Connection,
    visible: Sequence[int],
    held: Sequence[int],
    *,
    daemon_id: UUID,
    lease: float,
    limit: int,
) -> list[Lease]:
    """Lease free services: up to `limit`, and those that have been free for a while."""
    await connection.execute(
        """INSERT INTO tail (service_id) SELECT v.id FROM unnest(%s::bigint[]) AS v (id)
           WHERE NOT EXISTS (SELECT FROM tail WHERE service_id = v.id) ORDER BY v.id
           ON CONFLICT DO NOTHING""",
        (visible,),
    )
    rows = await connection.execute(
        """UPDATE tail AS t SET owner = %(daemon_id)s,
               lease_until = clock_timestamp() + %(lease)s * interval '1 second'
           FROM (
               SELECT service_id FROM tail
               WHERE service_id = ANY(%(visible)s) AND NOT service_id = ANY(%(held)s)
                   AND (owner = %(daemon_id)s OR lease_until < clock_timestamp())
               ORDER BY owner = %(daemon_id)s DESC NULLS LAST, lease_until
               LIMIT greatest(%(limit)s, (
                   SELECT count(*) FROM tail
                   WHERE service_id = ANY(%(visible)s) AND NOT service_id = ANY(%(held)s)
                       AND (owner = %(daemon_id)s OR lease_until
                            < clock_timestamp() - %(lease)s * interval '1 second')))
               FOR UPDATE SKIP LOCKED
           ) AS free
           WHERE t.service_id = free.service_id
           RETURNING t.service_id, t.cursor, t.commit_id, t.seq""",
        {
            "daemon_id": daemon_id,
            "lease": lease,
            "visible": visible,
            "held": held,
            "limit": max(0, limit),
        },
    )
    return [
        Lease(service_id=each[0], cursor=_cursor(each[0], each[1]), commit_id=each[2], seq=each[3])
        for each in await rows.fetchall()
    ]


def _cursor(service_id: int, text: str | None) -> LogCursor | None:
    if text is None:
        return None
    try:
        return LogCursor.from_json(text)
    except ValueError as exc:
        raise StoreCorruptError(
            f"the cursor of service {service_id} in the store cannot be used: {exc}"
        ) from exc


async def end_stuck_sessions(connection: Connection) -> None:
    """End sessions of collectors that were suspended during a transaction.

    The server does that by itself for idle transactions, but not for a COPY whose client has
    stopped sending.
    """
    await connection.execute(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND usename = current_user
               AND application_name = %s AND pid <> pg_backend_pid() AND state <> 'idle'
               AND wait_event = 'ClientRead'
               AND xact_start < pg_catalog.clock_timestamp() - %s * interval '1 second'""",
        (APPLICATION_NAME, STUCK_SECONDS),
    )
