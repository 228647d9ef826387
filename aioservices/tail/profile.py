"""What pages show of a server. Pure."""

from __future__ import annotations

__all__ = ["ServerProfile"]

# Pages shorter than this are not suspected of being cut by a silent cap.
_SMALLEST_CAP = 10
# A page that is so many times as long as the longest before it did not just grow.
_SURGE = 1.25


class ServerProfile:
    """What pages showed of a server, for all scans of a session. It saves requests, no more.

    Attributes
    ----------
    longest : int
        Lines of the longest page.
    cap : int or None
        Lines of a page at most, where the server gave fewer than it was asked for.
    takes_larger_limits : bool
        False once it refused a limit above the ordinary one.
    takes_headroom : bool
        Whether a range may be asked for with twice the limit, in case that it has more lines than
        was expected.
    keeps_oldest : bool
        Whether full pages seem to keep the oldest lines.
    rounds_ends : bool
        Whether an end finer than the second was of no use.
    ignores_end : bool
        Whether it gave lines that are later than the end: its full pages leave gaps.
    """

    def __init__(self) -> None:
        self.longest = 0
        self.cap: int | None = None
        self.takes_larger_limits = True
        self.takes_headroom = True
        self.keeps_oldest = True
        self.rounds_ends = False
        self.ignores_end = False

    def page_size(self, limit: int) -> int:
        """Return how many lines a page has at most, as far as is known."""
        return min(limit, self.cap or limit)

    def record(self, length: int) -> None:
        """Take note of the length of a page."""
        self.longest = max(self.longest, length)
        if self.cap is not None and length > self.cap:
            self.cap = None

    def suspects(self, length: int) -> bool:
        """Tell whether a cap may have cut a page that is shorter than its limit."""
        return length >= max(self.longest, _SMALLEST_CAP)

    def grew(self, length: int) -> bool:
        """Tell whether a page is so much longer than the longest that this is worth a check."""
        return length > _SURGE * self.longest
