"""How many lines may wait in memory, over all tails of a session.

Each tail reads ahead of its consumer, which makes one tail fast and hundreds of them, whose
consumer is slow, large. Therefore all tails of a session share one capacity, which counts the
lines that wait and those that pages on their way may bring.

Whole pages may use half of it. When that is used up, a tail of which lines wait asks for nothing
until they were taken, or until there is room for a whole page. A tail of which no line waits is
never refused: what waits for a consumer that reads another tail first must not keep that other tail
from being read. It has to do with a small page, which is its share of the capacity that is left.
Each such page leaves less to the next one, so the capacity is not exceeded by many tails either.

Pure, but for the waiting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aioservices.concurrency import Signal

from .cursor import Batch

__all__ = ["MOST_WAITING", "LineAccount", "LineBudget", "Outlet"]

MOST_WAITING = 100_000
"""Lines that may wait in memory, over all tails of a session; each takes some 300 bytes."""
# Lines of the smallest page that a tail may have at any time.
_SMALLEST_PAGE = 20


class LineBudget:
    """The lines that all tails of a session may have waiting.

    Parameters
    ----------
    capacity : int, default 100000

    Attributes
    ----------
    used : int
        Lines that wait, or that pages on their way may bring.
    """

    def __init__(self, capacity: int = MOST_WAITING) -> None:
        self.capacity = capacity
        self.used = 0
        self._tails = 0
        self._blocked: list[tuple[LineAccount, int, Signal]] = []

    def has_room(self, lines: int) -> bool:
        """Tell whether so many lines fit into the half that is for whole pages."""
        return 2 * (self.used + lines) <= self.capacity

    @property
    def share(self) -> int:
        """Lines of the page that a tail may have in any case."""
        return max(_SMALLEST_PAGE, (self.capacity - self.used) // max(1, self._tails))

    def add_tails(self, number: int) -> None:
        """Share the capacity among more tails; among less, if it is a negative number."""
        self._tails += number

    def use(self, lines: int) -> None:
        """Use more; less, if it is a negative number."""
        self.used += lines
        if lines < 0:
            for account, expected, freed in self._blocked:
                if not account.is_blocked(expected):
                    freed.send()

    async def freed(self, account: LineAccount, expected: int) -> None:
        """Wait until an account may be no longer blocked."""
        blocked = account, expected, Signal()
        self._blocked.append(blocked)
        try:
            await blocked[2].wait()
        finally:
            self._blocked.remove(blocked)


class LineAccount:
    """What one tail uses of the budget."""

    __slots__ = ("_is_closed", "_used", "_waiting", "budget")

    def __init__(self, budget: LineBudget) -> None:
        self.budget = budget
        self._waiting = self._used = 0
        self._is_closed = False
        budget.add_tails(1)

    def __del__(self) -> None:
        self.close()

    async def room(self, size: int, expected: int) -> int:
        """Wait until a page may be asked for, of whose lines so many may be new.

        Returns
        -------
        int
            How many lines it may have now: `size`, or less.
        """
        while self.is_blocked(expected):
            await self.budget.freed(self, expected)
        return size if self.budget.has_room(expected) else min(size, self.budget.share)

    def is_blocked(self, expected: int) -> bool:
        """Tell whether lines have to be taken before a page may be asked for."""
        return self._waiting > 0 and not self.budget.has_room(expected)

    def announce(self, lines: int) -> None:
        """Note that a page may bring so many lines; a negative number takes that back."""
        if lines and not self._is_closed:
            self._used += lines
            self.budget.use(lines)

    def hold(self, lines: int) -> None:
        """Note that more lines wait; less, if it is a negative number."""
        self._waiting += lines
        self.announce(lines)

    def close(self) -> None:
        """Note that no line waits any more, and that none will."""
        if not self._is_closed:
            self._is_closed = True
            self.budget.add_tails(-1)
            self.budget.use(-self._used)


class Outlet:
    """Where the batches of a tail leave: while one waits for the consumer, no page is asked for."""

    __slots__ = ("_freed", "_send", "_waiting")

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
