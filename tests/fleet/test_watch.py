"""The logs of many services in one stream."""

import asyncio
import gc
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from yarl import URL

import aioservices
from aioservices import (
    AuthenticationError,
    LogCursor,
    LogWatch,
    Services,
    SessionClosedError,
    WatchedEntry,
)
from aioservices.emulator import Emulator, Respond
from aioservices.fleet.merge import ReorderBuffer
from aioservices.tail.budget import LineBudget
from tests.servers.emulated import requests_to
from tests.servers.hostile import Request, Writer, answer, hostile
from tests.servers.waiting import PATIENCE, until

ONE_PAGE = {"X-Pagination-Total-Pages": "1"}
QUICK = {"refresh": 0.05, "poll_interval": 0.01, "max_poll_interval": 0.05, "grace": 0.1}


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    return {"services": 3, "deployed": True}


def watch(services: Services, **options: object) -> LogWatch:
    return services.watch_logs(**{**QUICK, "overlap": 1.0, **options})  # type: ignore[arg-type]


async def take(watch: LogWatch, count: int) -> list[WatchedEntry]:
    seen: list[WatchedEntry] = []
    while len(seen) < count:
        with anyio.fail_after(PATIENCE):
            seen.append(await anext(watch))
    return seen


def messages(lines: list[WatchedEntry]) -> list[str | None]:
    return [line.entry.message for line in lines]


async def test_the_lines_of_all_services_come_with_their_names(
    emulator: Emulator, services: Services
) -> None:
    for service_id in emulator.service_ids:
        emulator.log(service_id, f"line of {service_id}")
    names = {each.id: each.name async for each in services.list()}
    async with watch(services) as lines:
        seen = await take(lines, 3)
    assert {line.service_id: line.service_name for line in seen} == names
    assert {line.entry.message for line in seen} == {f"line of {each}" for each in names}
    assert all(line.deployment_id == line.entry.deployment_id is not None for line in seen)


async def test_a_service_that_comes_is_picked_up_from_its_first_line(
    emulator: Emulator, services: Services
) -> None:
    async with watch(services) as lines:
        emulator.log(1, "before")
        await take(lines, 1)
        new = emulator.add_service("late", deployed=True)
        emulator.log(new, "its first")
        [line] = await take(lines, 1)
    assert (line.service_id, line.service_name, line.entry.message) == (new, "late", "its first")


async def test_a_service_that_goes_is_read_to_its_end_and_let_go(
    emulator: Emulator, services: Services
) -> None:
    async with watch(services) as lines:
        emulator.log(1, "here")
        await take(lines, 1)
        emulator.log(1, "last words")
        emulator.set_state(1, "terminated")
        assert messages(await take(lines, 1)) == ["last words"]

        async def keep_reading() -> None:
            async for _ in lines:
                pass

        async with anyio.create_task_group() as group:
            group.start_soon(keep_reading)
            await until(lambda: 1 not in lines.statuses)
            group.cancel_scope.cancel()
        assert set(lines.statuses) == {2, 3}


@pytest.mark.parametrize("end", ["terminated", "failed", "archived", "renamed"])
async def test_a_service_that_goes_is_read_to_its_end_however_slow_the_consumer_is(
    emulator: Emulator, services: Services, end: str
) -> None:
    begin = datetime.now(UTC) - timedelta(hours=1)
    for number in range(3000):
        emulator.log(1, f"{number}", at=begin + timedelta(seconds=number / 10))
    seen: list[str | None] = []
    async with watch(services, name="service-*", limit=200, refresh=0.02, grace=0.0) as lines:
        seen += messages(await take(lines, 10))
        match end:
            case "archived":
                await services.put_archive(1, True)
                emulator.set_state(1, "terminated")
            case "renamed":
                await services.patch(1, name="another")
            case _:
                emulator.set_state(1, end)
        await anyio.sleep(0.5)  # many refreshes, none of which finds it
        while len(seen) < 3000:
            seen += messages(await take(lines, 100 if len(seen) < 2900 else 1))
    assert seen == [f"{number}" for number in range(3000)]


async def test_a_service_that_goes_is_written_to_its_end_however_slow_the_sink_is(
    emulator: Emulator, services: Services
) -> None:
    begin = datetime.now(UTC) - timedelta(hours=1)
    for number in range(3000):
        emulator.log(1, f"{number}", at=begin + timedelta(seconds=number / 10))
    store = Slow(refusals=0)
    async with (
        watch(services, sink=store, limit=200, refresh=0.02, grace=0.0) as lines,
        anyio.create_task_group() as group,
    ):
        group.start_soon(lines.run)
        await until(lambda: store.lines)
        emulator.set_state(1, "failed")
        await until(lambda: 1 not in lines.statuses)
        assert lines.delivered == 3000
        group.cancel_scope.cancel()
    assert store.lines == [f"{number}" for number in range(3000)]


async def test_what_a_deployment_writes_after_its_service_has_gone_from_the_listing_comes(
    emulator: Emulator, services: Services
) -> None:
    async with watch(services, name="service-*") as lines:
        emulator.log(1, "here")
        assert messages(await take(lines, 1)) == ["here"]
        await services.patch(1, name="another name")
        last = asyncio.ensure_future(take(lines, 1))
        await anyio.sleep(0.3)
        emulator.log(1, "its last words")
        emulator.set_state(1, "terminated")
        assert messages(await last) == ["its last words"]


async def test_a_service_that_a_listing_leaves_out_once_is_followed_to_its_next_deployment(
    emulator: Emulator, services: Services
) -> None:
    async with watch(services) as lines:
        emulator.log(1, "one")
        assert messages(await take(lines, 1)) == ["one"]
        fault = emulator.fault(Respond(200, b"[]"), path="/services", times=2)
        reader = asyncio.ensure_future(take(lines, 1))
        await until(lambda: fault.hits == 2)
        await anyio.sleep(0.1)
        emulator.deploy(1)
        emulator.set_state(1, "running")
        emulator.log(1, "two")
        assert messages(await reader) == ["two"]


async def test_a_service_that_comes_back_continues_where_it_was(
    emulator: Emulator, services: Services
) -> None:
    async with watch(services) as lines:
        emulator.log(1, "one")
        await take(lines, 1)
        emulator.set_state(1, "stopped")
        reader = asyncio.ensure_future(take(lines, 1))
        await until(lambda: 1 not in lines.statuses)
        emulator.set_state(1, "running")
        emulator.log(1, "two")
        assert messages(await reader) == ["two"]


async def test_only_what_matches_is_watched(emulator: Emulator, services: Services) -> None:
    wanted = emulator.add_service("Web-shop", deployed=True)
    emulator.log(1, "not wanted")
    emulator.log(wanted, "wanted")
    async with watch(services, name="web-*") as lines:
        assert messages(await take(lines, 1)) == ["wanted"]
        assert set(lines.statuses) == {wanted}


@pytest.mark.parametrize(
    ("name", "pattern"), [("web [prod]", "web [prod]"), ("Straße-1", "STRASSE-?")]
)
async def test_a_watch_finds_names_as_every_other_search_does(
    emulator: Emulator, services: Services, name: str, pattern: str
) -> None:
    wanted = emulator.add_service(name, deployed=True)
    emulator.log(wanted, "found")
    async with watch(services, name=pattern) as lines:
        assert messages(await take(lines, 1)) == ["found"]


async def test_services_named_by_id_are_watched_whatever_their_status(
    emulator: Emulator, services: Services
) -> None:
    emulator.log(2, "it ran")
    emulator.set_state(2, "terminated")
    async with watch(services, ids=[2, 2]) as lines:
        [line] = await take(lines, 1)
    assert (line.service_id, line.entry.message) == (2, "it ran")
    assert line.service_name


async def test_a_chatty_service_does_not_crowd_out_the_others(
    emulator: Emulator, services: Services
) -> None:
    for number in range(5000):
        emulator.log(1, f"chatter {number}")
    emulator.log(2, "a word")
    emulator.log(3, "a word")
    async with watch(services) as lines:
        counts = Counter(line.service_id for line in await take(lines, 1200))
    assert counts[2] == counts[3] == 1


async def test_the_trouble_of_one_log_is_its_own_and_passes(
    emulator: Emulator, services: Services
) -> None:
    emulator.log(1, "hidden")
    emulator.log(2, "seen")
    fault = emulator.fault(Respond(410), path="/services/1/deployments/*/logs")
    async with watch(services, ids=[1, 2]) as lines:
        assert messages(await take(lines, 1)) == ["seen"]
        reader = asyncio.ensure_future(take(lines, 1))
        await until(lambda: 1 in lines.failures)
        fault.remove()
        assert messages(await reader) == ["hidden"]
        assert 1 not in lines.failures


async def test_a_dead_key_ends_the_watch(emulator: Emulator, services: Services) -> None:
    emulator.log(1, "before")
    async with watch(services) as lines:
        await take(lines, 1)
        emulator.api_key = "another"
        with pytest.raises(AuthenticationError):
            await take(lines, 1)


async def test_a_checkpoint_continues_with_nothing_lost_and_nothing_repeated(
    emulator: Emulator, services: Services
) -> None:
    expected: set[str] = set()
    for number in range(90):
        message = f"line {number}"
        emulator.log(1 + number % 3, message)
        expected.add(message)
    seen: list[str | None] = []
    resume: Mapping[int, LogCursor] | None = None
    while len(seen) < 90:
        async with watch(services, resume=resume) as lines:
            seen += messages(await take(lines, 9))
            resume = {
                each: LogCursor.from_json(cursor.to_json())
                for each, cursor in lines.checkpoint.items()
            }
    assert len(seen) == 90
    assert set(seen) == expected


class Store:
    """Keeps lines and cursors together, and refuses at first."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.lines: list[str | None] = []
        self.cursors: dict[int, LogCursor] = {}

    async def write(
        self, entries: Sequence[WatchedEntry], checkpoint: Mapping[int, LogCursor]
    ) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError("the disk is full")
        await self._keep(entries, checkpoint)

    async def _keep(
        self, entries: Sequence[WatchedEntry], checkpoint: Mapping[int, LogCursor]
    ) -> None:
        self.lines += [line.entry.message for line in entries]
        self.cursors.update(checkpoint)


async def test_a_sink_has_each_line_once_though_it_refused_it_and_the_watch_was_cut(
    emulator: Emulator, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.watcher._SINK_DELAYS", (0.001, 0.01))
    store = Store(refusals=2)
    for number in range(30):
        emulator.log(1 + number % 3, f"line {number}")
        if number % 10 == 9:
            async with watch(services, sink=store, resume=store.cursors) as lines:
                await take(lines, 1)
                assert lines.checkpoint == store.cursors
    async with watch(services, sink=store, resume=store.cursors) as lines:
        emulator.log(1, "the end")
        while (await take(lines, 1))[0].entry.message != "the end":
            pass
        await until(lambda: len(store.lines) == 31)
    assert Counter(store.lines) == Counter([*(f"line {n}" for n in range(30)), "the end"])


class Slow(Store):
    """Takes a while for each write."""

    async def write(
        self, entries: Sequence[WatchedEntry], checkpoint: Mapping[int, LogCursor]
    ) -> None:
        await anyio.sleep(0.05)
        await self._keep(entries, checkpoint)


class SelfCancelling(Store):
    """Awaits a task that it has cancelled, the first few times."""

    async def write(
        self, entries: Sequence[WatchedEntry], checkpoint: Mapping[int, LogCursor]
    ) -> None:
        if self.refusals:
            self.refusals -= 1
            task = asyncio.ensure_future(asyncio.sleep(3600))
            task.cancel()
            await task
        await self._keep(entries, checkpoint)


async def test_a_sink_that_meets_a_cancellation_of_its_own_is_asked_again(
    emulator: Emulator, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.watcher._SINK_DELAYS", (0.001, 0.01))
    store = SelfCancelling(refusals=3)
    emulator.log(1, "a line")
    async with watch(services, sink=store) as lines:
        assert messages(await take(lines, 1)) == ["a line"]
        emulator.log(2, "another")
        assert messages(await take(lines, 1)) == ["another"]
    assert store.lines == ["a line", "another"]


async def test_a_watch_that_is_cancelled_in_a_write_ends(
    emulator: Emulator, services: Services
) -> None:
    started = anyio.Event()

    class Stuck(Store):
        async def write(
            self, entries: Sequence[WatchedEntry], checkpoint: Mapping[int, LogCursor]
        ) -> None:
            started.set()
            await anyio.sleep_forever()

    emulator.log(1, "a line")
    with anyio.fail_after(PATIENCE):
        async with (
            watch(services, sink=Stuck(0)) as lines,
            anyio.create_task_group() as group,
        ):
            group.start_soon(lines.run)
            await started.wait()
            group.cancel_scope.cancel()


async def test_a_watch_without_a_sink_has_nothing_to_run(services: Services) -> None:
    with pytest.raises(ValueError, match="sink"):
        await watch(services).run()


class Choosy(Store):
    """Refuses the lines of one service forever."""

    async def write(
        self, entries: Sequence[WatchedEntry], checkpoint: Mapping[int, LogCursor]
    ) -> None:
        if 1 in checkpoint:
            self.refusals += 1
            raise ValueError("no line of this service has a place here")
        await self._keep(entries, checkpoint)


async def test_a_sink_that_refuses_the_lines_of_one_service_has_those_of_the_others(
    emulator: Emulator, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.watcher._SINK_DELAYS", (1e6, 1e6))
    store = Choosy(refusals=0)
    emulator.log(1, "refused")
    async with watch(services, sink=store) as lines, anyio.create_task_group() as group:
        group.start_soon(take, lines, 2)
        await until(lambda: store.refusals)
        for service_id in (2, 3):
            emulator.log(service_id, "kept")
    assert store.lines == ["kept", "kept"]


async def test_lines_are_put_into_order_within_the_hold_back(
    emulator: Emulator, services: Services
) -> None:
    seen: list[str | None] = []

    async def collect() -> None:
        seen.extend(messages(await take(lines, 30)))

    async with watch(services, hold_back=2.0) as lines, anyio.create_task_group() as group:
        group.start_soon(collect)
        for number in range(30):
            emulator.log(1 + number % 3, f"{number:02}")
            await anyio.sleep(0.002)
    assert seen == [f"{number:02}" for number in range(30)]


async def test_a_backlog_of_many_logs_comes_in_order_and_does_not_wait(
    emulator: Emulator, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.merge._MAX_ITEMS", 300)
    monkeypatch.setattr("aioservices.fleet.merge._MIN_SHARE", 100)
    begin = datetime.now(UTC) - timedelta(hours=1)
    for number in range(6000):
        emulator.log(1 + number % 3, f"{number:04}", at=begin + timedelta(seconds=number / 2))
    async with watch(services, hold_back=3600.0) as lines:
        # When the end of a log was let go, nobody knows whether there is more.
        seen = messages(await take(lines, 5600))
    assert seen == [f"{number:04}" for number in range(5600)]


async def test_what_is_held_back_holds_up_no_log(
    emulator: Emulator, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.merge._MAX_ITEMS", 200)
    monkeypatch.setattr("aioservices.fleet.merge._MIN_SHARE", 200)
    begin = datetime.now(UTC) - timedelta(minutes=10)
    for number in range(5000):
        emulator.log(1, f"{number:04}", at=begin + timedelta(seconds=number / 10))
    async with watch(services, hold_back=0.5) as lines:
        seen = messages(await take(lines, 5000))
    assert seen == [f"{number:04}" for number in range(5000)]


@pytest.mark.parametrize("logs", [1, 10, 500])
def test_lines_that_are_held_back_and_whole_pages_share_one_cap(logs: int) -> None:
    held, budget = ReorderBuffer[int](5.0), LineBudget()
    for log in range(logs):
        held.open(log, 0.0)
    for log in range(logs):
        while not held.is_full(log):
            held.push(log, datetime.now(UTC), log, 0.0)
    while budget.has_room(100):
        budget.use(100)
    assert len(held) + budget.used <= budget.capacity


async def test_only_so_much_of_a_log_is_held_back(
    emulator: Emulator, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.merge._MAX_ITEMS", 200)
    monkeypatch.setattr("aioservices.fleet.merge._MIN_SHARE", 200)
    begin = datetime.now(UTC) - timedelta(hours=1)
    for number in range(20_000):
        emulator.log(1, f"{number}", at=begin + timedelta(seconds=number / 10))
    logs = "/services/1/deployments/1001/logs"
    async with watch(services, hold_back=3600.0, limit=1000) as lines:
        async with anyio.create_task_group() as group:
            group.start_soon(anext, lines)
            await until(lambda: requests_to(emulator, logs))
            await anyio.sleep(1.0)
            group.cancel_scope.cancel()
        assert requests_to(emulator, logs) <= 10  # else there are forty


async def test_a_caller_who_is_slow_has_the_lines_in_order_that_came_in_time(
    emulator: Emulator, services: Services
) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=10)
    for number in range(900):
        emulator.log(1 + number % 3, f"{number:03}", at=begin + timedelta(seconds=number / 10))
    seen: list[str | None] = []
    async with watch(services, hold_back=1.5, limit=50) as lines:
        while len(seen) < 900:
            seen += messages(await take(lines, 10))
            await anyio.sleep(0.01)
    assert seen == [f"{number:03}" for number in range(900)]


async def test_lines_under_way_do_not_come_again_when_their_log_is_taken_up_again(
    emulator: Emulator, services: Services
) -> None:
    for number in range(10):
        emulator.log(1, f"line {number}")
    async with watch(services, grace=0.0, refresh=0.02) as lines:
        seen = messages(await take(lines, 5))  # the rest is under way
        emulator.set_state(1, "terminated")
        await anyio.sleep(0.3)  # it is not found, for more than a look or two
        emulator.set_state(1, "running")
        emulator.log(1, "line 10")
        seen += messages(await take(lines, 6))
    assert seen == [f"line {number}" for number in range(11)]


async def test_a_line_from_the_future_counts_as_one_of_when_it_came(
    emulator: Emulator, services: Services
) -> None:
    seen: list[str | None] = []

    async def collect() -> None:
        seen.extend(messages(await take(lines, 2)))

    async with watch(services, hold_back=2.0) as lines, anyio.create_task_group() as group:
        emulator.log(3, "future", at=datetime.now(UTC) + timedelta(hours=1))
        group.start_soon(collect)
        await until(lambda: 3 in lines.statuses and lines.statuses[3].lines)
        await anyio.sleep(1.1)  # what the server tells of its time is up to a second off
        emulator.log(1, "written later")
    assert seen == ["future", "written later"]


async def test_the_tails_of_many_services_look_at_them_by_the_page() -> None:
    async with (
        Emulator(services=20, deployed=True) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
        watch(services, max_poll_interval=0.2, poll_interval=0.1) as lines,
    ):
        reader = asyncio.ensure_future(take(lines, 1))
        await until(lambda: len(emulator.requests) > 200)
        single = [each for each in emulator.requests if each.path.count("/") == 2]
        assert not single
        emulator.deploy(20)
        emulator.set_state(20, "running")
        emulator.log(20, "of the next deployment")
        assert messages(await reader) == ["of the next deployment"]


async def test_two_tasks_that_iterate_one_watch_share_its_lines(
    emulator: Emulator, services: Services
) -> None:
    for number in range(600):
        emulator.log(1 + number % 3, f"{number}")
    seen: list[str | None] = []

    async def collect(lines: LogWatch) -> None:
        async for line in lines:
            seen.append(line.entry.message)
            await anyio.sleep(0)

    async with watch(services, limit=20) as lines, anyio.create_task_group() as group:
        group.start_soon(collect, lines)
        group.start_soon(collect, lines)
        await until(lambda: len(seen) == 600)
        assert lines.delivered == 600
        group.cancel_scope.cancel()
    assert Counter(seen) == Counter(f"{number}" for number in range(600))


@pytest.mark.parametrize(
    "odd", [{"updatedAt": ""}, {"currentDeployment": {}}, {"currentDeployment": 7}, None]
)
async def test_one_odd_service_in_the_listing_touches_no_other(
    odd: dict[str, object] | None,
) -> None:
    line = {"message": "a line", "createdAt": datetime.now(UTC).isoformat()}
    current = {"deploymentId": 1, "state": "running"}

    async def behave(request: Request, writer: Writer) -> None:
        path = URL(request.target).path.strip("/").split("/")
        if path[-1] == "logs":
            return await answer([line])(request, writer)
        whole = {"id": 1, "name": "whole", "currentDeployment": current}
        if len(path) > 1:
            return await answer(whole)(request, writer)
        entry = None if odd is None else {"id": 2, "name": "odd", **odd}
        return await answer([entry, whole], headers=ONE_PAGE)(request, writer)

    async with (
        hostile(behave) as server,
        Services("key", base_url=server.url) as services,
        watch(services) as lines,
    ):
        assert messages(await take(lines, 1)) == ["a line"]
        assert set(lines.statuses) == {1}
        if odd is not None:
            assert next(iter(odd)) in str(lines.failures[2])


async def test_a_watch_left_by_break_leaves_no_task(emulator: Emulator, services: Services) -> None:
    emulator.log(1, "a line")
    before = set(asyncio.all_tasks())

    # The folder of the checkout, in which aiohttp may lie, can have the package's name, too.
    package = str(Path(aioservices.__file__).parent)

    def ours() -> list[asyncio.Task[object]]:
        gc.collect()
        return [task for task in asyncio.all_tasks() - before if package in repr(task)]

    async for _ in watch(services):
        assert ours()
        break
    await until(lambda: not [task for task in ours() if "emulator" not in repr(task)])


async def test_closing_the_session_ends_a_watch(emulator: Emulator, services: Services) -> None:
    emulator.log(1, "a line")
    lines = watch(services)
    await take(lines, 1)
    await services.aclose()
    with pytest.raises(SessionClosedError):
        await take(lines, 1)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"ids": ["1"]}, TypeError),
        ({"refresh": 0}, ValueError),
        ({"hold_back": -1}, ValueError),
        ({"overlap": -1}, ValueError),
        ({"start_at": "yesterday"}, ValueError),
        ({"status": 1}, TypeError),
        ({"status": "foo"}, ValueError),
        ({"name": 1}, TypeError),
        ({"sink": object()}, TypeError),
        ({"resume": []}, TypeError),
        ({"resume": {1: "cursor"}}, TypeError),
        ({"resume": {1: LogCursor(service_id=2)}}, ValueError),
    ],
)
async def test_arguments_without_sense_are_refused_at_once(
    services: Services, wrong: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        watch(services, **wrong)
