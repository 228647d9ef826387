"""Collecting the logs of a fleet into a store."""

from .collector import Collector
from .kept_lines import KeptLines
from .options import CollectOptions, CollectSession
from .status import CollectorStatus, CommitTimes, ServiceStatus, SessionStatus

__all__ = [
    "CollectOptions",
    "CollectSession",
    "Collector",
    "CollectorStatus",
    "CommitTimes",
    "KeptLines",
    "ServiceStatus",
    "SessionStatus",
]
