"""The short form of the crash tests: every line once, whatever the collectors live through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stores.conftest import postgres_server, postgres_url

from .histories import postgres_history, sqlite_history

__all__ = ["postgres_server", "postgres_url"]

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_a_collector_that_is_killed_again_and_again_keeps_every_line_once(
    tmp_path: Path,
) -> None:
    await sqlite_history(tmp_path / "logs.db", services=5, lines=1500, kills=4, seed=1)


async def test_collectors_that_are_killed_stopped_and_cut_off_keep_every_line_once(
    postgres_url: str,
) -> None:
    await postgres_history(postgres_url, services=5, lines=1500, rounds=4, lease=0.5, seed=2)
