"""Stores of log lines: kept exactly once, read back, forwarded.

`open_store` gives a store by its URL: `SQLiteStore`, one file, or `PostgresStore`, for several
collectors on several machines.
"""

from __future__ import annotations

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
from .protocol import (
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
    Store,
    StoreAudit,
    StoredGap,
    StoredService,
)
from .record import StoredEntry, to_json_line
from .sqlite import SQLiteStore
from .url import open_store

__all__ = [
    "DaemonInfo",
    "ForwardError",
    "ForwardPosition",
    "KeepResult",
    "Lease",
    "LeaseResult",
    "LinesRefusedError",
    "PendingBatch",
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
