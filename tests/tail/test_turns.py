"""Whose request is sent next."""

import math
import random
from dataclasses import dataclass

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.tail.poller import CHECK_EVERY
from aioservices.tail.schedule import TurnQueue, Urgency


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def counts(tails: int, busy: int, turns: int) -> list[int]:
    """How many requests each tail gets of a server that serves one a second."""
    urgencies = [Urgency(1.0, 0.0) for _ in range(tails)]
    got = [0] * tails
    for second in range(1, turns + 1):
        first = max(range(tails), key=lambda tail: urgencies[tail].at(second))
        urgencies[first].record_request(second)
        urgencies[first].record_poll(second, has_news=first < busy)
        got[first] += 1
    return got


@given(st.integers(1, 3), st.integers(1, 15))
def test_a_busy_tail_gets_more_requests_than_an_idle_one(busy: int, idle: int) -> None:
    got = counts(busy + idle, busy, 40 * (busy + idle))
    assert 2 * min(got[:busy]) > 3 * max(got[busy:])


@dataclass
class Crowd:
    """Tails of one session, of which each does what a following tail does: two polls, one check.

    Busy logs have a line every five seconds, the others one in ten minutes. The server serves
    1,000 requests in five minutes.
    """

    tails: int
    busy: int
    now: float = 0.0
    polls: int = 0
    checks: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(0)
        self._urgencies = [Urgency(1.0, 0.0) for _ in range(self.tails)]
        self._steps = [0] * self.tails
        self.polled = [0.0] * self.tails
        self.longest = [0.0] * self.tails  # between two polls

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += 0.3
            urgencies = self._urgencies
            tail = max(range(self.tails), key=lambda it: urgencies[it].at(self.now))
            urgencies[tail].record_request(self.now)
            self._steps[tail] += 1
            if self._steps[tail] % (CHECK_EVERY + 1) == 0:
                self.checks += 1
                continue
            self.polls += 1
            waited = self.now - self.polled[tail]
            lines = waited / (5.0 if tail < self.busy else 600.0)
            has_news = self._random.random() > math.exp(-lines)
            urgencies[tail].record_poll(self.now, has_news=has_news)
            self.polled[tail] = self.now
            self.longest[tail] = max(self.longest[tail], waited)


@pytest.mark.parametrize(("tails", "busy"), [(100, 10), (300, 30), (300, 3), (300, 300)])
def test_three_hundred_tails_share_a_small_limit(tails: int, busy: int) -> None:
    crowd = Crowd(tails, busy)
    crowd.run(6 * 0.3 * tails)  # until it is known which are busy
    crowd.longest = [0.0] * tails
    crowd.polls = crowd.checks = 0
    crowd.run(12 * 0.3 * tails)
    assert crowd.checks <= 0.36 * (crowd.checks + crowd.polls)
    fair = 0.3 * tails  # seconds between two requests of a tail, if all took turns
    # A check may lie between two polls.
    assert max(crowd.longest) <= 2 * 3 * fair
    if busy < tails:
        busy_ones, idle_ones = crowd.longest[:busy], crowd.longest[busy:]
        assert 2 * sum(busy_ones) / busy < sum(idle_ones) / len(idle_ones)
        assert max(busy_ones) <= 2 * fair


@given(st.integers(1, 3), st.integers(1, 15))
def test_no_tail_is_starved(busy: int, idle: int) -> None:
    assert min(counts(busy + idle, busy, 40 * (busy + idle))) > 0


@given(st.integers(1, 20))
def test_tails_that_are_alike_get_as_many(tails: int) -> None:
    got = counts(tails, 0, 10 * tails)
    assert max(got) - min(got) <= 1


async def test_a_turn_is_had_at_once_where_nobody_waits() -> None:
    queue = TurnQueue()
    for _ in range(3):
        queue.end(await queue.take(Urgency(1.0, 0.0)))


async def test_the_most_urgent_is_next() -> None:
    clock = Clock()
    queue = TurnQueue(clock)
    served: list[str] = []
    first = await queue.take(Urgency(1.0, 0.0))
    async with anyio.create_task_group() as group:

        async def request(name: str, urgency: Urgency) -> None:
            turn = await queue.take(urgency)
            served.append(name)
            queue.end(turn)

        clock.now = 100.0
        idle, busy = Urgency(1.0, 0.0), Urgency(1.0, 0.0)
        for tail in (busy, idle):
            tail.record_request(99.0)
        busy.record_poll(99.0, has_news=True)
        for second in range(95, 100):
            idle.record_poll(second, has_news=False)
        group.start_soon(request, "idle", idle)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(request, "busy", busy)
        await anyio.wait_all_tasks_blocked()
        queue.end(first)
    assert served == ["busy", "idle"]


async def test_a_turn_ends_once() -> None:
    queue = TurnQueue()
    urgency = Urgency(1.0, 0.0)
    first = await queue.take(urgency)
    queue.end()
    second = await queue.take(urgency)
    queue.end(first)  # which has ended: it is not the second one's that ends
    with anyio.move_on_after(0) as scope:
        await queue.take(urgency)
    assert scope.cancelled_caught
    queue.end(second)


@pytest.mark.parametrize("has_come", [False, True])
async def test_one_that_is_cancelled_leaves_its_turn_to_the_next(*, has_come: bool) -> None:
    queue = TurnQueue()
    urgency = Urgency(1.0, 0.0)
    first = await queue.take(urgency)
    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def give_up() -> None:
            with scope:
                queue.end(await queue.take(urgency))

        group.start_soon(give_up)
        await anyio.wait_all_tasks_blocked()
        if has_come:
            queue.end(first)
        scope.cancel()
    if not has_come:
        queue.end(first)
    with anyio.fail_after(5):
        await queue.take(urgency)
