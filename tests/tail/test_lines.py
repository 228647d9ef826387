"""Lines of a page: in the order of their time, with the places of those of one time."""

import datetime as dt

from hypothesis import example, given
from hypothesis import strategies as st

from aioservices.api.models import TailedEntry
from aioservices.tail.lines import sort_lines

from .model import BASE

_MANY = [each // 3 for each in range(1200)]  # more of one time than are found one by one


@example(_MANY)
@example([*_MANY, 0])
@example([*_MANY, 0, 0])
@given(st.lists(st.integers(0, 30)))
def test_a_page_in_any_order_is_sorted_and_its_ties_are_found(seconds: list[int]) -> None:
    page = [
        TailedEntry(created_at=BASE + dt.timedelta(seconds=each), message=str(place))
        for place, each in enumerate(seconds)
    ]
    lines = sort_lines(page)
    assert lines.entries == sorted(page, key=lambda line: line.created_at)
    assert lines.times == [line.created_at for line in lines.entries]
    pairs = zip(lines.times, lines.times[1:], strict=False)
    assert lines.ties == [place for place, (one, other) in enumerate(pairs) if one == other]
