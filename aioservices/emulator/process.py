"""A real program as a deployment."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import NamedTuple

import anyio
from anyio.abc import ByteReceiveStream, Process

from aioservices.emulator.reaper import MARK, carries, marked, signal_group, signal_process
from aioservices.emulator.schemas import Stream
from aioservices.emulator.state import Program

__all__ = ["MAX_LINE", "Outcome", "run"]

MAX_LINE = 64 * 1024
"""Bytes of a line; a longer one becomes several."""


# Seconds to wait for killed processes; orphans that nobody reaps never disappear.
_KILL_SECONDS = 2.0
_POLL = 0.02


class Outcome(NamedTuple):
    """The state and the message of a deployment whose program has ended."""

    state: str
    message: str


async def run(
    program: Program,
    environment: Mapping[str, str],
    *,
    mark: str,
    stop: anyio.Event,
    grace: float,
    on_start: Callable[[int], None],
    on_line: Callable[[Stream, str], None],
) -> Outcome:
    """Run a program until it ends or is stopped, and end its descendants.

    Cancelling this has no effect, so that the last lines of the program are not lost: it ends soon
    after `stop` is set.

    Parameters
    ----------
    program
        What to run.
    environment
        All its environment variables.
    mark
        The value of one more variable, by which its descendants are found.
    stop
        Set by the caller to stop it.
    grace
        Seconds from SIGTERM until SIGKILL.
    on_start
        Called when it runs, with its process group.
    on_line
        Called with each line, when it is written.
    """
    outcome = Outcome("failed", "could not start")
    with anyio.CancelScope(shield=True):
        try:
            process = await anyio.open_process(
                program.command,
                stdin=subprocess.DEVNULL,
                env={**environment, MARK: mark},
                cwd=program.cwd,
                start_new_session=True,
            )
        except OSError as error:
            return Outcome("failed", f"could not start: {error.strerror}: {error.filename}")
        except ValueError:
            # The text of the error could show the variable, whose value may be a secret.
            return Outcome("failed", "could not start: an environment variable is not valid")
        async with process:
            on_start(process.pid)
            await _supervise(process, mark, stop, grace, on_line)
            outcome = _outcome(await process.wait())
    return outcome


async def _supervise(
    process: Process,
    mark: str,
    stop: anyio.Event,
    grace: float,
    on_line: Callable[[Stream, str], None],
) -> None:
    async with anyio.create_task_group() as readers:
        if process.stdout is not None:
            readers.start_soon(_read, process.stdout, "stdout", on_line)
        if process.stderr is not None:
            readers.start_soon(_read, process.stderr, "stderr", on_line)
        try:
            async with anyio.create_task_group() as ending:
                ending.start_soon(_end_descendants, process.pid, mark, stop, grace)
                await process.wait()
                # Its descendants must not outlive it, even when it ended by itself.
                stop.set()
        except BaseException:
            # If the loop is closed abruptly, not even a shield protects the code above.
            signal_group(process.pid, signal.SIGKILL)
            for pid in marked(mark):
                signal_process(pid, signal.SIGKILL)
            raise
        # A process that was not found may still hold the pipes.
        readers.cancel_scope.deadline = anyio.current_time() + grace


async def _read(
    pipe: ByteReceiveStream, stream: Stream, on_line: Callable[[Stream, str], None]
) -> None:
    rest = b""
    try:
        async for chunk in pipe:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                _emit(line, stream, on_line)
            while len(rest) >= MAX_LINE:
                _emit(rest[:MAX_LINE], stream, on_line)
                rest = rest[MAX_LINE:]
    finally:
        if rest:
            _emit(rest, stream, on_line)


def _emit(line: bytes, stream: Stream, on_line: Callable[[Stream, str], None]) -> None:
    line = line.removesuffix(b"\r")
    for begin in range(0, len(line) or 1, MAX_LINE):
        on_line(stream, line[begin : begin + MAX_LINE].decode(errors="replace"))


async def _end_descendants(group: int, mark: str, stop: anyio.Event, grace: float) -> None:
    await stop.wait()
    # Until the last one is dead, it may hold the port that the next program needs.
    if not await _signal_descendants(group, mark, signal.SIGTERM, grace):
        await _signal_descendants(group, mark, signal.SIGKILL, _KILL_SECONDS)


async def _signal_descendants(group: int, mark: str, number: int, timeout: float) -> bool:
    """Signal a group and processes that left it; returns whether all have ended in time."""
    exists = signal_group(group, number)
    with anyio.move_on_after(timeout):
        while True:
            # In a thread, because there may be thousands of processes to check.
            left_over = await anyio.to_thread.run_sync(_outside_group, group, mark)
            if not exists and not left_over:
                return True
            for pid in left_over:
                signal_process(pid, number)
            # Nothing reports the end of a process that is not a child of this one.
            while any(carries(pid, mark) for pid in left_over) or signal_group(group, 0):  # noqa: ASYNC110
                await anyio.sleep(_POLL)
            exists = False
    return False


def _outside_group(group: int, mark: str) -> list[int]:
    """List the processes with a mark that are not in the group."""
    left_over: list[int] = []
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) != group:
                left_over.append(pid)
    return left_over


def _outcome(status: int) -> Outcome:
    if status == 0:
        return Outcome("terminated", "exited with status 0")
    if status > 0:
        return Outcome("failed", f"exited with status {status}")
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    return Outcome("failed", f"killed by signal {name}")
