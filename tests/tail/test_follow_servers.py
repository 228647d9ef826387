"""Every way in which a server may answer, over real sockets; the pure tests go deeper."""

from collections import Counter
from datetime import UTC, datetime
from random import Random

import anyio
import pytest

from aioservices import LogTail, Services
from aioservices.emulator import Emulator, LogBehaviour, instants

from .conftest import PATIENCE, QUICK, until

BEHAVIOURS = {
    "ordinary": LogBehaviour(),
    "keeps the newest": LogBehaviour(keeps="newest"),
    "keeps any": LogBehaviour(keeps="any"),
    "descending": LogBehaviour(order="desc"),
    "unsorted": LogBehaviour(order="unsorted", keeps="newest"),
    "start truncated to seconds": LogBehaviour(start_unit="s"),
    "end truncated to seconds": LogBehaviour(end_unit="s"),
    "end truncated to milliseconds": LogBehaviour(end_unit="ms", unit="us"),
    "both compared in seconds": LogBehaviour(start_unit="s", end_unit="s", end_rounding="up"),
    "both truncated, newest, descending": LogBehaviour(
        start_unit="s", end_unit="s", keeps="newest", order="desc"
    ),
    "microseconds": LogBehaviour(unit="us"),
    "nanoseconds": LogBehaviour(unit="ns"),
    "nanoseconds, end in milliseconds": LogBehaviour(unit="ns", end_unit="ms"),
    "whole seconds": LogBehaviour(unit="s"),
    "with an offset": LogBehaviour(utc_offset=-330, unit="us"),
    "ignores end_at": LogBehaviour(ignores_end_at=True),
    "caps the limit": LogBehaviour(max_limit=25),
    "caps the limit, keeps the newest": LogBehaviour(max_limit=25, keeps="newest"),
}


class History:
    """Lines as three replicas would write them: late, out of order, many of them alike."""

    def __init__(self, emulator: Emulator, service_id: int, *, seed: int = 0) -> None:
        self.written: Counter[tuple[int, str]] = Counter()
        self._emulator = emulator
        self._service_id = service_id
        self._random = Random(seed)

    def write(self, count: int, *, since: float, visible_within: float = 0.0) -> None:
        """Write lines with times of the last seconds."""
        now = instants.from_datetime(datetime.now(UTC))
        at = now
        for _ in range(count):
            if self._random.random() < 0.5:  # else it is another one of the same instant
                at = now - self._random.randrange(int(since * 10**9))
            self.log(at, f"line {self._random.randrange(3)}", visible_within)

    def log(self, at: int, message: str, visible_within: float = 0.0) -> None:
        unit = instants.NANOSECONDS[self._emulator.logs.unit]
        at -= at % unit
        self.written[(at + 500) // 1000, message] += 1
        late = self._random.uniform(0, visible_within)
        self._emulator.log(self._service_id, message, at=at, visible_after=late)


class Delivered:
    """What a tail has given, read in the background."""

    def __init__(self, tail: LogTail) -> None:
        self.lines: Counter[tuple[int, str]] = Counter()
        self._tail = tail

    async def collect(self) -> None:
        async for entry in self._tail:
            at = instants.from_datetime(entry.created_at)
            self.lines[at // 1000, str(entry.message)] += 1


async def check(services: Services, emulator: Emulator, history: History) -> None:
    """Follow a history while it is written; every line comes, and comes once."""
    history.write(200, since=30.0)
    # What the tail can ask for must fit a page: some 120 lines come in one second.
    behaviour = emulator.logs
    rounds = "s" in (behaviour.unit, behaviour.start_unit, behaviour.end_unit)
    options = QUICK | {"limit": 400 if rounds else 40}
    async with services.tail_logs(1, **options) as tail, anyio.create_task_group() as group:
        delivered = Delivered(tail)
        group.start_soon(delivered.collect)
        for _ in range(6):
            history.write(20, since=1.0, visible_within=0.2)
            await anyio.sleep(0.03)
        emulator.log(1, "the last")
        history.written[0, "the last"] += 1
        with anyio.fail_after(PATIENCE):
            while delivered.lines.total() < history.written.total():
                await anyio.sleep(0.01)
        polls = tail.status.polls
        await until(lambda: tail.status.polls > polls + 3)
        group.cancel_scope.cancel()
    last = [line for line in delivered.lines if line[1] == "the last"]
    delivered.lines[0, "the last"] = delivered.lines.pop(last[0])
    assert delivered.lines == history.written
    # Nothing proves a full page complete where the end is ignored.
    assert tail.status.gap_count == 0 or behaviour.ignores_end_at


@pytest.mark.filterwarnings("default::aioservices.LogGap")
@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_every_line_comes_once_from_a_server_that(
    emulator: Emulator, services: Services, name: str
) -> None:
    emulator.add_service("web", deployed=True)
    emulator.logs = BEHAVIOURS[name]
    await check(services, emulator, History(emulator, 1))
