"""Following a log: nothing lost, nothing repeated."""

from .cursor import Batch, LogCursor
from .status import (
    DeploymentEnded,
    DeploymentStarted,
    EventHook,
    GapFound,
    LogGap,
    OutageEnded,
    OutageStarted,
    TailEvent,
    TailStatus,
    UnknownState,
)
from .tail import LogTail

__all__ = [
    "Batch",
    "DeploymentEnded",
    "DeploymentStarted",
    "EventHook",
    "GapFound",
    "LogCursor",
    "LogGap",
    "LogTail",
    "OutageEnded",
    "OutageStarted",
    "TailEvent",
    "TailStatus",
    "UnknownState",
]
