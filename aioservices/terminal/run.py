"""Run a coroutine as a program: signals, standard streams and the exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from .output import standard_streams, stderr, stdout

__all__ = ["program", "run"]

_FAILED = 1
_USAGE_ERROR = 2
_INTERRUPTED = 128 + signal.SIGINT
_FLUSH_SECONDS = 1.0  # for the last output after a signal, when perhaps nobody reads it


def program(work: Callable[[], int]) -> int:
    """Run a program whose output goes through `standard_streams`.

    Parameters
    ----------
    work : callable
        Returns an exit status.

    Returns
    -------
    int
        That exit status; 130 after Ctrl-C, 1 if some of the output could not be written although
        its reader was still there, 2 if there is no standard output.
    """
    if not _replace_closed_streams():
        return _USAGE_ERROR
    with standard_streams() as (out, err):
        try:
            status = work()
        except KeyboardInterrupt:
            status = _INTERRUPTED
        except SystemExit as exc:  # from an argument parser
            status = _status(exc.code)
        except OSError:
            if out.error is None and err.error is None:
                raise
            status = _FAILED  # the reason is printed below
        try:
            out.finish(_FLUSH_SECONDS if status >= 128 else None)
            if out.error is not None and not isinstance(out.error, BrokenPipeError):
                status = status or _FAILED
                _print_error(f"the output cannot be written: {out.error.strerror}")
            err.finish(_FLUSH_SECONDS if status >= 128 else None)
        except KeyboardInterrupt:
            return _INTERRUPTED
    return status


def run(main: Callable[[], Awaitable[int]], *, ends_with_output: bool = False) -> int:
    """Run a coroutine until it ends, or a signal or a closed pipe ends it.

    Parameters
    ----------
    main : callable
        Makes a coroutine that returns an exit status. Ctrl-C, SIGTERM and SIGHUP cancel it.
    ends_with_output : bool, default False
        Whether it is also cancelled as soon as standard output can no longer be written, or its
        reader has exited, even if nothing is being written: for programs that only write.

    Returns
    -------
    int
        The exit status: 128 plus the signal's number after a signal, 0 if the reader of the
        output has exited.
    """
    try:
        return anyio.run(_run, main, ends_with_output)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _status(code: str | int | None) -> int:
    """Return the exit status for the code of a `SystemExit`, and print its text."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
        return _FAILED
    return code or 0


async def _run(main: Callable[[], Awaitable[int]], ends_with_output: bool) -> int:
    status = 0
    signals = _Signals()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(signals.cancel_at_signal, group.cancel_scope)
            if ends_with_output:
                group.start_soon(_cancel_without_output, group.cancel_scope)
            status = await main()
            # A signal that comes when the receiver is closed is lost, so nothing may be left to do.
            with suppress(OSError):  # `program` reports it
                await stdout().flush()
                await stderr().flush()
            group.cancel_scope.cancel()
    except* BrokenPipeError:
        pass
    return status if signals.received is None else 128 + signals.received


async def _cancel_without_output(scope: anyio.CancelScope) -> None:
    await stdout().until_unwritable()
    scope.cancel()


class _Signals:
    """Cancels a scope at the first signal; a second one has its default effect."""

    def __init__(self) -> None:
        self.received: int | None = None

    async def cancel_at_signal(self, scope: anyio.CancelScope) -> None:
        if sys.platform == "win32":  # Ctrl-C raises KeyboardInterrupt there
            return
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for number in signals:
                self.received = number
                scope.cancel()
                return


def _replace_closed_streams() -> bool:
    """Replace closed standard streams; return whether standard output is open.

    Otherwise a socket could get the file descriptor of such a stream, and what is written to it.
    """
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:  # the lowest free descriptor is that of the stream
        devnull = os.open(os.devnull, os.O_RDWR)
        if name != "stdout":
            stream = open(devnull, "r" if name == "stdin" else "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    if "stdout" in closed:
        _print_error("standard output is closed: redirect it to /dev/null if nobody reads it")
    return "stdout" not in closed


def _print_error(text: str) -> None:
    print(f"aioservices: {text}", file=sys.stderr)
