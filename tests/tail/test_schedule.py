"""When to poll, and how far back to look."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.tail.schedule import Ladder, Pace

intervals = st.tuples(st.floats(0.001, 10.0), st.floats(1.0, 1000.0)).map(
    lambda pair: (pair[0], pair[0] * pair[1])
)
polls = st.lists(st.tuples(st.integers(0, 50_000), st.booleans()), max_size=50)


@given(intervals, polls)
def test_an_interval_stays_within_its_bounds(
    bounds: tuple[float, float], polls: list[tuple[int, bool]]
) -> None:
    shortest, longest = bounds
    pace = Pace(shortest, longest)
    for news, asleep in polls:
        wait = pace.after(news, fill=news / 10_000, asleep=asleep)
        assert 0 < wait <= longest
        assert shortest <= pace.interval <= longest
        assert news or wait >= shortest


@given(intervals, polls)
def test_a_line_brings_the_shortest_interval_back(
    bounds: tuple[float, float], polls: list[tuple[int, bool]]
) -> None:
    pace = Pace(*bounds)
    for news, asleep in polls:
        pace.after(news, asleep=asleep)
    assert pace.after(1) == bounds[0]


@given(intervals)
def test_silence_leads_to_the_longest_interval(bounds: tuple[float, float]) -> None:
    shortest, longest = bounds
    pace = Pace(shortest, longest)
    waits = [pace.after(0) for _ in range(20)]
    assert waits == sorted(waits)
    assert waits[-1] == longest


@given(intervals)
def test_a_sleeping_service_is_polled_slowly_at_once(bounds: tuple[float, float]) -> None:
    assert Pace(*bounds).after(0, asleep=True) == bounds[1]


@given(st.floats(0.01, 1.0), st.floats(0.5, 20.0))
def test_the_next_poll_comes_before_a_page_fills(shortest: float, fill: float) -> None:
    wait = Pace(shortest, 30.0).after(1, fill=fill)
    assert wait / shortest * fill <= 0.5 + 1e-9


@given(st.floats(0.1, 1000.0))
def test_a_ladder_looks_back_twice_as_far_half_as_often(overlap: float) -> None:
    ladder = Ladder(overlap)
    looks = [ladder.next() for _ in range(16)]
    base = overlap / 16
    expected = [1, 2, 1, 4, 1, 2, 1, 8, 1, 2, 1, 4, 1, 2, 1]
    assert looks[:15] == pytest.approx([base * step for step in expected])
    assert looks[15] == math.inf


@given(st.floats(0.1, 1000.0), st.integers(0, 100), st.floats(0.0, 1.0))
def test_what_is_late_is_looked_for_within_about_as_many_polls(
    overlap: float, polls: int, lateness: float
) -> None:
    """A line late by d is found before more than twice d / base polls have passed."""
    ladder = Ladder(overlap)
    for _ in range(polls):
        ladder.next()
    base, late = overlap / 16, lateness * overlap
    most = max(1, math.ceil(2 * late / base))
    assert any(ladder.next() >= late for _ in range(most))


@given(st.floats(0.1, 1000.0))
def test_the_mean_look_is_far_shorter_than_the_overlap(overlap: float) -> None:
    ladder = Ladder(overlap)
    looks = [min(ladder.next(), overlap) for _ in range(160)]
    assert sum(looks) / len(looks) < 0.2 * overlap + 1e-9
