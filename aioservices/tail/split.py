"""Where two neighbouring times can be read apart, so that nothing between them is missed.

Two pages that meet at a bound between two times show all lines between these, unless the server
rounds: the one page's end down and the other's start up, or the lines themselves before it compares
them. Mostly that shows, since it would move one of the two times to the wrong side. It does not
where a time is itself a multiple of that to which it rounds. For lines at 1.0 and 1.1 s and a bound
of 1.05 s, an end that is rounded down to 1 s still lets the line at 1.0 s pass, and hides what lies
between it and the bound. Then other pages of the scan must show that bounds are finer.

Pure.
"""

from __future__ import annotations

import datetime as dt

from .ranges import Answer
from .times import MILLISECOND, SECOND, TIME_UNITS, add, ceil, floor, next_second

__all__ = ["FineBounds", "split_between"]

_HALF = SECOND / 2


class FineBounds:
    """What the pages of one scan show of bounds that are not rounded to whole seconds.

    An end that lets a line pass which is newer than the whole second before it is not rounded down
    to that second, nor is the line up to the next one; if both are in the same half of the second,
    neither of them is rounded to the nearest one. Starts are the same case, the other way round.
    """

    def __init__(self) -> None:
        # In which halves of a second that was seen; the later one is True.
        self._ends: set[bool] = set()
        self._starts: set[bool] = set()

    def observe(self, answer: Answer) -> None:
        """Learn from a page."""
        start, end, times = answer.request.start, answer.request.end, answer.lines.times
        if not times:
            return
        if end is not None and floor(end, _HALF) < times[-1] <= end:
            self._ends.add(_is_in_later_half(end))
        if start is not None and start <= times[0] < ceil(start, _HALF):
            self._starts.add(_is_in_later_half(start))

    def are_fine(self, low: dt.datetime, bound: dt.datetime, high: dt.datetime) -> bool:
        """Tell whether a bound between two times of a second is known to separate them."""
        return self._ends_are_fine(low, bound) and self._starts_are_fine(high)

    def _ends_are_fine(self, low: dt.datetime, bound: dt.datetime) -> bool:
        if low == floor(low, SECOND):
            # An end in the later half that is rounded to the nearest second shows the newer time.
            return bool(self._ends) if _is_in_later_half(bound) else False in self._ends
        return low != floor(low, _HALF) or True in self._ends

    def _starts_are_fine(self, high: dt.datetime) -> bool:
        if high == floor(high, SECOND):
            return True in self._starts
        return high != floor(high, _HALF) or False in self._starts


def split_between(low: dt.datetime, high: dt.datetime, fine: FineBounds) -> dt.datetime | None:
    """Return a bound that separates two times however the server rounds; None: there may be none.

    The bound is a multiple of the largest unit that has one between the two. What rounds to that
    unit or to a finer one leaves the bound as it is; what rounds to a larger one shows.
    """
    for unit in TIME_UNITS:
        bound = add(floor(low, unit), unit)
        if bound < high:
            return bound
        if bound == high or floor(low, unit) == low:
            break
    middle = add(floor(low, SECOND), _HALF)
    bound = middle if low < middle < high else add(floor(low, MILLISECOND), MILLISECOND)
    is_between = low < bound < high <= next_second(low)
    return bound if is_between and fine.are_fine(low, bound, high) else None


def _is_in_later_half(time: dt.datetime) -> bool:
    return time - floor(time, SECOND) >= _HALF
