"""The command that shows many logs in one: `watch`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import click

from aioservices.api.matching import is_pattern, matches
from aioservices.cli.arguments import DURATION, INSTANT, connected, examples, line_options
from aioservices.cli.connection import Connection
from aioservices.cli.console import note
from aioservices.cli.filters import Filter, Format
from aioservices.cli.targets import find
from aioservices.cli.times import Instant
from aioservices.client import Services
from aioservices.fleet import LogWatch
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run

__all__ = ["watch"]

# Clocks differ, and the last lines tell what it is about.
_A_MOMENT = dt.timedelta(seconds=10)


@click.command(
    "watch",
    epilog=examples(
        "aioservices watch",
        "aioservices watch 'web-*' --since 5m --timestamps",
        "aioservices watch 'web-*' 42 --template '{time} {name}: {message}'",
        "aioservices watch --json --stream stderr > errors.jsonl",
    ),
)
@click.argument("terms", metavar="[PATTERN]...", nargs=-1)
@click.option("--since", type=INSTANT, help="Only lines from then on: 10m (ago), or a date.")
@click.option(
    "--hold-back",
    type=DURATION,
    help="Delay lines by up to so much, to put those of all services in order.",
)
@click.option(
    "--refresh",
    type=DURATION,
    default="30s",
    show_default=True,
    help="How often to look which services there are.",
)
@line_options(named=True)
@connected()
def watch(
    connection: Connection,
    *,
    terms: Sequence[str],
    since: Instant | None,
    hold_back: float | None,
    refresh: float,
    chosen: Filter,
    shown: Format,
) -> int:
    """Follow the logs of many services at once, each line after its service's name.

    Without PATTERN these are all services that run. With one, those among them
    whose names fit. Services that begin to run later are taken up. With ids or
    names, or several patterns, it stays with the services that these mean now,
    whether they run or not.

    Without --since it begins with the lines of the last ten seconds.
    """

    async def begun(services: Services) -> LogWatch:
        now = await connection.now(services)
        begin = now - _A_MOMENT if since is None else since.at(now)
        name = terms[0] if len(terms) == 1 and is_pattern(terms[0]) else None
        ids: list[int] | None = None
        if terms and name is None:
            targets = await connection.reach(services, lambda view: find(view, terms))
            ids = [target.id for target in targets]
        elif not await connection.reach(services, lambda view: _any(view, name)):
            fits = f" fits {name!r}" if name else " is there"
            note(f"no running service{fits} yet: waiting for one")
        return services.watch_logs(
            ids, name=name, start_at=begin, refresh=refresh, hold_back=hold_back
        )

    async def main() -> int:
        async with connection.open() as services, await begun(services) as lines:
            async for line in lines:
                if chosen.passes(line.entry):
                    await stdout().write(shown(line.entry, line.service_name))
        return 0

    return run(main, ends_unread=True)


async def _any(services: Services, pattern: str | None) -> bool:
    """Tell whether a running service has such a name."""
    async for service in services.list(status="running"):
        if pattern is None or matches(service.name, pattern):
            return True
    return False
