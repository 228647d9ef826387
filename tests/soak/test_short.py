"""The short form of the histories: every line once, whatever the collectors live through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stores.conftest import postgres_server, postgres_url

from .collectors import otlp_history
from .histories import postgres_failover, postgres_history, sqlite_history
from .lifetimes import live
from .pauses import postgres_pause

__all__ = ["postgres_server", "postgres_url"]

pytestmark = pytest.mark.anyio

DAY = 86_400 * 1_000_000
QUIET = ("--poll-interval", "30", "--max-poll-interval", "10m", "--refresh", "5m")


@pytest.mark.slow
async def test_a_collector_that_is_killed_again_and_again_keeps_every_line_once(
    tmp_path: Path,
) -> None:
    await sqlite_history(tmp_path / "logs.db", services=5, lines=1500, kills=4, seed=1)


@pytest.mark.slow
async def test_collectors_that_are_killed_stopped_and_cut_off_keep_every_line_once(
    postgres_url: str,
) -> None:
    await postgres_history(postgres_url, services=5, lines=1500, rounds=4, lease=0.5, seed=2)


@pytest.mark.slow
async def test_a_promoted_standby_that_has_forgotten_commits_gets_every_line_once() -> None:
    outcome = await postgres_failover(services=5, lines=1500, seed=3)
    assert outcome["lines"] == 1500


@pytest.mark.slow
async def test_hours_of_a_fleets_life_leave_no_more_in_memory_and_in_the_file_than_they_should(
    tmp_path: Path,
) -> None:
    lived = await live(
        f"sqlite:{tmp_path / 'logs.db'}", tmp_path, *QUIET, "--keep", "1h",
        hours=6, services=4, lines=10_000, within=300,
    )  # fmt: skip
    assert lived.growth < 1.05
    assert DAY / 24 * 0.9 < lived.ended_at - lived.oldest < DAY / 24 * 1.1
    assert lived.left < lived.written / 4
    assert lived.samples[-1].store < 400_000 + 300 * lived.left


@pytest.mark.slow
async def test_two_hundred_services_take_less_than_150_megabytes_and_the_bytes_that_are_kept(
    tmp_path: Path,
) -> None:
    lived = await live(
        f"sqlite:{tmp_path / 'logs.db'}", tmp_path, *QUIET, "--keep-bytes", "2MB",
        hours=4, services=200, lines=50_000, within=600,
    )  # fmt: skip
    assert lived.most_memory < 150_000_000
    assert lived.growth < 1.05
    assert 1_500_000 < lived.samples[-1].store < 2_200_000


@pytest.mark.slow
async def test_a_database_keeps_the_days_that_are_to_be_kept(
    tmp_path: Path, postgres_url: str
) -> None:
    lived = await live(
        postgres_url, tmp_path, *QUIET, "--lease", "1h", "--keep", "1h",
        hours=40, services=2, lines=10_000, within=600,
    )  # fmt: skip
    assert lived.growth < 1.05
    assert DAY / 24 < lived.ended_at - lived.oldest < DAY * 1.05
    assert lived.left < lived.written * 0.7
    assert lived.samples[-1].store < 1_000_000 + 500 * lived.left


@pytest.mark.slow
async def test_every_line_arrives_at_a_collector_that_is_dead_for_an_hour_and_then_has_troubles(
    tmp_path: Path,
) -> None:
    outcome = await otlp_history(tmp_path, hours=4, services=5, lines=8_000, seed=4, within=300)
    assert outcome["lines"] == pytest.approx(8_000, rel=0.1)
    requests = outcome["requests"]
    assert isinstance(requests, dict)
    assert {"dead", "429", "503", "lost", "partly", "none"} <= requests.keys()


@pytest.mark.slow
async def test_no_more_lines_wait_than_may_while_the_database_is_stopped(tmp_path: Path) -> None:
    outcome = await postgres_pause(tmp_path, services=50, lines=100_000, most=5_000, within=300)
    assert outcome["lines that waited at most"] == 5_000
    memory = outcome["MB of memory at most"]
    assert isinstance(memory, int)
    assert memory < 150
