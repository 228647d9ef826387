"""A fleet whose whole life is laid down beforehand, so that it can be lived at any speed.

Everything that it shows is computed from the time: which services there are, which deployment is
the current one, which lines it has written by then. Nothing is stored, and nothing happens by
itself; days pass as fast as the one who asks for them says that they do.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from aioservices.emulator.limits import FixedWindow
from tests.servers.hostile import Request, Writer, answer, reset

__all__ = ["Deployment", "FleetLife", "FleetServer"]

SECOND = 1_000_000
"""Times are microseconds since 1970."""

_HOUR = 3600 * SECOND
_BURST = 50  # lines that come together
_BETWEEN = 20 * SECOND  # the end of a deployment and the begin of the next one
_WITHIN_BURST = 1000  # between two lines
_WORDS = [
    "request",
    "handled",
    "cache",
    "miss",
    "user",
    "session",
    "payment",
    "retry",
    "queue",
    "worker",
    "timeout",
]


class Deployment(NamedTuple):
    """One deployment, from its begin to its end, with the lines that it writes: bursts of some.

    Attributes
    ----------
    interval : int
        Microseconds between two bursts.
    """

    id: int
    start: int
    end: int
    interval: int

    def written_by(self, at: int) -> int:
        """Count the lines that it has written by a time, that time included."""
        since = min(at, self.end) - self.start
        bursts, rest = divmod(since, self.interval)
        if bursts < 1:  # the first one comes an interval after the begin
            return 0
        return (bursts - 1) * _BURST + min(_BURST, rest // _WITHIN_BURST + 1)

    def time_of(self, number: int) -> int:
        """Return when a line was written; the first one has the number 0."""
        burst, place = divmod(number, _BURST)
        return self.start + (burst + 1) * self.interval + place * _WITHIN_BURST

    def message(self, number: int) -> str:
        """Return the text of a line."""
        chance = number * 2_654_435_761 % 2**32
        words = " ".join(_WORDS[chance >> shift & 7] for shift in range(0, 24, 3))
        return f"{self.id}/{number} {words} in {chance % 997} ms, trace {chance:08x}"


class FleetLife:
    """What services and deployments there are, and when.

    Parameters
    ----------
    start : int
        When it begins.
    hours : float
        How long it lasts.
    services : int
        How many there are at any time. Of ten, one is replaced by a new one now and then.
    lines : int
        How many lines are written in all, about. Half of them by a tenth of the services.
    seed : int
    """

    def __init__(self, start: int, hours: float, services: int, lines: int, seed: int) -> None:
        self.start = start
        self.end = start + int(hours * _HOUR)
        self.deployments: dict[int, list[Deployment]] = {}
        chance = random.Random(seed)
        chatty = max(1, services // 10)
        for place in range(services):
            share = lines / 2 / (chatty if place < chatty else services - chatty)
            interval = int((self.end - start) / max(1.0, share / _BURST))
            begin = start - chance.randrange(_HOUR)
            service_id = place + 1
            while begin < self.end:
                leaves = self.end + _HOUR
                if place % 10 == 9:  # comes and goes
                    leaves = max(begin, start) + int((self.end - start) * chance.uniform(0.1, 0.4))
                self.deployments[service_id] = [*self._deploy(begin, leaves, interval, chance)]
                begin = leaves + 60 * SECOND
                service_id += 1000

    def _deploy(
        self, begin: int, leaves: int, interval: int, chance: random.Random
    ) -> Iterator[Deployment]:
        """Deploy a service again and again, until it leaves."""
        while begin < leaves:
            lasts = int((self.end - self.start) * chance.uniform(0.1, 0.6))
            end = min(leaves, max(begin, self.start) + lasts)
            yield Deployment(chance.randrange(1, 2**31), begin, end, interval)
            begin = end + _BETWEEN

    def lines_of(self, service_id: int) -> int:
        """Count the lines that a service writes in all."""
        return sum(each.written_by(self.end) for each in self.deployments[service_id])

    @property
    def lines(self) -> int:
        """How many lines are written in all."""
        return sum(map(self.lines_of, self.deployments))

    def current(self, service_id: int, now: int) -> Deployment | None:
        """Return the last deployment that has started."""
        begun = [each for each in self.deployments[service_id] if each.start <= now]
        return begun[-1] if begun else None

    def running(self, now: int) -> list[int]:
        """List the services that run."""
        return [
            service_id
            for service_id in sorted(self.deployments)
            if (current := self.current(service_id, now)) is not None and now < current.end
        ]


@dataclass
class FleetServer:
    """Shows a fleet's life by HTTP.

    Attributes
    ----------
    now
        Tells what time it is.
    outages
        Times between which nothing is answered but 503.
    reset_every
        One request of so many is reset. 0: none.
    limit
        Calls that are allowed in 300 s.
    passed
        Called with the time at every request.
    """

    life: FleetLife
    now: Callable[[], int]
    outages: Sequence[tuple[int, int]] = ()
    reset_every: int = 0
    limit: int = 1000
    passed: Callable[[int], None] = lambda _: None
    requests: int = 0
    refused: int = 0
    _window: FixedWindow = field(init=False)

    def __post_init__(self) -> None:
        self._window = FixedWindow(self.limit, 300 * SECOND)

    async def behave(self, request: Request, writer: Writer) -> None:
        """Answer a request."""
        now = self.now()
        self.requests += 1
        self.passed(now)
        headers = {"Date": formatdate(now / SECOND, usegmt=True)}
        if any(begin <= now < end for begin, end in self.outages):
            await answer({"error": "down"}, status=503, headers=headers)(request, writer)
            return
        if self.reset_every and self.requests % self.reset_every == 0:
            await reset(request, writer)
            return
        wait = self._window.take(now)
        headers["X-RateLimit-Limit"] = str(self.limit)
        headers["X-RateLimit-Remaining"] = str(self._window.remaining(now))
        if wait:
            self.refused += 1
            headers["Retry-After"] = str(math.ceil(wait / SECOND))
            await answer({"error": "too many"}, status=429, headers=headers)(request, writer)
            return
        path, _, query = request.target.partition("?")
        found = self._find(path.strip("/").split("/"), dict(parse_qsl(query)), now)
        status = 404 if found is None else 200
        body = {"error": "not_found"} if found is None else found
        await answer(body, status=status, headers=headers)(request, writer)

    def _find(self, parts: list[str], asked: Mapping[str, str], now: int) -> object:
        if len(parts) == 1:
            running = _page(self.life.running(now), asked)
            return [{"id": each, "name": f"service-{each}"} for each in running]
        service_id = int(parts[1])
        begun = [each for each in self.life.deployments[service_id] if each.start <= now]
        if not begun:
            return None
        if len(parts) == 2:
            return {"id": service_id, "currentDeployment": _shown(service_id, begun[-1], now)}
        if len(parts) == 3:
            return [_shown(service_id, each, now) for each in _page(begun[::-1], asked)]
        deployment = next((each for each in begun if each.id == int(parts[3])), None)
        if deployment is None:
            return None
        if len(parts) == 4:
            return _shown(service_id, deployment, now)
        return _lines(deployment, asked, min(now, self.life.end))


def _page(items: Sequence[Any], asked: Mapping[str, str]) -> Sequence[Any]:
    limit, number = int(asked.get("limit", 20)), int(asked.get("page_num", 1))
    return items[(number - 1) * limit : number * limit]


def _shown(service_id: int, deployment: Deployment, now: int) -> dict[str, Any]:
    is_over = now >= deployment.end
    return {
        "deploymentId": deployment.id,
        "serviceId": service_id,
        "state": "terminated" if is_over else "running",
        "createdAt": _text(deployment.start),
        "updatedAt": _text(deployment.end if is_over else deployment.start),
    }


def _lines(deployment: Deployment, asked: Mapping[str, str], now: int) -> bytes:
    first, last = 0, deployment.written_by(now)
    if "start_at" in asked:
        first = deployment.written_by(_micros(asked["start_at"]) - 1)
    if "end_at" in asked:
        last = min(last, deployment.written_by(_micros(asked["end_at"])))
    last = min(last, first + int(asked["limit"]))
    lines = ",".join(
        f'{{"createdAt":"{_text(deployment.time_of(number))}","stream":"stdout","source":"user",'
        f'"message":"{deployment.message(number)}"}}'
        for number in range(first, last)
    )
    return f"[{lines}]".encode()


def _text(micros: int) -> str:
    seconds, rest = divmod(micros, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def _micros(text: str) -> int:
    at = datetime.fromisoformat(text)
    return int(at.replace(microsecond=0).timestamp()) * SECOND + at.microsecond
