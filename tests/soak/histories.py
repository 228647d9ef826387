"""What collectors live through, and that every line is there once at the end."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psycopg

from aioservices.emulator import Emulator, Reset, Respond
from aioservices.stores import StoreError, open_store
from tests.servers.postgres import own_server

__all__ = ["postgres_failover", "postgres_history", "sqlite_history"]

_DRAIN_SECONDS = 120.0


class Fleet:
    """A fleet that writes lines through a faulty server, and knows which."""

    def __init__(
        self, emulator: Emulator, services: int, lines: int, chance: random.Random
    ) -> None:
        self.emulator = emulator
        self.written: dict[int, list[str]] = {number: [] for number in range(1, services + 1)}
        self.is_done = False
        self._lines = lines
        self._chance = chance

    async def write(self, seconds: float) -> None:
        """Write all lines, spread over some time."""
        for number in range(self._lines):
            service_id = self._chance.choice([*self.written])
            text = f"line {number}"
            self.written[service_id].append(text)
            self.emulator.log(service_id, text, visible_after=self._chance.choice([0, 0, 0, 0.3]))
            if number % 20 == 0:
                await asyncio.sleep(20 * seconds / self._lines)
        self.is_done = True


@asynccontextmanager
async def fleet(services: int, lines: int, chance: random.Random) -> AsyncGenerator[Fleet]:
    """Run an emulator whose answers are late, cut and refused now and then."""
    async with Emulator(
        services=services, deployed=True, pending_for=0.0, null_state_for=0.0, latency=0.002
    ) as emulator:
        emulator.fault(Reset(), probability=0.03, seed=1)
        emulator.fault(Respond(503), probability=0.03, seed=2)
        yield Fleet(emulator, services, lines, chance)


class Daemon:
    """A collector in a separate process, which ends with this one at the latest."""

    def __init__(self, store_url: str, emulator: Emulator, lease: float) -> None:
        self._arguments = (store_url, emulator.url, emulator.api_key, str(lease))
        self._process: Process | None = None

    async def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.soak.daemon",
                *self._arguments,
                stdin=PIPE,
                stdout=PIPE,
            )

    async def wait_until_collecting(self) -> None:
        """Wait until it has the store open."""
        assert self._process is not None
        assert self._process.stdout is not None
        await self._process.stdout.readline()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill it, whatever it is doing."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()


@asynccontextmanager
async def collectors(
    count: int, store_url: str, emulator: Emulator, lease: float
) -> AsyncGenerator[list[Daemon]]:
    """Run collectors inside the block; none is left at its end, whatever happens in it."""
    daemons = [Daemon(store_url, emulator, lease) for _ in range(count)]
    try:
        for daemon in daemons:
            await daemon.start()
        for daemon in daemons:
            await daemon.wait_until_collecting()
        yield daemons
    finally:
        with anyio.CancelScope(shield=True):
            for daemon in daemons:
                await daemon.kill()


async def sqlite_history(
    path: Path, *, services: int, lines: int, kills: int, seed: int
) -> dict[str, object]:
    """Kill a collector again and again while a fleet writes."""
    chance = random.Random(seed)
    url = f"sqlite:{path}"
    async with fleet(services, lines, chance) as written:
        async with (
            collectors(1, url, written.emulator, 30.0) as (daemon,),
            anyio.create_task_group() as group,
        ):
            group.start_soon(written.write, kills * 0.4)
            for _ in range(kills):
                await asyncio.sleep(chance.random() ** 2 * 0.8)
                await daemon.kill()
                await daemon.start()
                await daemon.wait_until_collecting()
            await _drain(url, written)
        return await _check(url, written)


async def postgres_history(
    url: str, *, services: int, lines: int, rounds: int, lease: float, seed: int
) -> dict[str, object]:
    """Kill, stop and cut off three collectors while a fleet writes."""
    chance = random.Random(seed)
    async with fleet(services, lines, chance) as written:
        async with (
            collectors(3, url, written.emulator, lease) as daemons,
            anyio.create_task_group() as group,
        ):
            group.start_soon(written.write, rounds * 0.8)
            for _ in range(rounds):
                daemon = chance.choice(daemons)
                event = chance.choice(["kill", "stop", "cut"])
                await asyncio.sleep(chance.random() * 0.5)
                if event == "kill":
                    await daemon.kill()
                    await daemon.start()
                elif event == "stop":
                    daemon.send(signal.SIGSTOP)
                    await asyncio.sleep(lease * (1 + chance.random()))
                    daemon.send(signal.SIGCONT)
                else:
                    await _cut_sessions(url)
            await _drain(url, written)
        return await _check(url, written)


async def postgres_failover(*, services: int, lines: int, seed: int) -> dict[str, object]:
    """Promote a standby that has forgotten the last transactions."""
    chance = random.Random(seed)
    with own_server() as primary, own_server() as standby:
        await asyncio.to_thread(primary.create)
        await asyncio.to_thread(primary.start)
        primary.execute("CREATE DATABASE logs TEMPLATE template0 ENCODING 'UTF8'")
        await asyncio.to_thread(standby.copy_of, primary)
        await asyncio.to_thread(standby.start)
        url = (
            f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/logs"
            "?target_session_attrs=read-write"
        )
        async with fleet(services, lines, chance) as written:
            async with (
                collectors(3, url, written.emulator, 1.0),
                anyio.create_task_group() as group,
            ):
                group.start_soon(written.write, 12.0)
                await asyncio.sleep(4)
                # It receives nothing any more, while the primary still acknowledges commits.
                primary.refuse_standbys()
                before = acknowledged = await _count(f"{primary.url}/logs")
                with anyio.fail_after(_DRAIN_SECONDS):
                    while acknowledged == before:
                        await asyncio.sleep(0.5)
                        acknowledged = await _count(f"{primary.url}/logs")
                await asyncio.to_thread(primary.crash)
                remembered = await _count(f"{standby.url}/logs")
                await asyncio.to_thread(standby.promote)
                await _drain(url, written)
            outcome = await _check(url, written)
    assert acknowledged > remembered
    return outcome | {"forgotten by the failover": acknowledged - remembered}


async def _count(url: str) -> int:
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with connection:
        found = await (await connection.execute("SELECT sum(seq) FROM aioservices.tail")).fetchone()
    return 0 if found is None or found[0] is None else int(found[0])


async def _cut_sessions(url: str) -> None:
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with connection:
        await connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )


async def _drain(url: str, written: Fleet) -> None:
    """Wait until every line is stored."""
    with anyio.fail_after(_DRAIN_SECONDS):
        while True:
            await asyncio.sleep(0.2)
            if written.is_done and await _stored(url) >= sum(map(len, written.written.values())):
                return


async def _stored(url: str) -> int:
    try:
        async with open_store(url, read_only=True) as store:
            return sum(each.seq for each in await store.services())
    except StoreError:
        return 0


async def _check(url: str, written: Fleet) -> dict[str, object]:
    """Find every line once, and say how many there are."""
    async with open_store(url, read_only=True) as store:
        audit = await store.audit(thorough=True)
        assert audit.ok, audit
        for service_id, texts in written.written.items():
            found = [entry.message async for entry in store.read(service_id)]
            assert sorted(map(str, found)) == sorted(texts), f"service {service_id}"
    return {"lines": sum(map(len, written.written.values())), "services": len(written.written)}
