"""How long a tail repeats a call that fails.

A tail outlives outages, so a failure is either repeated for as long as it takes, or final:

- 401 is final at once: the key will not become a good one.
- Any other 4xx (but 408 and 429) is believed when it came three times in a row. A 403 or 404 of
  something that was never seen is not believed for some seconds more, because reads may lag behind
  the write that made it; that of a new deployment's log not for a minute.
- The rest (5xx, 429, no connection, no whole body, no valid body) passes by itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from aioservices.errors import (
    APIError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestError,
    ResponseTooLargeError,
)
from aioservices.http.retry import backoff_delays

from .options import TailOptions
from .status import TailMetrics

__all__ = ["CONFIRMATIONS", "Patience"]

T = TypeVar("T")

# How often in a row a refusal must come before it is believed.
CONFIRMATIONS = 3


class Patience:
    """How one call is repeated while it fails, at the intervals of the tail's polls.

    Attributes
    ----------
    doubted_until : float
        Until when, by the monotonic clock, a 403 or 404 is not believed.
    failures : int
        How often the call failed, ever.
    """

    def __init__(
        self,
        metrics: TailMetrics,
        options: TailOptions,
        deployment_id: int | None = None,
        *,
        doubted_until: float = 0.0,
    ) -> None:
        self.doubted_until = doubted_until
        self.failures = 0
        self._metrics = metrics
        self._options = options
        self._deployment_id = deployment_id  # whose log the call is about
        self._reset()

    def _reset(self) -> None:
        self._delays = backoff_delays(self._options.poll_interval, self._options.max_poll_interval)
        self._began: float | None = None
        self._refusals = 0

    @property
    def is_failing(self) -> bool:
        """Whether the call failed when it was made last."""
        return self._began is not None

    async def repeat(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call until it is answered, or until its refusal is believed."""
        try:
            while True:
                try:
                    value = await call()
                except RequestError as exc:
                    await self.wait(exc)
                else:
                    self.end(served=True)
                    return value
        finally:
            self.end(served=False)

    async def wait(self, error: RequestError) -> None:
        """Wait until the call, which has failed, may be repeated.

        Raises
        ------
        RequestError
            The failure, if there is no sense in repeating the call.
        """
        now = time.monotonic()
        is_doubted = False
        if isinstance(error, AuthenticationError | ResponseTooLargeError):
            raise error
        if _is_refusal(error):
            self._refusals += 1
            may_be_young = isinstance(error, NotFoundError | PermissionDeniedError)
            is_doubted = may_be_young and now < self.doubted_until
            if self._refusals >= CONFIRMATIONS and not is_doubted:
                raise error
        else:
            self._refusals = 0
            self._metrics.record_failure(self, error, self._deployment_id)
        self.failures += 1
        if self._began is None:
            self._began = now
        longest = self._options.max_outage
        if longest is not None and now - self._began >= longest:
            raise error
        delay = next(self._delays)
        await anyio.sleep(min(delay, self.doubted_until - now) if is_doubted else delay)

    def end(self, *, served: bool) -> None:
        """Note that the call was answered, or will not be made again."""
        if self._began is not None:
            self._metrics.end_failure(self, served=served)
            self._reset()


def _is_refusal(error: RequestError) -> bool:
    """Whether a failure may be the server's last word."""
    if not isinstance(error, APIError) or isinstance(error, RateLimitedError):
        return False
    return error.status < 500 and error.status != 408
