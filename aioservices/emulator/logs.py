"""The log of one deployment."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import Literal, NamedTuple

import msgspec

from aioservices.emulator import instants
from aioservices.emulator.arguments import check_choice, check_integer, check_seconds
from aioservices.emulator.instants import NANOSECONDS, Unit
from aioservices.emulator.schemas import LogLine, Source, Stream

__all__ = ["Log", "LogBehaviour", "SavedLine"]

_encode = msgspec.json.Encoder().encode
_DAY = 24 * 60  # minutes


Kept = Literal["oldest", "newest", "any"]
Order = Literal["asc", "desc", "unsorted"]
Rounding = Literal["down", "up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBehaviour:
    """The behaviour of logs that the API does not document.

    Parameters
    ----------
    keeps
        Which lines a page has when more match than its limit allows.
    order
        The order of the lines of a page.
    start_unit, end_unit
        The precision with which a bound is compared.
    start_rounding, end_rounding
        How a bound that is more precise than that is rounded: `"down"` cuts the bound;
        `"up"`, on the end, has the effect of cutting the times of the lines, too.
    ignores_end_at
        Whether the server ignores `end_at`.
    max_limit
        The largest page that the server sends, for any limit. None: no bound.
    unit
        The precision of the lines' timestamps.
    utc_offset
        The offset in minutes of the zone of the timestamps. None: they end in `Z`.
    visible_after
        Seconds until queries find a line that was written.
    """

    keeps: Kept = "oldest"
    order: Order = "asc"
    start_unit: Unit = "ns"
    end_unit: Unit = "ns"
    start_rounding: Rounding = "down"
    end_rounding: Rounding = "down"
    ignores_end_at: bool = False
    max_limit: int | None = None
    unit: Unit = "ms"
    utc_offset: int | None = None
    visible_after: float = 0.0

    def __post_init__(self) -> None:
        check_choice(self.keeps, Kept, "keeps")
        check_choice(self.order, Order, "order")
        for bound in ("start", "end"):
            check_choice(getattr(self, f"{bound}_unit"), Unit, f"{bound}_unit")
            check_choice(getattr(self, f"{bound}_rounding"), Rounding, f"{bound}_rounding")
        check_choice(self.unit, Unit, "unit")
        check_seconds(self.visible_after, "visible_after")
        if self.max_limit is not None:
            check_integer(self.max_limit, "max_limit", least=1)
        if self.utc_offset is not None:
            check_integer(self.utc_offset, "utc_offset", least=1 - _DAY, most=_DAY - 1)

    def first(self, start_at: int) -> int:
        """Return the earliest instant that `start_at` lets through.

        Not part of the public interface.
        """
        unit = NANOSECONDS[self.start_unit]
        return (-(-start_at // unit) if self.start_rounding == "up" else start_at // unit) * unit

    def last(self, end_at: int) -> int:
        """Return the latest instant that `end_at` lets through.

        Not part of the public interface.
        """
        unit = NANOSECONDS[self.end_unit]
        floor = end_at // unit * unit
        return floor + unit - 1 if self.end_rounding == "up" else floor


class SavedLine(NamedTuple):
    """A line as it is kept in a file.

    Attributes
    ----------
    at
        Its time.
    visible_at
        The instant from which queries find it. None: they find it already.
    line
        Its JSON.
    """

    at: int
    visible_at: int | None
    line: msgspec.Raw


class Log:
    """Lines in order of time, stored as the bytes that are sent, so that a page is a simple join.

    Parameters
    ----------
    retention
        About how many lines are kept; the oldest are removed.
    """

    def __init__(self, retention: int = 2_000_000) -> None:
        self._retention = retention
        self._times = array("q")
        self._lines: list[bytes] = []
        self._hidden: list[tuple[int, int, int, bytes]] = []
        self._written = 0
        self._version = 0

    @property
    def version(self) -> int:
        """A number that grows whenever a line becomes visible."""
        return self._version

    def __len__(self) -> int:
        return len(self._lines) + len(self._hidden)

    def write(
        self,
        message: str,
        *,
        now: int,
        at: int,
        stream: Stream,
        source: Source,
        behaviour: LogBehaviour,
        visible_after: float = 0.0,
    ) -> None:
        """Append a line with the time `at`; queries find it so many seconds from `now`."""
        at -= at % NANOSECONDS[behaviour.unit]
        stamp = instants.text(at, behaviour.unit, behaviour.utc_offset)
        line = _encode(LogLine(message=message, stream=stream, created_at=stamp, source=source))
        self._written += 1
        delay = instants.duration(visible_after + behaviour.visible_after)
        if delay > 0:
            heappush(self._hidden, (now + delay, self._written, at, line))
        else:
            self._insert(at, line)

    def newest(self, now: int, count: int) -> list[bytes]:
        """Return the newest lines that are visible, in order of their times, each as JSON."""
        self._reveal(now)
        return self._lines[-count:]

    def query(
        self,
        now: int,
        *,
        start_at: int | None,
        end_at: int | None,
        limit: int,
        behaviour: LogBehaviour,
        random: Random,
    ) -> list[bytes]:
        """Return one page, each line as JSON."""
        self._reveal(now)
        low, high = 0, len(self._times)
        if start_at is not None:
            low = bisect_left(self._times, behaviour.first(start_at))
        if end_at is not None and not behaviour.ignores_end_at:
            high = bisect_right(self._times, behaviour.last(end_at))
        limit = min(limit, behaviour.max_limit or limit)
        page = self._page(low, high, limit, behaviour, random)
        if behaviour.order == "desc":
            page.reverse()
        elif behaviour.order == "unsorted":
            random.shuffle(page)
        return page

    def _page(
        self, low: int, high: int, limit: int, behaviour: LogBehaviour, random: Random
    ) -> list[bytes]:
        if high - low > limit:
            if behaviour.keeps == "any":
                kept = sorted(random.sample(range(low, high), limit))
                return [self._lines[index] for index in kept]
            if behaviour.keeps == "oldest":
                high = low + limit
            else:
                low = high - limit
        return self._lines[low:high]

    def saved(self, count: int) -> list[SavedLine]:
        """Return the newest lines as they are kept in a file."""
        times, lines = self._times[-count:], self._lines[-count:]
        visible = [
            SavedLine(at, None, msgspec.Raw(line)) for at, line in zip(times, lines, strict=True)
        ]
        hidden = [
            SavedLine(at, due, msgspec.Raw(line)) for due, _, at, line in sorted(self._hidden)
        ]
        return visible + hidden

    def restore(self, saved: Iterable[SavedLine]) -> None:
        """Restore the lines that were kept in a file."""
        for at, visible_at, line in saved:
            self._written += 1
            if visible_at is None:
                self._insert(at, bytes(line))
            else:
                heappush(self._hidden, (visible_at, self._written, at, bytes(line)))

    def _reveal(self, now: int) -> None:
        while self._hidden and self._hidden[0][0] <= now:
            _, _, at, line = heappop(self._hidden)
            self._insert(at, line)

    def _insert(self, at: int, line: bytes) -> None:
        self._version += 1
        if not self._times or at >= self._times[-1]:
            self._times.append(at)
            self._lines.append(line)
        else:
            index = bisect_right(self._times, at)
            self._times.insert(index, at)
            self._lines.insert(index, line)
        # Removing a tenth at a time keeps the cost of a line constant.
        if len(self._times) > self._retention * 11 // 10 + 1:
            excess = len(self._times) - self._retention
            del self._times[:excess], self._lines[:excess]
