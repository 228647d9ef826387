"""Reads lines from a PostgreSQL store: one page per transaction, with nothing held in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aioservices.stores.models import (
    StoredGap,
    StoredService,
)
from aioservices.stores.query import LineQuery
from aioservices.stores.record import Row, StoredEntry

from .session import Connection, Session
from .values import MICROS, time_of

__all__ = [
    "gaps",
    "read",
    "read_after",
    "services",
]

_PAGE = 2000

_COLUMNS = f"""seq, {MICROS.format("line.created_at")}, {MICROS.format("line.kept_at")},
    deployment_id, copy, severity, stream, source, message, raw"""


async def read(session: Session, service_id: int, query: LineQuery) -> AsyncIterator[StoredEntry]:
    """Read the lines of a service by time; see `Store.read`."""
    async with session.transaction() as connection:
        name, seq = await _tail(connection, service_id)
    conditions = ["service_id = %(service_id)s", "seq <= %(seq)s"]
    values: dict[str, Any] = {"service_id": service_id, "seq": seq, "limit": _PAGE}
    for condition, key, value in (
        ("created_at >= %(start_at)s", "start_at", time_of(query.start_at)),
        ("created_at <= %(end_at)s", "end_at", time_of(query.end_at)),
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
    """Read page after page, each starting after the last line of the previous one."""
    sign, order = ("<", "DESC") if newest_first else (">", "ASC")
    # The first condition lets the planner skip partitions; the second one is exact.
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
    """Read lines in the order in which they were stored."""
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
    """List the recorded gaps."""
    async with session.transaction() as connection:
        rows = await connection.execute(
            f"""SELECT service_id, deployment_id, {MICROS.format("start_at")},
                       {MICROS.format("end_at")}, noted_at
                FROM gap WHERE %(id)s::bigint IS NULL OR service_id = %(id)s ORDER BY noted_at""",
            {"id": service_id},
        )
        return [
            StoredGap(
                service_id=each[0],
                deployment_id=each[1],
                start=time_of(each[2]),
                end=time_of(each[3]),
                noted_at=each[4],
            )
            for each in await rows.fetchall()
        ]
