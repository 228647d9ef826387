"""Timestamps, exact to the nanosecond."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.emulator import instants
from aioservices.emulator.instants import NANOSECONDS, Unit

moments = st.integers(0, 4_000_000_000 * 10**9)
units: st.SearchStrategy[Unit] = st.sampled_from(["s", "ms", "us", "ns"])
offsets = st.none() | st.integers(-14 * 60, 14 * 60)


@given(moments, units, offsets)
def test_what_is_written_is_read_back(instant: int, unit: Unit, offset: int | None) -> None:
    instant -= instant % NANOSECONDS[unit]
    assert instants.parse(instants.text(instant, unit, offset)) == instant


@given(moments, units, offsets)
def test_a_timestamp_is_cut_and_never_rounded(instant: int, unit: Unit, offset: int | None) -> None:
    read = instants.parse(instants.text(instant, unit, offset))
    assert 0 <= instant - read < NANOSECONDS[unit]


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)), offsets)  # noqa: DTZ001
def test_python_reads_the_same(moment: datetime, offset: int | None) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset or 0)))
    assert instants.parse(aware.isoformat()) == instants.from_datetime(aware)
    written = instants.text(instants.from_datetime(aware), "us", offset)
    assert datetime.fromisoformat(written) == aware


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23T12:34", datetime(2026, 11, 23, 12, 34, tzinfo=UTC)),
        ("2026-11-23T12:34:56", datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)),
        ("2026-11-23T12:34:56.5Z", datetime(2026, 11, 23, 12, 34, 56, 500_000, tzinfo=UTC)),
        ("2026-11-23T14:34:56+0200", datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)),
    ],
)
def test_shorter_forms_are_read(text: str, moment: datetime) -> None:
    assert instants.parse(text) == instants.from_datetime(moment)


@pytest.mark.parametrize("text", ["", "now", "2026", "2026-02-30", "2026-11-23T12:34:56 02:00"])
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        instants.parse(text)
