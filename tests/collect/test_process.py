"""The daemon as a process, driven by signals, files and probes."""

import json
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import anyio
import pytest

from aioservices.emulator import Emulator
from aioservices.stores import open_store
from tests.collect.conftest import Daemons
from tests.servers.waiting import PATIENCE

STORE = ("--store", "sqlite:logs.db", "--listen", "127.0.0.1:0")


async def stored(folder: Path, service_id: int = 1) -> list[str | None]:
    async with open_store(f"sqlite:{folder}/logs.db", read_only=True) as store:
        assert (await store.audit(thorough=True)).ok
        return [entry.message async for entry in store.read(service_id)]


async def get(url: str, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(url + path) as response:
        return response.status, await response.text()


async def until(url: str, path: str, part: str) -> str:
    with anyio.fail_after(PATIENCE):
        while part not in (text := (await get(url, path))[1]):
            await anyio.sleep(0.05)
    return text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stores_what_was_read_and_ends_it(
    daemons: Daemons, emulator: Emulator, number: int
) -> None:
    for n in range(50):
        emulator.log(1, f"line {n}")
    with daemons.start(*STORE) as daemon:
        url = await daemon.until_listening()
        await until(url, "/metrics", "lines_total 50.0")
        assert (await get(url, "/livez"))[0] == 200
        assert await get(url, "/readyz") == (200, "ready\n")
        assert await daemon.end(number) == 0
        assert "storing what was read" in daemon.errors
    assert await stored(daemons.folder) == [f"line {n}" for n in range(50)]


async def test_a_signal_that_comes_while_it_begins_is_obeyed_too(daemons: Daemons) -> None:
    for _ in range(5):
        with daemons.start(*STORE) as daemon:
            with anyio.fail_after(PATIENCE):
                while "lines are stored in" not in daemon.errors:
                    await anyio.sleep(0.001)
            assert await daemon.end() == 0


async def test_a_killed_daemon_continues_where_it_was(daemons: Daemons, emulator: Emulator) -> None:
    for n in range(2):
        emulator.log(1, f"line {n}")
        with daemons.start(*STORE) as daemon:
            url = await daemon.until_listening()
            await until(url, "/metrics", "lines_total 1.0")
            await daemon.end(signal.SIGKILL)
    assert await stored(daemons.folder) == ["line 0", "line 1"]


async def test_a_second_daemon_on_the_same_file_is_refused_and_learns_who_has_it(
    daemons: Daemons,
) -> None:
    with daemons.start(*STORE) as first:
        await first.until_listening()
        with daemons.start(*STORE) as second:
            assert await anyio.to_thread.run_sync(second.process.wait, PATIENCE) == 1
            assert str(first.process.pid) in second.errors
            assert "Traceback" not in second.errors
        assert first.process.poll() is None


async def test_a_wrong_configuration_ends_it_with_78_and_touches_nothing(
    daemons: Daemons,
) -> None:
    with daemons.start(*STORE, "--keep", "soon", "--forward", "carrier-pigeon:") as daemon:
        assert await anyio.to_thread.run_sync(daemon.process.wait, PATIENCE) == 78
        assert "--keep: " in daemon.errors
        assert "--forward: " in daemon.errors
    assert not (daemons.folder / "logs.db").exists()


async def test_a_store_in_no_directory_is_a_wrong_configuration_too(daemons: Daemons) -> None:
    with daemons.start("--store", "sqlite:nowhere/logs.db") as daemon:
        assert await anyio.to_thread.run_sync(daemon.process.wait, PATIENCE) == 78
        assert "there is no directory" in daemon.errors
        assert "Traceback" not in daemon.errors


async def test_check_only_checks(daemons: Daemons) -> None:
    with daemons.start(*STORE, "--check") as daemon:
        assert await anyio.to_thread.run_sync(daemon.process.wait, PATIENCE) == 0
    assert not (daemons.folder / "logs.db").exists()


async def test_an_address_that_is_taken_is_named(daemons: Daemons) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with daemons.start("--store", "sqlite:logs.db", "--listen", address) as daemon:
            assert await anyio.to_thread.run_sync(daemon.process.wait, PATIENCE) == 1
            assert f"cannot listen on {address}" in daemon.errors


async def test_a_damaged_store_is_named_and_never_replaced(daemons: Daemons) -> None:
    file = daemons.folder / "logs.db"
    file.write_bytes(b"this is no database, but somebody's text " * 200)
    before = file.read_bytes()
    with daemons.start(*STORE) as daemon:
        assert await anyio.to_thread.run_sync(daemon.process.wait, PATIENCE) == 1
        assert "logs.db" in daemon.errors
    assert file.read_bytes() == before


async def test_a_key_that_is_rotated_is_read_again(daemons: Daemons, emulator: Emulator) -> None:
    key = daemons.folder / "key"
    key.write_text("not-the-key")
    with daemons.start(*STORE, "--api-key-file", str(key), CIVIS_API_KEY="") as daemon:
        url = await daemon.until_listening()
        await until(url, "/readyz", "key")
        assert (await get(url, "/livez"))[0] == 200
        emulator.log(1, "a line")
        key.write_text(emulator.api_key)
        daemon.process.send_signal(signal.SIGHUP)
        await until(url, "/readyz", "ready\n")
        await until(url, "/metrics", "lines_total 1.0")
        assert await daemon.end() == 0
        assert emulator.api_key not in daemon.errors
        assert "not-the-key" not in daemon.errors


async def test_a_forwarder_alone_needs_no_store_to_be_named(
    daemons: Daemons, emulator: Emulator
) -> None:
    emulator.log(1, "a line")
    out = daemons.folder / "out.jsonl"
    state = {"XDG_STATE_HOME": str(daemons.folder / "state")}
    with daemons.start("--forward", f"jsonl:{out}", **state) as daemon:
        with anyio.fail_after(PATIENCE):
            while not out.exists() or not out.read_text().endswith("\n"):
                await anyio.sleep(0.05)
        assert await daemon.end() == 0
    assert [json.loads(line)["message"] for line in out.read_text().splitlines()] == ["a line"]
    assert list((daemons.folder / "state").iterdir())


async def test_its_own_log_may_be_json(daemons: Daemons) -> None:
    with daemons.start(*STORE, "--log-format", "json") as daemon:
        with anyio.fail_after(PATIENCE):
            while "served at" not in daemon.errors:
                await anyio.sleep(0.02)
        assert await daemon.end() == 0
        records = [json.loads(line) for line in daemon.errors.splitlines()]
    assert {"time", "level", "logger", "message"} <= set(records[0])


async def test_what_a_library_has_to_say_is_a_record_of_its_own_log_too() -> None:
    program = (
        "import logging, warnings; from aioservices.collect.logging import start_logging; "
        "start_logging('json', 'info'); logging.getLogger('aiohttp.server').error('one\\ntwo'); "
        "logging.getLogger('aioservices.collect').info('three'); "
        "logging.getLogger('psycopg').warning('a connection was closed'); "
        "logging.getLogger('asyncio').info('too much'); warnings.warn('four')"
    )
    ended = await anyio.run_process([sys.executable, "-c", program])
    records = [json.loads(line) for line in ended.stderr.decode().splitlines()]
    assert [record["logger"] for record in records] == [
        "aiohttp.server",
        "aioservices.collect",
        "py.warnings",
    ]


async def test_the_service_manager_learns_that_it_is_up_and_alive(daemons: Daemons) -> None:
    path = str(daemons.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(PATIENCE)
        environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
        with daemons.start(*STORE, **environment) as daemon:
            said: set[str] = set()
            while not {"READY=1", "WATCHDOG=1", "STATUS"} <= said:
                text = await anyio.to_thread.run_sync(manager.recv, 4096)
                said.add("STATUS" if text.startswith(b"STATUS=") else text.decode())
            assert await daemon.end() == 0
