"""Every fault that a server, a proxy or a network may have, while lines are written."""

import time
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta

import anyio
import pytest

from aioservices import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    Services,
)
from aioservices.emulator import Emulator
from aioservices.emulator.faults import (
    Cut,
    Effect,
    Garble,
    Gzip,
    Reset,
    Respond,
    Stall,
)
from tests.servers.hostile import Request, Writer, answer, hostile

from .conftest import PATIENCE, QUICK, collecting, drain, session, take, until, write, write_spread
from .plain import PlainServer

LOGS = "/services/*/deployments/*/logs"
SERVICE = "/services/*"

EFFECTS: dict[str, Effect] = {
    "429 with seconds": Respond(429, retry_after=0.02),
    "429 with a date": Respond(429, retry_after=timedelta(0)),
    "429 without a time": Respond(429),
    "429 with nonsense": Respond(429, headers={"Retry-After": "soon"}),
    "500": Respond(500),
    "502 in HTML": Respond(502, body="html"),
    "503 without a body": Respond(503, body="empty"),
    "504 with a time": Respond(504, body="html", retry_after=0),
    "200 in HTML": Respond(200, body="html"),
    "200 without a body": Respond(200, body="empty"),
    "200 with other JSON": Respond(200, body=b'{"message": "maintenance"}'),
    "200 with a list of something else": Respond(200, body=b'[{"error": "maintenance"}]'),
    "reset": Reset(),
    "reset in the body": Reset(in_body=True),
    "cut": Cut(),
    "invalid JSON": Garble(),
    "stall": Stall(),
    "stall in the body": Stall(in_body=True),
}


@pytest.mark.parametrize(
    ("path", "name"),
    [(LOGS, name) for name in EFFECTS]
    + [(SERVICE, name) for name in ("429 with seconds", "502 in HTML", "reset", "cut", "stall")],
)
async def test_a_fault_neither_loses_nor_repeats_a_line(
    emulator: Emulator, path: str, name: str
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    is_stalled = name.startswith("stall")
    async with (
        session(emulator, **({"timeout": 0.3} if is_stalled else {})) as services,
        services.tail_logs(service_id, **QUICK) as tail,
        collecting(tail) as messages,
    ):
        written = write(emulator, service_id, *range(20))
        # The first look at a log is several requests: what is written between them may come late.
        await until(lambda: messages == written and tail.status.polls > 1)
        with emulator.fault(EFFECTS[name], path=path) as fault:
            written += write(emulator, service_id, *range(20, 40))
            await until(lambda: fault.hits > 1)
            written += write(emulator, service_id, *range(40, 60))
        await until(lambda: len(messages) >= 60 and tail.status.error is None)
        written += write(emulator, service_id, 60)
        await until(lambda: len(messages) > 60)
        # Not in their order: a scan that is under way when lines are written finds them late.
        assert Counter(messages) == Counter(written)
        # On a busy machine more than what is stalled takes longer than such a timeout.
        assert tail.status.outages == 1 or is_stalled


@pytest.mark.parametrize("name", ["502 in HTML", "reset in the body", "cut", "invalid JSON"])
async def test_a_fault_in_the_midst_of_many_pages_loses_nothing(
    emulator: Emulator, services: Services, name: str
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write_spread(emulator, service_id, 1000)
    emulator.fault(EFFECTS[name], path=LOGS, skip=3, times=3)
    async with services.tail_logs(service_id, limit=60, **QUICK) as tail:
        assert await take(tail, 1000) == written


async def test_faults_at_random_neither_lose_nor_repeat_a_line(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    for seed, name in enumerate(("502 in HTML", "reset", "reset in the body", "invalid JSON")):
        emulator.fault(EFFECTS[name], probability=0.1, seed=seed)
    emulator.fault(Gzip(), probability=0.5)
    async with services.tail_logs(service_id, **QUICK) as tail:
        for number in range(0, 200, 10):
            written = write(emulator, service_id, *range(number, number + 10))
            assert await take(tail, 10) == written


async def test_pages_too_large_to_be_read_are_asked_for_in_parts(emulator: Emulator) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write_spread(emulator, service_id, 500)
    async with (
        session(emulator, max_body_size=20_000) as services,
        services.tail_logs(service_id, **QUICK) as tail,
    ):
        assert await take(tail, 500) == written


async def test_compressed_pages_are_read(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    fault = emulator.fault(Gzip())
    written = write(emulator, service_id, *range(100))
    async with services.tail_logs(service_id, **QUICK) as tail:
        assert await take(tail, 100) == written
    assert fault.hits


@pytest.mark.parametrize(
    ("message", "read"), [(b"cut \\ud83d", "cut \ufffd"), (b"latin \xe9", "latin \ufffd")]
)
async def test_a_line_that_is_no_valid_text_does_not_stop_a_tail(message: bytes, read: str) -> None:
    line = b'{"createdAt": "2026-11-23T12:00:00Z", "message": "%b"}'
    page = b"[%b, %b]" % (line % message, line % b"next")

    async def behave(request: Request, writer: Writer) -> None:
        deployment = {"deploymentId": 7, "serviceId": 1, "state": "terminated"}
        body: object = {"id": 1, "currentDeployment": deployment}
        if "/logs" in request.target:
            body = page
        await answer(body)(request, writer)

    async with hostile(behave) as server, Services("key", base_url=server.url) as services:
        messages = await drain(services.tail_logs(1, follow=False))
    assert messages == [read, "next"]


async def test_all_that_was_written_during_an_outage_is_delivered(
    caplog: pytest.LogCaptureFixture, closed_port: int
) -> None:
    emulator = Emulator(pending_for=0.0, port=closed_port)
    async with AsyncExitStack() as stack:
        async with emulator:
            service_id = emulator.add_service("web", deployed=True)
            services = await stack.enter_async_context(session(emulator))
            options = QUICK | {"overlap": 0.3}
            tail = await stack.enter_async_context(services.tail_logs(service_id, **options))
            written = write(emulator, service_id, 0)
            assert await take(tail, 1) == written
        # Nobody listens any more, for longer than the overlap.
        written = write(emulator, service_id, *range(100))
        written += write(emulator, service_id, *range(50), visible_after=0.1)
        await until(lambda: tail.status.error)
        await anyio.sleep(0.5)
        written += write(emulator, service_id, *range(100, 200))
        async with emulator:
            assert Counter(await take(tail, 250)) == Counter(written)
            written = write(emulator, service_id, 200)
            assert await take(tail, 1) == written
            assert tail.status.outages == 1
            outages = [record for record in caplog.records if "is not served" in record.message]
            assert len(outages) == 1
    assert emulator.api_key not in caplog.text


async def test_an_outage_longer_than_max_outage_is_an_error(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, max_outage=0.1, **QUICK) as tail:
        written = write(emulator, service_id, 1)
        assert await take(tail, 1) == written
        emulator.fault(Respond(503), path=LOGS)
        with anyio.fail_after(PATIENCE), pytest.raises(ServerError):
            await anext(tail)


async def test_a_key_that_dies_ends_the_tail_and_a_good_one_goes_on(emulator: Emulator) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with session(emulator) as services, services.tail_logs(service_id, **QUICK) as tail:
        written = write(emulator, service_id, *range(10))
        seen = await take(tail, 10)
        emulator.api_key = "another"
        written += write(emulator, service_id, *range(10, 20))
        with anyio.fail_after(PATIENCE), pytest.raises(AuthenticationError):
            seen += [str((await anext(tail)).message) for _ in range(11)]
        with pytest.raises(StopAsyncIteration):
            await anext(tail)
    async with (
        session(emulator) as services,
        services.tail_logs(service_id, resume=tail.cursor, **QUICK) as tail,
    ):
        written += write(emulator, service_id, *range(20, 30))
        assert seen + await take(tail, 30 - len(seen)) == written


@pytest.mark.parametrize("status", [403, 404])
async def test_a_log_that_is_refused_for_a_moment_is_read_on(
    emulator: Emulator, services: Services, status: int
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    fault = emulator.fault(Respond(status), path="/services/**", times=2)
    written = write(emulator, service_id, *range(10))
    async with services.tail_logs(service_id, **QUICK) as tail:
        assert await take(tail, 10) == written
    assert fault.hits == 2


async def test_the_log_of_a_new_deployment_may_be_missing_for_a_while(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    emulator.fault(Respond(404), path=LOGS, times=12)
    written = write(emulator, service_id, *range(10))
    async with services.tail_logs(service_id, **QUICK) as tail:
        assert await take(tail, 10) == written


@pytest.mark.usefixtures("short_read_lag")
async def test_a_service_that_may_not_be_seen_is_an_error(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    emulator.fault(Respond(403), path="/services/**")
    with anyio.fail_after(PATIENCE), pytest.raises(PermissionDeniedError):
        await anext(services.tail_logs(service_id, **QUICK))


async def test_a_service_that_is_deleted_ends_the_tail(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, **QUICK) as tail:
        written = write(emulator, service_id, *range(10))
        assert await take(tail, 10) == written
        emulator.remove_service(service_id)
        with anyio.fail_after(PATIENCE), pytest.raises(NotFoundError):
            await anext(tail)


@pytest.mark.usefixtures("short_read_lag")
async def test_a_named_deployment_that_is_deleted_ends_the_tail(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, 1001, **QUICK) as tail:
        written = write(emulator, service_id, *range(10))
        assert await take(tail, 10) == written
        await services.delete_deployments(service_id, 1001)
        with anyio.fail_after(PATIENCE), pytest.raises(NotFoundError):
            await anext(tail)


async def test_a_deployment_that_is_deleted_does_not_end_the_tail_of_its_service(
    emulator: Emulator, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.tail.pages._SLOW_START", 0.0)
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, **QUICK) as tail, anyio.create_task_group() as group:
        written = write(emulator, service_id, *range(10))
        assert await take(tail, 10) == written
        await services.delete_deployments(service_id, 1001)

        async def deploy() -> None:
            await until(lambda: 1001 not in tail.status.deployments)
            write(emulator, service_id, 10, deployment_id=emulator.deploy(service_id))

        group.start_soon(deploy)
        assert await take(tail, 1) == ["line 10"]


async def test_one_failing_tail_does_not_end_another(
    emulator: Emulator, services: Services
) -> None:
    good = emulator.add_service("web", deployed=True)
    bad = emulator.add_service("worker", deployed=True)
    async with (
        services.tail_logs(good, **QUICK) as going_on,
        services.tail_logs(bad, **QUICK) as failing,
    ):
        emulator.log(bad, "a")
        await take(failing, 1)
        emulator.remove_service(bad)
        with anyio.fail_after(PATIENCE), pytest.raises(NotFoundError):
            await anext(failing)
        for number in range(3):
            written = write(emulator, good, number)
            assert await take(going_on, 1) == written


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_an_hour_off_does_no_harm(hours: int) -> None:
    def clock() -> int:
        return time.time_ns() + hours * 3600 * 10**9

    async with (
        Emulator(pending_for=0.0, clock=clock) as emulator,
        session(emulator) as services,
    ):
        service_id = emulator.add_service("web", deployed=True)
        async with services.tail_logs(service_id, 1001, **QUICK | {"grace": 0.5}) as tail:
            for number in range(0, 20, 2):
                write(emulator, service_id, number, visible_after=0.05)
                write(emulator, service_id, number + 1)
                assert len(set(await take(tail, 2))) == 2
            write(emulator, service_id, 20, visible_after=0.3)
            emulator.set_state(service_id, "terminated")
            assert await drain(tail) == ["line 20"]


@pytest.mark.parametrize("hours", [None, -1, 1], ids=["none", "behind", "ahead"])
async def test_whatever_time_the_server_tells_no_line_is_lost(hours: int | None) -> None:
    plain = PlainServer(date=None if hours is None else timedelta(hours=hours))
    async with (
        hostile(plain.behave) as server,
        Services("key", base_url=server.url) as services,
        services.tail_logs(1, **QUICK) as tail,
    ):
        for number in range(0, 15, 5):
            written = plain.write(*map(str, range(number, number + 5)))
            assert await take(tail, 5) == written


async def test_the_end_is_found_without_the_time_of_the_server() -> None:
    plain = PlainServer(date=None)
    async with (
        hostile(plain.behave) as server,
        Services("key", base_url=server.url) as services,
        services.tail_logs(1, 7, **QUICK) as tail,
    ):
        written = plain.write("a", "b")
        assert await take(tail, 2) == written
        plain.state = "failed"
        written = plain.write("c")
        assert await drain(tail) == written
