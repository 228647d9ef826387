"""What pages tell of a server, and what they do not."""

import datetime as dt

import pytest

from aioservices.api.models import TailedEntry
from aioservices.tail.endless import EndlessWalk
from aioservices.tail.traits import EndTraits, ServerTraits, StartTraits

from .model import BASE

LATER = BASE + dt.timedelta(hours=1)


def at(microseconds: int) -> dt.datetime:
    return BASE + dt.timedelta(microseconds=microseconds)


def page(*microseconds: int) -> list[TailedEntry]:
    return [TailedEntry(message=f"{time}", created_at=at(time)) for time in microseconds]


@pytest.mark.parametrize(
    ("line", "bound", "proven"),
    [
        (500_000, 500_000, 1),  # a server that rounds to seconds would leave the line out
        (400_000, 500_000, 1),
        (0, 500_000, 0),
        (500_123, 500_123, 2),
        (500_000, 500_123, 1),
        (499_999, 499_999, 1),  # asked for as 500,000, which no rounding to milliseconds changes
        (0, 999_999, 0),
    ],
)
def test_a_line_shows_how_finely_an_end_is_heeded(line: int, bound: int, proven: int) -> None:
    traits = EndTraits()
    traits.learn(page(line), at(bound))
    assert traits.proven == proven


@pytest.mark.parametrize(
    ("line", "bound", "proven"),
    [(500_000, 500_000, 1), (700_000, 500_000, 1), (1_000_000, 500_000, 0), (500_200, 500_100, 2)],
)
def test_a_line_shows_how_finely_a_start_is_heeded(line: int, bound: int, proven: int) -> None:
    traits = StartTraits()
    traits.learn(page(line), at(bound))
    assert traits.proven == proven


def test_a_bound_that_lets_in_what_is_beyond_is_not_relied_on() -> None:
    traits = StartTraits()
    assert traits.learn(page(400_000, 500_300), at(500_200))
    assert (traits.proven, traits.refuted) == (1, 2)


def walk_of(*first: int) -> tuple[EndlessWalk, ServerTraits]:
    traits = ServerTraits()
    walk = EndlessWalk(BASE, traits, len(first), LATER)
    walk.feed(page(*first), full=True)
    return walk, traits


SECONDS = [number * 1_000_000 for number in range(1, 9)]


def test_newer_lines_that_a_full_page_left_out_show_that_it_keeps_the_oldest() -> None:
    walk, traits = walk_of(*SECONDS[:4])
    walk.feed(page(*SECONDS[2:6]), full=True)
    assert traits.keeps_oldest


def test_older_lines_that_it_left_out_too_show_that_it_does_not() -> None:
    walk, traits = walk_of(*SECONDS[:3], SECONDS[5])
    walk.feed(page(*SECONDS[2:]), full=True)
    assert not traits.keeps_oldest


def test_lines_that_came_in_the_meantime_may_push_others_out_of_a_page() -> None:
    walk, _ = walk_of(*SECONDS[:4])
    assert (
        walk.feed(page(SECONDS[2], SECONDS[2] + 1, SECONDS[2] + 2, SECONDS[2] + 3), full=True)
        is None
    )
    assert walk.query is not None


def test_lines_that_a_later_page_lacks_in_its_midst_make_a_gap() -> None:
    walk, _ = walk_of(*SECONDS[:4])
    segment = walk.feed(page(SECONDS[2], *SECONDS[4:7]), full=True)
    assert segment is not None
    assert not segment.complete
