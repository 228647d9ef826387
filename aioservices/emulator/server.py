"""The HTTP side of the emulator."""

import asyncio
import gzip
import logging
import math
import socket
import struct
from base64 import b64decode
from collections import Counter, deque
from collections.abc import Callable
from datetime import timedelta
from email.utils import formatdate
from hmac import compare_digest
from http import HTTPStatus
from threading import RLock

from aiohttp import web

from aioservices.emulator.faults import Cut, Faults, RequestFaults, Reset, Respond, Stall, phrase
from aioservices.emulator.instants import SECOND
from aioservices.emulator.limits import FixedWindow, SlidingWindow
from aioservices.emulator.page import Page
from aioservices.emulator.record import RecordedRequest
from aioservices.emulator.routes import Api, Reply, Request, error_reply

__all__ = ["App"]

log = logging.getLogger(__name__)

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Civis API"'}


class App:
    """Takes requests, applies faults to them, and records them.

    Parameters
    ----------
    api
        Answers the requests.
    faults
        The faults that are switched on.
    limit
        The rate limit.
    clock
        Gives the time, in nanoseconds since the epoch.
    lock
        Held while the state is read or changed, which tests do from other threads too.
    api_key
        The key that is accepted.
    latency
        Seconds by which each answer is delayed.
    on_change
        Called when the state may have been changed.
    """

    def __init__(
        self,
        api: Api,
        faults: Faults,
        limit: FixedWindow | SlidingWindow,
        *,
        clock: Callable[[], int],
        lock: RLock,
        api_key: str,
        latency: float,
        on_change: Callable[[], None],
    ) -> None:
        self.api_key = api_key
        self.latency = latency
        self.requests: deque[RecordedRequest] = deque(maxlen=10_000)
        self.statuses: Counter[int | None] = Counter()
        self._api = api
        self._faults = faults
        self._limit = limit
        self._clock = clock
        self._lock = lock
        self._on_change = on_change
        self.page = Page(
            api,
            faults,
            self.requests,
            self.statuses,
            clock=clock,
            lock=lock,
            on_change=on_change,
        )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        arrived = self._clock()
        url = request.rel_url
        if self.page.has(url.raw_path):
            return self.page.respond(request)
        status = None
        try:
            try:
                response, status = await self._respond(request)
            except ConnectionError:  # the client has gone
                raise
            except Exception:
                # A bug of the emulator. The client under test gets an answer that it can
                # read, and its author finds the reason in the log.
                log.exception("%s %s could not be answered", request.method, url.raw_path)
                status = 500
                failure = error_reply(status, "The emulator has a bug; its log says more")
                response = await self._send(request, failure, RequestFaults())
            return response
        finally:
            elapsed = (self._clock() - arrived) / SECOND
            self.statuses[status] += 1
            self.requests.append(
                RecordedRequest(
                    request.method,
                    url.raw_path,
                    url.raw_query_string,
                    status,
                    arrived / SECOND,
                    elapsed,
                )
            )

    async def _respond(self, request: web.BaseRequest) -> tuple[web.StreamResponse, int | None]:
        try:
            body = await request.read() if request.can_read_body else b""
        except web.HTTPRequestEntityTooLarge:
            reply = error_reply(413, "The body is too large")
            return await self._send(request, reply, RequestFaults()), reply.status
        except web.RequestPayloadError:
            reply = error_reply(400, "The body is not what its headers say")
            return await self._send(request, reply, RequestFaults()), reply.status
        url = request.rel_url
        asked = Request(request.method, url.raw_path, url.raw_query_string, body)
        with self._lock:
            faults = self._faults.select(asked.method, asked.path)
        if faults.delay or self.latency:
            await asyncio.sleep(faults.delay + self.latency)
        replacement, authorization = faults.replacement, request.headers.get("Authorization", "")
        if replacement is None:
            reply = self._answer(asked, authorization)
        else:
            if replacement.acts:
                self._answer(asked, authorization)
            if not isinstance(replacement, Respond):
                await _break(request, replacement)
                return web.Response(), None
            reply = _replacement_reply(replacement, self._clock())
        return await self._send(request, reply, faults), reply.status

    def _answer(self, asked: Request, authorization: str) -> Reply:
        with self._lock:
            if not self._is_known(authorization):
                return error_reply(401, "The API key is missing or not known", _CHALLENGE)
            now = self._clock()
            wait = self._limit.take(now)
            if wait > 0:
                seconds = str(-(-wait // SECOND))
                return error_reply(429, "The rate limit is exceeded", {"Retry-After": seconds})
            if asked.method != "GET":
                self._on_change()
            return self._api.handle(asked, now)

    async def _send(
        self, request: web.BaseRequest, reply: Reply, faults: RequestFaults
    ) -> web.StreamResponse:
        content, headers = reply.content, self._headers(reply)
        if faults.garbled:
            content = content[: -(-len(content) // 2)]
        if faults.compressed and content:
            content = gzip.compress(content, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        if faults.interruption is None:
            return web.Response(status=reply.status, body=content, headers=headers)
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = max(2, len(content))
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        await _break(request, faults.interruption)
        return response

    def _headers(self, reply: Reply) -> dict[str, str]:
        now = self._clock()
        with self._lock:
            remaining = self._limit.remaining(now)
        headers = {
            # By this clock and not by the machine's, which may be another one.
            "Date": formatdate(now // SECOND, usegmt=True),
            "X-RateLimit-Limit": str(self._limit.limit),
            "X-RateLimit-Remaining": str(remaining),
        }
        own = {name.title() for name in reply.headers}
        if reply.content and "Content-Type" not in own:
            headers["Content-Type"] = reply.content_type
        return {**headers, **reply.headers}

    def _is_known(self, authorization: str) -> bool:
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "bearer":
            name = credentials.encode(errors="replace")
        elif scheme.lower() == "basic":
            try:
                name, _, _ = b64decode(credentials, validate=True).partition(b":")
            except ValueError:
                return False
        else:
            return False
        return compare_digest(name, self.api_key.encode())


def _replacement_reply(effect: Respond, now: int) -> Reply:
    headers = dict(_CHALLENGE) if effect.status == HTTPStatus.UNAUTHORIZED else {}
    if isinstance(effect.retry_after, timedelta):
        date = now / SECOND + effect.retry_after.total_seconds()
        headers["Retry-After"] = formatdate(math.ceil(date), usegmt=True)
    elif effect.retry_after is not None:
        headers["Retry-After"] = f"{effect.retry_after:g}"
    headers |= effect.headers
    match effect.content():
        case None:
            return error_reply(effect.status, phrase(effect.status), headers)
        case body, content_type:
            return Reply(effect.status, body, headers, content_type)


async def _break(request: web.BaseRequest, effect: Cut | Reset | Stall) -> None:
    transport = request.transport
    if transport is None:
        return
    if isinstance(effect, Stall):
        await asyncio.sleep(effect.seconds)
    if isinstance(effect, Reset):
        # With a linger time of 0, closing resets the connection.
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
