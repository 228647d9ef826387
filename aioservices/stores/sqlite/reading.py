"""What is read from a SQLite store: plain functions on a connection, in a thread."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aioservices.stores.errors import StoreCorruptError
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

from .blocks import matching_rows

__all__ = [
    "Piece",
    "Plan",
    "audit",
    "forward_note",
    "forward_positions",
    "gaps",
    "load",
    "plan",
    "read_after",
    "rejected",
    "services",
]

_COLUMNS = "seq, created_at, kept_at, deployment_id, copy, severity, stream, source, message, raw"


class Piece(NamedTuple):
    """A range of a service's lines, by number, and the times between which they were written."""

    first_seq: int
    last_seq: int
    first_at: int
    last_at: int


class Plan(NamedTuple):
    """What has to be read for a query."""

    service_name: str | None
    pieces: list[Piece]


def plan(connection: sqlite3.Connection, service_id: int, query: LineQuery) -> Plan:
    """Find the pieces that may hold what a query asks for."""
    with _snapshot(connection):
        tail = connection.execute(
            "SELECT service_name, sealed_seq, seq FROM tail WHERE service_id = ?", (service_id,)
        ).fetchone()
        if tail is None:
            return Plan(None, [])
        name, sealed_seq, seq = tail
        blocks = connection.execute(
            "SELECT first_seq, last_seq, first_at, last_at FROM block WHERE service_id = ?",
            (service_id,),
        ).fetchall()
        rows = connection.execute(
            "SELECT min(created_at), max(created_at) FROM line WHERE service_id = ?", (service_id,)
        ).fetchone()
    pieces = [Piece(*block) for block in blocks]
    if rows[0] is not None:
        pieces.append(Piece(sealed_seq + 1, seq, *rows))
    start = query.start_at
    end = query.end_at
    wanted = [
        piece
        for piece in pieces
        if (start is None or piece.last_at >= start) and (end is None or piece.first_at <= end)
    ]
    return Plan(name, wanted)


def load(
    connection: sqlite3.Connection, path: Path, service_id: int, piece: Piece, query: LineQuery
) -> list[Row]:
    """Read a piece, by time. Its rows may have become a block meanwhile, or been removed."""
    with _snapshot(connection):
        blocks = connection.execute(
            """SELECT data FROM block
               WHERE service_id = ? AND first_seq BETWEEN ? AND ? ORDER BY first_seq""",
            (service_id, piece.first_seq, piece.last_seq),
        ).fetchall()
        found = connection.execute(
            f"SELECT {_COLUMNS} FROM line WHERE service_id = ? AND seq BETWEEN ? AND ?",
            (service_id, piece.first_seq, piece.last_seq),
        ).fetchall()
    rows = [row for (data,) in blocks for row in _unpacked(data, path, service_id, query)]
    rows += [row for row in map(Row._make, found) if query.matches(row)]
    rows.sort(key=_by_time)
    return [row for row in rows if row.seq <= piece.last_seq]


def read_after(
    connection: sqlite3.Connection, path: Path, service_id: int, seq: int, limit: int
) -> list[StoredEntry]:
    """Read lines in the order of keeping."""
    everything = LineQuery()
    rows: list[Row] = []
    with _snapshot(connection):
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
            rows += [row for row in _unpacked(data, path, service_id, everything) if row.seq > seq]
            if len(rows) >= limit:
                break
        if len(rows) < limit:
            rows += map(
                Row._make,
                connection.execute(
                    f"""SELECT {_COLUMNS} FROM line WHERE service_id = ? AND seq > ?
                        ORDER BY seq LIMIT ?""",
                    (service_id, seq, limit - len(rows)),
                ),
            )
    name = None if tail is None else tail[0]
    return [row.entry(service_id, name) for row in rows[:limit]]


def services(connection: sqlite3.Connection) -> list[StoredService]:
    """List the services of a store."""
    return [
        StoredService(service_id=each[0], service_name=each[1], seq=each[2], kept_at=_time(each[3]))
        for each in connection.execute(
            "SELECT service_id, service_name, seq, kept_at FROM tail ORDER BY service_id"
        )
    ]


def gaps(connection: sqlite3.Connection, service_id: int | None) -> list[StoredGap]:
    """List the gaps that were noted."""
    return [
        StoredGap(
            service_id=each[0],
            deployment_id=each[1],
            start=_time(each[2]),
            end=_time(each[3]),
            noted_at=_time(each[4]),
        )
        for each in connection.execute(
            "SELECT * FROM gap WHERE ? IS NULL OR service_id = ? ORDER BY noted_at, rowid",
            (service_id, service_id),
        )
    ]


def forward_positions(
    connection: sqlite3.Connection, forwarder: str | None
) -> list[ForwardPosition]:
    """Tell how far forwarders are."""
    return [
        ForwardPosition(forwarder=sink, service_id=service_id, seq=seq, behind=max(0, behind))
        for sink, service_id, seq, behind in connection.execute(
            """SELECT sinks.sink, tail.service_id, coalesce(forward.seq, 0),
                      tail.seq - max(coalesce(forward.seq, 0), tail.removed)
               FROM (SELECT DISTINCT sink FROM forward WHERE :sink IS NULL
                     UNION SELECT :sink WHERE :sink IS NOT NULL) AS sinks
               CROSS JOIN tail LEFT JOIN forward
                   ON forward.sink = sinks.sink AND forward.service_id = tail.service_id
               ORDER BY 1, 2""",
            {"sink": forwarder},
        )
    ]


def forward_note(connection: sqlite3.Connection, forwarder: str, place: str) -> str | None:
    """Give what a forwarder noted."""
    found = connection.execute(
        "SELECT note FROM forward_note WHERE sink = ? AND place = ?", (forwarder, place)
    ).fetchone()
    return None if found is None else found[0]


def rejected(connection: sqlite3.Connection, forwarder: str | None) -> list[RejectedLines]:
    """List dead letters."""
    return [
        RejectedLines(
            forwarder=each[0],
            service_id=each[1],
            first_seq=each[2],
            last_seq=each[3],
            count=each[4],
            reason=each[5],
            at=_time(each[6]),
        )
        for each in connection.execute(
            """SELECT sink, service_id, first_seq, last_seq, lines, reason, at FROM rejected
               WHERE :sink IS NULL OR sink = :sink ORDER BY id""",
            {"sink": forwarder},
        )
    ]


def audit(connection: sqlite3.Connection, path: Path, *, thorough: bool) -> StoreAudit:
    """Count what is stored, service by service."""
    problems: list[str] = []
    if thorough:
        found = [text for (text,) in connection.execute("PRAGMA integrity_check(5)")]
        problems += [f"{path} is damaged: {text}" for text in found if text != "ok"]
    with _snapshot(connection):
        tails = connection.execute(
            """SELECT service_id, service_name, seq, removed, sealed_seq, kept_at,
                      (SELECT count(*) FROM gap WHERE gap.service_id = tail.service_id)
               FROM tail ORDER BY service_id"""
        ).fetchall()
        audits = [_audit_service(connection, path, *each, thorough=thorough) for each in tails]
        pages, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "page_size")
        )
    return StoreAudit(services=tuple(audits), bytes=pages * size, problems=tuple(problems))


def _audit_service(
    connection: sqlite3.Connection,
    path: Path,
    service_id: int,
    service_name: str | None,
    seq: int,
    removed: int,
    sealed_seq: int,
    kept_at: int | None,
    gap_count: int,
    *,
    thorough: bool,
) -> ServiceAudit:
    lines, first_at, last_at, misplaced = connection.execute(
        """SELECT sum(lines), min(first_at), max(last_at), coalesce(sum(misplaced), 0) FROM (
               SELECT count(*) AS lines, min(created_at) AS first_at, max(created_at) AS last_at,
                      sum(seq <= :sealed OR seq > :last) AS misplaced
                      FROM line WHERE service_id = :service
               UNION ALL SELECT coalesce(sum(lines), 0), min(first_at), max(last_at),
                      sum(last_seq > :sealed) FROM block WHERE service_id = :service)""",
        {"service": service_id, "sealed": sealed_seq, "last": seq},
    ).fetchone()
    problems: list[str] = []
    if lines + removed != seq:
        problems.append(
            f"{lines:,} lines are stored and {removed:,} were removed, of {seq:,} that were kept"
        )
    if misplaced:
        problems.append(f"{misplaced:,} lines or blocks have a number that they cannot have")
    if thorough:
        problems += _damage(connection, path, service_id, lines)
    return ServiceAudit(
        service_id=service_id,
        service_name=service_name,
        lines=lines,
        removed=removed,
        seq=seq,
        first_at=_time(first_at),
        last_at=_time(last_at),
        kept_at=_time(kept_at),
        gaps=gap_count,
        problems=tuple(problems),
    )


def _damage(connection: sqlite3.Connection, path: Path, service_id: int, lines: int) -> list[str]:
    """Read every line of a service; say in words what is wrong."""
    problems: list[str] = []
    numbers: set[int] = set()
    hashes: set[int] = set()
    count = 0
    for rows in _all_rows(connection, path, service_id, problems):
        count += len(rows)
        numbers.update(row.seq for row in rows)
        hashes.update(hash(row._replace(seq=0, kept_at=0)) for row in rows)
    if count != lines:
        problems.append(f"{count:,} lines can be read of {lines:,} that are counted")
    if len(numbers) != count:
        problems.append(f"{count - len(numbers):,} lines have the number of another one")
    if len(hashes) != count:
        problems.append(f"{count - len(hashes):,} lines are there twice")
    return problems


def _all_rows(
    connection: sqlite3.Connection, path: Path, service_id: int, problems: list[str]
) -> Iterator[list[Row]]:
    for (data,) in connection.execute(
        "SELECT data FROM block WHERE service_id = ? ORDER BY first_seq", (service_id,)
    ):
        try:
            yield _unpacked(data, path, service_id, LineQuery())
        except StoreCorruptError as exc:
            problems.append(str(exc))
    yield [
        Row._make(each)
        for each in connection.execute(
            f"SELECT {_COLUMNS} FROM line WHERE service_id = ?",
            (service_id,),
        )
    ]


def _unpacked(data: bytes, path: Path, service_id: int, query: LineQuery) -> list[Row]:
    try:
        return matching_rows(data, query)
    except ValueError as exc:
        raise StoreCorruptError(f"{path}, service {service_id}: {exc}") from exc


def _by_time(row: Row) -> tuple[int, int]:
    return row.created_at, row.seq


def _time(micros: int | None) -> dt.datetime | None:
    return None if micros is None else from_micros(micros)


class _snapshot:  # noqa: N801 - used as a statement
    """Everything that is read inside the block is of one moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
