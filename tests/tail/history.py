"""Lines that are written and read in turn, as in a life of some minutes."""

import datetime as dt
import random
from collections import Counter, deque

from aioservices import LogCursor, TailedEntry
from aioservices.tail.cursor import Batch, CursorTracker
from aioservices.tail.dedup import DeliveredLines
from aioservices.tail.malformed import PageLines
from aioservices.tail.ranges import Replan
from aioservices.tail.reader import LogReader
from aioservices.tail.scan import PageRequest, ServerProfile

from .model import BASE, MICROSECOND, MILLISECOND, SECOND, Behaviour, LimitRefusedError, ModelServer

OVERLAP = 60.0

Line = tuple[dt.datetime | None, str | None]


def identity(entry: TailedEntry) -> Line:
    return line(entry.created_at, entry.message or "")


def line(at: dt.datetime, text: str) -> Line:
    """What a line is known by: its text alone if its time is not shown."""
    return None if text.startswith("?") else at, text


class History:
    """One log, its server, its reader, and who consumes the lines.

    Parameters
    ----------
    behaviour : Behaviour
        Of the server.
    seed : int
        The same seed gives the same history.
    limit : int
        Lines that a page may have.
    date : str
        What the server's `Date` is: `true`, `absent`, `still` or `behind` by half a minute; or
        `guessed`, where it is absent and our own clock is an hour ahead.
    untimed : float
        The part of the lines whose time is not shown.
    identical : bool
        Whether such lines have one of two texts, and not each its own.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        seed: int,
        limit: int,
        *,
        date: str = "true",
        untimed: float = 0.0,
        identical: bool = False,
    ) -> None:
        self.random = random.Random(seed)
        self.server = ModelServer(behaviour, seed)
        self.limit = limit
        self.now = BASE + dt.timedelta(seconds=OVERLAP)
        self.profile = ServerProfile()
        self.delivered: Counter[Line] = Counter()
        self.copies: set[tuple[dt.datetime, str | None, int]] = set()
        self.gaps: list[tuple[dt.datetime | None, dt.datetime | None]] = []
        self.told_gaps: list[tuple[dt.datetime | None, dt.datetime | None]] = []
        self.batches: deque[Batch] = deque()
        self.polls = 0
        self.ahead = 0
        self.failing = 0.0  # the part of the requests that fail
        # While a page is on its way: seconds that pass, lines that are written, and after how many
        # seconds at most each of them can be seen.
        self.latency = 0.0
        self.rate = 0
        self.late = 0.0
        self._date = date
        self._untimed = untimed
        self._identical = identical
        self._still = self.now
        self.start(None)

    @property
    def requests(self) -> int:
        return len(self.server.requests)

    def start(self, cursor: LogCursor | None) -> None:
        """Begin to read, from where a cursor stands."""
        lines = DeliveredLines()
        if cursor is not None and cursor.positions:
            [position] = cursor.positions
            lines = position.delivered()
        self.reader = LogReader(
            1, 7, lines, profile=self.profile, overlap=OVERLAP, limit=self.limit
        )
        self.tracker = CursorTracker(1, None, cursor)
        self.tracker.take(self.reader.opened(None))

    def write(self, count: int, *, spread: float, late: float, unit: int) -> None:
        """Write lines of the last seconds, in nanoseconds that are multiples of the unit."""
        now = int((self.now - BASE).total_seconds() * 10**9)
        for _ in range(count):
            at = (now - int(self.random.random() * spread * 10**9)) // unit * unit
            seen = self.now + dt.timedelta(seconds=self.random.uniform(0, late))
            # A2: a line can be seen at most the overlap after the time that it shows.
            latest = self.server.shown_at(at) + dt.timedelta(seconds=OVERLAP)
            text = self.random.choice("ab")
            if self._untimed and self.random.random() < self._untimed:
                text = f"?{text if self._identical else len(self.server.lines)}"
            self.server.write(at, text, min(seen, latest))

    def poll(self, *, whole: bool = True, consume: bool = True) -> None:
        self.polls += 1
        began = self.now
        self.reader.begin(self._told_now(), whole=whole)
        asked = 0
        waiting: list[tuple[PageRequest, PageLines, dt.datetime | None]] = []
        while not self.reader.is_complete:
            request = self.reader.next_request(ahead=self.ahead)
            if request is not None:
                asked += 1
                size = (
                    1 if self.failing else min(self.limit, self.server.behaviour.cap or self.limit)
                )
                assert asked < 20 * len(self.server.lines) / size + 500, "no end of requests"
                asked_at = self._asked_at()
                if self.failing and self._fails(request):
                    continue
                try:
                    page = self.server.ask(request, self.now)
                except LimitRefusedError:
                    self.reader.replan(request, Replan.REFUSED)
                    continue
                if self.latency and asked <= 30:  # who reads must be able to catch up
                    self.wait(self.latency)
                    self.write(self.rate, spread=self.latency, late=self.late, unit=1000)
                waiting.append((request, page, asked_at))
                if self.random.random() < 0.5 and len(waiting) <= self.ahead:
                    continue
            assert waiting, "nothing to ask, and nothing awaited"
            request, page, asked_at = waiting.pop(self.random.randrange(len(waiting)))
            for batch in self.reader.feed(
                request, page, asked_at=asked_at, elapsed=self._since(began)
            ):
                self.told_gaps += [(gap.start, gap.end) for gap in batch.gaps]
                self.tracker.take(batch)
                self.batches.append(batch)
        for request, page, asked_at in waiting:  # what they were asked for was not needed
            assert not self.reader.feed(
                request, page, asked_at=asked_at, elapsed=self._since(began)
            )
        self.summary = self.reader.finish()
        if consume:
            self.consume()

    def _fails(self, request: PageRequest) -> bool:
        """Have a request fail now and then: less is asked for, or no such limit any more."""
        if self.random.random() >= self.failing:
            return False
        how = self.random.choice(list(Replan) if request.enlarged else [Replan.SMALLER])
        self.reader.resize_pages(self.random.randint(1, self.limit))
        self.reader.replan(request, how)
        return True

    def _told_now(self) -> dt.datetime:
        """What the tail believes to be now: a date that stands still is carried on."""
        ahead = {"behind": -30, "guessed": 3600}.get(self._date, 0)
        return self.now + dt.timedelta(seconds=ahead)

    def _since(self, began: dt.datetime) -> float:
        return (self.now - began).total_seconds()

    def _asked_at(self) -> dt.datetime | None:
        if self._date in ("absent", "guessed"):
            return None
        return self._still if self._date == "still" else self._told_now()

    def consume(self, most: int | None = None) -> None:
        """Give lines to the consumer."""
        while self.batches and most != 0:
            batch = self.batches[0]
            count = len(batch.rest) if most is None else min(most, len(batch.rest))
            for entry in batch.rest[:count]:
                self.delivered[identity(entry)] += 1
                copy = entry.created_at, entry.message, entry.copy
                assert copy not in self.copies, "a copy came twice"
                self.copies.add(copy)
            batch.given += count
            if most is not None:
                most -= count
            if not batch.is_given:
                return
            self.gaps += [(gap.start, gap.end) for gap in batch.gaps]
            self.batches.popleft()

    def restart(self) -> None:
        """Go on elsewhere from the consumer's cursor; what it was not given comes again."""
        cursor = LogCursor.from_json(self.tracker.cursor(None).to_json())
        self.batches.clear()
        self.start(cursor)

    def wait(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)

    def end(self) -> None:
        """Read the rest, when everything can be seen."""
        self.wait(2 * OVERLAP)
        self.poll()

    def live(self, *, moves: int = 25, crowd: bool = True, restarts: bool = True) -> None:
        """Live through moves at random, to the end."""
        choose = self.random.choice
        for _ in range(moves):
            move = self.random.random()
            if move < 0.4:
                self.write(
                    choose([1, 5, 30, 60 if crowd else 10]),
                    spread=choose([0.0, 0.01, 1.0, 30.0] if crowd else [0.5, 1.0, 30.0]),
                    late=choose([0.0, 0.0, 5.0, 55.0]),
                    unit=choose(
                        [1, MICROSECOND, MILLISECOND, SECOND] if crowd else [1, MICROSECOND]
                    ),
                )
            elif move < 0.85:
                self.poll(whole=self.random.random() < 0.2, consume=self.random.random() < 0.8)
            elif move < 0.9:
                self.consume(self.random.randrange(40))
                if restarts:
                    self.restart()
            self.wait(choose([0.0, 0.5, 1.0, 20.0]))
        self.end()

    def expected(self) -> Counter[Line]:
        """All lines, as they are shown."""
        return Counter(line(self.server.shown_at(it[0]), it[3]) for it in self.server.lines)

    def surplus(self) -> Counter[Line]:
        """Lines that came though there are none, or too often."""
        return self.delivered - self.expected()

    def missing(self) -> Counter[Line]:
        return self.expected() - self.delivered

    def unreported(self) -> list[Line]:
        """Lines that are missing and lie in no gap that was reported."""
        excused = Counter(
            line(at, it[3])
            for it in self.server.lines
            if self._is_in_gap(at := self.server.shown_at(it[0]))
        )
        return list(self.missing() - excused)

    def _is_in_gap(self, at: dt.datetime) -> bool:
        return any(
            (low is None or low <= at) and (high is None or at <= high)
            for low, high in self.told_gaps
        )
