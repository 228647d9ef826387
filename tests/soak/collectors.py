"""A collector of OTLP that has a bad day: what a daemon's lines live through on their way to it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from aioservices.stores import Store, open_store
from tests.servers.lifetime import SECOND
from tests.servers.otlp import (
    OTLPReceiver,
    attribute,
    otlp_receiver,
    partial_success,
    read_export,
    records_in,
)

from .hurried import read_ahead
from .lifetimes import live

__all__ = ["otlp_history"]

_HOUR = 3600 * SECOND
_REJECTED = 1  # record of a request that is taken but for some


class _BadDay(OTLPReceiver):
    """Takes lines for an hour, is dead for one, and has troubles of each kind afterwards."""

    def __init__(self, start: int, now: Callable[[], int], seed: int) -> None:
        super().__init__()
        self._start = start
        self._now = now
        self._chance = random.Random(seed)
        self.seen: dict[str, int] = {}  # requests by what was done to them
        self.rejected = 0  # records

    async def handle(self, request: web.Request) -> web.Response:
        hours = (self._now() - self._start) / _HOUR
        trouble = self._trouble(hours)
        if trouble == "413" and len(records_in((await read_export(request))[0])) == 1:
            trouble = "none"  # no server has too little space for a single line
        self.seen[trouble] = self.seen.get(trouble, 0) + 1
        if trouble == "dead":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if trouble.isdecimal():
            return web.Response(status=int(trouble), headers={"Retry-After": "90"})
        if trouble == "partly":
            self.rejected += _REJECTED
            self.answers.append(lambda: partial_success(_REJECTED, "too old"))
        answer = await super().handle(request)
        if trouble == "lost":  # it accepted them, but the answer is lost
            assert request.transport is not None
            request.transport.abort()
        return answer

    def _trouble(self, hours: float) -> str:
        if 1 <= hours < 2:
            return "dead"
        if hours < 2:
            return "none"
        return self._chance.choice(["429", "503", "401", "413", "lost", "partly", *["none"] * 4])


async def otlp_history(
    directory: Path, *, hours: float, services: int, lines: int, seed: int, within: float
) -> dict[str, object]:
    """Make a daemon forward a fleet's lines to a failing collector; return what it received.

    Every line arrives at least once, always under its own identifier.
    """
    clock = directory / "clock"

    def now() -> int:
        ahead = read_ahead(clock) if clock.exists() else 0.0
        return int((time.time() + ahead) * SECOND)

    receiver = _BadDay(now(), now, seed)
    url = f"sqlite:{directory / 'logs.db'}"

    async def is_done(store: Store) -> bool:
        positions = await store.forward_positions()
        return bool(positions) and not any(each.behind for each in positions)

    async with otlp_receiver(receiver):
        options = ("--poll-interval", "30", "--max-poll-interval", "10m", "--refresh", "5m")
        await live(
            url, directory, *options, "--forward", f"otlp:{receiver.url}",
            hours=hours, services=services, lines=lines, seed=seed, within=within,
            is_done=is_done,
        )  # fmt: skip
    texts: dict[str, set[str]] = {}
    for record in receiver.records:
        texts.setdefault(attribute(record, "log.record.uid"), set()).add(record.body.string_value)
    async with open_store(url, read_only=True) as store:
        stored = {
            entry.line_id: entry.message
            for service in await store.services()
            async for entry in store.read(service.service_id)
        }
        letters = await store.rejected()
    assert texts.keys() == stored.keys()
    assert all(found == {stored[line_id]} for line_id, found in texts.items())
    assert sum(letter.count for letter in letters) == receiver.rejected
    return {
        "lines": len(stored),
        "sent again": len(receiver.records) - len(stored),
        "requests": dict(sorted(receiver.seen.items())),
    }
