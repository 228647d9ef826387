"""A connection to PostgreSQL that is opened when needed, and again after it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from traceback import walk_tb
from typing import Any, TypeAlias

import anyio
import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from aioservices.stores.errors import (
    StoreConfigError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
)

__all__ = ["APPLICATION_NAME", "STUCK_SECONDS", "Connection", "Session", "describe"]

Connection: TypeAlias = "psycopg.AsyncConnection[tuple[Any, ...]]"

APPLICATION_NAME = "aioservices"
# A process that is suspended in a transaction keeps its locks no longer than this.
STUCK_SECONDS = 15

_CONNECT_SECONDS = 10
_TRANSACTION_SECONDS = 60

# These settings end with the transaction, so that they work with pgbouncer, where the next
# transaction may use another session.
_BEGIN = f"""
    BEGIN{{mode}};
    SET LOCAL search_path = aioservices, pg_catalog;
    SET LOCAL TimeZone = 'UTC';
    SET LOCAL statement_timeout = '{{seconds}}s';
    SET LOCAL lock_timeout = '{STUCK_SECONDS + 5}s';
    SET LOCAL idle_in_transaction_session_timeout = '{STUCK_SECONDS}s';
"""

_FULL = (errors.DiskFull, errors.OutOfMemory)
_TEMPORARY = (
    psycopg.OperationalError,  # problems of the connection or of server resources
    errors.IdleInTransactionSessionTimeout,  # this process was suspended for a while
    errors.ReadOnlySqlTransaction,  # a standby that is not promoted yet
    errors.TransactionRollback,
)


def describe(dsn: str) -> str:
    """Return the address of a database, without the password.

    Raises
    ------
    StoreConfigError
        If the DSN cannot be parsed.
    """
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        # The message may quote a part of the password.
        raise StoreConfigError(
            "the URL of the PostgreSQL store cannot be parsed: write "
            "postgresql://USER@HOST:PORT/DATABASE, with special characters percent-encoded"
        ) from None
    for port in str(parts.get("port") or "").split(","):
        if port and not (port.isascii() and port.isdecimal() and 0 < int(port[:9]) < 65_536):
            raise StoreConfigError("the port of a PostgreSQL store is a number from 1 to 65535")
    host = str(parts.get("host") or "local socket")
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{host}{port}/{parts.get('dbname') or ''}"


class Session:
    """One connection, for one transaction at a time.

    Parameters
    ----------
    dsn : str
    name : str
        The address of the database, for messages.
    read_only : bool, default False
    seconds : int, default 60
        Time limit for a transaction.
    """

    def __init__(
        self, dsn: str, name: str, *, read_only: bool = False, seconds: int = _TRANSACTION_SECONDS
    ) -> None:
        self._dsn = dsn
        self._name = name
        mode = " READ ONLY" if read_only else ""
        self._begin = _BEGIN.format(mode=mode, seconds=seconds).encode()
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Run the block in a transaction.

        Raises
        ------
        StoreUnavailableError
            Also if it is unknown whether the transaction was committed.
        """
        async with self._lock:
            with self._translated_errors():
                with anyio.fail_after(self._seconds + 5):
                    connection = await self._connected()
                    try:
                        await connection.execute(self._begin)
                        yield connection
                        await connection.execute("COMMIT")
                    except BaseException as exc:
                        await self._abandon(connection, exc)
                        raise

    async def aclose(self) -> None:
        """Close the connection."""
        async with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._dsn,
                autocommit=True,
                prepare_threshold=None,  # pgbouncer
                client_encoding="UTF8",
                application_name=APPLICATION_NAME,
                connect_timeout=_CONNECT_SECONDS,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=20_000,
            )
        return self._connection

    async def _abandon(self, connection: Connection, exc: BaseException) -> None:
        """Abandon a failed transaction, and also the connection, unless it certainly works."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            is_usable = not (isinstance(exc, ValueError) or connection.broken or connection.closed)
            if isinstance(exc, Exception) and is_usable:
                try:
                    await connection.execute("ROLLBACK")
                except psycopg.Error:
                    pass
                else:
                    return
        self._connection = None
        with anyio.CancelScope(shield=True):
            await connection.close()

    @contextmanager
    def _translated_errors(self) -> Generator[None]:
        """Raise the errors of psycopg as those of a store."""
        try:
            yield
        except _FULL as exc:
            raise StoreFullError(f"{self._name}: {_one_line(exc)}") from exc
        except _TEMPORARY as exc:
            raise StoreUnavailableError(f"{self._name}: {_one_line(exc)}") from exc
        except psycopg.Error as exc:
            raise StoreError(f"{self._name}: {_one_line(exc)}") from exc
        except ValueError as exc:
            # psycopg fails with these if there are more responses than requests, as with pgbouncer
            # when the server has ended a session during a COPY.
            if not _is_of_psycopg(exc):
                raise
            raise StoreUnavailableError(f"{self._name}: the response cannot be parsed") from exc
        except (TimeoutError, OSError) as exc:
            raise StoreUnavailableError(
                f"{self._name} does not answer: {str(exc) or type(exc).__name__}"
            ) from exc


def _is_of_psycopg(exc: Exception) -> bool:
    frames = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(exc.__traceback__)]
    return bool(frames) and str(frames[-1]).partition(".")[0].startswith("psycopg")


def _one_line(exc: psycopg.Error) -> str:
    return " ".join(str(exc).split()) or type(exc).__name__
