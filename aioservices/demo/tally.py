"""Counts the lines that the demo receives; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from aioservices.api.models import LogEntry, TailedEntry

__all__ = ["Difference", "Tally"]


class Difference(NamedTuple):
    """How the lines that arrived differ from those that were written.

    Attributes
    ----------
    missing, repeated : int
    """

    missing: int
    repeated: int


class Tally:
    """The lines that arrived, by service and deployment."""

    def __init__(self) -> None:
        self.lines: Counter[int] = Counter()
        self._entries: defaultdict[int, list[TailedEntry]] = defaultdict(list)
        self._complaints: dict[int, str] = {}

    def add(self, service_id: int, deployment_id: int, entry: TailedEntry) -> None:
        """Count a line."""
        self.lines[service_id] += 1
        self._entries[deployment_id].append(entry)
        if entry.stream == "stderr" and entry.message:
            self._complaints[service_id] = entry.message

    def count(self, deployment_id: int) -> int:
        """Return how many lines of a deployment have arrived."""
        return len(self._entries[deployment_id])

    def last_complaint(self, service_id: int) -> str | None:
        """Return the last line that a service wrote to standard error."""
        return self._complaints.get(service_id)

    def compare(self, written: Mapping[int, Sequence[LogEntry]]) -> Difference:
        """Compare what arrived with what the platform's logs hold.

        Parameters
        ----------
        written : mapping
            The log of each deployment up to some time, oldest first.

        Returns
        -------
        Difference
            Between the lines before the last timestamp of each log: more lines with that
            timestamp may have been written after the log was read.
        """
        missing = repeated = 0
        for deployment_id, log in written.items():
            end = log[-1].created_at if log else None
            if end is None:
                continue
            there, here = _before(end, log), _before(end, self._entries[deployment_id])
            missing += (there - here).total()
            repeated += (here - there).total()
        return Difference(missing, repeated)


def _before(end: datetime, entries: Iterable[LogEntry]) -> Counter[tuple[object, ...]]:
    return Counter(
        (e.created_at, e.stream, e.source, e.message)
        for e in entries
        if e.created_at is not None and e.created_at < end
    )
