"""A model of a server's log: every behaviour that a walk must cope with, without a network."""

import datetime as dt
import json
import random
from dataclasses import dataclass, field

import msgspec

from aioservices.api.models import TailedEntry
from aioservices.tail.bounds import MILLISECOND, SECOND, floor
from aioservices.tail.plan import Query

BASE = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)

_decoder = msgspec.json.Decoder(list[TailedEntry])


@dataclass(frozen=True)
class Behaviour:
    """What is not documented of a server."""

    keeps: str = "oldest"  # of a full page: oldest, newest or any
    order: str = "asc"  # asc, desc or unsorted
    start_unit: dt.timedelta | None = None  # to which bounds are cut, ...
    end_unit: dt.timedelta | None = None
    compares_cut: bool = False  # ... and line times too, before they are compared with the end, ...
    cuts_lines: bool = False  # ... or line times in place of the start
    cap: int | None = None
    ignores_end: bool = False


UNITS = (None, MILLISECOND, SECOND)


@dataclass
class ModelServer:
    """Lines with the time from which each can be seen."""

    behaviour: Behaviour
    seed: int = 0
    lines: list[tuple[int, dt.datetime, str]] = field(default_factory=list)  # ns, visible, text
    queries: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def write(self, nanoseconds: int, text: str, visible: dt.datetime = BASE) -> None:
        self.lines.append((nanoseconds, visible, text))

    def ask(self, query: Query, now: dt.datetime) -> list[TailedEntry]:
        """Answer, through real JSON, so that times are rounded as they really are."""
        self.queries += 1
        behaviour = self.behaviour
        start = query.start
        if not behaviour.cuts_lines:
            start = _cut(start, behaviour.start_unit)
        end = None if behaviour.ignores_end else _cut(query.end, behaviour.end_unit)
        low = None if start is None else _nanoseconds(start)
        high = None if end is None else _nanoseconds(end)
        unit = behaviour.end_unit if behaviour.compares_cut else None
        start_unit = behaviour.start_unit if behaviour.cuts_lines else None
        found = [
            (at, text)
            for at, visible, text in self.lines
            if visible <= now
            and (low is None or _cut_nanoseconds(at, start_unit) >= low)
            and (high is None or _cut_nanoseconds(at, unit) <= high)
        ]
        found.sort(key=lambda line: line[0])
        limit = min(query.limit, behaviour.cap or query.limit)
        if len(found) > limit:
            if behaviour.keeps == "oldest":
                found = found[:limit]
            elif behaviour.keeps == "newest":
                found = found[-limit:]
            else:
                found = sorted(self._random.sample(found, limit))
        if behaviour.order == "desc":
            found.reverse()
        elif behaviour.order == "unsorted":
            self._random.shuffle(found)
        return _decoder.decode(
            json.dumps([{"message": text, "createdAt": _stamp(at)} for at, text in found])
        )


def _cut(time: dt.datetime | None, unit: dt.timedelta | None) -> dt.datetime | None:
    return time if time is None or unit is None else floor(time, unit)


def _cut_nanoseconds(at: int, unit: dt.timedelta | None) -> int:
    if unit is None:
        return at
    step = int(unit.total_seconds() * 10**9)
    return at // step * step


def _nanoseconds(time: dt.datetime) -> int:
    return (time - BASE) // dt.timedelta(microseconds=1) * 1000


def _stamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    time = BASE + dt.timedelta(seconds=seconds)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
