"""How many lines to ask for at once, where large pages fail.

A page may take longer than its timeout, or than a proxy's; it may be larger than what is read, or
than what the server sends. To ask for the same page again cannot succeed, to ask for half as much
does after a few failures. What is known afterwards is a size that works, and one that does not:
between the two the size grows slowly, and each trial that fails makes the next one rarer. When
even one line cannot be had, the size is not what is wrong, and when the server is back the size
doubles page by page to where it was before the outage.

Pure.
"""

from __future__ import annotations

__all__ = ["PageSize"]

_GROWTH = 1.5
_PATIENCE = (4, 64)  # full pages before the next trial of a larger one, at first and at most


class PageSize:
    """The lines that a page of one log may have.

    Parameters
    ----------
    limit : int
        The most that are wanted.

    Attributes
    ----------
    current : int
        The number to ask for: from 1 to the limit.
    is_failing : bool
        Whether nothing was served since the last failure.
    """

    def __init__(self, limit: int) -> None:
        self.current = limit
        self._limit = limit
        self._safe = limit  # the largest size that is believed to work; up to it growth is quick
        self._before = limit  # what was believed when the failures began
        self.is_failing = False
        self._full_pages = 0  # since the size changed
        self._patience = _PATIENCE[0]

    @property
    def is_trial(self) -> bool:
        """Whether no page of this size was served yet, and smaller ones were."""
        return self.current > self._safe

    def failed(self, asked: int) -> bool:
        """Ask for less, because a page of so many lines could not be had.

        Returns
        -------
        bool
            Whether less can be asked for: False if it was a single line.
        """
        if not self.is_failing:
            self.is_failing = True
            self._before = self._safe
            if self.is_trial:
                self._patience = min(2 * self._patience, _PATIENCE[1])
        if asked <= 1:
            self._safe = self._before  # the size is not what is wrong
            return False
        if asked <= self._safe:
            self._safe = asked // 2
        self.current = min(self.current, self._safe)
        self._full_pages = 0
        return True

    def served(self, lines: int) -> None:
        """Take in that a page was served; a short one does not show that a full one would be."""
        self.is_failing = False
        if lines < self.current or self.current == self._limit:
            return
        if self.is_trial:
            self._safe = self.current
            self._patience = _PATIENCE[0]
        self._full_pages += 1
        if self.current < self._safe:
            self.current = min(2 * self.current, self._safe)
        elif self._full_pages >= self._patience:
            self.current = min(self._limit, max(self.current + 1, int(_GROWTH * self.current)))
        else:
            return
        self._full_pages = 0
