"""What a scan asks for next: its ranges, each sized to fill a page, and with which limit.

Pure.
"""

from __future__ import annotations

import datetime as dt
from collections import deque

from .limits import PageLimits, ServerProfile
from .lines import Lines
from .ranges import PageRequest, PlannedRange, Replan, is_at_most
from .sizing import RangeSizer
from .times import MICROSECOND, add, next_second

__all__ = ["RequestPlan"]


class RequestPlan:
    """The ranges that are still to be read, from old to new, and the requests for them.

    Attributes
    ----------
    now : datetime
        The server's time, about.
    ignores_end : bool
        Whether the server was seen to ignore ends, so that ranges cannot be sized.
    """

    def __init__(
        self,
        low: dt.datetime | None,
        high: dt.datetime | None,
        *,
        now: dt.datetime,
        profile: ServerProfile,
        limits: PageLimits,
        sizer: RangeSizer,
    ) -> None:
        self.now = now
        self.ignores_end = False
        self._profile = profile
        self._limits = limits
        self._sizer = sizer
        self._ranges = deque([PlannedRange(low, high)])
        self._probe: PlannedRange | None = None

    # Requests

    def next_request(
        self, known: Lines, *, ahead: int, may_ask_ahead: bool = True
    ) -> PageRequest | None:
        """Return the next page to ask for; None: there is none before another one has come.

        Parameters
        ----------
        known : Lines
            What pages showed of the ranges.
        ahead : int
            Ranges that may be asked for beyond the first one that is not complete, ...
        may_ask_ahead : bool
            ... unless the first one is not an ordinary one.
        """
        if self._probe is not None:
            if self._probe.request is not None:
                return None
            self._probe.request = self._limits.request(self._probe)
            return self._probe.request
        for index in range(min(ahead + 1, len(self._ranges))):
            each = self._ranges[index]
            if each.request is None and each.answer is None:
                is_whole = each.low is not None and not each.low.microsecond
                if index and not (is_whole and may_ask_ahead and not self.ignores_end):
                    return None
                self._fit(each, known.between(each.low, each.high))
                each.request = self._limits.request(each)
                return each.request
        return None

    def _fit(self, each: PlannedRange, known: Lines) -> None:
        """Cut a range that is expected to hold more than a page."""
        if self.ignores_end or each.is_sized:
            return
        each.is_sized = True
        until = self.now if each.high is None else each.high
        size = self._profile.page_size(self._limits.page_size)
        end = self._sizer.fit(each, until, known, size)
        begin = each.low or (known.times[0] if known.times else None)
        if end is None or begin is None:
            return
        second = next_second(begin)
        will_be_overfull = end < second <= until and self._limits.is_usual
        if will_be_overfull and self._limits.honours_larger and self._limits.enlarge(each):
            end = second
        if end < until:
            self.end_at(each, end)
            behind = each.low and add(each.low, MICROSECOND)
            each.is_predicted = not known.between(behind, end).times

    @property
    def is_probing(self) -> bool:
        """Whether the whole log is asked for: all else waits for that."""
        return self._probe is not None

    def probe(self, length: int) -> None:
        """Ask for the whole log next, to see whether pages get longer than that."""
        self._probe, self._limits.probed = PlannedRange(None, None, level=2), length

    def takes_probe(self, request: PageRequest, length: int) -> bool:
        """Take in the page for which the whole log was asked; False if it is another one."""
        if self._probe is None or request is not self._probe.request:
            return False
        self._limits.observe_log(request, length)
        self._probe = None
        return True

    def replan(self, request: PageRequest, how: Replan) -> None:
        """Plan a request again that has failed, with pages of the present size."""
        each = self.of(request)
        if each is not None and each is self._probe and how is not Replan.SMALLER:
            self._probe, self._limits.is_probe_refused = None, True
            first = self._ranges[0]  # waits for it, and has to do without
            first.request = first.answer = None
        elif how is not Replan.SMALLER:
            self._limits.refuse(each, request.limit, is_certain=how is Replan.REFUSED)
        elif each is not None:
            each.request, each.is_sized, each.is_stretched = None, False, False
            if request.is_optional:
                each.is_plain = True
                self._profile.record_optional(served=False)

    # Ranges

    def __len__(self) -> int:
        return len(self._ranges)

    def __getitem__(self, index: int) -> PlannedRange:
        return self._ranges[index]

    def of(self, request: PageRequest) -> PlannedRange | None:
        """Return the range that a request is for, if it is still planned."""
        for each in [self._probe, *self._ranges] if self._probe else self._ranges:
            if each.request is request:
                return each
        return None

    def put_before(self, older: PlannedRange) -> None:
        """Plan to read an older range once more."""
        self._ranges.appendleft(older)

    def end_at(self, each: PlannedRange, end: dt.datetime) -> None:
        """End a range earlier, or the first one later; what is behind it begins there."""
        ranges = self._ranges
        if each.high is None or end < each.high:
            ranges.insert(ranges.index(each) + 1, PlannedRange(end, each.high))
            each.high = end
            return
        while len(ranges) > 1 and is_at_most(ranges[1].high, end):
            del ranges[1]
        if len(ranges) > 1 and not is_at_most(end, ranges[1].low):
            ranges[1].low = end
        each.high = end

    def absorb_next(self, *, even_if_asked: bool = False) -> bool:
        """Join the first range with the next one, if that was not asked for yet."""
        ranges = self._ranges
        if len(ranges) < 2 or ranges[1].low != ranges[0].high:
            return False
        if ranges[1].request is not None and not even_if_asked:
            return False
        ranges[0].high = ranges[1].high
        del ranges[1]
        return True

    def move_on(self, low: dt.datetime | None) -> PlannedRange | None:
        """Begin the first range at a time, and return it; None: all was read."""
        ranges = self._ranges
        while ranges and (low is None or is_at_most(ranges[0].high, low)):
            ranges.popleft()
        if not ranges:
            return None
        head = ranges[0]
        if low is not None and (head.low is None or head.low < low):
            head.low = low
        if head.request is None:
            while self.absorb_next():
                pass
            ranges[0] = PlannedRange(head.low, head.high)
        return ranges[0]
