"""Working through many things, a few at a time."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

__all__ = ["work_through"]

T = TypeVar("T")


async def work_through(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], *, at_once: int
) -> None:
    """Do some work for each of several items; the first error ends it, and is raised.

    Parameters
    ----------
    items : iterable
        Taken in their order.
    work : callable
        Awaited with each of them.
    at_once : int
        How many are worked on at the same time.
    """
    todo = list(items)
    queue = iter(todo)
    errors: list[Exception] = []

    async def worker() -> None:
        try:
            for item in queue:
                await work(item)
        except Exception as exc:  # raised below, by itself and not as a group
            errors.append(exc)
            workers.cancel_scope.cancel()

    async with anyio.create_task_group() as workers:
        for _ in range(min(at_once, len(todo))):
            workers.start_soon(worker)
    if errors:
        raise errors[0]
