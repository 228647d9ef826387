"""One call while it is under way: its attempts, its time, and whether there is another."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

from aioservices.errors import APIError, ConnectionFailedError, RequestError

from .options import Attempt, AttemptState, Options
from .response import RawResponse, http_date, parse_rate_limit
from .retry import backoff_delays, may_repeat, next_delay, parse_retry_after

__all__ = ["Call", "retry_after_of"]

_VARIABLES = frozenset({"environmentVariables", "environment_variables"})


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
    ) -> None:
        self.method = method
        self.path = path
        self.url = url
        self.body = body
        self.options = options
        self.attempts = 0
        self.begun = self.started = math.nan
        self.error: RequestError | None = None
        self.is_hopeless = False  # whether the last failure is bound to be there again
        self.delays: Iterator[float] | None = None

    @property
    def secrets(self) -> list[str]:
        """Values of environment variables that it sends, which no message may repeat."""
        return list(_secrets_in(msgspec.json.decode(self.body))) if self.body else []

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

    def describe(
        self,
        state: AttemptState,
        now: float,
        *,
        response: RawResponse | None,
        error: RequestError | None,
        retry_in: float | None,
    ) -> Attempt:
        """Describe the attempt that waits, is under way or has ended, for hooks."""
        rate_limit = None
        if isinstance(error, APIError):
            status: int | None = error.status
            rate_limit = parse_rate_limit(error.headers)
        else:
            status = None if response is None else response.status
            rate_limit = None if response is None else response.rate_limit
        return Attempt(
            method=self.method,
            path=self.path,
            number=self.attempts + (state == "waiting"),
            state=state,
            status=status,
            error=error,
            elapsed=now - self.begun if state in {"answered", "failed"} else 0.0,
            retry_in=retry_in,
            rate_limit=rate_limit,
        )

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


def _secrets_in(value: object, *, inside: bool = False) -> Iterator[str]:
    match value:
        case dict():
            for name, each in cast("dict[str, object]", value).items():
                yield from _secrets_in(each, inside=inside or name in _VARIABLES)
        case list():
            for each in cast("list[object]", value):
                yield from _secrets_in(each, inside=inside)
        case bool():  # is no secret: to hide it would hide every `true` of a message
            pass
        case str() | int() | float() if inside and value:
            yield str(value)
        case _:
            pass


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds after which a server is willing again, by its own clock if it tells the time."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    return parse_retry_after(value, now=http_date(headers) or dt.datetime.now(dt.UTC))
