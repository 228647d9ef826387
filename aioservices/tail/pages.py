"""Pages of one log: asked for again while they fail, and for less where they are too large."""

from __future__ import annotations

import datetime as dt
import time
from typing import NamedTuple

import anyio

from aioservices.concurrency import Signal
from aioservices.errors import (
    APIError,
    AuthenticationError,
    ConnectionFailedError,
    RequestError,
    ResponseDecodeError,
    ResponseTooLargeError,
)
from aioservices.http.response import RawResponse

from .fetcher import LogFetcher
from .malformed import PageLines
from .ranges import PageRequest, Replan

__all__ = ["LogPages", "Page", "PageSize"]

# For how many seconds a new deployment may be without a log.
_SLOW_START = 60.0
# How a server may say that it takes no limit as large as that.
_REFUSALS = frozenset({400, 413, 422})
# How often in a row a page must fail as large ones do before less is asked for, ...
_TRIES = 2
# ... and, while usual pages are served, before a larger limit than usual is taken for too much.
_ENLARGED_TRIES = 8
# Seconds within which a failure is quick.
_QUICK = 1.0
# Seconds after which a page that is optional is done without: so many, and so many times as many as
# the last page took.
_OPTIONAL_TIMEOUT, _OPTIONAL_FACTOR = 2.0, 10.0
# By what a size grows, and after how many full pages: at first, and at most after trials that
# failed quickly, and after others.
_GROWTH = 1.5
_PATIENCE = (4, 24, 64)


class Page(NamedTuple):
    """A page of a log, and the server's time when it was asked for, or a little earlier."""

    lines: PageLines
    asked_at: dt.datetime | None  # None if that is not known


class LogPages:
    """Gets the pages of one deployment's log.

    Attributes
    ----------
    requests : int
        Pages that were asked for, answered or not.
    awaited : int
        At which number of them `progress` is sent.
    patience : Patience
        By which these are repeated.
    size : PageSize
        How many lines to ask for at once.
    """

    __slots__ = (
        "_deployment_id",
        "_failed_after",
        "_fetcher",
        "_progress",
        "_took",
        "awaited",
        "patience",
        "requests",
        "size",
    )

    def __init__(
        self, fetcher: LogFetcher, deployment_id: int, limit: int, progress: Signal
    ) -> None:
        self.requests = self.awaited = 0
        self._progress = progress
        self._fetcher = fetcher
        self._deployment_id = deployment_id
        until = time.monotonic() + _SLOW_START
        self.patience = fetcher.patience(deployment_id, doubted_until=until)
        self.size = PageSize(limit)
        self._took = self._failed_after = 0.0  # seconds, the last page and the last failure

    async def get(self, request: PageRequest) -> Page | Replan:
        """Get a page, however often that takes; if it will never be there, what to do instead."""
        tries = 0  # in a row that failed as pages do that are too large
        refusals = 0  # in a row, while smaller pages were served
        while True:
            begun = time.monotonic()
            try:
                return await self._ask(request) or Replan.SMALLER
            except RequestError as exc:
                error = exc
            self._failed_after = time.monotonic() - begun
            tries = tries + 1 if _is_too_large(error) else 0
            if request.enlarged:
                if await self._is_refused(request, error):
                    return Replan.REFUSED
                if request.is_optional:  # nothing depends on it
                    return Replan.SMALLER
                refusals = refusals + 1 if await self._serves_usual(request) else 0
                if refusals >= _ENLARGED_TRIES:
                    return Replan.NOT_ENLARGED
            elif tries and self._shrinks(request, error, tries):
                if not _is_certainly_too_large(error):
                    await self.patience.wait(error)
                return Replan.SMALLER
            else:
                await self.patience.wait(error)

    async def _ask(self, request: PageRequest) -> Page | None:
        """Ask for a page once; None if one that is optional takes too long."""
        fetcher = self._fetcher
        sent_at = time.monotonic()  # or a little later
        response: RawResponse | None = None
        try:
            if request.is_optional:
                with anyio.move_on_after(_OPTIONAL_TIMEOUT + _OPTIONAL_FACTOR * self._took):
                    response = await fetcher.page(self._deployment_id, request)
            else:
                response = await fetcher.page(self._deployment_id, request)
        finally:
            self.requests += 1
            if self.requests == self.awaited:
                self._progress.send()
        if response is None:
            return None
        self._took = response.elapsed
        asked_at = fetcher.clock.at(sent_at) if fetcher.clock.known else None
        lines = fetcher.lines(response)
        self.patience.end(served=True)
        self.size.served(lines.length)
        return Page(lines, asked_at)

    def _shrinks(self, request: PageRequest, error: RequestError, tries: int) -> bool:
        """Ask for less from now on, if that is possible and no mere retry can be hoped to help."""
        is_quick = self._failed_after < _QUICK  # it may be bad luck, and is soon repeated
        is_known = not is_quick and (self.size.is_failing or self.size.is_trial)
        if not (is_known or tries >= _TRIES or _is_certainly_too_large(error)):
            return False
        return self.size.failed(request.limit, is_quick=is_quick)

    async def _is_refused(self, request: PageRequest, error: RequestError) -> bool:
        """Wait, and tell whether a limit that is larger than usual is refused for certain."""
        if isinstance(error, ResponseTooLargeError):
            return True
        is_limit = isinstance(error, APIError) and error.status in _REFUSALS
        if is_limit and not self.patience.is_failing:
            return True  # if it was not the limit, the next page, a usual one, is refused too
        try:
            await self.patience.wait(error)
        except AuthenticationError:
            raise
        except APIError:
            return True  # by the same reasoning
        return False

    async def _serves_usual(self, request: PageRequest) -> bool:
        """Get a page of the usual size, and tell whether it was served at the first try.

        Without a larger limit lines may be lost, so an outage must not be taken for a refusal: that
        a larger page is not served counts only while pages of the usual size are.
        """
        failures = self.patience.failures
        usual = request._replace(limit=self.size.current, enlarged=False, is_optional=False)
        while await self.get(usual) is Replan.SMALLER:
            usual = usual._replace(limit=self.size.current)
        return self.patience.failures == failures


class PageSize:
    """How many lines of one log to ask for at once, where large pages fail.

    A page may take longer than its timeout, or than a proxy's; it may be larger than what is read,
    or than what the server sends. To ask for the same page again cannot succeed, to ask for half as
    much does after a few failures. What is known afterwards is a size that works, and one that does
    not: between the two the size grows slowly, and each trial that fails makes the next one rarer.
    When even one line cannot be had, the size is not what is wrong, and when the server is back the
    size doubles page by page to where it was before the outage. Pure.

    Attributes
    ----------
    current : int
        The number to ask for: from 1 to the limit.
    is_failing : bool
        Whether nothing was served since the last failure.
    """

    __slots__ = ("_before", "_full_pages", "_limit", "_patience", "_safe", "current", "is_failing")

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

    def failed(self, asked: int, *, is_quick: bool = False) -> bool:
        """Ask for less than could not be had; gives whether that is possible: not for one line.

        The next trial is made later if this one took long.
        """
        if not self.is_failing:
            self.is_failing = True
            self._before = self._safe
            if self.is_trial:
                self._patience = min(2 * self._patience, _PATIENCE[1 if is_quick else 2])
        if asked <= 1:
            self._safe = self._before  # the size is not what is wrong
            return False
        if asked <= self._safe:
            self._safe = asked // 2
        self.current = min(self.current, self._safe)
        self._full_pages = 0
        return True

    def served(self, lines: int) -> None:
        """Take in that a page was served; a short one does not show that a full one would be.

        Ranges are planned not to fill their pages, so most of a page is enough to try more, but
        shows no more than that so many lines can be had.
        """
        self.is_failing = False
        if self.is_trial:
            self._safe = max(self._safe, min(lines, self.current))
            if not self.is_trial:
                self._patience = _PATIENCE[0]
        if 10 * lines < 8 * self.current or self.current == self._limit:
            return
        self._full_pages += 1
        if self.current < self._safe:
            self.current = min(2 * self.current, self._safe)
        elif self._full_pages >= self._patience:
            self.current = min(self._limit, max(self.current + 1, int(_GROWTH * self.current)))
        else:
            return
        self._full_pages = 0


def _is_certainly_too_large(error: RequestError) -> bool:
    return isinstance(error, ResponseTooLargeError) or (
        isinstance(error, APIError) and error.status == 413
    )


def _is_too_large(error: RequestError) -> bool:
    """Whether a page may have failed because of its size: it took too long, or broke off."""
    if isinstance(error, APIError):
        return error.status in (413, 502, 504)
    if isinstance(error, ConnectionFailedError):
        return error.sent
    return isinstance(error, ResponseDecodeError)
