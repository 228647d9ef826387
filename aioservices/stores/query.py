"""Which of a service's stored lines are wanted; pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .record import Row, StoredEntry

__all__ = ["LineQuery"]


class LineQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are wanted: all, unless something is said.

    Attributes
    ----------
    start_at, end_at : int or None
        Microseconds since 1970, both inclusive.
    deployment_id : int or None
    contains : str or None
        Only lines with this text in their message.
    where : callable or None
        Only lines for which it gives True.
    last : int or None
        Only the last so many of those.
    """

    start_at: int | None = None
    end_at: int | None = None
    deployment_id: int | None = None
    contains: str | None = None
    where: Callable[[StoredEntry], bool] | None = None
    last: int | None = None

    def matches(self, row: Row) -> bool:
        """Tell whether a line is wanted, as far as `where` and `last` do not decide it."""
        return (
            (self.start_at is None or row.created_at >= self.start_at)
            and (self.end_at is None or row.created_at <= self.end_at)
            and (self.deployment_id is None or row.deployment_id == self.deployment_id)
            and (
                self.contains is None or (row.message is not None and self.contains in row.message)
            )
        )

    def select(self, entries: list[StoredEntry]) -> list[StoredEntry]:
        """Leave out the lines that `where` does not want."""
        if self.where is None:
            return entries
        return [entry for entry in entries if self.where(entry)]
