"""Stores of log lines: every line is stored exactly once, and can be read and forwarded.

`open_store` makes a store from its URL: `SQLiteStore`, a file, or `PostgresStore`, for several
collectors on several machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import (
    ForwardError,
    LinesRefusedError,
    StoreConfigError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreUnavailableError,
    StoreVersionError,
)
from .models import (
    DaemonInfo,
    ForwardPosition,
    KeepResult,
    Lease,
    LeaseResult,
    PendingBatch,
    RejectedLines,
    RemovedLines,
    Retention,
    ServiceAudit,
    StoreAudit,
    StoredGap,
    StoredService,
)
from .protocol import Store
from .record import StoredEntry, to_json_line
from .sqlite import SQLiteStore
from .url import open_store

if TYPE_CHECKING:
    from .postgres import PostgresStore

__all__ = [
    "DaemonInfo",
    "ForwardError",
    "ForwardPosition",
    "KeepResult",
    "Lease",
    "LeaseResult",
    "LinesRefusedError",
    "PendingBatch",
    "PostgresStore",
    "RejectedLines",
    "RemovedLines",
    "Retention",
    "SQLiteStore",
    "ServiceAudit",
    "Store",
    "StoreAudit",
    "StoreConfigError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreLockedError",
    "StoreUnavailableError",
    "StoreVersionError",
    "StoredEntry",
    "StoredGap",
    "StoredService",
    "open_store",
    "to_json_line",
]


def __getattr__(name: str) -> object:
    if name == "PostgresStore":  # needs an extra
        from .postgres import PostgresStore

        return PostgresStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
