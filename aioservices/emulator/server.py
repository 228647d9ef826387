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
from dataclasses import dataclass
from datetime import timedelta
from email.utils import formatdate
from hmac import compare_digest
from http import HTTPStatus
from threading import RLock
from urllib.parse import parse_qsl

from aiohttp import web

from aioservices.emulator.faults import Cut, Faults, Reset, Respond, Stall, Strike
from aioservices.emulator.instants import SECOND
from aioservices.emulator.limits import FixedWindow, SlidingWindow
from aioservices.emulator.routes import Api, Reply, Request, refuse

__all__ = ["App", "RecordedRequest"]

log = logging.getLogger(__name__)

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Civis API"'}


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that the emulator has had.

    Attributes
    ----------
    method, path, query_string
        As they were sent.
    status
        What was answered; None when nothing was.
    time
        When it arrived, in seconds since the epoch by the emulator's clock.
    elapsed
        Seconds until it was answered.
    """

    method: str
    path: str
    query_string: str
    status: int | None
    time: float
    elapsed: float

    @property
    def query(self) -> dict[str, str]:
        """The query parameters."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))


class App:
    """Takes requests, lets faults happen to them, and keeps a record.

    Parameters
    ----------
    api
        Who answers.
    faults
        What goes wrong.
    limit
        How many requests are let through.
    clock
        Gives the time, in nanoseconds since the epoch.
    lock
        Held while anything is looked at or changed, as tests do so from other threads.
    api_key
        Who may ask.
    latency
        Seconds by which each answer is late.
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

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        arrived = self._clock()
        url = request.rel_url
        status = None
        try:
            try:
                response, status = await self._respond(request)
            except ConnectionError:  # the client has gone
                raise
            except Exception:
                # Of the emulator, and therefore a bug. Whoever tests a client still gets what
                # a client can read, and finds the reason in the log.
                log.exception("%s %s could not be answered", request.method, url.raw_path)
                status = 500
                failure = refuse(status, "The emulator has a bug; its log says more")
                response = await self._send(request, failure, Strike())
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
            reply = refuse(413, "The body is too large")
            return await self._send(request, reply, Strike()), reply.status
        except web.RequestPayloadError:
            reply = refuse(400, "The body is not what its headers say")
            return await self._send(request, reply, Strike()), reply.status
        url = request.rel_url
        asked = Request(request.method, url.raw_path, url.raw_query_string, body)
        with self._lock:
            strike = self._faults.strike(asked.method, asked.path)
        if strike.delay or self.latency:
            await asyncio.sleep(strike.delay + self.latency)
        instead, authorization = strike.instead, request.headers.get("Authorization", "")
        if instead is None:
            reply = self._answer(asked, authorization)
        else:
            if instead.acts:
                self._answer(asked, authorization)
            if not isinstance(instead, Respond):
                await _break(request, instead)
                return web.Response(), None
            reply = _stand_in(instead, self._clock())
        return await self._send(request, reply, strike), reply.status

    def _answer(self, asked: Request, authorization: str) -> Reply:
        with self._lock:
            if not self._is_known(authorization):
                return refuse(401, "The API key is missing or not known", _CHALLENGE)
            now = self._clock()
            wait = self._limit.take(now)
            if wait > 0:
                seconds = str(-(-wait // SECOND))
                return refuse(429, "The rate limit is exceeded", {"Retry-After": seconds})
            return self._api.handle(asked, now)

    async def _send(
        self, request: web.BaseRequest, reply: Reply, strike: Strike
    ) -> web.StreamResponse:
        content, headers = reply.content, self._headers(reply)
        if strike.garbled:
            content = content[: -(-len(content) // 2)]
        if strike.compressed and content:
            content = gzip.compress(content, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        if strike.broken is None:
            return web.Response(status=reply.status, body=content, headers=headers)
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = max(2, len(content))
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        await _break(request, strike.broken)
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
        if reply.content:
            headers["Content-Type"] = reply.content_type
        return {**headers, **reply.headers}

    def _is_known(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            name, _, _ = b64decode(encoded, validate=True).partition(b":")
        except ValueError:
            return False
        return scheme.lower() == "basic" and compare_digest(name, self.api_key.encode())


def _stand_in(effect: Respond, now: int) -> Reply:
    headers = dict(_CHALLENGE) if effect.status == HTTPStatus.UNAUTHORIZED else {}
    if isinstance(effect.retry_after, timedelta):
        date = now / SECOND + effect.retry_after.total_seconds()
        headers["Retry-After"] = formatdate(math.ceil(date), usegmt=True)
    elif effect.retry_after is not None:
        headers["Retry-After"] = f"{effect.retry_after:g}"
    headers |= effect.headers
    if isinstance(effect.body, bytes):
        return Reply(effect.status, effect.body, headers)
    if effect.body == "empty":
        return Reply(effect.status, b"", headers)
    if effect.body == "html":
        title = f"{effect.status} {_phrase(effect.status)}"
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
        return Reply(effect.status, page.encode(), headers, "text/html")
    return refuse(effect.status, _phrase(effect.status), headers)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


async def _break(request: web.BaseRequest, effect: Cut | Reset | Stall) -> None:
    transport = request.transport
    if transport is None:
        return
    if isinstance(effect, Stall):
        await asyncio.sleep(effect.seconds)
    if isinstance(effect, Reset):
        # Without lingering a close is a reset.
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
