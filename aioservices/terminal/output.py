r"""The standard streams, each written to by a separate thread.

Theory of operation
-------------------
A write to a terminal that is stopped (Ctrl-S), to a pager or to a full pipe blocks the caller. In
an event loop it would block everything that the loop deploys and follows, and Ctrl-C too. Whether a
write will block cannot be known beforehand (`poll` knows it for pipes, but not for terminals), and
non-blocking mode belongs to the open file, which other programs share. So each stream is written to
by a separate thread only. Everything else passes text to it: `post` never waits, and `write` waits
while too much text is pending, so that a slow reader slows down the source of what it reads.

All pending text is written at once. A *footer* is what a terminal shows below the last line: a
progress display. It is redrawn below whatever is written, and frames that nobody could have seen
are skipped. If standard output and standard error lead to the same place, they are the same
`Output`: their lines stay in order, and notes appear above the footer.

If a stream can no longer be written to (its reader has exited, the disk is full), the reason is
stored as `error`, and later text is dropped: the program decides whether that ends it. A character
that the stream's encoding lacks is written as an escape sequence, such as ``\xe9``. All text of a
stream passes through one encoder, in the order in which it is written: an encoding such as UTF-16
writes a byte order mark before the first character only.
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

_HIGH_WATER = 256 * 1024  # pending bytes above which `write` waits
_CHUNK = 64 * 1024  # bytes of one system call
_CHECK_INTERVAL = 0.2  # seconds


class Output:
    """A standard stream.

    Parameters
    ----------
    stream : text file
        The stream as Python has opened it. Its buffer must be empty.
    """

    def __init__(self, stream: TextIO) -> None:
        self.encoding = stream.encoding or "utf-8"
        self.is_terminal = stream.isatty()
        self._descriptor = stream.fileno()
        self._encoder = codecs.getincrementalencoder(self.encoding)("backslashreplace")
        self._changed = threading.Condition()
        self._pending: list[bytes] = []
        self._size = 0  # bytes that are pending or being written
        self._footer: Sequence[str] = ()
        self._drawn: Sequence[str] = ()  # the footer that the terminal shows
        self._at_line_start = True  # the next character starts a line
        self._posted_full_line = True  # the last text ended with a line feed
        self._writing = False
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        self._waiters: list[Callable[[], None]] = []

    @property
    def error(self) -> OSError | None:
        """Why nothing can be written any more; None while writing works."""
        return self._error

    @property
    def columns(self) -> int:
        """The width of the terminal, in cells; 80 without a terminal."""
        return self._terminal_size().columns

    @property
    def rows(self) -> int:
        """The height of the terminal, in lines; 24 without a terminal."""
        return self._terminal_size().lines

    def post(self, text: str | bytes) -> None:
        """Append a text to what is pending; never waits and never fails."""
        with self._changed:
            if text and self._error is None:
                data = text if isinstance(text, bytes) else self._encoder.encode(text)
                self._pending.append(data)
                self._posted_full_line = text[-1:] in ("\n", b"\n")
                self._size += len(data)
                self._wake_thread()

    def footer(self, lines: Sequence[str]) -> None:
        """Show these lines below everything that is written; an empty sequence removes them.

        Parameters
        ----------
        lines : sequence of str
            Each no wider than the terminal, and fewer than it has rows.
        """
        with self._changed:
            self._footer = tuple(lines)
            if self._error is None and self._footer != self._drawn:
                self._wake_thread()

    async def write(self, text: str | bytes) -> None:
        """Append a text to what is pending, and wait while too much is pending.

        Raises
        ------
        OSError
            If nothing can be written any more; a `BrokenPipeError` if the reader has exited.
        """
        self.post(text)
        await self._until(lambda: self._size <= _HIGH_WATER)

    async def flush(self) -> None:
        """Wait until everything is written.

        Raises
        ------
        OSError
            As `write`.
        """
        await self._until(self._is_idle)

    async def until_unwritable(self) -> None:
        """Wait until nothing can be written any more: a write failed, or the reader has exited.

        The exit of a reader is noticed even if nothing is written.
        """
        mode = os.fstat(self._descriptor).st_mode
        poll = None
        if hasattr(select, "poll") and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            poll = select.poll()
            poll.register(self._descriptor, 0)  # errors are reported in any case
        # Nothing notifies us of it.
        while self._error is None and not (poll and poll.poll(0)):  # noqa: ASYNC110
            await anyio.sleep(_CHECK_INTERVAL)

    def finish(self, timeout: float | None = None) -> None:
        """Wait until everything is written, without an event loop.

        Parameters
        ----------
        timeout : float, optional
            Seconds after which the rest is dropped. Default: no limit.
        """
        self.footer(())
        with self._changed:
            self._changed.wait_for(self._is_idle, timeout)

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
        """Wait until the work of the thread makes a condition true."""
        while True:
            with self._changed:
                if self._error is not None:
                    raise OSError(self._error.errno, self._error.strerror)
                if condition():
                    return
                event = asyncio.Event()
                self._waiters.append(partial(_set_in, asyncio.get_running_loop(), event))
            await event.wait()

    def _wake_thread(self) -> None:
        """Wake the thread, which is started if needed; the lock must be held."""
        if self._thread is None:
            # A daemon thread: a write that blocks does not delay the end of the program.
            self._thread = threading.Thread(target=self._work, name="output", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._wake_waiters()
                while not self._pending and self._footer == self._drawn:
                    self._changed.wait()
                self._writing = True
                data, size = self._take_pending()
            try:
                self._write_all(data)
            except OSError as exc:
                with self._changed:
                    self._error = exc
                    self._wake_waiters()
                return
            with self._changed:
                self._size -= size

    def _wake_waiters(self) -> None:
        """Wake all tasks that wait; the lock must be held."""
        waiters, self._waiters = self._waiters, []
        for wake in waiters:
            wake()
        self._changed.notify_all()

    def _take_pending(self) -> tuple[bytes, int]:
        """Take everything pending, and redraw the footer below it; the lock must be held."""
        text = b"".join(self._pending)
        self._pending.clear()
        erased = "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (len(self._drawn) - 1) if self._drawn else ""
        if text:
            self._at_line_start = self._posted_full_line
        self._drawn = self._footer
        # An unfinished line would be erased together with the footer.
        new_line = "" if self._at_line_start or not self._drawn else "\n"
        self._at_line_start = self._at_line_start or bool(new_line)
        drawn = new_line + "\n".join(self._drawn)
        # An empty text must not write a byte order mark.
        encoded = [self._encoder.encode(each) if each else b"" for each in (erased, drawn)]
        return encoded[0] + text + encoded[1], len(text)

    def _write_all(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left[:_CHUNK]) :]
            except BlockingIOError:  # another program has made the open file non-blocking
                select.select((), (self._descriptor,), ())


def _set_in(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has been closed
        loop.call_soon_threadsafe(event.set)


class _Bytes(io.RawIOBase):
    """An `Output` as a binary file."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        content = bytes(data)
        self._output.post(content)
        return len(content)


class _Text(io.TextIOBase):
    """An `Output` as a text file: what `print` writes to."""

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
    """Send everything that is printed inside the block through an `Output`.

    Yields
    ------
    tuple of Output
        Standard output and standard error; the same one if both lead to the same place.
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
    """Return standard output, inside `standard_streams`."""
    return _output_of(sys.stdout)


def stderr() -> Output:
    """Return standard error, inside `standard_streams`."""
    return _output_of(sys.stderr)


async def write_through(text: str, stream: TextIO) -> None:
    """Write a text to `sys.stdout` or `sys.stderr`, inside `standard_streams`, and flush it.

    Raises
    ------
    OSError
        If it cannot be written; a `BrokenPipeError` if the reader has exited.
    """
    output = _output_of(stream)
    await output.write(text)
    await output.flush()


def _output_of(stream: TextIO) -> Output:
    # Another library may have replaced the stream.
    if not isinstance(stream, _Text):
        raise TypeError("this works only inside `standard_streams`")
    return stream.output
