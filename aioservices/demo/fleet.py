"""The services of the demo, each a separate short program."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["BATCH_JOB", "CRASHING", "PURPOSES", "SHOP", "command"]

SHOP = "shop"
BATCH_JOB = "importer"
CRASHING = "report"
PURPOSES: Mapping[str, str] = {
    SHOP: "a web server that gets visits",
    BATCH_JOB: "a batch job that ends",
    CRASHING: "a program with a fault in it",
    "scheduler": "a program that runs until it is stopped",
    "mailer": "a program that repeats the same line",
}
"""What each service is, by its name."""


def command(name: str) -> Sequence[str]:
    """Return the command that runs the program of a service."""
    return (sys.executable, "-u", str(Path(__file__).with_name("programs") / f"{name}.py"))
