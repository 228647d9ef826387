"""One call while it is under way: its attempts, its time, and whether there is another."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Iterator, Mapping, Sequence

from .errors import APIError, ConnectionFailedError, RequestError
from .options import Options
from .response import http_date
from .retry import backoff_delays, may_repeat, next_delay, parse_retry_after

__all__ = ["Call", "retry_after_of"]


class Call:
    """What is known of one call while it is under way."""

    __slots__ = (
        "attempts",
        "begun",
        "body",
        "delays",
        "error",
        "is_hopeless",
        "method",
        "options",
        "path",
        "secrets",
        "started",
        "url",
    )

    def __init__(
        self,
        method: str,
        path: str,
        url: str,
        body: bytes | None,
        options: Options,
        secrets: Sequence[str],
    ) -> None:
        self.method = method
        self.path = path
        self.url = url
        self.body = body
        self.options = options
        self.secrets = secrets
        self.attempts = 0
        self.begun = self.started = math.nan
        self.error: RequestError | None = None
        self.is_hopeless = False  # whether the last failure is bound to be there again
        self.delays: Iterator[float] | None = None

    def begin(self, now: float) -> None:
        """Note that an attempt begins."""
        self.begun = now
        self.attempts += 1
        if self.attempts == 1:
            self.started = self.begun

    def time_left(self, now: float) -> float:
        """Seconds in which another attempt may begin; before the first one all of them."""
        elapsed = now - self.started if self.attempts else 0.0
        return self.options.retry.max_elapsed - elapsed

    def next_backoff(self) -> float:
        """Seconds to wait by the policy's own rule."""
        if self.delays is None:
            policy = self.options.retry
            self.delays = backoff_delays(policy.base_delay, policy.max_delay)
        return next(self.delays)

    def delay_after(self, error: RequestError, jittered: float) -> float | None:
        """Seconds until the next attempt, or None if there is to be none."""
        retry_after: float | None = None
        if isinstance(error, APIError):
            repeat = may_repeat(self.method, status=error.status)
            retry_after = retry_after_of(error.headers)
        else:
            repeat = isinstance(error, ConnectionFailedError) and may_repeat(
                self.method, sent=error.sent
            )
        if self.is_hopeless or not repeat:
            return None
        return next_delay(
            self.options.retry,
            attempts=self.attempts,
            elapsed=time.monotonic() - self.started,
            jittered=jittered,
            retry_after=retry_after,
        )


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds after which a server is willing again, by its own clock if it tells the time."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    return parse_retry_after(value, now=http_date(headers) or dt.datetime.now(dt.UTC))
