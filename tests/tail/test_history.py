"""A log read poll after poll, whatever the server: every line once, or in a reported gap."""

import datetime as dt
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aioservices.models import LogEntry
from aioservices.tail.bounds import MILLISECOND, SECOND
from aioservices.tail.reader import LogReader
from aioservices.tail.traits import ServerTraits
from aioservices.tail.walk import Walk
from aioservices.tail.window import Window

from .model import BASE, UNITS, Behaviour, ModelServer

OVERLAP = 60.0
# `HYPOTHESIS_PROFILE=thorough` tries many more.
MORE = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 1

# Bounds are cut as A3 allows: to a unit that divides whole seconds.
behaviours = st.builds(
    Behaviour,
    keeps=st.sampled_from(["oldest", "newest", "any"]),
    order=st.sampled_from(["asc", "desc", "unsorted"]),
    start_unit=st.sampled_from(UNITS),
    end_unit=st.sampled_from(UNITS),
    compares_cut=st.booleans(),
)


def identity(entry: LogEntry) -> tuple[dt.datetime, str | None]:
    return entry.created_at, entry.message


class History:
    """Lines are written and read in turn, as in a life of some minutes."""

    def __init__(self, behaviour: Behaviour, seed: int, limit: int) -> None:
        self.random = random.Random(seed)
        self.server = ModelServer(behaviour, seed)
        self.limit = limit
        self.now = BASE
        self.traits = ServerTraits()
        self.window = Window()
        self.reader = self.new_reader()
        self.delivered: Counter[tuple[dt.datetime, str | None]] = Counter()
        self.copies: set[tuple[dt.datetime, str | None, int]] = set()
        self.gaps: list[tuple[dt.datetime | None, dt.datetime | None]] = []

    def new_reader(self) -> LogReader:
        return LogReader(self.window, overlap=OVERLAP, limit=self.limit, traits=self.traits)

    def write(self, count: int, *, spread: float, late: float, unit: int) -> None:
        now = int((self.now - BASE).total_seconds() * 10**9)
        for _ in range(count):
            at = max(0, now - int(self.random.random() * spread * 10**9)) // unit * unit
            seen = self.now + dt.timedelta(seconds=self.random.uniform(0, late))
            self.server.write(at, self.random.choice("ab"), min(seen, self.limit_of(at)))

    def limit_of(self, at: int) -> dt.datetime:
        """A2: a line can be seen at most the overlap after its time."""
        return BASE + dt.timedelta(microseconds=at // 1000, seconds=OVERLAP)

    def poll(self, *, whole: bool) -> None:
        walk = self.reader.begin(self.now, whole=whole)
        asked = 0
        while (query := walk.query) is not None:
            asked += 1
            assert asked < 20 * len(self.server.lines) / self.limit + 1500, "no end of queries"
            segment = walk.feed(self.server.ask(query, self.now))
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

    def live(self, moves: int, *, crowd: bool) -> None:
        for _ in range(moves):
            move = self.random.random()
            if move < 0.4:
                self.write(
                    self.random.choice([1, 5, 30, 60 if crowd else 10]),
                    spread=self.random.choice([0.0, 0.01, 1.0, 30.0]),
                    late=self.random.choice([0.0, 0.0, 5.0, 55.0]),
                    unit=self.random.choice([1, 1000, 10**6, 10**9]),
                )
            elif move < 0.85:
                self.poll(whole=self.random.random() < 0.2)
            elif move < 0.9:
                self.restart()
            self.now += dt.timedelta(seconds=self.random.choice([0.0, 0.5, 1.0, 20.0]))
        self.now += dt.timedelta(seconds=2 * OVERLAP)
        self.poll(whole=True)

    def expected(self) -> Counter[tuple[dt.datetime, str | None]]:
        query = Walk(None, horizon=BASE, limit=10**9, traits=ServerTraits()).query
        assert query is not None
        whole = replace(Behaviour(), order="asc")
        seen = ModelServer(whole, lines=self.server.lines).ask(query, self.now)
        return Counter(map(identity, seen))

    def missing(self) -> Counter[tuple[dt.datetime, str | None]]:
        return self.expected() - self.delivered

    def unreported(self) -> list[tuple[dt.datetime, str | None]]:
        return [
            line
            for line in self.missing()
            if not any(
                (low is None or low <= line[0]) and (high is None or line[0] <= high)
                for low, high in self.gaps
            )
        ]


def run(behaviour: Behaviour, seed: int, *, limit: int, moves: int = 25, crowd: bool) -> History:
    history = History(behaviour, seed, limit)
    history.live(moves, crowd=crowd)
    return history


@settings(max_examples=150 * MORE, deadline=None, suppress_health_check=list(HealthCheck))
@given(behaviours, st.integers(0, 2**32), st.sampled_from([10, 25, 60]))
def test_every_line_comes_once_or_lies_in_a_reported_gap(
    behaviour: Behaviour, seed: int, limit: int
) -> None:
    history = run(behaviour, seed, limit=limit, crowd=True)
    assert not history.delivered - history.expected(), "a line came that there is not"
    assert not history.unreported()


@settings(max_examples=80 * MORE, deadline=None, suppress_health_check=list(HealthCheck))
@given(behaviours, st.integers(0, 2**32))
def test_where_every_second_fits_a_page_nothing_is_missing(behaviour: Behaviour, seed: int) -> None:
    history = run(behaviour, seed, limit=2000, crowd=True)
    assert not history.missing()
    assert not history.gaps


@settings(max_examples=60 * MORE, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["oldest", "newest", "any"]), st.integers(0, 2**32), st.integers(12, 40))
def test_a_silent_cap_loses_nothing(keeps: str, seed: int, cap: int) -> None:
    # Lines of their own times: a crowded instant behind an unknown cap cannot be told from one
    # that is complete.
    history = History(Behaviour(keeps=keeps, cap=cap), seed, 10_000)
    for number in range(300):
        history.server.write(number * 137_000_000, "a")
    history.now += dt.timedelta(seconds=45)
    history.poll(whole=True)
    history.poll(whole=True)
    assert not history.missing()


@settings(max_examples=100 * MORE, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["oldest", "newest", "any"]), st.integers(0, 2**32))
def test_a_server_that_ignores_end_at_loses_nothing_in_silence(keeps: str, seed: int) -> None:
    history = run(Behaviour(keeps=keeps, ignores_end=True), seed, limit=40, crowd=True)
    assert not history.unreported()


@pytest.mark.parametrize("keeps", ["oldest", "newest", "any"])
def test_a_backlog_costs_requests_in_proportion_to_its_pages(keeps: str) -> None:
    history = History(Behaviour(keeps=keeps), 0, 1000)
    for number in range(100_000):
        history.server.write(number * 20_000_000, "a")
    history.now += dt.timedelta(hours=1)
    history.poll(whole=True)
    assert not history.missing()
    assert history.server.queries <= (130 if keeps == "oldest" else 220)


# Each rule, broken: the histories above must notice, or they would prove nothing.


def drop_equal_times(monkeypatch: pytest.MonkeyPatch) -> None:
    admit = Window.admit

    def broken(self: Window, entries: list[LogEntry]) -> list[LogEntry]:
        newest = self.newest
        return [e for e in admit(self, entries) if newest is None or e.created_at != newest]

    monkeypatch.setattr(Window, "admit", broken)


def collapse_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    admit = Window.admit
    monkeypatch.setattr(
        Window, "admit", lambda self, entries: [e for e in admit(self, entries) if not e.copy]
    )


def forget_what_was_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Window, "count", lambda self, entries: None)


def forget_the_number_of_copies_on_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    unpack = Window.unpack

    def broken(self: Window, text: str) -> None:
        unpack(self, text)
        self._copies = dict.fromkeys(self._copies, 1)

    monkeypatch.setattr(Window, "unpack", broken)


def raise_the_floor_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogReader, "_final_below", lambda self, segment: segment.end or self._clock)


def raise_the_floor_after_a_short_look(monkeypatch: pytest.MonkeyPatch) -> None:
    below = LogReader._final_below

    def broken(self: LogReader, segment: object) -> dt.datetime | None:
        self.looked_whole = True
        return below(self, segment)  # type: ignore[arg-type]

    monkeypatch.setattr(LogReader, "_final_below", broken)
    monkeypatch.setattr("aioservices.tail.reader._FEW_LINES", 0)


def trust_full_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServerTraits, "is_full", lambda self, *lengths: False)


def close_the_open_end(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = LogReader.begin

    def broken(self: LogReader, horizon: dt.datetime, *, whole: bool = False) -> Walk:
        self._end_at = horizon - SECOND - MILLISECOND
        return begin(self, horizon, whole=whole)

    monkeypatch.setattr(LogReader, "begin", broken)


MUTATIONS = [
    drop_equal_times,
    collapse_copies,
    forget_what_was_delivered,
    forget_the_number_of_copies_on_resume,
    raise_the_floor_early,
    raise_the_floor_after_a_short_look,
    trust_full_pages,
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_broken_rule_is_noticed(
    mutation: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutation(monkeypatch)
    generator = random.Random(0)
    for seed in range(300):
        behaviour = Behaviour(
            keeps=generator.choice(["oldest", "newest", "any"]),
            order=generator.choice(["asc", "desc", "unsorted"]),
        )
        try:
            history = run(behaviour, seed, limit=2000 if seed % 2 else 40, crowd=True)
            noticed = bool(history.delivered - history.expected() or history.unreported())
        except AssertionError:
            noticed = True
        if noticed:
            return
    pytest.fail("no history noticed it")
