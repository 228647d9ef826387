"""What a tail reports to its hook."""

import contextlib
from datetime import datetime, timedelta, timezone
from typing import Any

import anyio
import pytest

from aioservices import (
    ConnectionFailedError,
    DeploymentEnded,
    DeploymentStarted,
    GapFound,
    LogGap,
    LogTail,
    OutageEnded,
    OutageStarted,
    Services,
    TailEvent,
    UnknownState,
)
from aioservices.emulator import Emulator
from aioservices.emulator.faults import Respond
from aioservices.tail.fetcher import Patience
from aioservices.tail.options import TailOptions
from aioservices.tail.status import TailMetrics
from tests.servers.deployments import DeploymentsServer
from tests.servers.hostile import hostile

from .conftest import PATIENCE, QUICK, collecting, crowd, take, until, write
from .plain import PlainServer

LOGS = "/services/*/deployments/*/logs"
RESET = ConnectionFailedError("reset", sent=True, method="GET", path="logs", attempts=1)


def test_a_gap_is_told_with_times_in_utc() -> None:
    start = datetime(2026, 11, 23, 12, 34, tzinfo=timezone(timedelta(hours=1)))
    said = str(LogGap(1, 2, start, start + timedelta(microseconds=1500)))
    assert "from 2026-11-23T11:34:00Z to 2026-11-23T11:34:00.001500Z" in said


class Events:
    def __init__(self) -> None:
        self.all: list[TailEvent] = []

    def of(self, kind: type[TailEvent]) -> list[Any]:
        return [event for event in self.all if isinstance(event, kind)]


def followed(services: Services, service_id: int, events: Events, **options: Any) -> LogTail:
    return services.tail_logs(service_id, on_event=events.all.append, **QUICK | options)


async def test_an_outage_is_reported_once_when_it_begins_and_once_when_it_ends(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    events = Events()
    async with followed(services, service_id, events) as tail, collecting(tail):
        await until(lambda: tail.status.polls)
        with emulator.fault(Respond(503), path=LOGS) as fault:
            await until(lambda: fault.hits > 3)
        await until(lambda: events.of(OutageEnded))
    [started], [ended] = events.of(OutageStarted), events.of(OutageEnded)
    assert (started.service_id, started.deployment_id, started.error.status) == (
        service_id,
        1001,
        503,
    )
    assert (ended.since, ended.deployment_id) == (started.since, 1001)
    assert ended.at >= ended.since


@pytest.mark.parametrize("doubted", [0.0, 10_000.0])  # seconds for which a 404 is not believed
async def test_an_outage_ends_though_the_log_that_failed_is_gone(
    emulator: Emulator, services: Services, monkeypatch: pytest.MonkeyPatch, doubted: float
) -> None:
    monkeypatch.setattr("aioservices.tail.pages._SLOW_START", doubted)
    service_id = emulator.add_service("web", deployed=True)
    events = Events()
    old = "/services/*/deployments/1001/logs"
    async with followed(services, service_id, events) as tail, collecting(tail):
        await until(lambda: tail.status.polls)
        with contextlib.ExitStack() as gone:
            with emulator.fault(Respond(503), path=old):
                await until(lambda: events.of(OutageStarted))
                emulator.deploy(service_id)
                gone.enter_context(emulator.fault(Respond(404), path=old))
            read = (1001, 1002) if doubted else (1002,)
            await until(lambda: tail.status.deployments == read)
            await until(lambda: events.of(OutageEnded))
            assert tail.status.error is None
            assert tail.status.deployments == read


async def test_an_answer_ends_the_waiting_of_the_other_calls() -> None:
    events = Events()
    metrics = TailMetrics(1, events.all.append)
    options = TailOptions(service_id=1, poll_interval=10_000.0, max_poll_interval=10_000.0)
    log, service = Patience(metrics, options, 1001), Patience(metrics, options)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(service.wait, RESET)
            group.start_soon(log.wait, RESET)
            await until(lambda: service.is_failing and log.is_failing)
            log.end(served=True)
    assert not events.of(OutageEnded)
    service.end(served=True)
    assert len(events.of(OutageEnded)) == 1


async def test_a_deployment_that_replaces_another_is_reported(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    events = Events()
    async with followed(services, service_id, events) as tail, collecting(tail):
        await until(lambda: tail.status.polls)
        new = emulator.deploy(service_id)
        await until(lambda: len(events.of(DeploymentStarted)) == 2)
    assert [(each.deployment_id, each.replaces) for each in events.of(DeploymentStarted)] == [
        (1001, None),
        (new, 1001),
    ]


async def test_a_deployment_that_replaces_one_that_failed_is_reported_behind_its_end(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    events = Events()
    async with followed(services, service_id, events) as tail, collecting(tail):
        await until(lambda: tail.status.polls)
        emulator.set_state(service_id, "failed", message="exited with status 1")
        await until(lambda: events.of(DeploymentEnded))
        new = emulator.deploy(service_id)
        await until(lambda: len(events.of(DeploymentStarted)) == 2)
    told = [each for each in events.all if isinstance(each, DeploymentStarted | DeploymentEnded)]
    assert [type(each) for each in told] == [DeploymentStarted, DeploymentEnded, DeploymentStarted]
    assert [each.deployment_id for each in told] == [1001, 1001, new]
    assert isinstance(told[-1], DeploymentStarted)
    assert told[-1].replaces == 1001


async def test_a_deployment_that_ends_is_reported_with_the_reason_behind_its_last_lines(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    events = Events()
    lines_at_end: list[int] = []

    def on_event(event: TailEvent) -> None:
        events.all.append(event)
        if isinstance(event, DeploymentEnded):
            lines_at_end.append(tail.status.lines)

    tail = services.tail_logs(service_id, on_event=on_event, **QUICK)
    async with tail, collecting(tail):
        await until(lambda: tail.status.polls)
        write(emulator, service_id, 1, 2, 3)
        emulator.set_state(service_id, "failed", message="exited with status 1")
        await until(lambda: events.of(DeploymentEnded))
    [ended] = events.of(DeploymentEnded)
    assert (ended.deployment_id, ended.state, ended.state_message) == (
        1001,
        "failed",
        "exited with status 1",
    )
    assert ended.at is not None
    assert lines_at_end == [3]


async def test_the_end_of_a_deployment_is_reported_that_the_service_did_not_name_at_first() -> None:
    """The listing may be ahead of the service, which then seems to have another deployment."""
    server = DeploymentsServer()
    listed = server.deploy()
    server.current = None
    events = Events()
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        followed(services, 1, events) as tail,
        collecting(tail),
    ):
        await until(lambda: tail.status.polls)
        listed.end("failed")
        server.current = listed
        await until(lambda: events.of(DeploymentEnded))
        checks = len(server.requests)
        await until(lambda: len(server.requests) > checks + 10)
    [ended] = events.of(DeploymentEnded)
    assert (ended.deployment_id, ended.state) == (listed.id, "failed")


@pytest.mark.filterwarnings("ignore::aioservices.LogGap")
async def test_a_gap_is_reported(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    crowd(emulator, service_id)
    events = Events()
    async with followed(services, service_id, events, limit=10) as tail, collecting(tail) as lines:
        await until(lambda: "behind" in lines)
        assert [each.gap for each in events.of(GapFound)] == list(tail.status.gaps)
        assert tail.status.gap_count > 0


async def test_a_state_that_is_not_known_is_reported_once_and_counts_as_running(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    emulator.set_state(service_id, "hibernating")
    events = Events()
    async with followed(services, service_id, events) as tail:
        written = write(emulator, service_id, 1)
        assert await take(tail, 1) == written
        async with collecting(tail):
            await until(lambda: tail.status.polls > 12)
        assert [(each.deployment_id, each.state) for each in events.of(UnknownState)] == [
            (1001, "hibernating")
        ]


async def test_a_state_that_is_no_text_is_reported_once_and_counts_as_running() -> None:
    plain, events = PlainServer(), Events()
    plain.state = 5
    async with (
        hostile(plain.behave) as server,
        Services("key", base_url=server.url) as services,
        followed(services, 1, events) as tail,
    ):
        async with collecting(tail) as messages:
            plain.write("a")
            await until(lambda: messages == ["a"] and tail.status.polls > 12)
        assert [each.state for each in events.of(UnknownState)] == ["5"]


async def test_a_hook_that_fails_does_not_end_the_tail(
    emulator: Emulator, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    service_id = emulator.add_service("web", deployed=True)

    def on_event(_: TailEvent) -> None:
        raise KeyError("mine")

    written = write(emulator, service_id, 1)
    async with services.tail_logs(service_id, on_event=on_event, **QUICK) as tail:
        assert await take(tail, 1) == written
    assert "on_event failed" in caplog.text


async def test_a_watch_reports_the_events_of_every_log(
    emulator: Emulator, services: Services
) -> None:
    ids = {emulator.add_service(name, deployed=True) for name in ("a", "b")}
    for service_id in ids:
        write(emulator, service_id, 1)
    events = Events()
    async with services.watch_logs(on_event=events.all.append, **QUICK) as watch:
        await anext(watch)
        await anext(watch)
    assert {each.service_id for each in events.of(DeploymentStarted)} == ids


async def test_a_hook_that_cannot_be_called_is_refused(services: Services) -> None:
    with pytest.raises(TypeError, match="on_event must be callable"):
        services.tail_logs(1, on_event="print")  # type: ignore[arg-type]
