"""What is read from a PostgreSQL store: a page in a transaction, and nothing held in between."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from aioservices.stores.models import (
    ForwardPosition,
    RejectedLines,
    ServiceAudit,
    StoreAudit,
    StoredGap,
    StoredService,
)
from aioservices.stores.query import LineQuery
from aioservices.stores.record import Row, StoredEntry, from_micros

from .session import Connection, Session

__all__ = [
    "audit",
    "forward_note",
    "forward_positions",
    "gaps",
    "read",
    "read_after",
    "rejected",
    "services",
]

_PAGE = 2000

# Times as microseconds since 1970, computed in whole numbers: what psycopg makes of a time depends
# on the session's time zone, and fails for the year 1.
_MICROS = "(extract(epoch FROM {0}) * 1000000)::bigint"
_COLUMNS = f"""seq, {_MICROS.format("line.created_at")}, {_MICROS.format("line.kept_at")},
    deployment_id, copy, severity, stream, source, message, raw"""


async def read(session: Session, service_id: int, query: LineQuery) -> AsyncIterator[StoredEntry]:
    """Read the lines of a service by time; see `Store.read`."""
    async with session.transaction() as connection:
        name, seq = await _tail(connection, service_id)
    conditions = ["service_id = %(service_id)s", "seq <= %(seq)s"]
    values: dict[str, Any] = {"service_id": service_id, "seq": seq, "limit": _PAGE}
    for condition, key, value in (
        ("created_at >= %(start_at)s", "start_at", _time(query.start_at)),
        ("created_at <= %(end_at)s", "end_at", _time(query.end_at)),
        ("deployment_id = %(deployment_id)s", "deployment_id", query.deployment_id),
        ("strpos(message, %(contains)s) > 0", "contains", query.contains),
    ):
        if value is not None:
            conditions.append(condition)
            values[key] = value
    last = query.last
    pages = _pages(session, service_id, name, conditions, values, newest_first=last is not None)
    if last is None:
        async for page in pages:
            for entry in query.select(page):
                yield entry
        return
    found: list[StoredEntry] = []
    async for page in pages if last > 0 else _nothing():
        found += query.select(page)
        if len(found) >= last:
            break
    for entry in reversed(found[:last]):
        yield entry


async def _pages(
    session: Session,
    service_id: int,
    name: str | None,
    conditions: list[str],
    values: dict[str, Any],
    *,
    newest_first: bool,
) -> AsyncIterator[list[StoredEntry]]:
    """Read page after page, each beginning behind the last line of the one before."""
    sign, order = ("<", "DESC") if newest_first else (">", "ASC")
    # The first condition lets the planner leave out partitions; the second one is exact.
    further = [f"created_at {sign}= %(at)s", f"(created_at, seq) {sign} (%(at)s, %(number)s)"]
    while True:
        query = f"""SELECT {_COLUMNS} FROM line WHERE {" AND ".join(conditions)}
            ORDER BY created_at {order}, seq {order} LIMIT %(limit)s"""
        async with session.transaction() as connection:
            rows = await (await connection.execute(query.encode(), values)).fetchall()
        if not rows:
            return
        page = [Row._make(row).entry(service_id, name) for row in rows]
        yield page
        if len(rows) < _PAGE:
            return
        values = values | {"at": page[-1].created_at, "number": page[-1].seq}
        conditions = [each for each in conditions if each not in further] + further


async def _nothing() -> AsyncIterator[list[StoredEntry]]:
    return
    yield []


async def _tail(connection: Connection, service_id: int) -> tuple[str | None, int]:
    found = await (
        await connection.execute(
            "SELECT service_name, seq FROM tail WHERE service_id = %s", (service_id,)
        )
    ).fetchone()
    return (None, 0) if found is None else (found[0], found[1])


async def read_after(session: Session, service_id: int, seq: int, limit: int) -> list[StoredEntry]:
    """Read lines in the order of keeping."""
    async with session.transaction() as connection:
        name, _ = await _tail(connection, service_id)
        rows = await connection.execute(
            f"""SELECT {_COLUMNS} FROM line WHERE service_id = %s AND seq > %s
                ORDER BY seq LIMIT %s""",
            (service_id, seq, limit),
        )
        return [Row._make(row).entry(service_id, name) for row in await rows.fetchall()]


async def services(session: Session) -> list[StoredService]:
    """List the services of a store."""
    async with session.transaction() as connection:
        rows = await connection.execute(
            "SELECT service_id, service_name, seq, kept_at FROM tail ORDER BY service_id"
        )
        return [
            StoredService(service_id=each[0], service_name=each[1], seq=each[2], kept_at=each[3])
            for each in await rows.fetchall()
        ]


async def gaps(session: Session, service_id: int | None) -> list[StoredGap]:
    """List the gaps that were noted."""
    async with session.transaction() as connection:
        rows = await connection.execute(
            f"""SELECT service_id, deployment_id, {_MICROS.format("start_at")},
                       {_MICROS.format("end_at")}, noted_at
                FROM gap WHERE %(id)s::bigint IS NULL OR service_id = %(id)s ORDER BY noted_at""",
            {"id": service_id},
        )
        return [
            StoredGap(
                service_id=each[0],
                deployment_id=each[1],
                start=_time(each[2]),
                end=_time(each[3]),
                noted_at=each[4],
            )
            for each in await rows.fetchall()
        ]


async def forward_positions(
    session: Session, forwarder: str | None, me: UUID
) -> list[ForwardPosition]:
    """Tell how far forwarders are."""
    async with session.transaction() as connection:
        rows = await connection.execute(
            """SELECT sinks.sink, tail.service_id, coalesce(forward.seq, 0),
                      tail.seq - greatest(coalesce(forward.seq, 0), coalesce(gone.lines, 0)),
                      tail.owner IS NOT DISTINCT FROM %(me)s
                          OR tail.lease_until < clock_timestamp()
               FROM (SELECT DISTINCT sink FROM forward WHERE %(sink)s::text IS NULL
                     UNION SELECT %(sink)s WHERE %(sink)s IS NOT NULL) AS sinks
               CROSS JOIN tail
               LEFT JOIN forward
                   ON forward.sink = sinks.sink AND forward.service_id = tail.service_id
               LEFT JOIN (SELECT service_id, sum(lines)::bigint AS lines
                          FROM removed GROUP BY service_id) AS gone
                   ON gone.service_id = tail.service_id
               ORDER BY 1, 2""",
            {"sink": forwarder, "me": me},
        )
        return [
            ForwardPosition(
                forwarder=each[0],
                service_id=each[1],
                seq=each[2],
                behind=max(0, each[3]),
                is_ours=each[4],
            )
            for each in await rows.fetchall()
        ]


async def forward_note(session: Session, forwarder: str, place: str) -> str | None:
    """Give what a forwarder noted."""
    async with session.transaction() as connection:
        found = await (
            await connection.execute(
                "SELECT note FROM forward_note WHERE sink = %s AND place = %s", (forwarder, place)
            )
        ).fetchone()
        return None if found is None else found[0]


async def rejected(session: Session, forwarder: str | None) -> list[RejectedLines]:
    """List dead letters."""
    async with session.transaction() as connection:
        rows = await connection.execute(
            """SELECT sink, service_id, first_seq, last_seq, lines, reason, at FROM rejected
               WHERE %(sink)s::text IS NULL OR sink = %(sink)s ORDER BY id""",
            {"sink": forwarder},
        )
        return [
            RejectedLines(
                forwarder=each[0],
                service_id=each[1],
                first_seq=each[2],
                last_seq=each[3],
                count=each[4],
                reason=each[5],
                at=each[6],
            )
            for each in await rows.fetchall()
        ]


async def audit(session: Session, *, thorough: bool) -> StoreAudit:
    """Count what is stored, service by service."""
    numbers = "count(DISTINCT seq)" if thorough else "count(*)"
    async with session.transaction() as connection:
        rows = await connection.execute(
            f"""SELECT service_id, service_name, coalesce(lines, 0), coalesce(gone, 0), tail.seq,
                       {_MICROS.format("first_at")}, {_MICROS.format("last_at")}, kept_at,
                       coalesce(gaps, 0), coalesce(highest, 0), coalesce(numbers, 0)
                FROM tail
                LEFT JOIN (SELECT service_id, count(*) AS lines, min(created_at) AS first_at,
                                  max(created_at) AS last_at, max(seq) AS highest,
                                  {numbers} AS numbers
                           FROM line GROUP BY service_id) AS counted USING (service_id)
                LEFT JOIN (SELECT service_id, sum(lines)::bigint AS gone FROM removed
                           GROUP BY service_id) AS removed USING (service_id)
                LEFT JOIN (SELECT service_id, count(*) AS gaps FROM gap
                           GROUP BY service_id) AS gaps USING (service_id)
                ORDER BY service_id"""
        )
        found = await rows.fetchall()
        twice = await _repeated(connection) if thorough else {}
        size = await (
            await connection.execute(
                """SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
                   WHERE relnamespace = to_regnamespace('aioservices') AND relkind IN ('r', 'm')"""
            )
        ).fetchone()
    audits: list[ServiceAudit] = []
    for (
        service_id,
        name,
        lines,
        gone,
        seq,
        first,
        last,
        kept_at,
        gap_count,
        high,
        distinct,
    ) in found:
        problems: list[str] = []
        if lines + gone != seq or high > seq:
            problems.append(
                f"{lines:,} lines are stored and {gone:,} were removed, of {seq:,} that were kept"
            )
        if distinct != lines:
            problems.append(f"{lines - distinct:,} lines have the number of another one")
        if service_id in twice:
            problems.append(f"{twice[service_id]:,} lines are there twice")
        audits.append(
            ServiceAudit(
                service_id=service_id,
                service_name=name,
                lines=lines,
                removed=gone,
                seq=seq,
                first_at=_time(first),
                last_at=_time(last),
                kept_at=kept_at,
                gaps=gap_count,
                problems=tuple(problems),
            )
        )
    return StoreAudit(services=tuple(audits), bytes=0 if size is None else size[0])


async def _repeated(connection: Connection) -> dict[int, int]:
    """Count by service the lines that are there more than once."""
    rows = await connection.execute(
        """SELECT service_id, sum(copies - 1)::bigint FROM (
               SELECT service_id, count(*) AS copies FROM line
               GROUP BY service_id, deployment_id, created_at, stream, source, copy,
                        md5(message), raw
               HAVING count(*) > 1) AS repeated
           GROUP BY service_id"""
    )
    return dict(await rows.fetchall())


def _time(micros: int | None) -> dt.datetime | None:
    return None if micros is None else from_micros(micros)
