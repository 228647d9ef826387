"""From a coroutine to a program with an exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable

import anyio

from .output import standard_streams, stdout

__all__ = ["program", "run"]

_FAILED = 1
_MISUSED = 2
_INTERRUPTED = 128 + signal.SIGINT
_PATIENCE = 1.0  # seconds that the last words have after a signal, where nobody may be reading


def program(work: Callable[[], int]) -> int:
    """Run a program whose output goes through `standard_streams`.

    Parameters
    ----------
    work : callable
        Returns an exit status.

    Returns
    -------
    int
        That exit status; 130 after Ctrl-C, 1 if not all of the output could be written although
        its reader had not gone, 2 if there is no standard output.
    """
    if not _have_streams():
        return _MISUSED
    with standard_streams() as (out, err):
        try:
            status = work()
        except KeyboardInterrupt:
            status = _INTERRUPTED
        except SystemExit as exc:  # of a parser of arguments
            status = _status(exc.code)
        except OSError:
            if out.error is None and err.error is None:
                raise
            status = _FAILED  # the reason is printed below
        try:
            out.finish(_PATIENCE if status >= 128 else None)
            if out.error is not None and not isinstance(out.error, BrokenPipeError):
                status = status or _FAILED
                _complain(f"the output cannot be written: {out.error.strerror}")
            err.finish(_PATIENCE if status >= 128 else None)
        except KeyboardInterrupt:
            return _INTERRUPTED
    return status


def run(main: Callable[[], Awaitable[int]], *, ends_with_output: bool = False) -> int:
    """Run a coroutine until it ends, or a signal or a closed pipe ends it.

    Parameters
    ----------
    main : callable
        Gives a coroutine that returns an exit status. It is cancelled by Ctrl-C, SIGTERM and
        SIGHUP.
    ends_with_output : bool, default False
        Whether it is cancelled, too, as soon as standard output cannot be written any more, or
        nobody reads it, even if nothing is written: for programs that do nothing but write.

    Returns
    -------
    int
        The exit status: 128 and the signal's number after a signal, 0 when whoever read the
        output has read enough.
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
            group.start_soon(signals.honour, group.cancel_scope)
            if ends_with_output:
                group.start_soon(_cancel_without_output, group.cancel_scope)
            status = await main()
            group.cancel_scope.cancel()
    except* BrokenPipeError:
        pass
    return status if signals.received is None else 128 + signals.received


async def _cancel_without_output(scope: anyio.CancelScope) -> None:
    await stdout().until_unwritable()
    scope.cancel()


class _Signals:
    """Cancels a scope at the first signal; a second one has its ordinary effect."""

    def __init__(self) -> None:
        self.received: int | None = None

    async def honour(self, scope: anyio.CancelScope) -> None:
        if sys.platform == "win32":  # its Ctrl-C comes as KeyboardInterrupt
            return
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for number in signals:
                self.received = number
                scope.cancel()
                return


def _have_streams() -> bool:
    """Replace standard streams that are closed; without an output nothing can be done.

    Otherwise a socket would get the number of such a stream, and with it what is written there.
    """
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:  # the lowest number that is free is that of the stream
        nowhere = os.open(os.devnull, os.O_RDWR)
        if name != "stdout":
            stream = open(nowhere, "r" if name == "stdin" else "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    if "stdout" in closed:
        _complain("standard output is closed: send it to /dev/null if nobody is to read it")
    return "stdout" not in closed


def _complain(text: str) -> None:
    print(f"aioservices: {text}", file=sys.stderr)
