"""The log daemon, on top of `aioservices.fleet.collecting`."""

from aioservices.fleet.collecting import (
    CollectOptions,
    Collector,
    CollectorStatus,
    CommitTimes,
    KeptLines,
    ServiceStatus,
    SessionStatus,
)

__all__ = [
    "CollectOptions",
    "Collector",
    "CollectorStatus",
    "CommitTimes",
    "KeptLines",
    "ServiceStatus",
    "SessionStatus",
]
