"""What a view of a session may change of its calls, and what it tells of them."""

from __future__ import annotations

import msgspec

from .budget import RateLimit
from .retry import RetryPolicy

__all__ = ["Options", "RequestInfo", "ResponseInfo"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a view of a session may change of its calls.

    Attributes
    ----------
    timeout : float or None
        Seconds that one attempt may take, from connecting to the last byte.
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
        if self.timeout is not None and not _is_positive(self.timeout):
            raise ValueError(f"timeout must be None or more than 0 seconds, not {self.timeout!r}")
        if not isinstance(self.retry, RetryPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"retry must be a RetryPolicy, not {self.retry!r}")
        if not _is_positive(self.max_body_size):
            raise ValueError(f"max_body_size must be 1 byte or more, not {self.max_body_size!r}")


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


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
