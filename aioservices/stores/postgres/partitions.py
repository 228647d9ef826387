"""The partitions of the table ``line``: one per day, created when needed, dropped when old."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from psycopg import sql

from .session import Connection, Session

__all__ = ["Partition", "Partitions", "partition_of"]

_LOCK = 0x61696F7300000002
_DAY = 86_400_000_000  # microseconds
_AT_ONCE = 50  # a transaction that creates too many runs out of locks

# Timestamps outside these years are wrong, and get no daily partitions.
_FIRST_DAY = 0  # 1970-01-01
_END_DAY = 84_006  # 2200-01-01
_EPOCH = dt.date(1970, 1, 1)


class Partition(NamedTuple):
    """A partition: days since 1970, without the end; None is open."""

    name: str
    start: int | None
    end: int | None


def partition_of(created_at: int) -> Partition:
    """Return the partition of a line with a time in microseconds since 1970."""
    day = created_at // _DAY
    if day < _FIRST_DAY:
        return Partition("line_before_1970", None, _FIRST_DAY)
    if day >= _END_DAY:
        return Partition("line_after_2199", _END_DAY, None)
    return Partition(f"line_{_date(day):%Y%m%d}", day, day + 1)


class Partitions:
    """The partitions that this process knows."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def missing(self, created_at: Iterable[int]) -> list[Partition]:
        """Return the partitions that lines need and that are not known to exist."""
        days = {micros // _DAY for micros in created_at}
        needed = {partition_of(day * _DAY) for day in days}
        return sorted(each for each in needed if each.name not in self._known)

    def forget(self) -> None:
        """Forget the known partitions, because some were dropped."""
        self._known.clear()

    async def create(self, session: Session, partitions: list[Partition]) -> None:
        """Create missing partitions. Two daemons may do that at the same time."""
        for first in range(0, len(partitions), _AT_ONCE):
            some = partitions[first : first + _AT_ONCE]
            async with session.transaction() as connection:
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                there = await attached(connection)
                for partition in some:
                    if partition.name not in there:
                        await _create(connection, partition)
            self._known.update(partition.name for partition in some)


async def attached(connection: Connection) -> set[str]:
    """List the partitions."""
    rows = await connection.execute(
        """SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
           WHERE inhparent = 'line'::regclass"""
    )
    return {name for (name,) in await rows.fetchall()}


async def _create(connection: Connection, partition: Partition) -> None:
    # CREATE ... PARTITION OF would wait for all readers and writers of the table, and block later
    # ones; attaching an existing table does not.
    table = sql.Identifier(partition.name)
    await connection.execute(sql.SQL("CREATE TABLE {} (LIKE line INCLUDING ALL)").format(table))
    await connection.execute(
        sql.SQL("ALTER TABLE line ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            table, _bound(partition.start, "MINVALUE"), _bound(partition.end, "MAXVALUE")
        )
    )


def _bound(day: int | None, otherwise: str) -> sql.Composable:
    if day is None:
        return sql.SQL(otherwise)  # pyright: ignore[reportArgumentType]
    return sql.Literal(f"{_date(day).isoformat()} 00:00:00+00")


def _date(day: int) -> dt.date:
    return _EPOCH + dt.timedelta(days=day)
