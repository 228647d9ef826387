"""Deployments that are hard to see: brief ones, hidden ones, those that flap or go away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from aioservices import LogTail, NotFoundError, Services, ServiceSummary, TailedEntry
from aioservices.emulator import Emulator
from aioservices.tail.options import TailOptions
from tests.servers.deployments import Deployed, DeploymentsServer, ago
from tests.servers.hostile import hostile

from .conftest import PATIENCE, QUICK, collecting, drain, looks, take, until, write, write_spread


@asynccontextmanager
async def tailed(
    server: DeploymentsServer, deployment_id: int | None = None, **options: Any
) -> AsyncIterator[LogTail]:
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, deployment_id, **QUICK | options) as tail,
    ):
        yield tail


# Brief deployments


async def test_one_that_comes_within_the_first_check_and_is_replaced_is_read() -> None:
    server = DeploymentsServer()
    written: list[str] = []

    def deploy(path: str) -> None:
        if path.endswith("/deployments") and not written:
            written.extend(server.deploy().write(*"abcdefghij"))
        elif written and len(server.deployments) == 1:
            server.deployments[0].end()
            written.extend(server.deploy().write("k"))

    server.before = deploy
    async with tailed(server) as tail:
        assert sorted(await take(tail, 11)) == written


async def test_one_that_comes_and_is_replaced_within_the_first_check_is_read() -> None:
    server = DeploymentsServer()

    def deploy(path: str) -> None:
        if path.endswith("/deployments") and not server.deployments:
            brief = server.deploy()
            brief.created_at = datetime.now(UTC) + timedelta(seconds=1.5)  # surely after the check
            brief.write("a")
            brief.end()
            server.deploy().write("b")

    server.before = deploy
    async with tailed(server) as tail:
        assert sorted(await take(tail, 2)) == ["a", "b"]


@pytest.mark.parametrize("is_gone", [False, True])
async def test_one_between_two_checks_is_read_though_the_listing_is_behind(
    *, is_gone: bool
) -> None:
    server = DeploymentsServer()
    server.deploy().write("a")
    async with tailed(server) as tail:
        assert await take(tail, 1) == ["a"]
        server.listing_is_behind = 2
        server.deploy().write("b")
        last = server.deploy()
        last.write("c")
        if is_gone:
            last.end()
            server.current = None
        async with collecting(tail) as messages:
            checks = server.requests.count("/services/1/deployments")
            await until(lambda: server.requests.count("/services/1/deployments") > checks + 2)
            server.listing_is_behind = 0
            await until(lambda: sorted(messages) == ["b", "c"])


async def test_new_ones_are_found_in_a_listing_that_ignores_the_order_asked_for() -> None:
    server = DeploymentsServer(ignores_order=True)
    for _ in range(120):
        server.deploy().end()
    server.deploy().write("a")
    async with tailed(server) as tail:
        assert await take(tail, 1) == ["a"]
        server.deploy().write("b")
        server.deploy().write("c")
        assert sorted(await take(tail, 2)) == ["b", "c"]


async def test_the_listing_is_not_read_again_and_again_for_one_that_it_never_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aioservices.tail.follower._LISTING_LAG", 0.1)
    server = DeploymentsServer()
    server.deploy()

    def listings() -> int:
        return server.requests.count("/services/1/deployments")

    async with tailed(server) as tail, collecting(tail):
        await until(lambda: tail.status.polls)
        server.listing_is_behind = 1
        server.deploy()
        await until(lambda: listings() > 1)  # it is read again for a while, ...
        count = 0
        while count < listings():  # ... and then no more
            count, checks = listings(), server.requests.count("/services/1")
            await until(lambda checks=checks: server.requests.count("/services/1") > checks + 10)  # type: ignore[misc]
        assert server.requests.count("/services/1/deployments") == count


# Hidden ones


@pytest.mark.parametrize("deployment_id", [None, 7])
async def test_one_that_reads_do_not_show_yet_is_awaited(deployment_id: int | None) -> None:
    server = DeploymentsServer(hidden=12)
    server.deploy().write("a")
    async with tailed(server, deployment_id) as tail:
        assert await take(tail, 1) == ["a"]


@pytest.mark.usefixtures("short_read_lag")
async def test_one_that_does_not_exist_is_an_error_in_the_end(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    with anyio.fail_after(PATIENCE), pytest.raises(NotFoundError):
        await anext(services.tail_logs(service_id, 99, **QUICK))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("createdAt", ""),
        ("createdAt", "2026-11-23T12:00:00"),
        ("updatedAt", 17),
        ("updatedAt", "0001-01-01T00:00:00+05:30"),
        ("updatedAt", "9999-12-31T23:59:59.999Z"),
        ("memory", "512"),
        ("stateMessage", {"text": "fine"}),
        ("state", None),
        ("state", 3),
    ],
)
async def test_an_odd_value_does_not_keep_a_log_from_being_read(field: str, value: object) -> None:
    class Odd(Deployed):
        @property
        def json(self) -> dict[str, Any]:
            return super().json | {field: value}

    server = DeploymentsServer(deployments=[Odd(7)])
    server.current = server.deployments[0]
    server.current.write("a")
    async with tailed(server) as tail:
        assert await take(tail, 1) == ["a"]
        server.current = Odd(8)
        server.deployments.append(server.current)
        server.current.write("b")
        assert await take(tail, 1) == ["b"]


@pytest.mark.parametrize("service", [{}, {"currentDeployment": {}}])
async def test_a_service_that_tells_of_no_deployment_is_watched(service: dict[str, Any]) -> None:
    server = DeploymentsServer()

    class Bare(DeploymentsServer):
        def _body(self, path: str, asked: dict[str, str]) -> object:
            return service if path == "/services/1" else super()._body(path, asked)

    server = Bare()
    async with tailed(server) as tail, anyio.create_task_group() as group:

        async def deploy() -> None:
            await until(lambda: "/services/1/deployments" in server.requests)
            server.deploy().write("a")

        group.start_soon(deploy)
        assert await take(tail, 1) == ["a"]


# Ends


@pytest.mark.parametrize("state", ["crashed", "error", "succeeded", "Failed", "terminated"])
async def test_a_final_state_ends_the_tail_of_a_deployment(
    emulator: Emulator, services: Services, state: str
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write(emulator, service_id, 1)
    emulator.set_state(service_id, state)
    assert await drain(services.tail_logs(service_id, 1001, **QUICK)) == written


async def test_late_lines_come_though_the_service_had_told_of_no_deployment_for_long() -> None:
    server = DeploymentsServer()
    deployment = server.deploy()
    deployment.write("a")
    async with tailed(server, overlap=60.0, grace=0.05) as tail:
        assert await take(tail, 1) == ["a"]
        deployment.write("c")
        assert await take(tail, 1) == ["c"]
        server.current = None
        async with collecting(tail) as messages:
            await until(lambda: not tail.status.deployments)
            deployment.write("b", at=deployment.lines[0][0] + timedelta(microseconds=1))
            server.current = deployment
            await until(lambda: messages == ["b"])


def test_late_lines_are_awaited_for_the_overlap_unless_told_otherwise() -> None:
    def drain(overlap: float, grace: float | None) -> float:
        return TailOptions(
            service_id=1,
            deployment_id=None,
            start_at=None,
            end_at=None,
            follow=True,
            poll_interval=1.0,
            max_poll_interval=1.0,
            overlap=overlap,
            grace=grace,
            limit=1,
            max_outage=None,
        ).drain

    assert [drain(60.0, None), drain(1.0, None), drain(60.0, 2.0)] == [60.0, 30.0, 2.0]


@pytest.mark.parametrize("date", ["frozen", "behind", "absent"])
@pytest.mark.parametrize("kind", ["final state", "end_at"])
async def test_a_tail_ends_though_the_date_is(date: str, kind: str) -> None:
    started = datetime.now(UTC)
    server = DeploymentsServer()
    server.date = {
        "frozen": lambda: started,
        "behind": lambda: ago(30.0),
        "absent": lambda: None,
    }[date]
    deployment = server.deploy()
    deployment.created_at = ago(100.0)
    deployment.write("a", at=ago(50.0))
    options: dict[str, Any] = {"grace": 0.2}
    if kind == "final state":
        deployment.end(at=datetime.now(UTC))
    else:
        options["end_at"] = ago(29.5)
    async with tailed(server, 7, **options) as tail:
        assert await drain(tail) == ["a"]


# Services that go away


async def test_a_tail_that_is_finished_reads_what_there_is_however_slow_its_reader(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write_spread(emulator, service_id, 500)
    messages: list[str] = []
    async with services.tail_logs(service_id, **QUICK | {"limit": 20}) as tail:
        with anyio.fail_after(PATIENCE):
            async for entry in tail:
                messages.append(str(entry.message))
                if len(messages) == 50:
                    emulator.set_state(service_id, "terminated")
                    tail.finish()
                if len(messages) % 50 == 0:
                    await anyio.sleep(0.1)
    assert messages == written


async def test_a_tail_that_is_finished_reads_a_deployment_that_runs_until_it_ends(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1)
    entries: list[TailedEntry] = []
    async with services.tail_logs(service_id, **QUICK) as tail, anyio.create_task_group() as group:
        await take(tail, 1)
        tail.finish()

        async def end() -> None:
            polls = tail.status.polls
            await until(lambda: tail.status.polls > polls + 20)
            write(emulator, service_id, 2)
            emulator.set_state(service_id, "failed")

        group.start_soon(end)
        with anyio.fail_after(PATIENCE):
            entries = [entry async for entry in tail]
    assert [entry.message for entry in entries] == ["line 2"]


async def test_a_tail_that_is_finished_follows_no_new_deployment_until_it_is_to_follow_again(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1)
    async with services.tail_logs(service_id, **QUICK | {"grace": 60.0}) as tail:
        await take(tail, 1)
        tail.finish()
        new = emulator.deploy(service_id)
        write(emulator, service_id, 2, deployment_id=new)
        async with collecting(tail) as messages:
            polls = tail.status.polls
            await until(lambda: tail.status.polls > polls + 10)
            assert (messages, tail.status.deployments) == ([], (1001,))
            tail.keep_following()
            await until(lambda: messages == ["line 2"])


@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_tail_that_is_finished_ends_with_a_service_that_does_not_run(
    emulator: Emulator, services: Services, *, has_ended: bool
) -> None:
    service_id = emulator.add_service("web", deployed=has_ended)
    if has_ended:
        emulator.set_state(service_id, "terminated")
    tail = services.tail_logs(service_id, **QUICK)
    tail.finish()
    assert await drain(tail) == []


async def test_a_tail_that_is_finished_ends_in_good_order_with_a_service_that_is_deleted(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1)
    async with services.tail_logs(service_id, **QUICK) as tail:
        await take(tail, 1)
        emulator.remove_service(service_id)
        tail.finish()
        assert await drain(tail) == []


async def test_the_service_may_be_looked_up_in_another_way(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write(emulator, service_id, 1)
    options = TailOptions(
        service_id=service_id,
        deployment_id=None,
        start_at=None,
        end_at=None,
        follow=True,
        limit=1000,
        max_outage=None,
        **QUICK,
    )

    async def look() -> ServiceSummary:
        return (await services.list())[0]

    async with services._open_log_tail(options, None, look) as tail:
        assert await take(tail, 1) == written
        written = write(emulator, service_id, 2, deployment_id=emulator.deploy(service_id))
        assert await take(tail, 1) == written
    assert looks(emulator, service_id) == 0
