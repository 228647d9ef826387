"""A stream of the lines that have just been stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Self

import anyio

from aioservices.stores import StoredEntry

__all__ = ["KeptLines"]

_LINES = 10_000  # limit of waiting lines
_CHARACTERS = 8_000_000  # limit of all their messages


class KeptLines:
    """Lines that have just been stored: an async iterator of `StoredEntry`.

    The buffer is bounded: a slow reader loses lines, and `lost` counts them.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._entries: deque[StoredEntry] = deque()
        self._characters = 0
        self._available = anyio.Event()

    def receive(self, entries: Sequence[StoredEntry]) -> None:
        """Add lines."""
        for number, entry in enumerate(entries):
            if len(self._entries) >= _LINES or self._characters >= _CHARACTERS:
                self.lost += len(entries) - number
                break
            self._entries.append(entry)
            self._characters += _length(entry)
        self._available.set()

    async def take(self) -> list[StoredEntry]:
        """Wait until there are lines, and return all of them."""
        await self._wait()
        entries = [*self._entries]
        self._entries.clear()
        self._characters = 0
        return entries

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StoredEntry:
        await self._wait()
        entry = self._entries.popleft()
        self._characters -= _length(entry)
        return entry

    async def _wait(self) -> None:
        while not self._entries:
            self._available = anyio.Event()
            await self._available.wait()


def _length(entry: StoredEntry) -> int:
    return len(entry.message or "")
