"""`start_at="now"`: from the moment of the call on, by the server's clock."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from aioservices import LogCursor, Services
from aioservices.emulator import Emulator

from .conftest import PATIENCE, QUICK, take, write

HOUR = 3600.0


@pytest.fixture(params=[HOUR, 0.0, -HOUR])
def ahead(request: pytest.FixtureRequest) -> float:
    """Seconds by which the server's clock is ahead of this machine's."""
    return float(request.param)


@pytest.fixture
def emulator_options(ahead: float) -> dict[str, Any]:
    return {"pending_for": 0.0, "clock": lambda: time.time_ns() + int(ahead * 10**9)}


def server_time(ahead: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=ahead)


async def test_what_was_written_before_is_left_out(
    emulator: Emulator, services: Services, ahead: float
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1, 2, 3, at=server_time(ahead) - timedelta(seconds=10))
    async with services.tail_logs(service_id, start_at="now", **QUICK) as tail:
        written = write(emulator, service_id, 4, 5)
        assert await take(tail, 2) == written


async def test_the_moment_is_that_of_the_call_however_late_the_first_answer(
    emulator: Emulator, services: Services, ahead: float
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1, at=server_time(ahead) - timedelta(seconds=10))
    tail = services.tail_logs(service_id, start_at="now", **QUICK)
    written = write(emulator, service_id, 2)
    await anyio.sleep(2.5)  # more than the second to which `Date` is cut
    async with tail:
        assert await take(tail, 1) == written


async def test_a_cursor_keeps_the_moment(
    emulator: Emulator, services: Services, ahead: float
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1, at=server_time(ahead) - timedelta(seconds=10))
    async with services.tail_logs(service_id, start_at="now", **QUICK) as tail:
        written = write(emulator, service_id, 2)
        assert await take(tail, 1) == written
        cursor = LogCursor.from_json(tail.cursor.to_json())
    assert cursor.start_at is not None
    assert abs(cursor.start_at - server_time(ahead)) < timedelta(seconds=PATIENCE)
    async with services.tail_logs(service_id, resume=cursor, **QUICK) as tail:
        written = write(emulator, service_id, 3)
        assert await take(tail, 1) == written


async def test_a_watch_has_one_moment_for_all_services(
    emulator: Emulator, services: Services, ahead: float
) -> None:
    emulator.add_service("first", deployed=True)
    options = {key: value for key, value in QUICK.items() if key != "grace"}
    async with services.watch_logs(start_at="now", refresh=0.1, **options) as watch:
        write(emulator, 1, 1)
        with anyio.fail_after(PATIENCE):
            assert (await anext(watch)).entry.message == "line 1"
        second = emulator.add_service("second", deployed=True)
        write(emulator, second, 0, at=server_time(ahead) - timedelta(minutes=5))
        write(emulator, second, 2)
        with anyio.fail_after(PATIENCE):
            assert (await anext(watch)).entry.message == "line 2"


async def test_a_cursor_and_now_are_not_given_together(services: Services) -> None:
    with pytest.raises(ValueError, match="leave out start_at"):
        services.tail_logs(1, start_at="now", resume=LogCursor(service_id=1))


@pytest.mark.parametrize("word", ["Now", "today", "yesterday"])
async def test_another_word_is_refused_by_one_that_is_known(services: Services, word: str) -> None:
    with pytest.raises(ValueError, match=r'^start_at must be "now" or a time'):
        services.tail_logs(1, start_at=word)
    with pytest.raises(ValueError, match=r'^start_at must be "now" or a time'):
        services.watch_logs(start_at=word)
