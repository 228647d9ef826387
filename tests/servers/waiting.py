"""Waiting for what must come, without measuring how fast the machine is."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio

# How long anything may take before a test counts as failed; nothing waits for that long.
PATIENCE = 60.0
# Tasks that belong to a test's fixtures and to the server's connections.
_OTHERS = ("TestRunner", "RequestHandler")


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to be so."""
    with anyio.fail_after(PATIENCE):
        while not condition():
            await anyio.sleep(0.005)


async def until_grown(number: Callable[[], int | Awaitable[int]], to: int) -> None:
    """Wait until a number has grown to a value, for as long as it grows."""

    async def read() -> int:
        value = number()
        return value if isinstance(value, int) else await value

    with anyio.fail_after(PATIENCE) as patience:
        reached = await read()
        while reached < to:
            await anyio.sleep(0.005)
            before, reached = reached, await read()
            if reached > before:
                patience.deadline = anyio.current_time() + PATIENCE


def running_tasks() -> set[str]:
    """Every task by its name, apart from a test's fixtures and the server's connections."""
    return {
        task.get_name()
        for task in asyncio.all_tasks()
        if not getattr(task.get_coro(), "__qualname__", "").startswith(_OTHERS)
    }
