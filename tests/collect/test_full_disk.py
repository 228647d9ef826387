"""The daemon that is started while the disk is full: it waits, says why, and continues."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest

from aioservices.emulator import Emulator
from tests.collect.conftest import Daemons
from tests.collect.test_process import get, stored, until
from tests.servers.disk import SmallDisk, small_disk
from tests.servers.waiting import PATIENCE


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk() as disk:
        yield disk


def store_on(disk: SmallDisk) -> tuple[str, ...]:
    return "--store", f"sqlite:{disk.path}/logs.db", "--listen", "127.0.0.1:0"


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_store_is_opened_once_there_is_space(
    daemons: Daemons, emulator: Emulator, disk: SmallDisk, *, is_new: bool
) -> None:
    expected: list[str | None] = []
    if not is_new:
        emulator.log(1, "before")
        expected.append("before")
        with daemons.start(*store_on(disk)) as daemon:
            await until(await daemon.until_listening(), "/metrics", "lines_total 1.0")
            assert await daemon.end() == 0
    disk.fill()
    with daemons.start(*store_on(disk)) as daemon:
        url = await daemon.until_listening()
        assert (await get(url, "/livez"))[0] == 200
        await until(url, "/readyz", "no space left on the disk")
        assert (await get(url, "/readyz"))[0] == 503
        assert (await get(url, "/api/status"))[0] == 200
        assert (await get(url, "/api/lines?service=1"))[0] in {200, 503}
        emulator.log(1, "meanwhile")
        assert "lines are stored in" not in daemon.errors
        disk.free_space()
        await until(url, "/readyz", "ready\n")
        await until(url, "/metrics", "lines_total 1.0")
        assert await daemon.end() == 0
        assert "Traceback" not in daemon.errors
    assert await stored(disk.path) == [*expected, "meanwhile"]


async def test_a_signal_ends_the_waiting(daemons: Daemons, disk: SmallDisk) -> None:
    disk.fill()
    with daemons.start(*store_on(disk)) as daemon:
        await until(await daemon.until_listening(), "/readyz", "no space left")
        assert await daemon.end() == 0
        assert "ended before" not in daemon.errors
    assert {each.name for each in disk.path.iterdir()} <= {"filling", "logs.db.lock"}


async def test_a_store_that_is_also_damaged_is_not_waited_for(
    daemons: Daemons, disk: SmallDisk
) -> None:
    file = disk.path / "logs.db"
    file.write_bytes(b"this is no database, but somebody's text " * 200)
    disk.fill()
    with daemons.start(*store_on(disk)) as daemon:
        assert await anyio.to_thread.run_sync(daemon.process.wait, PATIENCE) == 1
        assert "logs.db is not a store" in daemon.errors
    assert [each.name for each in disk.path.iterdir() if each.name.endswith(".lock")] == []


async def test_a_store_without_a_name_waits_for_its_directory_too(
    daemons: Daemons, emulator: Emulator, disk: SmallDisk
) -> None:
    disk.fill()
    emulator.log(1, "a line")
    out = daemons.folder / "out.jsonl"
    state = {"XDG_STATE_HOME": str(disk.path / "state")}
    listen = ("--listen", "127.0.0.1:0")
    with daemons.start("--forward", f"jsonl:{out}", *listen, **state) as daemon:
        await until(await daemon.until_listening(), "/readyz", "no space left")
        disk.free_space()
        with anyio.fail_after(PATIENCE):
            while not out.exists() or not out.read_text().endswith("\n"):
                await anyio.sleep(0.05)
        assert await daemon.end() == 0
