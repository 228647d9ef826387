"""The idle fleet: the memory and the requests of a thousand tails of silent logs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import anyio

from aioservices import LogTail, Services
from benchmarks.log_server import log_server
from benchmarks.report import Goal, Report, Row

# Everything is this much faster than by default, so that minutes take seconds.
_SCALE = 100.0


async def run(*, quick: bool) -> Report:
    """Measure in a separate process, whose memory is only that of the tails."""
    tails, seconds = (20, 0.6) if quick else (1_000, 60.0)
    async with log_server() as url:
        scale = _SCALE if quick else 1.0
        command = [
            sys.executable,
            "-m",
            "benchmarks.idle",
            url,
            str(tails),
            str(seconds),
            str(scale),
        ]
        result = await anyio.run_process(command)
    kilobytes, requests = map(float, result.stdout.split())
    return Report(
        f"{tails:,} idle tails, after their first minutes",
        [Row("each", {"KB": kilobytes, "requests a minute": requests})],
        [
            Goal("KB of an idle tail", kilobytes, at_most=25),
            Goal("requests of an idle tail in a minute", requests, at_most=2.2),
        ],
    )


async def _main(url: str, tails: int, seconds: float, scale: float) -> None:
    requests = 0

    def count(_: object) -> None:
        nonlocal requests
        requests += 1

    async with Services("key", base_url=url) as services:
        await services.get(1)
        before = _resident()
        open_tails = [
            services.tail_logs(number, poll_interval=1.0 / scale, max_poll_interval=30.0 / scale)
            for number in range(1, tails + 1)
        ]
        async with anyio.create_task_group() as readers:
            for tail in open_tails:
                readers.start_soon(_read, tail)
            await anyio.sleep(120 / scale)  # until each polls as rarely as it will
            kilobytes = (_resident() - before) / tails
            services.on_request(count)
            await anyio.sleep(seconds)
            print(max(kilobytes, 0.1), requests / tails / seconds / scale * 60)
            readers.cancel_scope.cancel()


async def _read(tail: LogTail) -> None:
    async for _ in tail:
        raise AssertionError("the log is silent")


def _resident() -> float:
    """Kilobytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4.0


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
