"""What a tail leaves behind, how it waits, and what it says of itself."""

import asyncio
import gc
import logging
import warnings
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import anyio
import pytest

from aioservices import LogGap, Services, SessionClosedError
from aioservices.emulator import Emulator, LogBehaviour
from aioservices.emulator.faults import Respond

from .conftest import (
    PATIENCE,
    QUICK,
    collecting,
    crowd,
    queries,
    running,
    session,
    take,
    until,
    write,
    write_spread,
)

LOGS = "/services/*/deployments/*/logs"


async def test_a_tail_that_is_left_by_break_leaves_no_task(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, *range(5))
    await services.get(service_id)  # a connection that is kept has its own work
    before = running()
    async for _ in services.tail_logs(service_id, **QUICK):
        break
    await until(lambda: running() <= before)
    gc.collect()  # what was not closed would warn, and the warning fail the test


async def test_a_tail_that_is_closed_has_left_no_task(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    before = running()
    async with services.tail_logs(service_id, **QUICK) as tail:
        await take(tail, len(write(emulator, service_id, 1)))
        assert ours(running() - before)
    assert not ours(running() - before)
    await tail.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(tail)


async def test_a_consumer_that_is_cancelled_takes_the_tail_with_it(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    before = running()
    with anyio.CancelScope() as scope:
        async with services.tail_logs(service_id, **QUICK) as tail:
            await take(tail, len(write(emulator, service_id, 1)))
            scope.cancel()
            await anext(tail)
    assert scope.cancelled_caught
    assert not ours(running() - before)


def ours(tasks: set[asyncio.Task[object]]) -> list[asyncio.Task[object]]:
    """Pick the tasks of a tail; those of the server's connections end in their own time."""
    return [task for task in tasks if "Follower" in repr(task) or "Poller" in repr(task)]


async def test_nothing_is_asked_for_before_the_first_step(
    emulator: Emulator, services: Services
) -> None:
    async with services.tail_logs(emulator.add_service("web"), **QUICK):
        await anyio.sleep(0.05)
    assert not emulator.requests


async def test_closing_the_session_ends_a_tail_that_waits(emulator: Emulator) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with session(emulator) as services, anyio.create_task_group() as group:
        tail = services.tail_logs(service_id, **QUICK)

        async def wait() -> None:
            with pytest.raises(SessionClosedError):
                await anext(tail)

        group.start_soon(wait)
        await until(lambda: tail.status.polls)
        await services.aclose()


async def test_a_closed_session_opens_no_tail(emulator: Emulator) -> None:
    async with session(emulator) as services:
        pass
    with pytest.raises(SessionClosedError):
        await anext(services.tail_logs(1))


async def test_closing_a_tail_from_elsewhere_ends_the_iteration(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    tail = services.tail_logs(service_id, **QUICK)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:

            async def read() -> None:
                assert [entry async for entry in tail] == []

            group.start_soon(read)
            await until(lambda: tail.status.polls)
            await tail.aclose()


async def test_a_consumer_that_does_not_read_stops_the_polling(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, **QUICK) as tail:
        written = write(emulator, service_id, 0)
        assert await take(tail, 1) == written
        silent = emulator.add_service("silent", deployed=True)
        async with services.tail_logs(silent, **QUICK) as other, collecting(other):

            async def requests_while_lines_come(number: int) -> int:
                written.extend(write(emulator, service_id, number))
                emulator.requests.clear()
                polls = other.status.polls
                await until(lambda: other.status.polls > polls + 1)
                return sum(f"/{service_id}/" in each.path for each in emulator.requests)

            requests = [await requests_while_lines_come(number) for number in range(1, 11)]
        assert requests[-4:] == [0] * 4
        assert written[1:] == await take(tail, 10)


async def test_batches_give_the_same_lines_in_lists(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write(emulator, service_id, *range(100))
    batches = [
        [entry.message for entry in batch]
        async for batch in services.tail_logs(service_id, follow=False, limit=30).batches()
    ]
    assert all(batches)
    assert list(chain.from_iterable(batches)) == written


async def test_lines_and_batches_can_be_mixed(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write(emulator, service_id, *range(10))
    async with services.tail_logs(service_id, follow=False) as tail:
        seen = await take(tail, 3)
        async for batch in tail.batches():
            seen += [str(entry.message) for entry in batch]
    assert seen == written


async def test_the_status_tells_a_quiet_log_from_a_broken_one(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    tail = services.tail_logs(service_id, **QUICK | {"max_poll_interval": 0.2})
    before = tail.status
    assert (before.last_poll, before.lag, before.next_poll) == (None, None, None)
    async with tail, collecting(tail):
        await until(lambda: tail.status.next_poll)
        quiet = tail.status
        assert (quiet.deployments, quiet.error, quiet.outages) == ((1001,), None, 0)
        assert quiet.last_poll is not None
        assert abs(quiet.last_poll - datetime.now(UTC)) < timedelta(seconds=PATIENCE)
        with emulator.fault(Respond(503), path=LOGS):
            await until(lambda: tail.status.error)
            broken = tail.status
            assert broken.outages == 1
            assert "503" in str(broken.error)
            await until(lambda: (tail.status.lag or 0) > 0.3)
            assert tail.status.last_poll == broken.last_poll
            assert tail.status.next_poll is None
        await until(lambda: tail.status.error is None)
        await until(lambda: tail.status.polls > broken.polls)


async def test_the_status_counts_lines_and_those_that_were_late(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, **QUICK) as tail, collecting(tail) as messages:
        earlier = datetime.now(UTC)
        await anyio.sleep(0.002)  # the log knows milliseconds
        write(emulator, service_id, 2)
        await until(lambda: messages)
        write(emulator, service_id, 1, at=earlier)
        await until(lambda: len(messages) == 2)
        await until(lambda: tail.status.late_lines)
        assert messages == ["line 2", "line 1"]
        assert (tail.status.lines, tail.status.late_lines) == (2, 1)


async def test_lines_that_cannot_be_had_are_reported_and_the_tail_goes_on(
    emulator: Emulator, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    start = crowd(emulator, service_id)
    async with services.tail_logs(service_id, **QUICK | {"limit": 10}) as tail:
        messages: list[str] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with anyio.fail_after(PATIENCE):
                while "behind" not in messages:
                    messages += [str((await anext(tail)).message)]
        gaps = tail.status.gaps
        assert gaps == tuple(warning.message for warning in caught)
        assert {warning.filename for warning in caught} == {__file__}
        assert {(gap.service_id, gap.deployment_id) for gap in gaps} == {(service_id, 1001)}
        crowded = start + timedelta(milliseconds=100)
        assert any(gap.start and gap.end and gap.start <= crowded <= gap.end for gap in gaps)
        assert messages[0] == "before"
        assert len(messages) == len(set(messages)) >= 12
        # They are not searched for, nor told of, again and again.
        polls = tail.status.polls
        async with collecting(tail):
            await until(lambda: tail.status.polls > polls + 5)
        assert tail.status.gap_count == len(gaps)
    assert sum(record.levelno == logging.WARNING for record in caplog.records) == len(gaps)


@pytest.mark.filterwarnings("ignore::aioservices.LogGap")
async def test_why_full_pages_are_gaps_where_the_server_ignores_end_at_is_logged_once(
    emulator: Emulator, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    emulator.logs = LogBehaviour(ignores_end_at=True, keeps="newest", max_limit=20)
    write_spread(emulator, service_id, 200, ago=5.0)
    async with services.tail_logs(service_id, **QUICK | {"limit": 20}) as tail, collecting(tail):
        await until(lambda: tail.status.gap_count)
        polls = tail.status.polls
        await until(lambda: tail.status.polls > polls + 3)
    explained = [record for record in caplog.records if "ignores end_at" in record.message]
    assert len(explained) == 1


async def test_a_gap_may_be_made_an_error_after_which_the_next_step_goes_on(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    crowd(emulator, service_id)
    messages: list[str] = []
    gaps = 0
    async with services.tail_logs(service_id, **QUICK | {"limit": 10}) as tail:
        with anyio.fail_after(PATIENCE):
            while "behind" not in messages:
                try:
                    messages.append(str((await anext(tail)).message))
                except LogGap:  # as -W error, under which all tests run, has it
                    gaps += 1
    assert gaps == tail.status.gap_count > 0
    assert len(messages) >= 12


async def test_a_gap_in_batches_warns_where_these_are_asked_for(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    crowd(emulator, service_id)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async for _ in services.tail_logs(service_id, follow=False, limit=10).batches():
            pass
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"poll_interval": 0}, "poll_interval must be at least 0.001"),
        ({"poll_interval": float("nan")}, "poll_interval must be"),
        (
            {"poll_interval": 5, "max_poll_interval": 1},
            "max_poll_interval must be at least 5",
        ),
        ({"overlap": -1}, "overlap must be at least 0"),
        ({"overlap": float("inf")}, "overlap must be at least 0"),
        ({"grace": -1}, "grace must be at least 0"),
        ({"max_outage": -1}, "max_outage must be at least 0"),
        ({"limit": 0}, "limit must be 1 or more"),
        (
            {"start_at": "2026-11-23T00:00:01Z", "end_at": "2026-11-23T00:00:00Z"},
            "end_at must not be before start_at",
        ),
        ({"start_at": "2026-11-23T00:00:00"}, "start_at"),
    ],
)
async def test_a_tail_that_makes_no_sense_is_refused_at_once(
    services: Services, arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        services.tail_logs(1, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [{"poll_interval": "1"}, {"overlap": True}, {"follow": "no"}, {"resume": "{}"}, {"limit": "9"}],
)
async def test_an_argument_of_the_wrong_type_is_refused_by_name(
    services: Services, arguments: dict[str, Any]
) -> None:
    [name] = arguments
    with pytest.raises(TypeError, match=name):
        services.tail_logs(1, **arguments)


async def test_a_tail_that_is_never_read_needs_no_closing(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    services.tail_logs(service_id)
    gc.collect()
    assert queries(emulator) == 0


@pytest.mark.parametrize("kind", ["lines", "lines and batches"])
async def test_two_tasks_that_share_a_tail_get_every_line_once(
    emulator: Emulator, services: Services, kind: str
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write_spread(emulator, service_id, 300)
    messages: list[str] = []
    async with services.tail_logs(service_id, follow=False, limit=30) as tail:

        async def read_lines() -> None:
            async for entry in tail:
                messages.append(str(entry.message))
                await anyio.sleep(0)

        async def read_batches() -> None:
            async for batch in tail.batches():
                messages.extend(str(entry.message) for entry in batch)
                await anyio.sleep(0)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(read_lines)
                group.start_soon(read_lines if kind == "lines" else read_batches)
        assert sorted(messages) == sorted(written)
        assert tail.delivered == len(written)
        resume = tail.cursor
    async with services.tail_logs(service_id, follow=False, resume=resume) as tail:
        assert [entry async for entry in tail] == []
