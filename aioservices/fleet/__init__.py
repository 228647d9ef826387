"""Many services at once."""

from .deploy import DeployOutcome, DeployRun
from .watch import LogWatch
from .watcher import Sink, WatchedEntry

__all__ = ["DeployOutcome", "DeployRun", "LogWatch", "Sink", "WatchedEntry"]
