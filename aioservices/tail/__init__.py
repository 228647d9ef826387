"""Following a log: nothing lost, nothing repeated."""

from .cursor import LogCursor
from .logtail import LogTail
from .status import LogGap, TailStatus

__all__ = ["LogCursor", "LogGap", "LogTail", "TailStatus"]
