"""Runs the emulator until a signal ends it: what the command does."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TextIO, TypeAlias

from aioservices.emulator.emulator import UNLIMITED, Emulator
from aioservices.emulator.state_file import StateFileError

__all__ = ["ServeError", "Write", "parse_program", "print_text", "serve"]

Write: TypeAlias = Callable[[str, TextIO], Awaitable[None]]
"""Writes a text to `sys.stdout` or `sys.stderr`; returns or raises when that is done."""


class ServeError(Exception):
    """The emulator cannot be started, or its state cannot be saved; the message says why."""


def parse_program(text: str) -> tuple[str, list[str]]:
    """Read `NAME=COMMAND`, whose command is split as a shell splits it.

    Raises
    ------
    ValueError
        It has another form; the message says what is wrong.
    """
    name, separator, command = text.partition("=")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"cannot read the command of {name!r}: {error}") from None
    if not (name and separator and words):
        raise ValueError(f"{text!r} is not of the form NAME=COMMAND")
    return name, words


async def print_text(text: str, stream: TextIO) -> None:
    """Write a text to a standard stream.

    Raises
    ------
    ServeError
        It cannot be written.
    """
    try:
        print(text, end="", file=stream, flush=True)
    except OSError as error:
        # What could not be written must not be tried again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        reason = error.strerror or str(error)
        raise ServeError(f"the output cannot be written: {reason}") from error


def serve(
    *,
    port: int = 0,
    services: int = 3,
    api_key: str | None = None,
    programs: Mapping[str, Sequence[str]] | None = None,
    rate_limit: int = UNLIMITED,
    latency: float = 0.0,
    state_file: str | None = None,
    write: Write = print_text,
) -> None:
    """Run the emulator until SIGINT, SIGTERM or SIGHUP.

    Prints one line when it accepts connections. The address of its page goes to standard
    error, and so does a random key.

    Parameters
    ----------
    port
        The TCP port on 127.0.0.1; 0 takes a free one.
    services
        How many services run and write lines from the beginning, unless the state file
        brings its own.
    api_key
        The accepted key. None: a random one.
    programs
        More services, by name, each with the command that it stands for.
    rate_limit
        Requests that are accepted in 300 s.
    latency
        Seconds by which each answer is delayed.
    state_file
        Keeps the state from one start to the next.
    write
        Writes what is printed. Default: `print_text`.

    Raises
    ------
    ServeError
        The port is in use, the state file cannot be used, or the output cannot be written.
    OSError
        From `write`, except for a `BrokenPipeError`.
    """
    try:
        emulator = Emulator(
            services,
            port=port,
            api_key=api_key,
            deployed=True,
            log_interval=1.0,
            rate_limit=rate_limit,
            latency=latency,
            state_file=state_file,
        )
        for name, command in (programs or {}).items():
            emulator.add_service(name, command=command)
        asyncio.run(_serve(emulator, port, write, tell_key=api_key is None))
    except BrokenPipeError as error:
        raise ServeError(f"the output cannot be written: {error.strerror}") from error
    except StateFileError as error:
        raise ServeError(str(error)) from error


async def _serve(emulator: Emulator, port: int, write: Write, *, tell_key: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as running:
        try:
            await running.enter_async_context(emulator)
        except OSError as error:
            # asyncio replaces `strerror` by a sentence.
            reason = os.strerror(error.errno) if error.errno else str(error)
            advice = "choose another, or 0 for a free one"
            raise ServeError(f"cannot listen on port {port}: {reason}: {advice}") from error
        await write(f"Emulator listening on {emulator.url}\n", sys.stdout)
        settings = f"CIVIS_API_ENDPOINT={emulator.url}"
        if tell_key:
            settings += f" CIVIS_API_KEY={emulator.api_key}"
        await write(f"Its page is at {emulator.page_url}\nexport {settings}\n", sys.stderr)
        await stop.wait()
