r"""The standard streams, each written to by a thread of its own.

Theory of operation
-------------------
A terminal that is stopped (Ctrl-S), a pager and a pipe that is full take no bytes, and a write to
them blocks whoever makes it: an event loop would stand still, with all that it deploys and follows,
and would not notice Ctrl-C. Whether a write will block cannot be known beforehand (`poll` tells it
of pipes, not of terminals), and non-blocking mode belongs to the open file, which other programs
share. So only a thread of its own writes to a stream. Everything else hands it text: `post` never
waits, and `write` waits for room, so that a slow reader slows down what it reads.

What waits is written as one piece. A *footer* is what a terminal shows below the last line: a
progress display. It is redrawn under whatever is written, and frames that nobody could have seen
are left out. Standard error is the same `Output` as standard output where both lead to the same
place: then their lines stay in order, and notes appear above the footer.

A stream that cannot be written to any more (its reader has gone, the disk is full) is remembered
as `error`, and what comes later is dropped: whether that ends the program is for the program to
say. A character that the stream's encoding lacks is written as an escape sequence, as ``\xe9``.
All text of a stream passes one encoder, in the order in which it is written: an encoding such as
UTF-16 puts a mark before the first character, and before that one only.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import io
import os
import select
import stat
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO

import anyio

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Output", "standard_streams", "stderr", "stdout", "write_through"]

_FULL = 256 * 1024  # bytes that may wait before `write` does
_PIECE = 64 * 1024  # bytes for one call of the operating system
_CHECKED_EVERY = 0.2  # seconds


class Output:
    """A standard stream.

    Parameters
    ----------
    stream : text file
        What Python made of it. Its buffer must be empty.
    """

    def __init__(self, stream: TextIO) -> None:
        self.encoding = stream.encoding or "utf-8"
        self.is_terminal = stream.isatty()
        self._descriptor = stream.fileno()
        self._encoder = codecs.getincrementalencoder(self.encoding)("backslashreplace")
        self._changed = threading.Condition()
        self._posted: list[bytes] = []
        self._size = 0  # bytes that wait, or are being written
        self._footer: Sequence[str] = ()
        self._drawn: Sequence[str] = ()  # the footer that the terminal shows
        self._at_line_start = True  # the next character that is written begins a line
        self._posted_whole_line = True  # whether what was posted last ends with a line feed
        self._writing = False
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        self._wake_ups: list[Callable[[], None]] = []

    @property
    def error(self) -> OSError | None:
        """Why nothing can be written any more; None while all is well."""
        return self._error

    @property
    def columns(self) -> int:
        """The width of the terminal, in cells; 80 where there is none."""
        return self._terminal_size().columns

    @property
    def rows(self) -> int:
        """The height of the terminal, in lines; 24 where there is none."""
        return self._terminal_size().lines

    def post(self, text: str | bytes) -> None:
        """Have a text written behind everything that waits; never waits and never fails."""
        with self._changed:
            if text and self._error is None:
                data = text if isinstance(text, bytes) else self._encoder.encode(text)
                self._posted.append(data)
                self._posted_whole_line = text[-1:] in ("\n", b"\n")
                self._size += len(data)
                self._start()

    def footer(self, lines: Sequence[str]) -> None:
        """Show these lines below everything that is written; none to take them away.

        Parameters
        ----------
        lines : sequence of str
            None of them wider than the terminal, and fewer than it has rows.
        """
        with self._changed:
            self._footer = tuple(lines)
            if self._error is None and self._footer != self._drawn:
                self._start()

    async def write(self, text: str | bytes) -> None:
        """Have a text written behind everything that waits; wait as long as too much does.

        Raises
        ------
        OSError
            If nothing can be written any more; a `BrokenPipeError` if nobody reads it.
        """
        self.post(text)
        await self._until(lambda: self._size <= _FULL)

    async def flush(self) -> None:
        """Wait until all is written.

        Raises
        ------
        OSError
            As `write`.
        """
        await self._until(self._is_idle)

    async def until_unwritable(self) -> None:
        """Wait until nothing can be written any more: a write failed, or a pipe's reader has gone.

        That a reader has gone is noticed although nothing is written.
        """
        mode = os.fstat(self._descriptor).st_mode
        poll = None
        if hasattr(select, "poll") and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            poll = select.poll()
            poll.register(self._descriptor, 0)  # errors are reported in any case
        # Nothing reports when it happens.
        while self._error is None and not (poll and poll.poll(0)):  # noqa: ASYNC110
            await anyio.sleep(_CHECKED_EVERY)

    def finish(self, patience: float | None = None) -> None:
        """Wait until all is written, without an event loop.

        Parameters
        ----------
        patience : float, optional
            Seconds after which the rest is given up. Default: as long as it takes.
        """
        self.footer(())
        with self._changed:
            self._changed.wait_for(self._is_idle, patience)

    def _terminal_size(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(self._descriptor)
        except OSError:
            size = os.terminal_size((0, 0))
        return os.terminal_size((size.columns or 80, size.lines or 24))

    def _is_idle(self) -> bool:
        return self._error is not None or not (
            self._size or self._writing or self._footer != self._drawn
        )

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait until the thread has made a condition true."""
        while True:
            with self._changed:
                if self._error is not None:
                    raise OSError(self._error.errno, self._error.strerror)
                if condition():
                    return
                event = asyncio.Event()
                self._wake_ups.append(partial(_set_in, asyncio.get_running_loop(), event))
            await event.wait()

    def _start(self) -> None:
        """Have the thread look; called with the lock."""
        if self._thread is None:
            # A daemon: at the end of the program nobody waits for a write that blocks.
            self._thread = threading.Thread(target=self._work, name="output", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._wake_up()
                while not self._posted and self._footer == self._drawn:
                    self._changed.wait()
                self._writing = True
                data, size = self._take()
            try:
                self._put(data)
            except OSError as exc:
                with self._changed:
                    self._error = exc
                    self._wake_up()
                return
            with self._changed:
                self._size -= size

    def _wake_up(self) -> None:
        """Tell whoever waits to look again; called with the lock."""
        wake_ups, self._wake_ups = self._wake_ups, []
        for wake_up in wake_ups:
            wake_up()
        self._changed.notify_all()

    def _take(self) -> tuple[bytes, int]:
        """Take all that waits, between the footer's old and new form; called with the lock."""
        text = b"".join(self._posted)
        self._posted.clear()
        erased = "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (len(self._drawn) - 1) if self._drawn else ""
        if text:
            self._at_line_start = self._posted_whole_line
        self._drawn = self._footer
        # A line that is not at its end yet would be taken away together with the footer.
        new_line = "" if self._at_line_start or not self._drawn else "\n"
        self._at_line_start = self._at_line_start or bool(new_line)
        drawn = new_line + "\n".join(self._drawn)
        # No mark of the encoding comes before an empty text.
        encoded = [self._encoder.encode(each) if each else b"" for each in (erased, drawn)]
        return encoded[0] + text + encoded[1], len(text)

    def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left[:_PIECE]) :]
            except BlockingIOError:  # another program has made the open file non-blocking
                select.select((), (self._descriptor,), ())


def _set_in(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has been closed, and nobody waits
        loop.call_soon_threadsafe(event.set)


class _Bytes(io.RawIOBase):
    """An `Output` as a binary file."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        taken = bytes(data)
        self._output.post(taken)
        return len(taken)


class _Text(io.TextIOBase):
    """An `Output` as the text file that everybody's `print` writes to."""

    def __init__(self, output: Output, original: TextIO) -> None:
        self.output = output
        self.buffer = _Bytes(output)
        self._original = original

    @property
    def encoding(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.output.encoding

    @property
    def errors(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return "backslashreplace"

    def fileno(self) -> int:
        return self._original.fileno()

    def isatty(self) -> bool:
        return self.output.is_terminal

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"write() takes a string, not {type(text).__name__}")
        self.output.post(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes as soon as it can, and an event loop must not wait."""


@contextlib.contextmanager
def standard_streams() -> Generator[tuple[Output, Output], None, None]:
    """Have everything that is printed inside the block go through an `Output`.

    Yields
    ------
    tuple of Output
        Standard output and standard error: the same one where both lead to the same place.
    """
    originals = sys.stdout, sys.stderr
    for stream in originals:
        with contextlib.suppress(OSError):
            stream.flush()
    out = Output(originals[0])
    shared = os.path.sameopenfile(originals[0].fileno(), originals[1].fileno())
    err = out if shared else Output(originals[1])
    sys.stdout, sys.stderr = _Text(out, originals[0]), _Text(err, originals[1])
    try:
        yield out, err
    finally:
        sys.stdout, sys.stderr = originals


def stdout() -> Output:
    """Give standard output, inside `standard_streams`."""
    return _output_of(sys.stdout)


def stderr() -> Output:
    """Give standard error, inside `standard_streams`."""
    return _output_of(sys.stderr)


async def write_through(text: str, stream: TextIO) -> None:
    """Write a text to `sys.stdout` or `sys.stderr`, inside `standard_streams`, and see it written.

    Raises
    ------
    OSError
        If it cannot be written; a `BrokenPipeError` if nobody reads it.
    """
    output = _output_of(stream)
    await output.write(text)
    await output.flush()


def _output_of(stream: TextIO) -> Output:
    # A library may have put something of its own in between, which is not to be trusted.
    if not isinstance(stream, _Text):
        raise TypeError("this is used inside `standard_streams` only")
    return stream.output
