"""How many lines may wait in memory, over all tails of a session.

Each tail reads ahead of its consumer, which makes one tail fast and hundreds of them, whose
consumer is slow, large. Therefore all tails of a session share one capacity. A tail announces a
page before it asks for it; while the capacity is used up, it waits until lines of any tail were
taken. A tail of which no line waits is never refused, but has to do with a small page: what waits
for a consumer that reads another tail first must not keep that other tail from being read.

Pure, but for the waiting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aioservices.concurrency import Signal

from .cursor import Batch

__all__ = ["LineAccount", "LineBudget", "Outlet"]

# Lines of the smallest page that a tail may have at any time.
_SMALL_PAGE = 200


class LineBudget:
    """The lines that all tails of a session may have waiting.

    Parameters
    ----------
    capacity : int, default 100000
        Each takes some 700 bytes, with its copies on the way.

    Attributes
    ----------
    used : int
        Lines that wait, or that were announced.
    freed : Signal
        That less is used.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self.capacity = capacity
        self.used = 0
        self.freed = Signal()

    @property
    def is_tight(self) -> bool:
        """Whether little is left: no time to read ahead."""
        return 2 * self.used > self.capacity

    def change(self, lines: int) -> None:
        """Use more, or less."""
        self.used += lines
        if lines < 0:
            self.freed.send()


class LineAccount:
    """The share of one tail.

    Parameters
    ----------
    budget : LineBudget
    """

    def __init__(self, budget: LineBudget) -> None:
        self.budget = budget
        self._held = 0

    def __del__(self) -> None:
        self.close()

    async def announce(self, size: int, expected: int) -> tuple[int, int]:
        """Wait until a page may be asked for.

        Parameters
        ----------
        size : int
            How many lines it may have,
        expected : int
            and how many of them may be new.

        Returns
        -------
        int
            How many lines it may have now,
        int
            and how many were announced: `settle` takes them back.
        """
        while True:
            room = self.budget.capacity - self.budget.used
            if room >= expected:
                break
            if not self._held:
                size = min(size, max(room, _SMALL_PAGE))
                break
            await self.budget.freed.wait()
        announced = min(size, expected)
        self.hold(announced)
        return size, announced

    def hold(self, lines: int) -> None:
        """Note that more lines wait; less, if it is a negative number."""
        self._held += lines
        self.budget.change(lines)

    def close(self) -> None:
        """Note that no line waits any more."""
        if self._held:
            self.hold(-self._held)


class Outlet:
    """Where the batches of a tail leave: while one waits for the consumer, no page is asked for."""

    def __init__(self, send: Callable[[Batch], Awaitable[None]]) -> None:
        self._send = send
        self._waiting = 0
        self._freed = Signal()

    async def put(self, batch: Batch) -> None:
        """Hand a batch to the consumer, as soon as there is room for it."""
        self._waiting += 1
        try:
            await self._send(batch)
        finally:
            self._waiting -= 1
            self._freed.send()

    @property
    def is_blocked(self) -> bool:
        """Whether a batch waits for the consumer."""
        return self._waiting > 0

    async def ready(self) -> None:
        """Wait until no batch waits."""
        while self._waiting:
            await self._freed.wait()
