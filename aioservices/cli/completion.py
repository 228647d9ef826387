"""Names of services for shell completion: at once, or not at all.

A shell waits for the completion of every word. So fetching the names takes at most half a second,
they are cached for a minute, and any error means that there are none: it would appear in the middle
of the line that somebody is typing. They are fetched by a separate process, for which the shell
does not wait: names that arrive later are cached for the next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import tempfile
import time
from pathlib import Path

import anyio

from aioservices.client import Services
from aioservices.http.retry import RetryPolicy
from aioservices.terminal.sanitize import one_line

__all__ = ["service_names"]

_DEADLINE = 0.5  # seconds
_MARGIN = 0.1  # seconds to pass on the names found by the deadline
_FETCH_TIMEOUT = 10.0  # seconds after which nobody needs the names
_REFETCH_AFTER = 2.0  # seconds, while another process is still fetching
_CACHE_SECONDS = 60.0  # seconds
_FILES = 1 << 16  # that may be open in the process that completion runs in


def service_names(prefix: str) -> list[str]:
    """Return the names of services that start with a prefix, ignoring case; never raises."""
    try:
        names = _cached_names()
    except Exception:  # there is nobody to report an error to
        return []
    return [name for name in names if name.casefold().startswith(prefix.casefold())]


def _cached_names() -> list[str]:
    path = _cache_path()
    names = _read_cache(path)
    if names is None:
        names = _fetched(path) if hasattr(os, "fork") else []
    return names


def _read_cache(path: Path) -> list[str] | None:
    """Return the names that were cached within the last minute; None if there are none."""
    try:
        if time.time() - path.stat().st_mtime < _CACHE_SECONDS:
            return [str(name) for name in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError):
        pass
    return None


def _fetched(path: Path) -> list[str]:
    """Fetch the names in a separate process, and return those that arrive in time.

    The process continues after that, and caches the names: if the API is slow, they are available
    the next time.
    """
    deadline = time.monotonic() + _DEADLINE + _MARGIN
    fetching = path.with_suffix(".fetching")
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Another process is fetching them.
        while time.time() - fetching.stat().st_mtime < _REFETCH_AFTER:
            if (names := _read_cache(path)) is not None:
                return names
            if time.monotonic() >= deadline:
                return []
            time.sleep(0.01)
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            _fetch(path, fetching, write)
        finally:
            os._exit(0)  # skips everything else that the copied program would do
    os.close(write)
    data = b""
    with os.fdopen(read, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if not (part := pipe.read(1 << 16)):
                break
            data += part
    return [str(name) for name in json.loads(data or b"[]")]


def _fetch(path: Path, fetching: Path, write: int) -> None:
    """Fetch the names, as a process for which no terminal and no shell waits."""
    os.setsid()
    os.closerange(3, write)
    os.closerange(write + 1, _FILES)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    with contextlib.suppress(OSError):
        fetching.touch(mode=0o600)
    try:
        anyio.run(_fetch_names, path, fetching, write)
    finally:
        fetching.unlink(missing_ok=True)


async def _fetch_names(path: Path, fetching: Path, write: int) -> None:
    """Fetch and cache the names; write those that arrive before the deadline to a pipe."""
    names: set[str] = set()

    def found() -> list[str]:
        return sorted(names - {""}, key=str.casefold)

    async def fetch() -> None:
        retry = RetryPolicy(max_attempts=1)
        with anyio.move_on_after(_FETCH_TIMEOUT):
            async with Services(retry=retry, user_agent="aioservices-cli") as services:
                async for service in services.list(order="updated_at"):
                    names.add(one_line(service.name or ""))
        if found():  # an empty result may only mean that none arrived
            with contextlib.suppress(OSError):
                _write_cache(path, found())
        fetching.unlink(missing_ok=True)  # noqa: ASYNC240 - nothing else runs in this process
        done.set()

    done = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(fetch)
        # Of very many services the first pages are better than none.
        with anyio.move_on_after(_DEADLINE):
            await done.wait()
        with contextlib.suppress(BrokenPipeError), os.fdopen(write, "wb") as pipe:
            pipe.write(json.dumps(found()).encode())


def _cache_path() -> Path:
    """Return the file of the names, which depends on the key and the address."""
    whose = "\0".join(os.environ.get(name, "") for name in ("CIVIS_API_KEY", "CIVIS_API_ENDPOINT"))
    # Names are not secret for this user, but which key was used is.
    digest = hashlib.blake2b(whose.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "aioservices" / f"names-{digest}.json"


def _write_cache(path: Path, names: list[str]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, new = tempfile.mkstemp(dir=path.parent)  # for its owner only
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(names, file)
    Path(new).replace(path)
