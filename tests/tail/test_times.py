"""Lines with times at the ends of the calendar: they are delivered, and harm nothing."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from aioservices import LogCursor, Services
from tests.servers.deployments import DeploymentsServer, ago
from tests.servers.hostile import hostile

from .conftest import QUICK, collecting, drain, take, until

INDIA = timezone(timedelta(hours=5, minutes=30))
TIMES = {
    "Go's zero time": datetime(1, 1, 1, tzinfo=UTC),
    "before the first year in UTC": datetime(1, 1, 1, tzinfo=INDIA),
    "the last millisecond": datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
}


@pytest.mark.parametrize("limit", [10_000, 30])
@pytest.mark.parametrize("name", TIMES)
@pytest.mark.filterwarnings("ignore::aioservices.LogGap")  # more lines at one instant than a page
async def test_lines_are_followed_beside_lines_at(name: str, limit: int) -> None:
    server = DeploymentsServer()
    deployment = server.deploy()
    odd = deployment.write(*(f"odd {number}" for number in range(20)), at=TIMES[name])
    written = deployment.write("a", at=ago(1.0))
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK | {"limit": limit}) as tail,
    ):
        assert sorted(await take(tail, 21)) == sorted(odd + written)
        async with collecting(tail) as messages:
            deployment.write("b")
            await until(lambda: messages == ["b"])
            polls = tail.status.polls
            await until(lambda: tail.status.polls > polls + 10)
            assert messages == ["b"]
        cursor = LogCursor.from_json(tail.cursor.to_json())
        entries_left = services.tail_logs(1, resume=cursor, follow=False)
        assert await drain(entries_left) == []


@pytest.mark.parametrize("name", TIMES)
async def test_a_line_has_an_identifier_at(name: str) -> None:
    server = DeploymentsServer()
    server.deploy().write("odd", at=TIMES[name])
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, follow=False) as tail,
    ):
        entry = await anext(tail)
        assert len(entry.line_id) > 10
        assert "odd" in repr(entry)


@pytest.mark.parametrize("bound", ["start_at", "end_at"])
@pytest.mark.parametrize("name", TIMES)
async def test_a_tail_may_be_bounded_by(name: str, bound: str) -> None:
    server = DeploymentsServer()
    server.deploy().write("a", at=ago(1.0))
    bounds: dict[str, Any] = {bound: TIMES[name]}
    is_all = (bound == "start_at") == (TIMES[name].year == 1)
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, follow=False, **bounds) as tail,
    ):
        assert await drain(tail) == (["a"] if is_all else [])
