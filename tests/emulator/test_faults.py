"""What goes wrong on demand, seen by a client."""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import anyio
import pytest
from anyio.abc import SocketStream
from hypothesis import given
from hypothesis import strategies as st

from aioservices.emulator import (
    Cut,
    Delay,
    Emulator,
    Garble,
    Gzip,
    Reset,
    Respond,
    Stall,
)
from aioservices.emulator.faults import Effect, Fault, Faults
from tests.emulator.conftest import Client
from tests.servers.waiting import PATIENCE

DEPLOY = "/services/1/deployments"


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    return {"services": 1}


def make(effect: Effect, **options: object) -> Fault:
    defaults: dict[str, object] = {
        "method": None,
        "path": None,
        "skip": 0,
        "times": None,
        "probability": 1.0,
        "seed": 0,
    }
    return Fault(effect, **{**defaults, **options})  # type: ignore[arg-type]


@asynccontextmanager
async def raw_request(emulator: Emulator, request: str) -> AsyncIterator[SocketStream]:
    """Send a request over a separate connection, without the retries of a client."""
    port = int(emulator.url.rpartition(":")[2])
    key = aiohttp.encode_basic_auth(emulator.api_key, "")
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        headers = f"Host: x\r\nAuthorization: {key}\r\nContent-Length: 0\r\nConnection: close"
        await stream.send(f"{request} HTTP/1.1\r\n{headers}\r\n\r\n".encode())
        yield stream


async def received(stream: SocketStream) -> tuple[bytes, bool]:
    """Read to the end: what came, and whether the end was a reset."""
    content = b""
    try:
        async for chunk in stream:
            content += chunk
    except anyio.BrokenResourceError:
        return content, True
    return content, False


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/services", "/services", True),
        ("/services", "/services/", True),
        ("/services", "/services/1", False),
        ("services/*", "/services/1", True),
        ("/services/*", "/services/1/clone", False),
        ("/services/*/deployments", "/services/1/deployments", True),
        ("/services/**", "/services/1/deployments/2", True),
        ("**/logs", "/services/1/deployments/2/logs", True),
        ("/service.", "/services", False),
    ],
)
def test_a_path_may_have_placeholders(pattern: str, path: str, matches: bool) -> None:
    assert make(Cut(), path=pattern).applies_to("GET", path) == matches


@given(st.integers(0, 5), st.none() | st.integers(0, 5), st.integers(0, 15))
def test_a_fault_skips_some_and_happens_so_many_times(
    skip: int, times: int | None, requests: int
) -> None:
    fault = make(Cut(), skip=skip, times=times)
    struck = [fault.applies_to("GET", "/services") for _ in range(requests)]
    most = requests if times is None else times
    wanted = [False] * skip + [True] * most + [False] * requests
    assert struck == wanted[:requests]
    assert fault.hits == sum(struck)


def test_chance_is_the_same_for_the_same_seed() -> None:
    first, again, other = (make(Cut(), probability=0.3, seed=seed) for seed in (1, 1, 2))
    rows = [
        [fault.applies_to("GET", "/services") for _ in range(1000)]
        for fault in (first, again, other)
    ]
    assert rows[0] == rows[1] != rows[2]
    assert 200 < sum(rows[0]) < 400


def test_a_fault_that_is_shadowed_is_not_used_up() -> None:
    faults, first, second = Faults(), make(Respond(500), times=1), make(Respond(502), times=1)
    faults.add(first)
    faults.add(second)
    struck = [faults.select("GET", "/services").replacement for _ in range(3)]
    assert struck == [Respond(500), Respond(502), None]


def test_faults_of_different_kinds_happen_together() -> None:
    faults = Faults()
    for effect in (Delay(1.0), Delay(0.5), Gzip(), Garble(), Cut(), Respond(500)):
        faults.add(make(effect))
    affected = faults.select("GET", "/services")
    assert (affected.delay, affected.compressed, affected.garbled) == (1.5, True, True)
    assert (affected.interruption, affected.replacement) == (Cut(), Respond(500))


async def test_a_fault_is_only_for_its_method(client: Client, emulator: Emulator) -> None:
    emulator.fault(Respond(500), method="post")
    assert (await client.call("GET", "/services")).status == 200
    assert (await client.call("POST", "/services", {})).status == 500


async def test_a_fault_ends_with_its_context(client: Client, emulator: Emulator) -> None:
    with emulator.fault(Respond(503)) as fault:
        assert (await client.call("GET", "/services")).status == 503
    assert (await client.call("GET", "/services")).status == 200
    assert fault.hits == 1


async def test_an_answer_can_be_late(client: Client, emulator: Emulator) -> None:
    emulator.fault(Delay(0.05))
    await client.get("/services")
    assert emulator.requests[-1].elapsed > 0.04


async def test_every_answer_can_be_late(session: aiohttp.ClientSession) -> None:
    async with Emulator(latency=0.05) as emulator:
        await Client(emulator, session).get("/services")
        assert emulator.requests[-1].elapsed > 0.04


async def test_an_error_has_the_shape_of_the_api(client: Client, emulator: Emulator) -> None:
    emulator.fault(Respond(503))
    answer = await client.call("GET", "/services")
    assert answer.json == {
        "error": "service_unavailable",
        "errorDescription": "Service Unavailable",
        "code": 503,
    }
    assert answer.headers["X-RateLimit-Limit"]


async def test_an_error_can_be_a_page_or_nothing_or_anything(
    client: Client, emulator: Emulator
) -> None:
    with emulator.fault(Respond(502, "html")):
        answer = await client.call("GET", "/services")
        assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html")
        assert "<h1>502 Bad Gateway</h1>" in answer.text
    with emulator.fault(Respond(504, "empty")):
        answer = await client.call("GET", "/services")
        assert (answer.status, answer.text) == (504, "")
    with emulator.fault(Respond(200, b'{"a": 1}', headers={"X-Own": "b"})):
        answer = await client.call("GET", "/services")
        assert (answer.status, answer.json, answer.headers["X-Own"]) == (200, {"a": 1}, "b")


async def test_a_401_on_demand_is_a_challenge_too(client: Client, emulator: Emulator) -> None:
    emulator.fault(Respond(401))
    assert "WWW-Authenticate" in (await client.call("GET", "/services")).headers


async def test_retry_after_comes_in_every_form(client: Client, emulator: Emulator) -> None:
    with emulator.fault(Respond(429)):
        assert "Retry-After" not in (await client.call("GET", "/services")).headers
    with emulator.fault(Respond(429, retry_after=2)):
        assert (await client.call("GET", "/services")).headers["Retry-After"] == "2"
    with emulator.fault(Respond(429, retry_after=timedelta(seconds=90))):
        headers = (await client.call("GET", "/services")).headers
        retry_at = parsedate_to_datetime(headers["Retry-After"])
        ahead = retry_at - parsedate_to_datetime(headers["Date"])
        assert timedelta(seconds=90) <= ahead <= timedelta(seconds=91)


@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize("kind", [Respond, Reset, Stall])
async def test_a_request_that_fails_may_have_taken_effect(
    emulator: Emulator, kind: type[Effect], acts: bool
) -> None:
    effects: dict[type[Effect], Effect] = {
        Respond: Respond(502, acts=acts),
        Reset: Reset(acts=acts),
        Stall: Stall(seconds=0.0, acts=acts),
    }
    emulator.fault(effects[kind], method="POST", path="/services/*/deployments")
    async with raw_request(emulator, f"POST {DEPLOY}") as stream:
        content, _ = await received(stream)
    assert (b" 502 " in content) == (kind is Respond)
    assert emulator.deploys[1] == (1 if acts else 0)


async def test_a_late_request_takes_effect_though_the_client_has_gone(emulator: Emulator) -> None:
    fault = emulator.fault(Delay(0.1), method="POST")
    with anyio.fail_after(PATIENCE):
        async with raw_request(emulator, f"POST {DEPLOY}"):
            while not fault.hits:
                await anyio.sleep(0.01)
        while not emulator.deploys[1]:
            await anyio.sleep(0.01)


async def test_a_reset_before_the_answer_brings_nothing(emulator: Emulator) -> None:
    emulator.fault(Reset())
    async with raw_request(emulator, "GET /services") as stream:
        assert await received(stream) == (b"", True)
    assert emulator.statuses == {None: 1}


@pytest.mark.parametrize(("effect", "is_reset"), [(Reset(in_body=True), True), (Cut(), False)])
async def test_a_body_can_end_in_the_middle(
    emulator: Emulator, effect: Effect, is_reset: bool
) -> None:
    emulator.fault(effect)
    async with raw_request(emulator, "GET /services/1") as stream:
        content, was_reset = await received(stream)
    head, _, body = content.partition(b"\r\n\r\n")
    [length] = [
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    assert len(body) == length // 2
    assert was_reset == is_reset


@pytest.mark.parametrize("in_body", [False, True])
async def test_a_stalled_connection_stays_open(emulator: Emulator, in_body: bool) -> None:
    emulator.fault(Stall(in_body=in_body))
    async with raw_request(emulator, "GET /services/1") as stream:
        if in_body:
            with anyio.fail_after(PATIENCE):
                await stream.receive()
        with anyio.move_on_after(0.1):
            while True:  # the rest of what was sent; an end would be an error
                content = await stream.receive()
                assert in_body, content


async def test_an_emulator_ends_while_requests_are_stalled() -> None:
    with anyio.fail_after(PATIENCE):
        async with AsyncExitStack() as running:
            emulator = await running.enter_async_context(Emulator(services=1))
            fault = emulator.fault(Stall())
            async with raw_request(emulator, "GET /services/1") as stream:
                while not fault.hits:
                    await anyio.sleep(0.01)
                await running.aclose()
                assert await received(stream) == (b"", False)


@pytest.mark.parametrize(
    ("body", "text", "content_type"),
    [
        ("Sorry, we are closed", "Sorry, we are closed", "text/plain; charset=utf-8"),
        ("<h1>Closed</h1>", "<h1>Closed</h1>", "text/html"),
        ("", "", None),
        ("empty", "", None),
        (b'{"id":', '{"id":', "application/json"),
        ({"id": 1, "name": None}, '{"id":1,"name":null}', "application/json"),
        ([1, "a"], '[1,"a"]', "application/json"),
        (None, "null", "application/json"),
        (7, "7", "application/json"),
    ],
)
async def test_an_answer_can_have_any_body(
    emulator: Emulator,
    session: aiohttp.ClientSession,
    body: object,
    text: str,
    content_type: str | None,
) -> None:
    emulator.fault(Respond(200, body=body))
    async with session.get(f"{emulator.url}/services/1") as response:
        assert response.status == 200
        assert await response.text() == text
        assert response.headers.get("Content-Type") == content_type


async def test_an_answer_can_have_a_content_type_of_its_own(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    emulator.fault(Respond(200, body="a: 1", headers={"content-type": "application/yaml"}))
    async with session.get(f"{emulator.url}/services/1") as response:
        assert response.headers.getall("Content-Type") == ["application/yaml"]


async def test_a_garbled_body_is_complete_and_no_json(client: Client, emulator: Emulator) -> None:
    emulator.fault(Garble())
    header = {"Authorization": aiohttp.encode_basic_auth(emulator.api_key, "")}
    async with client.session.get(f"{emulator.url}/services/1", headers=header) as response:
        assert response.status == 200
        with pytest.raises(json.JSONDecodeError):
            json.loads(await response.read())


async def test_a_compressed_body_says_so(emulator: Emulator) -> None:
    emulator.fault(Gzip())
    header = {"Authorization": aiohttp.encode_basic_auth(emulator.api_key, "")}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{emulator.url}/services/1", headers=header) as response,
    ):
        assert response.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(await response.read()))["id"] == 1


@pytest.mark.parametrize("effect", [Garble(), Gzip(), Cut(), Reset(in_body=True)])
async def test_an_answer_without_a_body_can_be_struck_too(
    emulator: Emulator, effect: Effect
) -> None:
    emulator.fault(effect)
    emulator.log(1, "a line")
    async with raw_request(emulator, f"DELETE {DEPLOY}/1001") as stream:
        assert b" 204 " in await stream.receive()


async def test_requests_are_recorded(client: Client, emulator: Emulator) -> None:
    await client.call("GET", "/services", params={"limit": 5, "name": "a b"})
    await client.call("GET", "/services/9/")
    first, second = emulator.requests
    assert (first.method, first.path, first.status) == ("GET", "/services", 200)
    assert first.query == {"limit": "5", "name": "a b"}
    assert (second.path, second.status) == ("/services/9/", 404)
    assert first.time <= second.time
    assert emulator.statuses == {200: 1, 404: 1}


async def test_answers_are_dated_by_the_clock_of_the_emulator(
    session: aiohttp.ClientSession,
) -> None:
    async with Emulator(clock=lambda: 0) as emulator:
        answer = await Client(emulator, session).call("GET", "/services")
        assert answer.headers["Date"] == "Thu, 01 Jan 1970 00:00:00 GMT"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Delay(-1), "seconds must be 0 or more"),
        (lambda: Stall(seconds=float("nan")), "seconds must be 0 or more"),
        (lambda: Respond(99), "status must be from 200 to 599"),
        (lambda: Respond(503, body="\ud800"), "body must be Unicode text"),
        (lambda: Respond(503, retry_after=-1), "retry_after must be 0 or more"),
        (lambda: Respond(503, headers={"A": "b\r\nC: d"}), "headers must be valid HTTP headers"),
        (lambda: Respond(503, headers={"A B": "c"}), "headers must be valid HTTP headers"),
    ],
)
def test_an_effect_that_cannot_be_is_refused(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        build()


def test_an_effect_of_a_wrong_type_is_refused() -> None:
    with pytest.raises(TypeError, match="status must be int, not str"):
        Respond("503")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="body must be text, bytes or a value of JSON"):
        Respond(200, body=object())
    with pytest.raises(TypeError, match="seconds must be int or float, not str"):
        Delay("1")  # type: ignore[arg-type]
