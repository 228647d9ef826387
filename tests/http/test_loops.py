"""Event loops that were blocked, and sessions that meet a second event loop."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from aioservices import (
    LogTail,
    RetryPolicy,
    Services,
    ServicesError,
    SessionClosedError,
    SessionLoopError,
)
from tests.servers.certificate import contexts
from tests.servers.hostile import Request, Writer, answer, hostile
from tests.servers.threaded import in_thread
from tests.servers.waiting import PATIENCE

KEY = "very-secret-key"
ONCE = RetryPolicy(max_attempts=1)
FINE = answer({"id": 42})
LAST = answer({"id": 42}, headers={"Connection": "close"})  # so that no connection stays open


@pytest.mark.parametrize(
    "call",
    [
        lambda services: services.post_clone(42),
        lambda services: services.patch(42, replicas=3),
    ],
    ids=["post", "patch"],
)
@pytest.mark.parametrize("is_encrypted", [False, True], ids=["http", "https"])
def test_what_acts_is_not_sent_on_a_connection_that_was_closed_while_the_loop_was_blocked(
    call: Callable[[Services], Awaitable[object]], is_encrypted: bool
) -> None:
    may_close, closed = threading.Event(), threading.Event()
    tls = contexts() if is_encrypted else None

    async def answer_then_close(request: Request, writer: Writer) -> None:
        await FINE(request, writer)
        await writer.drain()
        await asyncio.to_thread(may_close.wait, PATIENCE)
        writer.close()
        for _ in range(5):  # with TLS, the other end would have to answer until it is closed
            await asyncio.sleep(0)
        closed.set()

    async def act(url: str) -> None:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls.client if tls else True)
            ) as http,
            Services(KEY, base_url=url, retry=ONCE, http=http) as services,
        ):
            await services.get(42)
            may_close.set()
            assert closed.wait(PATIENCE)  # which blocks the loop of the session
            await call(services)

    with in_thread(hostile(answer_then_close, FINE, tls=tls.server if tls else None)) as server:
        asyncio.run(act(server.url))
        assert len(server.requests) == server.connections == 2


def test_an_answer_that_came_while_the_loop_was_blocked_is_no_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_answer, answered = threading.Event(), threading.Event()
    timeout = 3600.0  # for which no machine is too slow
    monotonic = time.monotonic

    async def respond(request: Request, writer: Writer) -> None:
        await asyncio.to_thread(may_answer.wait, PATIENCE)
        await FINE(request, writer)
        await writer.drain()
        answered.set()

    async def block(url: str) -> None:
        async with Services(KEY, base_url=url, retry=ONCE, timeout=timeout) as services:
            call = asyncio.ensure_future(services.get(42))
            while not requests:
                await asyncio.sleep(0.001)
            may_answer.set()
            assert answered.wait(PATIENCE)  # which blocks the loop: for two hours, by its clock
            monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 2 * timeout)
            assert (await call).id == 42

    with in_thread(hostile(respond)) as server:
        requests = server.requests
        asyncio.run(block(server.url))


Use = Callable[[Services], Awaitable[object]]


async def read_tail(services: Services) -> object:
    tail: LogTail = services.tail_logs(42, 1, follow=False)
    return [entry async for entry in tail]


async def read_listing(services: Services) -> object:
    return [each async for each in services.list()]


async def watch(services: Services) -> object:
    return [line async for line in services.watch_logs([42])]


async def deploy(services: Services) -> object:
    async for outcome in services.deploy_many([42], settle=1e6):
        assert outcome.error is not None
        raise outcome.error
    return None


async def wait(services: Services) -> object:
    return await services.wait_until_running(42, 1, timeout=1e6)


uses = pytest.mark.parametrize(
    "use",
    [lambda services: services.get(42), read_listing, read_tail, watch, deploy, wait],
    ids=["call", "listing", "tail", "watch", "deploy", "wait"],
)


@uses
def test_a_session_that_meets_a_second_event_loop_says_so(use: Use) -> None:
    async def run(services: Services) -> object:
        return await use(services)

    with in_thread(hostile(LAST)) as server:
        services = Services(KEY, base_url=server.url, retry=ONCE)

        async def first() -> None:
            await services.get(42)

        asyncio.run(first())
        with pytest.raises(SessionLoopError, match="make a Services for each"):
            asyncio.run(run(services))
        assert len(server.requests) == 1
        asyncio.run(services.aclose())
        with pytest.raises(SessionClosedError):
            asyncio.run(run(services))


def test_an_aiohttp_session_of_another_event_loop_says_so() -> None:
    async def opened() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def use(http: aiohttp.ClientSession, url: str) -> None:
        async with Services(KEY, base_url=url, retry=ONCE, http=http) as services:
            with pytest.raises(ServicesError):
                await services.get(42)

    async def close(http: aiohttp.ClientSession) -> None:
        await asyncio.sleep(0.05)  # in which what was begun on this loop continues
        await http.close()
        await asyncio.sleep(0.05)

    with in_thread(hostile(LAST)) as server, asyncio.Runner() as first:
        http = first.run(opened())
        asyncio.run(use(http, server.url))
        first.run(close(http))


def test_a_session_whose_loop_still_runs_is_not_closed_from_another_one() -> None:
    with in_thread(hostile(LAST)) as server:
        first = asyncio.new_event_loop()
        services = Services(KEY, base_url=server.url, retry=ONCE)

        async def use() -> None:
            await services.get(42)

        first.run_until_complete(use())
        with pytest.raises(SessionLoopError):
            asyncio.run(services.aclose())
        first.run_until_complete(services.aclose())
        first.close()
