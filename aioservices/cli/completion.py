"""Names of services for the completion of shells: soon, or not at all.

A shell waits for the completion of every word. So fetching the names takes at most half a second,
they are cached for a minute, and any error means that there are none: it would appear in the middle
of the line that somebody is typing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import anyio

from aioservices.client import Services
from aioservices.http.retry import RetryPolicy
from aioservices.terminal.sanitize import one_line

__all__ = ["service_names"]

_DEADLINE = 0.5  # seconds
_MARGIN = 0.1  # seconds in which what was found by the deadline is passed on
_KEPT_FOR = 60.0  # seconds


def service_names(prefix: str) -> list[str]:
    """Return the names of services that start with a prefix, ignoring case; never raises."""
    try:
        names = _cached_names()
    except Exception:  # whatever it is, there is nobody to report it to
        return []
    return [name for name in names if name.casefold().startswith(prefix.casefold())]


def _cached_names() -> list[str]:
    path = _cache_path()
    try:
        if time.time() - path.stat().st_mtime < _KEPT_FOR:
            return [str(name) for name in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError):
        pass
    found: list[list[str]] = []
    # In a thread, because the end of an event loop waits for a hanging name lookup.

    def look() -> None:
        with contextlib.suppress(Exception):  # it would be printed
            found.append(anyio.run(_names))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(_DEADLINE + _MARGIN)
    if not found:
        return []
    if found[0]:  # none may only mean that none came in time
        _keep(path, found[0])
    return found[0]


def _cache_path() -> Path:
    """Return the file of the names, which depends on the key and the address."""
    whose = "\0".join(os.environ.get(name, "") for name in ("CIVIS_API_KEY", "CIVIS_API_ENDPOINT"))
    # Names are not secret for this user, but which key was used is.
    digest = hashlib.blake2b(whose.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "aioservices" / f"names-{digest}.json"


async def _names() -> list[str]:
    retry = RetryPolicy(max_attempts=1)
    names: set[str] = set()
    async with Services(retry=retry, user_agent="aioservices-cli") as services:
        # Of very many services the first pages are better than none.
        with anyio.move_on_after(_DEADLINE):
            async for service in services.list(order="updated_at"):
                names.add(one_line(service.name or ""))
    return sorted(names - {""}, key=str.casefold)


def _keep(path: Path, names: list[str]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, new = tempfile.mkstemp(dir=path.parent)  # for its owner only
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(names, file)
    Path(new).replace(path)
