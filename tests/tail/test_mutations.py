"""Each rule of the tail, broken: the histories must notice, or they would prove nothing."""

import datetime as dt
import random
from collections.abc import Callable, Iterable

import pytest

from aioservices.api.models import TailedEntry
from aioservices.tail.dense import DenseSecond
from aioservices.tail.endless import EndlessWalk
from aioservices.tail.plan import Segment
from aioservices.tail.reader import LogReader
from aioservices.tail.traits import EndTraits, ServerTraits, StartTraits
from aioservices.tail.window import Window

from .history import History
from .model import UNITS, Behaviour

Mutation = Callable[[pytest.MonkeyPatch], None]

MUTATIONS: list[Mutation] = []


def mutation(function: Mutation) -> Mutation:
    MUTATIONS.append(function)
    return function


@mutation
def drop_equal_times(monkeypatch: pytest.MonkeyPatch) -> None:
    admit = Window.admit

    def broken(self: Window, entries: list[TailedEntry]) -> list[TailedEntry]:
        newest = self.newest
        return [e for e in admit(self, entries) if newest is None or e.created_at != newest]

    monkeypatch.setattr(Window, "admit", broken)


@mutation
def collapse_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    admit = Window.admit
    monkeypatch.setattr(
        Window, "admit", lambda self, entries: [e for e in admit(self, entries) if not e.copy]
    )


@mutation
def add_copies_up(monkeypatch: pytest.MonkeyPatch) -> None:
    count = Window.count

    def broken(self: Window, entries: Iterable[TailedEntry]) -> None:
        before = dict(self._copies)
        count(self, entries)
        for key, copies in self._copies.items():
            if key in before and before[key] != copies:
                self._copies[key] = before[key] + copies

    monkeypatch.setattr(Window, "count", broken)


@mutation
def forget_what_was_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Window, "count", lambda self, entries: None)


@mutation
def forget_the_number_of_copies_on_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    unpack = Window.unpack

    def broken(self: Window, text: str) -> None:
        unpack(self, text)
        self._copies = dict.fromkeys(self._copies, 1)

    monkeypatch.setattr(Window, "unpack", broken)


@mutation
def raise_the_floor_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogReader, "_final_below", lambda self, segment: segment.end or self._clock)


@mutation
def raise_the_floor_after_a_short_look(monkeypatch: pytest.MonkeyPatch) -> None:
    below = LogReader._final_below

    def broken(self: LogReader, segment: Segment) -> dt.datetime | None:
        self.looked_whole = True
        return below(self, segment)

    monkeypatch.setattr(LogReader, "_final_below", broken)
    monkeypatch.setattr("aioservices.tail.reader._FEW_LINES", 0)


@mutation
def trust_full_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServerTraits, "is_full", lambda self, length, limit: False)
    monkeypatch.setattr(ServerTraits, "growth", lambda self, length: 0.0)


@mutation
def suspect_no_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServerTraits, "growth", lambda self, length: 0.0)


@mutation
def trust_every_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for traits in (StartTraits, EndTraits):
        monkeypatch.setattr(traits, "may_try", lambda self, page, bound: True)
        monkeypatch.setattr(traits, "learn", lambda self, page, bound: True)


@mutation
def keep_gaps_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_to = DenseSecond._skip_to
    monkeypatch.setattr(
        DenseSecond,
        "_skip_to",
        lambda self, landing: skip_to(self, landing)._replace(complete=True),
    )


@mutation
def trust_a_server_that_ignores_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    init = EndlessWalk.__init__

    def broken(self: EndlessWalk, *args: object) -> None:
        init(self, *args)  # type: ignore[arg-type]
        self._traits.keeps_oldest = True

    monkeypatch.setattr(EndlessWalk, "__init__", broken)


def begin(generator: random.Random, seed: int) -> History:
    choose = generator.choice
    limit = choose([12, 40, 2000])
    ignores_end = choose([False, False, False, True])
    behaviour = Behaviour(
        keeps=choose(["oldest", "newest", "any"]),
        order=choose(["asc", "desc", "unsorted"]),
        start_unit=choose(UNITS),
        end_unit=choose(UNITS),
        compares_cut=choose([False, True]),
        cuts_lines=choose([False, True]),
        # Both together leave nothing by which a page could be judged: see the docs.
        cap=choose([None, None, 30]) if limit > 30 and not ignores_end else None,
        ignores_end=ignores_end,
    )
    return History(behaviour, seed, limit)


def is_noticed(seeds: range) -> bool:
    generator = random.Random(0)
    for seed in seeds:
        history = begin(generator, seed)
        try:
            # Lines at one instant, more than an unknown cap, are lost in silence: see the docs.
            history.live(crowd=history.server.behaviour.cap is None)
        except AssertionError:
            return True
        if history.surplus() or history.unreported():
            return True
    return False


def test_no_history_notices_anything_in_unbroken_rules() -> None:
    assert not is_noticed(range(200))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_broken_rule_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch)
    assert is_noticed(range(600))
