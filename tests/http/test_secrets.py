"""Secrets that no traceback shows, not even one with the local variables of every frame."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from aioservices import RequestError, RetryPolicy, Service, Services
from aioservices.http.response import decode
from tests.servers.hostile import (
    Behaviour,
    answer,
    chunked,
    cut_body,
    hostile,
    no_http,
    redirect,
    reset,
    stall,
    stall_in_body,
)
from tests.servers.waiting import until

KEY = "very-secret-key"
BASIC = "dmVyeS1zZWNyZXQta2V5"
VALUE = "hunter2-and-more"
ONCE = RetryPolicy(max_attempts=1)
TESTS = str(Path(__file__).parents[1])


def shown(error: BaseException) -> str:
    """Format an error with the local variables of every frame but those of the tests."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    for each in _all(shown):
        each.stack = traceback.StackSummary.from_list(
            [frame for frame in each.stack if not frame.filename.startswith(TESTS)]
        )
    return "".join(shown.format())


def _all(shown: traceback.TracebackException) -> list[traceback.TracebackException]:
    found = [shown]
    for inner in (shown.__cause__, shown.__context__):
        if inner is not None:
            found += _all(inner)
    return found


async def request(services: Services) -> Service:
    body = {"environmentVariables": {"A": VALUE}}
    return decode(await services.request("PUT", "x", json=body), Service)


Call = Callable[[Services], Awaitable[object]]
CALLS: dict[str, Call] = {
    "get": lambda services: services.get(42),
    "patch": lambda services: services.patch(42, environment_variables={"A": VALUE}),
    "post": lambda services: services.post(environment_variables={"A": VALUE}),
    "request": lambda services: request(services),
    "list": lambda services: services.list(),
}


BEHAVIOURS: dict[str, Behaviour] = {
    "reset": reset,
    "not HTTP": no_http,
    "stall": stall,
    "cut body": cut_body(),
    "stalled body": stall_in_body(),
    "cut chunks": chunked(f'{{"environmentVariables": {{"A": "{VALUE}"}}, '.encode(), whole=False),
    "too large": answer(f"{KEY} {VALUE} {BASIC}".encode() * 100),
    "too large, in parts": chunked(*[f"{KEY} {VALUE} {BASIC}".encode() * 20] * 20),
    "not text": answer(
        b'{"id": 1, "name": "' + f"{KEY} {VALUE}".encode() + b'\xff", "environmentVariables": 1}'
    ),
    "not compressed": answer(f"{KEY} {VALUE}".encode(), headers={"Content-Encoding": "gzip"}),
    "malformed": answer({"id": "x", "environmentVariables": {"A": VALUE}, "x": KEY}),
    "refused": answer({"error": VALUE, "errorDescription": KEY, "code": BASIC}, status=422),
    "bad gateway": answer(b"x", status=502, content_type=f"text/{BASIC}"),
    "of another type": answer(b"x", content_type=f"text/{KEY}"),
    "redirect": redirect("http://127.0.0.1:1/"),
    "redirect to a secret": redirect(f"ftp://{KEY}:{VALUE}@{BASIC}.{KEY}.org/{KEY}"),
    "redirect in an explanation": answer(
        {"errorDescription": f"{KEY} {VALUE}"}, status=302, headers={"Location": f"//{BASIC}/"}
    ),
    "many headers": answer(b"x", headers={f"{VALUE}-{number}": KEY for number in range(200)}),
    "cut explanation": answer(
        b'{"errorDescription": "' + f"{KEY} {BASIC} ".encode() + b"x" * 100_000, status=500
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
async def test_no_frame_of_a_failed_call_shows_a_secret(call: Call, behaviour: Behaviour) -> None:
    async with (
        hostile(behaviour) as server,
        Services(KEY, base_url=server.url, retry=ONCE, timeout=0.5, max_body_size=2000) as services,
    ):
        with pytest.raises(RequestError) as caught:
            await call(services)
    text = shown(caught.value)
    assert "/aioservices/" in text  # so there were frames of ours
    for secret in (KEY, BASIC, VALUE):
        assert secret not in text


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "behaviour", [stall, stall_in_body(f'"{VALUE} {KEY}'.encode())], ids=["stall", "in the body"]
)
@pytest.mark.parametrize("owns_http", [True, False])
async def test_no_frame_of_a_call_that_the_caller_ends_shows_a_secret(
    call: Call, behaviour: Behaviour, owns_http: bool
) -> None:
    async with (
        hostile(behaviour) as server,
        aiohttp.ClientSession() as http,
        Services(KEY, base_url=server.url, http=None if owns_http else http) as services,
    ):
        task = asyncio.ensure_future(call(services))
        await until(lambda: server.requests)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    text = shown(caught.value)
    assert "/aiohttp/" in text  # so there were the frames that make requests
    for secret in (KEY, BASIC, VALUE):
        assert secret not in text


@pytest.mark.parametrize(
    "call",
    [
        lambda services: services.patch(42, environment_variables={"A": VALUE, "B": object()}),
        lambda services: services.patch(42, environment_variables={"A": f"{VALUE}\ud800"}),
        lambda services: services.patch(42, environment_variables={"A": VALUE}, nam="x"),
        lambda services: services.post(environment_variables=[VALUE]),
        lambda services: services.request("PUT", "x", json={"A": VALUE, "B": object()}),
        lambda services: services.request("PUT", "../x", json={"A": VALUE}),
        lambda services: services.request("P T", "x", json={"A": VALUE}),
    ],
)
async def test_no_frame_of_a_refused_argument_shows_a_secret(call: Call) -> None:
    async with Services(KEY, base_url="http://127.0.0.1:1", retry=ONCE) as services:
        with pytest.raises((TypeError, ValueError)) as caught:
            await call(services)
    text = shown(caught.value)
    assert VALUE not in text
    assert KEY not in text


@pytest.mark.parametrize(
    ("api_key", "arguments"),
    [
        (KEY, {"base_url": f"https://{VALUE}@example.org"}),
        (KEY, {"base_url": f"https://example.org/?key={VALUE}"}),
        (KEY, {"base_url": VALUE}),
        (KEY, {"timeout": -1}),
        (KEY, {"max_connections": 0}),
        (KEY, {"user_agent": "a\nb"}),
        (f"{VALUE}\n", {"base_url": "https://example.org"}),
    ],
)
def test_no_frame_of_a_session_that_was_refused_shows_a_secret(
    api_key: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"must|not an API key") as caught:
        Services(api_key, **arguments)  # type: ignore[arg-type]
    text = shown(caught.value)
    assert "not initialized" in text  # the repr of `self` works
    for secret in (KEY, VALUE):
        assert secret not in text


@pytest.mark.parametrize("proxy", [f"socks5://user:{VALUE}@p:1", f"http://user:{VALUE}@p..q:1"])
def test_no_frame_shows_the_credentials_of_a_proxy(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ValueError, match="ALL_PROXY") as caught:
        Services(KEY, base_url="https://example.org")
    text = shown(caught.value)
    assert VALUE not in text
    assert KEY not in text


def test_the_key_of_the_environment_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVIS_API_KEY", f"{VALUE} {VALUE}")
    with pytest.raises(ValueError, match="CIVIS_API_KEY") as caught:
        Services(base_url="https://example.org")
    assert VALUE not in shown(caught.value)
