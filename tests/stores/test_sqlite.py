"""The SQLite store: its file, its owner, and what is done to both."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from aioservices.stores import (
    Retention,
    SQLiteStore,
    StoreConfigError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreVersionError,
)
from aioservices.stores.sqlite.requests import ResendRequest, pending_requests, post_request
from tests.servers.postgres import directory_for

from .lines import Writer, line, lines, messages

pytestmark = pytest.mark.anyio

_HOLDER = """
import asyncio, sys
from aioservices.stores import SQLiteStore
async def main():
    async with SQLiteStore(sys.argv[1]):
        print("open", flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""


@contextmanager
def holder(path: Path) -> Generator[subprocess.Popen[str]]:
    """Run a process that has the store open."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs.db"


async def fill(path: Path, count: int) -> None:
    """Make a store of so many lines."""
    async with SQLiteStore(path) as store:
        writer = await Writer.on(store)
        for first in range(1, count + 1, 1000):
            await writer.keep(lines(first, min(count, first + 999)))


# One owner


async def test_a_second_process_is_refused_and_reported_who_has_the_file(path: Path) -> None:
    with holder(path) as process:
        with pytest.raises(StoreLockedError, match=f"process {process.pid}") as caught:
            async with SQLiteStore(path):
                pass
        assert caught.value.pid == process.pid


async def test_a_process_that_is_stopped_keeps_its_file(path: Path) -> None:
    with holder(path) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreLockedError):
            async with SQLiteStore(path):
                pass


async def test_the_file_of_a_dead_process_is_taken_over(path: Path) -> None:
    with holder(path) as process:
        process.kill()
        process.wait()
        async with SQLiteStore(path) as store:
            await (await Writer.on(store)).keep([line(1)])
            assert await messages(store) == ["line 1"]


async def test_the_same_process_cannot_open_it_twice_either(path: Path) -> None:
    async with SQLiteStore(path):
        with pytest.raises(StoreLockedError, match=str(os.getpid())):
            async with SQLiteStore(path):
                pass


async def test_a_file_can_be_read_while_another_process_has_it(path: Path) -> None:
    await fill(path, 3000)
    with holder(path):
        async with SQLiteStore(path, read_only=True) as store:
            assert len(await messages(store)) == 3000


async def test_a_file_in_a_directory_that_is_read_only_can_be_read() -> None:
    with directory_for(None) as directory:
        path = directory / "logs.db"
        await fill(path, 10)
        directory.chmod(0o555)
        path.chmod(0o444)
        try:
            done = subprocess.run(
                [sys.executable, "-c", _READER, path.name],
                cwd=directory,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            directory.chmod(0o755)
    assert done.stdout == "10\n", done.stderr


# Root may write anywhere: it becomes somebody else once it has loaded all that it needs.
_READER = """
import asyncio, os, sys
from aioservices.stores import SQLiteStore
if os.geteuid() == 0:
    os.setuid(65534)
async def main():
    async with SQLiteStore(sys.argv[1], read_only=True) as store:
        print(len([each async for each in store.read(1)]))
asyncio.run(main())
"""


# Files that were cut or changed


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
async def test_a_file_that_was_cut_is_refused_by_name(path: Path, share: float) -> None:
    await fill(path, 6000)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(StoreCorruptError, match=str(path)):
        async with SQLiteStore(path):
            pass


async def test_a_file_of_something_else_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_text("[collect]\nstore = 'sqlite:logs.db'\n" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError, match="not a store"):
        async with SQLiteStore(path):
            pass
    assert path.read_bytes() == before


async def test_another_programs_database_is_refused_and_left_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE line (x)")
    connection.close()
    with pytest.raises(StoreError, match="not a store of aioservices"):
        async with SQLiteStore(path):
            pass
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("line",)]
    connection.close()


@pytest.mark.parametrize("seed", range(12))
async def test_a_byte_that_was_changed_loses_no_line_in_silence(path: Path, seed: int) -> None:
    await fill(path, 9000)
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for position in (chance.randrange(len(data)) for _ in range(40)):
        data[position] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    error, ok = "", False
    try:
        async with SQLiteStore(path) as store:
            ok = (await store.audit(thorough=True)).ok
    except StoreError as exc:
        error = str(exc)
    assert not ok
    assert not error or str(path) in error


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tail SET cursor = substr(cursor, 1, length(cursor) / 2)",
        "UPDATE tail SET cursor = replace(cursor, '2026', '2025')",
        "UPDATE tail SET seq = seq - 1000",
        "DELETE FROM line",
        "DELETE FROM block WHERE first_seq = (SELECT max(first_seq) FROM block); DELETE FROM line",
    ],
)
async def test_a_tail_that_was_changed_never_begins_from_zero(path: Path, change: str) -> None:
    await fill(path, 9000)
    connection = sqlite3.connect(path)
    connection.executescript(change)
    connection.close()
    with pytest.raises(StoreCorruptError, match=str(path)):
        async with SQLiteStore(path) as store:
            await store.lease([1], [])


async def test_an_audit_finds_lines_that_are_missing_or_there_twice(path: Path) -> None:
    await fill(path, 900)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM line WHERE seq = 5")
    connection.execute(
        "UPDATE line SET (created_at, message) = "
        "(SELECT created_at, message FROM line WHERE seq = 7) WHERE seq = 8"
    )
    connection.commit()
    connection.close()
    async with SQLiteStore(path, read_only=True) as store:
        quick, thorough = await store.audit(), await store.audit(thorough=True)
    assert "899 lines are stored" in quick.services[0].problems[0]
    assert "1 lines are stored more than once" in thorough.services[0].problems


# Versions


async def test_a_file_of_a_newer_release_is_refused_and_left_as_it_is(path: Path) -> None:
    await fill(path, 10)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreVersionError, match=r"version 99.*Upgrade"):
            async with SQLiteStore(path, read_only=read_only):
                pass
    assert path.read_bytes() == before


async def test_a_file_of_an_older_release_is_brought_up_to_date(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(path, 10)
    monkeypatch.setattr("aioservices.stores.sqlite.schema.SCHEMA_VERSION", 3)
    steps = ("ALTER TABLE tail ADD COLUMN added", "UPDATE tail SET added = 7")
    monkeypatch.setattr("aioservices.stores.sqlite.schema._MIGRATIONS", steps)
    await fill(path, 5)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    assert connection.execute("SELECT added, seq FROM tail").fetchone() == (7, 15)
    connection.close()


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(path, 10)
    monkeypatch.setattr("aioservices.stores.sqlite.schema.SCHEMA_VERSION", 2)
    steps = ("UPDATE tail SET seq = 0; SELECT * FROM missing",)
    monkeypatch.setattr("aioservices.stores.sqlite.schema._MIGRATIONS", steps)
    with pytest.raises(StoreError, match="missing"):
        async with SQLiteStore(path):
            pass
    monkeypatch.undo()
    async with SQLiteStore(path) as store:
        assert len(await messages(store)) == 10


# Room


async def test_a_full_disk_keeps_nothing_and_continues_when_there_is_space(path: Path) -> None:
    async with SQLiteStore(path) as store:
        writer = await Writer.on(store)
        await writer.keep(lines(1, 100))
        batch = writer.batch(lines(101, 5000))
        # What SQLite does when it may not grow is what it does when it cannot.
        database = store._open_database.connection
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages + 4}")
        with pytest.raises(StoreFullError, match="no space"):
            await store.keep([batch])
        assert len(await messages(store)) == 100
        database.execute("PRAGMA max_page_count = 1000000000")
        assert (await store.keep([batch])).kept == {1: 5000}
        assert (await store.audit(thorough=True)).ok


async def test_sealed_lines_take_a_quarter_of_the_room(path: Path) -> None:
    text = "10.0.0.{} - GET /api/items/{} HTTP/1.1 200 took {} ms, user agent Mozilla/5.0 (X11)"
    async with SQLiteStore(path) as store:
        writer = await Writer.on(store)
        for first in range(0, 20_000, 1000):
            await writer.keep(
                [
                    line(n, message=text.format(n % 7, n * 7919 % 1000, n % 311))
                    for n in range(first, first + 1000)
                ]
            )
        # A commit that follows waits for the sealing that was begun.
        await writer.keep([])
        size = 0
        for _ in range(200):
            await store.retain(Retention())
            size = (await store.audit()).bytes
            if not store._open_database.has_sealable:
                break
        assert size / 20_000 < 80


async def test_freed_room_is_given_back_to_the_file_system(path: Path) -> None:
    await fill(path, 20_000)
    before = path.stat().st_size
    async with SQLiteStore(path) as store:
        await store.mark_forwarded("x", {1: (0, 20_000)})
        assert (await store.retain(Retention(forwarded_to=("x",)))).lines == 20_000
    assert path.stat().st_size < before / 3


async def test_a_directory_that_does_not_exist_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(StoreConfigError, match="no directory"):
        async with SQLiteStore(tmp_path / "missing" / "logs.db"):
            pass


async def test_a_commit_that_is_cancelled_is_kept_whole_or_not_at_all(path: Path) -> None:
    async with SQLiteStore(path) as store:
        writer = await Writer.on(store)
        batch = writer.batch(lines(1, 5000))
        with anyio.move_on_after(0):
            await store.keep([batch])
        assert (await store.keep([batch])).kept == {1: 5000}
        assert (await store.audit(thorough=True)).ok


async def test_lines_can_be_read_while_they_are_sealed_and_kept(path: Path) -> None:
    async with SQLiteStore(path) as store:
        writer = await Writer.on(store)
        await writer.keep(lines(1, 2400))
        seen: list[str | None] = []
        async for entry in store.read(1):
            seen.append(entry.message)
            if len(seen) in {1, 1000, 2000}:
                await writer.keep(lines(2400 + len(seen), 2400 + len(seen) + 900))
        assert seen == [f"line {number}" for number in range(1, 2401)]


async def test_a_store_that_is_closed_while_it_is_read_waits_for_its_readers(path: Path) -> None:
    """In a separate process, which the fault would have ended."""
    async with SQLiteStore(path) as store:
        writer = await Writer.on(store)
        await writer.keep(lines(1, 5_000))
    program = """
import sys, anyio
from aioservices.stores import SQLiteStore, StoreError

async def read(store, refused):
    while True:
        try:
            await store.read_after(1, 0, 5_000)
        except StoreError as error:
            refused.append(str(error))
            return

async def main():
    for _ in range(10):
        refused = []
        async with anyio.create_task_group() as group:
            async with SQLiteStore(sys.argv[1]) as store:
                for _ in range(4):
                    group.start_soon(read, store, refused)
                await store.read_after(1, 0, 5_000)
        assert len(refused) == 4, refused
        assert all("is closed" in each for each in refused), refused

anyio.run(main)
"""
    command = [sys.executable, "-X", "faulthandler", "-c", program, str(path)]
    done = await anyio.run_process(command, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")


@pytest.mark.parametrize("kind", ["text", "empty", "other database", "device"])
async def test_nothing_is_put_next_to_a_file_that_is_no_store(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("root:x:0:0" * 50)
    elif kind == "empty":
        path.touch()
    elif kind == "device":
        path.symlink_to("/dev/null")
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (a)")
        connection.close()
    with pytest.raises(StoreError):
        await SQLiteStore(path).__aenter__()
    assert [*path.parent.iterdir()] == [path]


async def test_an_id_that_no_service_can_have_is_a_wrong_argument(path: Path) -> None:
    async with SQLiteStore(path) as store:
        for service_id in (-1, 2**63):
            with pytest.raises(ValueError, match="service_id"):
                await store.read_after(service_id, 0, 1)
            with pytest.raises(ValueError, match="service_id"):
                await anext(store.read(service_id))


async def test_a_request_that_is_withdrawn_while_requests_are_read_is_no_trouble(
    path: Path,
) -> None:
    for name in ("first", "second"):
        post_request(path, ResendRequest(forwarder=name, since=None, rejected_only=False))
    found = pending_requests(path)
    posted, request = next(found)
    other = next(each for each in path.parent.iterdir() if each != posted)
    other.unlink()  # between the listing and the reading
    assert request.forwarder in {"first", "second"}
    assert list(found) == []
