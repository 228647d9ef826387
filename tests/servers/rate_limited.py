"""A model of a rate-limited server, of the callers of one session, and of the network between."""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from aioservices.http.ratelimit import RateLimit, RateLimiter

Kind = Literal["from the first request", "by the clock", "sliding"]


@dataclass
class Server:
    """Counts requests, in windows that begin as its kind says."""

    kind: Kind
    limit: int
    window: float
    phase: float = 0.0
    _begun: float = -math.inf
    _served: deque[float] = field(default_factory=deque)

    def remaining(self, now: float) -> int:
        if self.kind == "sliding":
            oldest = now - self.window
            while self._served and self._served[0] <= oldest:
                self._served.popleft()
        elif now >= self._begun + self.window:
            self._served.clear()
        return self.limit - len(self._served)

    def ask(self, now: float) -> RateLimit | float:
        """Answer a request: with what is left, or refuse it with the seconds to wait."""
        if not self.remaining(now):
            return (self._served[0] if self.kind == "sliding" else self._begun) + self.window - now
        if self.kind != "sliding" and now >= self._begun + self.window:
            since = (now - self.phase) % self.window
            self._begun = now - since if self.kind == "by the clock" else now
        self._served.append(now)
        return RateLimit(self.limit, self.limit - len(self._served))


@dataclass
class Traffic:
    """What there is to be sent.

    Attributes
    ----------
    background : int
        Callers that always want to send.
    ordinary, others : float
        Calls of this session, and of somebody else's, as a share of what the limit allows.
    latency : tuple of float
        Seconds of the quickest and of the slowest way to the server, or back.
    """

    background: int = 0
    ordinary: float = 0.0
    others: float = 0.0
    latency: tuple[float, float] = (0.005, 0.05)


@dataclass
class Simulation:
    """Runs a limiter as a queue does: ordinary calls first, each kind in turn."""

    server: Server
    traffic: Traffic
    seed: int = 0
    limiter: RateLimiter = field(default_factory=lambda: RateLimiter(100))
    now: float = 0.0
    sent: int = 0
    background_served: list[float] = field(default_factory=list)
    background_refused: int = 0
    refusals: list[float] = field(default_factory=list)
    sends: list[float] = field(default_factory=list)
    quiet: list[tuple[float, float]] = field(default_factory=list)
    # Of each ordinary call: how long it was held up, what the server had left for it when it
    # came, and whether a 429 asked for quiet then.
    held_up: list[tuple[float, int, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._wake_at = math.inf
        self._ordinary: deque[tuple[float, int, bool]] = deque()
        self._background = self.traffic.background
        self._on_the_way = 0
        self._recur(self.traffic.ordinary, self._arrive)
        self._recur(self.traffic.others, self._others_ask)

    def run(self, until: float) -> "Simulation":
        self._admit()
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
            self._admit()
        self.now = until
        return self

    def _at(self, time: float, event: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (time, self._number, event))

    def _recur(self, share: float, event: Callable[[], None]) -> None:
        if not share:
            return
        rate = share * self.server.limit / self.server.window

        def happen() -> None:
            event()
            self._at(self.now + self._random.expovariate(rate), happen)

        self._at(self._random.expovariate(rate), happen)

    def _arrive(self) -> None:
        left = self.server.remaining(self.now) - self._on_the_way
        self._ordinary.append((self.now, left, self.now < self.limiter.blocked_until))

    def _others_ask(self) -> None:
        self.server.ask(self.now)

    def _admit(self) -> None:
        while self._ordinary or self._background:
            background = not self._ordinary
            wait = self.limiter.delay(self.now, background=background)
            if wait > 0:
                wake_at = self.now + wait
                if wake_at < self._wake_at or self._wake_at <= self.now:
                    self._wake_at = wake_at
                    if wake_at < math.inf:
                        self._at(wake_at, lambda: None)
                return
            self._send(background)

    def _send(self, background: bool) -> None:
        sent_at = self.now
        self.limiter.record_sent(sent_at, background=background)
        self.sent += 1
        self._on_the_way += 1
        self.sends.append(sent_at)
        if background:
            self._background -= 1
        else:
            arrived, left, quiet = self._ordinary.popleft()
            self.held_up.append((sent_at - arrived, left, quiet))

        def reach() -> None:
            self._on_the_way -= 1
            said = self.server.ask(self.now)
            self._at(self._later(), lambda: observe(said))

        def observe(said: RateLimit | float) -> None:
            self.limiter.record_end()
            if isinstance(said, RateLimit):
                self.limiter.observe_answer(sent_at, self.now, said)
                if background:
                    self.background_served.append(self.now)
                    self._background += 1
                return
            wait = math.ceil(said)  # as a header says it
            self.limiter.observe_refusal(sent_at, self.now, wait)
            self.quiet.append((self.now, self.now + wait))
            self.refusals.append(sent_at)
            self.background_refused += background
            self._at(self.now + wait, lambda: again(background))

        def again(background: bool) -> None:
            if background:
                self._background += 1
            else:
                self._ordinary.append((self.now, 0, False))

        self._at(self._later(), reach)

    def _later(self) -> float:
        return self.now + self._random.uniform(*self.traffic.latency)
