"""The long form of the crash tests: ``python -m tests.soak [sqlite|postgres|failover ...]``."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.servers.postgres import new_database, new_server, running_server

from .histories import postgres_failover, postgres_history, sqlite_history


def main() -> None:
    """Run the histories that are named, or all."""
    names = sys.argv[1:] or ["sqlite", "postgres", "failover"]
    for name in names:
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
        return asyncio.run(postgres_failover(directory, services=12, lines=12_000, seed=3))
    if name != "postgres":
        raise SystemExit(f"there is no history {name}: sqlite, postgres or failover")
    if (server := running_server()) is not None:
        return _postgres(server)
    with new_server(directory) as own:
        return _postgres(own.url)


def _postgres(server: str) -> dict[str, object]:
    with new_database(server) as url:
        return asyncio.run(
            postgres_history(url, services=20, lines=50_000, rounds=100, lease=1.0, seed=2)
        )


if __name__ == "__main__":
    main()
