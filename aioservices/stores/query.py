"""Queries for the stored lines of a service; pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .record import Row, StoredEntry

__all__ = ["LineQuery"]


class LineQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines to read. Default: all.

    Attributes
    ----------
    start_at, end_at : int or None
        Microseconds since 1970, both inclusive.
    deployment_id : int or None
    contains : str or None
        Only lines with this text in their message.
    where : callable or None
        Only lines for which it returns True.
    last : int or None
        Only this many of the last of those lines.
    """

    start_at: int | None = None
    end_at: int | None = None
    deployment_id: int | None = None
    contains: str | None = None
    where: Callable[[StoredEntry], bool] | None = None
    last: int | None = None

    def matches(self, row: Row) -> bool:
        """Return whether a line matches, apart from `where` and `last`."""
        return (
            (self.start_at is None or row.created_at >= self.start_at)
            and (self.end_at is None or row.created_at <= self.end_at)
            and (self.deployment_id is None or row.deployment_id == self.deployment_id)
            and (
                self.contains is None or (row.message is not None and self.contains in row.message)
            )
        )

    def select(self, entries: list[StoredEntry]) -> list[StoredEntry]:
        """Return the lines that match `where`."""
        if self.where is None:
            return entries
        return [entry for entry in entries if self.where(entry)]
