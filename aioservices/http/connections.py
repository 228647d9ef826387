"""The connections of a session: the only module that calls aiohttp.

The session's own `aiohttp.ClientSession` has the headers that identify us as its defaults, which
saves copying them for each request. There are two exceptions. aiohttp hands the default headers to
a proxy, which must not learn the key of what it tunnels, so behind a proxy each request names them.
And a redirect to another host goes over a second aiohttp session, on the same connections, that
knows neither key nor job.
"""

from __future__ import annotations

import asyncio
import functools
import io
import time
from contextlib import suppress
from typing import Any

import aiohttp
from multidict import CIMultiDict, istr
from yarl import URL

from aioservices.errors import ServicesError, SessionClosedError, SessionLoopError
from aioservices.validation import validate_int, validate_type

from .attempt import Call
from .auth import anonymous_headers, authorization, job_headers, validate_api_key
from .body import read_body, read_error_body, too_large
from .failure import PROBLEMS, ProxyAddress, connection_error
from .response import RawResponse
from .secret import SecretStr
from .url import BaseURL, proxy_for, validate_base_url

__all__ = ["Connections"]

_LONGEST_CONNECT = 30.0  # seconds
_SHORT_KEY = 3  # characters; what is left of it would be found in other texts
_LARGE_BODY = 1024 * 1024  # bytes that are sent
_LARGE_BODIES = 8  # that are read at once
_LONGEST_HEADER = 64 * 1024  # bytes
_CONTENT_TYPE = istr("Content-Type")
_SAFE_TO_REPEAT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
# Turns in which the event loop reads what has arrived, and acts on it.
_TURNS_TO_READ = 3
_HTTP_CLIENT = f"aiohttp {aiohttp.__version__}"


class Connections:
    """The connections of a session, and what is sent with every request.

    Parameters
    ----------
    api_key : str, optional
        Default: the environment variable ``CIVIS_API_KEY``.
    base_url : str, optional
        Default: ``CIVIS_API_ENDPOINT``, else the platform's public address.
    max_connections : int, default 100
        How many connections there are at once.
    user_agent : str, optional
        Put before the library's own ``User-Agent``.
    http : aiohttp.ClientSession, optional
        The caller's own, which is never closed here.
    allow_http : bool
        Whether the key may travel unencrypted to another machine.
    trust_env : bool
        Whether to use the proxy that the environment names.

    Attributes
    ----------
    base_url : str
    base : BaseURL
        What the URL of a request is made with.
    limit : int
        How many requests can be in progress at once: waiting for a connection is not part of an
        attempt.
    secrets : tuple of str
        What messages must not repeat.
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
        if http is not None and not isinstance(http, aiohttp.ClientSession):
            raise TypeError(f"http must be an aiohttp.ClientSession, not {type(http).__name__}")
        validate_type(allow_http, bool, "allow_http")
        validate_type(trust_env, bool, "trust_env")
        validate_int(max_connections, "max_connections", least=1)
        api_key = key = validate_api_key(api_key)
        authorized = authorization(key)
        self.base_url = validate_base_url(base_url, allow_http=allow_http)
        self.base = BaseURL(self.base_url)
        self.limit = _limit(http, max_connections)
        encoded = authorized.partition(" ")[2]
        if len(key) > _SHORT_KEY:
            # Without the end, which stands for the colon: others may repeat it without padding.
            encoded = encoded.rstrip("=")[:-2]
        self.secrets = (key, SecretStr(encoded))
        self._http = http
        self._owns_http = http is None
        self._large_bodies = asyncio.Semaphore(_LARGE_BODIES)
        self._stranger: aiohttp.ClientSession | None = None
        self._proxy: ProxyAddress | None = None
        # What a request is made with: a GET or another one without a body, one with a body, and one
        # to another host. aiohttp would give a request without a body a content type; a GET not,
        # and to pass that with each GET takes a good part of the time of a GET.
        self._plain: dict[str, Any] = {"allow_redirects": False}
        identity = {istr("Authorization"): authorized, **job_headers()}
        anonymous = anonymous_headers(user_agent, _HTTP_CLIENT)
        self._defaults = CIMultiDict({**identity, **anonymous})
        if http is not None:
            self._plain |= {
                "headers": self._defaults,
                "raise_for_status": False,
                "auto_decompress": True,
            }
        elif trust_env and (proxy := proxy_for(self.base_url)):
            url = URL(proxy.url)
            self._proxy = ProxyAddress(proxy.variable, url.host, url.port)
            self._defaults = CIMultiDict(anonymous)
            to_proxy: dict[str, str] = {}
            if url.user is not None:
                credentials = aiohttp.encode_basic_auth(url.user, url.password or "")
                to_proxy["Proxy-Authorization"] = SecretStr(credentials)
            if self.base_url.startswith("http:"):
                # aiohttp sends a proxy its credentials only if it has to build a tunnel.
                identity |= to_proxy
            self._plain |= {
                "headers": CIMultiDict(identity),
                "proxy": url.with_user(None),
                "proxy_headers": to_proxy,
            }
        self._away = self._plain | ({} if http is None else {"headers": CIMultiDict(anonymous)})
        if self._proxy is not None:
            del self._away["headers"]
        self._anonymous = CIMultiDict(anonymous)
        self._without_body = {**self._plain, "skip_auto_headers": (_CONTENT_TYPE,)}
        headers = CIMultiDict(self._plain.get("headers", {}))
        headers[_CONTENT_TYPE] = "application/json"
        self._with_body = {**self._plain, "headers": headers}

    @property
    def closed(self) -> bool:
        """Whether the aiohttp session is closed, ours or the caller's."""
        return self._http is not None and self._http.closed

    async def aclose(self, *, is_orphaned: bool) -> None:
        """Close what is ours.

        Parameters
        ----------
        is_orphaned : bool
            Whether the event loop of the connections has ended, so that they cannot be closed
            properly.
        """
        with suppress(*((RuntimeError,) if is_orphaned else ())):
            if self._stranger is not None:
                await self._stranger.close()
            if self._owns_http and self._http is not None:
                await self._http.close()

    async def exchange(self, call: Call, url: URL, *, at_home: bool) -> RawResponse:
        """Send one request, and read its answer.

        Parameters
        ----------
        call : Call
        url : URL
            Where to send it.
        at_home : bool
            Whether that is the API's own host, which may learn the key and the job.

        Raises
        ------
        ConnectionFailedError, ResponseDecodeError, ResponseTooLargeError
        SessionClosedError
            If the aiohttp session is closed.
        SessionLoopError
            If the aiohttp session of the caller's belongs to another event loop.
        """
        if call.method not in _SAFE_TO_REPEAT:
            # The loop may have been blocked while the server closed a connection that would be
            # taken from the pool now; nobody could know then whether the request had arrived.
            for _ in range(_TURNS_TO_READ):
                await asyncio.sleep(0)
        http = self._home() if at_home else self._elsewhere()
        options: dict[str, Any] = self._plain if at_home else self._away
        if call.body is not None:  # never goes elsewhere
            options = {**self._with_body, "data": _payload(call.body)}
        elif call.method != "GET" and at_home:
            options = self._without_body
        try:
            # Awaited, not entered: a body read to its end has given its connection back.
            answer = await http.request(
                call.method,
                url,
                timeout=_client_timeout(call.options.timeout),
                **options,
            )
            stream = answer.content
            if stream.is_eof() and answer.status < 300 and stream.exception() is None:
                content = stream.read_nowait()
                if len(content) > call.options.max_body_size:
                    del content  # or a traceback with local variables would show the body
                    raise too_large(call, answer)
            else:
                content = await _read(answer, call, self._large_bodies)
        except PROBLEMS as exc:
            problem: Exception = exc
        except RuntimeError as exc:
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
        # Out of the handler, so that an error whose repr shows request headers is not a context.
        raise self._failure(call, http, problem)

    def _failure(
        self, call: Call, http: aiohttp.ClientSession, problem: Exception
    ) -> ServicesError:
        if http.closed:
            return SessionClosedError()
        if isinstance(problem, RuntimeError):  # aiohttp's message for another event loop
            return SessionLoopError()
        secrets = (*self.secrets, *call.secrets)
        return connection_error(call, problem, proxy=self._proxy, secrets=secrets)

    def _home(self) -> aiohttp.ClientSession:
        if self._http is None:
            connector = aiohttp.TCPConnector(limit=self.limit)
            self._http = _open(connector, self._defaults, is_owner=True)
        return self._http

    def _elsewhere(self) -> aiohttp.ClientSession:
        """The aiohttp session for a redirect to another host."""
        home = self._home()
        if not self._owns_http or home.closed:
            return home
        if self._stranger is None:
            self._stranger = _open(home.connector, self._anonymous, is_owner=False)
        return self._stranger


class _ResetError(aiohttp.ClientError):
    """A connection that broke, where aiohttp would silently send again."""


class _Answer(aiohttp.ClientResponse):
    """An answer that reports a broken connection in a way that aiohttp does not act on.

    It would send some requests again by itself, but attempts are counted and paced here.
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


def _open(
    connector: aiohttp.BaseConnector | None, headers: CIMultiDict[str], *, is_owner: bool
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=is_owner,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=_Answer,
        max_line_size=_LONGEST_HEADER,
        max_field_size=_LONGEST_HEADER,
    )


async def _read(answer: aiohttp.ClientResponse, call: Call, large: asyncio.Semaphore) -> bytes:
    """Read a body that is not there yet, or that belongs to an error."""
    try:
        if answer.status < 300:
            return await read_body(answer, call, large)
        timeout = call.options.timeout
        left = float("inf") if timeout is None else call.begun + timeout - time.monotonic()
        return await read_error_body(answer, left)
    finally:
        answer.close()  # does nothing at the body's end; else the connection is of no more use


def _payload(body: bytes) -> bytes | io.BytesIO:
    """The body as aiohttp needs it; it warns of large bodies that are not files."""
    return body if len(body) <= _LARGE_BODY else io.BytesIO(body)


@functools.lru_cache(maxsize=64)
def _client_timeout(timeout: float | None) -> aiohttp.ClientTimeout:
    # Only of connecting, so that it is known that nothing was sent. An attempt as a whole is timed
    # by its guard.
    connect = None if timeout is None else min(0.9 * timeout, _LONGEST_CONNECT)
    return aiohttp.ClientTimeout(total=None, connect=connect)


def _limit(http: aiohttp.ClientSession | None, most: int) -> int:
    """How many connections there are at once."""
    connector = http.connector if http else None
    limits = (connector.limit, connector.limit_per_host) if connector else ()
    return min([most, *(limit for limit in limits if limit > 0)])
