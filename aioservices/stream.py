"""Iterations that work on between two steps, and the tasks that do that work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Generic, Self, TypeVar

import anyio

from .errors import SessionClosedError

__all__ = ["BackgroundTasks", "Stream"]

T = TypeVar("T")


class BackgroundTasks:
    """The tasks that a session owns: none of them outlives it.

    A task group bound to a block of code cannot hold them: they begin inside
    one call of ``__anext__`` and go on after it has returned.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Start a task; its exception, if any, is for whoever asks the task for it."""
        if self._closed:
            work.close()
            raise SessionClosedError
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def aclose(self) -> None:
        """Cancel what still runs, and wait until it has ended."""
        self._closed = True
        await stop(*self._tasks)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains of those that nobody asked for


async def stop(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        with anyio.CancelScope(shield=True):  # they were told to end, and nothing is left behind
            await asyncio.wait(tasks)


class Stream(Generic[T]):
    """An async iterator whose items a task of its own produces.

    Nothing runs before the first item is asked for. A step that is cancelled,
    as by a timeout, loses nothing: the next one goes on. The task ends with the
    iteration, with `aclose`, with the session, or when the stream is dropped,
    as after ``break``.

    Parameters
    ----------
    tasks : BackgroundTasks
        The owner of the task.
    produce : callable
        Given an async callable, it hands its items to that one, which waits
        while the consumer is slow. It must not refer to the stream.
    buffer : int, default 0
        Items that may wait for the consumer.
    """

    def __init__(
        self,
        tasks: BackgroundTasks,
        produce: Callable[[Callable[[T], Awaitable[None]]], Awaitable[None]],
        *,
        buffer: int = 0,
    ) -> None:
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._tasks = tasks
        self._produce = produce
        self._send, self._receive = anyio.create_memory_object_stream[T](buffer)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._ended:
            raise StopAsyncIteration
        if self._task is None:
            self._task = self._tasks.start(_feed(self._produce, self._send))
        try:
            return await self._receive.receive()
        except anyio.EndOfStream:
            pass
        await asyncio.wait([self._task])
        if self._ended:  # somebody closed it meanwhile
            raise StopAsyncIteration
        self._end()
        if self._task.cancelled():
            raise SessionClosedError("the session was closed during the iteration")
        self._task.result()
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the iteration, and wait until its task has ended."""
        self._ended = True
        try:
            if self._task is not None:
                await stop(self._task)
        finally:
            self._end()

    def __del__(self) -> None:
        task = self._task
        if task is not None and not task.done() and not task.get_loop().is_closed():
            task.cancel()
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._receive.close()
        self._send.close()  # a task that was cancelled before its first step did not


async def _feed(
    produce: Callable[[Callable[[T], Awaitable[None]]], Awaitable[None]],
    send: anyio.abc.ObjectSendStream[T],
) -> None:
    async with send:
        await produce(send.send)
