"""Following a log: nothing lost, nothing repeated."""

from .account import Batch
from .cursor import LogCursor
from .status import LogGap, TailStatus
from .tail import LogTail

__all__ = ["Batch", "LogCursor", "LogGap", "LogTail", "TailStatus"]
