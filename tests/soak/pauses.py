"""A daemon whose lines come faster than its store takes them: the memory that it takes then."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import anyio

from aioservices.stores import open_store
from tests.servers.hostile import hostile
from tests.servers.lifetime import SECOND, FleetLife, FleetServer
from tests.servers.postgres import new_server

__all__ = ["postgres_pause"]

_HOUR = 3600 * SECOND
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KEY = "a-key-for-the-fleet"
_ADDRESS = re.compile(r"served at (http://\S+)/")
_LOOKS = 20  # at the daemon, while the most lines wait


async def postgres_pause(
    directory: Path, *, services: int, lines: int, most: int, within: float
) -> dict[str, object]:
    """Stop the database while a daemon reads logs as fast as it can; then resume it.

    Parameters
    ----------
    directory : Path
    services, lines : int
        How many services there are, and how many lines all that ever were have written.
    most : int
        Lines that may wait in memory.
    within : float
        Seconds that it may really take.
    """
    now = time.time_ns() // 1000
    life = FleetLife(now - _HOUR, 1, services, lines, seed=1)
    current = {each: life.current(each, now) for each in life.running(now)}
    expected = {each: found.written_by(life.end) for each, found in current.items() if found}
    server = FleetServer(life, lambda: time.time_ns() // 1000, limit=10**9)
    with new_server() as database, anyio.fail_after(within):
        async with hostile(server.behave) as listener:
            server.passed = lambda _: listener.requests.clear()
            store = f"{database.url}/postgres"
            arguments = ["--store", store, "--url", listener.url, "--listen", "127.0.0.1:0"]
            arguments += ["--max-waiting-lines", str(most)]
            async with _daemon(directory / "log", *arguments) as daemon:
                await daemon.until(lambda seen: seen.lines > 0)
                is_full = False
                while not is_full:  # a commit may still have come through and made room
                    with database.paused():
                        is_full = await daemon.fills(most)
                        for _ in range(_LOOKS):
                            await daemon.check()
                kept = daemon.seen.lines
                await daemon.until(lambda seen: seen.lines == sum(expected.values()))
                assert await daemon.end() == 0
        async with open_store(store, read_only=True) as opened:
            audit = await opened.audit(thorough=True)
    assert audit.ok
    assert {each.service_id: each.seq for each in audit.services if each.seq} == {
        each: count for each, count in expected.items() if count
    }
    assert daemon.most_buffered == most
    assert kept + most < sum(expected.values())  # there was more to read
    return {
        "lines": sum(expected.values()),
        "lines that waited at most": daemon.most_buffered,
        "MB of memory at most": round(daemon.most_memory / 1e6),
    }


class _Seen(NamedTuple):
    """What a daemon says of itself."""

    lines: int
    buffered: int


class _Daemon:
    """A daemon that is observed."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.seen = _Seen(0, 0)
        self.most_buffered = self.most_memory = 0
        self._process = process
        self._url = url

    async def check(self) -> _Seen:
        async with aiohttp.ClientSession() as http, http.get(f"{self._url}/metrics") as answer:
            text = await answer.text()
        self.seen = _Seen(_metric(text, "lines_total"), _metric(text, "buffered_lines"))
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        self.most_memory = max(self.most_memory, pages * _PAGE)
        self.most_buffered = max(self.most_buffered, self.seen.buffered)
        return self.seen

    async def until(self, condition: Callable[[_Seen], bool]) -> None:
        while not condition(await self.check()):
            assert self._process.returncode is None
            await asyncio.sleep(0.05)

    async def fills(self, most: int) -> bool:
        """Wait until so many lines wait; False if reading has paused before."""
        looks = 0  # in a row at which more than half as many waited, and none came
        while looks < 5 * _LOOKS and self.seen.buffered != most:
            before = self.seen
            await asyncio.sleep(0.05)
            is_still = await self.check() == before and 2 * before.buffered > most
            looks = looks + 1 if is_still else 0
        return self.seen.buffered == most

    async def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()


def _metric(text: str, name: str) -> int:
    found = re.search(rf"^aioservices_watch_{name} (\S+)$", text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


@asynccontextmanager
async def _daemon(log: Path, *arguments: str) -> AsyncGenerator[_Daemon]:
    with log.open("w") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "aioservices", "collect", *arguments,
            stdout=file, stderr=file, env=os.environ | {"CIVIS_API_KEY": _KEY},
        )  # fmt: skip
    try:
        while (address := _ADDRESS.search(log.read_text())) is None:
            assert process.returncode is None, log.read_text()
            await asyncio.sleep(0.05)
        yield _Daemon(process, address[1])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
