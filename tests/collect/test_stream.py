"""What the page's stream costs the daemon, however slowly it is read."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import pytest

from aioservices import Services
from aioservices.collect.address import Address
from aioservices.collect.health import serve
from aioservices.collect.page import Page, routes
from aioservices.emulator import Emulator
from aioservices.fleet.collecting import Collector, KeptLines, kept_lines
from aioservices.stores import SQLiteStore
from aioservices.stores.record import rows_of
from tests.fleet.collecting.conftest import collecting
from tests.servers.waiting import PATIENCE, until
from tests.stores import lines as made

LOOPBACK = Address("127.0.0.1", 0)


def kept(first: int, last: int, message: str = "") -> KeptLines:
    """Hand lines to one who watches."""
    entries = [made.line(number, message=message) for number in range(first, last + 1)]
    lines = KeptLines()
    lines.receive([row.entry(1, "web") for row in rows_of(entries, first - 1, 0)])
    return lines


async def test_lines_come_one_by_one_or_all_that_wait() -> None:
    lines = kept(1, 5)
    assert (await anext(lines)).seq == 1
    assert [entry.seq for entry in await lines.take()] == [2, 3, 4, 5]
    with anyio.move_on_after(0.01) as scope:
        await lines.take()
    assert scope.cancelled_caught


async def test_few_lines_wait_for_one_who_reads_nothing_however_long_they_are() -> None:
    lines = kept(1, 100, "x" * 1_000_000)
    assert lines.lost == 92
    assert [entry.seq for entry in await lines.take()] == [1, 2, 3, 4, 5, 6, 7, 8]
    lines = kept(1, kept_lines._LINES + 1)
    assert lines.lost == 1


@asynccontextmanager
async def watched(services: Services, folder: Path) -> AsyncGenerator[tuple[Collector, str]]:
    """Collect, and serve the page; give its address."""
    async with SQLiteStore(folder / "logs.db") as store, collecting(store, services) as collector:
        page = Page(collector, store, LOOPBACK)
        async with serve(LOOPBACK, page.routes()) as address:
            try:
                yield collector, f"http://{address}"
            finally:
                await page.aclose()


async def events(answer: aiohttp.ClientResponse) -> AsyncGenerator[tuple[str, object]]:
    event = ""
    with anyio.fail_after(PATIENCE):
        async for text in answer.content:
            name, _, value = text.decode().strip().partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                yield event, json.loads(value)


async def test_more_lines_than_can_be_seen_go_by_are_counted(
    services: Services, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_LINES_AT_ONCE", 10)
    shown: list[str] = []
    lost = 0
    async with (
        watched(services, tmp_path) as (_, url),
        aiohttp.ClientSession() as http,
        http.get(f"{url}/api/stream") as answer,
    ):
        found = events(answer)
        assert (await anext(found))[0] == "status"
        for number in range(100):
            emulator.log(1, f"line {number}")
        async for event, value in found:
            if event == "lines":
                assert isinstance(value, list)
                assert len(value) <= 10
                shown += [each["message"] for each in value]
            elif event == "lost":
                assert isinstance(value, int)
                lost += value
            if len(shown) + lost == 100:
                break
        await found.aclose()
    assert shown[-1] == "line 99"
    assert lost > 0


async def test_a_browser_that_reads_nothing_is_sent_away(
    services: Services, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_SEND_TIMEOUT", 0.2)
    monkeypatch.setattr(routes, "_MAX_STREAMS", 1)
    async with watched(services, tmp_path) as (collector, url), aiohttp.ClientSession() as http:
        host, _, port = url.removeprefix("http://").rpartition(":")
        async with await anyio.connect_tcp(host, int(port)) as silent:
            await silent.send(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await silent.receive()
            async with http.get(f"{url}/api/stream") as answer:
                assert answer.status == 503
            with anyio.fail_after(PATIENCE):
                while True:
                    for _ in range(100):
                        emulator.log(1, "x" * 9_000)
                    async with http.get(f"{url}/api/stream") as answer:
                        if answer.status == 200:
                            break
                    await anyio.sleep(0.05)
        await until(lambda: collector.status.ready)


async def test_lines_of_several_services_come_by_time(
    services: Services, emulator: Emulator, tmp_path: Path
) -> None:
    shown: list[str] = []
    async with (
        watched(services, tmp_path) as (_, url),
        aiohttp.ClientSession() as http,
        http.get(f"{url}/api/stream") as answer,
    ):
        found = events(answer)
        assert (await anext(found))[0] == "status"
        for number in range(10):
            emulator.log(1 + number % 2, f"line {number}")
        async for event, value in found:
            if event == "lines":
                assert isinstance(value, list)
                times = [each["time"] for each in value]
                assert times == sorted(times)
                shown += [each["message"] for each in value]
            if len(shown) == 10:
                break
        await found.aclose()
