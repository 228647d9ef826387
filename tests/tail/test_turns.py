"""Which tails get how many requests, where the rate limit is too small for all."""

import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.http.queue import Waiter, WaitingCalls
from aioservices.tail.poller import CHECK_EVERY
from aioservices.tail.schedule import TailUrgency


class Tails:
    """Tails that all wait for the next request of one session."""

    def __init__(self, count: int) -> None:
        self.urgencies = [TailUrgency(1.0, 0.0) for _ in range(count)]
        self._queue = WaitingCalls()
        self._numbers: dict[Waiter, int] = {}
        for number in range(count):
            self._wait(number)

    def send(self, now: float) -> int:
        """Return the number of the tail whose request is sent; it waits again at once."""
        following = self._queue.take_next(now)
        following.admit(now)
        number = self._numbers.pop(following)
        self._wait(number)
        return number

    def _wait(self, number: int) -> None:
        waiter = Waiter(background=True, urgency=self.urgencies[number])
        self._numbers[waiter] = number
        self._queue.add(waiter)


def counts(tails: int, busy: int, turns: int) -> list[int]:
    """How many requests each tail gets of a server that serves one a second."""
    crowd = Tails(tails)
    got = [0] * tails
    for second in range(1, turns + 1):
        first = crowd.send(second)
        crowd.urgencies[first].record_poll(second, has_news=first < busy)
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
        self._crowd = Tails(self.tails)
        self._steps = [0] * self.tails
        self.polled = [0.0] * self.tails
        self.longest = [0.0] * self.tails  # between two polls

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += 0.3
            tail = self._crowd.send(self.now)
            self._steps[tail] += 1
            if self._steps[tail] % (CHECK_EVERY + 1) == 0:
                self.checks += 1
                continue
            self.polls += 1
            waited = self.now - self.polled[tail]
            lines = waited / (5.0 if tail < self.busy else 600.0)
            has_news = self._random.random() > math.exp(-lines)
            self._crowd.urgencies[tail].record_poll(self.now, has_news=has_news)
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
