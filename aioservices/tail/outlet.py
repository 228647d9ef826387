"""The way of batches to the consumer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from .cursor import Batch

__all__ = ["Outlet"]


class Outlet:
    """Where batches leave: while one waits for the consumer, nothing more is asked for."""

    def __init__(self, send: Callable[[Batch], Awaitable[None]]) -> None:
        self._send = send
        self._turn = anyio.Lock(fast_acquire=True)

    async def put(self, batch: Batch) -> None:
        """Hand a batch to the consumer, as soon as there is room for it."""
        async with self._turn:
            await self._send(batch)

    @property
    def is_blocked(self) -> bool:
        """Whether a batch waits for the consumer."""
        return self._turn.locked()

    async def ready(self) -> None:
        """Wait until no batch waits."""
        async with self._turn:
            pass
