"""Many lines at one instant, or about it: read whole where an instant fits a page."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices import TailedEntry
from aioservices.tail.lines import sort_lines
from aioservices.tail.times import LATEST

from .history import History
from .model import BASE, MICROSECOND, MILLISECOND, SECOND, Behaviour, Rounding
from .test_history import behaviours, keeps, seeds, thoroughly

# How a server comes to give no more than 100 lines: it refuses more, or says nothing of it.
hundred = st.sampled_from([(100, Behaviour(largest=100)), (100, Behaviour(cap=100))])
hidden = st.just((10_000, Behaviour(cap=100)))


def bursts(behaviour: Behaviour, seed: int, limit: int, *, count: int) -> History:
    """Read while 60 lines at one instant follow 60 just before it, again and again."""
    history = History(behaviour, seed, limit)
    for _ in range(count):
        history.write(60, spread=0.0, late=0.0, unit=1)
        history.write(60, spread=history.random.choice([0.0001, 0.001]), late=0.0, unit=1)
        history.wait(history.random.choice([0.0005, 0.5, 1.0]))
        history.poll(whole=history.random.random() < 0.2)
    history.end()
    return history


def has_all(history: History) -> bool:
    return not history.surplus() and not history.missing() and not history.gaps


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["oldest", "newest", "any"])
@pytest.mark.parametrize("seed", range(30))
def test_bursts_at_one_instant_that_fit_a_page_leave_no_gap(kept: str, seed: int) -> None:
    assert has_all(bursts(Behaviour(keeps=kept, largest=100), seed, 100, count=25))


@thoroughly(12)
@given(hundred | hidden, keeps, seeds)
def test_bursts_leave_no_gap_however_the_server_comes_to_give_no_more(
    server: tuple[int, Behaviour], kept: str, seed: int
) -> None:
    limit, behaviour = server
    assert has_all(bursts(replace(behaviour, keeps=kept), seed, limit, count=6))


@thoroughly(25)
@given(keeps, st.integers(1, 999), st.lists(st.integers(2, 1999), min_size=1, max_size=4), seeds)
def test_neighbouring_instants_that_fit_a_page_each_but_not_together_leave_no_gap(
    kept: str, first: int, steps: list[int], seed: int
) -> None:
    history = History(Behaviour(keeps=kept, largest=100), seed, 100)
    at = 10 * SECOND + first * MICROSECOND
    for step in (*steps, 1):
        # Not at a multiple of half a millisecond: there, rounding could hide what is in between.
        at += MICROSECOND * (at % (MILLISECOND // 2) == 0)
        for number in range(80):
            history.server.write(at, f"{at} {number}")
        at += step * MICROSECOND
    history.wait(300)
    history.poll()
    assert has_all(history)


@thoroughly(60)
@given(behaviours, seeds, st.lists(st.tuples(st.sampled_from([1, 60, 90]), st.integers(0, 2_000))))
def test_neighbouring_instants_lose_nothing_in_silence_however_bounds_are_rounded(
    behaviour: Behaviour, seed: int, instants: list[tuple[int, int]]
) -> None:
    history = History(replace(behaviour, largest=100), seed, 100)
    at = 10 * SECOND
    for count, step in instants:
        at += step * 500  # nanoseconds
        for number in range(count):
            history.server.write(at, f"{at} {number}")
    history.wait(300)
    history.poll()
    assert not history.surplus()
    assert not history.unreported()


@pytest.mark.parametrize("cap", [110, 150, 300])
@thoroughly(13)
@given(behaviours, seeds)
def test_a_cap_between_the_limit_and_a_larger_one_loses_nothing_in_silence(
    cap: int, behaviour: Behaviour, seed: int
) -> None:
    history = History(replace(behaviour, cap=cap), seed, 100)
    for second in (1, 5, 9):
        history.server.write(second * SECOND, "of another second")
    choose = history.random.choice
    for _ in range(6):
        history.write(
            choose([60, 130, 250]),
            spread=choose([0.0, 0.01, 1.0, 30.0]),
            late=0.0,
            unit=choose([1, MICROSECOND, MILLISECOND, SECOND]),
        )
        history.wait(choose([0.5, 1.0, 20.0]))
        history.poll(whole=choose([True, False, False]))
    history.end()
    assert not history.surplus()
    assert not history.unreported()


def test_a_part_that_a_cap_may_have_cut_clears_nothing() -> None:
    whole = Rounding(SECOND)
    history = History(Behaviour(cap=150, start=whole, end=whole, end_lines=whole), 0, 100)
    history.server.write(5 * SECOND, "before")
    for number in range(300):
        history.server.write(10 * SECOND + number * MILLISECOND, f"{number}")
    history.server.write(20 * SECOND, "behind")
    history.wait(300)
    history.poll()
    assert history.gaps
    assert not history.unreported()


def test_identical_lines_on_both_sides_of_a_bound_both_come() -> None:
    # Shown at the same time, but only one of the two was written at or after it.
    history = History(Behaviour(shown=Rounding(MILLISECOND, "half")), 0, 10)
    for number in range(8):
        history.server.write(10 * SECOND - (9 - number) * MILLISECOND, f"{number}")
    for number in range(8):
        history.server.write(10 * SECOND - 400_000 + number * 100_000, "twin")
    history.wait(300)
    history.poll()
    assert has_all(history)


@thoroughly(20)
@given(keeps, seeds, st.integers(1, 3), st.sampled_from([1, MILLISECOND, SECOND]))
def test_the_smallest_pages_leave_no_gap_where_larger_ones_can_be_had(
    kept: str, seed: int, limit: int, unit: int
) -> None:
    history = History(Behaviour(keeps=kept, shown=Rounding(unit)), seed, limit)
    for number in range(40):
        history.server.write(10 * SECOND + history.random.randrange(3 * SECOND), f"{number}")
    history.wait(300)
    history.poll()
    assert has_all(history)


@pytest.mark.parametrize("count", [5, 40])
@pytest.mark.parametrize("kept", ["oldest", "newest", "any"])
def test_lines_at_the_end_of_time_leave_no_gap(kept: str, count: int) -> None:
    history = History(Behaviour(keeps=kept), 0, 10)
    last = (LATEST - BASE) // dt.timedelta(microseconds=1) * MICROSECOND
    for number in range(count):
        history.server.write(10 * SECOND + number * SECOND, f"a{number}")
        history.server.write(last - number % 3 * SECOND, f"b{number}")
    history.wait(300)
    history.poll()
    assert has_all(history)


def test_times_beyond_the_last_there_is_in_utc_are_that_one() -> None:
    west, east = dt.timezone(dt.timedelta(hours=-12)), dt.timezone(dt.timedelta(hours=12))
    page = [
        TailedEntry(created_at=dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=west), message="a"),
        TailedEntry(created_at=dt.datetime(1, 1, 1, tzinfo=east), message="b"),
        TailedEntry(created_at=dt.datetime(9999, 12, 31, 23, 59, 58, tzinfo=west), message="c"),
    ]
    lines = sort_lines(page)
    assert [entry.message for entry in lines.entries] == ["b", "c", "a"]
    assert lines.times == [dt.datetime.min.replace(tzinfo=dt.UTC), LATEST, LATEST]
    assert lines.ties == [1]


@pytest.mark.parametrize("asked_before", range(9))
def test_two_bursts_of_equal_length_are_not_taken_for_pages_of_a_capped_length(
    asked_before: int,
) -> None:
    """A program writes as many lines at once as before, while these are being read."""
    history = History(Behaviour(), 0, 10_000)
    first, second = 60_993 * MILLISECOND, 61_011 * MILLISECOND
    history.now = BASE + dt.timedelta(milliseconds=60_995)
    for number in range(20):
        history.server.write(first, f"a{number}")
    reader, asked = history.reader, 0
    for _ in range(3):
        reader.begin(history.now)
        while not reader.is_complete:
            request = reader.next_request()
            assert request is not None
            if asked == asked_before:
                history.wait(0.02)
                for number in range(20):
                    history.server.write(second, f"b{number}")
            asked += 1
            page = history.server.ask(request, history.now)
            asked_at = history.now.replace(microsecond=0)  # as `Date` tells it
            for batch in reader.feed(request, page, asked_at=asked_at, elapsed=0.0):
                history.tracker.take(batch)
                history.batches.append(batch)
        reader.finish()
        history.consume()
        history.wait(0.3)
    assert has_all(history)


steps = st.sampled_from([50, 100, 250, 500, 1000])  # milliseconds


def backlog_of_bursts(behaviour: Behaviour, seed: int, step: int, *, between: bool) -> History:
    """Read bursts that begin with a whole second, long after they were written."""
    history = History(replace(behaviour, largest=100), seed, 100)
    random = history.random
    for number in range(random.randint(2, 12)):
        at = 10 * SECOND + number * step * MILLISECOND
        for line in range(random.choice([40, 60, 90])):
            history.server.write(at, f"{number}-{line}")
        for line in range(random.randint(0, 30) if between else 0):
            later = at + random.randrange(1, step * MILLISECOND)
            history.server.write(later, f"between {number}-{line}")
    history.wait(7200)
    history.poll()
    return history


@pytest.mark.parametrize("kept", ["oldest", "newest", "any"])
@pytest.mark.parametrize("step", [50, 100, 250])
@pytest.mark.parametrize("seed", range(3))
def test_a_backlog_of_bursts_has_no_gap_although_some_are_at_whole_seconds(
    seed: int, step: int, kept: str
) -> None:
    assert has_all(backlog_of_bursts(Behaviour(keeps=kept), seed, step, between=seed == 1))


@thoroughly(25)
@given(behaviours, seeds, steps, st.booleans())
def test_a_backlog_of_bursts_loses_nothing_in_silence_however_bounds_are_rounded(
    behaviour: Behaviour, seed: int, step: int, between: bool
) -> None:
    history = backlog_of_bursts(behaviour, seed, step, between=between)
    assert not history.surplus()
    assert not history.unreported()


def test_as_many_lines_as_the_limit_at_two_neighbouring_instants_are_no_gap() -> None:
    history = History(Behaviour(), 0, 10)
    for number in range(10):
        history.server.write(10 * SECOND + number // 9 * 2 * MILLISECOND, f"{number}")
    history.wait(300)
    history.poll()
    assert has_all(history)


@pytest.mark.parametrize("kept", ["oldest", "newest"])
def test_what_was_read_before_is_read_again_in_ranges_that_fit(kept: str) -> None:
    history = History(Behaviour(keeps=kept), seed=1, limit=100)
    for burst in (60, 140, 20, 90, 10, 130, 70, 80):
        history.write(burst, spread=0.1, late=0.0, unit=MICROSECOND)
        history.wait(5.0)
        history.poll(whole=False)
    before = history.requests
    history.poll(whole=True)
    assert history.requests - before <= 1.5 * len(history.server.lines) / 100 + 2
    assert not history.missing()
