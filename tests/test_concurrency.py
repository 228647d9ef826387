"""Iterations that work on between two steps."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import anyio
import pytest

from aioservices.concurrency import BackgroundTasks, Signal, Stream, finish_within
from aioservices.errors import SessionClosedError

Emit = Callable[[int], Awaitable[None]]


async def count_up(emit: Emit) -> None:
    number = 0
    while True:
        await emit(number)
        number += 1


async def three_then_fail(emit: Emit) -> None:
    for number in range(3):
        await emit(number)
    raise LookupError("no fourth")


def running() -> int:
    return len(asyncio.all_tasks())


async def test_items_come_in_order_and_then_the_error() -> None:
    stream = Stream(BackgroundTasks(), three_then_fail)
    assert [await anext(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError, match="no fourth"):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_nothing_runs_before_the_first_item_is_asked_for() -> None:
    before = running()
    stream = Stream(BackgroundTasks(), count_up)
    await anyio.sleep(0)
    assert running() == before
    await stream.aclose()


async def test_a_stream_that_is_left_by_break_ends_its_task() -> None:
    before = running()
    async for item in Stream(BackgroundTasks(), count_up):
        if item == 2:
            break
    gc.collect()
    await anyio.wait_all_tasks_blocked()
    assert running() == before


async def test_a_cancelled_step_loses_nothing() -> None:
    release = anyio.Event()

    async def slowly(emit: Emit) -> None:
        await emit(1)
        await release.wait()
        await emit(2)

    async with Stream(BackgroundTasks(), slowly) as stream:
        assert await anext(stream) == 1
        with anyio.move_on_after(0.01):
            await anext(stream)
        release.set()
        assert await anext(stream) == 2


async def test_a_step_cancelled_at_the_moment_its_item_comes_loses_nothing() -> None:
    steps: list[asyncio.Task[int]] = []

    async def send_and_cancel(emit: Emit) -> None:
        await emit(1)
        steps[0].cancel()
        await emit(2)

    async with Stream(BackgroundTasks(), send_and_cancel, buffer=1) as stream:

        async def step() -> int:
            return await anext(stream)

        steps.append(asyncio.create_task(step()))
        with pytest.raises(asyncio.CancelledError):
            await steps[0]
        assert [await anext(stream) for _ in range(2)] == [1, 2]


async def test_a_stream_that_is_closed_while_somebody_waits_ends_for_that_one() -> None:
    async def silent(_: Emit) -> None:
        await anyio.sleep_forever()

    stream = Stream(BackgroundTasks(), silent)
    async with anyio.create_task_group() as group:

        async def read() -> None:
            assert [item async for item in stream] == []

        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()


async def test_closing_in_a_scope_that_is_cancelled_waits_for_the_task_all_the_same() -> None:
    before = running()
    stream = Stream(BackgroundTasks(), count_up)
    await anext(stream)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await stream.aclose()
    assert running() == before


async def test_closing_the_session_ends_the_iteration_with_an_error() -> None:
    tasks = BackgroundTasks()
    stream = Stream(tasks, count_up)
    assert await anext(stream) == 0
    before = running()
    await tasks.aclose()
    assert running() == before - 1
    with pytest.raises(SessionClosedError):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_closed_session_starts_nothing() -> None:
    tasks = BackgroundTasks()
    await tasks.aclose()
    with pytest.raises(SessionClosedError):
        await anext(Stream(tasks, count_up))


async def test_aclose_waits_until_the_producer_has_cleaned_up() -> None:
    cleaned: list[str] = []

    async def careful(emit: Emit) -> None:
        try:
            await count_up(emit)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            cleaned.append("done")

    stream = Stream(BackgroundTasks(), careful)
    await anext(stream)
    await stream.aclose()
    assert cleaned == ["done"]


async def test_a_stream_closed_before_its_task_took_a_step_leaves_nothing_open() -> None:
    stream = Stream(BackgroundTasks(), count_up)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anext(stream)
    await stream.aclose()
    del stream
    gc.collect()  # an unclosed channel would warn, and the warning would fail the test


async def test_the_producer_waits_while_the_consumer_is_slow() -> None:
    produced: list[int] = []

    async def noted(emit: Emit) -> None:
        for number in range(100):
            produced.append(number)
            await emit(number)

    async with Stream(BackgroundTasks(), noted, buffer=2) as stream:
        await anext(stream)
        await anyio.wait_all_tasks_blocked()
        assert len(produced) <= 4


# Work that has some seconds left when it is cancelled


async def test_work_that_is_cancelled_may_finish_within_its_seconds() -> None:
    done: list[bool] = []

    async def work() -> None:
        group.cancel_scope.cancel()
        for _ in range(10):
            await anyio.sleep(0)
        done.append(True)

    async with anyio.create_task_group() as group:
        await finish_within(3600.0, work)
        await anyio.sleep(0)
        pytest.fail("the cancellation did not continue")
    assert done


async def test_work_that_does_not_finish_within_its_seconds_is_cancelled() -> None:
    async def work() -> None:
        group.cancel_scope.cancel()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        await finish_within(0.01, work)
        pytest.fail("the cancellation did not continue")


async def test_work_that_nobody_cancels_has_all_the_time_it_wants() -> None:
    async def work() -> int:
        await anyio.sleep(0.05)
        return 7

    assert await finish_within(0.0, work) == 7


async def test_an_error_of_work_is_raised_by_itself() -> None:
    async def work() -> None:
        raise LookupError("no fourth")

    with pytest.raises(LookupError, match="no fourth"):
        await finish_within(1.0, work)


async def test_a_signal_wakes_all_that_wait_and_none_that_come_later() -> None:
    signal = Signal()
    woken: list[int] = []

    async def wait(number: int) -> None:
        assert await signal.wait()
        woken.append(number)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, 1)
        group.start_soon(wait, 2)
        await anyio.wait_all_tasks_blocked()
        signal.send()
        group.start_soon(wait, 3)
        await anyio.wait_all_tasks_blocked()
        assert woken == [1, 2]
        signal.send()


async def test_a_signal_that_is_not_sent_in_time_says_so() -> None:
    assert not await Signal().wait(0)


async def test_who_gives_up_waiting_for_a_signal_is_forgotten() -> None:
    signal = Signal()
    with anyio.move_on_after(0):
        await signal.wait()
    assert not signal._waiters
    signal.send()
