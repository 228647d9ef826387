"""When to poll, and how far back to look."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.tail.schedule import Lookback, PollInterval

intervals = st.tuples(st.floats(0.001, 10.0), st.floats(1.0, 1000.0)).map(
    lambda pair: (pair[0], pair[0] * pair[1])
)
polls = st.lists(st.tuples(st.integers(0, 50_000), st.booleans()), max_size=50)


@given(intervals, polls)
def test_an_interval_stays_within_its_bounds(
    bounds: tuple[float, float], polls: list[tuple[int, bool]]
) -> None:
    shortest, longest = bounds
    interval = PollInterval(shortest, longest)
    for news, asleep in polls:
        wait = interval.after(news, fill=news / 10_000, asleep=asleep)
        assert 0 < wait <= longest
        assert shortest <= interval.interval <= longest
        assert news or wait >= shortest


@given(intervals, polls)
def test_a_line_brings_the_shortest_interval_back(
    bounds: tuple[float, float], polls: list[tuple[int, bool]]
) -> None:
    interval = PollInterval(*bounds)
    for news, asleep in polls:
        interval.after(news, asleep=asleep)
    assert interval.after(1) == bounds[0]


@given(intervals)
def test_silence_leads_to_the_longest_interval(bounds: tuple[float, float]) -> None:
    shortest, longest = bounds
    interval = PollInterval(shortest, longest)
    waits = [interval.after(0) for _ in range(20)]
    assert waits == sorted(waits)
    assert waits[-1] == longest


@given(intervals)
def test_a_sleeping_service_is_polled_slowly_at_once(bounds: tuple[float, float]) -> None:
    assert PollInterval(*bounds).after(0, asleep=True) == bounds[1]


@given(st.floats(0.01, 1.0), st.floats(0.5, 20.0))
def test_the_next_poll_comes_before_a_page_fills(shortest: float, fill: float) -> None:
    wait = PollInterval(shortest, 30.0).after(1, fill=fill)
    assert wait / shortest * fill <= 0.5 + 1e-9


@given(st.floats(0.01, 10.0), st.floats(0.0, 20.0), st.floats(0.0, 600.0))
def test_no_poll_comes_sooner_than_each_poll_looks_back(
    shortest: float, fill: float, overlap: float
) -> None:
    wait = PollInterval(shortest, 30.0, overlap=overlap).after(1, fill=fill)
    assert min(shortest, overlap / 64) - 1e-6 <= wait <= shortest


START = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def looks_of(overlap: float, gaps: list[float]) -> list[tuple[float, float]]:
    """When polls looked back, and how far, that come so many seconds apart."""
    lookback = Lookback(overlap)
    lookback.reset(START)
    at, looks = 0.0, list[tuple[float, float]]()
    for gap in gaps:
        at += gap
        back = lookback.next(START + dt.timedelta(seconds=at))
        looks.append((at, overlap if back is None else back.total_seconds()))
    return looks


@given(st.floats(0.1, 1000.0))
def test_a_look_twice_as_far_comes_half_as_often(overlap: float) -> None:
    base = overlap / 64
    looks = [back for _, back in looks_of(overlap, [1.001 * base] * 64)]
    ruler = [1, 2, 1, 4, 1, 2, 1, 8, 1, 2, 1, 4, 1, 2, 1]
    assert looks[:15] == pytest.approx([base * step for step in ruler], rel=1e-3)
    assert max(looks) == overlap


@given(
    st.floats(0.1, 1000.0),
    st.lists(st.floats(0.001, 50.0), min_size=1, max_size=200),
    st.floats(0.0, 1.0),
)
def test_what_is_late_is_found_within_about_as_many_seconds_or_by_the_next_poll(
    overlap: float, gaps: list[float], lateness: float
) -> None:
    late = lateness * overlap
    waited = 0.0
    for gap, (_, back) in zip(gaps, looks_of(overlap, gaps), strict=True):
        if waited > max(2 * late, overlap / 64) + 1e-3:
            assert back >= late - 1e-3
        waited = 0.0 if back >= late - 1e-3 else waited + gap


@given(st.floats(0.1, 1000.0), st.floats(1.0, 1.2))
def test_the_mean_look_is_far_shorter_than_the_overlap(overlap: float, pace: float) -> None:
    looks = [back for _, back in looks_of(overlap, [pace * overlap / 64] * 640)]
    assert sum(looks) / len(looks) < 0.1 * overlap


def test_polls_that_are_rare_look_far_back() -> None:
    assert [back for _, back in looks_of(60.0, [61.0] * 3)] == [60.0] * 3


def test_a_clock_that_is_set_back_makes_the_next_poll_look_far_back() -> None:
    assert looks_of(60.0, [-3600.0])[0][1] == 60.0
