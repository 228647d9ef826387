"""The project's programs, run as a user runs them: a process, its streams, signals and variables.

Theory of operation
-------------------
Of a short command nearly all the time is Python's start and the imports, and tests run hundreds of
them. So a separate process (multiprocessing's fork server) has imported everything once, and each
program is a copy of it that continues as ``python -W error -m MODULE`` does: with arguments, an
environment, a folder, standard streams and, if wished, a terminal, none of which it has in common
with the test. What is not the same is what came before: the imports, and the variables that Python
itself reads when it starts. A program that is given one of those (``PYTHON...``, but for the
encoding of the streams) is started afresh.
So are the ones that a shell starts, those of the examples and of the documentation, and those whose
subject is the start.
"""

import codecs
import fcntl
import multiprocessing
import multiprocessing.connection
import os
import runpy
import select
import signal
import subprocess
import sys
import termios
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol, TextIO

import anyio.to_thread

from tests.servers.waiting import PATIENCE, until

# For a shell, which starts a new process.
COMMAND = [sys.executable, "-W", "error", "-m", "aioservices"]

_fork_server = multiprocessing.get_context("forkserver")
# Not what runs as `__main__`: each copy does that itself.
_fork_server.set_forkserver_preload(
    [
        __name__,
        "aioservices.cli.app",
        "aioservices.collect.config",
        "aioservices.emulator.serve",
        "aioservices.terminal.run",
    ]
)


class Process(Protocol):
    """A process: one that was started, or a copy."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...


@dataclass
class Ended:
    """What a program did."""

    status: int
    output: str = ""
    errors: str = ""

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


@dataclass
class Program:
    """A running program, and what it writes."""

    process: Process
    stdout: TextIO
    stderr: TextIO

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """Return the exit status, or minus the signal that ended it; None while it runs."""
        return self.process.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        self.process.send_signal(number)

    async def readline(self, *, errors: bool = False) -> str:
        """Read a line of its output, or of its standard error."""
        with self._in_time():
            stream = self.stderr if errors else self.stdout
            return await anyio.to_thread.run_sync(stream.readline)

    async def until_full(self) -> None:
        """Wait until it cannot write any more, because nobody reads its output."""
        # Another end of the same pipe, which shows whether there is space in it.
        write = os.open(f"/dev/fd/{self.stdout.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
        try:
            await until(lambda: not select.select([], [write], [], 0)[1])
        finally:
            os.close(write)

    async def wait(self) -> int:
        """Wait for its end, and give the exit status."""
        return await anyio.to_thread.run_sync(self.process.wait, PATIENCE)

    async def end(self) -> Ended:
        """Read what it writes until its end."""
        with self._in_time():
            output, errors = await anyio.to_thread.run_sync(self._rest)
        return Ended(await self.wait(), output, errors)

    def _rest(self) -> list[str]:
        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(_rest_of, (self.stdout, self.stderr)))

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Kill a program that hangs, and so end what waits for a pipe of it."""
        timer = threading.Timer(PATIENCE, self.send_signal, [signal.SIGKILL])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _rest_of(stream: TextIO) -> str:
    return "" if stream.closed else stream.read()


@contextmanager
def start(
    *arguments: str,
    module: str = "aioservices",
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    input: bytes = b"",
    output: int | None = None,
    errors: int | None = None,
) -> Iterator[Program]:
    """Start a program in pipes; when the block is left it is killed, if it still runs.

    Parameters
    ----------
    *arguments : str
        Those of the command line.
    module : str
        What ``python -m`` would run.
    environment : mapping of str to str, optional
        Default: the test's own.
    folder : Path, optional
        Where it runs. Default: where the test does.
    input : bytes
        What it can read.
    output, errors : int, optional
        Descriptors for what it writes, or `subprocess.STDOUT` for errors that go with the output.
        Default: a pipe each, that the program's object reads.
    """
    environment = os.environ if environment is None else environment
    encoding = environment.get("PYTHONIOENCODING", "").partition(":")[0] or "utf-8"
    with ExitStack() as ours:
        with ExitStack() as theirs:
            read, write = os.pipe()
            theirs.callback(os.close, read)
            ours.callback(_Sender(write, input).join)
            streams, texts = [read], []
            for descriptor in (output, errors):
                read, write = os.pipe()
                theirs.callback(os.close, write)
                if descriptor == subprocess.STDOUT:
                    streams.append(streams[1])
                else:
                    streams.append(write if descriptor is None else descriptor)
                text = os.fdopen(read, encoding=encoding, newline="")
                texts.append(ours.enter_context(text))
            process = launch(module, arguments, streams, environment, folder)
        ours.callback(kill, process)
        yield Program(process, *texts)


async def run(
    *arguments: str,
    module: str = "aioservices",
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    input: bytes = b"",
    output: int | None = None,
) -> Ended:
    """Run a program in pipes to its end; the parameters are those of `start`."""
    with start(
        *arguments,
        module=module,
        environment=environment,
        folder=folder,
        input=input,
        output=output,
    ) as program:
        return await program.end()


def launch(
    module: str,
    arguments: Sequence[str],
    streams: Sequence[int],
    environment: Mapping[str, str],
    folder: Path | None = None,
    *,
    on_terminal: bool = False,
) -> Process:
    """Start a program on three descriptors.

    Parameters
    ----------
    module, arguments, environment, folder
        As those of `start`.
    streams : sequence of int
        Descriptors for its standard input, output and error.
    on_terminal : bool
        Whether these are a terminal that becomes its own: Ctrl-C reaches it.
    """
    of_python = {name for name in environment if name.startswith("PYTHON") and environment[name]}
    if of_python - {"PYTHONIOENCODING"}:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", module, *arguments],
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            env=environment,
            cwd=folder,
            preexec_fn=take_terminal if on_terminal else None,
        )
    return _Copy(module, arguments, streams, environment, folder or Path.cwd(), on_terminal)


class _Copy:
    """A copy of the process that has imported everything."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        streams: Sequence[int],
        environment: Mapping[str, str],
        folder: Path,
        on_terminal: bool,
    ) -> None:
        handed = [Connection(os.dup(stream)) for stream in streams]
        self._process = _fork_server.Process(
            target=_become,
            args=(module, list(arguments), handed, dict(environment), str(folder), on_terminal),
        )
        try:
            self._process.start()
        finally:
            for each in handed:
                each.close()
        self._lock = threading.Lock()  # the status can be read once

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        with self._lock:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        multiprocessing.connection.wait([self._process.sentinel], timeout)
        if (status := self.poll()) is None:
            raise TimeoutError(f"the program still runs after {timeout} s")
        return status

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


def _become(
    module: str,
    arguments: list[str],
    streams: list[Connection],
    environment: dict[str, str],
    folder: str,
    on_terminal: bool,
) -> None:
    """Be a program, in a copy."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    if on_terminal:
        take_terminal()
    # As Python does it, in the suite's locale.
    encoding, _, handler = environment.get("PYTHONIOENCODING", "").partition(":")
    own = partial(os.fdopen, encoding=codecs.lookup(encoding or "utf-8").name, closefd=False)
    errors = handler or ("strict" if encoding else "surrogateescape")
    sys.stdin = own(0, errors=errors)
    sys.stdout = own(1, "w", errors=errors)
    sys.stderr = own(2, "w", buffering=1, errors="backslashreplace")
    sys.argv = [module, *arguments]
    warnings.simplefilter("error")
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def kill(process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE)


class _Sender(threading.Thread):
    """Writes what a program can read, however slowly it does."""

    def __init__(self, descriptor: int, data: bytes) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._data = data
        self.start()

    def run(self) -> None:
        with suppress(BrokenPipeError), os.fdopen(self._descriptor, "wb") as stream:
            stream.write(self._data)
