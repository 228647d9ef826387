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

import anyio

from aioservices.errors import (
    APIError,
    AuthenticationError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestError,
    ResponseDecodeError,
    ResponseTooLargeError,
)
from aioservices.http.retry import backoff_delays

from .options import TailOptions
from .status import TailMetrics

__all__ = ["CONFIRMATIONS", "Patience", "is_too_large"]

# How often in a row a refusal must come before it is believed.
CONFIRMATIONS = 3


class Patience:
    """How one call is repeated while it fails.

    Parameters
    ----------
    metrics : TailMetrics
        Where outages are counted.
    options : TailOptions
        The intervals of its polls are those between its attempts, too.
    deployment_id : int, optional
        Whose log the call is about.

    Attributes
    ----------
    failures : int
        How often the call failed, ever.
    """

    def __init__(
        self,
        metrics: TailMetrics,
        options: TailOptions,
        deployment_id: int | None = None,
    ) -> None:
        self.failures = 0
        self._metrics = metrics
        self._options = options
        self._deployment_id = deployment_id
        self._is_out = False
        self._reset()

    def _reset(self) -> None:
        self._delays = backoff_delays(self._options.poll_interval, self._options.max_poll_interval)
        self._began: float | None = None
        self._refusals = 0

    @property
    def is_failing(self) -> bool:
        """Whether the call failed when it was made last."""
        return self._began is not None

    async def wait(self, error: RequestError, *, doubted_until: float = 0.0) -> None:
        """Wait until the call may be repeated.

        Parameters
        ----------
        error : RequestError
            How it failed.
        doubted_until : float
            Until when, by the monotonic clock, a 403 or 404 is not believed.

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
            is_doubted = (
                isinstance(error, NotFoundError | PermissionDeniedError) and now < doubted_until
            )
            if self._refusals >= CONFIRMATIONS and not is_doubted:
                raise error
        else:
            self._refusals = 0
            is_first, self._is_out = not self._is_out, True
            self._metrics.record_failure(error, self._deployment_id, is_first=is_first)
        self.failures += 1
        if self._began is None:
            self._began = now
        longest = self._options.max_outage
        if longest is not None and now - self._began >= longest:
            raise error
        delay = next(self._delays)
        if is_doubted:  # no longer than that
            delay = min(delay, doubted_until - now)
        await anyio.sleep(delay)

    def served(self) -> None:
        """Note that the call was answered."""
        if self._began is not None:
            self._end(served=True)

    def close(self) -> None:
        """Note that the call will not be made again."""
        self._end(served=False)

    def _end(self, *, served: bool) -> None:
        if self._is_out:
            self._is_out = False
            self._metrics.end_failure(served=served)
        self._reset()


def is_too_large(error: RequestError) -> bool:
    """Whether a page may have failed because of its size: it took too long, or broke off."""
    if isinstance(error, ResponseTooLargeError):
        return True
    if isinstance(error, APIError):
        return error.status in (413, 502, 504)
    if isinstance(error, ConnectionFailedError):
        return error.sent
    return isinstance(error, ResponseDecodeError)


def _is_refusal(error: RequestError) -> bool:
    """Whether a failure may be the server's last word."""
    if not isinstance(error, APIError) or isinstance(error, RateLimitedError):
        return False
    return error.status < 500 and error.status != 408
