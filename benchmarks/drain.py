"""The drain: a backlog of log lines, against a loop that fetches page after page by `start_at`."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import msgspec

from aioservices import Services
from benchmarks.contenders import LeanEntry
from benchmarks.log_server import DEPLOYMENT, log_server
from benchmarks.race import OURS, check, race, timed
from benchmarks.report import Goal, Report, Row

_BY_START = "a loop by start_at"
_PAGE = 10_000
_RATE = 1_000.0  # lines a second
_MICROSECOND = timedelta(microseconds=1)

_decoder = msgspec.json.Decoder(list[LeanEntry])


@dataclass(frozen=True)
class _Backlog:
    """What is drained, and the goals."""

    regular: bool
    latency: float  # seconds
    pages: int
    rounds: int
    speed: float  # times that of the loop

    @property
    def name(self) -> str:
        kind = "a regular" if self.regular else "an irregular"
        return f"{kind} backlog at {self.latency * 1000:.0f} ms"


_BACKLOGS = (
    _Backlog(regular=True, latency=0.0, pages=60, rounds=7, speed=1.0),
    _Backlog(regular=True, latency=0.020, pages=40, rounds=5, speed=1.0),
    _Backlog(regular=True, latency=0.200, pages=20, rounds=3, speed=1.0),
    _Backlog(regular=False, latency=0.0, pages=60, rounds=7, speed=0.9),
    _Backlog(regular=False, latency=0.020, pages=40, rounds=5, speed=0.9),
    _Backlog(regular=False, latency=0.200, pages=20, rounds=3, speed=0.9),
)
_MAX_REQUESTS = 1.3  # for each full page
_MEMORY_PAGES = 100


async def run(*, quick: bool) -> Report:
    """Race through each backlog, then measure memory in a separate process."""
    rows: list[Row] = []
    goals: list[Goal] = []
    for backlog in _BACKLOGS:
        some, judged = await _race(backlog, quick=quick)
        rows += some
        goals += judged
    lines = (3 if quick else _MEMORY_PAGES) * _PAGE
    async with log_server(lines=lines, since=_since(lines)) as url:
        memory = await _memory(url, lines)
    rows.append(Row(f"memory above the start, {lines:,} lines", {"MB": memory}))
    goals.append(Goal("MB to drain 1,000,000 lines", memory, at_most=60))
    return Report("Draining a backlog", rows, goals)


async def _race(backlog: _Backlog, *, quick: bool) -> tuple[list[Row], list[Goal]]:
    pages, rounds = (3, 1) if quick else (backlog.pages, backlog.rounds)
    lines = pages * _PAGE
    async with (
        log_server(
            lines=lines,
            rate=_RATE,
            since=_since(lines),
            regular=backlog.regular,
            latency=backlog.latency,
        ) as url,
        Services("key", base_url=url) as services,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        await _drain(services, lines)
        async with http.get(f"{url}targets") as answer:
            requests = len(json.loads(await answer.read())) / pages
        contenders = {
            OURS: partial(timed, partial(_drain, services, lines)),
            _BY_START: partial(timed, partial(_fetch_by_start, http, url, lines)),
        }
        result = await race(contenders, unit="lines", rounds=rounds)
    name = backlog.name
    ours, theirs = result.rows()
    rows = [
        Row(f"{name}, {lines:,} lines", {**ours.figures, "requests a full page": requests}),
        Row(f"  {_BY_START}", theirs.figures),
    ]
    return rows, [
        result.speed(name, than=_BY_START, at_least=backlog.speed),
        Goal(f"{name}: requests for each full page", requests, at_most=_MAX_REQUESTS),
    ]


def _since(lines: int) -> float:
    """How many seconds ago so many lines began: all of them are a backlog."""
    return lines / _RATE + 600


async def _drain(services: Services, lines: int) -> int:
    count = 0
    async with services.tail_logs(1, DEPLOYMENT, follow=False, limit=_PAGE) as tail:
        async for batch in tail.batches():
            count += len(batch)
    check(count, lines)
    return lines


async def _fetch_by_start(http: aiohttp.ClientSession, url: str, lines: int) -> int:
    """A loop that trusts the server: each page begins where the previous one ended."""
    count, start = 0, "2000-01-01T00:00:00Z"
    path = f"{url}services/1/deployments/{DEPLOYMENT}/logs"
    while True:
        params = {"start_at": start, "limit": str(_PAGE)}
        async with http.get(path, params=params) as answer:
            page = _decoder.decode(await answer.read())
        count += len(page)
        if len(page) < _PAGE:
            check(count, lines)
            return lines
        start = (page[-1].created_at + _MICROSECOND).isoformat()


async def _memory(url: str, lines: int) -> float:
    """Megabytes that a drain takes in addition to what the process had before."""
    command = [sys.executable, "-m", "benchmarks.drain", url, str(lines)]
    result = await anyio.run_process(command)
    return float(result.stdout)


async def _main(url: str, lines: int) -> None:
    async with Services("key", base_url=url) as services:
        await services.get(1)
        # Reset the peak memory of the imports, which would hide a small drain.
        Path("/proc/self/clear_refs").write_text("5")
        before = _megabytes("VmRSS")
        await _drain(services, lines)
        print(_megabytes("VmHWM") - before)


def _megabytes(name: str) -> float:
    """Megabytes of this process that are in memory (VmRSS), or were at most (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if name in line)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
