"""Fixtures for the tests of collecting: an emulator, and a store of each kind."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from aioservices import Services
from aioservices.fleet.collecting import CollectOptions, Collector
from aioservices.stores import Retention, Store
from aioservices.stores.forward import Forwarder
from tests.servers.waiting import PATIENCE
from tests.stores.conftest import postgres_server, postgres_url, store_url

__all__ = ["collecting", "postgres_server", "postgres_url", "quick", "store_url"]


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    return {"services": 3, "deployed": True, "pending_for": 0.0, "null_state_for": 0.0}


def quick(**options: Any) -> CollectOptions:
    """Make options with which tests need not wait."""
    values: dict[str, Any] = {
        "refresh": 0.1,
        "poll_interval": 0.02,
        "max_poll_interval": 0.1,
        "overlap": 0.5,
        "grace": 0.3,
        "lease": 3.0,
        "commit_interval": 0.02,
    }
    return CollectOptions(**(values | options))


@asynccontextmanager
async def collecting(
    store: Store,
    sessions: Services | Sequence[Services],
    *,
    forwarders: Sequence[Forwarder] = (),
    retention: Retention | None = None,
    within: float = 2 * PATIENCE,
    **options: Any,
) -> AsyncGenerator[Collector]:
    """Collect inside the block, for so many seconds, and commit what waits at its end."""
    given = [sessions] if isinstance(sessions, Services) else sessions
    collector = Collector(
        store, given, quick(**options), forwarders=forwarders, retention=retention
    )
    async with anyio.create_task_group() as group:
        group.start_soon(collector.run)
        # For what a test waits for without end.
        group.cancel_scope.deadline = anyio.current_time() + within
        try:
            yield collector
        except BaseException:
            group.cancel_scope.cancel()
            raise
        collector.stop()
