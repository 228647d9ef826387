"""A real program as a deployment."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import NamedTuple

import anyio
from anyio.abc import ByteReceiveStream, Process

from aioservices.emulator.schemas import Stream
from aioservices.emulator.state import Program

__all__ = ["MAX_LINE", "Outcome", "run"]

MAX_LINE = 64 * 1024
"""Bytes of a line; a longer one becomes several."""


# Seconds to wait for the dead; where nobody collects orphans they stay for ever.
_DYING = 2.0


class Outcome(NamedTuple):
    """How a program ended, in the words of a deployment."""

    state: str
    message: str


async def run(
    program: Program,
    environment: Mapping[str, str],
    *,
    stop: anyio.Event,
    grace: float,
    on_start: Callable[[], None],
    on_line: Callable[[Stream, str], None],
) -> Outcome:
    """Run a program until it ends, or is stopped; its children end with it.

    Cancelling this does nothing, so that the program's last lines are not lost: it ends soon
    after `stop` is set.

    Parameters
    ----------
    program
        What to run.
    environment
        All its environment variables.
    stop
        Set by the caller, to stop it.
    grace
        Seconds from SIGTERM until SIGKILL.
    on_start
        Called when it runs.
    on_line
        Called with each line, when it is written.
    """
    outcome = Outcome("failed", "could not start")
    with anyio.CancelScope(shield=True):
        try:
            process = await anyio.open_process(
                program.command,
                stdin=subprocess.DEVNULL,
                env=environment,
                cwd=program.cwd,
                start_new_session=True,
            )
        except OSError as error:
            return Outcome("failed", f"could not start: {error.strerror}: {error.filename}")
        except ValueError:
            # What it says could show the variable, whose value may be a secret.
            return Outcome("failed", "could not start: an environment variable is not valid")
        async with process:
            on_start()
            await _attend(process, stop, grace, on_line)
            outcome = _outcome(await process.wait())
    return outcome


async def _attend(
    process: Process, stop: anyio.Event, grace: float, on_line: Callable[[Stream, str], None]
) -> None:
    async with anyio.create_task_group() as readers:
        if process.stdout is not None:
            readers.start_soon(_read, process.stdout, "stdout", on_line)
        if process.stderr is not None:
            readers.start_soon(_read, process.stderr, "stderr", on_line)
        try:
            async with anyio.create_task_group() as ending:
                ending.start_soon(_end_group, process.pid, stop, grace)
                await process.wait()
                # Its children must not outlive it, even when it ended by itself.
                stop.set()
        except BaseException:
            # When a loop is closed in a hurry not even a shield keeps the above going.
            _signal(process.pid, signal.SIGKILL)
            raise
        # Whoever left the group may still hold the pipes.
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


async def _end_group(group: int, stop: anyio.Event, grace: float) -> None:
    await stop.wait()
    if _signal(group, signal.SIGTERM) and not await _is_gone(group, grace):
        _signal(group, signal.SIGKILL)
        # Until its last member is dead, one may still hold the port that the next one needs.
        await _is_gone(group, _DYING)


async def _is_gone(group: int, within: float) -> bool:
    with anyio.move_on_after(within):
        while _signal(group, 0):  # noqa: ASYNC110 - nobody tells when a group is gone
            await anyio.sleep(0.02)
        return True
    return False


def _signal(group: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


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
