"""What hooks are told about the attempts of calls."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from aioservices import Attempt, NotFoundError, RateLimit, RateLimitedError, RetryPolicy, Services
from tests.servers.hostile import answer, hostile, reset, stall

KEY = "very-secret-key"
FINE = answer({"id": 42}, headers={"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "9"})
AT_ONCE = RetryPolicy(max_attempts=3, base_delay=0)
SOON = 20


async def test_each_attempt_is_told_before_it_is_sent_and_after_it_has_ended() -> None:
    told: list[Attempt] = []
    async with (
        hostile(reset, answer(b"", status=503), FINE) as server,
        Services(KEY, base_url=server.url, retry=AT_ONCE) as services,
    ):
        await services.with_options(on_attempt=told.append).get(42)
    assert [(each.number, each.state, each.status) for each in told] == [
        (1, "sending", None),
        (1, "failed", None),
        (2, "sending", None),
        (2, "failed", 503),
        (3, "sending", None),
        (3, "answered", 200),
    ]
    assert {(each.method, each.path) for each in told} == {("GET", "services/42")}
    assert [each.retry_in for each in told] == [None, 0.0, None, 0.0, None, None]
    assert [each.error is None for each in told] == [True, False, True, False, True, True]
    assert told[1].error is not None
    assert told[1].error.sent
    assert told[-1].rate_limit == RateLimit(10, 9)
    assert told[-1].elapsed > 0


async def test_the_last_failure_says_that_there_is_no_other_attempt() -> None:
    told: list[Attempt] = []
    async with (
        hostile(answer(b"", status=404)) as server,
        Services(KEY, base_url=server.url, retry=AT_ONCE) as services,
    ):
        with pytest.raises(NotFoundError) as caught:
            await services.with_options(on_attempt=told.append).get(42)
    assert told[-1].state == "failed"
    assert told[-1].retry_in is None
    assert told[-1].error is caught.value


async def test_a_request_that_never_left_says_so(closed_port: int) -> None:
    told: list[Attempt] = []
    url = f"http://127.0.0.1:{closed_port}"
    once = RetryPolicy(max_attempts=1)
    async with Services(KEY, base_url=url, retry=once) as services:
        with pytest.raises(Exception, match="services/42"):
            await services.with_options(on_attempt=told.append).get(42)
    assert told[-1].error is not None
    assert not told[-1].error.sent


async def test_a_cancelled_attempt_has_failed_without_an_error() -> None:
    told: list[Attempt] = []
    async with (
        hostile(stall) as server,
        Services(KEY, base_url=server.url) as services,
        anyio.create_task_group() as group,
    ):
        group.start_soon(services.with_options(on_attempt=told.append).get, 42)
        while not server.requests:
            await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    assert [each.state for each in told] == ["sending", "failed"]
    assert told[-1].error is None


async def test_a_call_that_waits_for_a_retry_after_tells_for_how_long() -> None:
    told: list[Attempt] = []
    busy = answer(b"", status=429, headers={"Retry-After": "1"})
    once = RetryPolicy(max_attempts=1)
    async with (
        hostile(busy, FINE) as server,
        Services(KEY, base_url=server.url) as services,
    ):
        with pytest.raises(RateLimitedError):
            await services.with_options(retry=once).get(1)
        await services.with_options(on_attempt=told.append).get(2)
    assert [each.state for each in told] == ["waiting", "sending", "answered"]
    assert told[0].number == 1
    assert told[0].retry_in is not None
    assert 0 < told[0].retry_in <= 1


async def test_a_view_of_a_view_tells_the_hooks_of_both_and_the_session_tells_neither() -> None:
    told: list[str] = []

    def hook(name: str) -> Callable[[Attempt], None]:
        return lambda attempt: told.append(f"{name} {attempt.path} {attempt.state}")

    async with hostile(FINE) as server, Services(KEY, base_url=server.url) as services:
        outer = services.with_options(on_attempt=hook("outer"))
        inner = outer.with_options(on_attempt=hook("inner"))
        await inner.get(1)
        assert told == [
            f"{name} services/1 {state}"
            for state in ("sending", "answered")
            for name in ("outer", "inner")
        ]
        told.clear()
        await outer.get(2)
        assert told == ["outer services/2 sending", "outer services/2 answered"]
        told.clear()
        await services.get(3)
        assert told == []


async def test_a_hook_that_fails_is_logged_and_keeps_nothing_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Attempt] = []

    def fail(attempt: Attempt) -> None:
        raise LookupError("my own fault")

    async with hostile(FINE) as server, Services(KEY, base_url=server.url) as services:
        view = services.with_options(on_attempt=fail).with_options(on_attempt=told.append)
        assert (await view.get(42)).id == 42
    assert len(told) == 2
    assert "my own fault" in caplog.text


@pytest.mark.parametrize("hook", [5, anyio.sleep, None])
async def test_what_cannot_be_a_hook_is_refused_at_once(hook: Any) -> None:
    async with hostile(FINE) as server, Services(KEY, base_url=server.url) as services:
        with pytest.raises(TypeError, match="on_attempt must be a function that is not async"):
            services.with_options(on_attempt=hook)
