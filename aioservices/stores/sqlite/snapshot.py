"""What everything that reads a SQLite store needs: a consistent view, and its values decoded."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from aioservices.stores.errors import StoreCorruptError
from aioservices.stores.query import LineQuery
from aioservices.stores.record import Row, from_micros

from .blocks import matching_rows

__all__ = ["COLUMNS", "snapshot", "time_of", "unpack"]

COLUMNS = "seq, created_at, kept_at, deployment_id, copy, severity, stream, source, message, raw"
"""The columns of the table ``line`` that make a `Row`."""


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Generator[None]:
    """Show the database as it is at one moment, inside the block."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def unpack(data: bytes, path: Path, service_id: int, query: LineQuery) -> list[Row]:
    """Return the lines of a block that match a query.

    Raises
    ------
    StoreCorruptError
        If the block was changed after it was written.
    """
    try:
        return matching_rows(data, query)
    except ValueError as exc:
        raise StoreCorruptError(f"{path}, service {service_id}: {exc}") from exc


def time_of(micros: int | None) -> dt.datetime | None:
    """Convert a time as it is stored."""
    return None if micros is None else from_micros(micros)
