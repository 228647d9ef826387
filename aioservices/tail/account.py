"""Which of a tail's lines its caller has: what its cursor is made of.

Pure. Lines are taken in by the batch and given from the front of each; more than
one batch may be out at once.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import deque

from aioservices.api.models import TailedEntry

from .cursor import Latest, LogCursor, position
from .lines import created_at
from .part import Part
from .window import Window

__all__ = ["Account", "Batch"]


class Batch:
    """Lines of one log on their way to the caller.

    Parameters
    ----------
    part : Part
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self.given = 0
        self.noted = 0  # lines that are noted in the window of their log

    @property
    def reached(self) -> dt.datetime | None:
        """Below which time no line is left."""
        floor = self.part.floor
        if floor is None or not self.given:
            return None
        return min(floor, self.part.entries[self.given - 1].created_at)

    @property
    def rest(self) -> list[TailedEntry]:
        """The lines that were not given."""
        return self.part.entries[self.given :]

    @property
    def is_given(self) -> bool:
        """Whether none is left."""
        return self.given == len(self.part.entries)

    def next(self) -> TailedEntry:
        """Give the first line that was not given."""
        entry = self.part.entries[self.given]
        self.given += 1
        return entry

    def give(self, count: int) -> None:
        """Count the next lines as given."""
        self.given += count


class Account:
    """What was given of each log that a tail reads.

    Parameters
    ----------
    service_id : int
    deployment_id : int or None
        The deployment that the tail is bound to; None if it follows the service.
    resume : LogCursor, optional
        Where to go on.
    start_at : datetime, optional
        Before which lines are left out.

    Attributes
    ----------
    latest : Latest or None
        The newest deployment that was taken up.
    """

    def __init__(
        self,
        service_id: int,
        deployment_id: int | None,
        resume: LogCursor | None = None,
        *,
        start_at: dt.datetime | None = None,
    ) -> None:
        self.latest = None if resume is None else resume.latest
        self._service_id = service_id
        self._deployment_id = deployment_id
        self._start_at = start_at
        self._windows: dict[int, Window] = {} if resume is None else resume.windows()
        self._out: deque[Batch] = deque()
        self._over: set[int] = set()

    def take_in(self, part: Part) -> Batch:
        """Take in what the loops hand on, in their order."""
        self._settle()
        batch = Batch(part)
        self._out.append(batch)
        if part.deployment_id not in self._windows:
            self._take_up(part)
        if not part.over:
            self._over.discard(part.deployment_id)  # it may run again
        return batch

    def cursor(self, before: Latest | None) -> LogCursor:
        """Say where the caller stands.

        Parameters
        ----------
        before : Latest or None
            The newest deployment that had come and gone when the tail began.
        """
        self._settle()
        latest = self.latest or before
        return LogCursor(
            service_id=self._service_id,
            deployment_id=self._deployment_id,
            positions=tuple(position(id_, window) for id_, window in self._windows.items()),
            latest_id=None if latest is None else latest.deployment_id,
            latest_at=None if latest is None else latest.created_at,
            start_at=self._start_at,
        )

    def _take_up(self, part: Part) -> None:
        """Begin to keep account of another log, and no longer of those that are over."""
        for over in self._over:
            del self._windows[over]
        self._over.clear()
        self._windows[part.deployment_id] = Window(part.floor)
        if self._deployment_id is None:
            self.latest = Latest(part.deployment_id, part.created_at).or_newer(self.latest)

    def _settle(self) -> None:
        """Note in the windows what the caller has, no less and no more."""
        while self._out and self._out[0].is_given:
            batch = self._out.popleft()
            self._note(batch, batch.part.floor)
            if batch.part.over:
                self._over.add(batch.part.deployment_id)
        for batch in self._out:
            # Up to the last line given nothing is missing; from it on it may be. Behind a batch
            # that is not given whole, anything may.
            is_first = batch is self._out[0]
            self._note(batch, batch.reached if is_first else None)

    def _note(self, batch: Batch, floor: dt.datetime | None) -> None:
        entries, window = batch.part.entries, self._windows[batch.part.deployment_id]
        window.raise_floor(floor)
        first = 0
        if window.floor is not None:
            first = bisect_left(entries, window.floor, key=created_at)
        window.count(entries[max(first, batch.noted) : batch.given])
        batch.noted = batch.given
