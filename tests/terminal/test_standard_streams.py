"""The standard streams, over real pipes and terminals."""

import errno
import os
import pty
import threading
from collections.abc import Iterator

import anyio
import pytest

from aioservices.terminal.output import Output
from tests.servers.terminal import shown_on
from tests.servers.waiting import PATIENCE


@pytest.fixture
def pipe() -> Iterator[tuple[int, Output]]:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w", encoding="ascii") as stream:
        yield ours, Output(stream)
    os.close(ours)


async def test_what_nobody_reads_waits_without_stopping_the_event_loop(
    pipe: tuple[int, Output],
) -> None:
    ours, output = pipe
    written = 0
    with anyio.move_on_after(0.5):
        while True:
            await output.write("x" * 1000)
            written += 1000
    assert written > 0
    # The reader comes back, and gets all of it.
    output.post("end")
    received = b""
    while not received.endswith(b"end"):
        received += await anyio.to_thread.run_sync(os.read, ours, 1_000_000)
    assert len(received) in {written + 3, written + 1003}  # the write that was given up was posted
    await output.flush()


async def write_on(output: Output) -> None:
    while True:
        await output.write("text")


async def test_a_reader_that_has_gone_is_an_error_once_something_is_written() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        output = Output(stream)
        os.close(ours)
        with anyio.fail_after(PATIENCE):
            await output.until_unwritable()  # noticed although nothing is written
            with pytest.raises(BrokenPipeError):
                await write_on(output)
        output.post("nobody reads this")
        output.finish()
        assert output.error is not None
        assert output.error.errno == errno.EPIPE


async def test_a_character_that_the_encoding_lacks_is_escaped(pipe: tuple[int, Output]) -> None:
    ours, output = pipe
    await output.write("ü \ud800 日")
    await output.flush()
    assert os.read(ours, 100) == rb"\xfc \ud800 \u65e5"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-16-be"])
async def test_the_mark_of_an_encoding_comes_once_before_everything(encoding: str) -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w", encoding=encoding) as stream:
        output = Output(stream)
        output.post("")
        output.footer(["first footer"])
        await output.flush()
        for text in ("one\n", "two\n"):
            await output.write(text)
            await output.flush()
        output.footer(())
        await output.flush()
    received = os.read(ours, 10_000).decode(encoding)
    os.close(ours)
    assert "\ufeff" not in received
    assert shown_on(received, rows=24) == ["one", "two"]
    # A footer goes below a whole line, without an empty one in between.
    assert "two\nfirst footer" in received


async def test_an_output_that_fails_is_noticed_although_nothing_waits_for_it() -> None:
    with open("/dev/full", "w") as stream:  # noqa: PTH123
        output = Output(stream)
        output.post("text")
        with anyio.fail_after(PATIENCE):
            await output.until_unwritable()
        assert output.error is not None
        assert output.error.errno == errno.ENOSPC


async def test_every_writer_of_many_threads_is_heard(pipe: tuple[int, Output]) -> None:
    ours, output = pipe

    def post() -> None:
        for _ in range(100):
            output.post("line\n")

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await output.flush()
    assert os.read(ours, 65_536) == b"line\n" * 800


async def test_a_footer_stays_below_what_is_written_and_is_taken_away() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        output = Output(stream)
        received = ""

        async def until(text: str) -> None:
            nonlocal received
            while text not in received:
                await anyio.wait_readable(ours)
                received += os.read(ours, 65_536).decode()

        with anyio.fail_after(PATIENCE):
            output.footer(["one", "two"])
            await until("two")
            output.post("first\n")
            await until("first")
            await until("first\r\none\r\ntwo")
            assert shown_on(received.replace("\r\n", "\n"), rows=24) == ["first", "one", "two"]
            output.footer(["three"])
            await until("three")
            output.post("last\n")
            output.footer(())
            output.finish()
            output.post("end\n")
            await until("end")
        assert shown_on(received.replace("\r\n", "\n"), rows=24) == ["first", "last", "end"]
    os.close(ours)
