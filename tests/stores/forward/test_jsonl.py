"""Forwarding into a file of JSON lines: each line exactly once, across crashes and rotations."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
import pytest

from aioservices.stores import (
    ForwardError,
    SQLiteStore,
    StoreConfigError,
    StoredEntry,
    StoreUnavailableError,
)
from aioservices.stores.export import export_lines
from aioservices.stores.forward import ForwardWorker, JSONLForwarder, open_forwarder
from tests.servers.waiting import PATIENCE
from tests.stores.lines import Writer, lines

pytestmark = pytest.mark.anyio


class _Line(msgspec.Struct):
    service_id: int
    seq: int
    message: str


def read(path: Path) -> list[_Line]:
    """Read a file, and those that were renamed before it, in their order."""
    numbered = sorted(
        (int(each.suffix[1:]), each) for each in path.parent.glob(f"{path.name}.[0-9]*")
    )
    data = b"".join(each.read_bytes() for _, each in numbered)
    data += path.read_bytes() if path.exists() else b""
    return [msgspec.json.decode(each, type=_Line) for each in data.splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "logs.jsonl"


@pytest.fixture(autouse=True)
def directory(path: Path) -> None:
    path.parent.mkdir()


async def test_lines_are_objects_in_the_order_of_keeping(store: SQLiteStore, path: Path) -> None:
    await (await Writer.on(store)).keep(lines(1, 3))
    await ForwardWorker(store, JSONLForwarder(path)).forward_stored()
    assert [(each.seq, each.message) for each in read(path)] == [
        (1, "line 1"),
        (2, "line 2"),
        (3, "line 3"),
    ]


async def test_what_was_written_and_not_noted_is_cut_off(store: SQLiteStore, path: Path) -> None:
    writer = await Writer.on(store)
    await writer.keep(lines(1, 10))
    await ForwardWorker(store, JSONLForwarder(path)).forward_stored()
    with path.open("ab") as file:
        file.write(b'{"seq": 11, "half a li')
    await writer.keep(lines(11, 20))
    await ForwardWorker(store, JSONLForwarder(path)).forward_stored()
    assert [each.seq for each in read(path)] == list(range(1, 21))


class Crash(Exception):
    """The process ends here."""


class CrashingStore(SQLiteStore):
    """Crashes before, or after, it has noted what was sent."""

    crashes = 0
    after = False

    async def mark_forwarded(self, *args: object, **kwargs: object) -> bool:
        if self.crashes:
            self.crashes -= 1
            if self.after:
                await super().mark_forwarded(*args, **kwargs)  # type: ignore[arg-type]
            raise Crash
        return await super().mark_forwarded(*args, **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("rotate", [1, 700, 1 << 20])
async def test_a_crash_between_writing_and_noting_repeats_no_line(
    tmp_path: Path, path: Path, after: bool, rotate: int
) -> None:
    async with CrashingStore(tmp_path / "crash.db") as store:
        store.after = after
        writer = await Writer.on(store)
        for first in range(1, 61, 10):
            await writer.keep(lines(first, first + 9))
            store.crashes = 1
            with pytest.raises(Crash):
                await ForwardWorker(store, JSONLForwarder(path, rotate=rotate)).forward_stored()
        await ForwardWorker(store, JSONLForwarder(path, rotate=rotate)).forward_stored()
    assert [each.seq for each in read(path)] == list(range(1, 61))


async def test_files_are_renamed_when_they_are_large_and_the_oldest_ones_removed(
    store: SQLiteStore, path: Path
) -> None:
    writer = await Writer.on(store)
    forwarder = open_forwarder(f"jsonl:{path}?rotate=1kB&keep=2")
    for first in range(1, 101, 10):
        await writer.keep(lines(first, first + 9))
        await ForwardWorker(store, forwarder).forward_stored()
    names = sorted(each.name for each in path.parent.glob("logs*"))
    assert names == ["logs.jsonl", "logs.jsonl.8", "logs.jsonl.9"]
    assert [each.seq for each in read(path)] == list(range(71, 101))


async def test_a_file_that_exists_is_continued(store: SQLiteStore, path: Path) -> None:
    path.write_text('{"service_id": 0, "seq": 0, "message": "before"}\n')
    await (await Writer.on(store)).keep(lines(1, 2))
    for _ in range(2):
        await ForwardWorker(store, JSONLForwarder(path)).forward_stored()
    assert [each.seq for each in read(path)] == [0, 1, 2]


async def test_a_file_that_was_moved_away_is_started_again(store: SQLiteStore, path: Path) -> None:
    writer = await Writer.on(store)
    await writer.keep(lines(1, 5))
    await ForwardWorker(store, JSONLForwarder(path)).forward_stored()
    path.rename(path.with_suffix(".old"))
    await writer.keep(lines(6, 8))
    await ForwardWorker(store, JSONLForwarder(path)).forward_stored()
    assert [each.seq for each in read(path)] == [6, 7, 8]


async def test_another_collector_that_sends_the_same_lines_is_noticed_and_undone(
    store: SQLiteStore, path: Path
) -> None:
    await (await Writer.on(store)).keep(lines(1, 5))

    class Slow(JSONLForwarder):
        async def send(self, lines: Sequence[StoredEntry]) -> None:
            await super().send(lines)
            await store.mark_forwarded(self.name, {1: (0, 5)})  # the other one was faster

    await ForwardWorker(store, Slow(path)).forward_stored()
    assert read(path) == []


async def test_a_directory_that_does_not_exist_needs_attention_and_is_waited_for(
    store: SQLiteStore, tmp_path: Path
) -> None:
    path = tmp_path / "later" / "logs.jsonl"
    await (await Writer.on(store)).keep(lines(1, 5))
    worker = ForwardWorker(store, JSONLForwarder(path))
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        with anyio.fail_after(PATIENCE):
            while not worker.status.needs_attention:
                await anyio.sleep(0.005)
            assert "no directory" in str(worker.status.error)
            path.parent.mkdir()
            while worker.status.sent < 5:
                await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    assert len(read(path)) == 5


async def test_a_file_that_another_one_writes_is_refused_until_it_is_left(
    store: SQLiteStore, path: Path
) -> None:
    await (await Writer.on(store)).keep(lines(1, 5))
    first, second = JSONLForwarder(path), JSONLForwarder(path)
    await first.resume(None)
    with pytest.raises(ForwardError, match=f"process {os.getpid()}") as caught:
        await second.resume(None)
    assert caught.value.needs_attention
    await first.aclose()
    await ForwardWorker(store, second).forward_stored()
    assert len(read(path)) == 5


@pytest.mark.parametrize("suffix", ["", "-wal", ".lock"])
async def test_no_line_is_written_into_a_store(
    store: SQLiteStore, tmp_path: Path, suffix: str
) -> None:
    await (await Writer.on(store)).keep(lines(1, 5))
    forwarder = JSONLForwarder(tmp_path / f"logs.db{suffix}")
    with pytest.raises(ForwardError, match="belongs to a SQLite database"):
        await forwarder.resume(None)
    with pytest.raises(StoreConfigError, match="belongs to a SQLite database"):
        await export_lines(store, [1], tmp_path / f"logs.db{suffix}", format="jsonl")
    assert len(await store.read_after(1, 0, 10)) == 5


async def test_a_store_that_is_away_for_a_while_repeats_no_line(tmp_path: Path, path: Path) -> None:
    class Away(SQLiteStore):
        failures = 3

        async def mark_forwarded(self, *args: object, **kwargs: object) -> bool:
            marked = await super().mark_forwarded(*args, **kwargs)  # type: ignore[arg-type]
            if self.failures:
                self.failures -= 1
                raise StoreUnavailableError("the answer was lost")
            return marked

    async with Away(tmp_path / "away.db") as store:
        await (await Writer.on(store)).keep(lines(1, 50))
        await ForwardWorker(store, JSONLForwarder(path)).forward_stored()
    assert [each.seq for each in read(path)] == list(range(1, 51))


def size(directory: Path) -> int:
    """Add up the sizes of files, any of which may be renamed meanwhile."""
    total = 0
    for each in directory.iterdir():
        with suppress(FileNotFoundError):
            total += each.stat().st_size
    return total


_FORWARDING = """
import asyncio, sys
from aioservices.stores import SQLiteStore
from aioservices.stores.forward import ForwardWorker, JSONLForwarder
async def main():
    async with SQLiteStore(sys.argv[1]) as store:
        forwarder = JSONLForwarder(sys.argv[2], rotate=20_000)
        forwarder.lines_at_once = 50
        print("forwarding", flush=True)
        await ForwardWorker(store, forwarder).forward_stored()
    print("done", flush=True)
asyncio.run(main())
"""


async def test_a_process_that_is_killed_again_and_again_writes_each_line_once(
    tmp_path: Path, path: Path
) -> None:
    database = tmp_path / "killed.db"
    async with SQLiteStore(database) as store:
        await (await Writer.on(store)).keep(lines(1, 4000))
    for kill_after in (100, 40_000, 160_000, None):
        process = subprocess.Popen(
            [sys.executable, "-c", _FORWARDING, str(database), str(path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"forwarding\n"
            while kill_after is not None and process.poll() is None:
                if size(path.parent) > kill_after:
                    process.kill()
                time.sleep(0.0005)
            process.wait()
        finally:
            process.kill()
            process.stdout.close()
    assert [each.seq for each in read(path)] == list(range(1, 4001))
