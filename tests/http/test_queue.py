"""How calls wait for their turn, and whose is next."""

import itertools
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.errors import SessionClosedError
from aioservices.http.queue import RequestQueue, Urgency, Waiter, WaitingCalls
from aioservices.http.ratelimit import RateLimiter
from tests.servers.waiting import PATIENCE


@dataclass(eq=False)
class Growing:
    """An urgency that grows with the time, at a speed of its own."""

    speed: float = 1.0
    since: float = 0.0
    requests: list[float] = field(default_factory=list)

    def at(self, now: float) -> float:
        return self.speed * (now - self.since)

    def record_request(self, now: float) -> None:
        self.since = now
        self.requests.append(now)


# -- who is next --------------------------------------------------------------------------------

urgencies = st.builds(Growing, st.floats(0.1, 10), st.floats(0, 100))
ordinary = st.builds(Waiter)
in_turn = st.builds(Waiter, background=st.just(True))
urgent = st.builds(Waiter, background=st.just(True), urgency=urgencies)


def waiting(calls: Iterable[Waiter]) -> WaitingCalls:
    found = WaitingCalls()
    for call in calls:
        found.add(call)
    return found


def taken(calls: WaitingCalls) -> list[Waiter]:
    """Take all calls, one in each second."""
    return [calls.take_next(100.0 + second) for second, _ in enumerate(list(calls))]


def longest_run(kinds: Iterable[bool], kind: bool) -> int:
    return max(
        (len(list(run)) for each, run in itertools.groupby(kinds) if each is kind), default=0
    )


@given(st.lists(ordinary | in_turn | urgent))
def test_each_call_is_next_once(calls: list[Waiter]) -> None:
    queue = waiting(calls)
    assert set(taken(queue)) == set(calls)
    assert not queue


@given(st.lists(ordinary | in_turn | urgent))
def test_ordinary_calls_are_first_and_in_the_order_in_which_they_came(calls: list[Waiter]) -> None:
    first = [each for each in calls if not each.background]
    assert taken(waiting(calls))[: len(first)] == first


@given(st.lists(in_turn | urgent))
def test_background_calls_without_an_urgency_keep_their_order(calls: list[Waiter]) -> None:
    expected = [each for each in calls if each.urgency is None]
    assert [each for each in taken(waiting(calls)) if each.urgency is None] == expected


@given(st.lists(urgencies, min_size=1), st.lists(st.floats(100, 1000), min_size=1))
def test_the_most_urgent_of_the_moment_is_next(shared: list[Growing], times: list[float]) -> None:
    queue = waiting(Waiter(background=True, urgency=each) for each in shared)
    for now in sorted(times):
        following = queue.take_next(now)
        assert following.urgency is not None
        assert following.urgency.at(now) == max(each.at(now) for each in shared)
        following.admit(now)
        queue.add(Waiter(background=True, urgency=following.urgency))


@given(st.integers(0, 20), st.integers(0, 20), st.randoms())
def test_calls_with_and_without_an_urgency_take_turns(
    with_one: int, without: int, shuffled: random.Random
) -> None:
    calls = [Waiter(background=True, urgency=Growing()) for _ in range(with_one)]
    calls += [Waiter(background=True) for _ in range(without)]
    shuffled.shuffle(calls)
    kinds = [each.urgency is None for each in taken(waiting(calls))]
    while_both_wait = kinds[: 2 * min(with_one, without)]
    assert longest_run(while_both_wait, kind=True) <= 1
    assert longest_run(while_both_wait, kind=False) <= 1


@given(st.lists(ordinary | in_turn | urgent), st.data())
def test_a_call_that_gives_up_is_never_next(calls: list[Waiter], data: st.DataObject) -> None:
    queue = waiting(calls)
    gone = {each for each in calls if data.draw(st.booleans())}
    for each in gone:
        queue.discard(each)
    assert set(taken(queue)) == set(calls) - gone


# -- the queue ----------------------------------------------------------------------------------


@pytest.fixture
def queue() -> RequestQueue:
    """A queue with one slot, which is taken."""
    queue = RequestQueue(RateLimiter(1), time.monotonic)
    assert queue.try_acquire(time.monotonic())
    return queue


async def take_turn(
    queue: RequestQueue,
    order: list[str],
    name: str,
    background: bool = False,
    urgency: Urgency | None = None,
) -> None:
    await queue.acquire(background=background, urgency=urgency)
    order.append(name)
    queue.release()


async def test_calls_enter_in_turn_and_ordinary_ones_first(queue: RequestQueue) -> None:
    order: list[str] = []
    async with anyio.create_task_group() as group:
        for name in ("slow 1", "slow 2", "1", "2", "slow 3", "3"):
            group.start_soon(take_turn, queue, order, name, name.startswith("slow"))
            await anyio.wait_all_tasks_blocked()
        queue.limiter.observe_answer(0.0, 0.0, None)
        queue.release()
    assert order == ["1", "2", "3", "slow 1", "slow 2", "slow 3"]


async def test_nobody_who_comes_later_overtakes_those_who_wait(queue: RequestQueue) -> None:
    order: list[str] = []
    async with anyio.create_task_group() as group:
        group.start_soon(take_turn, queue, order, "first")
        await anyio.wait_all_tasks_blocked()
        queue.release()
        assert not queue.try_acquire(time.monotonic())
    assert order == ["first"]


async def test_an_ordinary_call_does_not_wait_behind_background_ones() -> None:
    queue = RequestQueue(RateLimiter(2), time.monotonic)
    assert queue.try_acquire(time.monotonic(), background=True)
    async with anyio.create_task_group() as group:
        group.start_soon(take_turn, queue, [], "slow", True)
        await anyio.wait_all_tasks_blocked()
        assert queue.try_acquire(time.monotonic())
        group.cancel_scope.cancel()


@pytest.mark.parametrize("is_admitted", [False, True])
@pytest.mark.parametrize("which", range(3))
async def test_a_call_that_gives_up_does_not_hold_up_the_others(
    queue: RequestQueue, which: int, *, is_admitted: bool
) -> None:
    order: list[str] = []
    scopes = [anyio.CancelScope() for _ in range(3)]

    async def wait_in_turn(number: int) -> None:
        with scopes[number]:
            await take_turn(queue, order, str(number))

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(wait_in_turn, number)
            await anyio.wait_all_tasks_blocked()
        queue.release()
        if is_admitted:
            while not queue.limiter.in_flight:
                await anyio.lowlevel.checkpoint()
            assert not order  # the first was admitted, and has not run yet
        scopes[which].cancel()
    assert [name for name in order if name != str(which)] == [
        str(number) for number in range(3) if number != which
    ]
    assert queue.limiter.in_flight == 0


@pytest.mark.parametrize("background", [False, True])
async def test_closing_turns_away_who_waits_sleeps_or_comes(
    queue: RequestQueue, background: bool
) -> None:
    errors: list[SessionClosedError] = []

    async def turned_away(call: Callable[[], object]) -> None:
        try:
            await call()  # type: ignore[misc]
        except SessionClosedError as exc:
            errors.append(exc)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(turned_away, lambda: queue.acquire(background=background))
            group.start_soon(turned_away, lambda: queue.sleep(3600))
        await anyio.wait_all_tasks_blocked()
        queue.close()
    assert len(errors) == 6
    assert not queue.try_acquire(time.monotonic(), background=background)
    with pytest.raises(SessionClosedError):
        await queue.acquire(background=background)


async def test_a_quiet_session_wakes_up_by_itself() -> None:
    queue = RequestQueue(RateLimiter(5), time.monotonic)
    now = time.monotonic()
    queue.limiter.observe_refusal(now, now, retry_after=0.02)
    order: list[str] = []
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(take_turn, queue, order, str(number))
    assert order == ["0", "1", "2"]
    assert time.monotonic() >= now + 0.02


async def test_ten_thousand_calls_pass_with_work_in_proportion(queue: RequestQueue) -> None:
    """Each call checks the limiter a few times, however many wait."""
    checks = itertools.count()
    wait = queue.limiter.delay

    def counted(now: float, *, background: bool = False) -> float:
        next(checks)
        return wait(now, background=background)

    queue.limiter.delay = counted  # type: ignore[method-assign]
    order: list[str] = []
    async with anyio.create_task_group() as group:
        for number in range(10_000):
            group.start_soon(take_turn, queue, order, str(number))
        await anyio.wait_all_tasks_blocked()
        queue.release()
    assert len(order) == 10_000
    assert next(checks) <= 40_000


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_the_most_urgent_call_is_next_though_it_came_last() -> None:
    clock = Clock()
    queue = RequestQueue(RateLimiter(1), clock)
    assert queue.try_acquire(clock.now)
    order: list[str] = []
    async with anyio.create_task_group() as group:
        for name, speed in {"plain": None, "idle": 1.0, "busy": 3.0, "silent": 0.5}.items():
            urgency = None if speed is None else Growing(speed)
            group.start_soon(take_turn, queue, order, name, True, urgency)
            await anyio.wait_all_tasks_blocked()
        queue.limiter.observe_answer(clock.now, clock.now, None)
        queue.release()
    assert order == ["busy", "plain", "idle", "silent"]


async def test_a_more_urgent_call_goes_first_though_it_comes_while_another_waits_for_the_time() -> (
    None
):
    queue = RequestQueue(RateLimiter(5), time.monotonic)
    now = time.monotonic()
    queue.limiter.observe_refusal(now, now, retry_after=0.05)
    order: list[str] = []
    async with anyio.create_task_group() as group:
        group.start_soon(take_turn, queue, order, "idle", True, Growing(1.0))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(take_turn, queue, order, "busy", True, Growing(3.0))
    assert order == ["busy", "idle"]


async def test_a_turn_that_comes_too_late_is_left_to_the_next() -> None:
    clock = Clock()
    queue = RequestQueue(RateLimiter(1), clock)
    assert queue.try_acquire(clock.now)
    begun: list[float | None] = []

    async def wait(seconds: float) -> None:
        begun.append(await queue.acquire(deadline=clock.now + seconds))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for seconds in (50.0, 500.0):
                group.start_soon(wait, seconds)
                await anyio.wait_all_tasks_blocked()
            clock.now = 200.0
            queue.release()
    assert begun == [None, 200.0]


async def test_a_call_that_waits_for_a_time_is_sent_sooner_where_that_becomes_possible() -> None:
    queue = RequestQueue(RateLimiter(5), time.monotonic)
    assert queue.try_acquire(time.monotonic())
    queue.limiter.blocked_until = time.monotonic() + 3600
    order: list[str] = []
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(take_turn, queue, order, "one")
            await anyio.sleep(0.01)  # until it is known when it may be sent
            queue.limiter.blocked_until = time.monotonic()
            queue.release()
    assert order == ["one"]


async def test_an_urgency_learns_of_each_request_that_is_admitted() -> None:
    clock = Clock()
    queue = RequestQueue(RateLimiter(1), clock)
    urgency = Growing()
    assert queue.try_acquire(clock.now, background=True, urgency=urgency)
    assert not queue.try_acquire(clock.now, background=True, urgency=urgency)
    async with anyio.create_task_group() as group:
        group.start_soon(take_turn, queue, [], "another", True, urgency)
        await anyio.wait_all_tasks_blocked()
        clock.now = 103.0
        queue.release()
    assert urgency.requests == [100.0, 103.0]


async def test_nothing_is_compared_where_nobody_waits() -> None:
    class Incomparable(Growing):
        def at(self, now: float) -> float:
            raise AssertionError("it was compared")

    queue = RequestQueue(RateLimiter(5), time.monotonic)
    for _ in range(3):
        assert queue.try_acquire(time.monotonic(), background=True, urgency=Incomparable())
        queue.limiter.observe_answer(time.monotonic(), time.monotonic(), None)


async def test_each_of_many_urgencies_is_looked_at_once_for_a_request_that_waits(
    queue: RequestQueue,
) -> None:
    looks = itertools.count()

    class Counted(Growing):
        def at(self, now: float) -> float:
            next(looks)
            return super().at(now)

    async with anyio.create_task_group() as group:
        for _ in range(500):
            group.start_soon(take_turn, queue, [], "one", True, Counted())
        await anyio.wait_all_tasks_blocked()
        assert next(looks) == 0
        queue.limiter.observe_answer(0.0, 0.0, None)
        queue.release()
    assert next(looks) <= 500 * 501 / 2 + 1


async def test_a_session_that_is_closed_takes_back_a_turn_that_was_not_used(
    queue: RequestQueue,
) -> None:
    async with anyio.create_task_group() as group:

        async def turned_away() -> None:
            with pytest.raises(SessionClosedError):
                await queue.acquire()

        group.start_soon(turned_away)
        await anyio.wait_all_tasks_blocked()
        queue.release()
        while not queue.limiter.in_flight:
            await anyio.lowlevel.checkpoint()
        queue.close()
    assert queue.limiter.in_flight == 0


@given(st.integers(1, 3), st.integers(1, 12), st.randoms())
def test_whoever_gives_up_and_whenever_the_others_have_their_turn(
    slots: int, callers: int, chance: random.Random
) -> None:
    async def run() -> None:
        queue = RequestQueue(RateLimiter(slots), time.monotonic)
        queue.limiter.observe_answer(0.0, 0.0, None)
        scopes = [anyio.CancelScope() for _ in range(callers)]
        kept = {number for number in range(callers) if chance.random() < 0.6}
        served: set[int] = set()

        async def call(number: int) -> None:
            kind = chance.randrange(3)
            urgency = Growing(chance.random()) if kind == 2 else None
            with scopes[number]:
                await pause()
                await queue.acquire(background=kind > 0, urgency=urgency)
                try:
                    await pause()
                    served.add(number)
                finally:
                    queue.release()

        async def pause() -> None:
            for _ in range(chance.randrange(4)):
                await anyio.lowlevel.checkpoint()

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                for number in range(callers):
                    group.start_soon(call, number)
                for number in set(range(callers)) - kept:
                    await pause()
                    scopes[number].cancel()
        assert kept <= served
        assert queue.limiter.in_flight == 0
        assert queue.try_acquire(time.monotonic(), background=True)  # nobody waits

    anyio.run(run)
