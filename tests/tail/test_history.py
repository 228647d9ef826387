"""A log read poll after poll, whatever the server: every line once, or in a reported gap."""

import datetime as dt
import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aioservices import TailedEntry
from aioservices.tail.dedup import DeliveredLines
from aioservices.tail.malformed import PageLines
from aioservices.tail.ranges import PageRequest
from aioservices.tail.reader import LogReader
from aioservices.tail.times import LATEST

from .history import OVERLAP, History
from .model import BASE, EXACT, MICROSECOND, MILLISECOND, SECOND, Behaviour, Rounding

# `HYPOTHESIS_PROFILE=thorough` tries many more.
MORE = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 1

seeds = st.integers(0, 2**32)
keeps = st.sampled_from(["oldest", "newest", "any"])
roundings = st.just(EXACT) | st.builds(
    Rounding, st.sampled_from([MILLISECOND, SECOND]), st.sampled_from(["down", "up", "half"])
)
fine_roundings = st.just(EXACT) | st.builds(
    Rounding, st.just(MILLISECOND), st.sampled_from(["down", "up", "half"])
)
shown = st.sampled_from(
    [EXACT, Rounding(MICROSECOND), Rounding(MILLISECOND), Rounding(MILLISECOND, "half")]
)
behaviours = st.builds(
    Behaviour,
    keeps=keeps,
    order=st.sampled_from(["asc", "desc", "unsorted"]),
    start=roundings,
    start_lines=roundings,
    end=roundings,
    end_lines=roundings,
    shown=shown | st.just(Rounding(SECOND)),
)
# Such as honour every bound that is a millisecond.
fine_behaviours = st.builds(
    Behaviour,
    keeps=keeps,
    order=st.sampled_from(["asc", "desc", "unsorted"]),
    start=fine_roundings,
    end=fine_roundings,
    shown=shown,
)
dates = st.sampled_from(["true", "absent", "still", "behind", "guessed"])


def thoroughly(examples: int) -> settings:
    return settings(
        max_examples=examples * MORE, deadline=None, suppress_health_check=list(HealthCheck)
    )


@pytest.mark.parametrize("limit", [1, 2, 10, 25, 55])
@thoroughly(30)
@given(behaviours, seeds, dates, st.integers(0, 2))
def test_every_line_comes_once_or_lies_in_a_reported_gap(
    limit: int, behaviour: Behaviour, seed: int, date: str, ahead: int
) -> None:
    history = History(behaviour, seed, limit, date=date)
    history.ahead = ahead
    history.live()
    assert not history.surplus()
    assert not history.unreported()


@thoroughly(40)
@given(behaviours, seeds, st.sampled_from([2, 3, 5, 9]))
def test_no_page_is_too_small_to_be_followed(behaviour: Behaviour, seed: int, cap: int) -> None:
    history = History(replace(behaviour, cap=cap), seed, cap)
    history.live(moves=12)
    assert not history.surplus()
    assert not history.unreported()


@thoroughly(40)
@given(behaviours, seeds, st.sampled_from([5, 25]))
def test_a_server_that_refuses_larger_limits_loses_nothing_in_silence(
    behaviour: Behaviour, seed: int, limit: int
) -> None:
    history = History(replace(behaviour, largest=limit), seed, limit)
    history.live(moves=12)
    assert not history.surplus()
    assert not history.unreported()


@thoroughly(60)
@given(behaviours, seeds, st.sampled_from([5, 25, 200]), st.integers(0, 2))
def test_pages_that_fail_and_are_planned_again_lose_nothing_in_silence(
    behaviour: Behaviour, seed: int, limit: int, ahead: int
) -> None:
    history = History(behaviour, seed, limit)
    history.failing, history.ahead = 0.2, ahead
    history.live(moves=12)
    assert not history.surplus()
    assert not history.unreported()


@pytest.mark.parametrize(
    ("kept", "limit", "untimed"), [("oldest", 25, 0.0), ("oldest", 25, 0.2), ("any", 10, 0.5)]
)
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 120])
def test_a_poll_that_is_ended_before_it_is_complete_goes_on_in_the_next_one(
    seed: int, kept: str, limit: int, untimed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.tail.reader._MOST_REQUESTS", 3)
    history = History(Behaviour(keeps=kept), seed, limit, untimed=untimed)
    history.ahead = 2
    history.live(restarts=False)
    assert not history.surplus()
    assert not history.unreported()
    assert untimed or not history.gaps


@thoroughly(100)
@example(Behaviour(shown=Rounding(MILLISECOND)), 362881, 200, "true")  # later than it shows
@example(Behaviour(shown=Rounding(MILLISECOND)), 1033905, 200, "absent")  # just before a second
@given(behaviours, seeds, st.sampled_from([200, 2000]), dates)
def test_where_every_second_fits_the_largest_page_nothing_is_missing(
    behaviour: Behaviour, seed: int, limit: int, date: str
) -> None:
    history = History(behaviour, seed, limit, date=date)
    history.live()
    assert not history.missing()
    assert not history.gaps


@thoroughly(60)
@given(fine_behaviours, seeds)
def test_where_every_instant_fits_a_page_nothing_is_missing(
    behaviour: Behaviour, seed: int
) -> None:
    history = History(behaviour, seed, 12)
    history.live(crowd=False)
    assert not history.missing()
    assert not history.gaps


@thoroughly(80)
@given(fine_behaviours, seeds, st.integers(12, 100))
def test_a_cap_that_nobody_mentioned_loses_nothing(
    behaviour: Behaviour, seed: int, cap: int
) -> None:
    # Lines of their own times: a crowded instant behind an unknown cap cannot be told from one
    # that is complete.
    history = History(replace(behaviour, cap=cap), seed, 10_000)
    history.live(crowd=False)
    assert not history.missing()
    assert not history.gaps


@thoroughly(40)
@example("newest", 499, 10, MILLISECOND)  # an instant of as many lines as a page that was suspected
@given(
    st.sampled_from(["oldest", "newest", "any", "ends", "own"]),
    seeds,
    st.sampled_from([10, 20, 50, 101]),
    st.sampled_from([MICROSECOND, MILLISECOND, SECOND]),
)
def test_a_server_without_a_cap_makes_no_gaps_however_a_log_grows(
    keeps: str, seed: int, limit: int, unit: int
) -> None:
    history = History(Behaviour(keeps=keeps), seed, limit)
    choose = history.random.choice
    history.ahead = choose([0, 1])
    for _ in range(12):
        history.late = choose([0.0, OVERLAP - 5])
        history.write(int(limit * choose([0.1, 0.5, 2])), spread=10, late=history.late, unit=unit)
        history.write(int(limit * choose([0, 0.9, 1.2, 3, 5])), spread=0, late=0.0, unit=unit)
        history.latency, history.rate = choose([0.0, 0.1, 0.4]), max(1, limit // 20)
        history.poll(whole=choose([True, False]))
        history.wait(choose([1.0, 2.0, 5.0]))
    history.latency = 0.0
    history.end()
    assert not history.missing()
    assert not history.gaps


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any", "ends", "own"])
@pytest.mark.parametrize("cap", [80, 100, 120, 150, 200, 250, 290])
def test_a_cap_near_the_limit_loses_nothing_whatever_full_pages_keep(cap: int, keeps: str) -> None:
    history = History(Behaviour(keeps=keeps, cap=cap), cap, 100)
    for _ in range(1200):
        history.server.write(history.random.randrange(600 * SECOND), "a")
    history.wait(1000)
    history.poll()
    assert not history.surplus()
    assert not history.unreported()


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any", "ends", "own"])
@pytest.mark.parametrize("cap", [110, 150, 290])
def test_an_instant_of_more_than_the_limit_and_less_than_a_hidden_cap_comes(
    cap: int, keeps: str
) -> None:
    history = History(Behaviour(keeps=keeps, cap=cap), cap, 100)
    for second in range(0, 200, 2):
        history.write(10, spread=2.0, late=0.0, unit=MICROSECOND)
        history.wait(2.0)
        if second % 20 == 0:
            history.write(cap - 5, spread=0.0, late=0.0, unit=SECOND)
    history.end()
    assert not history.missing()
    assert not history.gaps


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any", "ends", "own"])
@pytest.mark.parametrize("cap", [1001, 1053, 1200, 2500])
@pytest.mark.parametrize("seed", range(2))
def test_a_cap_that_cuts_one_burst_of_many_pages_loses_nothing(
    seed: int, cap: int, keeps: str
) -> None:
    history = History(Behaviour(keeps=keeps, cap=cap), seed, 1000)
    history.write(5000, spread=0.5, late=0.0, unit=MILLISECOND)
    history.wait(1.0)
    history.poll(whole=False)
    history.end()
    assert not history.missing()
    assert not history.gaps


@thoroughly(60)
@given(behaviours, seeds, st.sampled_from([10, 20, 100]), st.sampled_from([1.6, 2.0, 3.0]))
def test_pages_that_are_refused_because_of_their_length_end_no_poll_early(
    behaviour: Behaviour, seed: int, limit: int, factor: float
) -> None:
    history = History(replace(behaviour, longest=int(factor * limit)), seed, limit)
    for _ in range(3):
        history.write(2 * limit, spread=40.0, late=0.0, unit=MILLISECOND)
        history.write(int(1.3 * limit), spread=0.0, late=0.0, unit=SECOND)
        history.wait(40.0)
    history.end()
    assert not history.summary.is_behind
    assert not history.surplus()
    assert not history.unreported()


@thoroughly(100)
@given(behaviours, seeds)
def test_a_server_that_ignores_end_at_loses_nothing_in_silence(
    behaviour: Behaviour, seed: int
) -> None:
    history = History(replace(behaviour, ignores_end=True), seed, 40)
    history.live()
    assert not history.surplus()
    assert not history.unreported()


@pytest.mark.parametrize("latency", [0.1, 0.4, 1.5])
@thoroughly(20)
@example(Behaviour(keeps="newest"), 1722, 12)  # known lines beside a hole of many pages
@given(fine_behaviours, seeds, st.integers(1, 15))
def test_a_log_that_grows_while_it_is_read_has_no_gaps(
    latency: float, behaviour: Behaviour, seed: int, rate: int
) -> None:
    history = History(replace(behaviour, cap=40), seed, 40)
    for _ in range(8):
        history.latency, history.rate = latency, rate
        history.poll(whole=False)
        history.wait(0.5)
        history.latency = 0.0
    history.end()
    assert not history.missing()
    assert not history.gaps


@thoroughly(15)
@given(fine_behaviours, seeds, dates)
def test_a_line_that_turns_up_where_a_long_poll_has_been_is_not_lost(
    behaviour: Behaviour, seed: int, date: str
) -> None:
    history = History(replace(behaviour, cap=10), seed, 10, date=date)
    history.late = OVERLAP - 5
    for _ in range(12):
        history.write(15, spread=10.0, late=history.late, unit=1000)
        history.latency, history.rate = 1.5, 3
        history.poll()
        history.wait(10.0)
    history.latency = 0.0
    history.end()
    assert not history.surplus()
    assert not history.unreported()


# One behaviour, told by its numbers


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
@pytest.mark.parametrize("cap", [None, 100])
def test_a_second_of_many_pages_is_read_whole(keeps: str, cap: int | None) -> None:
    history = History(Behaviour(keeps=keeps, cap=cap), 0, 10_000 if cap else 20)
    for number in range(4500):
        history.server.write(10 * SECOND + number * 220_000, "a")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_crowded_second_is_read_from_its_middle_on(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps, cap=100), 0, 100)
    middle = BASE + dt.timedelta(seconds=10, milliseconds=600)
    for number in range(450):
        history.server.write(10 * SECOND + number * 2 * MILLISECOND, f"{number}")
    history.reader = LogReader(
        1, 7, DeliveredLines(middle), profile=history.profile, overlap=OVERLAP, limit=100
    )
    history.wait(300)
    history.poll()
    assert {int(message or 0) for _, message in history.delivered} == set(range(300, 450))
    assert not history.gaps


@pytest.mark.parametrize(
    ("unit", "count", "limit", "cap"),
    [(SECOND, 150, 100, 100), (SECOND, 25_000, 10_000, 10_000), (MILLISECOND, 300, 100, 100)],
)
def test_lines_shown_coarsely_that_no_page_holds_are_a_gap(
    unit: int, count: int, limit: int, cap: int
) -> None:
    history = History(Behaviour(shown=Rounding(unit), cap=cap), 0, limit)
    step = unit // (count + 1)
    history.server.write(9 * SECOND, "before")
    for number in range(count):
        history.server.write(10 * SECOND + number * step, f"{number}")
    history.server.write(12 * SECOND, "behind")
    history.wait(300)
    history.poll()
    assert history.gaps
    assert not history.unreported()
    assert len(history.delivered) >= limit + 2


@pytest.mark.parametrize(("unit", "count"), [(SECOND, 150), (MILLISECOND, 300)])
def test_lines_shown_coarsely_come_where_a_larger_page_is_given(unit: int, count: int) -> None:
    history = History(Behaviour(shown=Rounding(unit)), 0, 100)
    for number in range(count):
        history.server.write(10 * SECOND + number * (unit // (count + 1)), f"{number}")
    history.server.write(12 * SECOND, "behind")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps


@pytest.mark.parametrize("limit", [1, 10, 30])
def test_an_instant_of_many_small_pages_comes_where_a_page_of_the_usual_size_is_given(
    limit: int,
) -> None:
    history = History(Behaviour(shown=Rounding(SECOND), largest=10_000), 0, limit)
    for number in range(2000):
        history.server.write(10 * SECOND + number * MICROSECOND, f"{number}")
    history.server.write(12 * SECOND, "behind")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("unit", [MICROSECOND, SECOND])
@pytest.mark.parametrize("keeps", ["oldest", "newest"])
def test_tiny_pages_that_are_the_largest_end_with_each_line_or_its_gap(
    keeps: str, unit: int, limit: int
) -> None:
    behaviour = Behaviour(keeps=keeps, largest=limit, end=Rounding(unit, "down"))
    history = History(behaviour, 0, limit)
    for number in range(40):
        history.server.write((10 + number // 4) * SECOND + number * MILLISECOND, f"{number}")
    history.wait(300)
    history.poll()  # fails if there is no end of requests
    assert not history.surplus()
    assert not history.unreported()
    assert history.requests <= 40 * len(history.server.lines)


@pytest.mark.parametrize("mode", ["down", "half", "up"])
@pytest.mark.parametrize("unit", [MILLISECOND, SECOND])
def test_an_end_that_is_rounded_loses_nothing(unit: int, mode: str) -> None:
    history = History(Behaviour(end=Rounding(unit, mode)), 0, 100)
    for number in range(100):
        history.server.write(10 * SECOND + 100 * MILLISECOND, f"a{number}")
    for number in range(1200):
        history.server.write(10 * SECOND + 200 * MILLISECOND + number * 600_000, f"{number}")
    history.wait(300)
    history.poll()
    assert not history.unreported()
    assert len(history.delivered) >= 900


def test_an_end_rounded_up_to_the_second_is_not_taken_for_ignored() -> None:
    history = History(Behaviour(end=Rounding(SECOND, "up")), 0, 100)
    for number in range(3000):
        history.server.write(10 * SECOND + number * 15 * MILLISECOND, f"{number}")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_crowded_second_behind_a_hidden_cap_is_a_gap_where_other_lines_prove_the_cap(
    keeps: str,
) -> None:
    whole = Rounding(SECOND)
    history = History(
        Behaviour(keeps=keeps, cap=1000, start=whole, end=whole, end_lines=whole), 0, 10_000
    )
    for number in range(3000):
        history.server.write(10 * SECOND + number * 100_000, f"{number}")
    for number in range(100):
        history.server.write((100 + number) * SECOND, "later")
    history.wait(300)
    history.poll()
    assert history.told_gaps  # though pages of any lines may show all in the end
    assert not history.unreported()


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_cap_is_learnt_and_then_costs_requests_in_proportion_to_the_pages(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps, cap=100), 0, 10_000)
    for number in range(5000):
        history.server.write(number * SECOND // 10, "a")
    history.wait(1000)
    history.poll()
    assert not history.missing()
    assert history.profile.cap == 100
    assert history.requests <= (1.3 if keeps == "oldest" else 1.8) * 5000 / 100


def test_a_page_that_was_wrongly_taken_for_cut_costs_no_line() -> None:
    # Lines that were written since a page came seem to lack in it where times are whole seconds.
    history = History(Behaviour(shown=Rounding(SECOND)), 0, 100)
    history.wait(100)
    for number in range(200):
        history.server.write(60 * SECOND + number * SECOND // 2, f"{number}")
    history.server.write(160 * SECOND + 100_000, "newest", history.now)
    history.wait(0.1)
    history.latency, history.rate = 0.2, 1
    history.poll()
    history.latency = 0.0
    assert history.profile.cap is not None
    for number in range(500):
        history.server.write(230 * SECOND, f"crowd {number}")
    history.wait(75)
    history.poll()
    history.end()
    assert not history.missing()
    assert not history.gaps
    assert history.profile.cap is None


def test_what_follows_an_instant_that_no_page_holds_is_read_in_every_second() -> None:
    history = History(Behaviour(largest=100), 0, 100)
    for second in range(10, 30):
        for number in range(150):
            history.server.write(second * SECOND + 100 * MILLISECOND, f"a{number}")
        for number in range(50):
            history.server.write(second * SECOND + (200 + number) * MILLISECOND, f"b{number}")
    history.wait(300)
    history.poll()
    assert len(history.told_gaps) == 20
    assert not any((text or "").startswith("b") for _, text in history.missing())


def test_a_log_shorter_than_a_page_does_not_show_that_larger_limits_are_ignored() -> None:
    history = History(Behaviour(), 0, 100)
    for number in range(14):
        history.server.write(10 * SECOND, f"{number}")
    history.wait(5.0)
    ask = history.server.ask

    def ask_and_grow(request: PageRequest, now: dt.datetime) -> PageLines:
        page = ask(request, now)
        if history.requests == 4:
            history.server.write(10 * SECOND, "late")
        is_whole_log = request.enlarged and (request.start, request.end) == (None, None)
        if is_whole_log and len(history.server.lines) == 15:
            for number in range(300):
                history.server.write(62 * SECOND, f"{number}")
        return page

    history.server.ask = ask_and_grow  # type: ignore[method-assign]
    history.poll()
    assert len(history.server.lines) == 315
    assert not history.missing()
    assert not history.gaps


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_an_instant_of_just_a_page_is_no_gap_where_a_finer_end_shows_nothing(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps, end=Rounding(MILLISECOND)), 0, 40)
    for number in range(20):
        history.server.write(number * SECOND, f"{number}")
    for number in range(40):
        history.server.write(30 * SECOND + 500 * MICROSECOND, f"{number}")
    history.server.write(40 * SECOND, "later")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps


def test_an_instant_of_just_a_page_is_no_gap() -> None:
    history = History(Behaviour(), 0, 100)
    for number in range(100):
        history.server.write(10 * SECOND, f"{number}")
    history.server.write(20 * SECOND, "later")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_server_that_ignores_end_at_makes_no_gaps_of_short_logs(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps, ignores_end=True), 0, 10_000)
    for number in range(500):
        history.server.write(number * SECOND // 10, "a")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps


def test_a_log_whose_server_ignores_end_at_is_read_on_over_its_gaps() -> None:
    history = History(Behaviour(ignores_end=True, largest=100), 0, 100)
    for number in range(1000):
        history.server.write(number * SECOND // 10, f"{number}")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert history.gaps
    assert history.requests <= 30


@pytest.mark.parametrize("keeps", ["newest", "any"])
@pytest.mark.parametrize("offset", range(0, 1000, 50))
def test_whatever_the_second_it_is_seen_that_a_server_ignores_end_at(
    offset: int, keeps: str
) -> None:
    history = History(Behaviour(keeps=keeps, ignores_end=True, largest=20), 0, 20)
    for number in range(200):
        history.server.write(20 * SECOND + (offset + 20 * number) * MILLISECOND, f"{number}")
    history.now = BASE + dt.timedelta(seconds=29, milliseconds=offset)
    history.poll()
    assert history.gaps
    assert history.profile.ignores_end


def test_a_line_dated_ahead_of_the_clock_is_read_and_holds_nothing_back() -> None:
    history = History(Behaviour(), 0, 1000)
    history.write(10, spread=-3600.0, late=0.0, unit=1)
    history.poll()
    assert not history.missing()
    history.write(10, spread=1.0, late=50.0, unit=1)
    history.wait(OVERLAP)
    history.poll()
    assert not history.missing()


def test_a_gap_is_told_once_and_not_searched_at_every_poll() -> None:
    history = History(Behaviour(largest=100), 0, 100)
    for number in range(250):
        history.server.write(59 * SECOND, f"{number}")
    history.server.write(59 * SECOND + 500 * MILLISECOND, "behind")
    history.poll()
    assert len(history.gaps) == 1
    before = history.requests
    for _ in range(10):
        history.wait(1.0)
        history.poll()
    assert len(history.gaps) == 1
    assert history.requests - before <= 5 * 10
    assert ("behind" in {message for _, message in history.delivered}) is True


def test_a_gap_below_the_watermark_is_not_told_again_nor_searched() -> None:
    history = History(Behaviour(largest=100), 0, 100)
    for number in range(250):
        history.server.write(59 * SECOND, f"{number}")
    history.server.write(60 * SECOND, "behind")  # the watermark stays there
    history.poll()
    assert len(history.told_gaps) == 1
    history.wait(2 * OVERLAP)
    history.poll()
    before = history.requests
    for _ in range(5):
        history.wait(1.0)
        history.poll()
    assert history.requests - before <= 3 * 5
    history.restart()
    history.poll()
    assert len(history.told_gaps) == 1


def test_more_lines_inside_the_overlap_than_can_be_counted_are_a_gap_for_late_ones() -> None:
    history = History(Behaviour(), 0, 10_000)
    history.reader = LogReader(
        1,
        7,
        DeliveredLines(capacity=500),
        profile=history.profile,
        overlap=OVERLAP,
        limit=10_000,
    )
    for number in range(1200):
        history.server.write(30 * SECOND + number * 20 * MILLISECOND, f"{number}")
    history.poll()
    history.server.write(31 * SECOND, "late")
    history.wait(1.0)
    history.poll()
    assert not history.surplus()
    assert not history.unreported()
    assert history.gaps


def test_lines_that_are_final_are_not_counted_among_those_inside_the_overlap() -> None:
    delivered = DeliveredLines(capacity=10)

    def deliver(first: int) -> None:
        at = [BASE + dt.timedelta(seconds=first + number) for number in range(8)]
        delivered.record([TailedEntry(message="a", created_at=time) for time in at])

    deliver(0)
    delivered.advance_watermark(BASE + dt.timedelta(seconds=8))
    deliver(8)
    assert delivered.evict() is None
    deliver(16)
    assert delivered.evict() is not None


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_more_lines_at_the_last_moment_there_is_than_any_page_holds_are_a_gap(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps, largest=10), 0, 10)
    last = (LATEST - BASE) // dt.timedelta(microseconds=1) * MICROSECOND
    history.server.write(10 * SECOND, "before")
    for number in range(40):
        history.server.write(last, f"{number}")
    history.poll()
    assert history.gaps
    assert not history.surplus()
    assert not history.unreported()


# What it costs


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_backlog_costs_requests_in_proportion_to_its_pages(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps), 0, 1000)
    for number in range(50_000):
        history.server.write(number * 20_000_000, "a")
    history.wait(3600)
    history.poll()
    assert not history.missing()
    assert history.requests <= {"oldest": 1.1, "newest": 1.6, "any": 1.4}[keeps] * 50


def test_whether_pages_longer_than_the_limit_come_is_tried_once() -> None:
    history = History(Behaviour(cap=1000), 0, 1000)
    for number in range(50_000):
        history.server.write(number * 20_000_000, "a")
    history.wait(3600)
    history.poll()
    requests = history.requests
    assert not history.missing()
    assert requests <= 1.2 * 50
    history.copies.clear()
    history.start(None)  # for the same session, which knows the server
    history.poll()
    assert history.requests == 2 * requests - 1


def test_a_log_as_long_as_the_longest_page_costs_little_more_than_a_shorter_one() -> None:
    history = History(Behaviour(), 0, 1000)
    history.write(50, spread=20.0, late=0.0, unit=1)
    history.poll()
    requests = history.requests
    for _ in range(60):
        history.wait(1.0)
        history.poll(whole=False)
    assert not history.missing()
    assert history.requests <= requests + 1.2 * 60


def test_a_page_of_one_line_costs_few_requests_a_line() -> None:
    history = History(Behaviour(), 0, 1)
    for number in range(60):
        history.server.write(number * SECOND // 2, f"{number}")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps
    assert history.requests <= 3 * 60


def test_a_log_that_grows_faster_than_a_page_a_second_is_caught_up_with() -> None:
    history = History(Behaviour(), 0, 1000)
    history.write(300, spread=0.2, late=0.0, unit=1000)
    history.latency, history.rate = 0.2, 300
    lags: list[float] = []
    for _ in range(30):
        history.poll(whole=False)
        newest = max(at for at, _ in history.delivered if at is not None)
        lags.append((history.now - newest).total_seconds())
        history.latency, written = 0.0, 300
        history.wait(0.2)
        history.write(written, spread=0.2, late=0.0, unit=1000)
        history.latency = 0.2
    assert max(lags[-10:]) < 5.0


class Life(RuleBasedStateMachine):
    """A life as hypothesis would have it, and can make it shorter when it shows a fault."""

    @initialize(behaviour=behaviours, seed=seeds, limit=st.sampled_from([5, 25, 200]), date=dates)
    def begin(self, behaviour: Behaviour, seed: int, limit: int, date: str) -> None:
        self.history = History(behaviour, seed, limit, date=date)

    @rule(
        count=st.integers(1, 60),
        spread=st.sampled_from([0.0, 0.001, 0.01, 1.0, 30.0]),
        late=st.sampled_from([0.0, 5.0, 55.0]),
        unit=st.sampled_from([1, MICROSECOND, MILLISECOND, SECOND]),
    )
    def write(self, count: int, spread: float, late: float, unit: int) -> None:
        self.history.write(count, spread=spread, late=late, unit=unit)

    @rule(whole=st.booleans(), consume=st.booleans())
    def poll(self, whole: bool, consume: bool) -> None:
        self.history.poll(whole=whole, consume=consume)

    @rule(seconds=st.sampled_from([0.001, 0.5, 1.0, 7.0, 50.0]))
    def wait(self, seconds: float) -> None:
        self.history.wait(seconds)

    @rule(lines=st.integers(0, 100))
    def restart(self, lines: int) -> None:
        self.history.consume(lines)
        self.history.restart()

    @precondition(lambda self: hasattr(self, "history"))
    @invariant()
    def nothing_came_that_there_is_not(self) -> None:
        assert not self.history.surplus()

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.history.end()
            assert not self.history.surplus()
            assert not self.history.unreported()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=60 * MORE,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
