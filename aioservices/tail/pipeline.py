"""Asking for pages ahead, while those before them are on their way or are being worked on.

The time of a page is that of its way and that of decoding it. While one is decoded, the next one is
under way, so that the server works meanwhile. Pages are taken by one task, in the order in which
they come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from aioservices.concurrency import Signal

__all__ = ["read_ahead"]

RequestT = TypeVar("RequestT")
PageT = TypeVar("PageT")


async def read_ahead(
    next_request: Callable[[int], RequestT | None],
    fetch: Callable[[RequestT], Awaitable[PageT | None]],
    take: Callable[[RequestT, PageT], Awaitable[None]],
) -> None:
    """Fetch and take pages until there is nothing left to ask for.

    Parameters
    ----------
    next_request : callable
        Given how many requests are outstanding (asked for and not taken yet), it returns the next
        one to make; None if there is none at present.
    fetch : callable
        Fetches a page; None if there is none.
    take : callable
        Takes a page.

    Raises
    ------
    Exception
        The first one that `fetch` or `take` raised, as it is.
    """
    arrived: deque[tuple[RequestT, PageT | None]] = deque()
    arrival = Signal()
    outstanding = 0
    failure: Exception | None = None

    async with anyio.create_task_group() as group:

        def ask() -> None:
            nonlocal outstanding
            while (request := next_request(outstanding)) is not None:
                outstanding += 1
                group.start_soon(run, request)

        def fail(error: Exception) -> None:
            nonlocal failure
            failure = failure or error
            group.cancel_scope.cancel()

        async def run(request: RequestT) -> None:
            try:
                arrived.append((request, await fetch(request)))
            except Exception as exc:
                fail(exc)
            arrival.send()

        try:
            ask()
            while outstanding:
                while not arrived:
                    await arrival.wait()
                request, page = arrived.popleft()
                if page is not None:
                    await take(request, page)
                outstanding -= 1
                ask()
        except Exception as exc:
            fail(exc)
    if failure is not None:
        raise failure
