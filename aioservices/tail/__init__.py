"""Following a log: nothing lost, nothing repeated."""

from .account import Batch
from .cursor import LogCursor
from .logtail import LogTail
from .status import LogGap, TailStatus

__all__ = ["Batch", "LogCursor", "LogGap", "LogTail", "TailStatus"]
