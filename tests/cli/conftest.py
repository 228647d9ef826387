"""The program, run in a pipe and on a terminal of its own."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import pytest

from aioservices.emulator import Emulator

PROGRAM = [sys.executable, "-W", "error", "-m", "aioservices"]


@dataclass
class Ended:
    status: int
    output: str
    errors: str = ""

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


class Cli:
    """Runs the program against an emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def environment(self, **others: str) -> dict[str, str]:
        return (
            os.environ
            | {
                "CIVIS_API_KEY": self.emulator.api_key,
                "CIVIS_API_ENDPOINT": self.emulator.url,
                "TERM": "xterm-256color",
                "PYTHONIOENCODING": "utf-8",
            }
            | others
        )

    async def run(self, *arguments: str, input: str | bytes = "", **environment: str) -> Ended:
        """Run it in pipes, to its end."""
        with anyio.fail_after(60):
            done = await anyio.run_process(
                [*PROGRAM, *arguments],
                input=input if isinstance(input, bytes) else input.encode(),
                check=False,
                env=self.environment(**environment),
            )
        encoding = environment.get("PYTHONIOENCODING", "utf-8")
        return Ended(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))

    async def run_unread(self, *arguments: str) -> Ended:
        """Run it in a pipe that nobody reads any more."""
        ours, theirs = os.pipe()
        os.close(ours)
        try:
            with anyio.fail_after(60):
                done = await anyio.run_process(
                    [*PROGRAM, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=theirs,
                    check=False,
                    env=self.environment(),
                )
        finally:
            os.close(theirs)
        return Ended(done.returncode, "", done.stderr.decode())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run it in pipes."""
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
        )

    @contextmanager
    def terminal(
        self, *arguments: str, columns: int = 80, rows: int = 24, **environment: str
    ) -> Iterator["Terminal"]:
        """Run it on a terminal."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=self.environment(**environment),
            # A session of its own, whose terminal this is: Ctrl-C reaches it.
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            os.close(ours)


class Terminal:
    """What a person sees, and types."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self.text = ""
        self._descriptor = descriptor

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    async def until(self, text: str) -> str:
        """Read until a text is there."""
        with anyio.fail_after(60):
            while text not in self.text and await self._read():
                pass
        assert text in self.text, self.text
        return self.text

    async def end(self) -> Ended:
        with anyio.fail_after(60):
            while await self._read():
                pass
            status = await anyio.to_thread.run_sync(self.process.wait)
        return Ended(status, self.text.replace("\r\n", "\n"))

    async def _read(self) -> bool:
        await anyio.wait_readable(self._descriptor)
        try:
            read = os.read(self._descriptor, 65536)
        except OSError:  # its end, on Linux
            return False
        self.text += read.decode(errors="replace")
        return bool(read)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def cli(emulator: Emulator) -> Cli:
    return Cli(emulator)
