"""Writes to a SQLite store, on its only writing connection; runs in the writer thread."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from uuid import UUID, uuid4

from aioservices.stores.errors import StoreCorruptError, StoreUnavailableError
from aioservices.stores.models import KeepResult, Lease, PendingBatch
from aioservices.stores.record import Row, rows_of, to_micros
from aioservices.tail import LogCursor

from .blocks import pack_block, unpack_block
from .schema import open_database, translated_errors
from .snapshot import COLUMNS

__all__ = ["Database", "insert_block", "now_micros"]

log = logging.getLogger("aioservices.stores")

_BLOCK_LINES = 2000
_UNSEALED_LINES = 500  # the newest lines, which stay rows
_SMALL_BLOCK_LINES = 500


class Database:
    """The writing connection of a store's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = open_database(path)
        self.salt: bytes = self.connection.execute(
            "SELECT value FROM meta WHERE name = 'salt'"
        ).fetchone()[0]
        self.trimmed_at = 0  # microseconds since 1970
        self._sealable: dict[int, None] = {}  # services with enough rows for a block

    def close(self) -> None:
        """Close the connection."""
        with translated_errors(self.path):
            self.connection.close()

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Run the block in a transaction."""
        connection = self.connection
        with translated_errors(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite may already have rolled back
                    connection.execute("ROLLBACK")
                raise

    # Storing

    def lease(self, service_ids: Collection[int]) -> list[Lease]:
        """Return the tails of services; new ones are created."""
        leases: list[Lease] = []
        with self.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO tail (service_id, commit_id) VALUES (?, ?)",
                [(service_id, uuid4().bytes) for service_id in service_ids],
            )
            for service_id in service_ids:
                commit_id, cursor, seq = connection.execute(
                    "SELECT commit_id, cursor, seq FROM tail WHERE service_id = ?", (service_id,)
                ).fetchone()
                leases.append(
                    Lease(
                        service_id=service_id,
                        cursor=self._cursor(service_id, cursor),
                        commit_id=UUID(bytes=commit_id),
                        seq=seq,
                    )
                )
        return leases

    def _cursor(self, service_id: int, text: str | None) -> LogCursor | None:
        if text is None:
            return None
        try:
            return LogCursor.from_json(text)
        except ValueError as exc:
            raise StoreCorruptError(
                f"{self.path}: the cursor of service {service_id} cannot be used: {exc}"
            ) from exc

    def keep(self, batches: Sequence[PendingBatch]) -> KeepResult:
        """Store lines and cursors in one transaction."""
        kept: dict[int, int] = {}
        fenced: set[int] = set()
        sealable: list[int] = []
        with self.transaction() as connection:
            now = now_micros()
            for batch in batches:
                found = connection.execute(
                    """UPDATE tail SET commit_id = ?, cursor = ?, seq = seq + ?, kept_at = ?,
                           service_name = coalesce(?, service_name)
                       WHERE service_id = ? AND commit_id = ? RETURNING seq, sealed_seq""",
                    (
                        batch.commit_id.bytes,
                        batch.cursor.to_json(),
                        len(batch.entries),
                        now,
                        batch.service_name,
                        batch.service_id,
                        batch.base.bytes,
                    ),
                ).fetchone()
                if found is None:
                    seq = self._stored_before(batch)
                    if seq is None:
                        fenced.add(batch.service_id)
                    else:
                        kept[batch.service_id] = seq
                    continue
                seq, sealed_seq = found
                kept[batch.service_id] = seq
                self._insert(batch, seq - len(batch.entries), now)
                if seq - sealed_seq >= _BLOCK_LINES + _UNSEALED_LINES:
                    sealable.append(batch.service_id)
        self._sealable.update(dict.fromkeys(sealable))
        return KeepResult(kept=kept, fenced=frozenset(fenced))

    def _stored_before(self, batch: PendingBatch) -> int | None:
        """Return the seq of a tail for which this batch was already stored; None if it was not."""
        found = self.connection.execute(
            "SELECT seq FROM tail WHERE service_id = ? AND commit_id = ?",
            (batch.service_id, batch.commit_id.bytes),
        ).fetchone()
        return None if found is None else found[0]

    def _insert(self, batch: PendingBatch, seq: int, now: int) -> None:
        service_id = batch.service_id
        self.connection.executemany(
            f"INSERT INTO line (service_id, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((service_id, *row) for row in rows_of(batch.entries, seq, now)),
        )
        self.connection.executemany(
            "INSERT INTO gap VALUES (?, ?, ?, ?, ?)",
            [
                (
                    service_id,
                    gap.deployment_id,
                    None if gap.start is None else to_micros(gap.start),
                    None if gap.end is None else to_micros(gap.end),
                    now,
                )
                for gap in batch.gaps
            ],
        )

    # Sealing

    @property
    def has_sealable(self) -> bool:
        """Whether any service has enough rows for a block."""
        return bool(self._sealable)

    def seal_one(self) -> None:
        """Make one block from the oldest rows of a service that has enough of them."""
        service_id = next(iter(self._sealable))
        del self._sealable[service_id]
        left = self._seal(service_id, _BLOCK_LINES)
        if left >= _BLOCK_LINES + _UNSEALED_LINES:
            self._sealable[service_id] = None

    def seal_old(self, before: int) -> None:
        """Make blocks from rows stored before a time, for services that have enough of them."""
        with translated_errors(self.path):
            waiting = self.connection.execute(
                """SELECT tail.service_id FROM tail JOIN line
                       ON line.service_id = tail.service_id AND line.seq = tail.sealed_seq + 1
                   WHERE tail.seq - tail.sealed_seq >= ? AND line.kept_at < ?""",
                (_SMALL_BLOCK_LINES, before),
            ).fetchall()
        for (service_id,) in waiting:
            self._seal(service_id, _BLOCK_LINES, before)

    def _seal(self, service_id: int, limit: int, before: int | None = None) -> int:
        """Make a block from rows; return the number of remaining rows."""
        with self.transaction() as connection:
            found = map(
                Row._make,
                connection.execute(
                    f"SELECT {COLUMNS} FROM line WHERE service_id = ? ORDER BY seq LIMIT ?",
                    (service_id, limit),
                ),
            )
            rows = [*takewhile(lambda row: before is None or row.kept_at < before, found)]
            if rows:
                last = rows[-1].seq
                insert_block(connection, service_id, rows)
                connection.execute(
                    "DELETE FROM line WHERE service_id = ? AND seq <= ?", (service_id, last)
                )
                connection.execute(
                    "UPDATE tail SET sealed_seq = ? WHERE service_id = ?", (last, service_id)
                )
            seq, sealed_seq = connection.execute(
                "SELECT seq, sealed_seq FROM tail WHERE service_id = ?", (service_id,)
            ).fetchone()
        return int(seq - sealed_seq)

    def unpack(self, service_id: int, data: bytes) -> list[Row]:
        """Return the lines of a block."""
        try:
            return unpack_block(data)
        except ValueError as exc:
            raise StoreCorruptError(f"{self.path}, service {service_id}: {exc}") from exc

    def try_to_seal(self) -> None:
        """Seal one block if possible; after a failure the rows stay, to be sealed later."""
        try:
            self.seal_one()
        except StoreUnavailableError as exc:
            log.warning("lines could not be sealed for now: %s", exc)


def insert_block(connection: sqlite3.Connection, service_id: int, rows: Sequence[Row]) -> None:
    """Store lines as a block, if there are any."""
    if not rows:
        return
    times = [row.created_at for row in rows]
    connection.execute(
        "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            service_id,
            rows[0].seq,
            rows[-1].seq,
            len(rows),
            min(times),
            max(times),
            rows[-1].kept_at,
            pack_block(rows),
        ),
    )


def now_micros() -> int:
    """Return the time as it is stored."""
    return time.time_ns() // 1000
