"""Reads lines from a SQLite store; runs in a reader thread."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from aioservices.stores.models import (
    StoredGap,
    StoredService,
)
from aioservices.stores.query import LineQuery
from aioservices.stores.record import Row, StoredEntry

from .snapshot import COLUMNS, snapshot, time_of, unpack

__all__ = [
    "LineRange",
    "ReadPlan",
    "gaps",
    "load",
    "plan",
    "read_after",
    "services",
]


class LineRange(NamedTuple):
    """A range of a service's lines: their numbers, and the times of the oldest and the newest."""

    first_seq: int
    last_seq: int
    first_at: int
    last_at: int


class ReadPlan(NamedTuple):
    """The ranges to read for a query."""

    service_name: str | None
    ranges: list[LineRange]


def plan(connection: sqlite3.Connection, service_id: int, query: LineQuery) -> ReadPlan:
    """Find the ranges that may contain lines that match a query."""
    with snapshot(connection):
        tail = connection.execute(
            "SELECT service_name, sealed_seq, seq FROM tail WHERE service_id = ?", (service_id,)
        ).fetchone()
        if tail is None:
            return ReadPlan(None, [])
        name, sealed_seq, seq = tail
        blocks = connection.execute(
            "SELECT first_seq, last_seq, first_at, last_at FROM block WHERE service_id = ?",
            (service_id,),
        ).fetchall()
        rows = connection.execute(
            "SELECT min(created_at), max(created_at) FROM line WHERE service_id = ?", (service_id,)
        ).fetchone()
    ranges = [LineRange(*block) for block in blocks]
    if rows[0] is not None:
        ranges.append(LineRange(sealed_seq + 1, seq, *rows))
    start = query.start_at
    end = query.end_at
    wanted = [
        line_range
        for line_range in ranges
        if (start is None or line_range.last_at >= start)
        and (end is None or line_range.first_at <= end)
    ]
    return ReadPlan(name, wanted)


def load(
    connection: sqlite3.Connection,
    path: Path,
    service_id: int,
    line_range: LineRange,
    query: LineQuery,
) -> list[Row]:
    """Read a range by time; its rows may have become a block or been removed meanwhile."""
    with snapshot(connection):
        blocks = connection.execute(
            """SELECT data FROM block
               WHERE service_id = ? AND first_seq BETWEEN ? AND ? ORDER BY first_seq""",
            (service_id, line_range.first_seq, line_range.last_seq),
        ).fetchall()
        found = connection.execute(
            f"SELECT {COLUMNS} FROM line WHERE service_id = ? AND seq BETWEEN ? AND ?",
            (service_id, line_range.first_seq, line_range.last_seq),
        ).fetchall()
    rows = [row for (data,) in blocks for row in unpack(data, path, service_id, query)]
    rows += [row for row in map(Row._make, found) if query.matches(row)]
    rows.sort(key=_by_time)
    return [row for row in rows if row.seq <= line_range.last_seq]


def read_after(
    connection: sqlite3.Connection, path: Path, service_id: int, seq: int, limit: int
) -> list[StoredEntry]:
    """Read lines in the order in which they were stored."""
    everything = LineQuery()
    rows: list[Row] = []
    with snapshot(connection):
        tail = connection.execute(
            "SELECT service_name FROM tail WHERE service_id = ?", (service_id,)
        ).fetchone()
        blocks = connection.execute(
            """SELECT data FROM block WHERE service_id = ? AND first_seq >= coalesce(
                   (SELECT max(first_seq) FROM block WHERE service_id = ? AND first_seq <= ?), 0)
               ORDER BY first_seq""",
            (service_id, service_id, seq),
        )
        for (data,) in blocks:
            rows += [row for row in unpack(data, path, service_id, everything) if row.seq > seq]
            if len(rows) >= limit:
                break
        if len(rows) < limit:
            rows += map(
                Row._make,
                connection.execute(
                    f"""SELECT {COLUMNS} FROM line WHERE service_id = ? AND seq > ?
                        ORDER BY seq LIMIT ?""",
                    (service_id, seq, limit - len(rows)),
                ),
            )
    name = None if tail is None else tail[0]
    return [row.entry(service_id, name) for row in rows[:limit]]


def services(connection: sqlite3.Connection) -> list[StoredService]:
    """List the services of a store."""
    return [
        StoredService(
            service_id=each[0], service_name=each[1], seq=each[2], kept_at=time_of(each[3])
        )
        for each in connection.execute(
            "SELECT service_id, service_name, seq, kept_at FROM tail ORDER BY service_id"
        )
    ]


def gaps(connection: sqlite3.Connection, service_id: int | None) -> list[StoredGap]:
    """List the recorded gaps."""
    return [
        StoredGap(
            service_id=each[0],
            deployment_id=each[1],
            start=time_of(each[2]),
            end=time_of(each[3]),
            noted_at=time_of(each[4]),
        )
        for each in connection.execute(
            "SELECT * FROM gap WHERE ? IS NULL OR service_id = ? ORDER BY noted_at, rowid",
            (service_id, service_id),
        )
    ]


def _by_time(row: Row) -> tuple[int, int]:
    return row.created_at, row.seq
