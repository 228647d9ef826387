"""A terminal: a program on it, and what it shows of what is written to it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import anyio

from tests.servers.programs import Ended, Process, kill, launch, take_terminal
from tests.servers.waiting import PATIENCE

# As much of what a terminal understands as rich makes use of.
_TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def shown_on(text: str, *, rows: int) -> list[str]:
    """Return the lines that it finally shows, and those that have scrolled off."""
    lines = [""]
    row = column = 0
    for number, command, control, written in _TOKEN.findall(text):
        if control == "\n":
            row, column = row + 1, 0  # the terminal's driver adds the carriage return
            lines += [""] * (row + 1 - len(lines))
        elif control == "\r":
            column = 0
        elif command == "A":
            # What has gone out at the top cannot be reached any more.
            row = max(row - int(number or 1), len(lines) - rows, 0)
        elif command == "K":
            assert number == "2"
            lines[row] = ""
        elif written:
            before = lines[row].ljust(column)
            lines[row] = before[:column] + written + before[column + len(written) :]
            column += len(written)
        else:
            assert command in "mhl", command
    while lines and not lines[-1].strip():
        del lines[-1]
    return [line.rstrip() for line in lines]


class Terminal:
    """What a person sees, and types."""

    def __init__(self, process: Process, descriptor: int) -> None:
        self.process = process
        self.text = ""
        self._descriptor = descriptor

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    async def until(self, text: str) -> str:
        """Read until a text is there."""
        with anyio.move_on_after(PATIENCE):
            while text not in self.text and await self._read():
                pass
        assert text in self.text, self.text  # too late, or it has ended: what there is says why
        return self.text

    async def end(self) -> Ended:
        """Read until its end."""
        with anyio.fail_after(PATIENCE):
            while await self._read():
                pass
        return Ended(await self.wait(), self.text.replace("\r\n", "\n"))

    async def wait(self) -> int:
        """Wait for its end without reading, and give the exit status."""
        return await anyio.to_thread.run_sync(self.process.wait, PATIENCE)

    async def _read(self) -> bool:
        await anyio.wait_readable(self._descriptor)
        try:
            read = os.read(self._descriptor, 65536)
        except OSError:  # its end, on Linux
            return False
        self.text += read.decode(errors="replace")
        return bool(read)


@contextmanager
def on_terminal(
    *arguments: str,
    columns: int = 80,
    rows: int = 24,
    module: str = "aioservices",
    environment: Mapping[str, str],
) -> Iterator[Terminal]:
    """Run a program on a separate terminal; it is killed, if it still runs."""

    def start(descriptor: int) -> Process:
        streams = [descriptor] * 3
        return launch(module, arguments, streams, environment, on_terminal=True)

    with _started_on_terminal(start, columns, rows) as terminal:
        yield terminal


@contextmanager
def shell_on_terminal(
    *command: str, columns: int = 80, rows: int = 24, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """Run a shell on a separate terminal; it is killed, if it still runs."""

    def start(descriptor: int) -> Process:
        return subprocess.Popen(
            command,
            stdin=descriptor,
            stdout=descriptor,
            stderr=descriptor,
            env=environment,
            preexec_fn=take_terminal,
        )

    with _started_on_terminal(start, columns, rows) as terminal:
        yield terminal


@contextmanager
def _started_on_terminal(
    start: Callable[[int], Process], columns: int, rows: int
) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    try:
        try:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            process = start(theirs)
        finally:
            os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            kill(process)
    finally:
        os.close(ours)
