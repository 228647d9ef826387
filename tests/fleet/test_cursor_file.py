"""Cursors in a file: whole, or the one before, whatever happens."""

import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from aioservices import CursorFile, CursorFileError, LogCursor, Services
from aioservices.emulator import Emulator
from tests.tail.conftest import QUICK, take, write


def cursor(service_id: int = 1, latest_id: int = 1) -> LogCursor:
    return LogCursor(service_id=service_id, latest_id=latest_id)


def saved(path: Path, *cursors: LogCursor) -> None:
    with CursorFile(path, interval=0.0) as place:
        for each in cursors:
            place.save(each)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.cursor"


def test_a_file_that_does_not_exist_holds_nothing(path: Path) -> None:
    assert CursorFile(path).load() is None
    assert CursorFile(path).load_checkpoint() == {}
    assert not path.exists()


def test_what_was_saved_is_loaded(path: Path) -> None:
    saved(path, cursor())
    assert CursorFile(path).load() == cursor()


def test_the_file_holds_the_json_of_the_cursor(path: Path) -> None:
    saved(path, cursor())
    assert LogCursor.from_json(path.read_text()) == cursor()


def test_a_checkpoint_of_many_services_is_loaded(path: Path) -> None:
    checkpoint = {1: cursor(1), 7: cursor(7)}
    with CursorFile(path) as place:
        place.save(checkpoint)
    assert CursorFile(path).load_checkpoint() == checkpoint


def test_a_checkpoint_of_no_service_is_loaded(path: Path) -> None:
    with CursorFile(path) as place:
        place.save({})
    assert CursorFile(path).load_checkpoint() == {}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=strategies.floats(0, 1, exclude_max=True), is_watch=strategies.booleans())
def test_a_file_that_is_cut_at_any_byte_is_replaced_by_the_one_before(
    path: Path, cut: float, is_watch: bool
) -> None:
    path.unlink(missing_ok=True)
    states: list[Any] = [cursor(latest_id=1), cursor(latest_id=2)]
    if is_watch:
        states = [{1: cursor(1), 2: cursor(2)}, {1: cursor(1), 2: cursor(2, 2)}]
    with CursorFile(path, interval=0.0) as place:
        for state in states:
            place.save(state)
    whole = path.read_bytes().rstrip(b"\n")
    path.write_bytes(whole[: int(cut * len(whole))])
    place = CursorFile(path)
    assert (place.load_checkpoint() if is_watch else place.load()) == states[0]


def test_a_damaged_file_never_replaces_the_one_before(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved(path, cursor(latest_id=1), cursor(latest_id=2))
    path.write_bytes(b"")
    with CursorFile(path) as place, caplog.at_level(logging.WARNING):
        assert place.load() == cursor(latest_id=1)
        place.save(cursor(latest_id=3))
    assert "is damaged" in caplog.text
    path.write_bytes(b"")
    assert CursorFile(path).load() == cursor(latest_id=1)


def test_a_file_that_was_removed_starts_from_the_beginning(path: Path) -> None:
    saved(path, cursor(latest_id=1), cursor(latest_id=2))
    path.unlink()
    assert CursorFile(path).load() is None


def test_a_damaged_file_with_none_before_it_is_refused_with_what_to_do(path: Path) -> None:
    path.write_bytes(b'{"version":1,')
    with pytest.raises(CursorFileError, match="remove it to start from the beginning"):
        CursorFile(path).load()


@pytest.mark.parametrize("is_watch", [False, True])
def test_the_other_kind_of_file_is_refused(path: Path, *, is_watch: bool) -> None:
    saved(path, cursor())
    place = CursorFile(path)
    if is_watch:
        with CursorFile(path) as other:
            other.save({1: cursor()})
    with pytest.raises(CursorFileError, match="checkpoint"):
        _ = place.load() if is_watch else place.load_checkpoint()


def test_a_directory_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(CursorFileError, match="not a regular file"):
        CursorFile(tmp_path).load()


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CursorFileError, match="directory does not exist"):
        CursorFile(tmp_path / "none" / "web.cursor").load()


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(path: Path) -> None:
    place = CursorFile(path)
    place.check()
    path.mkdir()
    with pytest.raises(CursorFileError, match=str(path)):
        place.save(cursor())
    assert list(path.parent.iterdir()) == [path]


def test_an_error_of_the_block_is_not_hidden_by_one_of_the_file(path: Path) -> None:
    def fail() -> None:
        with CursorFile(path, interval=3600.0) as place:
            place.save(cursor(latest_id=1))
            place.save(cursor(latest_id=2))
            path.unlink()
            path.mkdir()
            raise KeyError

    with pytest.raises(KeyError):
        fail()


def test_the_permissions_of_the_file_stay(path: Path) -> None:
    saved(path, cursor())
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    saved(path, cursor(latest_id=2))
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    saved(link, cursor())
    assert link.is_symlink()
    assert CursorFile(path).load() == cursor()


def test_within_an_interval_nothing_is_written(path: Path) -> None:
    with CursorFile(path, interval=3600.0) as place:
        place.save(cursor(latest_id=1))
        place.save(cursor(latest_id=2))
        assert CursorFile(path).load() == cursor(latest_id=1)
    assert CursorFile(path).load() == cursor(latest_id=2)


async def test_what_was_given_and_not_saved_comes_again(
    emulator: Emulator, services: Services, path: Path
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, *range(5))

    async def work_on_three_lines() -> None:
        with CursorFile(path, interval=0.0) as place:
            async with services.tail_logs(service_id, **QUICK) as tail:
                for _ in range(3):
                    await take(tail, 1)
                    place.save(tail)
                await take(tail, 1)
                raise KeyError  # the fourth line could not be worked on

    with pytest.raises(KeyError):
        await work_on_three_lines()
    async with services.tail_logs(service_id, resume=CursorFile(path).load(), **QUICK) as tail:
        assert await take(tail, 1) == ["line 3"]


async def test_what_was_saved_does_not_come_again_after_a_cancellation(
    emulator: Emulator, services: Services, path: Path
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, *range(5))
    with CursorFile(path, interval=3600.0) as place:
        async with services.tail_logs(service_id, **QUICK) as tail:
            for _ in range(3):
                await take(tail, 1)
                place.save(tail)
    async with services.tail_logs(service_id, resume=CursorFile(path).load(), **QUICK) as tail:
        assert await take(tail, 2) == ["line 3", "line 4"]


WRITER = """
import sys
from aioservices import CursorFile, LogCursor
with CursorFile(sys.argv[1], interval=0.0) as place:
    number = 0
    while True:
        number += 1
        place.save(LogCursor(service_id=1, latest_id=number))
        if number == 20:
            print("ready", flush=True)
"""


def test_a_process_that_is_killed_leaves_a_whole_file(path: Path) -> None:
    newest = 0
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGKILL)
        found = LogCursor.from_json(path.read_text())
        newest = found.latest_id or 0
        assert newest >= 20
