"""How much time a range should span: a matter of cost alone, never of what is complete.

A range is sized to fill most of a page: by the lines that were read before, where it is read again,
otherwise by the density of the lines before it. Where its page turns out to be full, its new end
leaves out some of the lines that are known: the last of them where the server keeps the oldest
lines of a full page, otherwise half of them.

Pure.
"""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from .limits import ServerProfile
from .lines import Lines
from .ranges import PlannedRange
from .times import LATEST, MICROSECOND, MILLISECOND, SECOND, add, ceil, floor, next_second

__all__ = ["RangeSizer"]

# The part of a page that a range is sized to fill, at the least, at first and at the most.
_LEAST_FILL, _FIRST_FILL, _MOST_FILL = 0.5, 0.85, 0.92
# Full pages in a row after which a hole between known lines is halved.
_MANY_FULL_PAGES = 8
# How many times as many it is sized for where pages longer than the limit are known to come, as
# long as no range had so many times more lines than it was planned for.
_ROOMY, _SURPRISE = 1.15, 1.3
# Ranges at least this long end at whole seconds.
_LONG = dt.timedelta(seconds=20)
# ... and, with pages of so many lines, those at least this long: what begins at a whole second can
# be asked for ahead, which saves the way of a page and costs at most a second of each range.
_LARGE_PAGE = 1_000
_LONG_FOR_LARGE = dt.timedelta(seconds=4)


class RangeSizer:
    """Sizes the ranges of one scan; for its parameters see `RangeScan`.

    Attributes
    ----------
    density : float or None
        Lines a second, as the last range showed it.
    """

    def __init__(
        self,
        profile: ServerProfile,
        density: float | None,
        expected: Sequence[dt.datetime],
        seen_until: dt.datetime | None,
    ) -> None:
        self.density = density
        self._profile = profile
        self._expected, self._seen_until = expected, seen_until
        self._fill = _FIRST_FILL
        self._is_steady = True  # no range has had many more lines than it was planned for
        self._planned = math.inf  # lines of the range that was sized last

    def fit(
        self, each: PlannedRange, until: dt.datetime, known: Lines, size: int
    ) -> dt.datetime | None:
        """Return an end with which a range is expected to fill most of a page of some size.

        None: all of it, `until` its latest end, is expected to fit one. Some lines may be known.
        """
        fill = self._fill
        if self._is_steady and self._profile.has_headroom(size) and not _inside(each, known):
            fill *= _ROOMY
        self._planned = fill * size
        aim = self._aim(each.low, known, max(1.0, fill * size - 1))
        if aim is None or aim >= until:
            return None
        begin = each.bottom or known.times[0]
        long = _LONG_FOR_LARGE if size >= _LARGE_PAGE else _LONG
        is_coarse = aim - begin >= long or self._profile.rounds_ends
        end = floor(aim, SECOND if is_coarse else MILLISECOND)
        if known.times and end <= known.times[0]:  # nothing known would be left in it
            end = ceil(add(known.times[0], MICROSECOND), MILLISECOND)
        if end <= begin:
            end = next_second(begin)
        return end if end < until else None

    def stretched_end(self, known: Lines, size: int) -> dt.datetime:
        """Return an end up to which a page of a larger size is expected: `known` filled one."""
        first, last = known.times[0], known.times[-1]
        span = max((last - first).total_seconds(), 1e-6)
        longer = _span(_MOST_FILL * size, len(known.times) / span)
        end = add(first, longer)
        return next_second(end) if longer > _LONG_FOR_LARGE else ceil(end, MILLISECOND)

    def _aim(self, low: dt.datetime | None, known: Lines, target: float) -> dt.datetime | None:
        """Return the time up to which a range is expected to hold so many lines."""
        density, times = self.density, known.times
        first = 0 if low is None else bisect_right(times, low)
        count = len(times) - first
        if count and self._profile.keeps_oldest:
            if count > target:
                return times[first + int(target)]
            return None if density is None else add(times[-1], _span(target - count, density))
        if low is None:
            return None
        if not count and self._seen_until is not None and low < self._seen_until:
            expected = self._expected
            first = bisect_right(expected, low)
            if len(expected) - first > target:
                at = expected[first + int(target)]
                before = bisect_left(expected, at) - 1
                return at if before < first else expected[before]  # not amid lines of one time
            target -= len(expected) - first
            low = self._seen_until
        return None if density is None else add(low, _span(target, density))

    def fits(
        self,
        lines: Lines,
        low: dt.datetime | None,
        high: dt.datetime | None,
        *,
        is_predicted: bool,
    ) -> None:
        """Learn from a range that was read how many lines a second the next one may have."""
        self._fill = min(_MOST_FILL, self._fill + 0.02)
        if is_predicted and len(lines.times) > _SURPRISE * self._planned:
            self._is_steady = False
        times = lines.times
        begin = low or (times[0] if times else high)
        if high is None or begin is None or begin >= high:
            return
        self.density = (len(times) or 0.25) / (high - begin).total_seconds()
        if len(times) >= 20:  # its later half tells more of what comes, if it is the denser one
            middle = len(times) // 2
            if times[middle] < high:
                later = (len(times) - middle) / (high - times[middle]).total_seconds()
                self.density = max(self.density, later)

    def is_overfull(self) -> None:
        """Learn that a range that was sized had more lines than a page."""
        self._fill = max(_LEAST_FILL, self._fill - 0.06)
        self._is_steady = False

    def is_empty(self, low: dt.datetime, high: dt.datetime, size: int) -> None:
        """Learn that nothing came for a while: the next range is several times as long."""
        self._expected, self._seen_until = (), None  # they are not shown, or not with their times
        lines = min(1.0, self._fill * size / 2)
        self.density = lines / max(2 * (high - low).total_seconds(), 1e-3)

    def shorter_end(
        self, each: PlannedRange, known: Lines, page: Lines, *, size: int, full_pages: int
    ) -> dt.datetime | None:
        """Return a new end for a range whose page was full, as so many before it were.

        None: no end can leave out some of the lines, but not all.
        """
        places = map(each.end_near, self._places(each, known, page, size, full_pages))
        return next(filter(None, places), None) or self.middle(each, known)

    def middle(self, each: PlannedRange, known: Lines) -> dt.datetime | None:
        """Return an end that leaves out half of the lines that are known, or some of them."""
        inside = _inside(each, known)
        places = [inside[len(inside) // 2], inside[0]] if inside else []
        # Ends may be rounded up to any whole second: one that is at least as early leaves out a
        # line, be it before all that are known or within a second.
        places += [add(floor(time, SECOND), -SECOND) for time in known.times[:1]]
        places += [next_second(each.bottom)] if each.bottom else []
        return next(filter(None, map(each.end_near, places)), None)

    def _places(
        self, each: PlannedRange, known: Lines, page: Lines, size: int, full_pages: int
    ) -> Iterator[dt.datetime]:
        """Give times near which a range whose page was full may well end, the best first."""
        bottom, times, inside = each.bottom, known.times, _inside(each, known)
        if not inside:
            return
        oldest, newest = inside[0], inside[-1]
        if self._profile.keeps_oldest and full_pages == 1:
            at = times[min(int(self._fill * size), len(times) - 1)]
            if bisect_right(times, at) >= size:  # too many have that time
                at = times[max(0, bisect_left(times, at) - 1)]
            yield at
        elif bottom is None:
            yield add(oldest, -(2**full_pages) * max(newest - oldest, MICROSECOND))
        else:
            if 4 * (oldest - bottom) > newest - oldest:
                yield add(bottom, (oldest - bottom) / 2)  # those left out may be older
            elif self.density is not None and full_pages == 1 and not each.is_predicted:
                likely = add(bottom, _span(self._fill * size, self.density))
                if likely < newest:
                    yield likely
            if full_pages > _MANY_FULL_PAGES:  # those left out may be between known ones
                shown = page.times[min(bisect_right(page.times, bottom), len(page.times) - 1)]
                before = times[max(0, bisect_left(times, shown) - 1)]
                if 4 * (shown - before) > newest - shown:
                    yield add(before, (shown - before) / 2)


def _inside(each: PlannedRange, known: Lines) -> list[dt.datetime]:
    """Return the times of the known lines at which a range may end."""
    times, bottom = known.times, each.bottom
    first = 0 if bottom is None else bisect_right(times, bottom)
    return times[first : bisect_left(times, each.too_long or LATEST)]


def _span(lines: float, density: float) -> dt.timedelta:
    """Return how long so many lines last."""
    return dt.timedelta(seconds=min(lines / max(density, 1e-9), 1e9))
