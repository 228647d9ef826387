"""The long form of the histories: ``python -m tests.soak [HISTORY ...]``.

``sqlite``, ``postgres`` and ``failover`` kill collectors, stop them and cut them off; ``week`` and
``days`` run a daemon for a week with a fleet of 200 services, with SQLite, and some days, with
PostgreSQL; ``otlp`` forwards a day's lines to a collector that is dead for an hour of it, and has
troubles of each kind afterwards; ``pause`` stops the database of a daemon that reads 500 services.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.servers.postgres import new_database, new_server, running_server

from .collectors import otlp_history
from .histories import postgres_failover, postgres_history, sqlite_history
from .lifetimes import Lifetime, live
from .pauses import postgres_pause

HISTORIES = ("sqlite", "postgres", "failover", "week", "days", "otlp", "pause")
_QUIET = ("--poll-interval", "1m", "--max-poll-interval", "20m", "--refresh", "10m")


def main() -> None:
    """Run the histories that are named, or all."""
    names = sys.argv[1:] or HISTORIES
    for name in names:
        if name not in HISTORIES:
            raise SystemExit(f"there is no history {name}: {', '.join(HISTORIES)}")
        with tempfile.TemporaryDirectory(prefix="aioservices-soak-") as directory:
            began = time.monotonic()
            outcome = _run(name, Path(directory))
        facts = ", ".join(f"{key} {value}" for key, value in outcome.items())
        print(f"{name}: every line once ({facts}; {time.monotonic() - began:.0f} s)", flush=True)


def _run(name: str, directory: Path) -> dict[str, object]:
    if name == "sqlite":
        return asyncio.run(
            sqlite_history(directory / "logs.db", services=20, lines=50_000, kills=100, seed=1)
        )
    if name == "failover":
        return asyncio.run(postgres_failover(services=12, lines=12_000, seed=3))
    if name == "week":
        return _week(directory)
    if name == "pause":
        outcome = asyncio.run(
            postgres_pause(directory, services=500, lines=3_000_000, most=200_000, within=3600)
        )
        memory = outcome["MB of memory at most"]
        assert isinstance(memory, int)
        assert memory < 400
        return outcome
    if name == "otlp":
        return asyncio.run(
            otlp_history(directory, hours=24, services=50, lines=200_000, seed=4, within=3600)
        )
    if (server := running_server()) is not None:
        return _postgres(name, server, directory)
    with new_server() as own:
        return _postgres(name, own.url, directory)


def _postgres(name: str, server: str, directory: Path) -> dict[str, object]:
    with new_database(server) as url:
        if name == "days":
            return _days(url, directory)
        return asyncio.run(
            postgres_history(url, services=20, lines=50_000, rounds=100, lease=1.0, seed=2)
        )


def _week(directory: Path) -> dict[str, object]:
    """Keep two days of a week, and no more than 20 MB."""
    options = (*_QUIET, "--keep", "2d", "--keep-bytes", "20MB")
    lived = asyncio.run(
        live(
            f"sqlite:{directory / 'logs.db'}", directory, *options,
            hours=7 * 24, services=200, lines=1_000_000, outages=10, within=4 * 3600, after=1800,
        )
    )  # fmt: skip
    assert lived.samples[-1].store < 20_000_000 * 1.1
    return _checked(lived, hours=49)


def _days(url: str, directory: Path) -> dict[str, object]:
    """Keep a day of four."""
    lived = asyncio.run(
        live(
            url, directory, *_QUIET, "--lease", "30m", "--keep", "1d",
            hours=4 * 24, services=50, lines=500_000, outages=5, within=2 * 3600, after=1800,
        )
    )  # fmt: skip
    return _checked(lived, hours=48)


def _checked(lived: Lifetime, hours: float) -> dict[str, object]:
    assert lived.most_memory < 150_000_000
    assert lived.growth < 1.03
    age = (lived.ended_at - lived.oldest) / 3.6e9
    assert age < hours * 1.01
    return {
        "lines": lived.written,
        "MB of memory at most": round(lived.most_memory / 1e6),
        "growth in the last third": f"{lived.growth - 1:.1%}",
        "lines left": lived.left,
        "of hours": round(age),
        "MB of the store": round(lived.samples[-1].store / 1e6, 1),
        "requests": lived.requests,
    }


if __name__ == "__main__":
    main()
