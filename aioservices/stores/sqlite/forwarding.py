"""The positions of forwarders and their dead letters, in a SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from aioservices.stores.errors import PositionMovedError
from aioservices.stores.models import ForwardPosition, RejectedLines

from .database import Database, now_micros
from .snapshot import time_of

__all__ = ["forward_note", "forward_positions", "mark_forwarded", "rejected", "resend"]


def forward_positions(
    connection: sqlite3.Connection, forwarder: str | None
) -> list[ForwardPosition]:
    """Return the positions of forwarders."""
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
    """Return the note of a forwarder."""
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
            at=time_of(each[6]),
        )
        for each in connection.execute(
            """SELECT sink, service_id, first_seq, last_seq, lines, reason, at FROM rejected
               WHERE :sink IS NULL OR sink = :sink ORDER BY id""",
            {"sink": forwarder},
        )
    ]


def mark_forwarded(
    database: Database,
    forwarder: str,
    moves: Mapping[int, tuple[int, int]],
    rejected: Iterable[RejectedLines],
    place: str,
    note: str | None,
) -> bool:
    """Move the positions of a forwarder; see `Store.mark_forwarded`."""
    try:
        with database.transaction() as connection:
            _move(connection, forwarder, moves)
            _insert_rejected(connection, forwarder, rejected)
            if note is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO forward_note VALUES (?, ?, ?)",
                    (forwarder, place, note),
                )
    except PositionMovedError:
        return False
    return True


def _move(
    connection: sqlite3.Connection, forwarder: str, moves: Mapping[int, tuple[int, int]]
) -> None:
    """Move positions; raises, which undoes the transaction, if one is not as expected."""
    for service_id, (before, after) in moves.items():
        connection.execute(
            "INSERT OR IGNORE INTO forward VALUES (?, ?, 0)", (forwarder, service_id)
        )
        moved = connection.execute(
            "UPDATE forward SET seq = ? WHERE sink = ? AND service_id = ? AND seq = ?",
            (after, forwarder, service_id, before),
        )
        if moved.rowcount == 0:
            raise PositionMovedError


def _insert_rejected(
    connection: sqlite3.Connection, forwarder: str, rejected: Iterable[RejectedLines]
) -> None:
    now = now_micros()
    connection.executemany(
        """INSERT INTO rejected (sink, service_id, first_seq, last_seq, lines, reason, at)
           VALUES (?, ?, ?, ?, ?, ?, ?)""",
        [
            (
                forwarder,
                each.service_id,
                each.first_seq,
                each.last_seq,
                each.count,
                each.reason,
                now,
            )
            for each in rejected
        ],
    )


def resend(database: Database, forwarder: str, since: int | None, rejected_only: bool) -> int:
    """Move a forwarder back; return how many lines it will send again."""
    if rejected_only:
        first = """SELECT min(first_seq) FROM rejected
                   WHERE sink = forward.sink AND service_id = forward.service_id"""
        values: tuple[object, ...] = ()
    elif since is None:
        first, values = "SELECT 1", ()
    else:
        first = """SELECT min(seq) FROM (
                       SELECT min(first_seq) AS seq FROM block
                       WHERE service_id = forward.service_id AND last_kept >= ?
                       UNION ALL SELECT min(seq) FROM line
                       WHERE service_id = forward.service_id AND kept_at >= ?)"""
        values = (since, since)
    with database.transaction() as connection:
        before = _sum_of_positions(connection, forwarder)
        connection.execute(
            f"""UPDATE forward SET seq = min(seq, coalesce(({first}) - 1, seq))
                WHERE sink = ?""",
            (*values, forwarder),
        )
        if rejected_only:
            connection.execute("DELETE FROM rejected WHERE sink = ?", (forwarder,))
        return before - _sum_of_positions(connection, forwarder)


def _sum_of_positions(connection: sqlite3.Connection, forwarder: str) -> int:
    found = connection.execute(
        "SELECT coalesce(sum(seq), 0) FROM forward WHERE sink = ?", (forwarder,)
    ).fetchone()
    return int(found[0])
