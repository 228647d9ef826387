"""Lines of many logs in the order of their time."""

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.fleet import merge
from aioservices.fleet.merge import LatestTime, ReorderBuffer

BASE = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
SHARE = 5

pytestmark = pytest.mark.usefixtures("shares")


@pytest.fixture(scope="module", params=[SHARE])
def shares(request: pytest.FixtureRequest) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "_MAX_ITEMS", request.param)
        patch.setattr(merge, "_MIN_SHARE", request.param)
        yield


def at(seconds: float) -> dt.datetime:
    return BASE + dt.timedelta(seconds=seconds)


def let_go(held: ReorderBuffer[float], now: float) -> list[float]:
    gone = []
    while held.wait(now) == 0:
        gone.append(held.pop())
    return gone


logs = st.integers(0, 3)


@given(st.lists(st.tuples(logs, st.floats(0, 100), st.floats(0, 5))), st.floats(0.1, 10))
def test_nothing_is_lost_or_repeated(lines: list[tuple[int, float, float]], seconds: float) -> None:
    held = ReorderBuffer[float](seconds)
    now = 0.0
    gone: list[float] = []
    for log, written, pause in lines:
        now += pause
        held.open(log, now)
        held.push(log, at(written), written, now)
        gone += let_go(held, now)
    gone += let_go(held, now + seconds)
    assert sorted(gone) == sorted(written for _, written, _ in lines)
    assert held.wait(now) == math.inf
    assert len(held) == 0


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 50)), min_size=1))
def test_lines_that_come_within_the_hold_back_are_put_into_order(
    lines: list[tuple[float, int]],
) -> None:
    # Each comes at most 3 seconds after it was written, in the order of coming, of its own log.
    held = ReorderBuffer[float](3.5)
    gone: list[float] = []
    for log, (late, written) in enumerate(sorted(lines, key=sum)):
        gone += let_go(held, late + written)
        held.push(log, at(written), float(written), late + written)
    gone += let_go(held, math.inf)
    assert gone == sorted(gone)


@given(st.lists(st.tuples(logs, st.floats(0, 1000), st.floats(0, 5))), st.floats(0.1, 10))
def test_nothing_is_held_for_longer_than_the_hold_back(
    lines: list[tuple[int, float, float]], seconds: float
) -> None:
    held = ReorderBuffer[float](seconds)
    now = 0.0
    came: dict[float, float] = {}
    for log, written, pause in lines:
        now += pause
        for gone in let_go(held, now):
            came.pop(gone, None)
        assert all(now < since + seconds for since in came.values())
        held.push(log, at(written), written, now)
        came[written] = now


@given(
    st.lists(st.lists(st.integers(0, 100), max_size=40), min_size=1, max_size=5),
    st.data(),
)
def test_whatever_comes_first_a_backlog_is_let_go_in_order(
    written: list[list[int]], data: st.DataObject
) -> None:
    held = ReorderBuffer[float](1.0)
    left = {log: sorted(lines) for log, lines in enumerate(written)}
    for log in left:
        held.open(log, 0.0)
    gone: list[float] = []
    while ready := [log for log, lines in left.items() if lines and not held.is_full(log)]:
        log = data.draw(st.sampled_from(ready))
        held.push(log, at(left[log][0]), left[log].pop(0), 0.0)
        gone += let_go(held, 0.0)
    assert gone == sorted(gone)
    assert len(held) <= SHARE * len(written)


@given(st.integers(1, 100))
def test_a_log_alone_does_not_wait_once_its_share_is_used_up(count: int) -> None:
    held = ReorderBuffer[float](1.0)
    held.open(1, 0.0)
    gone: list[float] = []
    for number in range(count):
        held.push(1, at(number), number, 0.0)
        gone += let_go(held, 0.0)
    assert gone == list(range(max(0, count - SHARE + 1)))


def test_a_log_that_has_nothing_is_waited_for_once() -> None:
    held = ReorderBuffer[str](10.0)
    held.open(1, 0.0)
    held.open(2, 0.0)
    held.close(2)
    held.open(2, 8.0)  # as one that cannot be read, and is tried again
    for _ in range(SHARE):
        held.push(1, at(0), "line", 9.0)
    assert held.wait(9.0) == pytest.approx(1.0)
    assert held.wait(10.0) == 0.0


def test_a_log_that_is_closed_is_not_waited_for() -> None:
    held = ReorderBuffer[str](10.0)
    held.open(1, 0.0)
    held.open(2, 0.0)
    for _ in range(SHARE):
        held.push(1, at(0), "line", 0.0)
    assert held.wait(0.0) == pytest.approx(10.0)
    held.close(2)
    assert held.wait(0.0) == 0.0


def test_lines_of_one_instant_keep_the_order_in_which_they_came() -> None:
    held = ReorderBuffer[str](1.0)
    for name in ("first", "second", "third"):
        held.push(1, at(0), name, 0.0)
    assert [held.pop() for _ in range(3)] == ["first", "second", "third"]


def test_an_older_line_that_comes_later_makes_none_wait_for_longer() -> None:
    held = ReorderBuffer[str](5.0)
    held.push(1, at(10), "new", 0.0)
    held.push(2, at(0), "old", 4.0)
    assert held.wait(4.0) == pytest.approx(1.0)
    assert [held.pop(), held.pop()] == ["old", "new"]


@pytest.mark.parametrize("shares", [1_000], indirect=True)  # from a full one, lines go sooner
@given(
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from([0, 400, 900])), min_size=20),
    st.sampled_from([-3600, 0, 2, 4, 3600]),
)
def test_a_log_whose_clock_is_wrong_disorders_no_other(
    lines: list[tuple[int, int]], ahead: int
) -> None:
    """Two honest logs lag by less than the hold-back, and a third one comes between."""
    held = ReorderBuffer[tuple[int, float]](1.0)
    moments: list[tuple[float, int, float]] = []  # when it comes, of which log, its time
    written = 0.0
    for number, (pause, lag) in enumerate(lines):
        written += pause / 1000
        comes = written + lag / 1000
        moments.append((comes, number % 2, written))
        moments.append((comes, 2, comes + ahead))
    gone: list[tuple[int, float]] = []
    for now, log, time in sorted(moments):
        while (wait := held.wait(now)) == 0:
            gone.append(held.pop())
        assert wait > 0
        held.push(log, at(time), (log, time), now, latest=at(now))
    while held:
        gone.append(held.pop())
    honest = [time for log, time in gone if log != 2]
    assert honest == sorted(honest)
    assert len(gone) == len(moments)


@given(st.floats(0.001, 0.999), st.lists(st.floats(0, 3), min_size=1, max_size=40))
def test_the_latest_time_is_never_too_early_and_soon_close(
    offset: float, pauses: list[float]
) -> None:
    latest = LatestTime()
    now = 0.0
    for pause in pauses:
        now += pause
        true = offset + now
        bound = at(math.floor(true) + 1)  # what a header that is cut to seconds tells
        estimate = latest.observe(bound, now)
        assert at(true) - dt.timedelta(milliseconds=1) <= estimate <= bound


def test_a_clock_that_is_set_forward_is_followed() -> None:
    latest = LatestTime()
    latest.observe(at(0), 0.0)
    assert latest.observe(at(3601), 1.0) == at(3601)
