"""What a view of a session may change of its calls, and what it tells of them."""

from __future__ import annotations

import sys
from types import UnionType

import msgspec

from .ratelimit import RateLimit
from .retry import RetryPolicy

__all__ = ["Options", "RequestInfo", "ResponseInfo"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a view of a session may change of its calls.

    Attributes
    ----------
    timeout : float or None
        Seconds that one attempt may take, from connecting to the last byte; None for no bound.
    retry : RetryPolicy
    max_body_size : int
        Bytes of the largest body that is read, after decompression.
    background : bool
        Whether calls give way to ordinary ones and are paced by the rate limit.
    """

    timeout: float | None = 60.0
    retry: RetryPolicy = RetryPolicy()
    max_body_size: int = 256 * 1024 * 1024
    background: bool = False

    def __post_init__(self) -> None:
        if self.timeout is not None:
            _check_kind("timeout", self.timeout, int | float, "None or a number of seconds")
            if not 0 < self.timeout <= sys.float_info.max:
                bounds = "more than 0 seconds and finite, or None for no bound"
                raise ValueError(f"timeout must be {bounds}, not {self.timeout!r}")
        if not isinstance(self.retry, RetryPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"retry must be a RetryPolicy, not {self.retry!r}")
        _check_kind("max_body_size", self.max_body_size, int, "an integer")
        if self.max_body_size < 1:
            raise ValueError(f"max_body_size must be 1 byte or more, not {self.max_body_size!r}")
        if not isinstance(self.background, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"background must be a boolean, not {self.background!r}")


class RequestInfo(msgspec.Struct, frozen=True):
    """One attempt, before it is sent.

    Attributes
    ----------
    method, path : str
    attempt : int
        1 for the first.
    """

    method: str
    path: str
    attempt: int


class ResponseInfo(msgspec.Struct, frozen=True):
    """One attempt, after it was answered or failed.

    Attributes
    ----------
    method, path : str
    attempt : int
        1 for the first.
    status : int or None
        None if there was no whole answer.
    elapsed : float
        Seconds that the attempt took.
    rate_limit : RateLimit or None
    """

    method: str
    path: str
    attempt: int
    status: int | None
    elapsed: float
    rate_limit: RateLimit | None


def _check_kind(name: str, value: object, kind: type | UnionType, expected: str) -> None:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TypeError(f"{name} must be {expected}, not {value!r}")
