"""A log read poll after poll, whatever the server: every line once, or in a reported gap."""

import datetime as dt
import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aioservices.tail.bounds import SECOND
from aioservices.tail.window import Window

from .history import OVERLAP, History
from .model import BASE, UNITS, Behaviour

# `HYPOTHESIS_PROFILE=thorough` tries many more.
MORE = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 1

seeds = st.integers(0, 2**32)
keeps = st.sampled_from(["oldest", "newest", "any"])
units = st.sampled_from(UNITS)
orders = st.sampled_from(["asc", "desc", "unsorted"])
# Bounds are cut as A3 allows: to a unit that divides whole seconds.
behaviours = st.builds(
    Behaviour,
    keeps=keeps,
    order=orders,
    start_unit=units,
    end_unit=units,
    compares_cut=st.booleans(),
    cuts_lines=st.booleans(),
)
# Such as heed every bound that is a millisecond.
fine_behaviours = behaviours.filter(
    lambda it: SECOND not in (it.start_unit, it.end_unit) and not it.compares_cut
)


def thoroughly(examples: int) -> settings:
    return settings(
        max_examples=examples * MORE, deadline=None, suppress_health_check=list(HealthCheck)
    )


@thoroughly(150)
@given(behaviours, seeds, st.sampled_from([1, 2, 10, 25, 55]))
def test_every_line_comes_once_or_lies_in_a_reported_gap(
    behaviour: Behaviour, seed: int, limit: int
) -> None:
    history = History(behaviour, seed, limit)
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


@thoroughly(100)
@given(behaviours, seeds, st.sampled_from([200, 2000]))
def test_where_every_second_fits_the_largest_page_nothing_is_missing(
    behaviour: Behaviour, seed: int, limit: int
) -> None:
    history = History(behaviour, seed, limit)
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


@thoroughly(100)
@given(behaviours, seeds)
def test_a_server_that_ignores_end_at_loses_nothing_in_silence(
    behaviour: Behaviour, seed: int
) -> None:
    history = History(replace(behaviour, ignores_end=True), seed, 40)
    history.live()
    assert not history.surplus()
    assert not history.unreported()


@thoroughly(60)
@given(fine_behaviours, seeds, st.integers(1, 15), st.sampled_from([0.1, 0.4, 1.5]))
def test_a_log_that_grows_while_it_is_read_has_no_gaps(
    behaviour: Behaviour, seed: int, rate: int, latency: float
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


SECONDS = 10**9


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
@pytest.mark.parametrize("cap", [None, 100])
def test_a_second_of_many_pages_is_read_whole(keeps: str, cap: int | None) -> None:
    history = History(Behaviour(keeps=keeps, cap=cap), 0, 10_000 if cap else 20)
    for number in range(4500):
        history.server.write(10 * SECONDS + number * 220_000, "a")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_crowded_second_is_read_from_its_middle_on(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps, cap=100), 0, 100)
    middle = 10 * SECONDS + 600_000_000
    for number in range(450):
        history.server.write(10 * SECONDS + number * 2_000_000, f"{number}")
    history.window = Window(BASE + dt.timedelta(microseconds=middle // 1000))
    history.reader = history.new_reader()
    history.wait(300)
    history.poll()
    assert history.delivered.total() == 150
    assert not history.gaps


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_crowd_that_a_cap_hides_is_reported_when_other_lines_show_the_cap(keeps: str) -> None:
    history = History(
        Behaviour(keeps=keeps, cap=1000, start_unit=SECOND, end_unit=SECOND), 0, 10_000
    )
    for number in range(3000):
        history.server.write(10 * SECONDS + number * 100_000, f"{number}")
    for number in range(100):
        history.server.write((100 + number) * SECONDS, "later")
    history.wait(300)
    history.poll()
    assert history.missing()
    assert not history.unreported()


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_cap_is_learnt_and_then_costs_requests_in_proportion_to_the_pages(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps, cap=100), 0, 10_000)
    for number in range(5000):
        history.server.write(number * SECONDS // 10, "a")
    history.wait(1000)
    history.poll()
    assert not history.missing()
    assert history.traits.cap == 100
    assert history.server.queries <= 2.5 * 5000 / 100


def test_an_instant_of_just_a_page_is_no_gap() -> None:
    history = History(Behaviour(), 0, 100)
    for number in range(100):
        history.server.write(10 * SECONDS, f"{number}")
    history.server.write(20 * SECONDS, "later")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_server_that_ignores_end_at_makes_no_gaps_of_short_logs(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps, ignores_end=True), 0, 10_000)
    for number in range(500):
        history.server.write(number * SECONDS // 10, "a")
    history.wait(300)
    history.poll()
    assert not history.missing()
    assert not history.gaps


def test_a_line_dated_ahead_of_the_clock_is_read_and_holds_nothing_back() -> None:
    history = History(Behaviour(), 0, 1000)
    history.write(10, spread=-3600.0, late=0.0, unit=1)
    history.poll()
    assert not history.missing()
    history.write(10, spread=1.0, late=50.0, unit=1)
    history.wait(OVERLAP)
    history.poll()
    assert not history.missing()


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_backlog_costs_requests_in_proportion_to_its_pages(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps), 0, 1000)
    for number in range(100_000):
        history.server.write(number * 20_000_000, "a")
    history.wait(3600)
    history.poll()
    assert not history.missing()
    assert history.server.queries <= 150


def test_a_log_as_long_as_the_longest_page_costs_little_more_than_a_shorter_one() -> None:
    history = History(Behaviour(), 0, 1000)
    history.write(50, spread=20.0, late=0.0, unit=1)
    history.poll()
    queries = history.server.queries
    for _ in range(60):
        history.wait(1.0)
        history.poll(whole=False)
    assert not history.missing()
    assert history.server.queries <= queries + 2 * 60


class Life(RuleBasedStateMachine):
    """A life as hypothesis would have it, and can make it shorter when it shows a fault."""

    @initialize(behaviour=behaviours, seed=seeds, limit=st.sampled_from([5, 25, 200]))
    def begin(self, behaviour: Behaviour, seed: int, limit: int) -> None:
        self.history = History(behaviour, seed, limit)

    @rule(
        count=st.integers(1, 60),
        spread=st.sampled_from([0.0, 0.001, 0.01, 1.0, 30.0]),
        late=st.sampled_from([0.0, 5.0, 55.0]),
        unit=st.sampled_from([1, 1000, 10**6, 10**9]),
    )
    def write(self, count: int, spread: float, late: float, unit: int) -> None:
        self.history.write(count, spread=spread, late=late, unit=unit)

    @rule(whole=st.booleans())
    def poll(self, whole: bool) -> None:
        self.history.poll(whole=whole)

    @rule(seconds=st.sampled_from([0.001, 0.5, 1.0, 7.0, 50.0]))
    def wait(self, seconds: float) -> None:
        self.history.wait(seconds)

    @rule()
    def restart(self) -> None:
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
