"""One request: its connection, its turn in the budget, its repetition and its error.

The only module that knows aiohttp.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import logging
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import anyio
from aiohttp.http_exceptions import ContentEncodingError
from multidict import CIMultiDict
from yarl import URL

from aioservices.errors import (
    APIError,
    ConnectionFailedError,
    RateLimitedError,
    RequestError,
    RequestTimeoutError,
    ResponseDecodeError,
    ResponseTooLargeError,
    SessionClosedError,
    api_error,
    redact,
    single_line,
)
from aioservices.validation import validate_int

from .attempt import Call, retry_after_of
from .auth import anonymous_headers, job_headers, validate_api_key
from .options import AttemptHook, AttemptState, Options, notify
from .ratelimit import Budget, Gate, RateLimit
from .response import RawResponse
from .url import (
    QueryValue,
    encoded_query,
    proxy_for,
    redirect_target,
    validate_base_url,
)

__all__ = ["Transport"]

log = logging.getLogger(__name__)

_ERROR_BODY_SIZE = 64 * 1024
_MAX_REDIRECTS = 5
_LONGEST_CONNECT = 30.0
_ERROR_BODY_PATIENCE = 5.0  # seconds
_LARGE_BODY = 1024 * 1024
_LONGEST_TEXT = 300
_NOT_AUTOMATIC = frozenset({"Content-Type"})  # a request without a body has none
_PROBLEMS = (aiohttp.ClientError, OSError)
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)
_HTTP_CLIENT = f"aiohttp {aiohttp.__version__}"


class Transport:
    """The connections of one session, and the way of every call over them.

    Parameters
    ----------
    api_key : str, optional
        Default: the environment variable ``CIVIS_API_KEY``.
    base_url : str, optional
        Default: ``CIVIS_API_ENDPOINT``, else the platform's public address.
    max_connections : int
        How many requests are under way at once; the others wait for their turn.
    user_agent : str, optional
        Put before the library's own ``User-Agent``.
    http : aiohttp.ClientSession, optional
        The caller's own, which is never closed here.
    allow_http : bool
        Whether the key may travel unencrypted to another machine.
    trust_env : bool
        Whether to use the proxy that the environment names.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        max_connections: int = 100,
        user_agent: str | None = None,
        http: aiohttp.ClientSession | None = None,
        allow_http: bool = False,
        trust_env: bool = True,
    ) -> None:
        max_connections = validate_int(max_connections, "max_connections", least=1)
        if http is not None and not isinstance(http, aiohttp.ClientSession):
            raise TypeError(f"http must be an aiohttp.ClientSession, not {type(http).__name__}")
        key = validate_api_key(api_key)
        authorization = aiohttp.encode_basic_auth(key, "")
        self.base_url = validate_base_url(base_url, allow_http=allow_http)
        self.rate_limit: RateLimit | None = None
        self.hooks: list[AttemptHook] = []  # of all views; those of one view are in its options
        self._secrets = (key, authorization.partition(" ")[2])
        self._proxy = _proxy_arguments(self.base_url) if trust_env and http is None else {}
        self._anonymous = CIMultiDict(anonymous_headers(user_agent, _HTTP_CLIENT))
        # The key and the job stay at home: no redirect takes them to another host.
        identity = CIMultiDict({"Authorization": authorization, **job_headers()})
        if self.base_url.startswith("http:"):
            # aiohttp tells a proxy who we are only where it is asked to build a tunnel.
            identity.update(self._proxy.get("proxy_headers", {}))
        if http is not None:  # our own session has these for every request
            identity.update(self._anonymous)
        self._headers = identity
        self._headers_with_body = CIMultiDict(identity)
        self._headers_with_body["Content-Type"] = "application/json"
        self._max_connections = _connections(http, max_connections)
        self._gate = Gate(Budget(self._max_connections), time.monotonic)
        # Who sends at the moment, and how often each was asked to stop before.
        self._under_way: dict[asyncio.Task[object], int] = {}
        self._http = http
        self._owns_http = http is None

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._gate.closed

    async def aclose(self) -> None:
        """Close the connections; calls under way, waiting or yet to come fail."""
        if not self.closed:
            self._gate.close()
            for task in self._under_way:
                task.cancel()  # which `_attempt` turns into an error
        if self._owns_http and self._http is not None:
            await self._http.close()

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        body: bytes | None = None,
        options: Options,
    ) -> RawResponse:
        """Send a request until it is answered, refused for good, or out of attempts.

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
        """
        url = self.base_url + path
        if params and (query := encoded_query(params)):
            url = f"{url}?{query}"
        call = Call(method, path, url, body, options)
        while True:
            now = time.monotonic()
            if self._gate.try_enter(now, background=options.background):
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
                self._report(call, "answered", response=response)
                return response
            jittered = call.next_backoff()
            if isinstance(error, RateLimitedError):
                quiet = jittered if error.retry_after is None else error.retry_after
                self._gate.budget.refused(call.begun, time.monotonic(), quiet)
            delay = call.delay_after(error, jittered)
            self._report(call, "failed", error=error, retry_in=delay)
            if delay is None:
                raise error
            log.warning("%s; the next one follows in %.1f s", error, delay)
            await self._gate.sleep(delay)

    async def _wait_for_turn(self, call: Call, now: float) -> None:
        """Wait until an attempt may begin; after the first one no longer than the policy allows."""
        self._refuse_hopeless_wait(call, now)
        if (blocked := self._gate.budget.quiet_until - now) > 0:
            self._report(call, "waiting", retry_in=blocked)
        with anyio.move_on_after(call.time_left(now) if call.attempts else None) as scope:
            call.begin(await self._gate.enter(background=call.options.background))
        if scope.cancelled_caught and call.error is not None:
            raise call.error

    async def _attempt(self, call: Call) -> RawResponse:
        """Send a request once; only a success is returned."""
        task: asyncio.Task[object] = asyncio.current_task()  # type: ignore[assignment]
        self._under_way[task] = task.cancelling()
        try:
            self._report(call, "sending")
            response = await self._transfer(call, call.url, call.options.timeout)
            if response.status >= 300:
                response = await self._redirected(call, response)
        except asyncio.CancelledError:
            # As asyncio.timeout does: it may be `aclose` that cancelled, somebody else, or both.
            if self.closed and task.uncancel() <= self._under_way[task]:
                raise SessionClosedError from None
            raise
        finally:
            del self._under_way[task]
            self._gate.leave()
        if response.rate_limit is not None:
            self.rate_limit = response.rate_limit
        if response.status != 429:
            self._gate.budget.served(call.begun, time.monotonic(), response.rate_limit)
        if response.status < 300:
            return response
        raise self._api_error(call, response)

    async def _redirected(self, call: Call, response: RawResponse) -> RawResponse:
        """Follow redirects, where these are safe to follow."""
        url = call.url
        for _ in range(_MAX_REDIRECTS):
            location = response.headers.get("Location")
            target = redirect_target(
                call.method,
                url,
                response.status,
                location,
                base_url=self.base_url,
                has_body=call.body is not None,
            )
            if target is None:
                break
            url, left = target.url, call.options.timeout
            if left is not None:
                left = max(left - (time.monotonic() - call.begun), 0.001)
            response = await self._transfer(call, url, left, at_home=target.same_origin)
        return response

    async def _transfer(
        self, call: Call, url: str, timeout: float | None, *, at_home: bool = True
    ) -> RawResponse:
        """One request over one connection; the only place where aiohttp's errors are known."""
        http = self._open_http()
        headers = self._headers if call.body is None else self._headers_with_body
        if not at_home:
            headers = self._anonymous
        try:
            # Awaited, not entered: a body read to its end has given its connection back.
            answer = await http.request(
                call.method,
                URL(url, encoded=True),
                data=_payload(call.body),
                headers=headers,
                skip_auto_headers=None if call.method == "GET" else _NOT_AUTOMATIC,
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=True,
                timeout=_client_timeout(timeout),
                **self._proxy,
            )
            try:
                reading = _read(answer, call) if answer.status < 300 else _read_error(answer)
                content = await reading
            finally:
                answer.close()  # does nothing after that; else the connection is of no more use
        except _PROBLEMS as exc:
            problem = exc
        else:
            return RawResponse(
                status=answer.status,
                headers=answer.headers,
                content=content,
                method=call.method,
                path=call.path,
                attempts=call.attempts,
                elapsed=time.monotonic() - call.begun,
            )
        # Out of the handler, so that an error whose repr shows request headers is no context.
        if http.closed:
            raise SessionClosedError
        call.is_hopeless = _is_hopeless(problem)
        # What else aiohttp raises may repeat what the server sent, which may be the key.
        cause = problem if isinstance(problem, OSError) else None
        raise self._connection_error(call, problem) from cause

    def _open_http(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections),
                headers=self._anonymous,
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=_Answer,
            )
        elif self._http.closed:
            raise SessionClosedError
        return self._http

    def _connection_error(self, call: Call, problem: Exception) -> ConnectionFailedError:
        """Say in our own terms why there was no answer."""
        never_sent = isinstance(problem, _NEVER_SENT)
        if isinstance(problem, TimeoutError):
            cls: type[ConnectionFailedError] = RequestTimeoutError
            text = f"no answer within {call.options.timeout:g} s"
            if never_sent:
                text = "could not connect in time"
        else:
            cls = ConnectionFailedError
            # Cut only when it is redacted: a part of a secret would not be found.
            said = redact(str(problem), (*self._secrets, *call.secrets)) or type(problem).__name__
            text = single_line(said, _LONGEST_TEXT)
            if isinstance(problem, aiohttp.ClientResponseError) and not never_sent:
                text = "what was received is not valid HTTP"  # aiohttp would quote it
            if not never_sent:
                text = f"the connection broke: {text}"
        return cls(
            text, method=call.method, path=call.path, attempts=call.attempts, sent=not never_sent
        )

    def _api_error(self, call: Call, response: RawResponse) -> APIError:
        return api_error(
            status=response.status,
            method=call.method,
            path=call.path,
            attempts=call.attempts,
            headers=CIMultiDict(response.headers),
            body=response.content,
            retry_after=retry_after_of(response.headers),
            secrets=(*self._secrets, *call.secrets),
        )

    def _refuse_hopeless_wait(self, call: Call, now: float) -> None:
        """Fail at once where the session is quiet for longer than the call may take."""
        quiet = self._gate.budget.quiet_until - now
        if quiet > call.time_left(now):
            error = RateLimitedError(
                status=429,
                method=call.method,
                path=call.path,
                attempts=call.attempts,
                description=f"not sent: an earlier answer asks for {quiet:.0f} s of quiet",
            )
            error.retry_after = quiet
            error.sent = False
            raise error

    def _report(
        self,
        call: Call,
        state: AttemptState,
        *,
        response: RawResponse | None = None,
        error: RequestError | None = None,
        retry_in: float | None = None,
    ) -> None:
        """Tell the hooks, and the log, about an attempt."""
        hook = call.options.on_attempt
        if hook is None and not self.hooks and not log.isEnabledFor(logging.DEBUG):
            return
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


class _ResetError(aiohttp.ClientError):
    """Stands for a connection that broke, where aiohttp would silently send again."""


class _Answer(aiohttp.ClientResponse):
    """An answer that tells of a broken connection in a way that aiohttp does not act on.

    It would send some requests again by itself; attempts are counted and paced here alone.
    """

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        try:
            return await super().start(connection)
        except aiohttp.ServerTimeoutError:
            raise
        except aiohttp.ClientOSError as exc:
            raise _ResetError(str(exc) or "the connection was reset") from exc
        except aiohttp.ServerDisconnectedError:
            pass
        # Out of the handler: that error shows what was received, be it the key.
        raise _ResetError("the server closed it without an answer")


async def _read_error(answer: aiohttp.ClientResponse) -> bytes:
    """Read an error's body up to a bound; the first part of it will do, or none."""
    body = bytearray()
    # What is known without a body is worth more than a body that does not come.
    with anyio.move_on_after(_ERROR_BODY_PATIENCE), contextlib.suppress(*_PROBLEMS):
        while len(body) < _ERROR_BODY_SIZE and (chunk := await answer.content.readany()):
            body += chunk
    return bytes(body[:_ERROR_BODY_SIZE])


async def _read(answer: aiohttp.ClientResponse, call: Call) -> bytes:
    """Read a body to its end."""
    bound = call.options.max_body_size
    chunks: list[bytes] = []
    size = 0
    try:
        while size <= bound and (chunk := await answer.content.readany()):
            chunks.append(chunk)
            size += len(chunk)
    except aiohttp.ClientPayloadError as exc:
        if not isinstance(exc.__cause__, ContentEncodingError):
            raise
        cls: type[ResponseDecodeError] = ResponseDecodeError
        text = "the body cannot be decompressed"
    else:
        if size <= bound:
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        cls = ResponseTooLargeError
        text = f"the body is larger than {bound} bytes: ask for less, or raise max_body_size"
    raise cls(
        text,
        method=call.method,
        path=call.path,
        attempts=call.attempts,
        status=answer.status,
        headers=CIMultiDict(answer.headers),
    )


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    """What aiohttp is to send; it warns of large bodies that are not files."""
    return body if body is None or len(body) <= _LARGE_BODY else io.BytesIO(body)


def _is_hopeless(problem: Exception) -> bool:
    """Whether a failure will be there again, however often the request is sent."""
    if isinstance(problem, aiohttp.ClientHttpProxyError):
        return 400 <= problem.status < 500
    return isinstance(problem, aiohttp.ClientSSLError | aiohttp.InvalidURL)


@functools.lru_cache(maxsize=64)
def _client_timeout(timeout: float | None) -> aiohttp.ClientTimeout:
    # A bound of its own for connecting: only then is it known that nothing was sent.
    connect = None if timeout is None else min(0.9 * timeout, _LONGEST_CONNECT)
    return aiohttp.ClientTimeout(total=timeout, connect=connect)


def _connections(http: aiohttp.ClientSession | None, most: int) -> int:
    """How many connections there are at once: to wait for one is not part of an attempt."""
    connector = http.connector if http else None
    limits = (connector.limit, connector.limit_per_host) if connector else ()
    return min([most, *(limit for limit in limits if limit > 0)])


def _proxy_arguments(base_url: str) -> dict[str, Any]:
    proxy = proxy_for(base_url)
    if proxy is None:
        return {}
    url = URL(proxy)
    headers = {}
    if url.user is not None:
        headers["Proxy-Authorization"] = aiohttp.encode_basic_auth(url.user, url.password or "")
    return {"proxy": url.with_user(None), "proxy_headers": headers}
