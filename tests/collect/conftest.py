"""The daemon as a program, against an emulator."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from aioservices.emulator import Emulator
from tests.servers.programs import Process, start
from tests.servers.waiting import PATIENCE
from tests.stores.conftest import postgres_server, postgres_url

__all__ = ["daemons", "emulator_options", "postgres_server", "postgres_url"]

QUICK = ["--refresh", "0.2", "--poll-interval", "0.05", "--max-poll-interval", "0.2"]
QUICK += ["--overlap", "1", "--grace", "0.3"]


class Daemon:
    """A running `aioservices collect`."""

    def __init__(self, process: Process, errors: Path) -> None:
        self.process = process
        self._errors = errors

    @property
    def errors(self) -> str:
        """What it has written to standard error by now."""
        return self._errors.read_text()

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.errors.partition("served at ")[2].partition("/\n")[0]

    async def until_listening(self) -> str:
        with anyio.fail_after(PATIENCE):
            while "served at " not in self.errors or not self.errors.endswith("\n"):
                assert self.process.poll() is None, self.errors
                await anyio.sleep(0.02)
        return self.url

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; gives the exit status."""
        self.process.send_signal(number)
        return await anyio.to_thread.run_sync(self.process.wait, PATIENCE)


class Daemons:
    """Starts daemons."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.folder = folder
        self._count = 0

    @contextmanager
    def start(self, *arguments: str, **environment: str) -> Iterator[Daemon]:
        """Run one, with options that suit a test; it is killed at the end of the block."""
        self._count += 1
        errors = self.folder / f"errors-{self._count}"
        given = {
            "CIVIS_API_KEY": self.emulator.api_key,
            "CIVIS_API_ENDPOINT": self.emulator.url,
            **environment,
        }
        with (
            errors.open("w") as file,
            start(
                "collect",
                *QUICK,
                *arguments,
                errors=file.fileno(),
                environment=os.environ | given,
                folder=self.folder,
            ) as program,
        ):
            yield Daemon(program.process, errors)


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    return {"services": 2, "deployed": True, "pending_for": 0.0, "null_state_for": 0.0}


@pytest.fixture
def daemons(emulator: Emulator, tmp_path: Path) -> Daemons:
    return Daemons(emulator, tmp_path)
