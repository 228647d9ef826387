"""Lines of sorted pages: cut by their time, compared, united. Copies are counted."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections import Counter
from operator import attrgetter

from aioservices.api.models import TailedEntry

__all__ = ["between", "created_at", "lacking", "united"]

created_at = attrgetter("created_at")

_identity = attrgetter("created_at", "stream", "source", "message")


def between(
    page: list[TailedEntry], start: dt.datetime | None, end: dt.datetime | None
) -> list[TailedEntry]:
    """The lines of a sorted page from one time to another, both inclusive."""
    low = 0 if start is None else bisect_left(page, start, key=created_at)
    high = len(page) if end is None else bisect_right(page, end, key=created_at)
    return page if low == 0 and high == len(page) else page[low:high]


def lacking(page: list[TailedEntry], known: list[TailedEntry]) -> list[TailedEntry]:
    """The known lines that a page lacks."""
    there = Counter(map(_identity, page))
    lines: list[TailedEntry] = []
    for entry in known:
        identity = _identity(entry)
        if there[identity] > 0:
            there[identity] -= 1
        else:
            lines.append(entry)
    return lines


def united(page: list[TailedEntry], other: list[TailedEntry]) -> list[TailedEntry]:
    """The lines of two answers, by time; of copies as many as are in the one that has more."""
    return sorted(page + lacking(page, other), key=created_at) if other else page
