"""Each rule of the tail, broken: the histories must notice, or they would prove nothing."""

import datetime as dt
import random
from collections.abc import Callable
from typing import Any

import pytest

from aioservices.api.models import TailedEntry
from aioservices.tail import scan as scan_module
from aioservices.tail.dedup import DeliveredLines
from aioservices.tail.limits import PageLimits, ServerProfile
from aioservices.tail.lines import NO_LINES
from aioservices.tail.ranges import Answer, PlannedRange, ScannedRange
from aioservices.tail.reader import LogReader
from aioservices.tail.scan import RangeScan

from .history import History
from .model import EXACT, MILLISECOND, SECOND, Behaviour, Rounding

Mutation = Callable[[pytest.MonkeyPatch], None]

MUTATIONS: list[Mutation] = []


def mutation(function: Mutation) -> Mutation:
    MUTATIONS.append(function)
    return function


def filtered(
    monkeypatch: pytest.MonkeyPatch, keep: Callable[[DeliveredLines, TailedEntry], bool]
) -> None:
    """Have delivered lines hide some that are new."""
    filter_new = DeliveredLines.filter_new
    monkeypatch.setattr(
        DeliveredLines,
        "filter_new",
        lambda self, lines: [entry for entry in filter_new(self, lines) if keep(self, entry)],
    )


@mutation
def drop_equal_times(monkeypatch: pytest.MonkeyPatch) -> None:
    filtered(monkeypatch, lambda self, entry: entry.created_at != self.newest)


@mutation
def drop_what_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    filtered(monkeypatch, lambda self, entry: self.newest is None or entry.created_at > self.newest)


@mutation
def collapse_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    filtered(monkeypatch, lambda self, entry: not entry.copy)


@mutation
def forget_what_was_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeliveredLines, "record", lambda self, entries: 0)


@mutation
def forget_the_number_of_copies_on_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    unpack = DeliveredLines.unpack

    def broken(watermark: dt.datetime | None, text: str) -> DeliveredLines:
        delivered = unpack(watermark, text)
        delivered._restored = dict.fromkeys(delivered._restored, 1)
        return delivered

    monkeypatch.setattr(DeliveredLines, "unpack", broken)


@mutation
def resume_behind_lines_that_were_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = DeliveredLines.pack
    monkeypatch.setattr(DeliveredLines, "pack", lambda self, *ignored: pack(self))


@mutation
def advance_the_watermark_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        LogReader, "_final_below", lambda self, scanned: scanned.end or scanned.asked_at
    )


@mutation
def advance_the_watermark_after_a_short_look(monkeypatch: pytest.MonkeyPatch) -> None:
    below = LogReader._final_below

    def broken(self: LogReader, scanned: ScannedRange) -> dt.datetime | None:
        self._is_whole = True
        return below(self, scanned)

    monkeypatch.setattr(LogReader, "_final_below", broken)
    monkeypatch.setattr("aioservices.tail.reader._FEW_LINES", 0)


@mutation
def trust_full_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PageLimits, "is_full", lambda self, answer: False)
    take_no_page_for_one_that_a_cap_has_cut(monkeypatch)


@mutation
def take_no_page_for_one_that_a_cap_has_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PageLimits, "may_be_capped", lambda self, length: False)


@mutation
def forget_what_pages_showed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "missing_from_range", lambda page, known: [])


@mutation
def trust_every_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answer, "claim", lambda self, low: self.request.end)


@mutation
def begin_ranges_behind_the_line_that_ends_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlannedRange, "begin_behind", lambda self, older, **options: None)
    late = PlannedRange.__post_init__

    def broken(self: PlannedRange) -> None:
        late(self)
        if self.start is not None and self.start.microsecond:
            self.start += dt.timedelta(milliseconds=1)

    monkeypatch.setattr(PlannedRange, "__post_init__", broken)
    forget_what_pages_showed(monkeypatch)


@mutation
def keep_gaps_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogReader, "_is_new_gap", lambda self, scanned: False)


def rescanned(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[RangeScan, ScannedRange], ScannedRange]
) -> None:
    """Have scans hand on something else than what they read."""
    feed = RangeScan.feed

    def broken(self: RangeScan, *page: Any, **options: Any) -> list[ScannedRange]:
        return [change(self, scanned) for scanned in feed(self, *page, **options)]

    monkeypatch.setattr(RangeScan, "feed", broken)


@mutation
def give_nothing_of_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    rescanned(
        monkeypatch,
        lambda self, scanned: (
            scanned if scanned.is_complete else scanned._replace(lines=NO_LINES, is_complete=True)
        ),
    )


@mutation
def leave_no_gap_where_the_end_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    rescanned(
        monkeypatch,
        lambda self, scanned: scanned._replace(
            is_complete=scanned.is_complete or self._profile.ignores_end
        ),
    )


@mutation
def take_a_page_of_the_usual_length_for_a_larger_one(monkeypatch: pytest.MonkeyPatch) -> None:
    init = ServerProfile.__init__

    def broken(self: ServerProfile) -> None:
        init(self)
        self.longest = 10**9

    monkeypatch.setattr(ServerProfile, "__init__", broken)


def begin(generator: random.Random, seed: int) -> History:
    choose = generator.choice

    def rounding() -> Rounding:
        unit, mode = choose([MILLISECOND, SECOND]), choose(["down", "up", "half"])
        return choose([EXACT, EXACT, Rounding(unit, mode)])

    limit = choose([12, 40, 2000])
    ignores_end = choose([False, False, False, True])
    behaviour = Behaviour(
        keeps=choose(["oldest", "newest", "any"]),
        order=choose(["asc", "desc", "unsorted"]),
        start=rounding(),
        start_lines=rounding(),
        end=rounding(),
        end_lines=rounding(),
        shown=choose([EXACT, Rounding(MILLISECOND)]),
        # Both together leave nothing by which a page could be judged: see the docs.
        cap=choose([None, limit, 30]) if limit > 30 and not ignores_end else None,
        ignores_end=ignores_end,
        largest=choose([None, limit]) if ignores_end else None,
    )
    return History(behaviour, seed, limit)


def is_noticed(seeds: range) -> bool:
    generator = random.Random(4)  # which shows each of them soon
    for seed in seeds:
        history = begin(generator, seed)
        cap = history.server.behaviour.cap
        try:
            # Lines at one instant, more than an unknown cap, are lost in silence: see the docs.
            history.live(crowd=cap in (None, history.limit))
        except AssertionError:
            return True
        if history.surplus() or history.unreported():
            return True
    return False


@pytest.mark.slow
def test_no_history_notices_anything_in_unbroken_rules() -> None:
    assert not is_noticed(range(200))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_broken_rule_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch)
    assert is_noticed(range(100))
