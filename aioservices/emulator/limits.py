"""The rate limit, in two kinds of window."""

from collections import deque

__all__ = ["FixedWindow", "SlidingWindow"]


class FixedWindow:
    """A number of requests in each window; a window begins with its first request.

    Parameters
    ----------
    limit
        Requests that are accepted in a window.
    window
        Nanoseconds.
    """

    def __init__(self, limit: int, window: int) -> None:
        self.limit = limit
        self._window = window
        self._opened = 0
        self._used = 0

    def take(self, now: int) -> int:
        """Count a request; returns 0, or the nanoseconds after which it may be tried again."""
        if now >= self._opened + self._window:
            self._opened, self._used = now, 0
        if self._used >= self.limit:
            return self._opened + self._window - now
        self._used += 1
        return 0

    def remaining(self, now: int) -> int:
        """Return how many more requests would be accepted now."""
        fresh = now >= self._opened + self._window
        return self.limit if fresh else self.limit - self._used


class SlidingWindow:
    """A number of requests in a window that ends now, at every moment.

    Parameters
    ----------
    limit
        Requests that are accepted in the window.
    window
        Nanoseconds.
    """

    def __init__(self, limit: int, window: int) -> None:
        self.limit = limit
        self._window = window
        self._taken: deque[int] = deque()

    def take(self, now: int) -> int:
        """Count a request; returns 0, or the nanoseconds after which it may be tried again."""
        if self.remaining(now) <= 0:
            return self._taken[0] + self._window - now if self._taken else self._window
        self._taken.append(now)
        return 0

    def remaining(self, now: int) -> int:
        """Return how many more requests would be accepted now."""
        while self._taken and self._taken[0] + self._window <= now:
            self._taken.popleft()
        return self.limit - len(self._taken)
