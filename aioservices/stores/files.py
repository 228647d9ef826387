"""Files that belong to a store, and that nothing else may be written to."""

from __future__ import annotations

import errno
from pathlib import Path

from .errors import StoreConfigError

__all__ = ["SQLITE_MAGIC", "files_of", "is_disk_full", "refuse_store_file"]

SQLITE_MAGIC = b"SQLite format 3\0"
_NO_ROOM = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_BESIDE = ("-wal", "-shm", "-journal", ".lock")


def is_disk_full(error: OSError) -> bool:
    """Tell whether something could not be written because the disk is full, or a quota."""
    return error.errno in _NO_ROOM


def files_of(path: Path) -> frozenset[Path]:
    """List the files that a SQLite store has, or may have at times."""
    path = path.resolve()
    return frozenset({path, *(path.with_name(path.name + suffix) for suffix in _BESIDE)})


def refuse_store_file(path: Path) -> None:
    """Refuse a file that is a SQLite database, or belongs to one, for anything to be written to.

    Raises
    ------
    StoreConfigError
        If it is one.
    """
    path = path.resolve()
    bases = (path.with_name(path.name.removesuffix(suffix)) for suffix in ("", *_BESIDE))
    for base in bases:
        if path in files_of(base) and _is_sqlite(base):
            raise StoreConfigError(f"{path} belongs to a SQLite database: name another file")


def _is_sqlite(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    except OSError:
        return False
