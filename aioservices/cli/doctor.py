"""The checks of `doctor`: each a step on the way to the API; none shows a secret."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import socket
import sys
import time
import urllib.parse
from collections.abc import AsyncGenerator
from typing import Literal, NamedTuple, cast

import anyio

from aioservices._version import __version__
from aioservices.client import Services
from aioservices.errors import APIError, NotFoundError, ServicesError
from aioservices.http.auth import validate_api_key
from aioservices.http.failure import system_reason
from aioservices.http.response import RawResponse, http_date
from aioservices.http.retry import RetryPolicy
from aioservices.http.url import proxy_for
from aioservices.terminal.numbers import quantity
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import format_duration

from .connection import Connection
from .errors import CommandError, explain

__all__ = ["Finding", "examine"]

_TIMEOUT = 10.0  # seconds for each step
_SKEW = 5.0  # seconds that clocks may differ
_PACKAGES = ("aiohttp", "msgspec", "anyio", "backoff", "click", "rich")

Grade = Literal["ok", "warning", "failed"]


class Finding(NamedTuple):
    """What a check found.

    Attributes
    ----------
    name : str
    grade : {'ok', 'warning', 'failed'}
    text : str
    """

    name: str
    grade: Grade
    text: str


async def examine(connection: Connection) -> AsyncGenerator[Finding, None]:
    """Check the way to the API step by step; stops where later steps make no sense.

    Parameters
    ----------
    connection : Connection

    Yields
    ------
    Finding
    """
    for finding in _versions():
        yield finding
    try:
        url = connection.base_url
    except CommandError as exc:
        yield Finding("address", "failed", str(exc))
        return
    yield Finding("address", "ok", f"{url} ({_source(connection)})")
    key = os.environ.get("CIVIS_API_KEY", "")
    if not key:
        yield Finding("key", "failed", "CIVIS_API_KEY is not set: see aioservices help key")
    else:
        yield _key(key)
    try:
        target, through = _first_hop(url)
    except ValueError as exc:
        yield Finding("proxy", "failed", str(exc))
        return
    yield Finding("proxy", "ok", through)
    connected = await _connect(target, through)
    yield connected
    if connected.grade == "failed" or not key:
        return
    async for finding in _ask(connection, url):
        yield finding


def _key(key: str) -> Finding:
    if key != key.strip():
        text = "CIVIS_API_KEY begins or ends with a blank or a line break: set it without"
        return Finding("key", "failed", text)
    try:
        validate_api_key(None)
    except ValueError as exc:
        return Finding("key", "failed", str(exc))
    return Finding("key", "ok", f"CIVIS_API_KEY is set, {quantity(len(key), 'character')}")


def _versions() -> list[Finding]:
    python = f"Python {platform.python_version()}"
    own = f"{__version__}, {python} ({platform.system()} {platform.release()})"
    versions: list[str] = []
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} is missing")
    grade: Grade = "ok" if sys.version_info >= (3, 11) else "failed"
    return [Finding("aioservices", grade, own), Finding("packages", "ok", ", ".join(versions))]


def _source(connection: Connection) -> str:
    if connection.url is not None:
        return "--url"
    return "CIVIS_API_ENDPOINT" if os.environ.get("CIVIS_API_ENDPOINT") else "the default"


def _first_hop(url: str) -> tuple[str, str]:
    """Return the URL whose host is connected to, and how it is reached."""
    proxy = proxy_for(url)
    if proxy is None:
        return url, "none is used"
    parts = urllib.parse.urlsplit(str(proxy.url))
    return str(proxy.url), f"{parts.hostname}:{parts.port or 80} (from {proxy.variable})"


async def _connect(url: str, through: str) -> Finding:
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    what = f"{host}:{port}" + ("" if through == "none is used" else ", the proxy")
    begun = time.monotonic()
    try:
        with anyio.fail_after(_TIMEOUT):
            await (await anyio.connect_tcp(host, port)).aclose()
    except socket.gaierror:
        return Finding("connection", "failed", f"the name {host} is not known: check the network")
    except TimeoutError:
        return Finding("connection", "failed", f"{what} does not answer within {_TIMEOUT:.0f} s")
    except OSError as exc:
        cause = exc.__cause__ if isinstance(exc.__cause__, OSError) else exc
        reason = system_reason(cause) or "it is refused"
        return Finding("connection", "failed", f"{what} cannot be reached: {reason}")
    took = (time.monotonic() - begun) * 1000
    return Finding("connection", "ok", f"{what} in {took:.0f} ms")


async def _ask(connection: Connection, url: str) -> AsyncGenerator[Finding, None]:
    begun = time.monotonic()
    asked_at = dt.datetime.now(dt.UTC)
    try:
        async with connection.open() as session:
            services = session.with_options(
                retry=RetryPolicy(max_attempts=1), timeout=min(connection.timeout, _TIMEOUT)
            )
            answer = await services.raw.list(limit=1)
            took = time.monotonic() - begun
            yield Finding("answer", "ok", f"status {answer.status} in {took * 1000:.0f} ms")
            yield _clock(answer, asked_at, took)
            yield _limit(answer)
            async for finding in _permissions(services, answer, url):
                yield finding
    except CommandError as exc:
        yield Finding("answer", "failed", str(exc))


def _clock(answer: RawResponse, asked_at: dt.datetime, took: float) -> Finding:
    there = http_date(answer.headers)
    if there is None:
        return Finding("clock", "warning", "the server does not send its time")
    skew = (there - asked_at).total_seconds() - took / 2
    if abs(skew) <= _SKEW:
        return Finding("clock", "ok", "it agrees with the server's")
    which = "behind" if skew > 0 else "ahead of"
    return Finding(
        "clock", "warning", f"this machine is {format_duration(abs(skew))} {which} the server"
    )


def _limit(answer: RawResponse) -> Finding:
    limit = answer.rate_limit
    if limit is None:
        return Finding("rate limit", "ok", "the server sends none")
    low = limit.remaining < limit.limit / 10
    text = f"{limit.remaining} of {limit.limit} requests are left"
    return Finding("rate limit", "warning" if low else "ok", text)


async def _permissions(
    services: Services, answer: RawResponse, url: str
) -> AsyncGenerator[Finding, None]:
    """Report whose key it is, and what it may do."""
    try:
        me = (await services.request("GET", "users/me")).json()
    except NotFoundError:  # an emulator, or a key without the permission
        me = None
        yield Finding("owner", "ok", "the API does not say whose key it is")
    except APIError as exc:
        yield Finding("owner", "warning", explain(exc, url=url).text)
        me = None
    if isinstance(me, dict):
        user = cast("dict[str, object]", me)
        name = one_line(str(user.get("username") or user.get("name") or "?"))
        yield Finding("owner", "ok", f"user {user.get('id')} ({name})")
    total = answer.headers.get("X-Pagination-Total-Entries")
    listed = answer.json()
    if not isinstance(listed, list) or not listed:
        yield Finding("services", "warning", "the key sees no services")
        return
    seen = "the key sees 1 service" if total == "1" else f"the key sees {total or 'some'} services"
    try:
        newest = cast("list[dict[str, int]]", listed)[0]["id"]
        level = (await services.get(newest)).my_permission_level
    except (ServicesError, KeyError, TypeError, ValueError):
        level = None
    may = f"; permission for the newest of them: {one_line(level)}" if level else ""
    yield Finding("services", "ok", seen + may)
