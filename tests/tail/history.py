"""Lines that are written and read in turn, as in a life of some minutes."""

import datetime as dt
import random
from collections import Counter

from aioservices.api.models import TailedEntry
from aioservices.tail.plan import Query
from aioservices.tail.reader import LogReader
from aioservices.tail.traits import ServerTraits
from aioservices.tail.window import Window

from .model import BASE, Behaviour, ModelServer

OVERLAP = 60.0

Line = tuple[dt.datetime, str | None]


def identity(entry: TailedEntry) -> Line:
    return entry.created_at, entry.message


class History:
    """One log, its server and its reader.

    Parameters
    ----------
    behaviour : Behaviour
        Of the server.
    seed : int
        The same seed gives the same history.
    limit : int
        Lines that a page may have.
    """

    def __init__(self, behaviour: Behaviour, seed: int, limit: int) -> None:
        self.random = random.Random(seed)
        self.server = ModelServer(behaviour, seed)
        self.limit = limit
        self.now = BASE + dt.timedelta(seconds=OVERLAP)
        self.traits = ServerTraits()
        self.window = Window()
        self.reader = self.new_reader()
        self.delivered: Counter[Line] = Counter()
        self.copies: set[tuple[dt.datetime, str | None, int]] = set()
        self.gaps: list[tuple[dt.datetime | None, dt.datetime | None]] = []
        # While a page is on its way: seconds that pass, and lines that are written.
        self.latency = 0.0
        self.rate = 0

    def new_reader(self) -> LogReader:
        return LogReader(self.window, overlap=OVERLAP, limit=self.limit, traits=self.traits)

    def write(self, count: int, *, spread: float, late: float, unit: int) -> None:
        """Write lines of the last seconds, in nanoseconds that are multiples of the unit."""
        now = int((self.now - BASE).total_seconds() * 10**9)
        for _ in range(count):
            at = (now - int(self.random.random() * spread * 10**9)) // unit * unit
            seen = self.now + dt.timedelta(seconds=self.random.uniform(0, late))
            # A2: a line can be seen at most the overlap after its time.
            latest = BASE + dt.timedelta(microseconds=at // 1000, seconds=OVERLAP)
            self.server.write(at, self.random.choice("ab"), min(seen, latest))

    def poll(self, *, whole: bool = True) -> None:
        walk = self.reader.begin(self.now, whole=whole)
        asked = 0
        while (query := walk.query) is not None:
            asked += 1
            room = min(self.limit, self.server.behaviour.cap or self.limit)
            assert asked < 20 * len(self.server.lines) / room + 500, "no end of queries"
            page = self.server.ask(query, self.now)
            if self.latency and asked <= 30:  # who reads must be able to catch up
                self.wait(self.latency)
                self.write(self.rate, spread=self.latency, late=0.0, unit=1000)
            segment = walk.feed(page)
            if segment is None:
                continue
            stretch = self.reader.take(segment, self.now)
            self.delivered.update(map(identity, stretch.entries))
            for entry in stretch.entries:
                line = (*identity(entry), entry.copy)
                assert line not in self.copies, "a copy came twice"
                self.copies.add(line)
            if not segment.complete:
                self.gaps.append((segment.start, segment.end))
        self.reader.finish(walk)

    def restart(self) -> None:
        """Go on elsewhere from what was kept."""
        kept = Window(self.reader.window.floor)
        kept.unpack(self.reader.window.pack())
        self.window = kept
        self.reader = self.new_reader()

    def wait(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)

    def end(self) -> None:
        """Read the rest, when everything can be seen."""
        self.wait(2 * OVERLAP)
        self.poll()

    def live(self, *, moves: int = 25, crowd: bool = True) -> None:
        """Live through moves at random, to the end."""
        choose = self.random.choice
        for _ in range(moves):
            move = self.random.random()
            if move < 0.4:
                self.write(
                    choose([1, 5, 30, 60 if crowd else 10]),
                    spread=choose([0.0, 0.01, 1.0, 30.0] if crowd else [0.5, 1.0, 30.0]),
                    late=choose([0.0, 0.0, 5.0, 55.0]),
                    unit=choose([1, 1000, 10**6, 10**9] if crowd else [1, 1000]),
                )
            elif move < 0.85:
                self.poll(whole=self.random.random() < 0.2)
            elif move < 0.9:
                self.restart()
            self.wait(choose([0.0, 0.5, 1.0, 20.0]))
        self.end()

    def expected(self) -> Counter[Line]:
        """All lines, as a server without quirks would give them."""
        plain = ModelServer(Behaviour(), lines=self.server.lines)
        return Counter(map(identity, plain.ask(Query(None, None, 10**9), self.now)))

    def surplus(self) -> Counter[Line]:
        """Lines that came though there are none, or too often."""
        return self.delivered - self.expected()

    def missing(self) -> Counter[Line]:
        return self.expected() - self.delivered

    def unreported(self) -> list[Line]:
        """Lines that are missing and lie in no gap that was reported."""
        return [
            line
            for line in self.missing()
            if not any(
                (low is None or low <= line[0]) and (high is None or line[0] <= high)
                for low, high in self.gaps
            )
        ]
