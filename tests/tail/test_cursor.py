"""The cursor: what is written is read back, and nothing else is taken for one."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices import LogCursor, TailedEntry
from aioservices.tail.cursor import Position
from aioservices.tail.dedup import DeliveredLines

NO_CURSOR = r"\Athis is not a cursor of a log: "
START = datetime(2026, 11, 23, 12, 34, 56, 789012, tzinfo=UTC)

identifiers = st.integers(1, 2**53)
zones = st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))])
times = st.datetimes(timezones=zones).filter(lambda time: 1 < time.year < 9998)
entries = st.builds(
    TailedEntry,
    message=st.none() | st.text(max_size=5),
    stream=st.sampled_from(["stdout", "stderr"]),
    created_at=times,
    copy=st.integers(0, 3),
)


@st.composite
def positions(draw: st.DrawFn) -> Position:
    watermark = draw(st.none() | times)
    lines = draw(st.lists(entries, max_size=5))
    return position(draw(identifiers), watermark, *lines)


def position(deployment_id: int, watermark: datetime | None, *lines: TailedEntry) -> Position:
    """Where a tail stands that has delivered some lines above its watermark."""
    delivered = DeliveredLines(watermark)
    delivered.record(sorted(lines, key=lambda entry: entry.created_at))
    return Position(deployment_id=deployment_id, watermark=watermark, lines=delivered.pack())


cursors = st.builds(
    LogCursor,
    service_id=identifiers,
    deployment_id=st.none() | identifiers,
    positions=st.lists(positions(), max_size=3).map(tuple),
    latest_id=st.none() | identifiers,
    latest_at=st.none() | times,
)


def sample() -> LogCursor:
    line = TailedEntry(message="a", stream="stdout", created_at=START, copy=1)
    return LogCursor(
        service_id=42, positions=(position(1001, START, line),), latest_id=1001, latest_at=START
    )


@given(cursors)
def test_a_cursor_is_read_back_as_it_was_written(cursor: LogCursor) -> None:
    text = cursor.to_json()
    assert "\n" not in text
    assert LogCursor.from_json(text) == cursor
    assert LogCursor.from_json(text.encode()) == cursor


@given(cursors)
def test_delivered_lines_are_read_back_with_every_count(cursor: LogCursor) -> None:
    for place in LogCursor.from_json(cursor.to_json()).positions:
        assert place.delivered().pack() == place.lines


def test_a_cursor_may_be_kept_as_a_json_object_among_others() -> None:
    cursor = sample()
    kept = json.dumps(json.loads(cursor.to_json()), indent=2, sort_keys=True)
    assert LogCursor.from_json(kept) == cursor


def test_a_cursor_cut_at_any_byte_is_refused() -> None:
    text = sample().to_json()
    for length in range(len(text)):
        with pytest.raises(ValueError, match=NO_CURSOR):
            LogCursor.from_json(text[:length])


@given(st.data())
def test_a_cursor_with_one_changed_character_is_refused_or_means_the_same(
    data: st.DataObject,
) -> None:
    cursor = sample()
    text = cursor.to_json()
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.characters(codec="utf-8")) + text[place + 1 :]
    try:
        read = LogCursor.from_json(changed)
    except ValueError as error:
        message = str(error)
        assert re.match("this (is not a cursor of a log|cursor is of version)", message)
    else:
        assert read == cursor


@given(st.binary() | st.text().map(lambda text: text.encode()))
def test_garbage_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=NO_CURSOR):
        LogCursor.from_json(text)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": "1"}',
        '{"version": 1, "check": "", "cursor": {}}',
        '{"version": 1, "x": ' + "[" * 100_000,
    ],
)
def test_other_json_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match=NO_CURSOR):
        LogCursor.from_json(document)


def test_a_cursor_of_a_newer_version_is_refused_by_name() -> None:
    document = {"version": 2, "cursor": {"something": "else"}}
    with pytest.raises(ValueError, match="this cursor is of version 2, which this release cannot"):
        LogCursor.from_json(json.dumps(document))


def test_what_is_no_text_is_no_cursor() -> None:
    with pytest.raises(TypeError, match="is read from a string, not NoneType"):
        LogCursor.from_json(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("lines", ["AAA=", "!", "/" * 28])
def test_lines_that_no_cursor_could_have_written_are_refused(lines: str) -> None:
    place = Position(deployment_id=1001, watermark=START, lines=lines)
    text = LogCursor(service_id=42, positions=(place,)).to_json()
    with pytest.raises(ValueError, match=NO_CURSOR):
        LogCursor.from_json(text)


def test_a_cursor_holds_no_text_of_a_line() -> None:
    line = TailedEntry(message="password=hunter2", stream="stdout", created_at=START)
    cursor = LogCursor(service_id=42, positions=(position(1001, START, line),))
    assert "hunter2" not in cursor.to_json() + repr(cursor)


def test_a_cursor_does_not_change() -> None:
    cursor: Any = sample()
    with pytest.raises(AttributeError):
        cursor.service_id = 43
    assert msgspec.structs.replace(cursor, service_id=43) != cursor


def test_a_cursor_of_the_first_release_is_read_and_written_the_same() -> None:
    text = (
        '{"version":1,"check":"72315602402ea8ab","cursor":{"service_id":42,"positions":'
        '[{"deployment_id":1001,"floor":"2026-11-23T12:34:56.789012Z",'
        '"lines":"FKZK0vBgBgCYa8nUK1IJDAIAAAA="}],"latest_id":1001,'
        '"latest_at":"2026-11-23T12:34:56.789012Z"}}'
    )
    assert LogCursor.from_json(text) == sample()
    assert sample().to_json() == text
