"""What takes long to make is made once for all processes of a run."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of this run, filled by the first process that requests it."""
    # Each process of pytest-xdist has a separate folder in that of the run.
    shared = "PYTEST_XDIST_WORKER" in os.environ
    run = factory.getbasetemp().parent if shared else factory.getbasetemp()
    folder, unfinished = run / name, run / f"{name}.unfinished"
    with (run / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished.mkdir(exist_ok=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder
