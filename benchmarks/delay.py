"""The delay from a line's time to its delivery, under the real API's rate limit."""

from __future__ import annotations

import time
from statistics import median, quantiles

import anyio

from aioservices import LogTail, Services
from benchmarks.log_server import log_server
from benchmarks.report import Goal, Report, Row

_FLEETS = ((1, 1), (10, 1), (100, 10))  # tails, and how many of them have a line a second


async def run(*, quick: bool) -> Report:
    """Follow fleets of several sizes while they write, with 1,000 requests in 5 minutes."""
    seconds = 2.0 if quick else 30.0
    rows = [await _measure(tails, active, seconds) for tails, active in _FLEETS]
    delay = rows[0].figures["median s"]
    return Report(
        f"From writing to delivery, a line a second, for {seconds:g} s",
        rows,
        [Goal("seconds from a line to its delivery, with one tail", delay, at_most=2.0)],
    )


async def _measure(tails: int, active: int, seconds: float) -> Row:
    delays: list[float] = []
    requests = 0

    def count(_: object) -> None:
        nonlocal requests
        requests += 1

    async def read(tail: LogTail) -> None:
        async for entry in tail:
            delays.append(time.time() - entry.created_at.timestamp())

    lines = int(seconds) + 1
    async with (
        log_server(logs=active, lines=lines, rate=1.0, rate_limit=1_000, period=300.0) as url,
        Services("key", base_url=url) as services,
    ):
        services.on_request(count)
        async with anyio.create_task_group() as readers:
            for number in range(1, tails + 1):
                readers.start_soon(read, services.tail_logs(number))
            await anyio.sleep(seconds + 2)
            readers.cancel_scope.cancel()
    return Row(
        f"{tails} tails, {active} active",
        {
            "median s": median(delays),
            "99th percentile s": quantiles(delays, n=100)[98] if len(delays) > 1 else delays[0],
            "lines": len(delays),
            "requests": requests,
        },
    )
