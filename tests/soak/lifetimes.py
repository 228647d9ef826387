"""Days of a fleet's life, lived by the daemon in minutes: what it takes of memory and of disk."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Protocol

import anyio
import msgspec
import psycopg

from aioservices.stores import Store, open_store
from tests.servers.hostile import hostile
from tests.servers.lifetime import SECOND, FleetLife, FleetServer
from tests.servers.postgres import DatabaseClock

from .hurried import read_ahead

__all__ = ["Lifetime", "Sample", "hurried_daemon", "live"]

_HOUR = 3600 * SECOND
_AFTER = 600 * SECOND  # behind the end, at the earliest, a life is over
_CHECK_INTERVAL = 0.02  # seconds between two checks of the daemon
_ENDS_WITHIN = 60.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KEY = "a-key-for-the-fleet"


class Sample(NamedTuple):
    """What a daemon took at a time: bytes in memory, and bytes of its store."""

    at: int
    memory: int
    store: int


class Lifetime(msgspec.Struct, kw_only=True):
    """What was seen of a daemon in its life.

    Attributes
    ----------
    samples : list of Sample
    written : int
        Lines that the fleet wrote.
    problems : tuple of str
        What the audit says.
    left : int
        Lines that are stored at the end.
    oldest, ended_at : int
        Time of the first of them, and the time at the end.
    requests, refused : int
        Requests to the API, and those for which there were too many.
    seconds : float
        How long it really took.
    """

    samples: list[Sample] = []
    written: int = 0
    problems: tuple[str, ...] = ()
    left: int = 0
    oldest: int = 0
    ended_at: int = 0
    requests: int = 0
    refused: int = 0
    seconds: float = 0.0

    @property
    def most_memory(self) -> int:
        """The most bytes in memory at any time."""
        return max(each.memory for each in self.samples)

    @property
    def growth(self) -> float:
        """By how much more memory it takes in its last third than in the one before."""
        start = self.samples[0].at
        third = (self.samples[-1].at - start) / 3
        before, last = (
            median(
                each.memory for each in self.samples if begin <= each.at - start <= begin + third
            )
            for begin in (third, 2 * third)
        )
        return last / before


async def live(
    store_url: str,
    directory: Path,
    *options: str,
    hours: float,
    services: int,
    lines: int,
    outages: int = 3,
    seed: int = 1,
    within: float,
    after: float = 600.0,
    is_done: Callable[[Store], Awaitable[bool]] | None = None,
) -> Lifetime:
    """Run a daemon for a fleet, and check that it has stored every line once.

    Its services are redeployed, some come and go; the API is away now and then, and breaks
    connections; all share the calls that one key allows.

    Parameters
    ----------
    store_url : str
        The store, a new one.
    directory : Path
        For the clock.
    *options : str
        Further options of the daemon.
    hours : float
        How long the fleet lives.
    services, lines : int
        How many there are at a time; how many are written in all.
    outages : int, default 3
        How often the API is away, for half an hour at most.
    seed : int, default 1
    within : float
        Seconds that it may really take.
    after : float, default 600.0
        Seconds behind the end of the fleet's life over which the clock leaps, too: as many as lie
        between two polls, so that nobody has to wait for the last lines.
    is_done : callable, optional
        What has to be so, too, before the daemon is ended.
    """
    began = time.monotonic()
    start = time.time_ns() // 1000
    life = FleetLife(start, hours, services, lines, seed)
    clock = directory / "clock"
    clock.write_bytes(bytes(8))

    def now() -> int:
        return int((time.time() + read_ahead(clock)) * SECOND)

    server = FleetServer(life, now, _outages(life, outages), reset_every=199)
    found = Lifetime(written=life.lines)
    async with hostile(server.behave) as listener:
        server.passed = lambda _: listener.requests.clear()
        arguments = [str(clock), str(life.end / SECOND + after), "collect"]
        arguments += ["--store", store_url, "--url", listener.url, "--listen", "127.0.0.1:0"]
        async with hurried_daemon(directory, *arguments, *options) as process:
            with _seen(store_url) as store, anyio.fail_after(within):
                await _watch(process, store, now, life, found, is_done)
            found.ended_at = now()
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(_ENDS_WITHIN):
                assert await process.wait() == 0
    async with open_store(store_url, read_only=True) as kept:
        audit = await kept.audit(thorough=True)
    found.problems = (*audit.problems, *(text for each in audit.services for text in each.problems))
    wrong = [each for each in audit.services if each.seq != life.lines_of(each.service_id)]
    found.problems += tuple(f"service {each.service_id} has {each.seq} lines" for each in wrong)
    found.left = sum(each.lines for each in audit.services)
    oldest = min(each.first_at for each in audit.services if each.first_at is not None)
    found.oldest = int(oldest.timestamp() * SECOND)
    found.requests, found.refused = server.requests, server.refused
    found.seconds = time.monotonic() - began
    assert found.problems == ()
    return found


def _outages(life: FleetLife, count: int) -> list[tuple[int, int]]:
    """Spread some outages over a life, now short, now long."""
    between = (life.end - life.start) // (count + 1)
    longest = min(_HOUR // 2, between // 10)
    begins = [life.start + between * (number + 1) for number in range(count)]
    return [(at, at + longest // (1 + number % 3)) for number, at in enumerate(begins)]


@asynccontextmanager
async def hurried_daemon(directory: Path, *arguments: str) -> AsyncGenerator[Process]:
    """Run a daemon whose clock leaps, with the arguments of `tests.soak.hurried`."""
    with (directory / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.soak.hurried",
            *arguments,
            stdout=log,
            stderr=log,
            env=os.environ | {"CIVIS_API_KEY": _KEY},
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _watch(
    process: Process,
    store: _Store,
    now: Callable[[], int],
    life: FleetLife,
    found: Lifetime,
    is_done: Callable[[Store], Awaitable[bool]] | None,
) -> None:
    """Look at a daemon until it has kept every line."""
    memory = Path(f"/proc/{process.pid}/statm")
    while True:
        await asyncio.sleep(_CHECK_INTERVAL)
        assert process.returncode is None, "the daemon has ended"
        at = now()
        store.set_clock(at)
        pages = int(memory.read_text().split()[1])
        found.samples.append(Sample(at, pages * _PAGE, store.size()))
        if at < life.end + _AFTER:
            continue
        async with open_store(store.url, read_only=True) as opened:
            kept = sum(each.seq for each in await opened.services())
            if kept >= life.lines and (is_done is None or await is_done(opened)):
                return


class _Store(Protocol):
    """A store, seen from outside."""

    url: str

    def size(self) -> int:
        """Return the memory that it takes, in bytes."""
        ...

    def set_clock(self, now: int) -> None:
        """Synchronise its clock with the daemon's, if it has a separate one."""
        ...


@contextmanager
def _seen(url: str) -> Generator[_Store]:
    if not url.startswith("postgres"):
        yield _SQLite(url)
        return
    with psycopg.connect(url, autocommit=True) as session:
        yield _Postgres(url, session)


class _SQLite:
    def __init__(self, url: str) -> None:
        self.url = url
        self._path = Path(url.removeprefix("sqlite:"))

    def size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def set_clock(self, now: int) -> None:
        """It takes its time from the daemon's process."""


class _Postgres:
    def __init__(self, url: str, session: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.url = url
        self._session = session
        self._clock = DatabaseClock(session)

    def size(self) -> int:
        found = self._session.execute(
            """SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
               FROM pg_partition_tree(to_regclass('aioservices.line')) WHERE isleaf"""
        ).fetchone()
        return 0 if found is None else int(found[0])

    def set_clock(self, now: int) -> None:
        self._clock.set_ahead(now / SECOND - time.time())
