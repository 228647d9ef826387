"""The daemon's requests: how many it makes in an hour to follow services that write little.

The daemon runs with its defaults, in a process whose clock skips the time in which nothing happens
(see `tests.soak.hurried`): an hour takes only as long as its requests do.
"""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path

import anyio

from benchmarks.report import Goal, Report, Row
from tests.servers.hostile import hostile
from tests.servers.lifetime import SECOND, FleetLife, FleetServer
from tests.soak.hurried import read_ahead
from tests.soak.lifetimes import hurried_daemon

_WARM_UP = 600 * SECOND
_UNLIMITED = 10_000_000
_LIMIT = 1_000  # in five minutes, as the platform allows
_TIMEOUT = 1_800.0


async def run(*, quick: bool) -> Report:
    """Count with a key that has the platform's rate limit, and with one that has none."""
    services, minutes = (20, 5) if quick else (200, 30)
    found = {
        limit: await _requests(services, minutes, limit) * (1_000 / services) * (60 / minutes)
        for limit in (_UNLIMITED, _LIMIT)
    }
    column = "requests for 1,000 services and hour"
    return Report(
        f"{services:,} services that write almost nothing, followed by the daemon",
        [
            Row("without a rate limit", {column: found[_UNLIMITED]}),
            Row("1,000 calls in five minutes", {column: found[_LIMIT]}),
        ],
        [
            Goal(
                "a service costs two polls a minute, and an occasional check of it",
                found[_UNLIMITED],
                at_most=1_000 * 60 * 4,
            ),
            Goal(
                "the rate limit of a key is not exceeded",
                found[_LIMIT] * services / 1_000,
                at_most=12 * _LIMIT * 1.05,
            ),
        ],
    )


async def _requests(services: int, minutes: int, limit: int) -> int:
    start = time.time_ns() // 1000
    life = FleetLife(start, 1 + minutes / 60, services, lines=0, seed=1)
    begin = start + _WARM_UP
    end = begin + minutes * 60 * SECOND
    count = 0

    with tempfile.TemporaryDirectory() as directory:
        clock = Path(directory) / "clock"
        clock.write_bytes(bytes(8))

        def now() -> int:
            return int((time.time() + read_ahead(clock)) * SECOND)

        def passed(at: int) -> None:
            nonlocal count
            count += begin <= at < end
            listener.requests.clear()

        server = FleetServer(life, now, limit=limit, passed=passed)
        async with hostile(server.behave) as listener:
            store = f"sqlite:{directory}/logs.db"
            arguments = ("collect", "--store", store, "--url", listener.url)
            async with hurried_daemon(
                Path(directory), str(clock), str(end / SECOND), *arguments
            ) as process:
                with anyio.fail_after(_TIMEOUT):
                    while now() < end:
                        assert process.returncode is None, "the daemon has ended"
                        await anyio.sleep(0.05)
                process.send_signal(signal.SIGTERM)
                await process.wait()
    return count
