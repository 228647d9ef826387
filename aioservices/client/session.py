"""A session: its lifetime, its options, who observes it, and any call by its path."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from aioservices.api.endpoints import Endpoints
from aioservices.api.params import encode
from aioservices.concurrency import BackgroundTasks, shielded
from aioservices.errors import SessionClosedError
from aioservices.http.options import (
    Attempt,
    AttemptHook,
    AttemptState,
    Options,
    RequestInfo,
    ResponseInfo,
    chain_hooks,
    validate_hook,
)
from aioservices.http.ratelimit import RateLimit
from aioservices.http.response import RawResponse
from aioservices.http.retry import RetryPolicy
from aioservices.http.secret import Hidden
from aioservices.http.transport import Transport
from aioservices.http.url import QueryValue, validate_path
from aioservices.validation import validate_type

# Imported where it is needed, so that programs without it start sooner.
if TYPE_CHECKING:
    from aioservices.api.raw import RawServices

__all__ = ["Session"]

RequestObserverT = TypeVar("RequestObserverT", bound=Callable[[RequestInfo], object])
InfoT = TypeVar("InfoT", RequestInfo, ResponseInfo)
ResponseObserverT = TypeVar("ResponseObserverT", bound=Callable[[ResponseInfo], object])

_LONGEST_SALT = 64  # bytes


class Session(Endpoints):
    """The endpoints over one set of connections.

    Parameters
    ----------
    transport : Transport
        The connections, which are closed with the session.
    options : Options
        Those of every call.
    """

    def __init__(self, transport: Transport, options: Options) -> None:
        super().__init__(transport, options)
        self._tasks = BackgroundTasks()
        self._raw: RawServices | None = None

    async def __aenter__(self) -> Self:
        if self.closed:
            raise SessionClosedError
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, for this session and all its views.

        Calls in progress, and all later ones, fail with a :class:`SessionClosedError`.
        """
        with shielded():  # it may be a cancellation that ends the session
            await self._tasks.aclose()
            await self._transport.aclose()

    def with_options(
        self,
        *,
        timeout: float | msgspec.UnsetType | None = msgspec.UNSET,
        retry: RetryPolicy | msgspec.UnsetType = msgspec.UNSET,
        max_body_size: int | msgspec.UnsetType = msgspec.UNSET,
        background: bool | msgspec.UnsetType = msgspec.UNSET,
        on_attempt: AttemptHook | msgspec.UnsetType = msgspec.UNSET,
    ) -> Self:
        """Make a view with other options on the same connections.

        Parameters
        ----------
        timeout : float or None, optional
            Seconds that an attempt may take; None for no limit.
        retry : RetryPolicy, optional
            How often, and for how long, a failed call is retried.
        max_body_size : int, optional
            Size limit of an answer, in bytes.
        background : bool, optional
            True for calls that let ordinary ones go first when the rate limit is near.
        on_attempt : callable, optional
            Called with an :class:`Attempt` before and after each attempt of the view's calls, after
            the hooks of this view. It runs during the call, so it should be quick. What it
            raises is logged and does not affect the call.

        Returns
        -------
        Services
            Options that are left out are as in this one. Closing either closes both.

        Examples
        --------
        ::

            patient = services.with_options(timeout=300, retry=RetryPolicy(max_attempts=20))
        """
        given = {
            "timeout": timeout,
            "retry": retry,
            "max_body_size": max_body_size,
            "background": background,
        }
        changes: dict[str, object] = {
            name: value for name, value in given.items() if value is not msgspec.UNSET
        }
        if on_attempt is not msgspec.UNSET:
            validate_hook(on_attempt, "on_attempt")
            changes["on_attempt"] = chain_hooks(self._options.on_attempt, on_attempt)
        view = copy.copy(self)
        view._raw = None  # it has this one's options
        view._options = msgspec.structs.replace(self._options, **changes)
        return view

    @property
    def raw(self) -> RawServices:
        """The endpoints with their raw answers, as in `services.raw.get(42)`."""
        if self._raw is None:
            from aioservices.api.raw import RawServices

            self._raw = RawServices(self._transport, self._options)
        return self._raw

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
    ) -> RawResponse:
        """Make any other call, with the same connections, retries and errors.

        Parameters
        ----------
        method : str
            `GET`, `POST`, ...
        path : str
            Relative to the base URL, as `users/me`. It is quoted where necessary.
        params : mapping, optional
            The query. A parameter that is None is left out; a list is sent as `name[]=1&name[]=2`.
        json : object, optional
            The body: anything that msgspec can encode as JSON. None for no body.

        Returns
        -------
        RawResponse
            With a status of 2xx.

        Raises
        ------
        ValueError
            If the path could lead out of the base URL, or `method` is not the name of an HTTP
            method.
        APIError, ConnectionFailedError, RequestTimeoutError
            As every call.
        """
        content = Hidden(json)
        json = None  # a traceback with local variables must not show it
        validate_type(method, str, "method")
        validate_type(path, str, "path")
        if not (method.isascii() and method.isalpha()):
            raise ValueError(f"method must be the name of an HTTP method, not {method!r}")
        return await self._transport.send(
            method.upper(),
            validate_path(path),
            params=params,
            body=None if content.value is None else encode(content.value),
            options=self._options,
        )

    def share_rate_limit(self, sharers: int) -> None:
        """Share the rate limit with other processes that use the same key.

        Tails and other background calls then use only their part of what is spare; ordinary calls
        come first, as always.

        Parameters
        ----------
        sharers : int
            The number of processes, including this one.
        """
        self._transport.share_rate_limit(sharers)

    def key_id(self, salt: bytes) -> bytes:
        """Hash the API key, to recognise sessions of the same key without knowing it.

        Parameters
        ----------
        salt : bytes
            1 to 64 bytes.

        Returns
        -------
        bytes

        Raises
        ------
        TypeError, ValueError
            If the salt is anything else.
        """
        if not 1 <= len(validate_type(salt, bytes, "salt")) <= _LONGEST_SALT:
            raise ValueError(f"salt must have 1 to {_LONGEST_SALT} bytes, not {len(salt)}")
        return self._transport.key_id(salt)

    @property
    def rate_limit(self) -> RateLimit | None:
        """The rate limit in the latest answer; None before the first one."""
        return self._transport.rate_limit

    @property
    def retry(self) -> RetryPolicy:
        """How often, and for how long, a failed call of this view is retried."""
        return self._options.retry

    @property
    def closed(self) -> bool:
        """Whether the session is closed."""
        return self._transport.closed

    def on_request(self, observer: RequestObserverT) -> RequestObserverT:
        """Call a function before each attempt of each call.

        Parameters
        ----------
        observer : callable
            Takes a :class:`RequestInfo`. It runs during the call, so it should be quick. What
            it raises is logged and does not affect the call.

        Returns
        -------
        callable
            The function, so that this can be used as a decorator.

        Raises
        ------
        TypeError
            If it is not a function, or is an asynchronous one, which would not be awaited.
        """
        self._observe(observer, {"sending"}, RequestInfo.of)
        return observer

    def on_response(self, observer: ResponseObserverT) -> ResponseObserverT:
        """Call a function after each attempt of each call, whatever its result.

        Parameters
        ----------
        observer : callable
            Takes a :class:`ResponseInfo`. It runs during the call, so it should be quick. What
            it raises is logged and does not affect the call.

        Returns
        -------
        callable
            The function, so that this can be used as a decorator.

        Raises
        ------
        TypeError
            If it is not a function, or is an asynchronous one, which would not be awaited.
        """
        self._observe(observer, {"answered", "failed"}, ResponseInfo.of)
        return observer

    def _observe(
        self,
        observer: Callable[[InfoT], object],
        states: Collection[AttemptState],
        describe: Callable[[Attempt], InfoT],
    ) -> None:
        """Call a function with a description of each attempt that is in one of the states."""
        validate_hook(observer, "an observer")

        def hook(attempt: Attempt) -> None:
            if attempt.state in states:
                observer(describe(attempt))

        self._transport.hooks.append(hook)

    def __repr__(self) -> str:
        if not hasattr(self, "_transport"):  # its arguments were refused
            return f"<{type(self).__name__}, not initialized>"
        closed = ", closed" if self.closed else ""
        return f"<{type(self).__name__} {self._transport.base_url}{closed}>"
