"""Collecting a fleet's logs into a store: every line once, whatever happens."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from aioservices import Services
from aioservices.collect.metrics import Metrics, RequestCounter
from aioservices.emulator import Emulator, Reset, Respond
from aioservices.fleet.collecting import Collector
from aioservices.stores import (
    KeepResult,
    PendingBatch,
    Retention,
    SQLiteStore,
    Store,
    StoreCorruptError,
    StoredEntry,
    StoreFullError,
    StoreUnavailableError,
    open_store,
)
from tests.servers.emulated import requests_to, session
from tests.servers.hostile import Request, answer, hostile
from tests.servers.hostile import Writer as Stream
from tests.servers.waiting import PATIENCE, until, until_grown
from tests.stores.lines import Writer, messages

from .conftest import collecting, quick

pytestmark = pytest.mark.anyio


async def count(store: Store) -> int:
    """Count the lines that are stored."""
    return sum(each.seq for each in await store.services())


async def wait_for(store: Store, lines: int) -> None:
    """Wait until so many lines are stored."""
    await until_grown(lambda: count(store), lines)


class Unreliable(SQLiteStore):
    """A store that fails a given number of times, before or after it has stored."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.error: Exception | None = None
        self.after = False
        self.calls = 0

    async def keep(self, batches: Sequence[PendingBatch]) -> KeepResult:
        self.calls += 1
        error = self.error
        if error is not None:
            if self.after:
                await super().keep(batches)
            raise error
        return await super().keep(batches)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs.db"


async def test_every_line_of_every_service_is_kept_once(
    emulator: Emulator, services: Services, store_url: str
) -> None:
    async with open_store(store_url) as store:
        async with collecting(store, services):
            for number in range(300):
                emulator.log(1 + number % 3, f"line {number}")
                if number % 50 == 0:
                    await anyio.sleep(0.02)
            await wait_for(store, 300)
        for service_id in (1, 2, 3):
            assert await messages(store, service_id) == [
                f"line {number}" for number in range(service_id - 1, 300, 3)
            ]
        assert (await store.audit(thorough=True)).ok


async def test_the_next_collector_continues_where_the_last_one_stopped(
    emulator: Emulator, services: Services, store_url: str
) -> None:
    for run in range(3):
        async with open_store(store_url) as store:
            async with collecting(store, services):
                for number in range(20):
                    emulator.log(1, f"line {run * 20 + number}")
                await wait_for(store, (run + 1) * 20)
            assert await messages(store) == [f"line {n}" for n in range((run + 1) * 20)]


async def test_stopping_commits_what_waits(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with SQLiteStore(path) as store:
        async with collecting(store, services, commit_interval=3600.0) as collector:
            emulator.log(1, "first")
            await wait_for(store, 1)
            for number in range(50):
                emulator.log(1, f"line {number}")
            await until(lambda: collector.status.waiting >= 50)
        assert await count(store) == 51


async def test_collect_of_a_session_keeps_until_it_is_cancelled(
    emulator: Emulator, services: Services, path: Path
) -> None:
    emulator.log(1, "a")
    emulator.log(2, "b")
    async with SQLiteStore(path) as store, anyio.create_task_group() as group:

        async def collect() -> None:
            await services.collect(store, name="service-[12]")

        group.start_soon(collect)
        await wait_for(store, 2)
        group.cancel_scope.cancel()
    async with SQLiteStore(path, read_only=True) as store:
        assert [(each.service_id, each.service_name) for each in await store.services()] == [
            (1, "service-1"),
            (2, "service-2"),
        ]


async def test_an_argument_that_makes_no_sense_is_said_at_once(
    services: Services, path: Path
) -> None:
    async with SQLiteStore(path) as store:
        for arguments, error in (
            ({"poll_interval": -1.0}, "poll_interval"),
            ({"refresh": 0.0}, "refresh"),
            ({"max_waiting": 0}, "max_waiting"),
            ({"start_at": "yesterday"}, "start_at"),
            ({"status": "foo"}, "status"),
        ):
            with pytest.raises(ValueError, match=error):
                await services.collect(store, **arguments)


async def test_services_that_come_later_are_collected_too(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with SQLiteStore(path) as store, collecting(store, services):
        emulator.log(1, "early")
        await wait_for(store, 1)
        new = emulator.add_service("new", deployed=True)
        emulator.log(new, "late")
        await wait_for(store, 2)
        assert await messages(store, new) == ["late"]


async def test_the_last_lines_of_a_service_that_stops_are_kept(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with SQLiteStore(path) as store, collecting(store, services) as collector:
        emulator.log(1, "running")
        await wait_for(store, 1)
        emulator.set_state(1, "terminated")
        emulator.log(1, "last words", visible_after=0.2)
        await wait_for(store, 2)
        await until(lambda: 1 not in {each.service_id for each in collector.status.services})


async def test_the_last_lines_of_a_service_are_awaited_while_its_log_cannot_be_read(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with SQLiteStore(path) as store, collecting(store, services) as collector:
        emulator.log(1, "running")
        await wait_for(store, 1)
        with emulator.fault(Respond(503), path="/services/1/**"):
            emulator.log(1, "last words")
            emulator.set_state(1, "terminated")
            await anyio.sleep(1.5)  # longer than a service is read on that is not listed any more
            assert 1 in {each.service_id for each in collector.status.services}
        await wait_for(store, 2)
        await until(lambda: 1 not in {each.service_id for each in collector.status.services})


async def test_a_service_that_is_not_listed_any_more_is_read_until_its_deployment_ends(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with (
        SQLiteStore(path) as store,
        collecting(store, services, patterns=("service-1",)) as collector,
    ):
        emulator.log(1, "listed")
        await wait_for(store, 1)
        await services.patch(1, name="renamed")
        await until(lambda: [each.state for each in collector.status.services] == ["ending"])
        await anyio.sleep(1.0)  # longer than its late lines are waited for
        emulator.log(1, "still running")
        await wait_for(store, 2)
        emulator.set_state(1, "terminated")
        emulator.log(1, "last words", visible_after=0.2)
        await wait_for(store, 3)
        await until(lambda: not collector.status.services)


async def test_a_service_that_is_listed_again_is_followed_to_its_next_deployment(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with (
        SQLiteStore(path) as store,
        collecting(store, services, patterns=("service-1",)) as collector,
    ):
        emulator.log(1, "listed")
        await wait_for(store, 1)
        await services.patch(1, name="renamed")
        await until(lambda: [each.state for each in collector.status.services] == ["ending"])
        await services.patch(1, name="service-1")
        await until(lambda: [each.state for each in collector.status.services] == ["reading"])
        await services.post_deployments(1)
        emulator.log(1, "the next deployment")
        await wait_for(store, 2)


async def test_a_service_that_went_is_read_to_its_end_however_slow_the_store(
    emulator: Emulator, services: Services, path: Path
) -> None:
    store = Unreliable(path)
    async with store, collecting(store, services, max_waiting=10, limit=5) as collector:
        emulator.log(1, "first")
        await wait_for(store, 1)
        store.error = StoreUnavailableError("no space")
        for number in range(100):
            emulator.log(1, f"line {number}")
        emulator.set_state(1, "terminated")
        await anyio.sleep(1.5)  # far longer than late lines are waited for
        assert 1 in {each.service_id for each in collector.status.services}
        store.error = None
        await wait_for(store, 101)
        await until(lambda: 1 not in {each.service_id for each in collector.status.services})
        assert await messages(store) == ["first", *(f"line {number}" for number in range(100))]


async def test_what_ended_while_nobody_collected_is_read_to_its_end(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with SQLiteStore(path) as store:
        async with collecting(store, services):
            emulator.log(1, "first")
            await wait_for(store, 1)
        emulator.log(1, "while nobody looked")
        emulator.set_state(1, "terminated")
        async with collecting(store, services):
            await wait_for(store, 2)


async def test_only_the_services_that_are_asked_for_are_read(
    emulator: Emulator, services: Services, path: Path
) -> None:
    for service_id in (1, 2, 3):
        emulator.log(service_id, "line")
    async with SQLiteStore(path) as store:
        async with collecting(store, services, patterns=("service-2", "3")):
            await wait_for(store, 2)
            await anyio.sleep(0.3)
        assert [each.service_id for each in await store.services()] == [2, 3]


async def test_a_pattern_that_matches_nothing_is_reported_once(
    emulator: Emulator, services: Services, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def reported() -> list[str]:
        return [record.message for record in caplog.records if "waiting for one" in record.message]

    async with (
        SQLiteStore(path) as store,
        collecting(store, services, patterns=("new-*", "service-1", "99")),
    ):
        await until(lambda: len(reported()) == 1)
        await anyio.sleep(0.3)  # longer than a refresh
        await services.patch(2, name="new-service")
        emulator.log(2, "line")
        await wait_for(store, 1)
    assert reported() == ["no running service matches 'new-*' yet: waiting for one"]


async def test_a_platform_without_services_is_reported(
    services: Services, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for service_id in (1, 2, 3):
        await services.put_archive(service_id, True)
    async with SQLiteStore(path) as store, collecting(store, services):
        await until(lambda: "no running service is there yet: waiting for one" in caplog.text)


# When the store fails


async def test_an_answer_that_is_lost_after_the_commit_repeats_no_line(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with Unreliable(path) as store:
        store.error, store.after = StoreUnavailableError("cut"), True
        async with collecting(store, services) as collector:
            emulator.log(1, "line")
            await until(lambda: store.calls >= 2)
            store.error = None
            await until(lambda: collector.status.commits["kept"])
        assert await messages(store) == ["line"]
        assert (await store.audit(thorough=True)).ok


async def test_a_full_disk_makes_it_not_ready_and_stops_the_polling_until_there_is_space(
    emulator: Emulator, services: Services, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.collecting.writer._PAUSE_AFTER", 0.2)
    monkeypatch.setattr("aioservices.fleet.collecting.writer._DELAYS", (0.05, 0.1))
    async with Unreliable(path) as store:
        store.error = StoreFullError("there is no space left on the disk")
        async with collecting(store, services) as collector:
            emulator.log(1, "line 0")
            await until(lambda: store.calls and collector.status.waiting)
            await until(lambda: all(each.tail is None for each in collector.status.services))
            status = collector.status
            assert not status.ready
            assert "no space left" in status.reasons[0]
            asked = requests_to(emulator, "/services/1/deployments/1/logs")
            emulator.log(1, "line 1")
            await anyio.sleep(0.5)
            assert requests_to(emulator, "/services/1/deployments/1/logs") == asked
            store.error = None
            await wait_for(store, 2)
            await until(lambda: collector.status.ready)
        assert await messages(store) == ["line 0", "line 1"]


async def test_one_cap_holds_for_the_waiting_lines_of_all_services(
    emulator: Emulator, services: Services, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.collecting.writer._DELAYS", (0.05, 0.1))
    for service_id in (1, 2, 3):
        for number in range(2000):
            emulator.log(service_id, f"line {number}")
    most = 0
    async with Unreliable(path) as store:
        store.error = StoreUnavailableError("down")
        async with collecting(store, services, max_waiting=500, limit=100) as collector:
            await until(lambda: collector.status.waiting >= 500)
            for _ in range(100):
                most = max(most, collector.status.waiting)
                await anyio.sleep(0.005)
            await until(lambda: all(each.tail is None for each in collector.status.services))
            store.error = None
            await wait_for(store, 6000)
        assert most == 500
        assert Counter([await count(store)]) == Counter([6000])
        for service_id in (1, 2, 3):
            assert await messages(store, service_id) == [f"line {n}" for n in range(2000)]


async def test_a_store_that_is_damaged_ends_it_with_the_stores_error(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with Unreliable(path) as store:
        store.error = StoreCorruptError("logs.db is damaged")
        emulator.log(1, "line")
        collector = Collector(store, [services], quick())
        with pytest.raises(StoreCorruptError, match=r"logs\.db is damaged"):
            await collector.run()


async def test_a_tail_that_is_fenced_is_read_again_from_where_the_store_stands(
    emulator: Emulator, services: Services, store_url: str
) -> None:
    async with open_store(store_url) as store, collecting(store, services) as collector:
        emulator.log(1, "line 0")
        await wait_for(store, 1)
        # Somebody else commits: what a paused collector finds when it wakes up.
        (lease,) = (await store.lease([1], [])).granted
        assert lease.cursor is not None
        thief = Writer(store, lease, None)
        batch = thief.batch([])
        await store.keep([_with_cursor(batch, lease.cursor)])
        emulator.log(1, "line 1")
        await wait_for(store, 2)
        assert await messages(store) == ["line 0", "line 1"]
        assert collector.status.fenced == 1
        assert (await store.audit(thorough=True)).ok


def _with_cursor(batch: PendingBatch, cursor: object) -> PendingBatch:
    import msgspec

    return msgspec.structs.replace(batch, cursor=cursor)


# When the API fails


async def test_a_key_that_is_refused_makes_it_not_ready_and_ends_no_tail(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with SQLiteStore(path) as store, collecting(store, services) as collector:
        emulator.log(1, "before")
        await wait_for(store, 1)
        await until(lambda: collector.status.ready)
        refusal = emulator.fault(Respond(401))
        await until(lambda: not collector.status.ready)
        assert "refuses key 1" in collector.status.reasons[0]
        emulator.log(1, "meanwhile")
        refusal.remove()
        await wait_for(store, 2)
        await until(lambda: collector.status.ready)
        assert await messages(store) == ["before", "meanwhile"]


async def test_a_key_that_is_renewed_is_used_by_the_tails_at_their_cursors(
    emulator: Emulator, path: Path
) -> None:
    async with session(emulator) as old, SQLiteStore(path) as store:
        async with collecting(store, old) as collector:
            emulator.log(1, "old key")
            await wait_for(store, 1)
            emulator.api_key = "renewed"
            await until(lambda: not collector.status.ready)
            emulator.log(1, "no key")
            async with session(emulator) as new:
                collector.replace_session(old, new)
                await old.aclose()
                await wait_for(store, 2)
                emulator.log(1, "new key")
                await wait_for(store, 3)
                collector.stop()
                await until(lambda: not collector.status.services)
        assert await messages(store) == ["old key", "no key", "new key"]


async def test_a_service_is_read_with_any_key_that_sees_it(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with (
        Emulator(services=0, api_key="other") as empty,
        session(empty) as blind,
        SQLiteStore(path) as store,
        collecting(store, [blind, services]) as collector,
    ):
        emulator.log(2, "line")
        await wait_for(store, 1)
        assert [each.services for each in collector.status.sessions] == [0, 3]


async def test_the_trouble_of_one_service_is_not_the_others(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with SQLiteStore(path) as store, collecting(store, services):
        with emulator.fault(Respond(403), path="/services/1/**"):
            emulator.log(1, "hidden")
            emulator.log(2, "seen")
            await wait_for(store, 1)
            assert await messages(store, 2) == ["seen"]
        await wait_for(store, 2)


async def test_lines_are_kept_once_through_a_faulty_server(
    emulator: Emulator, services: Services, path: Path
) -> None:
    emulator.fault(Reset(), probability=0.1, path="/services/*/deployments/*/logs")
    emulator.fault(Respond(503), probability=0.1, seed=1)
    async with SQLiteStore(path) as store:
        async with collecting(store, services):
            for number in range(600):
                emulator.log(1 + number % 3, f"line {number}")
                if number % 20 == 0:
                    await anyio.sleep(0.01)
            await wait_for(store, 600)
        assert (await store.audit(thorough=True)).ok
        assert await count(store) == 600


# Forwarding, retention, watching


class Memory:
    """A destination of a user's own."""

    def __init__(self) -> None:
        self.lines: list[StoredEntry] = []

    async def send(self, lines: Sequence[StoredEntry], /) -> None:
        self.lines += lines


async def test_what_is_stored_is_sent_to_a_forwarder_of_ten_lines(
    emulator: Emulator, services: Services, path: Path
) -> None:
    memory = Memory()
    async with SQLiteStore(path) as store, collecting(store, services, forwarders=[memory]):
        for number in range(100):
            emulator.log(1 + number % 3, f"line {number}")
        await until(lambda: len(memory.lines) == 100)
        assert {each.service_name for each in memory.lines} == {
            "service-1",
            "service-2",
            "service-3",
        }
    # Those who end a collector find no line again that a destination had.
    async with SQLiteStore(path) as store:
        assert sum(each.seq for each in await store.forward_positions("Memory")) == 100


async def test_a_destination_that_does_not_take_lines_does_not_hold_up_the_end(
    emulator: Emulator, services: Services, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.collecting.collector._FORWARD_SECONDS", 0.05)

    class Stuck:
        asked = 0

        async def send(self, lines: Sequence[StoredEntry], /) -> None:
            self.asked += 1
            await anyio.sleep_forever()

    stuck = Stuck()
    emulator.log(1, "line")
    async with SQLiteStore(path) as store:
        with anyio.fail_after(PATIENCE):
            async with collecting(store, services, forwarders=[stuck]):
                await until(lambda: stuck.asked)
        assert await count(store) == 1


async def test_a_store_can_be_emptied_behind_its_forwarders(
    emulator: Emulator, services: Services, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.collecting.retaining._INTERVAL", 0.05)
    memory = Memory()
    async with (
        SQLiteStore(path) as store,
        collecting(
            store,
            services,
            forwarders=[memory],
            retention=Retention(forwarded_to=("Memory",)),
        ) as collector,
    ):
        for number in range(100):
            emulator.log(1, f"line {number}")
        await until(lambda: collector.status.removed == 100)
        assert await messages(store) == []
        assert (await store.audit()).ok


async def test_lines_can_be_watched_as_they_are_kept(
    emulator: Emulator, services: Services, store_url: str
) -> None:
    async with (
        open_store(store_url) as store,
        collecting(store, services) as collector,
        collector.lines() as lines,
    ):
        emulator.log(1, "one")
        with anyio.fail_after(PATIENCE):
            entry = await anext(lines)
            emulator.log(1, "two")
            following = await anext(lines)
    assert (entry.message, entry.seq) == ("one", 1)
    assert (following.message, following.seq) == ("two", 2)
    assert following.created_at - entry.created_at < dt.timedelta(minutes=1)


async def test_a_slow_watcher_learns_how_many_lines_are_lost(
    emulator: Emulator, services: Services, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.collecting.kept_lines._LINES", 10)
    async with (
        SQLiteStore(path) as store,
        collecting(store, services) as collector,
        collector.lines() as lines,
    ):
        for number in range(100):
            emulator.log(1, f"line {number}")
        await until(lambda: lines.lost == 90)


async def test_the_status_counts_what_was_kept(
    emulator: Emulator, services: Services, path: Path
) -> None:
    async with SQLiteStore(path) as store, collecting(store, services) as collector:
        assert not collector.status.ready
        emulator.log(1, "naïve")
        await until(lambda: collector.status.ready and collector.status.lines)
        status = collector.status
    assert (status.lines, status.bytes) == (1, 6)
    assert status.leases == 3
    assert status.commit_seconds.buckets[-1] == ("+Inf", status.commits["kept"])
    assert [each.service_name for each in status.services] == [
        "service-1",
        "service-2",
        "service-3",
    ]


async def test_a_log_that_was_never_read_counts_as_failing(path: Path) -> None:
    async def behave(request: Request, writer: Stream) -> None:
        path, _, query = request.target.partition("?")
        if path != "/services":
            await answer(b"", status=400)(request, writer)
        elif "page_num=2" in query:
            await answer([])(request, writer)
        else:
            await answer([{"id": 1, "name": "web"}])(request, writer)

    async with (
        hostile(behave) as server,
        Services(server.api_key, base_url=server.url) as services,
        SQLiteStore(path) as store,
        collecting(store, services, refresh=60.0) as collector,
    ):
        metrics = Metrics(lambda: collector.status, RequestCounter())
        await until(lambda: b"failing_services 1.0" in metrics.render("")[0])
        assert b"lag_seconds{" not in metrics.render("")[0]


async def test_why_the_services_cannot_be_listed_is_a_reason(path: Path) -> None:
    async with (
        hostile(answer(b"", status=403)) as server,
        Services(server.api_key, base_url=server.url) as services,
        SQLiteStore(path) as store,
        collecting(store, services) as collector,
    ):
        await until(lambda: "403" in collector.status.reasons[0])
        assert collector.status.reasons[0].startswith("the services have not been listed yet: ")
