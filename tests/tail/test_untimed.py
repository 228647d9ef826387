"""Lines whose time cannot be read, through whole histories of a log."""

import datetime as dt
from dataclasses import replace

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioservices.api.models import LogEntry, TailedEntry
from aioservices.tail.dedup import DeliveredLines, UntimedEntry, untimed_digest
from aioservices.tail.malformed import PageLines, split_page
from aioservices.tail.reader import LogReader
from aioservices.tail.scan import ServerProfile

from .history import OVERLAP, History
from .model import BASE, SECOND, Behaviour
from .test_history import keeps, seeds, thoroughly

ordered = st.builds(Behaviour, keeps=keeps, order=st.sampled_from(["asc", "desc"]))


@thoroughly(50)
@example(Behaviour(order="asc"), 155497838, 55, 1, 0.1, False)  # nothing but such at the end
@example(Behaviour(keeps="newest", order="asc"), 4, 25, 1, 0.6, True)
@example(Behaviour(keeps="oldest", order="asc"), 20, 200, 1, 0.3, True)
@given(
    ordered,
    seeds,
    st.sampled_from([1, 2, 10, 25, 55, 200]),
    st.integers(0, 2),
    st.sampled_from([0.1, 0.3, 0.6]),
    st.booleans(),
)
def test_a_line_without_a_time_comes_once_however_late_its_neighbours_are(
    behaviour: Behaviour, seed: int, limit: int, ahead: int, untimed: float, identical: bool
) -> None:
    history = History(behaviour, seed, limit, untimed=untimed, identical=identical)
    history.ahead = ahead
    history.live(restarts=False)
    assert not history.surplus()
    assert not history.unreported()


@thoroughly(50)
@example(Behaviour(), 17, 25)
@given(ordered, seeds, st.sampled_from([25, 55]))
def test_a_line_without_a_time_comes_once_while_a_log_grows_and_pages_are_asked_for_ahead(
    behaviour: Behaviour, seed: int, limit: int
) -> None:
    history = History(behaviour, seed, limit, untimed=0.3)
    history.ahead = 1
    history.latency, history.rate, history.late = 2.0, 3, 20.0
    for _ in range(8):
        history.write(history.random.choice([5, 20, 40]), spread=30.0, late=20.0, unit=1000)
        history.poll(whole=history.random.random() < 0.3)
        history.wait(history.random.choice([1.0, 20.0, 60.0]))
    history.latency = 0.0
    history.end()
    assert not history.surplus()
    assert not history.unreported()


@thoroughly(40)
@given(ordered, seeds, st.sampled_from([25, 200]))
def test_no_line_without_a_time_is_lost_by_a_restart(
    behaviour: Behaviour, seed: int, limit: int
) -> None:
    history = History(behaviour, seed, limit, untimed=0.3)
    history.live()
    assert not history.unreported()


@thoroughly(40)
@given(ordered, seeds, st.sampled_from([2, 25, 200]), st.sampled_from([None, 9, 40]))
def test_a_log_none_of_whose_lines_has_a_time_is_read(
    behaviour: Behaviour, seed: int, limit: int, largest: int | None
) -> None:
    largest = None if largest is None else max(largest, limit)
    history = History(replace(behaviour, largest=largest), seed, limit, untimed=1.0)
    for _ in range(5):
        history.write(12, spread=40.0, late=0.0, unit=1000)
        history.wait(3.0)
        history.poll(whole=False)
    history.restart()
    history.poll()
    history.end()
    assert not history.surplus()
    assert not history.unreported()


@thoroughly(40)
@given(ordered, seeds, st.sampled_from([0.1, 0.3]), st.booleans())
def test_a_line_without_a_time_beside_crowded_instants_comes_once_or_lies_in_a_gap(
    behaviour: Behaviour, seed: int, untimed: float, identical: bool
) -> None:
    history = History(
        replace(behaviour, largest=25), seed, 25, untimed=untimed, identical=identical
    )
    history.live(restarts=False)
    assert not history.surplus()
    assert not history.unreported()


@thoroughly(50)
@example(Behaviour(keeps="any", order="asc"), 68, 10, True)
@example(Behaviour(keeps="newest", order="asc"), 153, 10, False)
@given(ordered, seeds, st.sampled_from([10, 25]), st.booleans())
def test_no_line_without_a_time_is_lost_between_instants_where_pages_fail(
    behaviour: Behaviour, seed: int, limit: int, is_refused: bool
) -> None:
    largest = limit if is_refused else limit * 3 // 2
    history = History(replace(behaviour, largest=largest), seed, limit, untimed=0.5)
    choose = history.random.choice
    history.failing = 0.3
    for _ in range(3):
        history.write(choose([8, 15, 22]), spread=30.0, late=0.0, unit=choose([1, 10]) * SECOND)
        history.wait(choose([1.0, 20.0, 100.0]))
        history.poll()
    history.failing = 0.0
    history.end()
    assert not history.unreported()


@pytest.mark.parametrize("spread", [0, 4, 20, 60])
@pytest.mark.parametrize("largest", [100, 200, None])
def test_a_log_without_times_that_is_longer_than_a_page_costs_a_handful_of_requests(
    largest: int | None, spread: int
) -> None:
    history = History(Behaviour(largest=largest), 0, 100, untimed=1.0)
    for number in range(400):
        history.server.write(10 * SECOND + number * spread * SECOND // 400, f"?{number}")
    history.wait(300)
    for _ in range(5):
        history.poll()
        history.wait(1.0)
    assert history.requests <= 5 * history.polls
    assert len(history.told_gaps) <= 1
    assert not history.surplus()
    assert not history.unreported()
    assert not history.missing() or largest is not None


def poll(reader: LogReader, now: dt.datetime, lines: list[LogEntry]) -> list[TailedEntry]:
    """Read a log whose lines all fit a page."""
    reader.begin(now)
    request = reader.next_request()
    assert request is not None
    page = split_page([msgspec.structs.replace(line) for line in lines], newest_first=False)
    batches = reader.feed(request, page, asked_at=now, elapsed=0.0)
    reader.finish()
    return [entry for batch in batches for entry in batch.entries]


def at(seconds: float, text: str) -> TailedEntry:
    return TailedEntry(message=text, created_at=BASE + dt.timedelta(seconds=seconds))


def make_reader(delivered: DeliveredLines | None = None) -> LogReader:
    return LogReader(
        1, 7, delivered or DeliveredLines(), profile=ServerProfile(), overlap=OVERLAP, limit=1000
    )


def test_the_same_text_without_a_time_is_another_line() -> None:
    reader, tick = make_reader(), LogEntry(message="tick")
    lines: list[LogEntry] = [at(0, "a"), tick]
    assert len(poll(reader, BASE, lines)) == 2
    lines.append(tick)
    [entry] = poll(reader, BASE, lines)
    assert (entry.message, entry.copy) == ("tick", 1)
    lines += [at(1, "b"), tick]
    assert [entry.message for entry in poll(reader, BASE, lines)] == ["b", "tick"]
    assert not poll(reader, BASE, lines)


def test_a_line_without_a_time_behind_one_that_is_not_of_interest_is_not_either() -> None:
    reader = LogReader(
        1,
        7,
        DeliveredLines(),
        profile=ServerProfile(),
        overlap=OVERLAP,
        limit=1000,
        end_at=BASE + dt.timedelta(seconds=5),
    )
    lines = [at(0, "a"), LogEntry(message="b"), at(6, "c"), LogEntry(message="d")]
    assert [entry.message for entry in poll(reader, BASE, lines)] == ["a", "b"]


def test_a_line_that_turns_up_late_repeats_none_without_a_time() -> None:
    reader, tick = make_reader(), LogEntry(message="tick")
    poll(reader, BASE, [at(0, "a"), tick, at(9, "z")])
    late: list[LogEntry] = [at(0, "a"), at(3, "late"), tick, at(9, "z")]
    assert [entry.message for entry in poll(reader, BASE, late)] == ["late"]
    assert not poll(reader, BASE, late)


def test_a_line_without_a_time_is_known_again_by_another_process() -> None:
    reader, tick = make_reader(), LogEntry(message="tick")
    lines = [at(0, "a"), tick, tick, at(9, "z"), LogEntry(message="end")]
    assert len(poll(reader, BASE, lines)) == 5
    delivered = reader.delivered
    again = make_reader(DeliveredLines.unpack(delivered.watermark, delivered.pack()))
    assert not poll(again, BASE, lines)
    assert len(poll(again, BASE, [*lines, tick])) == 1


def test_a_line_that_has_a_time_is_not_taken_for_one_that_has_none() -> None:
    line = at(0, "a")
    untimed = UntimedEntry(message="a", created_at=line.created_at)
    assert untimed_digest(line) == untimed_digest(untimed)
    packed = []
    for entry in (line, untimed):
        delivered = DeliveredLines()
        delivered.record([entry])
        packed.append(delivered.pack())
    assert packed[0] != packed[1]


def test_the_length_of_a_page_counts_all_its_lines() -> None:
    page = split_page([LogEntry(), at(0, "a"), LogEntry(), LogEntry()], newest_first=False)
    assert page.length == 4
    assert PageLines([at(0, "a")]).length == 1
