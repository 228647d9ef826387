"""Whether a request may be repeated, and when.

Pure: what happened, how often and how long ago are handed in.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import itertools
import math
from collections.abc import Iterator

import msgspec

from aioservices.validation import validate_int, validate_seconds

__all__ = ["RetryPolicy", "backoff_delays", "may_repeat", "next_delay", "parse_retry_after"]

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_NOT_ACTED_ON = frozenset({429, 503})
_TRANSIENT = _NOT_ACTED_ON | {502, 504}


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and for how long, a failed call is retried.

    Parameters
    ----------
    max_attempts : int, default 10
        How many times a request is sent at most; 1 means that it is never retried.
    max_elapsed : float, default 600.0
        Seconds since the first attempt after which no other one begins; `math.inf` for no limit.
    base_delay : float, default 0.5
        Seconds of the first wait; each later one is twice as long. The actual wait is drawn
        evenly between zero and that ("full jitter").
    max_delay : float, default 60.0
        Seconds of the longest such wait. A ``Retry-After`` may be longer.
    """

    max_attempts: int = 10
    max_elapsed: float = 600.0
    base_delay: float = 0.5
    max_delay: float = 60.0

    def __post_init__(self) -> None:
        validate_int(self.max_attempts, "max_attempts", least=1)
        validate_seconds(self.max_elapsed, "max_elapsed", zero=True, unbounded=True)
        validate_seconds(self.base_delay, "base_delay", zero=True)
        validate_seconds(self.max_delay, "max_delay", zero=True)


def may_repeat(method: str, *, status: int | None = None, sent: bool = True) -> bool:
    """Return whether a request may be sent again after it failed.

    Parameters
    ----------
    method : str
        The HTTP method, in capitals.
    status : int, optional
        The status of the answer; None if there was no complete answer.
    sent : bool
        When there was no answer: whether the server may have received the request.

    Returns
    -------
    bool
        True if repeating it may succeed, and cannot do anything twice.
    """
    if status is None:
        return not sent or method in _IDEMPOTENT
    return status in (_TRANSIENT if method in _IDEMPOTENT else _NOT_ACTED_ON)


def next_delay(
    policy: RetryPolicy,
    *,
    attempts: int,
    elapsed: float,
    jittered: float,
    retry_after: float | None = None,
) -> float | None:
    """Return how long to wait before the next attempt.

    Parameters
    ----------
    policy : RetryPolicy
    attempts : int
        How many were made.
    elapsed : float
        Seconds since the first one.
    jittered : float
        Seconds of the wait that `backoff_delays` proposes.
    retry_after : float, optional
        Seconds that the server requests.

    Returns
    -------
    float or None
        Seconds to wait, or None when the policy allows no other attempt.
    """
    if attempts >= policy.max_attempts:
        return None
    delay = max(jittered, retry_after or 0.0)
    return delay if elapsed + delay <= policy.max_elapsed else None


def backoff_delays(base: float, maximum: float) -> Iterator[float]:
    """Yield waits in seconds: doubling from `base` up to `maximum`, with full jitter."""
    import backoff  # seldom needed, and slow to load

    if base <= 0:  # the generator would double zero until it overflows
        yield from itertools.repeat(0.0)
    ceilings = backoff.expo(factor=base, max_value=maximum)
    next(ceilings)  # the generator's first value stands for "nothing sent yet"
    for ceiling in ceilings:
        yield backoff.full_jitter(ceiling)


def parse_retry_after(value: str | None, *, now: dt.datetime) -> float | None:
    """Read a ``Retry-After`` header.

    Parameters
    ----------
    value : str or None
        The header: seconds, or an HTTP date.
    now : datetime
        The time to which a date is compared; best the server's own.

    Returns
    -------
    float or None
        Seconds from now, never negative; None if it cannot be understood.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = email.utils.parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError):
            return None
        if date.tzinfo is None:  # "-0000": UTC of unknown origin
            date = date.replace(tzinfo=dt.UTC)
        seconds = (date - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
