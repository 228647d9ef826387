"""How many requests are let through, by the clock and on the wire."""

from collections.abc import Callable

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.emulator import Emulator
from aioservices.emulator.limits import FixedWindow, SlidingWindow
from tests.emulator.conftest import Client

Limit = FixedWindow | SlidingWindow
kinds = st.sampled_from([FixedWindow, SlidingWindow])
steps = st.lists(st.integers(0, 30), max_size=60)


@given(kinds, st.integers(1, 5), st.integers(1, 50), steps)
def test_a_request_is_refused_when_none_remains_and_only_then(
    kind: Callable[[int, int], Limit], limit: int, window: int, pauses: list[int]
) -> None:
    gate, now = kind(limit, window), 1_000
    for pause in pauses:
        now += pause
        remaining = gate.remaining(now)
        assert 0 <= remaining <= limit
        assert (gate.take(now) > 0) == (remaining == 0)


@given(kinds, st.integers(1, 5), st.integers(1, 50), steps)
def test_after_the_wait_that_was_announced_a_request_is_accepted(
    kind: Callable[[int, int], Limit], limit: int, window: int, pauses: list[int]
) -> None:
    gate, now = kind(limit, window), 1_000
    for pause in pauses:
        now += pause
        wait = gate.take(now)
        assert 0 <= wait <= window
        if wait:
            assert gate.remaining(now + wait - 1) == 0
            now += wait
            assert gate.take(now) == 0


@given(st.integers(1, 5), st.integers(1, 50), steps)
def test_no_stretch_as_long_as_a_sliding_window_has_more_than_the_limit(
    limit: int, window: int, pauses: list[int]
) -> None:
    gate, now = SlidingWindow(limit, window), 1_000
    passed: list[int] = []
    for pause in pauses:
        now += pause
        if gate.take(now) == 0:
            passed.append(now)
        assert sum(now - window < moment <= now for moment in passed) <= limit


@pytest.mark.parametrize("slides", [False, True])
async def test_too_many_requests_are_answered_429_until_the_window_ends(
    session: aiohttp.ClientSession, slides: bool
) -> None:
    now = 1_000 * 10**9
    async with Emulator(
        services=1, rate_limit=2, rate_window=10, rate_limit_slides=slides, clock=lambda: now
    ) as emulator:
        client = Client(emulator, session)
        answers = [await client.call("GET", "/services/1") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [answer.headers["X-RateLimit-Limit"] for answer in answers] == ["2", "2", "2"]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
        assert answers[2].headers["Retry-After"] == "10"
        now += 10 * 10**9
        assert (await client.call("GET", "/services/1")).status == 200


async def test_a_wrong_key_uses_nothing_up(session: aiohttp.ClientSession) -> None:
    async with Emulator(rate_limit=1) as emulator:
        client = Client(emulator, session)
        assert (await client.call("GET", "/services", key="wrong")).status == 401
        assert (await client.call("GET", "/services")).status == 200
