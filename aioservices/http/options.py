"""The options of a call, and what hooks learn about each of its attempts."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Literal, Self, TypeAlias

import msgspec

from aioservices.errors import RequestError
from aioservices.validation import validate_int, validate_seconds, validate_type

from .queue import Urgency
from .ratelimit import RateLimit
from .retry import RetryPolicy

__all__ = [
    "Attempt",
    "AttemptHook",
    "AttemptState",
    "Options",
    "RequestInfo",
    "ResponseInfo",
    "chain_hooks",
    "notify",
    "validate_hook",
]

log = logging.getLogger("aioservices.http")

AttemptState: TypeAlias = Literal["waiting", "sending", "answered", "failed"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a call: an attempt that waits, is sent, was answered, or failed.

    A hook is called with ``sending`` just before an attempt is sent, and then with exactly one of
    ``answered`` and ``failed`` for the same number, even if the call is cancelled. ``waiting``
    comes before ``sending`` if the session has to wait for the end of a ``Retry-After``.

    Attributes
    ----------
    method, path : str
        The call, as in ``GET`` and ``services/42``.
    number : int
        1 for the first attempt of the call.
    state : {'waiting', 'sending', 'answered', 'failed'}
        ``answered``: the server answered successfully, and the call returns. ``failed``: it
        answered with an error, or there was no complete answer.
    status : int or None
        Status of the answer. None if there was no complete answer yet.
    error : RequestError or None
        Why the attempt failed; its attribute `sent` says whether the server may have received it.
        A failed attempt without an error was cancelled: the server may have received it, too.
    elapsed : float
        Seconds since the attempt was sent; 0 before that.
    retry_in : float or None
        Of a failed attempt: seconds until the next one, or None if there is none. Of a waiting
        one: seconds until it may be sent.
    rate_limit : RateLimit or None
        What the answer says about the rate limit.
    """

    method: str
    path: str
    number: int
    state: AttemptState
    status: int | None = None
    error: RequestError | None = None
    elapsed: float = 0.0
    retry_in: float | None = None
    rate_limit: RateLimit | None = None


AttemptHook: TypeAlias = Callable[[Attempt], object]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a view of a session may change of its calls.

    Attributes
    ----------
    timeout : float or None
        Seconds that one attempt may take, from connecting to the last byte; None for no limit.
    retry : RetryPolicy
    max_body_size : int
        Bytes of the largest body that is read, after decompression.
    background : bool
        Whether calls let ordinary ones go first, and are paced by the rate limit.
    urgency : Urgency or None
        Of background calls: which of them goes first. None for the order in which they come.
    on_attempt : callable or None
        Called with an `Attempt` before and after each attempt.
    """

    timeout: float | None = 60.0
    retry: RetryPolicy = RetryPolicy()
    max_body_size: int = 256 * 1024 * 1024
    background: bool = False
    urgency: Urgency | None = None
    on_attempt: AttemptHook | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None:
            validate_seconds(self.timeout, "timeout", otherwise="None for no bound")
        if not isinstance(self.retry, RetryPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"retry must be a RetryPolicy, not {type(self.retry).__name__}")
        validate_int(self.max_body_size, "max_body_size", least=1)
        validate_type(self.background, bool, "background")
        if self.on_attempt is not None:
            validate_hook(self.on_attempt, "on_attempt")


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

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """Describe an attempt that is about to be sent.

        Not part of the public interface.
        """
        return cls(attempt.method, attempt.path, attempt.number)


class ResponseInfo(msgspec.Struct, frozen=True):
    """One attempt, after it was answered or failed.

    Attributes
    ----------
    method, path : str
    attempt : int
        1 for the first.
    status : int or None
        None if there was no complete answer.
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

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """Describe an attempt that has ended.

        Not part of the public interface.
        """
        return cls(
            attempt.method,
            attempt.path,
            attempt.number,
            attempt.status,
            attempt.elapsed,
            attempt.rate_limit,
        )


def validate_hook(hook: object, name: str) -> None:
    """Refuse anything that cannot be called, or that would have to be awaited.

    Raises
    ------
    TypeError
        If it is not callable, or is an asynchronous function.
    """
    if not callable(hook) or any(map(inspect.iscoroutinefunction, (hook, type(hook).__call__))):
        raise TypeError(f"{name} must be a function that is not async, not {hook!r}")


def chain_hooks(first: AttemptHook | None, second: AttemptHook | None) -> AttemptHook | None:
    """Make one hook that calls two, in this order."""
    if first is None or second is None:
        return first or second

    def both(attempt: Attempt) -> None:
        notify(first, attempt)
        notify(second, attempt)

    return both


def notify(hook: AttemptHook, attempt: Attempt) -> None:
    """Call a hook. What it raises is logged, and does not affect the call."""
    try:
        hook(attempt)
    except Exception:
        log.exception("a hook failed")
