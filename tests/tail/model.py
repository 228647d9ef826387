"""A model of a server's log: every behaviour that a scan must cope with, without a network."""

import datetime as dt
import random
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import NamedTuple

from aioservices.api.models import LogEntry, TailedEntry
from aioservices.tail.malformed import PageLines, split_page
from aioservices.tail.scan import PageRequest

BASE = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)

MICROSECOND, MILLISECOND, SECOND = 10**3, 10**6, 10**9  # in nanoseconds, as all times here


class Rounding(NamedTuple):
    """To which multiple of a unit a time is rounded, and how: down, up or to the nearest."""

    unit: int
    mode: str = "down"

    def __call__(self, time: int) -> int:
        add = {"down": 0, "up": self.unit - 1, "half": self.unit // 2}[self.mode]
        return (time + add) // self.unit * self.unit


EXACT = Rounding(1)


@dataclass(frozen=True)
class Behaviour:
    """What is not documented of a server.

    A3 holds for all of them: whole-second bounds let in all that they should, and perhaps more.
    """

    # Of a full page: oldest, newest, any, ends (half of each) or own (an order that has nothing to
    # do with times).
    keeps: str = "oldest"
    order: str = "asc"  # asc, desc or unsorted
    # How each bound is rounded, and the times of lines before they are compared with it.
    start: Rounding = EXACT
    start_lines: Rounding = EXACT
    end: Rounding = EXACT
    end_lines: Rounding = EXACT
    shown: Rounding = EXACT  # how times are shown that are kept in nanoseconds
    cap: int | None = None  # lines of a page, whatever is asked for, without a word
    largest: int | None = None  # a limit above it is refused
    longest: int | None = None  # a page that would be longer is refused
    ignores_end: bool = False


class LimitRefusedError(Exception):
    """The server takes no limit as large as that."""


@dataclass
class ModelServer:
    """Lines with the time from which each can be seen.

    Of those that begin with a question mark the time is not shown.
    """

    behaviour: Behaviour
    seed: int = 0
    lines: list[tuple[int, int, dt.datetime, str]] = field(default_factory=list)
    requests: list[PageRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def write(self, nanoseconds: int, text: str, visible: dt.datetime = BASE) -> None:
        insort(self.lines, (nanoseconds, len(self.lines), visible, text))

    def ask(self, request: PageRequest, now: dt.datetime) -> PageLines:
        """Answer a request."""
        self.requests.append(request)
        behaviour = self.behaviour
        if behaviour.largest is not None and request.limit > behaviour.largest:
            raise LimitRefusedError
        first, last = 0, len(self.lines)
        if request.start is not None:
            low = behaviour.start(nanoseconds(request.start))
            first = bisect_left(self.lines, low, key=lambda it: behaviour.start_lines(it[0]))
        if request.end is not None and not behaviour.ignores_end:
            high = behaviour.end(nanoseconds(request.end))
            last = bisect_right(self.lines, high, key=lambda it: behaviour.end_lines(it[0]))
        found = [line for line in self.lines[first:last] if line[2] <= now]
        limit = min(request.limit, behaviour.cap or request.limit)
        if behaviour.longest is not None and min(len(found), limit) > behaviour.longest:
            raise LimitRefusedError
        if len(found) > limit:
            if behaviour.keeps == "oldest":
                found = found[:limit]
            elif behaviour.keeps == "newest":
                found = found[-limit:]
            elif behaviour.keeps == "ends":
                found = found[: limit - limit // 2] + found[len(found) - limit // 2 :]
            elif behaviour.keeps == "own":
                found = sorted(sorted(found, key=lambda it: it[1] * 7919 % 1009)[:limit])
            else:
                found = sorted(self._random.sample(found, limit))
        if behaviour.order == "desc":
            found.reverse()
        elif behaviour.order == "unsorted":
            self._random.shuffle(found)
        lines = [self._shown(at, text) for at, _, _, text in found]
        return split_page(lines, newest_first=behaviour.order == "desc")

    def _shown(self, at: int, text: str) -> LogEntry:
        if text.startswith("?"):
            return LogEntry(message=text)
        return TailedEntry(message=text, created_at=self.shown_at(at))

    def shown_at(self, at: int) -> dt.datetime:
        """Return what a reader sees of a time: decoding rounds to the nearest microsecond."""
        micros = (self.behaviour.shown(at) + 500) // 1000
        return BASE + dt.timedelta(microseconds=micros)


def nanoseconds(time: dt.datetime) -> int:
    return (time - BASE) // dt.timedelta(microseconds=1) * 1000
