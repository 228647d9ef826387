"""Fixtures for the tests of forwarders: a store with lines, and quick repetitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aioservices.stores import SQLiteStore


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all waits."""
    monkeypatch.setattr("aioservices.stores.forward.worker._DELAYS", (0.01, 0.05))
    monkeypatch.setattr("aioservices.stores.forward.worker._CHECK_SECONDS", 0.02)
    monkeypatch.setattr("aioservices.stores.forward.worker._MEASURE_SECONDS", 0.02)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    """Open an empty store."""
    async with SQLiteStore(tmp_path / "logs.db") as store:
        yield store
