"""Many services at once."""

from .cursor_file import CursorFile
from .deploy import DeployOutcome, DeployRun
from .watch import LogWatch
from .watcher import Sink, WatchedEntry

__all__ = ["CursorFile", "DeployOutcome", "DeployRun", "LogWatch", "Sink", "WatchedEntry"]
