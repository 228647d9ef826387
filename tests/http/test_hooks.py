"""What hooks learn about the attempts of calls."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from aioservices import Attempt, NotFoundError, RateLimit, RateLimitedError, RetryPolicy, Services
from tests.servers.hostile import answer, hostile, reset, stall

KEY = "very-secret-key"
FINE = answer({"id": 42}, headers={"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "9"})
AT_ONCE = RetryPolicy(max_attempts=3, base_delay=0)


async def test_each_attempt_is_reported_before_it_is_sent_and_after_it_has_ended() -> None:
    attempts: list[Attempt] = []
    async with (
        hostile(reset, answer(b"", status=503), FINE) as server,
        Services(KEY, base_url=server.url, retry=AT_ONCE) as services,
    ):
        await services.with_options(on_attempt=attempts.append).get(42)
    assert [(each.number, each.state, each.status) for each in attempts] == [
        (1, "sending", None),
        (1, "failed", None),
        (2, "sending", None),
        (2, "failed", 503),
        (3, "sending", None),
        (3, "answered", 200),
    ]
    assert {(each.method, each.path) for each in attempts} == {("GET", "services/42")}
    assert [each.retry_in for each in attempts] == [None, 0.0, None, 0.0, None, None]
    assert [each.error is None for each in attempts] == [True, False, True, False, True, True]
    assert attempts[1].error is not None
    assert attempts[1].error.sent
    assert attempts[-1].rate_limit == RateLimit(10, 9)
    assert attempts[-1].elapsed > 0


async def test_the_last_failure_says_that_there_is_no_other_attempt() -> None:
    attempts: list[Attempt] = []
    async with (
        hostile(answer(b"", status=404)) as server,
        Services(KEY, base_url=server.url, retry=AT_ONCE) as services,
    ):
        with pytest.raises(NotFoundError) as caught:
            await services.with_options(on_attempt=attempts.append).get(42)
    assert attempts[-1].state == "failed"
    assert attempts[-1].retry_in is None
    assert attempts[-1].error is caught.value


async def test_a_request_that_never_left_says_so(closed_port: int) -> None:
    attempts: list[Attempt] = []
    url = f"http://127.0.0.1:{closed_port}"
    once = RetryPolicy(max_attempts=1)
    async with Services(KEY, base_url=url, retry=once) as services:
        with pytest.raises(Exception, match="services/42"):
            await services.with_options(on_attempt=attempts.append).get(42)
    assert attempts[-1].error is not None
    assert not attempts[-1].error.sent


async def test_a_cancelled_attempt_has_failed_without_an_error() -> None:
    attempts: list[Attempt] = []
    async with (
        hostile(stall) as server,
        Services(KEY, base_url=server.url) as services,
        anyio.create_task_group() as group,
    ):
        group.start_soon(services.with_options(on_attempt=attempts.append).get, 42)
        while not server.requests:
            await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    assert [each.state for each in attempts] == ["sending", "failed"]
    assert attempts[-1].error is None


async def test_a_call_that_waits_for_a_retry_after_says_for_how_long() -> None:
    attempts: list[Attempt] = []
    busy = answer(b"", status=429, headers={"Retry-After": "1"})
    once = RetryPolicy(max_attempts=1)
    async with (
        hostile(busy, FINE) as server,
        Services(KEY, base_url=server.url) as services,
    ):
        with pytest.raises(RateLimitedError):
            await services.with_options(retry=once).get(1)
        await services.with_options(on_attempt=attempts.append).get(2)
    assert [each.state for each in attempts] == ["waiting", "sending", "answered"]
    assert attempts[0].number == 1
    assert attempts[0].retry_in is not None
    assert 0 < attempts[0].retry_in <= 1


async def test_a_view_of_a_view_calls_the_hooks_of_both_and_the_session_neither() -> None:
    attempts: list[str] = []

    def hook(name: str) -> Callable[[Attempt], None]:
        return lambda attempt: attempts.append(f"{name} {attempt.path} {attempt.state}")

    async with hostile(FINE) as server, Services(KEY, base_url=server.url) as services:
        outer = services.with_options(on_attempt=hook("outer"))
        inner = outer.with_options(on_attempt=hook("inner"))
        await inner.get(1)
        assert attempts == [
            f"{name} services/1 {state}"
            for state in ("sending", "answered")
            for name in ("outer", "inner")
        ]
        attempts.clear()
        await outer.get(2)
        assert attempts == ["outer services/2 sending", "outer services/2 answered"]
        attempts.clear()
        await services.get(3)
        assert attempts == []


async def test_a_hook_that_fails_is_logged_and_keeps_nothing_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    attempts: list[Attempt] = []

    def fail(attempt: Attempt) -> None:
        raise LookupError("my own fault")

    async with hostile(FINE) as server, Services(KEY, base_url=server.url) as services:
        view = services.with_options(on_attempt=fail).with_options(on_attempt=attempts.append)
        assert (await view.get(42)).id == 42
    assert len(attempts) == 2
    assert "my own fault" in caplog.text


@pytest.mark.parametrize("hook", [5, anyio.sleep, None])
async def test_what_cannot_be_a_hook_is_refused_at_once(hook: Any) -> None:
    async with hostile(FINE) as server, Services(KEY, base_url=server.url) as services:
        with pytest.raises(TypeError, match="on_attempt must be a function that is not async"):
            services.with_options(on_attempt=hook)
