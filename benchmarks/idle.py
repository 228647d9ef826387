"""The idle fleet: memory, requests and CPU time of a thousand tails of silent logs.

A hand-written loop, measured beside them, requests the same pages and nothing else.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time

import aiohttp
import anyio
import msgspec

from aioservices import LogTail, Services
from benchmarks.contenders import LeanEntry
from benchmarks.log_server import DEPLOYMENT, log_server
from benchmarks.payloads import LOG_LINES
from benchmarks.race import OURS
from benchmarks.report import Goal, Report, Row

# Everything is this much faster than by default, so that minutes take seconds.
_SCALE = 100.0
_INTERVAL = 30.0  # seconds between two polls of a silent log
_SETTLED = 120.0  # seconds after which each tail polls as rarely as it will
_HAND = "aiohttp + msgspec"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What was used: KB and requests a minute of each log, milliseconds of CPU a request."""

    kilobytes: float
    requests: float
    cpu: float

    def row(self, name: str) -> Row:
        """Return this as a line of a table."""
        figures = {
            "KB each": self.kilobytes,
            "requests a minute": self.requests,
            "ms of CPU a request": self.cpu,
        }
        return Row(name, figures)


async def run(*, quick: bool) -> Report:
    """Measure each in a separate process, at the same time."""
    logs, seconds, scale = (20, 0.6, _SCALE) if quick else (1_000, 60.0, 1.0)
    used: dict[str, Usage] = {}

    async def measure(name: str) -> None:
        async with log_server() as url:  # of its own, as it counts the requests
            arguments = [url, name, str(logs), str(seconds), str(scale)]
            command = [sys.executable, "-m", "benchmarks.idle", *arguments]
            result = await anyio.run_process(command)
        used[name] = msgspec.json.decode(result.stdout, type=Usage)

    async with anyio.create_task_group() as group:  # CPU time does not tell who else runs
        for name in _CONTENDERS:
            group.start_soon(measure, name)
    ours = used[OURS]
    return Report(
        f"{logs:,} silent logs, after their first minutes",
        [used[name].row(name) for name in _CONTENDERS],
        [
            Goal("KB of an idle tail", ours.kilobytes, at_most=25),
            Goal("requests of an idle tail in a minute", ours.requests, at_most=2.2),
            Goal(
                f"a request of an idle tail: CPU time of {_HAND}, in ours",
                used[_HAND].cpu / ours.cpu,
                at_least=0.65,
            ),
        ],
    )


async def _tail(url: str, logs: int, seconds: float, scale: float) -> Usage:
    async with Services("key", base_url=url) as services:
        await services.get(1)
        before = _resident()
        open_tails = [
            services.tail_logs(
                number, poll_interval=1.0 / scale, max_poll_interval=_INTERVAL / scale
            )
            for number in range(1, logs + 1)
        ]
        async with anyio.create_task_group() as readers:
            for tail in open_tails:
                readers.start_soon(_read, tail)
            await anyio.sleep(_SETTLED / scale)
            kilobytes = (_resident() - before) / logs
            left, cpu = _left(services), process_time()
            await anyio.sleep(seconds)
            cpu, requests = process_time() - cpu, left - _left(services)
            readers.cancel_scope.cancel()
    return _usage(kilobytes, requests, cpu, logs, seconds * scale)


def _left(services: Services) -> int:
    """Return how many requests the server still allows: a hook that counts them would cost time."""
    assert services.rate_limit is not None
    return services.rate_limit.remaining


async def _read(tail: LogTail) -> None:
    async for _ in tail:
        raise AssertionError("the log is silent")


async def _loop(url: str, logs: int, seconds: float, scale: float) -> Usage:
    decoder = msgspec.json.Decoder(list[LeanEntry])
    interval, requests = _INTERVAL / scale, 0
    async with aiohttp.ClientSession() as http:

        async def poll(number: int) -> None:
            nonlocal requests
            path = f"{url}services/{number}/deployments/{DEPLOYMENT}/logs"
            await anyio.sleep(random.uniform(0, interval))
            while True:
                start = datetime.now(UTC) - timedelta(seconds=60)
                params = {"start_at": start.isoformat(), "limit": str(LOG_LINES)}
                async with http.get(path, params=params) as answer:
                    assert not decoder.decode(await answer.read()), "the log is silent"
                requests += 1
                await anyio.sleep(interval)

        before = _resident()
        async with anyio.create_task_group() as pollers:
            for number in range(1, logs + 1):
                pollers.start_soon(poll, number)
            await anyio.sleep(_SETTLED / scale)
            kilobytes = (_resident() - before) / logs
            requests, cpu = 0, process_time()
            await anyio.sleep(seconds)
            cpu = process_time() - cpu
            pollers.cancel_scope.cancel()
    return _usage(kilobytes, requests, cpu, logs, seconds * scale)


def _usage(kilobytes: float, requests: int, cpu: float, logs: int, seconds: float) -> Usage:
    return Usage(
        kilobytes=max(kilobytes, 0.1),
        requests=requests / logs / seconds * 60,
        cpu=1000 * cpu / requests,
    )


def _resident() -> float:
    """Kilobytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4.0


_CONTENDERS: dict[str, Callable[[str, int, float, float], Awaitable[Usage]]] = {
    OURS: _tail,
    _HAND: _loop,
}


async def _main(url: str, name: str, logs: int, seconds: float, scale: float) -> None:
    print(msgspec.json.encode(await _CONTENDERS[name](url, logs, seconds, scale)).decode())


if __name__ == "__main__":
    asyncio.run(
        _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
    )
