"""The audit of a SQLite store: are all lines there, and each once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from aioservices.stores.errors import StoreCorruptError
from aioservices.stores.models import ServiceAudit, StoreAudit
from aioservices.stores.problems import duplicate_lines, duplicate_numbers, wrong_count
from aioservices.stores.query import LineQuery
from aioservices.stores.record import Row

from .snapshot import COLUMNS, snapshot, time_of, unpack

__all__ = ["audit"]


def audit(connection: sqlite3.Connection, path: Path, *, thorough: bool) -> StoreAudit:
    """Check the lines of each service; see `Store.audit`."""
    problems: list[str] = []
    if thorough:
        found = [text for (text,) in connection.execute("PRAGMA integrity_check(5)")]
        problems += [f"{path} is damaged: {text}" for text in found if text != "ok"]
    with snapshot(connection):
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
        problems.append(wrong_count(lines, removed, seq))
    if misplaced:
        problems.append(f"{misplaced:,} lines or blocks have an impossible number")
    if thorough:
        problems += _find_damage(connection, path, service_id, lines)
    return ServiceAudit(
        service_id=service_id,
        service_name=service_name,
        lines=lines,
        removed=removed,
        seq=seq,
        first_at=time_of(first_at),
        last_at=time_of(last_at),
        kept_at=time_of(kept_at),
        gaps=gap_count,
        problems=tuple(problems),
    )


def _find_damage(
    connection: sqlite3.Connection, path: Path, service_id: int, lines: int
) -> list[str]:
    """Read every line of a service, and return the problems."""
    problems: list[str] = []
    numbers: set[int] = set()
    hashes: set[int] = set()
    count = 0
    for rows in _all_rows(connection, path, service_id, problems):
        count += len(rows)
        numbers.update(row.seq for row in rows)
        hashes.update(hash(row._replace(seq=0, kept_at=0)) for row in rows)
    if count != lines:
        problems.append(f"{count:,} of {lines:,} lines can be read")
    if len(numbers) != count:
        problems.append(duplicate_numbers(count - len(numbers)))
    if len(hashes) != count:
        problems.append(duplicate_lines(count - len(hashes)))
    return problems


def _all_rows(
    connection: sqlite3.Connection, path: Path, service_id: int, problems: list[str]
) -> Iterator[list[Row]]:
    for (data,) in connection.execute(
        "SELECT data FROM block WHERE service_id = ? ORDER BY first_seq", (service_id,)
    ):
        try:
            yield unpack(data, path, service_id, LineQuery())
        except StoreCorruptError as exc:
            problems.append(str(exc))
    yield [
        Row._make(each)
        for each in connection.execute(
            f"SELECT {COLUMNS} FROM line WHERE service_id = ?",
            (service_id,),
        )
    ]
