"""The drain: a backlog of log lines, against only fetching and decoding the same pages."""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import msgspec

from aioservices import Services, TailedEntry
from benchmarks.log_server import DEPLOYMENT, log_server
from benchmarks.race import OURS, check, race, timed
from benchmarks.report import Report, Row, Verdict

_SAME_PAGES = "same pages, bytes decoded"
_BY_START = "pages by start_at, decoded"
_PAGE = 10_000

_decoder = msgspec.json.Decoder(list[TailedEntry])


async def run(*, quick: bool) -> Report:
    """Race, then measure the memory of draining alone in a process of its own."""
    lines, rounds = (30_000, 2) if quick else (1_000_000, 5)
    since = lines / 1_000 + 600
    async with (
        log_server(lines=lines, since=since) as url,
        Services("key", base_url=url) as services,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        await _drain(services, lines)
        async with http.get(f"{url}targets") as answer:
            pages: list[str] = json.loads(await answer.read())
        contenders = {
            OURS: partial(timed, partial(_drain, services, lines)),
            _SAME_PAGES: partial(timed, partial(_fetch_pages, http, url, pages, lines)),
            _BY_START: partial(timed, partial(_fetch_by_start, http, url, lines)),
        }
        result = await race(contenders, unit="lines", rounds=rounds)
        memory = await _memory(url, lines)
    return Report(
        f"Draining a backlog of {lines:,} lines ({len(pages)} pages)",
        [*result.rows(), Row("memory above the start", {"MB": memory})],
        [
            result.at_least(0.85, than=_SAME_PAGES),
            Verdict("draining takes at most 60 MB", memory, at_most=60),
        ],
    )


async def _drain(services: Services, lines: int) -> int:
    count = 0
    async with services.tail_logs(1, DEPLOYMENT, follow=False, limit=_PAGE) as tail:
        async for batch in tail.batches():
            count += len(batch)
    check(count, lines)
    return lines


async def _fetch_pages(http: aiohttp.ClientSession, url: str, pages: list[str], lines: int) -> int:
    count = 0
    for page in pages:
        async with http.get(url + page) as answer:
            count += len(_decoder.decode(await answer.read()))
    check(count >= lines, True)
    return lines


async def _fetch_by_start(http: aiohttp.ClientSession, url: str, lines: int) -> int:
    """What a loop does that trusts the server: each page begins where the last one ended."""
    count, start = 0, "2000-01-01T00:00:00Z"
    path = f"{url}services/1/deployments/{DEPLOYMENT}/logs"
    while True:
        params = {"start_at": start, "limit": str(_PAGE)}
        async with http.get(path, params=params) as answer:
            page = _decoder.decode(await answer.read())
        count += len(page)
        if len(page) < _PAGE:
            check(count >= lines, True)
            return lines
        start = page[-1].created_at.isoformat()


async def _memory(url: str, lines: int) -> float:
    """Megabytes that a drain takes above what the process had before."""
    command = [sys.executable, "-m", "benchmarks.drain", url, str(lines)]
    result = await anyio.run_process(command)
    return float(result.stdout)


async def _main(url: str, lines: int) -> None:
    async with Services("key", base_url=url) as services:
        await services.get(1)
        before = _peak()
        await _drain(services, lines)
        print(_peak() - before)


def _peak() -> float:
    """The most megabytes that this process has had in memory until now."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if "VmHWM" in line)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
