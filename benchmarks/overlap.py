"""A poll of a busy log: a few new lines, and ten thousand that may still get company.

A line may turn up late, so a poll reads again what is inside the overlap. Ours mostly looks back a
little, and now and then all the way. Others do the same work by hand: one loop looks back exactly
as far each time, another one all the way, and both filter by a set of the lines they have seen.
Ours includes a check of the service for every second poll.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import process_time

import aiohttp
import anyio
import msgspec

from aioservices import Services
from aioservices.tail.schedule import Lookback
from benchmarks.contenders import LeanEntry
from benchmarks.log_server import DEPLOYMENT, log_server
from benchmarks.race import OURS
from benchmarks.report import Goal, Report, Row

_RATE = 200.0  # lines a second
_INTERVAL = 0.05  # seconds between two polls
_SAME, _WHOLE = "a loop with a set, the same pages", "a loop with a set, the whole overlap"

_decoder = msgspec.json.Decoder(list[LeanEntry])


async def run(*, quick: bool) -> Report:
    """Let each poll for as long as it takes to look back all the way once."""
    overlap = 2.0 if quick else 50.0
    lines = int(_RATE * (2.2 * overlap + 10))
    cpu: dict[str, float] = {}
    async with log_server(lines=lines, rate=_RATE, since=overlap, regular=True) as url:

        async def measure(name: str) -> None:
            command = [sys.executable, "-m", "benchmarks.overlap", url, name, str(overlap)]
            result = await anyio.run_process(command)
            cpu[name] = float(result.stdout)

        async with anyio.create_task_group() as group:  # CPU time does not tell who else runs
            for name in _CONTENDERS:
                group.start_soon(measure, name)
    ours = cpu[OURS]
    return Report(
        f"A poll with {_RATE * _INTERVAL:.0f} new lines and {_RATE * overlap:,.0f} in the overlap",
        [
            Row(name, {"ms of CPU a poll": cpu[name], f"{OURS} is times": cpu[name] / ours})
            for name in _CONTENDERS
        ],
        [
            Goal("ms of CPU of a poll with 10,000 lines in the overlap", ours, at_most=2.0),
            Goal(f"the same: CPU time of {_WHOLE}, in ours", cpu[_WHOLE] / ours, at_least=4.0),
            Goal(f"the same: CPU time of {_SAME}, in ours", cpu[_SAME] / ours, at_least=0.5),
        ],
    )


async def _tail(url: str, overlap: float) -> float:
    async with (
        Services("key", base_url=url) as services,
        services.tail_logs(
            1,
            DEPLOYMENT,
            poll_interval=_INTERVAL,
            max_poll_interval=_INTERVAL,
            overlap=overlap,
        ) as tail,
    ):
        used, polls, until = 0.0, 0, float("inf")
        async for _ in tail.batches():
            now = anyio.current_time()
            if not polls:
                used, polls, until = process_time(), tail.status.polls, now + 1.1 * overlap
            elif now >= until:
                break
        return (process_time() - used) / (tail.status.polls - polls)


async def _loop(url: str, overlap: float, lookback: Lookback | None) -> float:
    """Return the seconds of CPU time of a poll."""
    seen: set[tuple[object, ...]] = set()
    reach = timedelta(seconds=overlap)
    path = f"{url}services/1/deployments/{DEPLOYMENT}/logs"
    async with aiohttp.ClientSession() as http:

        async def poll() -> None:
            now = datetime.now(UTC)
            back = lookback.next(now) if lookback else None
            params = {"start_at": (now - (back or reach)).isoformat(), "limit": "20000"}
            async with http.get(path, params=params) as answer:
                page = _decoder.decode(await answer.read())
            new: list[LeanEntry] = []
            for entry in page:
                key = (entry.created_at, entry.stream, entry.source, entry.message)
                if key not in seen:
                    seen.add(key)
                    new.append(entry)

        await poll()
        used, polls, until = process_time(), 0, anyio.current_time() + 1.1 * overlap
        while anyio.current_time() < until:
            await poll()
            polls += 1
            await anyio.sleep(_INTERVAL)
        return (process_time() - used) / polls


async def _look_back_alike(url: str, overlap: float) -> float:
    return await _loop(url, overlap, Lookback(overlap))


async def _look_back_whole(url: str, overlap: float) -> float:
    return await _loop(url, overlap, None)


_CONTENDERS: dict[str, Callable[[str, float], Awaitable[float]]] = {
    OURS: _tail,
    _SAME: _look_back_alike,
    _WHOLE: _look_back_whole,
}


async def _main(url: str, name: str, overlap: float) -> None:
    print(1000 * await _CONTENDERS[name](url, overlap))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
