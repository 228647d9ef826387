"""A tail that was cut at any point, and goes on elsewhere as if it had never been."""

import asyncio
import random
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioservices import LogCursor, LogTail, Services, TailedEntry
from aioservices.emulator import Emulator, LogBehaviour

from .conftest import PATIENCE, QUICK, collecting, drain, session, take, until, write

# Every tail that is resumed reads its cursor from the text that a file would hold.
SMALL_PAGES: dict[str, Any] = QUICK | {"limit": 7}


def reread(tail: LogTail) -> LogCursor:
    return LogCursor.from_json(tail.cursor.to_json())


def write_a_history(emulator: Emulator, service_id: int) -> None:
    """Lines that are hard to tell apart: equal times, equal texts, in crowds over several pages."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=20)
    for number in range(120):
        at = start + timedelta(milliseconds=number // 5 * 100)
        emulator.log(service_id, f"line {number % 3}", at=at)


async def read_whole(services: Services, service_id: int) -> list[str]:
    tail = services.tail_logs(service_id, follow=False, limit=10_000)
    return [entry.line_id async for entry in tail]


@pytest.mark.parametrize("seed", range(4))
async def test_a_tail_cut_between_any_two_lines_goes_on_with_the_next_one(
    emulator: Emulator, services: Services, seed: int
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write_a_history(emulator, service_id)
    whole = await read_whole(services, service_id)
    rng = random.Random(seed)
    cursor: LogCursor | None = None
    seen: list[str] = []
    with anyio.fail_after(PATIENCE):
        while len(seen) < len(whole):
            count = min(rng.randint(1, 25), len(whole) - len(seen))
            async with services.tail_logs(service_id, resume=cursor, **SMALL_PAGES) as tail:
                seen += [(await anext(tail)).line_id for _ in range(count)]
            cursor = reread(tail)
    assert seen == whole


async def test_a_tail_that_is_left_by_break_goes_on(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write_a_history(emulator, service_id)
    whole = await read_whole(services, service_id)
    seen: list[str] = []
    cursor: LogCursor | None = None
    while len(seen) < len(whole):
        tail = services.tail_logs(service_id, resume=cursor, **SMALL_PAGES)
        async for batch in tail.batches():
            seen += [entry.line_id for entry in batch]
            break
        cursor = reread(tail)
    assert seen == whole


@pytest.mark.parametrize("seed", range(4))
async def test_a_tail_cancelled_at_any_await_goes_on(emulator: Emulator, seed: int) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write_a_history(emulator, service_id)
    rng = random.Random(seed)
    seen: list[str] = []
    cursor: LogCursor | None = None

    async def read(tail: LogTail) -> None:
        async with tail:
            async for entry in tail:
                seen.append(entry.line_id)
                if rng.random() < 0.3:
                    await anyio.sleep(0)

    async with session(emulator) as services:
        whole = await read_whole(services, service_id)
        longest = 0.05
        with anyio.fail_after(PATIENCE):
            while len(seen) < len(whole):
                before = len(seen)
                tail = services.tail_logs(service_id, resume=cursor, **SMALL_PAGES)
                with anyio.move_on_after(rng.uniform(0, longest)):
                    await read(tail)
                cursor = reread(tail)
                if len(seen) == before:  # on a slow machine, an answer takes longer
                    longest *= 1.2
    assert seen == whole


async def test_a_step_that_is_cancelled_loses_nothing(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    seen: list[str] = []
    written: list[str] = []
    async with services.tail_logs(service_id, **QUICK) as tail:
        with anyio.fail_after(PATIENCE):
            for number in range(30):
                written += write(emulator, service_id, number)
                while len(seen) < len(written):
                    try:
                        async with asyncio.timeout(0.004):
                            seen.append(str((await anext(tail)).message))
                    except TimeoutError:
                        pass
    assert seen == written


async def test_a_batch_may_be_changed_by_its_owner(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write_a_history(emulator, service_id)
    async with services.tail_logs(service_id, **QUICK) as tail:
        batch = await anext(tail.batches())
        given = len(batch)
        batch.clear()
    rest = await drain(services.tail_logs(service_id, resume=reread(tail), follow=False))
    assert given + len(rest) == 120


@pytest.mark.parametrize("cut_after", range(0, 12, 3))
async def test_two_deployments_that_are_read_at_once_both_go_on(
    emulator: Emulator, services: Services, cut_after: int
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    options = QUICK | {"grace": 5.0}
    write(emulator, service_id, *range(4))
    async with services.tail_logs(service_id, **options) as tail:
        seen = await take(tail, 1)
        new = emulator.deploy(service_id)
        write(emulator, service_id, *range(100, 110), deployment_id=new)
        seen += await take(tail, cut_after)
    write(emulator, service_id, 4, 5, deployment_id=1001)
    write(emulator, service_id, 110, deployment_id=new)
    async with services.tail_logs(service_id, resume=reread(tail), **options) as tail:
        seen += await take(tail, 17 - len(seen))
    assert sorted(seen) == sorted(f"line {n}" for n in (*range(6), *range(100, 111)))


async def test_deployments_that_come_while_nobody_looks_are_all_read(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, **QUICK) as tail:
        seen = await take(tail, len(write(emulator, service_id, 0)))
    for number in range(1, 4):
        write(emulator, service_id, number, deployment_id=emulator.deploy(service_id))
    async with services.tail_logs(service_id, resume=reread(tail), **QUICK) as tail:
        seen += await take(tail, 3)
    assert sorted(seen) == [f"line {number}" for number in range(4)]


async def test_a_tail_cut_before_the_first_deployment_reads_all_that_come(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web")
    async with services.tail_logs(service_id, **QUICK) as tail, collecting(tail):
        await until(lambda: tail.cursor.latest_id is not None)
    for number in range(3):
        write(emulator, service_id, number, deployment_id=emulator.deploy(service_id))
    async with services.tail_logs(service_id, resume=reread(tail), **QUICK) as tail:
        assert sorted(await take(tail, 3)) == ["line 0", "line 1", "line 2"]


async def test_lines_that_turn_up_late_while_nobody_looks_are_read(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    earlier = datetime.now(UTC)
    await anyio.sleep(0.002)  # the log knows milliseconds
    async with services.tail_logs(service_id, **QUICK) as tail:
        seen = await take(tail, len(write(emulator, service_id, 1)))
    write(emulator, service_id, 0, at=earlier)
    async with services.tail_logs(service_id, resume=reread(tail), **QUICK) as tail:
        seen += await take(tail, 1)
    assert seen == ["line 1", "line 0"]


async def test_a_cursor_from_before_the_first_step_starts_at_the_same_place(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write(emulator, service_id, *range(5))
    tail = services.tail_logs(service_id, **QUICK)
    resumed = services.tail_logs(service_id, resume=reread(tail), follow=False)
    assert await drain(resumed) == written


async def test_a_cursor_keeps_where_the_tail_was_to_start(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    now = datetime.now(UTC)
    write(emulator, service_id, *range(50), at=now - timedelta(seconds=30))
    cursor = reread(services.tail_logs(service_id, start_at=now - timedelta(seconds=5), **QUICK))
    written = write(emulator, service_id, 50)
    async with services.tail_logs(service_id, resume=cursor, **QUICK) as tail:
        assert await take(tail, 1) == written
        again = reread(tail)
    assert again.start_at == cursor.start_at is not None


async def test_a_tail_that_was_over_stays_over(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write(emulator, service_id, *range(5))
    emulator.set_state(service_id, "terminated")
    tail = services.tail_logs(service_id, 1001, **QUICK)
    assert await drain(tail) == written
    assert await drain(services.tail_logs(service_id, 1001, resume=reread(tail), **QUICK)) == []


async def test_a_line_has_the_same_identifier_in_every_tail(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write_a_history(emulator, service_id)
    emulator.logs = LogBehaviour(order="unsorted", keeps="newest", unit="ns")
    emulator.log(service_id, "the same")
    tails = [services.tail_logs(service_id, follow=False, limit=limit) for limit in (9, 50, 10_000)]
    first, *others = [{entry.line_id async for entry in tail} for tail in tails]
    assert len(first) == 121
    assert all(other == first for other in others)


async def test_copies_of_a_line_are_numbered_and_told_apart(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    at = datetime.now(UTC)
    entries: list[TailedEntry] = []
    async with services.tail_logs(service_id, **QUICK) as tail:
        for count in (1, 3, 2):
            for _ in range(count):
                emulator.log(service_id, "the same", at=at)
            with anyio.fail_after(PATIENCE):
                entries += [await anext(tail) for _ in range(count)]
    assert [entry.copy for entry in entries] == list(range(6))
    assert len({entry.line_id for entry in entries}) == 6


async def test_a_cursor_of_something_else_is_refused(services: Services) -> None:
    cursor = services.tail_logs(1, 1001).cursor
    for arguments in ((2, 1001), (1, None), (1, 1002)):
        with pytest.raises(ValueError, match="is that of deployment 1001 of service 1: it cannot"):
            services.tail_logs(*arguments, resume=cursor)
    with pytest.raises(ValueError, match="leave out start_at"):
        services.tail_logs(1, 1001, resume=cursor, start_at="2026-11-23T00:00:00Z")


READER = """
import asyncio, os, pathlib, sys
from aioservices import LogCursor, Services

async def main(url, key, service_id, folder):
    place = pathlib.Path(folder)
    kept = place / "cursor.json"
    resume = LogCursor.from_json(kept.read_text()) if kept.exists() else None
    async with Services(key, base_url=url) as services:
        tail = services.tail_logs(
            int(service_id), resume=resume, poll_interval=0.02, max_poll_interval=0.05,
            overlap=2.0, grace=0.3, limit=7,
        )
        with open(place / "lines", "a") as lines:
            async for entry in tail:
                lines.write(entry.line_id + "\\n")
                lines.flush()
                (place / "new").write_text(tail.cursor.to_json())
                os.replace(place / "new", kept)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_process_that_is_killed_again_and_again_repeats_one_line_at_most(
    emulator: Emulator, services: Services, tmp_path: Path
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write_a_history(emulator, service_id)
    whole = await read_whole(services, service_id)
    lines = tmp_path / "lines"
    lines.touch()

    def seen() -> list[str]:
        return lines.read_text().splitlines()

    async def read_until(goal: float) -> None:
        arguments = [emulator.url, emulator.api_key, str(service_id), str(tmp_path)]
        async with await anyio.open_process([sys.executable, "-c", READER, *arguments]) as process:
            await until(lambda: len(set(seen())) >= goal)  # one may be there twice
            process.send_signal(signal.SIGKILL)

    goals = [share * len(whole) for share in (0.3, 0.7, 1.0)]
    for goal in goals:
        await read_until(goal)
    found = seen()
    assert list(dict.fromkeys(found)) == whole
    assert len(found) - len(whole) <= len(goals)


async def test_a_tail_that_has_nothing_to_count_any_more_does_not_start_again(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    written = write(emulator, service_id, *range(5), at=long_ago)
    async with services.tail_logs(service_id, **QUICK) as tail:
        assert await take(tail, 5) == written
    assert not any(place.lines for place in tail.cursor.positions)
    written = write(emulator, service_id, 5)
    assert await drain(services.tail_logs(service_id, resume=reread(tail), follow=False)) == written
