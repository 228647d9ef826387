"""Pacing by the server's rate limit: arithmetic over a clock that is handed in.

Calls wait for it in a `RequestQueue`.

Theory of operation
-------------------
The server counts requests in periods. Each answer says how many requests a period allows
(`limit`) and how many are left (`remaining`). It does not say when a period began or how long it
is, other clients may spend from the same count, and answers may arrive in another order than their
requests were counted in. A 429 says that nothing is left, and with ``Retry-After`` until when.

1. After a 429 nothing is sent until its ``Retry-After`` has passed (`blocked_until`). Then one
   request at a time finds out whether the server serves again: a burst would be refused whole.
2. An ordinary call is delayed only where the server would refuse it. As long as more requests are
   left than are under way, it is sent at once. When nothing seems to be left, one request at a
   time is sent, because only an answer can show that a new period has begun. A connection that
   stalls delays the others for a few seconds at most.
3. A background call leaves a fifth of the limit, and of the connections, to ordinary calls, and
   what is left beyond that is spread evenly over the rest of the period. So the delay before a
   background call is (end - last background call) / (spare requests + 1).
4. The length of a period is learned from its restarts. If `remaining` did not fall between two
   requests, one sent after the answer to the other, a new period began between the two. Two
   restarts bound the length from above: it is at most the time from just before the first to just
   after the second. The least such bound is used, until a period turns out to be longer. A server
   with a sliding count soon refutes every bound, and the length then counts as unknown.
5. While the length is unknown, it may be a second or ten minutes. Background calls are then spread
   over the logarithm of the time since the period began, so that few requests cover both.

Example: with a limit of 100 in 5 seconds and 60 left 2 seconds after the start, 20 are reserved, so
background calls go out every 3 / 41 seconds, while ordinary calls go out at once.
"""

from __future__ import annotations

import math

import msgspec

__all__ = ["RateLimit", "RateLimiter"]

# The share of the limit, and of the connections, that background calls leave to ordinary ones.
_RESERVE = 0.2
# How long the period of a rate limit may be, in seconds.
_SHORTEST_PERIOD = 1.0
_LONGEST_PERIOD = 600.0
# Where nothing seems to be left, how many seconds an answer is awaited before another call
# is risked: a connection that stalls must not hold up the others.
_STALL_TIMEOUT = 5.0


class RateLimit(msgspec.Struct, frozen=True):
    """What the server last said about its rate limit.

    Attributes
    ----------
    limit : int
        Requests allowed in a period of time.
    remaining : int
        How many of them are left.
    """

    limit: int
    remaining: int


class RateLimiter:
    """What may be sent now, and what must wait.

    Parameters
    ----------
    slots : int
        How many requests may be under way at once.

    Attributes
    ----------
    in_flight : int
        How many are under way.
    blocked_until : float
        The time, by the clock that is handed in, before which nothing is sent.
    sharers : int
        How many processes use the same key, this one included: each leaves the others their part
        of what background calls may use.
    """

    def __init__(self, slots: int) -> None:
        self.in_flight = 0
        self.sharers = 1
        self.blocked_until = -math.inf
        self._slots = slots
        self._background_slots = max(1, slots - math.ceil(slots * _RESERVE))
        self._exhausted = False  # the latest answer was a 429
        self._last_sent = self._last_background = -math.inf
        self._last_answered = -math.inf  # when the request was sent that was answered last
        self._period = _Period()

    @property
    def rate_limit(self) -> RateLimit | None:
        """What is known about the server's count."""
        return self._period.latest

    def delay(self, now: float, *, background: bool = False) -> float:
        """Seconds until a call may be sent: 0 is now, infinity is not before one has ended."""
        if now < self.blocked_until:
            return self.blocked_until - now
        if self.in_flight >= (self._background_slots if background else self._slots):
            return math.inf
        if self._exhausted:
            return self._one_at_a_time(now)
        if background:
            return self._background_delay(now)
        latest = self._period.latest
        if latest is None or latest.remaining > self.in_flight:
            return 0.0
        return self._one_at_a_time(now)

    def record_sent(self, now: float, *, background: bool = False) -> None:
        """Record that a request is sent."""
        self.in_flight += 1
        self._last_sent = now
        if background:
            self._last_background = now

    def record_end(self) -> None:
        """Record that a request is no longer under way, whatever its result."""
        self.in_flight -= 1

    def observe_answer(self, sent_at: float, now: float, rate_limit: RateLimit | None) -> None:
        """Learn from an answer to a request that was sent at `sent_at`."""
        if sent_at >= self.blocked_until:
            self._exhausted = False
        if sent_at > self._last_answered:
            self._last_answered = sent_at
        if rate_limit is not None:  # an answer of a proxy does not have it
            self._period.observe(sent_at, now, rate_limit)

    def observe_refusal(self, sent_at: float, now: float, retry_after: float) -> None:
        """Learn from a 429: nothing is sent for `retry_after` seconds."""
        known = self.rate_limit
        self.observe_answer(sent_at, now, known and RateLimit(known.limit, 0))
        self._exhausted = True
        self.blocked_until = max(self.blocked_until, now + retry_after)

    def _one_at_a_time(self, now: float) -> float:
        if not self.in_flight or self._last_answered >= self._last_sent:
            return 0.0
        return max(0.0, self._last_sent + _STALL_TIMEOUT - now)

    def _background_delay(self, now: float) -> float:
        latest, period = self.rate_limit, self._period
        if latest is None:
            known_to_answer = self._last_answered > -math.inf
            return 0.0 if known_to_answer else self._one_at_a_time(now)
        left = latest.remaining - self.in_flight
        spare = max(0, left - math.ceil(latest.limit * _RESERVE)) // self.sharers
        if period.end is None:
            if left > latest.limit / 2:
                return 0.0  # does no harm, and shows how long the period is
            due = period.next_probe(self._last_background, max(spare, latest.limit // 20, 2))
        else:
            since = max(self._last_background, period.start)
            due = min(period.end, since + (period.end - since) / (spare + 1))
        if due > now:
            return due - now
        if left > 0 and (period.end is None or now < period.end):
            return 0.0
        return self._one_at_a_time(now)


class _Period:
    """When the server's count was reset last, and when it will be next: points 4 and 5 above."""

    def __init__(self) -> None:
        self.latest: RateLimit | None = None
        self.start = -math.inf
        self.end: float | None = None  # None: unknown
        self._length = math.inf
        self._sent_at = self._received_at = -math.inf  # of the request that gave `latest`
        self._started_after: float | None = None  # the last period began no sooner than this

    def observe(self, sent_at: float, now: float, rate_limit: RateLimit) -> None:
        """Learn from what the server said in answer to a request."""
        before = self.latest
        if before is None:
            self.start = sent_at
        elif rate_limit.remaining < before.remaining:
            self._extend(sent_at)
        elif sent_at <= self._received_at:
            return  # overtaken: it was counted before what is already known
        elif rate_limit.remaining <= rate_limit.limit / 2:
            self._extend(sent_at)
        elif self._sent_at >= self.start:  # or it was under way when the period began
            self._restart(now)
        self.latest, self._sent_at, self._received_at = rate_limit, sent_at, now

    def next_probe(self, last: float, calls: int) -> float:
        """When to send again while the length is unknown, if so many calls are left for it."""
        elapsed = max(_SHORTEST_PERIOD, last - self.start)
        growth = math.pow(max(2.0, _LONGEST_PERIOD / elapsed), 1 / calls)
        return min(self.start + elapsed * min(growth, 4.0), last + _LONGEST_PERIOD)

    def _restart(self, now: float) -> None:
        if self._started_after is not None:
            self._length = min(self._length, now - self._started_after)
        self._started_after = self._sent_at
        self.start = now
        self.end = now + self._length if self._length <= _LONGEST_PERIOD else None

    def _extend(self, sent_at: float) -> None:
        if self.end is not None and sent_at >= self.end:
            self._length, self.end = math.inf, None
