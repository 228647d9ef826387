"""A connection to PostgreSQL that is made when it is needed, and made again when it broke."""

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
# A process that was stopped in a transaction holds its rows no longer than this.
STUCK_SECONDS = 15

_CONNECT_SECONDS = 10
_TRANSACTION_SECONDS = 60

# All of them end with the transaction, so that they work behind pgbouncer, where the next
# transaction may have another session.
_BEGIN = f"""
    BEGIN{{mode}};
    SET LOCAL search_path = aioservices, pg_catalog;
    SET LOCAL TimeZone = 'UTC';
    SET LOCAL statement_timeout = '{{seconds}}s';
    SET LOCAL lock_timeout = '{STUCK_SECONDS + 5}s';
    SET LOCAL idle_in_transaction_session_timeout = '{STUCK_SECONDS}s';
"""

_NO_ROOM = (errors.DiskFull, errors.OutOfMemory)
_AGAIN = (
    psycopg.OperationalError,  # what concerns the connection, and the server's resources
    errors.IdleInTransactionSessionTimeout,  # this process was stopped for a while
    errors.ReadOnlySqlTransaction,  # a standby, until it is promoted
    errors.TransactionRollback,
)


def describe(dsn: str) -> str:
    """Say which database it is, without a password.

    Raises
    ------
    StoreConfigError
        If it cannot be read.
    """
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        # The message may quote a piece of the password.
        raise StoreConfigError(
            "the URL of the PostgreSQL store cannot be read: write "
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
        Which database it is, for messages.
    read_only : bool, default False
    seconds : int, default 60
        Longest time that a transaction may take.
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
        """Do all that is in the block, or nothing.

        Raises
        ------
        StoreUnavailableError
            Also when it cannot be known whether the transaction was committed.
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
        """Leave a transaction that failed; the connection too, unless it is surely sound."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            is_sound = not (isinstance(exc, ValueError) or connection.broken or connection.closed)
            if isinstance(exc, Exception) and is_sound:
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
        except _NO_ROOM as exc:
            raise StoreFullError(f"{self._name}: {_one_line(exc)}") from exc
        except _AGAIN as exc:
            raise StoreUnavailableError(f"{self._name}: {_one_line(exc)}") from exc
        except psycopg.Error as exc:
            raise StoreError(f"{self._name}: {_one_line(exc)}") from exc
        except ValueError as exc:
            # What confuses psycopg: more answers than there were questions, as pgbouncer
            # gives them when the server has ended a session in the middle of a COPY.
            if not _is_of_psycopg(exc):
                raise
            raise StoreUnavailableError(f"{self._name}: the answer cannot be understood") from exc
        except (TimeoutError, OSError) as exc:
            raise StoreUnavailableError(
                f"{self._name} does not answer: {str(exc) or type(exc).__name__}"
            ) from exc


def _is_of_psycopg(exc: Exception) -> bool:
    frames = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(exc.__traceback__)]
    return bool(frames) and str(frames[-1]).partition(".")[0].startswith("psycopg")


def _one_line(exc: psycopg.Error) -> str:
    return " ".join(str(exc).split()) or type(exc).__name__
