"""Stores by URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from .errors import StoreConfigError
from .protocol import Store
from .sqlite import SQLiteStore

__all__ = ["open_store", "path_of"]

_FORMS = "sqlite:PATH or postgresql://USER@HOST/DATABASE"


def path_of(url: str) -> Path:
    """Return the path in the URL of a SQLite store."""
    rest = url.removeprefix("sqlite:")
    return Path(unquote(rest[2:]) if rest.startswith("///") else rest)


def open_store(url: str, *, read_only: bool = False, lease: float = 30.0) -> Store:
    """Make the store of a URL; ``async with`` opens it.

    Parameters
    ----------
    url : str
        ``sqlite:PATH`` or ``postgresql://...``.
    read_only : bool, default False
        Only read; nothing is created.
    lease : float, default 30.0
        Seconds after which a service of a dead collector is free for others. A SQLite store has
        one owner and no leases.

    Returns
    -------
    Store

    Raises
    ------
    StoreConfigError
        If the URL is not that of a store, or a package that it needs is not installed.
    """
    scheme, colon, rest = url.partition(":")
    if not lease > 0:
        raise StoreConfigError(f"lease must be greater than 0 s, not {lease:g} s")
    if "\0" in url:
        raise StoreConfigError("the URL of a store contains a NUL character")
    if scheme == "sqlite" and colon:
        path = str(path_of(url)) if rest else ""
        if not path or path.startswith("//") or path == ":memory:":
            raise StoreConfigError(f"{url} does not name a file: write sqlite:PATH")
        return SQLiteStore(path, read_only=read_only)
    if scheme in {"postgresql", "postgres"} and rest.startswith("//"):
        try:
            from .postgres import PostgresStore
        except ImportError as exc:
            raise StoreConfigError(
                "a PostgreSQL store needs psycopg: pip install 'aioservices-civis[postgresql]'"
            ) from exc
        return PostgresStore(url, read_only=read_only, lease=lease)
    shown = url if "@" not in url else f"{scheme}:..."
    raise StoreConfigError(f"{shown} is not a store: write {_FORMS}")
