"""Waiting lines: what 500 logs with a backlog take in memory while their lines are hardly taken."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, Callable, Coroutine
from pathlib import Path

import anyio

from aioservices import Services
from benchmarks.log_server import log_server
from benchmarks.report import Goal, Report, Row

_BACKLOG = 100_000  # lines of each service


async def run(*, quick: bool) -> Report:
    """Measure each way of reading in a process of its own, and that of as many idle logs."""
    count, seconds = (20, 1.0) if quick else (500, 30.0)
    lines = _BACKLOG // 10 if quick else _BACKLOG
    rows: list[Row] = []
    goals: list[Goal] = []
    async with log_server(logs=count, lines=lines, since=lines, is_shared=True) as url:
        for name in _READERS:
            idle, _ = await _measure(url, name, range(count + 1, 2 * count + 1), seconds)
            most, last = await _measure(url, name, range(1, count + 1), seconds)
            figures = {"MB at most": most - idle, "MB at the end": last - idle}
            rows.append(Row(name, {title: max(0.1, value) for title, value in figures.items()}))
            goals.append(Goal(f"MB of waiting lines of 500 logs, {name}", most - idle, at_most=100))
    return Report(f"{count:,} logs with a backlog, above as many that are idle", rows, goals)


async def _measure(url: str, name: str, services: range, seconds: float) -> tuple[float, float]:
    """Return the megabytes that logs take at most, and at the end."""
    numbers = map(str, (services.start, services.stop, seconds))
    command = [sys.executable, "-m", "benchmarks.waiting", url, name, *numbers]
    result = await anyio.run_process(command)
    most, last = map(float, result.stdout.split())
    return most, last


async def _main(url: str, name: str, ids: range, seconds: float) -> None:
    async with Services("key", base_url=url) as services:
        await services.get(1)
        # Forget the peak of the imports: below it, a few lines would seem to take nothing.
        Path("/proc/self/clear_refs").write_text("5")
        before = _megabytes("VmRSS")
        async with anyio.create_task_group() as group:
            group.start_soon(_READERS[name], services, ids)
            await anyio.sleep(seconds)
            print(_megabytes("VmHWM") - before, _megabytes("VmRSS") - before)
            group.cancel_scope.cancel()


async def _take_one(services: Services, ids: range) -> None:
    await _tail(services, ids, pause=3600.0)


async def _take_slowly(services: Services, ids: range) -> None:
    await _tail(services, ids, pause=0.1)


async def _tail(services: Services, ids: range, *, pause: float) -> None:
    async with anyio.create_task_group() as readers:
        for number in ids:
            readers.start_soon(_read, services.tail_logs(number), pause)


async def _watch(services: Services, ids: range) -> None:
    async with services.watch_logs(ids) as watch:
        await _read(watch, 0.01)


async def _watch_in_order(services: Services, ids: range) -> None:
    async with services.watch_logs(ids, hold_back=5.0) as watch:
        await _read(watch, 0.01)


async def _read(lines: AsyncIterable[object], pause: float) -> None:
    async for _ in lines:
        await anyio.sleep(pause)


_READERS: dict[str, Callable[[Services, range], Coroutine[object, object, None]]] = {
    "a tail each, one line taken": _take_one,
    "a tail each, read slowly": _take_slowly,
    "a watch, read slowly": _watch,
    "a watch in the order of time, read slowly": _watch_in_order,
}


def _megabytes(name: str) -> float:
    """Megabytes of this process that are in memory (VmRSS), or were at most (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if name in line)


if __name__ == "__main__":
    url, name, start, stop, seconds = sys.argv[1:]
    asyncio.run(_main(url, name, range(int(start), int(stop)), float(seconds)))
