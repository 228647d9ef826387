"""Standard output, whose reader may be slow or gone, written to from an event loop."""

from __future__ import annotations

import os
import select
import sys

import anyio

__all__ = ["discard", "write", "write_while_read"]


async def write(text: str) -> None:
    """Write a text to standard output, and have it there when this returns.

    Whoever reads it may be slow, or not read at all: as with a pager. Ctrl-C
    must end the program then, too, which a blocking write would not allow.

    Parameters
    ----------
    text : str

    Raises
    ------
    BrokenPipeError
        If nobody reads it any more.
    """
    sys.stdout.flush()
    if sys.platform == "win32":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    descriptor = sys.stdout.fileno()
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    left = memoryview(text.encode(sys.stdout.encoding, "backslashreplace"))
    while left:
        if not ready.poll(0):
            await anyio.wait_writable(descriptor)
        try:
            # So much fits at once where anything does.
            count = os.write(descriptor, left[: select.PIPE_BUF])
        except BlockingIOError:
            continue
        left = left[count:]


async def write_while_read(text: str) -> None:
    """Write as `write` does; once nobody reads any more, to nowhere.

    For commands whose work matters more than what they tell of it.
    """
    try:
        await write(text)
    except BrokenPipeError:
        discard()


def discard() -> None:
    """Let standard output lead to nowhere from now on.

    What is still in Python's buffer would fail again, aloud, at exit.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
