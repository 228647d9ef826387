"""From a coroutine to the exit status of a program."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable

import anyio

from .output import discard

__all__ = ["run"]


def run(main: Callable[[], Awaitable[int]]) -> int:
    """Run a program's coroutine until it ends, or a signal or a closed pipe ends it.

    Parameters
    ----------
    main : callable
        Gives a coroutine that returns an exit status. It is cancelled by
        Ctrl-C, SIGTERM and SIGHUP.

    Returns
    -------
    int
        The exit status: 128 and the signal's number after a signal, 0 when
        whoever read the output has read enough.
    """
    try:
        return anyio.run(_run, main)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


async def _run(main: Callable[[], Awaitable[int]]) -> int:
    status = 0
    signals = _Signals()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(signals.heed, group.cancel_scope)
            status = await main()
            group.cancel_scope.cancel()
    except* BrokenPipeError:
        discard()
    return status if signals.received is None else 128 + signals.received


class _Signals:
    """Cancels a scope at the first signal; a second one has its ordinary effect."""

    def __init__(self) -> None:
        self.received: int | None = None

    async def heed(self, scope: anyio.CancelScope) -> None:
        if sys.platform == "win32":  # its Ctrl-C comes as KeyboardInterrupt
            return
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for number in signals:
                self.received = number
                scope.cancel()
                return
