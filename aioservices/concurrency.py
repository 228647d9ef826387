"""Iterations that keep working between two steps, and the tasks that do that work."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from .errors import SessionClosedError

# Imported where it is needed, so that programs which make single calls start sooner.
if TYPE_CHECKING:
    import anyio

__all__ = [
    "BackgroundTasks",
    "Signal",
    "Stream",
    "finish_within",
    "first_error",
    "for_each",
    "shielded",
]

T = TypeVar("T")


class BackgroundTasks:
    """The tasks of a session, none of which outlives it.

    A task group, which is bound to a block of code, cannot own them: they begin
    inside one call of ``__anext__`` and continue after it has returned.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], Signal] = {}
        self._closed = False

    def start(self, work: Coroutine[object, object, None], ended: Signal) -> asyncio.Task[None]:
        """Start a task, whose end is sent; its exception, if any, has to be read from the task."""
        if self._closed:
            work.close()
            raise SessionClosedError
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = ended
        task.add_done_callback(self._forget)
        return task

    async def aclose(self) -> None:
        """Cancel all running tasks, and wait until they have ended."""
        self._closed = True
        await stop(*self._tasks)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task).send()
        if not task.cancelled():
            task.exception()  # retrieved, or asyncio complains about it


async def stop(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        with shielded():  # they were asked to end, and nothing is left behind
            await asyncio.wait(tasks)


def shielded() -> anyio.CancelScope:
    """Make a scope for what has to come to its end although its task is cancelled."""
    import anyio

    return anyio.CancelScope(shield=True)


async def for_each(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], *, at_once: int
) -> None:
    """Do some work for each of several items; the first error ends it and is raised.

    Parameters
    ----------
    items : iterable
        Taken in their order.
    work : callable
        Awaited with each of them.
    at_once : int
        How many items are processed at the same time.
    """
    import anyio

    todo = list(items)
    queue = iter(todo)
    errors: list[Exception] = []

    async def worker() -> None:
        try:
            for item in queue:
                await work(item)
        except Exception as exc:  # raised below by itself, not in a group
            errors.append(exc)
            workers.cancel_scope.cancel()

    async with anyio.create_task_group() as workers:
        for _ in range(min(at_once, len(todo))):
            workers.start_soon(worker)
    if errors:
        raise errors[0]


async def finish_within(seconds: float, work: Callable[[], Awaitable[T]]) -> T:
    """Do some work, which has some seconds left when it is cancelled.

    Parameters
    ----------
    seconds : float
        Counted from the cancellation of an enclosing scope or task group.
    work : callable
        Awaited once. If it finishes in time, the caller has its result, and the cancellation goes
        on at whatever it awaits next.
    """
    import anyio

    results: list[T] = []
    errors: list[Exception] = []
    shield = shielded()

    async def limit() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            shield.deadline = anyio.current_time() + seconds

    async with anyio.create_task_group() as group:
        group.start_soon(limit)
        with shield:
            try:
                results.append(await work())
            except Exception as exc:  # raised below by itself, not in a group
                errors.append(exc)
        group.cancel_scope.cancel()
    if errors:
        raise errors.pop()  # no reference cycle, so that its frames are freed at once
    if not results:
        await asyncio.sleep(0)  # raises the cancellation
    return results[0]


class Signal:
    """Wakes those that wait for it; who comes later waits for the next one.

    A thousand idle tails wait in several places each, so it holds little, and nothing is needed
    beside it for a time limit.
    """

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: tuple[asyncio.Future[bool], ...] = ()

    async def wait(self, seconds: float = math.inf) -> bool:
        """Wait until it is sent.

        Parameters
        ----------
        seconds : float, optional
            How long to wait for it. Default: forever.

        Returns
        -------
        bool
            False if it was not sent within that time.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        timer = None if seconds == math.inf else loop.call_later(seconds, _end, waiter, False)
        self._waiters += (waiter,)
        try:
            return await waiter
        finally:
            self._waiters = tuple(each for each in self._waiters if each is not waiter)
            if timer is not None:
                timer.cancel()

    def send(self) -> None:
        """Wake all that wait."""
        for waiter in self._waiters:
            _end(waiter, True)


def _end(waiter: asyncio.Future[bool], is_sent: bool) -> None:
    if not waiter.done():
        waiter.set_result(is_sent)


class Stream(Generic[T]):
    """An async iterator whose items are produced by its own task.

    Nothing runs before the first item is requested. A step that is cancelled,
    as by a timeout, loses nothing: the next one continues. The task ends with the
    iteration, with `aclose`, with the session, or when the stream is dropped,
    as after ``break``.

    Parameters
    ----------
    tasks : BackgroundTasks
        The owner of the task.
    produce : callable
        Called with an async callable, to which it passes its items, and which
        waits while the consumer is slow. It must not refer to the stream.
    buffer : int, default 0
        Items that may wait for the consumer.
    """

    __slots__ = ("_channel", "_ended", "_produce", "_task", "_tasks")

    def __init__(
        self,
        tasks: BackgroundTasks,
        produce: Callable[[Callable[[T], Awaitable[None]]], Coroutine[object, object, None]],
        *,
        buffer: int = 0,
    ) -> None:
        self._ended = False
        self._task: asyncio.Task[None] | None = None
        self._tasks = tasks
        self._produce = produce
        self._channel: _Channel[T] = _Channel(buffer)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._ended:
            raise StopAsyncIteration
        channel = self._channel
        if self._task is None:
            self._task = self._tasks.start(self._produce(channel.send), channel.filled)
        while not channel.items:
            if self._ended:  # somebody closed it meanwhile
                raise StopAsyncIteration
            if self._task.done():
                self._ended = True
                if self._task.cancelled():
                    raise SessionClosedError("the session was closed during the iteration")
                self._task.result()
                raise StopAsyncIteration
            await channel.filled.wait()
        return channel.take()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the iteration, and wait until its task has ended."""
        self._ended = True
        if self._task is not None:
            await stop(self._task)
        self._channel.items.clear()

    def __del__(self) -> None:
        task = getattr(self, "_task", None)  # a subclass may have refused its arguments
        if task is not None and not task.done() and not task.get_loop().is_closed():
            task.cancel()


class _Channel(Generic[T]):
    """Items on their way to the consumer; `filled` says that there may be one.

    They stay here until a step takes them, so a cancelled step loses none.
    """

    __slots__ = ("_buffer", "_emptied", "filled", "items")

    def __init__(self, buffer: int) -> None:
        self.items: list[T] = []  # a few
        self.filled = Signal()
        self._emptied = Signal()
        self._buffer = buffer

    async def send(self, item: T) -> None:
        """Add an item, and wait until the next one can be added."""
        self.items.append(item)
        self.filled.send()
        while len(self.items) > self._buffer:
            await self._emptied.wait()

    def take(self) -> T:
        """Take the first item."""
        self._emptied.send()
        return self.items.pop(0)


def first_error(error: BaseException) -> BaseException:
    """Return the first error of a group, or the error itself.

    Parameters
    ----------
    error : BaseException
        What was raised, as by a task group.
    """
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
