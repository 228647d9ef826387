"""Following a log: nothing lost, nothing repeated."""

from .cursor import Batch, LogCursor
from .cursor_file import CursorFile
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
    "CursorFile",
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
