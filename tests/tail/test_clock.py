"""The server's time, whatever its `Date` does. Pure."""

import datetime as dt
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.tail.clock import ServerClock

START = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


class Moments:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def date(seconds: float) -> dict[str, str]:
    return {"Date": format_datetime(START + dt.timedelta(seconds=seconds), usegmt=True)}


def seconds(clock: ServerClock) -> float:
    return (clock.now() - START).total_seconds()


@pytest.fixture
def moments() -> Moments:
    return Moments()


@pytest.fixture
def clock(moments: Moments) -> ServerClock:
    return ServerClock(moments)


def test_without_a_date_our_own_clock_tells_the_time(clock: ServerClock) -> None:
    clock.observe({})
    assert not clock.known
    assert abs(clock.now() - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


@given(st.lists(st.floats(0.0, 100.0), min_size=1), st.floats(0.0, 0.999))
def test_an_honest_clock_is_told_to_the_second_below(steps: list[float], phase: float) -> None:
    moments = Moments()
    clock = ServerClock(moments)
    begun = moments.now
    for step in steps:
        moments.now += step
        true = moments.now - begun + phase
        clock.observe(date(int(true)))
        assert true - 1.001 < seconds(clock) <= true + 1e-5
        assert clock.latest() >= START + dt.timedelta(seconds=true - 0.001)


def test_a_date_that_stands_still_is_carried_on(clock: ServerClock, moments: Moments) -> None:
    for _ in range(50):
        clock.observe(date(0))
        moments.now += 10.0
    assert seconds(clock) == 500.0


def test_a_date_that_comes_no_more_is_carried_on(clock: ServerClock, moments: Moments) -> None:
    clock.observe(date(0))
    for _ in range(50):
        moments.now += 10.0
        clock.observe({})
    assert seconds(clock) == 500.0


def test_a_clock_that_was_set_forward_is_believed_at_once(clock: ServerClock) -> None:
    clock.observe(date(0))
    clock.observe(date(3600))
    assert seconds(clock) == 3600.0


def test_a_stale_answer_does_not_set_the_time_back(clock: ServerClock, moments: Moments) -> None:
    for elapsed in range(0, 100, 10):
        moments.now += 10.0
        clock.observe(date(elapsed))
        clock.observe(date(-3600))
        assert seconds(clock) == elapsed


def test_a_clock_that_was_set_back_is_believed_after_a_while(
    clock: ServerClock, moments: Moments
) -> None:
    clock.observe(date(3600))
    for elapsed in range(5):
        moments.now += 1.0
        clock.observe(date(elapsed))
        clock.observe(date(elapsed))  # there are several answers a second
    assert seconds(clock) == 4.0


def test_stale_answers_in_any_order_do_not_show_a_clock_that_was_set_back(
    clock: ServerClock,
) -> None:
    clock.observe(date(3600))
    for elapsed in (2, 1, 2, 1, 0):
        clock.observe(date(elapsed))
    assert seconds(clock) == 3600.0


@pytest.mark.parametrize("is_known", [False, True])
def test_the_latest_time_allows_for_the_second_to_which_a_date_is_cut(
    clock: ServerClock, *, is_known: bool
) -> None:
    if is_known:
        clock.observe(date(0))
    assert clock.latest() - clock.now() == dt.timedelta(seconds=is_known)


@pytest.mark.parametrize("value", ["", "yesterday", "Mon, 99 Nov 2026 99:00:00 GMT"])
def test_a_date_that_makes_no_sense_is_passed_over(
    clock: ServerClock, moments: Moments, value: str
) -> None:
    clock.observe(date(0))
    moments.now += 5.0
    clock.observe({"Date": value})
    assert seconds(clock) == 5.0


@pytest.mark.parametrize("year", [1, 9999])
def test_times_at_the_ends_of_the_calendar_saturate(
    clock: ServerClock, moments: Moments, year: int
) -> None:
    at = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
    clock.observe({"Date": format_datetime(at, usegmt=True)})
    moments.now += 1e12
    assert clock.now() == clock.latest() == dt.datetime.max.replace(tzinfo=dt.UTC)
    assert clock.at(-1e12) == dt.datetime.min.replace(tzinfo=dt.UTC)
