"""The last lines of a log."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Sequence

from aioservices.api.models import TailedEntry
from aioservices.tail import LogCursor, LogTail

from .filters import Filter

__all__ = ["last_lines"]

# How far back to search for the last lines, before searching from the beginning.
_LOOKBACKS = (dt.timedelta(minutes=10), dt.timedelta(days=1))


async def last_lines(
    open_tail: Callable[[dt.datetime | None], LogTail],
    count: int,
    chosen: Filter,
    *,
    since: dt.datetime | None,
    until: dt.datetime | None,
    now: dt.datetime,
) -> tuple[Sequence[TailedEntry], LogCursor]:
    """Find the last lines up to now.

    Parameters
    ----------
    open_tail : callable
        Opens the log at a time, without following it.
    count : int
        How many lines.
    chosen : Filter
        Which lines count.
    since, until, now : datetime
        The bounds of the lines, and the server's time.

    Returns
    -------
    tuple of sequence of TailedEntry and LogCursor
        The cursor is behind the lines, so that skipped lines before them do not appear later.
    """
    first, *others = _beginnings(since, until, now=now)
    kept, cursor = await _read(open_tail(first), count, chosen)
    for begin in others:
        if len(kept) == count:
            break
        kept, cursor = await _read(open_tail(begin), count, chosen)
    return kept, cursor


async def _read(
    tail: LogTail, count: int, chosen: Filter
) -> tuple[Sequence[TailedEntry], LogCursor]:
    kept: deque[TailedEntry] = deque(maxlen=count)
    async with tail:
        async for batch in tail.batches():
            kept.extend(entry for entry in batch if chosen.passes(entry))
        return kept, tail.cursor


def _beginnings(
    since: dt.datetime | None, until: dt.datetime | None, *, now: dt.datetime
) -> list[dt.datetime | None]:
    """Yield the times from which to look for the last lines, one after the other."""
    looks = [
        now - span
        for span in _LOOKBACKS
        if (since is None or since < now - span) and (until is None or now - span < until)
    ]
    return [*looks, since]
