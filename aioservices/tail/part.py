"""What the loops hand to the tail, and the way it goes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import anyio

from aioservices.api.models import TailedEntry

from .status import LogGap

__all__ = ["Outlet", "Part"]


class Part(NamedTuple):
    """What the loops hand to the tail, in the order in which its cursor is to pass it.

    Attributes
    ----------
    deployment_id : int
    entries : list of TailedEntry
        New lines, by time.
    floor : datetime or None
        Below it nothing more can come.
    gap : LogGap or None
        A gap that was found with them.
    created_at : datetime or None
        When the deployment was created; of a log that is taken up.
    over : bool
        Whether the log was read to its end.
    """

    deployment_id: int
    entries: list[TailedEntry]
    floor: dt.datetime | None
    gap: LogGap | None = None
    created_at: dt.datetime | None = None
    over: bool = False


class Outlet:
    """Where parts leave: while one waits for the consumer, nothing more is asked for."""

    def __init__(self, send: Callable[[Part], Awaitable[None]]) -> None:
        self._send = send
        self._turn = anyio.Lock()

    async def put(self, part: Part) -> None:
        """Hand a part to the consumer, as soon as that one has room for it."""
        async with self._turn:
            await self._send(part)

    async def ready(self) -> None:
        """Wait until no part waits."""
        async with self._turn:
            pass
