"""Lines of many logs in the order of their time."""

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.fleet.order import HoldBack

BASE = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


def at(seconds: float) -> dt.datetime:
    return BASE + dt.timedelta(seconds=seconds)


def let_go(held: HoldBack[float], now: float) -> list[float]:
    gone = []
    while held.wait(now) == 0:
        gone.append(held.pop())
    return gone


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 5))), st.floats(0.1, 10))
def test_nothing_is_lost_or_repeated(lines: list[tuple[float, float]], seconds: float) -> None:
    held = HoldBack[float](seconds)
    now = 0.0
    gone: list[float] = []
    for written, pause in lines:
        now += pause
        held.push(at(written), written, now)
        gone += let_go(held, now)
    gone += let_go(held, now + seconds)
    assert sorted(gone) == sorted(written for written, _ in lines)
    assert held.wait(now) == math.inf


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 50)), min_size=1))
def test_lines_that_come_within_the_hold_back_are_put_into_order(
    lines: list[tuple[float, int]],
) -> None:
    # Each comes at most 3 seconds after it was written, in the order of coming.
    held = HoldBack[float](3.5)
    gone: list[float] = []
    for late, written in sorted(lines, key=lambda line: line[0] + line[1]):
        gone += let_go(held, late + written)
        held.push(at(written), float(written), late + written)
    gone += let_go(held, math.inf)
    assert gone == sorted(gone)


@given(st.lists(st.floats(0, 1000), min_size=1), st.floats(0.1, 10))
def test_nothing_is_held_for_longer_than_the_hold_back(
    written: list[float], seconds: float
) -> None:
    held = HoldBack[float](seconds)
    for line in written:
        held.push(at(line), line, 0.0)
    assert held.wait(0.0) <= seconds
    let_go(held, seconds)
    assert len(held) == 0


def test_lines_of_one_instant_keep_the_order_in_which_they_came() -> None:
    held = HoldBack[str](1.0)
    for name in ("first", "second", "third"):
        held.push(at(0), name, 0.0)
    assert [held.pop() for _ in range(3)] == ["first", "second", "third"]


def test_a_line_that_is_much_newer_lets_older_ones_go_at_once() -> None:
    held = HoldBack[str](5.0)
    held.push(at(0), "old", 0.0)
    assert held.wait(0.0) == pytest.approx(5.0)
    held.push(at(10), "new", 0.0)
    assert held.wait(0.0) == 0.0
    assert held.pop() == "old"
    assert held.wait(0.0) == pytest.approx(5.0)
