"""The program, run in pipes and on a terminal, against an emulator."""

import datetime as dt
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aioservices.emulator import Emulator
from tests.servers.programs import Ended, Program, run, start
from tests.servers.terminal import Terminal, on_terminal


class Cli:
    """Runs the program against an emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def environment(self, **others: str) -> dict[str, str]:
        own = {
            "CIVIS_API_KEY": self.emulator.api_key,
            "CIVIS_API_ENDPOINT": self.emulator.url,
        }
        return os.environ | own | others

    async def run(self, *arguments: str, input: str | bytes = "", **environment: str) -> Ended:
        """Run it in pipes, to its end."""
        given = input if isinstance(input, bytes) else input.encode()
        return await run(*arguments, input=given, environment=self.environment(**environment))

    async def run_into(self, output: int, *arguments: str, **environment: str) -> Ended:
        """Run it, to its end, with an output that leads to a descriptor."""
        own = self.environment(**environment)
        return await run(*arguments, output=output, environment=own)

    async def run_unread(self, *arguments: str) -> Ended:
        """Run it in a pipe that nobody reads any more."""
        ours, theirs = os.pipe()
        os.close(ours)
        try:
            return await self.run_into(theirs, *arguments)
        finally:
            os.close(theirs)

    @contextmanager
    def start(self, *arguments: str) -> Iterator[Program]:
        """Run it in pipes."""
        with start(*arguments, environment=self.environment()) as program:
            yield program

    @contextmanager
    def terminal(
        self, *arguments: str, columns: int = 80, rows: int = 24, **environment: str
    ) -> Iterator[Terminal]:
        """Run it on a terminal."""
        own = self.environment(**environment)
        with on_terminal(*arguments, columns=columns, rows=rows, environment=own) as terminal:
            yield terminal


# A time zone that nobody takes for UTC, for what must not depend on that of the machine.
ELSEWHERE = {"TZ": "Asia/Kathmandu"}


def assert_times_in_utc(output: str) -> None:
    """Find the times in an output: all in ISO 8601 with a Z, and of the last hour."""
    times = re.findall(r"[\dT.+-]*\d\d:\d\d[\d:.+-]*Z?", output)
    assert times
    for time in times:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z", time), output
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(time)
        assert dt.timedelta(0) <= age < dt.timedelta(hours=1)


@pytest.fixture
def full_disk() -> Iterator[int]:
    """Return a descriptor to which nothing can be written."""
    with Path("/dev/full").open("wb") as file:
        yield file.fileno()


@pytest.fixture
def cli(emulator: Emulator) -> Cli:
    return Cli(emulator)
