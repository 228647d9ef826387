"""Requests over real sockets, to servers that misbehave in every way."""

import asyncio
import base64
import gzip
import json
import logging
import pickle
import socket
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import anyio
import pytest

from aioservices.client import Services
from aioservices.errors import (
    APIError,
    AuthenticationError,
    ConnectionFailedError,
    MissingAPIKeyError,
    NotFoundError,
    RateLimitedError,
    RequestError,
    RequestTimeoutError,
    ResponseDecodeError,
    ResponseTooLargeError,
    ServerError,
    SessionClosedError,
    UnprocessableError,
)
from aioservices.http.options import RequestInfo, ResponseInfo
from aioservices.http.ratelimit import RateLimit
from aioservices.http.retry import RetryPolicy
from tests.servers.hostile import (
    Behaviour,
    HostileServer,
    Request,
    Writer,
    after,
    answer,
    chunked,
    cut_body,
    endless,
    hang_up,
    hostile,
    no_http,
    redirect,
    reset,
    reset_in_body,
    stall,
    stall_in_body,
)
from tests.servers.waiting import PATIENCE

KEY = "very-secret-key"
BASIC = base64.b64encode(f"{KEY}:".encode()).decode()
FINE = answer({"id": 42})
AT_ONCE = RetryPolicy(max_attempts=4, base_delay=0)
ONCE = RetryPolicy(max_attempts=1)


def session(server: HostileServer, retry: RetryPolicy = AT_ONCE, **options: Any) -> Services:
    return Services(KEY, base_url=server.url, retry=retry, **options)


def get(services: Services) -> Awaitable[object]:
    return services.get(42)


def put(services: Services) -> Awaitable[object]:
    return services.put_archive(42, True)


def delete(services: Services) -> Awaitable[object]:
    return services.delete_tokens(42, 1)


def post(services: Services) -> Awaitable[object]:
    return services.post_clone(42)


def patch(services: Services) -> Awaitable[object]:
    return services.patch(42, replicas=3)


Call = Callable[[Services], Awaitable[object]]
repeatable = pytest.mark.parametrize("call", [get, put, delete])
acting = pytest.mark.parametrize("call", [post, patch])


def other_tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if "hostile" not in repr(task.get_coro())}


# -- each fault is the right error -------------------------------------------------------------

GZIP = {"Content-Encoding": "gzip"}
COMPRESSED = gzip.compress(b'{"id": 42, "name": "a name that can be cut"}')


@pytest.mark.parametrize(
    ("behaviour", "error", "said"),
    [
        (reset, ConnectionFailedError, "the connection broke"),
        (hang_up, ConnectionFailedError, "the connection broke"),
        (cut_body(), ConnectionFailedError, "the connection broke"),
        (reset_in_body(), ConnectionFailedError, "the connection broke"),
        (chunked(b'{"id"', whole=False), ConnectionFailedError, "the connection broke"),
        (no_http, ConnectionFailedError, "the connection broke"),
        (
            answer(COMPRESSED[:-20], headers=GZIP, length=len(COMPRESSED), close=True),
            ConnectionFailedError,
            "the connection broke",
        ),
        (answer(COMPRESSED[:-20], headers=GZIP), ResponseDecodeError, "not valid JSON"),
        (answer(b'{"id": 42}', headers=GZIP), ResponseDecodeError, "cannot be decompressed"),
        (answer(b'{"id": 1, "x": ' + b"[" * 100_000), ResponseDecodeError, "not valid JSON"),
        (answer(b""), ResponseDecodeError, "200 OK, but the body is empty"),
        (
            answer(b"<html>Sign in</html>", content_type="text/html"),
            ResponseDecodeError,
            "200 OK, but the body is an HTML page",
        ),
        (answer(b'{"id": 4'), ResponseDecodeError, "not valid JSON"),
        (answer(b'{"id": 42, "name": "\xff"}'), ResponseDecodeError, "not valid JSON"),
        (answer([]), ResponseDecodeError, "does not match"),
        (answer({"id": "42"}), ResponseDecodeError, r"\$.id"),
        (answer(b"", status=500), ServerError, "500 Internal Server Error: the body is empty"),
        (answer(b"<html>", status=502), ServerError, "502 Bad Gateway: the body is an HTML page"),
        (answer(b"", status=404), NotFoundError, "404 Not Found"),
        (answer(b"", status=418), APIError, "418"),
        (answer(b"[" * 60_000, status=500), ServerError, "500"),
        (answer(b"<ht", status=404, length=500, close=True), NotFoundError, "404 Not Found"),
        (answer(b"x", status=500, headers=GZIP), ServerError, "500"),
    ],
)
async def test_each_fault_is_an_error_that_says_where_and_what(
    behaviour: Behaviour, error: type[RequestError], said: str
) -> None:
    async with hostile(behaviour) as server, session(server, ONCE) as services:
        with pytest.raises(error, match=said) as caught:
            await services.get(42)
        assert type(caught.value) is error
        assert str(caught.value).startswith("GET services/42: ")
        assert str(caught.value).endswith(" (1 attempt)")
        assert (caught.value.method, caught.value.path) == ("GET", "services/42")
        assert caught.value.attempts == len(server.requests) == 1


@pytest.mark.parametrize("behaviour", [stall, stall_in_body()])
async def test_an_answer_that_does_not_come_is_a_timeout(behaviour: Behaviour) -> None:
    async with hostile(FINE, behaviour) as server, session(server, ONCE) as services:
        await services.get(42)  # so that no time is spent with connecting
        with pytest.raises(RequestTimeoutError, match=r"no answer within 0.1 s") as caught:
            await services.with_options(timeout=0.1).get(42)
        assert caught.value.sent


@pytest.mark.parametrize(
    "behaviour",
    [
        chunked(b'{"id":', b" 42}"),
        answer(gzip.compress(b'{"id": 42}'), headers=GZIP),
        chunked(*(bytes([byte]) for byte in b'{"id": 42}')),
    ],
)
async def test_a_body_may_come_in_pieces_or_compressed(behaviour: Behaviour) -> None:
    async with hostile(behaviour) as server, session(server, ONCE) as services:
        assert (await services.get(42)).id == 42


# -- what is repeated --------------------------------------------------------------------------

BROKEN = [reset, hang_up, cut_body(), reset_in_body(), no_http]


@repeatable
@pytest.mark.parametrize(
    "behaviour", [*BROKEN, *(answer(b"", status=status) for status in (429, 502, 503, 504))]
)
async def test_what_may_be_done_twice_is_repeated_after_any_passing_fault(
    call: Call, behaviour: Behaviour
) -> None:
    async with hostile(behaviour, behaviour, FINE) as server, session(server) as services:
        await call(services)
        assert len(server.requests) == 3


async def test_an_answer_says_how_often_it_was_asked_for() -> None:
    async with hostile(reset, FINE) as server, session(server) as services:
        assert (await services.raw.get(42)).attempts == len(server.requests) == 2


async def test_a_timeout_is_repeated_too() -> None:
    async with hostile(stall, FINE) as server, session(server, timeout=0.5) as services:
        await services.get(42)
        assert len(server.requests) >= 2


@acting
@pytest.mark.parametrize(
    "behaviour", [*BROKEN, *(answer(b"", status=status) for status in (500, 502, 504))]
)
async def test_what_may_have_been_done_is_not_done_again(call: Call, behaviour: Behaviour) -> None:
    async with hostile(behaviour, FINE) as server, session(server) as services:
        with pytest.raises(RequestError) as caught:
            await call(services)
        assert caught.value.attempts == len(server.requests) == 1
        assert getattr(caught.value, "sent", True)


@acting
async def test_what_may_have_been_done_is_not_done_again_after_a_timeout(call: Call) -> None:
    async with hostile(FINE, stall, FINE) as server, session(server) as services:
        await services.get(42)  # so that no time is spent with connecting
        with pytest.raises(RequestTimeoutError) as caught:
            await call(services.with_options(timeout=0.1))
        assert caught.value.sent
        assert len(server.requests) == 2


@acting
@pytest.mark.parametrize("status", [429, 503])
async def test_what_was_not_done_is_repeated(call: Call, status: int) -> None:
    async with hostile(answer(b"", status=status), FINE) as server, session(server) as services:
        await call(services)
        assert len(server.requests) == 2


@pytest.mark.parametrize("call", [get, post])
async def test_a_refused_connection_is_tried_again_whatever_the_call(
    call: Call, closed_port: int
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    async with Services(KEY, base_url=url, retry=AT_ONCE) as services:
        with pytest.raises(ConnectionFailedError, match=r"\(4 attempts\)") as caught:
            await call(services)
        assert not caught.value.sent


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500, 501])
async def test_what_would_fail_again_is_not_repeated(status: int) -> None:
    async with hostile(answer(b"", status=status)) as server, session(server) as services:
        with pytest.raises(APIError) as caught:
            await services.get(42)
        assert caught.value.attempts == len(server.requests) == 1


@pytest.mark.parametrize("behaviour", [reset, answer(b"", status=503), answer(b"", status=429)])
async def test_the_last_error_counts_every_attempt(behaviour: Behaviour) -> None:
    async with hostile(behaviour) as server, session(server) as services:
        with pytest.raises(RequestError, match=r"\(4 attempts\)") as caught:
            await services.get(42)
        assert caught.value.attempts == len(server.requests) == 4


async def test_no_attempt_begins_when_the_time_is_over() -> None:
    policy = RetryPolicy(max_attempts=10_000, max_elapsed=0.2, base_delay=0.05, max_delay=0.05)
    async with hostile(answer(b"", status=503)) as server, session(server, policy) as services:
        with pytest.raises(ServerError):
            await services.get(42)
        assert len(server.requests) < 10_000


async def test_the_time_continues_while_another_attempt_waits_for_its_turn() -> None:
    later = answer(b"", status=503, headers={"Retry-After": "0.1"})
    policy = RetryPolicy(max_elapsed=0.3, base_delay=0)
    async with (
        hostile(after(0.05, later), stall) as server,
        session(server, policy, max_connections=1) as services,
        anyio.create_task_group() as group,
    ):

        async def take_the_only_connection() -> None:
            while not server.requests:
                await anyio.sleep(0.005)
            await services.get(1)

        group.start_soon(take_the_only_connection)
        with anyio.fail_after(PATIENCE), pytest.raises(ServerError) as caught:
            await services.get(42)
        assert caught.value.attempts == 1
        while len(server.requests) < 2:
            await anyio.sleep(0.005)
        assert [request.target for request in server.requests] == ["/services/42", "/services/1"]
        group.cancel_scope.cancel()


# -- when it is repeated -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_a_request_is_not_repeated_sooner_than_the_server_asks(status: int) -> None:
    later = answer(b"", status=status, headers={"Retry-After": "0.2"})
    async with hostile(later, FINE) as server, session(server) as services:
        await services.get(42)
        first, second = server.requests
        assert second.at - first.at >= 0.2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3600"}, 3600),
        (
            {
                "Date": "Fri, 31 Dec 1999 22:59:59 GMT",
                "Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT",
            },
            3600,
        ),
    ],
    ids=["seconds", "date, by the server's own clock"],
)
async def test_a_wait_beyond_the_calls_time_is_not_begun(
    headers: dict[str, str], seconds: float
) -> None:
    async with (
        hostile(answer(b"", status=429, headers=headers)) as server,
        session(server) as services,
    ):
        with pytest.raises(RateLimitedError) as caught:
            await services.get(42)
        assert caught.value.retry_after == seconds
        assert caught.value.attempts == len(server.requests) == 1


async def test_a_date_that_has_passed_asks_for_nothing() -> None:
    past = {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}
    async with hostile(answer(b"", status=429, headers=past), FINE) as server:
        async with session(server) as services:
            await services.get(42)
        assert len(server.requests) == 2


async def test_a_429_quiets_the_whole_session_and_then_one_call_goes_first() -> None:
    quiet = answer(b"", status=429, headers={"Retry-After": "0.3"})
    served: list[int] = []

    async def probe(request: Request, writer: Writer) -> None:
        await asyncio.sleep(0.05)  # in which any other would come
        served.append(len(server.requests))
        await FINE(request, writer)

    async with hostile(quiet, probe, FINE) as server, session(server) as services:
        async with anyio.create_task_group() as group:
            group.start_soon(services.get, 1)
            while not server.requests:
                await anyio.sleep(0.005)
            await anyio.sleep(0.1)
            for number in range(2, 8):
                group.start_soon(services.get, number)
        assert served == [2]
        assert len(server.requests) == 8
        assert all(request.at - server.requests[0].at >= 0.3 for request in server.requests[1:])


async def test_a_call_that_could_not_outlast_the_quiet_fails_at_once_and_is_not_sent() -> None:
    quiet = answer(b"", status=429, headers={"Retry-After": "3600"})
    async with hostile(quiet) as server, session(server) as services:
        with pytest.raises(RateLimitedError):
            await services.get(42)
        with pytest.raises(RateLimitedError, match="not sent") as caught:
            await services.get(43)
        assert len(server.requests) == 1
        assert caught.value.retry_after is not None
        assert 3500 < caught.value.retry_after <= 3600


@pytest.mark.parametrize("background", [False, True])
async def test_calls_that_wait_already_do_not_wait_for_a_block_that_is_too_long(
    background: bool,
) -> None:
    waiting = 5
    failed: list[RateLimitedError] = []

    async def refuse(request: Request, writer: Writer) -> None:
        while waits < waiting:
            await anyio.sleep(0.001)
        await answer(b"", status=429, headers={"Retry-After": "3600"})(request, writer)

    async with (
        hostile(refuse) as server,
        session(server, RetryPolicy(), max_connections=1) as services,
    ):
        view = services.with_options(background=background)
        waits = 0

        async def fail(number: int) -> None:
            nonlocal waits
            waits += 1
            with pytest.raises(RateLimitedError) as caught:
                await view.get(number)
            failed.append(caught.value)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                for number in range(waiting):
                    group.start_soon(fail, number)
    assert len(server.requests) == 1
    assert [error.sent for error in failed].count(False) == waiting - 1
    assert all(3500 < (error.retry_after or 0) <= 3600 for error in failed)


async def test_a_call_between_two_attempts_does_not_wait_for_a_block_that_is_too_long() -> None:
    later = answer(b"", status=503, headers={"Retry-After": "500"})
    busy = answer(b"", status=429, headers={"Retry-After": "3600"})
    async with hostile(later, busy) as server, session(server, RetryPolicy()) as services:

        async def fail(error: type[APIError]) -> None:
            with pytest.raises(error):
                await services.get(42)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(fail, ServerError)
                while not server.requests:
                    await anyio.sleep(0.001)
                await anyio.sleep(0.05)  # so that it sleeps, or soon will
                await fail(RateLimitedError)
    assert len(server.requests) == 2


async def test_many_deploys_do_not_wait_for_a_block_that_is_too_long() -> None:
    busy = answer(b"", status=429, headers={"Retry-After": "3600"})
    async with hostile(busy) as server, session(server, RetryPolicy()) as services:
        with anyio.fail_after(PATIENCE):
            outcomes = [each async for each in services.deploy_many(range(30), settle=0)]
    assert len(outcomes) == 30
    assert all(isinstance(each.error, RateLimitedError) for each in outcomes)


async def test_a_wait_that_is_short_enough_is_waited_for() -> None:
    busy = answer(b"", status=429, headers={"Retry-After": "0.2"})
    async with (
        hostile(busy, FINE) as server,
        session(server) as services,
        anyio.create_task_group() as group,
    ):
        for _ in range(5):
            group.start_soon(services.get, 42)
    assert all(request.at - server.requests[0].at >= 0.2 for request in server.requests[5:])


@pytest.mark.parametrize("number", ["9" * 400, "1e5", "-1", "1.5", "", "٣", "1_000"])
async def test_a_rate_limit_that_is_not_a_number_is_ignored(number: str) -> None:
    odd = {"X-RateLimit-Limit": number, "X-RateLimit-Remaining": number}

    async def tell(request: Request, writer: Writer) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in odd.items())
        writer.write(f"HTTP/1.1 200 OK\r\n{head}Content-Length: 9\r\n\r\n".encode() + b'{"id": 1}')

    async with hostile(tell) as server, session(server) as services:
        view = services.with_options(background=True)
        for _ in range(3):
            assert (await view.get(42)).id == 1
        assert services.rate_limit is None


async def test_the_rate_limit_is_the_one_of_the_last_answer() -> None:
    headers = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "998"}
    told = answer({"id": 1}, headers=headers)
    async with hostile(told, FINE) as server, session(server) as services:
        assert services.rate_limit is None
        raw = await services.raw.get(42)
        assert raw.rate_limit == services.rate_limit == RateLimit(1000, 998)
        await services.get(42)
        assert services.rate_limit == RateLimit(1000, 998)


@acting
@pytest.mark.parametrize("status", [429, 503])
async def test_a_status_whose_body_was_cut_counts_all_the_same(call: Call, status: int) -> None:
    cut = answer(b"{", status=status, length=500, headers={"Retry-After": "0"}, close=True)
    async with hostile(cut, FINE) as server, session(server) as services:
        await call(services)
        assert len(server.requests) == 2


async def test_a_status_whose_body_stalls_counts_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aioservices.http.body._ERROR_BODY_TIMEOUT", 0.05)

    async def refuse(request: Request, writer: Writer) -> None:
        await answer(b'{"error"', status=401, length=500)(request, writer)
        await stall(request, writer)

    async with hostile(refuse) as server, session(server) as services:
        with anyio.fail_after(PATIENCE), pytest.raises(AuthenticationError):
            await services.get(42)


# -- redirects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_on_the_same_host_keeps_method_key_and_body(status: int) -> None:
    async with (
        hostile(redirect("/moved/here?x=1", status), FINE) as server,
        session(server) as services,
    ):
        await services.patch(42, replicas=3)
        first, second = server.requests
        assert second.target == "/moved/here?x=1"
        assert (second.method, second.body) == (first.method, first.body) == ("PATCH", first.body)
        assert second.headers["authorization"] == first.headers["authorization"] == f"Basic {BASIC}"


async def test_a_redirect_to_another_host_does_not_take_the_key_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CIVIS_JOB_ID", "7")
    async with hostile(FINE) as elsewhere:
        async with hostile(redirect(elsewhere.url + "/file")) as server:
            async with session(server) as services:
                assert (await services.get(42)).id == 42
            assert server.requests[0].headers["x-civis-job-id"] == "7"
        headers = elsewhere.requests[0].headers
        assert {"authorization", "x-civis-job-id"}.isdisjoint(headers)
        assert KEY not in str(headers)


async def test_a_redirects_host_does_not_set_the_sessions_rate_limit() -> None:
    home = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "998"}
    away = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0"}
    async with hostile(answer({"id": 1}, headers=away)) as elsewhere:
        moved = answer(b"", status=307, headers={"Location": elsewhere.url, **home})
        async with hostile(moved) as server, session(server) as services:
            raw = await services.raw.get(42)
            assert raw.rate_limit == RateLimit(5, 0)
            assert services.rate_limit == RateLimit(1000, 998)


async def test_a_429_of_a_redirects_host_does_not_block_the_session() -> None:
    away = answer(b"", status=429, headers={"Retry-After": "3600"})
    async with hostile(away) as elsewhere:
        moved = redirect(elsewhere.url)
        async with hostile(moved, FINE) as server, session(server) as services:
            with pytest.raises(RateLimitedError) as caught:
                await services.get(42)
            assert caught.value.sent
            with anyio.fail_after(PATIENCE):
                assert (await services.get(43)).id == 42


async def test_a_redirect_to_a_host_that_cannot_be_looked_up_is_not_followed() -> None:
    async with hostile(redirect("http://a..b/")) as server, session(server) as services:
        with pytest.raises(APIError, match="base_url"):
            await services.get(42)


async def test_a_redirect_of_a_redirect_does_not_take_the_key_along_either() -> None:
    async with (
        hostile(FINE) as last,
        hostile(redirect(last.url)) as elsewhere,
        hostile(redirect(elsewhere.url)) as server,
        session(server) as services,
    ):
        await services.get(42)
        assert "authorization" not in last.requests[0].headers


@pytest.mark.parametrize("call", [post, put, delete, patch])
async def test_what_acts_is_never_taken_elsewhere(call: Call) -> None:
    async with hostile(FINE) as elsewhere, hostile(redirect(elsewhere.url)) as server:
        async with session(server) as services:
            with pytest.raises(APIError, match="base_url") as caught:
                await call(services)
        assert caught.value.status == 307
        assert elsewhere.requests == []


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_that_would_turn_a_post_into_a_get_is_not_followed(status: int) -> None:
    async with hostile(redirect("/elsewhere", status)) as server, session(server) as services:
        with pytest.raises(APIError) as caught:
            await services.post_clone(42)
        assert caught.value.status == status
        assert len(server.requests) == 1


async def test_redirects_in_a_circle_come_to_an_end() -> None:
    async with hostile(redirect("/round")) as server, session(server) as services:
        with pytest.raises(APIError, match="307"):
            await services.get(42)
        assert len(server.requests) < 20


@pytest.mark.parametrize("location", ["http://[bad/", "http://\\evil", "http://x:99999/"])
async def test_a_location_that_is_no_url_is_not_followed(location: str) -> None:
    async with hostile(redirect(location)) as server, session(server) as services:
        with pytest.raises(APIError, match="307"):
            await services.get(42)


async def test_a_redirect_that_is_not_followed_says_where_it_points() -> None:
    moved = answer({}, status=302, headers={"Location": "https://new.example.org/services?key=1"})
    async with hostile(moved) as server, session(server) as services:
        with pytest.raises(
            APIError, match=r"a redirect to new\.example\.org that is not"
        ) as caught:
            await services.post(name="a")
        assert "base_url" in str(caught.value)
        assert "key=1" not in str(caught.value)


@pytest.mark.parametrize("size", [10, 1000, 100_000, 3_000_000])
async def test_an_explanation_of_any_length_is_shown_from_its_beginning(size: int) -> None:
    said = {"error": "invalid", "errorDescription": "name is bad. " + "x" * size, "code": 422}
    async with hostile(answer(said, status=422)) as server, session(server) as services:
        with pytest.raises(UnprocessableError, match=r"name is bad\. xxx") as caught:
            await services.post(name="a")
        assert caught.value.error == "invalid"
        assert caught.value.code == (422 if size < 10_000 else None)  # it is behind the cut
        assert len(str(caught.value)) < 1200


async def test_a_body_is_never_taken_elsewhere_not_even_by_a_get() -> None:
    async with hostile(FINE) as elsewhere, hostile(redirect(elsewhere.url)) as server:
        async with session(server) as services:
            with pytest.raises(APIError, match="307"):
                await services.request("GET", "search", json={"about": "a secret"})
        assert elsewhere.requests == []


async def test_all_redirects_of_an_attempt_share_its_time() -> None:
    round_and_round = after(0.1, redirect("/round"))
    async with hostile(round_and_round) as server, session(server, ONCE, timeout=0.25) as services:
        with pytest.raises(RequestTimeoutError):
            await services.get(42)
        assert len(server.requests) <= 3


# -- huge bodies -------------------------------------------------------------------------------

BOMB = gzip.compress(bytes(64 * 1024 * 1024))


@pytest.mark.parametrize(
    "behaviour",
    [answer(b"x" * 2_000_000), endless(), answer(BOMB, headers=GZIP)],
    ids=["plain", "chunked without end", "gzip bomb"],
)
async def test_a_huge_body_is_not_read_to_its_end(behaviour: Behaviour) -> None:
    async with (
        hostile(behaviour, FINE) as server,
        session(server, max_body_size=1_000_000) as services,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(ResponseTooLargeError, match="larger than 1000000") as caught:
                await services.get(42)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 16_000_000
        assert caught.value.attempts == len(server.requests) == 1
        assert (await services.get(42)).id == 42


async def test_huge_bodies_that_come_at_once_take_the_memory_of_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aioservices.http.connections._LARGE_BODIES", 1)
    refused: list[ResponseTooLargeError] = []

    async def get(services: Services) -> None:
        try:
            await services.get(42)
        except ResponseTooLargeError as exc:
            refused.append(exc)

    async with (
        hostile(endless()) as server,
        session(server, max_body_size=8_000_000) as services,
    ):
        tracemalloc.start()
        try:
            async with anyio.create_task_group() as group:
                for _ in range(12):
                    group.start_soon(get, services)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(refused) == 12
    assert peak < 48_000_000


async def test_a_large_body_is_sent_whole_at_each_attempt() -> None:
    large = {"TEXT": "x" * 2_000_000}
    async with hostile(answer(b"", status=503), FINE) as server, session(server) as services:
        await services.patch(42, environment_variables=large)
        for request in server.requests:
            assert request.json == {"environmentVariables": large}


@acting
async def test_only_a_body_has_a_content_type(call: Call) -> None:
    async with hostile(FINE) as server, session(server) as services:
        await call(services)
        [request] = server.requests
        assert ("content-type" in request.headers) == bool(request.body)


async def test_a_body_of_just_the_bound_is_read() -> None:
    body = json.dumps({"id": 42, "name": "x" * 1000}).encode()
    async with hostile(answer(body)) as server:
        async with session(server, max_body_size=len(body)) as services:
            await services.get(42)
        async with session(server, max_body_size=len(body) - 1) as services:
            with pytest.raises(ResponseTooLargeError):
                await services.get(42)


async def test_of_a_huge_error_the_beginning_is_kept() -> None:
    async with hostile(endless(500), FINE) as server, session(server, ONCE) as services:
        with pytest.raises(ServerError) as caught:
            await services.get(42)
        assert len(caught.value.body) == 64 * 1024
        assert (await services.get(42)).id == 42


async def test_a_header_of_9000_bytes_is_read() -> None:
    large = answer({"id": 42}, headers={"X-Large": "x" * 9000})
    async with hostile(large) as server, session(server) as services:
        raw = await services.raw.get(42)
        assert len(raw.headers["X-Large"]) == 9000


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X-Huge": "x" * 100_000}, "a header of the answer is too long"),
        ({f"X-{number}": "x" for number in range(500)}, "too many headers"),
        ({"Content-Encoding": "br"}, "compressed in a way that was not asked for"),
        ({"Content-Encoding": "zstd"}, "compressed in a way that was not asked for"),
    ],
    ids=["huge", "many", "br", "zstd"],
)
async def test_an_answer_that_cannot_be_read_is_named_and_not_asked_for_again(
    headers: dict[str, str], said: str
) -> None:
    async with hostile(answer({"id": 42}, headers=headers)) as server, session(server) as services:
        with pytest.raises(ConnectionFailedError, match=said) as caught:
            await services.get(42)
        assert caught.value.is_permanent
        assert caught.value.sent
        assert len(server.requests) == 1


# -- secrets -----------------------------------------------------------------------------------


async def echo(request: Request, writer: Writer) -> None:
    """Repeat in an error what should have been kept."""
    said = f"{request.headers} {KEY} {request.body.decode()}"
    status = 503 if request.target.endswith("again") else 422
    await answer({"error": said, "errorDescription": said}, status=status)(request, writer)


async def test_no_message_repr_or_log_record_contains_a_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    errors: list[Exception] = []
    async with hostile(echo) as server, session(server) as services:
        calls = [
            services.patch(42, environment_variables={"PASSWORD": "hunter2"}),
            services.get(42),
            services.request("GET", "again"),
        ]
        for call in calls:
            with pytest.raises(APIError, match="authorization") as caught:
                await call
            errors.append(caught.value)
    told = "".join(
        [*map(str, errors), *map(repr, errors)]
        + [line for error in errors for line in traceback.format_exception(error)]
        + [record.getMessage() for record in caplog.records]
        + [str(vars(record)) for record in caplog.records]
    )
    assert "the next attempt follows" in told  # so something was logged
    for secret in (KEY, BASIC, "hunter2"):
        assert secret not in told


@pytest.mark.parametrize("behaviour", [no_http, reset, cut_body(), stall])
async def test_no_broken_connection_reveals_a_secret(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with hostile(behaviour) as server, session(server, timeout=0.1) as services:
        with pytest.raises(ConnectionFailedError) as caught:
            await services.get(42)
    told = "".join(traceback.format_exception(caught.value)) + caplog.text
    told += repr(caught.value.__cause__) + repr(caught.value.__context__)
    assert KEY not in told
    assert BASIC not in told


def repeating(head: str) -> Behaviour:
    """Answer with a head in which the request's own headers stand."""

    async def behave(request: Request, writer: Writer) -> None:
        writer.write(head.format(key=KEY, basic=request.headers["authorization"]).encode())
        writer.close()

    return behave


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 200 OK\r\nBad Header {basic}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Echo: {basic}\r\n",
        "HTTP/1.1 200 OK\r\nX-Echo: {key}" + "x" * 9000 + "\r\n\r\n",
        "{basic}\r\n\r\n",
        "HTTP/1.1 502 {key}\r\nContent-Type: {key}\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{basic}\r\n",
    ],
)
async def test_no_answer_that_repeats_a_secret_gets_it_into_an_error(
    head: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with hostile(repeating(head)) as server, session(server) as services:
        with pytest.raises(RequestError) as caught:
            await services.get(42)
    errors: list[BaseException | None] = [caught.value]
    while errors[-1] is not None:
        errors += [errors[-1].__cause__ or errors[-1].__context__]
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(errors)
    for secret in (KEY, BASIC):
        assert secret.lower() not in told.lower()


async def test_without_a_key_there_is_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIVIS_API_KEY", raising=False)
    with pytest.raises(MissingAPIKeyError, match="CIVIS_API_KEY"):
        Services()


async def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hostile(FINE) as server:
        monkeypatch.setenv("CIVIS_API_KEY", KEY)
        monkeypatch.setenv("CIVIS_API_ENDPOINT", server.url)
        async with Services() as services:
            await services.get(42)
        assert server.requests[0].headers["authorization"] == f"Basic {BASIC}"


# -- proxies -----------------------------------------------------------------------------------


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


async def test_a_proxy_of_the_environment_is_used_with_its_credentials(
    no_proxies: pytest.MonkeyPatch,
) -> None:
    async with hostile(FINE) as proxy:
        no_proxies.setenv("http_proxy", proxy.url.replace("//", "//ada:pass%40word@"))
        url = "http://api.example.org/v1"
        async with Services(KEY, base_url=url, allow_http=True, retry=ONCE) as services:
            await services.get(42)
            await services.get(43)  # on the same connection
        expected = base64.b64encode(b"ada:pass@word").decode()
        assert [request.target for request in proxy.requests] == [
            "http://api.example.org/v1/services/42",
            "http://api.example.org/v1/services/43",
        ]
        for request in proxy.requests:
            assert request.headers["proxy-authorization"] == f"Basic {expected}"
            assert request.headers["authorization"] == f"Basic {BASIC}"


async def test_a_proxy_that_builds_no_tunnel_learns_no_key_and_the_error_shows_none(
    no_proxies: pytest.MonkeyPatch,
) -> None:
    async with hostile(answer(b"", status=403)) as proxy:
        no_proxies.setenv("https_proxy", proxy.url.replace("//", "//ada:password@"))
        async with Services(KEY, base_url="https://api.example.org", retry=ONCE) as services:
            with pytest.raises(ConnectionFailedError) as caught:
                await services.post_clone(42)
        assert not caught.value.sent
        assert "password" not in "".join(traceback.format_exception(caught.value))
        assert proxy.requests[0].method == "CONNECT"
        assert "proxy-authorization" in proxy.requests[0].headers
        assert "authorization" not in proxy.requests[0].headers


async def test_no_proxy_is_heeded(no_proxies: pytest.MonkeyPatch, closed_port: int) -> None:
    no_proxies.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    no_proxies.setenv("no_proxy", "127.0.0.1")
    async with hostile(FINE) as server, session(server, ONCE) as services:
        assert (await services.get(42)).id == 42


@pytest.mark.parametrize("proxy", ["http://proxy.example.org:3128", "proxy.example.org:3128"])
async def test_another_machine_is_not_asked_for_what_is_on_this_one(
    no_proxies: pytest.MonkeyPatch, proxy: str
) -> None:
    no_proxies.setenv("all_proxy", proxy)
    async with hostile(FINE) as server, session(server, ONCE) as services:
        assert (await services.get(42)).id == 42


async def test_the_environments_proxy_need_not_be_used(
    no_proxies: pytest.MonkeyPatch, closed_port: int
) -> None:
    no_proxies.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    async with hostile(FINE) as server, session(server, ONCE, trust_env=False) as services:
        assert (await services.get(42)).id == 42


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("base_url", ["https://api.example.org", "http://api.example.org"])
async def test_a_dead_proxy_is_named_as_such(
    no_proxies: pytest.MonkeyPatch, closed_port: int, base_url: str, variable: str
) -> None:
    no_proxies.setenv(variable, f"http://ada:password@127.0.0.1:{closed_port}")
    async with Services(KEY, base_url=base_url, allow_http=True, retry=ONCE) as services:
        with pytest.raises(ConnectionFailedError, match="cannot connect to the proxy") as caught:
            await services.post_clone(42)
    assert f"127.0.0.1:{closed_port} (from {variable}): " in caught.value.reason
    assert caught.value.proxy == variable
    assert not caught.value.sent
    assert "api.example.org" not in str(caught.value)
    assert "password" not in str(caught.value)


async def test_a_proxy_that_cannot_be_looked_up_is_named_as_such(
    no_proxies: pytest.MonkeyPatch,
) -> None:
    no_proxies.setenv("HTTPS_PROXY", "http://no-such-proxy.invalid:3128")
    async with Services(KEY, base_url="https://api.example.org", retry=ONCE) as services:
        with pytest.raises(ConnectionFailedError, match="HTTPS_PROXY") as caught:
            await services.get(42)
    assert caught.value.proxy == "HTTPS_PROXY"


async def test_a_dead_api_is_not_taken_for_a_proxy(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    async with Services(KEY, base_url=url, retry=ONCE) as services:
        with pytest.raises(
            ConnectionFailedError, match=f"cannot connect to 127.0.0.1:{closed_port}"
        ) as caught:
            await services.get(42)
    assert caught.value.proxy is None


@pytest.mark.parametrize("status", [403, 407])
async def test_a_proxy_that_refuses_is_not_asked_again(
    no_proxies: pytest.MonkeyPatch, status: int
) -> None:
    async with hostile(answer(b"", status=status)) as proxy:
        no_proxies.setenv("https_proxy", proxy.url.removeprefix("http://"))
        async with Services(KEY, base_url="https://api.example.org", retry=AT_ONCE) as services:
            with pytest.raises(ConnectionFailedError, match=f"https_proxy.*{status}") as caught:
                await services.get(42)
        assert caught.value.proxy == "https_proxy"
        assert caught.value.is_permanent
        assert len(proxy.requests) == 1


# -- connections -------------------------------------------------------------------------------


async def test_one_connection_serves_many_calls() -> None:
    error = answer({"error": "no"}, status=404)
    async with hostile(FINE, error, FINE) as server, session(server) as services:
        for _ in range(5):
            with suppress(NotFoundError):
                await services.with_options(timeout=30).get(42)
        assert len(server.requests) == 5
        assert server.connections == 1


async def test_no_more_requests_are_under_way_than_there_are_connections() -> None:
    async with (
        hostile(after(0.01, FINE)) as server,
        session(server, max_connections=3) as services,
    ):
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(services.get, number)
        assert len(server.requests) == 20
        assert server.connections <= 3


@pytest.mark.parametrize("own", [True, False])
async def test_the_wait_for_a_free_connection_is_not_part_of_an_attempts_time(own: bool) -> None:
    async with hostile(after(0.6, FINE)) as server:
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as http:
            options: dict[str, Any] = {"max_connections": 1} if own else {"http": http}
            async with (
                session(server, ONCE, timeout=2.5, **options) as services,
                anyio.create_task_group() as group,
            ):
                for number in range(5):
                    group.start_soon(services.get, number)
        assert len(server.requests) == 5


async def test_a_connection_that_is_never_made_is_a_timeout_in_which_nothing_was_sent() -> None:
    async with (
        unreachable() as url,
        Services(KEY, base_url=url, retry=ONCE, timeout=0.2) as services,
    ):
        with pytest.raises(RequestTimeoutError, match="could not connect") as caught:
            await services.post_clone(42)
        assert not caught.value.sent


@asynccontextmanager
async def unreachable() -> AsyncIterator[str]:
    """An address where connecting takes forever: a listener whose queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        try:
            await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for caller in callers:
                caller.close()


async def test_a_path_in_the_base_url_stays_before_every_path() -> None:
    async with hostile(FINE) as server:
        async with Services(KEY, base_url=server.url + "/api/v1/") as services:
            await services.get(42)
            await services.request("GET", "/users/me")
        assert [request.target for request in server.requests] == [
            "/api/v1/services/42",
            "/api/v1/users/me",
        ]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"raise_for_status": True},
        {"auto_decompress": False},
        {"headers": {"Authorization": "Basic other", "X-Own": "yes"}},
        {"timeout": aiohttp.ClientTimeout(total=1e-9)},
        {"base_url": "http://127.0.0.1:1/"},
    ],
)
async def test_a_session_of_the_callers_own_is_used_and_not_closed(settings: Any) -> None:
    found = answer(gzip.compress(b'{"id": 42}'), headers=GZIP)
    async with hostile(found, answer(b"", status=404)) as server:
        async with aiohttp.ClientSession(**settings) as http:
            async with session(server, http=http) as services:
                assert (await services.get(42)).id == 42
                with pytest.raises(NotFoundError):
                    await services.get(42)
            assert not http.closed
            with pytest.raises(SessionClosedError):
                await services.get(42)
        assert len(server.requests) == 2
        assert server.requests[0].headers["authorization"] == f"Basic {BASIC}"
        assert server.requests[0].headers.get("x-own", "yes") == "yes"


async def test_a_session_of_the_callers_own_that_is_closed_says_so() -> None:
    async with hostile(FINE) as server, aiohttp.ClientSession() as http:
        services = session(server, http=http)
        await http.close()
        with pytest.raises(SessionClosedError):
            await services.get(42)


# -- closing and cancelling --------------------------------------------------------------------


async def outcomes(services: Services, calls: int, close: Callable[[], Awaitable[None]]) -> None:
    """Close a session under its calls: each must say so, soon, and leave nothing behind."""
    before = other_tasks()
    errors: list[SessionClosedError] = []

    async def fail() -> None:
        try:
            await services.get(42)
        except SessionClosedError as exc:
            errors.append(exc)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for _ in range(calls):
                group.start_soon(fail)
            await close()
    assert len(errors) == calls
    assert other_tasks() == before
    with pytest.raises(SessionClosedError, match="closed"):
        await services.get(42)


@pytest.mark.parametrize(
    "behaviour",
    [
        stall,
        stall_in_body(),
        answer(b"", status=503, headers={"Retry-After": "500"}),
        answer(b"", status=429, headers={"Retry-After": "500"}),
    ],
    ids=["under way", "in the body", "between attempts", "quiet"],
)
async def test_calls_fail_when_the_session_is_closed_under_them(behaviour: Behaviour) -> None:
    async with (
        hostile(behaviour) as server,
        session(server, RetryPolicy(), max_connections=2) as services,
    ):

        async def close() -> None:
            while not server.requests:
                await anyio.sleep(0.005)
            await anyio.sleep(0.05)
            await services.with_options(timeout=1).aclose()

        await outcomes(services, 6, close)  # four of them wait for a connection at first
        assert services.closed


async def test_calls_fail_when_the_session_is_closed_while_they_connect() -> None:
    async with unreachable() as url, Services(KEY, base_url=url) as services:

        async def close() -> None:
            await anyio.sleep(0.05)
            await services.aclose()

        await outcomes(services, 3, close)


async def test_calls_on_a_session_of_the_callers_own_fail_when_ours_is_closed() -> None:
    async with hostile(stall) as server, aiohttp.ClientSession() as http:
        services = session(server, http=http, max_connections=2)

        async def close() -> None:
            while not server.requests:
                await anyio.sleep(0.005)
            await services.aclose()

        await outcomes(services, 4, close)
        assert not http.closed


@pytest.mark.parametrize(
    "behaviour",
    [stall, stall_in_body(), answer(b"", status=503, headers={"Retry-After": "500"})],
    ids=["under way", "in the body", "between attempts"],
)
async def test_a_call_that_is_cancelled_leaves_nothing_behind(behaviour: Behaviour) -> None:
    async with (
        hostile(behaviour, FINE) as server,
        session(server, RetryPolicy(), max_connections=1) as services,
    ):
        before = other_tasks()
        async with anyio.create_task_group() as group:
            group.start_soon(services.get, 1)
            while not server.requests:
                await anyio.sleep(0.005)
            await anyio.sleep(0.02)
            group.cancel_scope.cancel()
        assert other_tasks() == before
        with anyio.fail_after(PATIENCE):
            assert (await services.get(2)).id == 42


# -- errors and observers ----------------------------------------------------------------------


async def test_an_answer_can_be_sent_to_another_process() -> None:
    async with hostile(FINE) as server, session(server) as services:
        response = await services.raw.get(42)
    received = pickle.loads(pickle.dumps(response))
    assert received.json() == {"id": 42}
    assert received.headers["content-TYPE"] == "application/json"
    assert (received.status, received.attempts) == (200, 1)


@pytest.mark.parametrize(
    "behaviour",
    [
        answer({"error": "invalid"}, status=422, headers={"X-Request-Id": "abc"}),
        answer(b"", status=429, headers={"X-Request-Id": "abc"}),
        answer(b"no json", headers={"X-Request-Id": "abc"}),
        answer(b"x" * 2000, headers={"X-Request-Id": "abc"}),
        reset,
    ],
)
async def test_errors_can_be_sent_to_another_process(behaviour: Behaviour) -> None:
    async with (
        hostile(behaviour) as server,
        session(server, ONCE, max_body_size=1000) as services,
    ):
        with pytest.raises(RequestError) as caught:
            await services.get(42)
        error: Any = caught.value
        other = pickle.loads(pickle.dumps(error))
        assert (type(other), str(other)) == (type(error), str(error))
        assert other.attempts == 1
        if hasattr(error, "headers"):
            assert other.headers["x-request-ID"] == "abc"
            assert other.body == error.body


async def test_observers_see_each_attempt_and_what_came_of_it() -> None:
    headers = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "9"}
    async with (
        hostile(reset, answer(b"", status=503), answer({"id": 1}, headers=headers)) as server,
        session(server) as services,
    ):
        requests: list[RequestInfo] = []
        responses: list[ResponseInfo] = []
        services.on_request(requests.append)
        services.on_response(responses.append)
        await services.get(42)
    assert [info.attempt for info in requests] == [1, 2, 3]
    assert [info.status for info in responses] == [None, 503, 200]
    assert all(info.elapsed >= 0 for info in responses)
    assert responses[-1].rate_limit is not None
    assert responses[-1].rate_limit.remaining == 9


async def test_an_observer_that_fails_is_logged_and_does_no_harm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with hostile(FINE) as server, session(server) as services:

        @services.on_request
        def fail(info: RequestInfo) -> None:
            raise LookupError("my own fault")

        assert (await services.get(42)).id == 42
    assert "my own fault" in caplog.text


async def test_an_unprocessable_request_says_what_the_server_said() -> None:
    body = {"error": "invalid", "errorDescription": "replicas is too large", "code": 422}
    async with hostile(answer(body, status=422)) as server, session(server) as services:
        with pytest.raises(UnprocessableError, match="replicas is too large") as caught:
            await services.patch(42, replicas=10**6)
        assert (caught.value.error, caught.value.code) == ("invalid", 422)
