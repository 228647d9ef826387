"""No wrong clock decides what is removed."""

from __future__ import annotations

import datetime as dt
import logging

import pytest

from aioservices.fleet.collecting.retaining import Retainer
from aioservices.stores import Retention, SQLiteStore

DAY = dt.timedelta(days=1)
KEEP_A_DAY = Retention(max_age=DAY, max_bytes=1_000_000)


class Server:
    """Tells the time, or not."""

    def __init__(self) -> None:
        self.time: dt.datetime | None = None


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def retainer(server: Server) -> Retainer:
    return Retainer(SQLiteStore("unused"), KEEP_A_DAY, lambda: server.time)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def test_nothing_is_removed_by_its_age_before_the_server_time_is_known(
    retainer: Retainer,
) -> None:
    assert retainer.retention_at(0.0, waited=0.0) == Retention(max_bytes=1_000_000)
    assert retainer.retention_at(599.0, waited=599.0) == Retention(max_bytes=1_000_000)


def test_without_a_server_time_the_store_uses_its_own_clock(
    retainer: Retainer,
) -> None:
    assert retainer.retention_at(700.0, waited=600.0) == KEEP_A_DAY


def test_the_server_time_continues_from_when_it_was_seen(
    retainer: Retainer, server: Server
) -> None:
    server.time = start = now()
    retainer.retention_at(100.0, waited=0.0)
    server.time = None
    assert retainer.retention_at(160.0, waited=60.0).server_time == start + dt.timedelta(seconds=60)


def test_a_clock_that_is_wrong_is_reported_once(
    retainer: Retainer, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server.time = now() - 2 * DAY
    for _ in range(3):
        retainer.retention_at(0.0, waited=0.0)
    [record] = caplog.records
    assert "2880 minutes ahead of the server's" in record.getMessage()
