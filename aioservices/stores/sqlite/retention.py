"""Removes lines from a SQLite store, and shrinks its file."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter

from aioservices.stores.models import RemovedLines, Retention
from aioservices.stores.record import from_micros, to_micros

from .database import Database, insert_block
from .schema import translated_errors

__all__ = ["apply_retention"]

_MICROSECONDS = 1_000_000
# The number of blocks or rows that one transaction removes ...
_BLOCKS_AT_ONCE, _ROWS_AT_ONCE = 50, 50_000
# ... and the same when as little as possible is to be removed.
_FEW_BLOCKS, _FEW_ROWS = 4, 500
_PAGES_AT_ONCE = 2000
# How much longer than allowed a line may stay in a block: a part of the age, at most a day.
_TOLERANCE, _LONGEST_TOLERANCE = 50, 86_400 * _MICROSECONDS
_SEAL_AFTER = 3600  # seconds until the rows of a quiet service are sealed


def apply_retention(database: Database, retention: Retention) -> RemovedLines:
    """Apply retention rules, some lines at a time, and release the freed space."""
    removal = _Removal(database)
    now = to_micros(retention.time(from_micros(time.time_ns() // 1000)))
    if retention.forwarded_to:
        removal.remove_forwarded(retention.forwarded_to)
    if retention.max_age is not None:
        age = int(retention.max_age.total_seconds() * _MICROSECONDS)
        removal.remove_older(now - age)
        tolerance = min(age // _TOLERANCE, _LONGEST_TOLERANCE)
        is_due = abs(now - database.trimmed_at) >= tolerance  # a clock may be set back
        if is_due and removal.trim_blocks(now - age, now - age - tolerance):
            database.trimmed_at = now
    if retention.max_bytes is not None:
        removal.remove_to_fit(retention.max_bytes)
    database.seal_old(now - _SEAL_AFTER * _MICROSECONDS)
    if removal.lines:
        _release_space(database)
    return RemovedLines(lines=removal.lines, unsent=dict(removal.unsent))


class _Removal:
    """Removes lines, and records how many."""

    def __init__(self, database: Database) -> None:
        self.lines = 0
        self.unsent: Counter[str] = Counter()
        self._database = database

    def remove_older(self, before: int) -> None:
        while self._remove_blocks("last_at < ? ORDER BY last_at", (before,)):
            pass
        while self._remove_rows("created_at < ?", (before,)):
            pass

    def trim_blocks(self, before: int, tolerated: int) -> bool:
        """Remove old lines from blocks that also contain newer ones.

        A block of a quiet service spans weeks. It is rewritten without the old lines, but only if
        one of them is older than tolerated. Returns whether all blocks are done: a call rewrites
        some only, so that other work of the thread does not wait too long.
        """
        with translated_errors(self._database.path):
            found = self._database.connection.execute(
                "SELECT service_id, first_seq FROM block WHERE first_at < ? LIMIT ?",
                (tolerated, _BLOCKS_AT_ONCE),
            ).fetchall()
        for service_id, first_seq in found:
            with self._database.transaction() as connection:
                (data,) = connection.execute(
                    "SELECT data FROM block WHERE service_id = ? AND first_seq = ?",
                    (service_id, first_seq),
                ).fetchone()
                rows = self._database.unpack(service_id, data)
                connection.execute(
                    "DELETE FROM block WHERE service_id = ? AND first_seq = ?",
                    (service_id, first_seq),
                )
                insert_block(connection, service_id, [r for r in rows if r.created_at >= before])
                old = [row.seq for row in rows if row.created_at < before]
                self._record_removal(connection, [(service_id, seq, seq, 1) for seq in old])
        return len(found) < _BLOCKS_AT_ONCE

    def remove_forwarded(self, forwarders: tuple[str, ...]) -> None:
        with translated_errors(self._database.path):
            positions = self._database.connection.execute(
                f"""SELECT service_id, min(seq) FROM forward
                    WHERE sink IN ({", ".join("?" * len(forwarders))})
                    GROUP BY service_id HAVING count(*) = ?""",
                (*forwarders, len(forwarders)),
            ).fetchall()
        for service_id, seq in positions:
            while self._remove_blocks("service_id = ? AND last_seq <= ?", (service_id, seq)):
                pass
            while self._remove_rows("service_id = ? AND seq <= ?", (service_id, seq)):
                pass

    def remove_to_fit(self, max_bytes: int) -> None:
        while _used_bytes(self._database) > max_bytes:
            if not self._remove_blocks("TRUE ORDER BY last_at", (), at_once=_FEW_BLOCKS) and not (
                self._remove_rows("TRUE ORDER BY created_at", (), at_once=_FEW_ROWS)
            ):
                return

    def _remove_blocks(
        self, condition: str, values: tuple[int, ...], *, at_once: int = _BLOCKS_AT_ONCE
    ) -> bool:
        """Remove some blocks; return whether there were any."""
        with self._database.transaction() as connection:
            blocks = connection.execute(
                f"""SELECT service_id, first_seq, last_seq, lines FROM block
                    WHERE {condition} LIMIT ?""",
                (*values, at_once),
            ).fetchall()
            connection.executemany(
                "DELETE FROM block WHERE service_id = ? AND first_seq = ?",
                [(service_id, first) for service_id, first, _, _ in blocks],
            )
            self._record_removal(connection, blocks)
        return bool(blocks)

    def _remove_rows(
        self, condition: str, values: tuple[int, ...], *, at_once: int = _ROWS_AT_ONCE
    ) -> bool:
        """Remove some rows; return whether there were any."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT service_id, seq FROM line WHERE {condition} LIMIT ?",
                (*values, at_once),
            ).fetchall()
            connection.executemany("DELETE FROM line WHERE service_id = ? AND seq = ?", rows)
            self._record_removal(
                connection, [(service_id, seq, seq, 1) for service_id, seq in rows]
            )
        return bool(rows)

    def _record_removal(
        self, connection: sqlite3.Connection, ranges: list[tuple[int, int, int, int]]
    ) -> None:
        """Record the removal of ranges of lines: service, first seq, last seq, lines."""
        removed: Counter[int] = Counter()
        positions = _positions(connection)
        for service_id, _, last, lines in ranges:
            removed[service_id] += lines
            for sink, sent in positions.items():
                self.unsent[sink] += max(0, min(lines, last - sent.get(service_id, 0)))
        connection.executemany(
            # Numbers before the first remaining row count as sealed, because no row has them.
            """UPDATE tail SET removed = removed + ?, sealed_seq = max(sealed_seq, coalesce(
                   (SELECT min(seq) - 1 FROM line WHERE service_id = tail.service_id), seq))
               WHERE service_id = ?""",
            [(lines, service_id) for service_id, lines in removed.items()],
        )
        self.lines += removed.total()


def _positions(connection: sqlite3.Connection) -> dict[str, dict[int, int]]:
    positions: dict[str, dict[int, int]] = {}
    for sink, service_id, seq in connection.execute("SELECT sink, service_id, seq FROM forward"):
        positions.setdefault(sink, {})[service_id] = seq
    return positions


def _used_bytes(database: Database) -> int:
    with translated_errors(database.path):
        pages, free, size = (
            database.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def _release_space(database: Database) -> None:
    with translated_errors(database.path):
        while database.connection.execute("PRAGMA freelist_count").fetchone()[0] > 0:
            # `execute` would free only one page.
            database.connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
        database.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
