"""Many services at once."""

from .deploy import DeployOutcome, DeployRun

__all__ = ["DeployOutcome", "DeployRun"]
