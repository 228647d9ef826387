"""One call: its turn, its attempts, its redirects and its error."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from hashlib import blake2b

from yarl import URL

from aioservices.errors import (
    RateLimitedError,
    RequestError,
    SessionClosedError,
    SessionLoopError,
)
from aioservices.validation import validate_int

from .attempt import AttemptGuard, Call
from .connections import Connections
from .failure import timeout_error
from .options import AttemptHook, AttemptState, Options, notify
from .queue import RequestQueue
from .ratelimit import RateLimit, RateLimiter
from .response import RawResponse, parse_rate_limit
from .url import QueryValue, redirect_target

__all__ = ["Transport"]

log = logging.getLogger(__name__)

_MAX_REDIRECTS = 5


class Transport:
    """The connections of one session, and how calls are sent over them.

    Parameters
    ----------
    connections : Connections
        What requests are sent over.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.base_url = self._connections.base_url
        self.rate_limit: RateLimit | None = None
        self.hooks: list[AttemptHook] = []  # of all views; those of one view are in its options
        self._queue = RequestQueue(RateLimiter(self._connections.limit), time.monotonic)
        self._guard = AttemptGuard()
        self._loop: asyncio.AbstractEventLoop | None = None

    def key_id(self, salt: bytes) -> bytes:
        """Hash the API key, to distinguish keys without knowing them."""
        api_key = self._connections.secrets[0]
        return blake2b(api_key.encode(), key=salt, digest_size=16).digest()

    def share_rate_limit(self, sharers: int) -> None:
        """Leave other processes their part of what background calls may use."""
        self._queue.limiter.sharers = validate_int(sharers, "sharers", least=1)

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._queue.closed

    async def aclose(self) -> None:
        """Close the connections; calls in progress, waiting or later ones fail."""
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop and not self._loop.is_closed():
            raise SessionLoopError
        if not self.closed:
            self._queue.close()
            self._guard.cancel_all()
        await self._connections.aclose(is_orphaned=self._loop not in {None, loop})

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        body: bytes | None = None,
        options: Options,
    ) -> RawResponse:
        """Send a request until it is answered, permanently rejected, or out of attempts.

        Parameters
        ----------
        method : str
            In capitals.
        path : str
            Relative to the base URL, with nothing in it that needs quoting.
        params : mapping, optional
            The query; None leaves a parameter out, a sequence repeats it as ``name[]``.
        body : bytes, optional
            JSON.
        options : Options

        Returns
        -------
        RawResponse
            With a status of 2xx.

        Raises
        ------
        APIError, ConnectionFailedError, RequestTimeoutError, ResponseTooLargeError
        SessionClosedError
            If the session is closed, or was meanwhile.
        SessionLoopError
            If the session is in use on another event loop.
        """
        is_observed = (
            options.on_attempt is not None or bool(self.hooks) or log.isEnabledFor(logging.DEBUG)
        )
        url = self._connections.base.join(path, params)
        call = Call(method, path, url, body, options, is_observed)
        if self._loop is not asyncio.get_running_loop():
            self._bind()
        while True:
            now = time.monotonic()
            if self._queue.try_acquire(now, background=options.background, urgency=options.urgency):
                call.begin(now)
            else:
                await self._wait_for_turn(call, now)
            try:
                response = await self._attempt(call)
            except RequestError as exc:
                error = call.error = exc
            except BaseException:  # cancelled, or the session was closed
                self._report(call, "failed")
                raise
            else:
                if call.is_observed:
                    self._report(call, "answered", response=response)
                return response
            jittered = call.next_backoff()
            if isinstance(error, RateLimitedError) and call.is_at_home:
                retry_after = jittered if error.retry_after is None else error.retry_after
                self._queue.block(call.begun, retry_after)
            delay = call.delay_after(error, jittered)
            self._report(call, "failed", error=error, retry_in=delay)
            if delay is None:
                raise error
            log.warning("%s; the next attempt follows in %.1f s", error, delay)
            if not await self._queue.sleep(delay, deadline=call.deadline):
                raise error

    def _bind(self) -> None:
        """Bind the session to the running event loop, to which its connections will belong."""
        if self.closed:
            raise SessionClosedError
        if self._loop is not None:
            raise SessionLoopError
        self._loop = asyncio.get_running_loop()

    async def _wait_for_turn(self, call: Call, now: float) -> None:
        """Wait until an attempt may begin; after the first one no longer than the policy allows.

        The first attempt may wait any time for its turn, but not for the end of a block that lasts
        longer than all attempts together may take.
        """
        blocked = self._queue.limiter.blocked_until - now
        if blocked > 0:
            self._report(call, "waiting", retry_in=blocked)
        begun = await self._queue.acquire(
            background=call.options.background,
            urgency=call.options.urgency,
            deadline=call.deadline,
            longest_block=call.options.retry.max_elapsed,
        )
        if begun is None:
            raise call.error or self._blocked_error(call)
        call.begin(begun)

    async def _attempt(self, call: Call) -> RawResponse:
        """Send a request once; only a success is returned."""
        timeout = call.options.timeout
        attempt = self._guard.enter(math.inf if timeout is None else call.begun + timeout)
        try:
            if call.is_observed:
                self._report(call, "sending")
            response = await self._connections.exchange(call, call.url, at_home=True)
            call.rate_limit = parse_rate_limit(response.headers)
            if response.status >= 300:
                response = await self._redirected(call, response)
        except asyncio.CancelledError:
            if not attempt.take_back():
                raise
            if self.closed:
                raise SessionClosedError from None
            raise timeout_error(call) from None
        finally:
            self._guard.leave(attempt)
            self._queue.release()
        if call.rate_limit is not None:
            self.rate_limit = call.rate_limit
        if response.status != 429 or not call.is_at_home:
            self._queue.limiter.observe_answer(
                call.begun, call.begun + response.elapsed, call.rate_limit
            )
        if response.status < 300:
            return response
        from .api_error import api_error  # seldom needed, and takes time to load

        raise api_error(response, secrets=(*self._connections.secrets, *call.secrets))

    async def _redirected(self, call: Call, response: RawResponse) -> RawResponse:
        """Follow redirects where that is safe."""
        url = str(call.url)
        for _ in range(_MAX_REDIRECTS):
            target = redirect_target(
                call.method,
                url,
                response.status,
                response.headers.get("Location"),
                base_url=self.base_url,
                has_body=call.body is not None,
            )
            if target is None:
                break
            url = target.url
            call.is_at_home = target.same_origin
            response = await self._connections.exchange(
                call, URL(url, encoded=True), at_home=call.is_at_home
            )
            if call.is_at_home:
                call.rate_limit = parse_rate_limit(response.headers)
        return response

    def _blocked_error(self, call: Call) -> RateLimitedError:
        """Make the error of a call that is not sent, as the session is blocked for too long."""
        blocked = max(0.0, self._queue.limiter.blocked_until - time.monotonic())
        error = RateLimitedError(
            status=429,
            method=call.method,
            path=call.path,
            attempts=call.attempts,
            description=f"not sent: an earlier answer asks to send nothing for {blocked:.0f} s",
        )
        error.retry_after = blocked
        error.sent = False
        return error

    def _report(
        self,
        call: Call,
        state: AttemptState,
        *,
        response: RawResponse | None = None,
        error: RequestError | None = None,
        retry_in: float | None = None,
    ) -> None:
        """Report an attempt to the hooks and the log."""
        hook = call.options.on_attempt
        attempt = call.describe(
            state, time.monotonic(), response=response, error=error, retry_in=retry_in
        )
        for each in self.hooks:
            notify(each, attempt)
        if hook is not None:
            notify(hook, attempt)
        if state in {"answered", "failed"}:
            log.debug(
                "%s %s: %s in %.3f s (attempt %d)",
                attempt.method,
                attempt.path,
                attempt.status or "no answer",
                attempt.elapsed,
                attempt.number,
            )
