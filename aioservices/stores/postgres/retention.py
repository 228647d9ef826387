"""Removes lines from a PostgreSQL store: whole days, by dropping their partitions."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Mapping

from psycopg import errors, sql

from aioservices.stores.models import RemovedLines, Retention

from .partitions import Partitions
from .session import Connection, Session

__all__ = ["apply_retention", "next_to_drop"]

_LOCK = 0x61696F7300000003
_DAILY = re.compile(r"line_(\d{8})")
_BEFORE = "line_before_1970"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


async def apply_retention(
    session: Session, partitions: Partitions, retention: Retention
) -> RemovedLines:
    """Apply retention rules, one partition per transaction; one daemon does that at a time."""
    lines = 0
    unsent: Counter[str] = Counter()
    while True:
        async with session.transaction() as connection:
            if not await _is_ours(connection):
                break
            name = await _next_to_drop(connection, retention)
            if name is None:
                if retention.forwarded_to:
                    lines += await _remove_forwarded(connection, retention.forwarded_to)
                break
            try:
                lines += await _drop(connection, name, unsent)
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                break  # it is in use: next time
        partitions.forget()
    return RemovedLines(lines=lines, unsent=dict(unsent))


async def _is_ours(connection: Connection) -> bool:
    found = await (
        await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,))
    ).fetchone()
    return bool(found and found[0])


async def _next_to_drop(connection: Connection, retention: Retention) -> str | None:
    rows = await connection.execute(
        """SELECT relname, pg_total_relation_size(pg_class.oid), now()
           FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
           WHERE inhparent = 'line'::regclass"""
    )
    found = await rows.fetchall()
    if not found:
        return None
    now = retention.time(found[0][2])
    return next_to_drop({str(name): size for name, size, _ in found}, now, retention)


def next_to_drop(sizes: Mapping[str, int], now: dt.datetime, retention: Retention) -> str | None:
    """Choose the next partition to drop; pure.

    Parameters
    ----------
    sizes : mapping of str to int
        The size of each partition, by name.
    now : datetime
        The current time, with a time zone.
    retention : Retention

    Returns
    -------
    str or None
        The oldest partition, if all of its lines are too old, or if the partitions together are too
        large. The partition of today is kept, however large it is.
    """
    ends = {name: end for name in sizes if (end := _end_of(name)) is not None and end <= now}
    if not ends:
        return None
    oldest = min(ends, key=lambda name: ends[name])
    is_old = retention.max_age is not None and now - ends[oldest] >= retention.max_age
    is_large = retention.max_bytes is not None and sum(sizes.values()) > retention.max_bytes
    return oldest if is_old or is_large else None


def _end_of(name: str) -> dt.datetime | None:
    """Return the end of a partition's time range; None if it is open."""
    if found := _DAILY.fullmatch(name):
        return dt.datetime.strptime(f"{found[1]}+0000", "%Y%m%d%z") + dt.timedelta(days=1)
    return _EPOCH if name == _BEFORE else None


async def _drop(connection: Connection, name: str, unsent: Counter[str]) -> int:
    """Drop a partition, and record how many lines of each service it had."""
    table = sql.Identifier(name)
    await connection.execute("SET LOCAL lock_timeout = '2s'")
    await connection.execute(
        sql.SQL("LOCK TABLE ONLY line, ONLY {} IN ACCESS EXCLUSIVE MODE").format(table)
    )
    rows = await connection.execute(
        sql.SQL(
            """SELECT sinks.sink, count(*) FROM {} AS gone
               CROSS JOIN (SELECT DISTINCT sink FROM forward) AS sinks
               LEFT JOIN forward
                   ON forward.sink = sinks.sink AND forward.service_id = gone.service_id
               WHERE gone.seq > coalesce(forward.seq, 0) GROUP BY sinks.sink"""
        ).format(table)
    )
    unsent.update(dict(await rows.fetchall()))
    # In a separate table, because transactions that wait for this table may have locked the tails.
    counted = await connection.execute(
        sql.SQL(
            """WITH gone AS (INSERT INTO removed SELECT service_id, count(*) FROM {}
                             GROUP BY service_id RETURNING lines)
               SELECT coalesce(sum(lines), 0)::bigint FROM gone"""
        ).format(table)
    )
    found = await counted.fetchone()
    await connection.execute(sql.SQL("DROP TABLE {}").format(table))
    return 0 if found is None else int(found[0])


async def _remove_forwarded(connection: Connection, forwarders: tuple[str, ...]) -> int:
    counted = await connection.execute(
        """WITH sent AS (
               SELECT service_id, min(seq) AS seq FROM forward WHERE sink = ANY(%(sinks)s)
               GROUP BY service_id HAVING count(*) = %(count)s),
           gone AS (DELETE FROM line USING sent
               WHERE line.service_id = sent.service_id AND line.seq <= sent.seq
               RETURNING line.service_id),
           noted AS (INSERT INTO removed SELECT service_id, count(*) FROM gone GROUP BY service_id
               RETURNING lines)
           SELECT coalesce(sum(lines), 0)::bigint FROM noted""",
        {"sinks": list(forwarders), "count": len(forwarders)},
    )
    found = await counted.fetchone()
    return 0 if found is None else int(found[0])
