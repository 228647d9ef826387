"""The daemon started while its database is unavailable: it waits, says why, and continues."""

from __future__ import annotations

import uuid

import anyio
import anyio.abc
import anyio.to_thread
import psycopg

from aioservices.emulator import Emulator
from aioservices.stores import open_store
from tests.collect.conftest import Daemons
from tests.collect.test_process import get, until
from tests.servers.postgres import own_server
from tests.servers.waiting import PATIENCE

LISTEN = ("--listen", "127.0.0.1:0")


async def messages(url: str) -> list[str | None]:
    async with open_store(url, read_only=True) as store:
        return [entry.message async for entry in store.read(1)]


async def test_a_database_that_is_started_later_is_waited_for(
    daemons: Daemons, emulator: Emulator
) -> None:
    emulator.log(1, "before")
    with own_server() as server:
        server.create()
        store = f"{server.url}/postgres"
        with daemons.start("--store", store, *LISTEN) as daemon:
            url = await daemon.until_listening()
            assert "the store cannot be opened yet" in await until(url, "/readyz", "opened yet")
            assert (await get(url, "/readyz"))[0] == 503
            assert (await get(url, "/livez"))[0] == 200
            assert (await get(url, "/api/status"))[0] == 200
            assert (await get(url, "/api/lines?service=1"))[0] == 503
            with anyio.fail_after(PATIENCE):
                while "not ready: the store cannot be opened yet" not in daemon.errors:
                    await anyio.sleep(0.05)
            await anyio.to_thread.run_sync(server.start)
            await until(url, "/readyz", "ready\n")
            await until(url, "/metrics", "lines_total 1.0")
            assert await daemon.end() == 0
            assert "Traceback" not in daemon.errors
        assert await messages(store) == ["before"]


async def test_a_database_that_is_made_later_is_waited_for(
    daemons: Daemons, emulator: Emulator, postgres_server: str
) -> None:
    emulator.log(1, "a line")
    name = f"aioservices_test_{uuid.uuid4().hex[:12]}"
    store = f"{postgres_server}/{name}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as admin:
        try:
            with daemons.start("--store", store, *LISTEN) as daemon:
                url = await daemon.until_listening()
                await until(url, "/readyz", name)
                admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
                await until(url, "/metrics", "lines_total 1.0")
                assert await daemon.end() == 0
            assert await messages(store) == ["a line"]
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def test_a_signal_ends_the_waiting_for_a_database_that_does_not_answer(
    daemons: Daemons,
) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as silent:
        port = silent.extra(anyio.abc.SocketAttribute.local_port)
        store = f"postgresql://somebody@127.0.0.1:{port}/logs"
        with daemons.start("--store", store, *LISTEN) as daemon:
            url = await daemon.until_listening()
            assert (await get(url, "/readyz"))[0] == 503
            assert await daemon.end() == 0
            assert "ended before" not in daemon.errors


async def test_a_database_that_cannot_hold_a_store_is_not_waited_for(
    daemons: Daemons, postgres_server: str
) -> None:
    name = f"aioservices_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as admin:
        admin.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' "
            "LC_CTYPE 'C'"
        )
        try:
            with daemons.start("--store", f"{postgres_server}/{name}", *LISTEN) as daemon:
                assert await anyio.to_thread.run_sync(daemon.process.wait, PATIENCE) == 78
                assert "has the encoding LATIN1" in daemon.errors
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def test_a_file_that_cannot_be_a_store_is_not_waited_for(daemons: Daemons) -> None:
    file = daemons.folder / "logs.db"
    file.mkdir()
    with daemons.start("--store", f"sqlite:{file}", *LISTEN) as daemon:
        assert await anyio.to_thread.run_sync(daemon.process.wait, PATIENCE) == 78
        assert "logs.db is not a file" in daemon.errors
