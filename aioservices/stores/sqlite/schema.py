"""The file of a SQLite store: created, checked and migrated."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from aioservices.stores.errors import (
    StoreConfigError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    StoreVersionError,
)
from aioservices.stores.files import SQLITE_MAGIC, is_disk_full

__all__ = [
    "SCHEMA_VERSION",
    "check_header",
    "check_usable",
    "connect",
    "open_database",
    "open_readonly",
    "translated_errors",
]

SCHEMA_VERSION = 1

_APPLICATION_ID = 0x61696F73  # "aios"
_HEADER, _ID_AT = 100, 68  # the size of the header, and the offset of the application id in it
_OLDEST_SQLITE = (3, 35, 0)  # RETURNING
_BUSY_SECONDS = 10.0
_MIN_SPACE = 1 << 16  # bytes of the smallest file that SQLite creates next to a database
# SQLite reports a full disk like this too, if it cannot create that file.
_CANNOT_OPEN_OR_IO = ("SQLITE_IOERR", "SQLITE_CANTOPEN")
_UNAVAILABLE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_NOMEM")

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE tail (
    service_id INTEGER PRIMARY KEY,
    service_name TEXT,
    commit_id BLOB NOT NULL,
    cursor TEXT,
    seq INTEGER NOT NULL DEFAULT 0,         -- lines stored in total
    sealed_seq INTEGER NOT NULL DEFAULT 0,  -- lines up to this number are in blocks
    removed INTEGER NOT NULL DEFAULT 0,     -- lines removed by retention
    kept_at INTEGER
);
CREATE TABLE line (
    service_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    created_at INTEGER NOT NULL,  -- microseconds since 1970, as all times
    kept_at INTEGER NOT NULL,
    deployment_id INTEGER NOT NULL,
    copy INTEGER NOT NULL,
    severity INTEGER,
    stream TEXT,
    source TEXT,
    message TEXT,
    raw BLOB,
    PRIMARY KEY (service_id, seq)
) WITHOUT ROWID;
CREATE TABLE block (
    service_id INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    last_kept INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (service_id, first_seq)
);
CREATE INDEX block_last_at ON block (last_at);
CREATE TABLE gap (
    service_id INTEGER NOT NULL,
    deployment_id INTEGER NOT NULL,
    start_at INTEGER,
    end_at INTEGER,
    noted_at INTEGER NOT NULL
);
CREATE TABLE forward (
    sink TEXT NOT NULL,
    service_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (sink, service_id)
) WITHOUT ROWID;
CREATE TABLE forward_note (
    sink TEXT NOT NULL,
    place TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (sink, place)
) WITHOUT ROWID;
CREATE TABLE rejected (
    id INTEGER PRIMARY KEY,
    sink TEXT NOT NULL,
    service_id INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL
);
"""

# The migration from version n to n + 1 is at index n - 1. Never changed once released.
_MIGRATIONS: tuple[str, ...] = ()


@contextmanager
def translated_errors(path: Path) -> Generator[None]:
    """Convert errors of SQLite to errors of stores, which name the file."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _translated(exc, path) from exc
    except OSError as exc:
        if is_disk_full(exc):
            raise _full(path) from exc
        raise StoreUnavailableError(f"{path}: {exc}") from exc
    except UnicodeEncodeError as exc:
        raise StoreUnavailableError(f"{path}: {exc}") from exc


def _translated(exc: sqlite3.Error, path: Path) -> StoreError:
    code = str(getattr(exc, "sqlite_errorname", ""))
    if code.startswith("SQLITE_FULL") or (code.startswith(_CANNOT_OPEN_OR_IO) and _is_full(path)):
        return _full(path)
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreCorruptError(f"{path} is damaged: {exc}")
    if code.startswith(_UNAVAILABLE):
        return StoreUnavailableError(f"{path}: {exc} ({code})")
    return StoreError(f"{path}: {exc}")


def _full(path: Path) -> StoreFullError:
    return StoreFullError(f"{path}: there is no space left on the disk")


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.absolute().parent).free < _MIN_SPACE
    except OSError:
        return False


def connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """Open a connection, which must not be used by two threads at the same time."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys = OFF")
    return connection


def open_database(path: Path) -> sqlite3.Connection:
    """Open a store's file for writing, as its owner; create it if it does not exist.

    Raises
    ------
    StoreError
        If it is not a store, is damaged, or is of a newer release.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreConfigError(
            f"SQLite {sqlite3.sqlite_version} is too old for a store: 3.35 is needed"
        )
    with translated_errors(path):
        if not path.exists():
            _create(path)
        check_header(path)
        connection = connect(path, mode="mode=rw")
        try:
            _check_version(connection, path)
            _migrate(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _check_contents(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def open_readonly(path: Path) -> sqlite3.Connection:
    """Open a store's file for reading, even if a collector has it open."""
    with translated_errors(path):
        if not path.exists():
            raise StoreConfigError(f"there is no store at {path}")
        check_header(path)
        connection = connect(path, mode="mode=ro")
        try:
            _check_version(connection, path)
        except sqlite3.OperationalError:
            # In a read-only directory, a file in WAL mode opens only as immutable, and it is
            # immutable if there is no WAL.
            connection.close()
            if path.with_name(path.name + "-wal").exists():
                raise
            connection = connect(path, mode="mode=ro&immutable=1")
            _check_version(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _create(path: Path) -> None:
    """Create the file under a temporary name first, so that a crash leaves no partial store."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.executescript(
                f"PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; BEGIN; {_TABLES}"
                f"PRAGMA application_id = {_APPLICATION_ID};"
                f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
            connection.execute("INSERT INTO meta VALUES ('salt', ?)", (secrets.token_bytes(16),))
        finally:
            connection.close()
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def check_usable(path: Path) -> None:
    """Check that this user can create or write a file.

    Raises
    ------
    StoreConfigError
        If not; waiting would not help.
    """
    directory = path.absolute().parent
    try:
        if not directory.is_dir():
            raise StoreConfigError(f"there is no directory {directory}")
        for each in (directory, path):
            if each.exists() and not os.access(each, os.R_OK | os.W_OK):
                raise StoreConfigError(f"{each} cannot be written by this user")
    except PermissionError as exc:
        raise StoreConfigError(f"{path} cannot be used: {exc.strerror}") from None


def check_header(path: Path) -> None:
    """Check that a file is a store, without opening it or creating other files.

    Raises
    ------
    StoreError
        If it is not.
    """
    if not path.is_file():
        raise StoreConfigError(f"{path} is not a file")
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if not header:
        raise StoreCorruptError(
            f"{path} is empty: it was truncated. Remove it to start a new store in its place"
        )
    if not header.startswith(SQLITE_MAGIC):
        raise StoreCorruptError(f"{path} is not a store: it does not start like a SQLite file")
    if int.from_bytes(header[_ID_AT : _ID_AT + 4], "big") != _APPLICATION_ID:
        raise StoreError(f"{path} is a SQLite file, but not a store of aioservices")


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"{path} has schema version {version}, and this release knows up to {SCHEMA_VERSION}: "
            "it was written by a newer aioservices. Upgrade this one"
        )


def _migrate(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for number in range(version, SCHEMA_VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE; {_MIGRATIONS[number - 1]};"
            f"PRAGMA user_version = {number + 1}; COMMIT;"
        )


def _check_contents(connection: sqlite3.Connection, path: Path) -> None:
    """Detect a truncated or changed file, without reading all of it.

    A thorough audit reads all of it; this checks what collecting needs to continue.
    """
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    if (actual := path.stat().st_size) < pages * size:
        raise StoreCorruptError(
            f"{path} was truncated: it has {actual:,} bytes of {pages * size:,}"
        )
    for table in ("meta", "tail", "forward", "forward_note"):
        found = connection.execute(f"PRAGMA quick_check('{table}')").fetchone()[0]
        if found != "ok":
            raise StoreCorruptError(f"{path} is damaged: {found}")
    wrong = connection.execute(
        """SELECT service_id, seq, last FROM (
               SELECT service_id, seq, removed, max(
                   coalesce((SELECT max(seq) FROM line WHERE service_id = tail.service_id), 0),
                   coalesce((SELECT last_seq FROM block WHERE service_id = tail.service_id
                             ORDER BY first_seq DESC LIMIT 1), 0)) AS last
               FROM tail)
           WHERE last > seq OR (last < seq AND removed < seq - last)"""
    ).fetchone()
    if wrong is not None:
        raise StoreCorruptError(
            f"{path} was changed: service {wrong[0]} has {wrong[1]} lines, and the last one is "
            f"number {wrong[2]}"
        )
