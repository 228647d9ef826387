"""Which days of a database are dropped: whole ones, and never a line before its time."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as some

from aioservices.stores import Retention
from aioservices.stores.postgres.partitions import partition_of
from aioservices.stores.postgres.retention import next_to_drop
from aioservices.stores.record import to_micros

NOW = dt.datetime(2026, 11, 26, 0, 1, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
ages = some.timedeltas(dt.timedelta(minutes=-3000), dt.timedelta(days=30))


def name_of(written: dt.datetime) -> str:
    """Name the partition of a line."""
    return partition_of(to_micros(written)).name


@given(some.lists(ages, min_size=1), some.timedeltas(MINUTE, dt.timedelta(days=10)))
def test_a_day_is_dropped_when_its_last_line_is_too_old_and_not_before(
    written: list[dt.timedelta], keep: dt.timedelta
) -> None:
    sizes = {name_of(NOW - age): 1 for age in written}
    dropped = set()
    while (name := next_to_drop(sizes, NOW, Retention(max_age=keep))) is not None:
        dropped.add(name)
        del sizes[name]
    for age in written:
        if age < keep:
            assert name_of(NOW - age) not in dropped
        elif age >= keep + dt.timedelta(days=1):
            assert name_of(NOW - age) in dropped


def test_a_line_of_yesterday_is_kept_for_hours_if_hours_are_asked_for() -> None:
    yesterday = {name_of(NOW - 2 * MINUTE): 1}
    retention = Retention(max_age=dt.timedelta(hours=12))
    assert next_to_drop(yesterday, NOW, retention) is None
    assert next_to_drop(yesterday, NOW + dt.timedelta(hours=12), retention) is not None


def test_the_longest_age_keeps_everything() -> None:
    sizes = {name_of(NOW - dt.timedelta(days=9000)): 1, "line_before_1970": 1}
    assert next_to_drop(sizes, NOW, Retention(max_age=dt.timedelta.max)) is None


@given(some.lists(ages, min_size=1))
def test_bytes_take_the_oldest_day_and_never_the_one_that_is_written_to(
    written: list[dt.timedelta],
) -> None:
    sizes = {name_of(NOW - age): 10 for age in written}
    while (name := next_to_drop(sizes, NOW, Retention(max_bytes=5))) is not None:
        assert name == min(sizes)
        del sizes[name]
    assert all(each >= name_of(NOW) for each in sizes)
