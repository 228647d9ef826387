"""Files that belong to a store, which nothing else may write to."""

from __future__ import annotations

import errno
from pathlib import Path

from .errors import StoreConfigError

__all__ = ["SQLITE_MAGIC", "files_of", "is_disk_full", "refuse_store_file"]

SQLITE_MAGIC = b"SQLite format 3\0"
_DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_SUFFIXES = ("-wal", "-shm", "-journal", ".lock")


def is_disk_full(error: OSError) -> bool:
    """Return whether a write failed because the disk is full, or a quota is exceeded."""
    return error.errno in _DISK_FULL


def files_of(path: Path) -> frozenset[Path]:
    """List the files that a SQLite store has, permanently or temporarily."""
    path = path.resolve()
    return frozenset({path, *(path.with_name(path.name + suffix) for suffix in _SUFFIXES)})


def refuse_store_file(path: Path) -> None:
    """Refuse to write to a file that is a SQLite database, or belongs to one.

    Raises
    ------
    StoreConfigError
        If it is one.
    """
    path = path.resolve()
    bases = (path.with_name(path.name.removesuffix(suffix)) for suffix in ("", *_SUFFIXES))
    for base in bases:
        if path in files_of(base) and _is_sqlite(base):
            raise StoreConfigError(f"{path} belongs to a SQLite database: pass another file")


def _is_sqlite(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    except OSError:
        return False
