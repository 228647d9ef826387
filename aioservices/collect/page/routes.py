"""The routes of the page: its files, the status, stored lines, and a stream of new lines.

The page itself is three files without a build step. It receives the status every two seconds, and
lines as they are stored, in one stream of server-sent events. Everything is sent as JSON and added
to the page as text, never as markup: a log line can contain anything.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import TypeAlias

import anyio
from aiohttp import web

from aioservices.collect.access import COOKIE, Access
from aioservices.collect.address import Address
from aioservices.fleet.collecting import Collector, CollectorStatus
from aioservices.stores import Store, StoredEntry, StoreError
from aioservices.terminal.times import format_instant
from aioservices.validation import parse_timestamp, validate_int

from .history import LinesPerMinute

__all__ = ["Page"]

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_STATUS_SECONDS = 2.0
_LINES_SECONDS = 0.25  # between two events
_LINES_AT_ONCE = 250  # lines in one event
_MAX_STREAMS = 100
_SEND_TIMEOUT = 60.0  # seconds until a browser that reads nothing is disconnected
_LONGEST_MESSAGE = 10_000  # characters that are shown
_SAMPLE_SECONDS = 5.0
_MAX_LINES = 1000
_MAX_DIGITS = 30
_SEARCH_SECONDS = 20.0


class Page:
    """The page of one daemon.

    Parameters
    ----------
    collector : Collector
    store : Store
        The store that is searched.
    address : Address
        The address of the page.
    token : str, optional
        The token that the page requires.
    """

    def __init__(
        self, collector: Collector, store: Store, address: Address, token: str | None = None
    ) -> None:
        self._collector = collector
        self._store = store
        self._access = Access(address, token)
        self._history = LinesPerMinute()
        self._started = time.time()
        self._streams: dict[anyio.CancelScope, anyio.Event] = {}
        self._is_closed = False

    def routes(self) -> list[web.AbstractRouteDef]:
        """Make the routes of the page."""
        return [
            web.get("/", self._guarded(self._index, sign_in=True)),
            web.get("/assets/{name}", self._guarded(self._asset)),
            web.get("/api/status", self._guarded(self._status)),
            web.get("/api/lines", self._guarded(self._lines)),
            web.get("/api/stream", self._guarded(self._stream)),
        ]

    async def run(self) -> None:
        """Count lines per minute, until cancelled."""
        while True:
            self._history.add(self._collector.kept, time.monotonic())
            await anyio.sleep(_SAMPLE_SECONDS)

    async def aclose(self) -> None:
        """End the streams to browsers."""
        self._is_closed = True
        streams = [*self._streams.items()]
        for scope, _ in streams:
            scope.cancel()
        for _, ended in streams:
            await ended.wait()

    def _guarded(self, handler: _Handler, *, sign_in: bool = False) -> _Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
            presented = bearer or request.cookies.get(COOKIE)
            given = request.query.get("token")
            if sign_in and given is not None and self._access.is_token(given):
                rejection = self._access.reject(request.headers, given)
                if rejection is None:
                    # The redirect removes the token from the address bar.
                    redirect = web.Response(status=303, headers={**_HEADERS, "Location": "/"})
                    redirect.set_cookie(COOKIE, given, httponly=True, samesite="Strict", path="/")
                    return redirect
            else:
                rejection = self._access.reject(request.headers, presented)
            if rejection is not None:
                status, reason = rejection
                return web.Response(status=status, text=f"{reason}\n", headers=_HEADERS)
            return await handler(request)

        return guarded

    async def _index(self, _: web.Request) -> web.Response:
        return _file("index.html", "text/html")

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _FILES:
            return web.Response(status=404, text="not found\n", headers=_HEADERS)
        return _file(name, _FILES[name])

    async def _status(self, _: web.Request) -> web.Response:
        return _json(self._status_to_json(self._collector.status))

    async def _lines(self, request: web.Request) -> web.Response:
        """Search the stored lines of a service."""
        query = request.query
        try:
            service_id = _parse_int(query.get("service", ""), "service")
            last = min(max(_parse_int(query.get("last", "200"), "last"), 1), _MAX_LINES)
            start, end = (
                parse_timestamp(query[name], name) if query.get(name) else None
                for name in ("start_at", "end_at")
            )
        except ValueError as error:
            return _json({"error": str(error)}, status=400)
        lines: list[dict[str, object]] = []
        with anyio.move_on_after(_SEARCH_SECONDS) as scope:
            try:
                found = self._store.read(
                    service_id,
                    start_at=start,
                    end_at=end,
                    contains=query.get("contains") or None,
                    last=last,
                )
                async for entry in found:
                    lines.append(_line(entry))  # noqa: PERF401 - a timeout keeps those read so far
            except StoreError as error:
                return _json({"error": str(error)}, status=503)
        return _json({"lines": lines, "whole": not scope.cancelled_caught})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Send the status and the lines that are stored from now on."""
        if len(self._streams) >= _MAX_STREAMS or self._is_closed:
            return web.Response(
                status=503, text="too many browsers watch this daemon\n", headers=_HEADERS
            )
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        ended = anyio.Event()
        with anyio.CancelScope() as scope:
            self._streams[scope] = ended
            try:
                await response.prepare(request)
                async with anyio.create_task_group() as group:
                    sending = anyio.Lock()
                    group.start_soon(self._send_status, response, sending)
                    group.start_soon(self._send_lines, response, sending)
            except* ConnectionError:
                pass  # the browser has disconnected
            except* TimeoutError:
                if request.transport is not None:
                    request.transport.abort()  # the browser is connected, but does not read
            finally:
                del self._streams[scope]
                ended.set()
        return response

    async def _send_status(self, response: web.StreamResponse, sending: anyio.Lock) -> None:
        while True:
            await _send(response, sending, "status", self._status_to_json(self._collector.status))
            await anyio.sleep(_STATUS_SECONDS)

    async def _send_lines(self, response: web.StreamResponse, sending: anyio.Lock) -> None:
        """Send lines in batches; at most as many as a person could read are sent."""
        async with self._collector.lines() as lines:
            lost = 0
            while True:
                # Sorted by time, because they were stored service by service.
                found = sorted(await lines.take(), key=lambda entry: entry.created_at)
                shown = found[-_LINES_AT_ONCE:]
                missing = lines.lost - lost + len(found) - len(shown)
                lost = lines.lost
                await _send(response, sending, "lines", [_line(entry) for entry in shown])
                if missing:
                    await _send(response, sending, "lost", missing)
                await anyio.sleep(_LINES_SECONDS)

    def _status_to_json(self, status: CollectorStatus) -> dict[str, object]:
        """Convert the status to built-ins for JSON."""
        return {
            "ready": status.ready,
            "reasons": list(status.reasons),
            "lines": status.lines,
            "bytes": status.bytes,
            "waiting": status.waiting,
            "gaps": status.gaps,
            "fenced": status.fenced,
            "removed": status.removed,
            "seconds": round(time.time() - self._started),
            "store": self._store.url,
            "services": [
                {
                    "id": service.service_id,
                    "name": service.service_name,
                    "state": service.state,
                    "lines": service.lines,
                    "lag": service.lag_seconds,
                    "error": service.error,
                    "gaps": service.gaps,
                    "minutes": self._history.of(service.service_id),
                }
                for service in status.services
            ],
            "forwarders": [
                {
                    "name": forwarder.name,
                    "behind": forwarder.behind,
                    "oldest": forwarder.oldest_seconds,
                    "sent": forwarder.sent,
                    "rejected": forwarder.rejected,
                    "error": forwarder.error,
                }
                for forwarder in status.forwarders
            ],
        }


async def _send(
    response: web.StreamResponse, sending: anyio.Lock, event: str, value: object
) -> None:
    """Send an event; raises TimeoutError if the browser does not read it."""
    text = json.dumps(value, ensure_ascii=False)
    async with sending:
        with anyio.fail_after(_SEND_TIMEOUT):
            await response.write(f"event: {event}\ndata: {text}\n\n".encode())


def _parse_int(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{name} must be an integer, not {text[:_MAX_DIGITS]!r}")
    return validate_int(int(text[:_MAX_DIGITS]), name)


def _line(entry: StoredEntry) -> dict[str, object]:
    message = entry.message or ""
    return {
        "service": entry.service_id,
        "name": entry.service_name,
        "deployment": entry.deployment_id,
        "seq": entry.seq,
        "time": format_instant(entry.created_at),
        "stream": entry.stream,
        "message": message[:_LONGEST_MESSAGE],
        "more": max(0, len(message) - _LONGEST_MESSAGE),
    }


def _file(name: str, content_type: str) -> web.Response:
    text = (resources.files("aioservices.collect.page") / "assets" / name).read_text("utf-8")
    return web.Response(text=text, content_type=content_type, headers=_HEADERS)


def _json(value: object, status: int = 200) -> web.Response:
    text = json.dumps(value, ensure_ascii=False)
    return web.Response(status=status, text=text, content_type="application/json", headers=_HEADERS)
