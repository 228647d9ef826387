"""The command that shows one log: `logs`."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import AsyncIterator

import click

from aioservices.api.models import TailedEntry
from aioservices.cli.arguments import INSTANT, connected, examples, line_options
from aioservices.cli.connection import Connection
from aioservices.cli.console import note
from aioservices.cli.cursor_file import CursorFile
from aioservices.cli.errors import MISUSED, CommandError
from aioservices.cli.filters import Filter, Format
from aioservices.cli.targets import Target, find
from aioservices.cli.times import Instant
from aioservices.client import Services
from aioservices.tail import LogCursor, LogTail
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run

__all__ = ["logs"]

_PATIENCE = 60.0  # seconds of an outage, where the log is not followed

# From how far back the last lines are looked for: at first not from the beginning.
_LOOKS_BACK = (dt.timedelta(minutes=10), dt.timedelta(days=1))


@click.command(
    "logs",
    epilog=examples(
        "aioservices logs web-shop -n 100",
        "aioservices logs web-shop -f --since 10m",
        "aioservices logs 42 --stream stderr --grep 'timeout|refused' --exclude health",
        "aioservices logs 42 --json --cursor web.cursor >> web.jsonl   (what is new)",
    ),
)
@click.argument("service", metavar="SERVICE")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n", "--lines", "last", type=click.IntRange(0), metavar="N", help="Only the last N lines."
)
@click.option("--since", type=INSTANT, help="Only lines from then on: 10m (ago), or a date.")
@click.option("--until", type=INSTANT, help="Only lines until then.")
@click.option(
    "--deployment",
    "deployment_id",
    type=click.IntRange(1),
    metavar="ID",
    help="That of a certain deployment, in place of the service's current one.",
)
@click.option(
    "--cursor",
    "cursor_path",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Go on after the last line shown with this FILE, and keep the place there. "
    "-n and --since count where there is no FILE yet.",
)
@line_options(named=False)
@connected()
def logs(
    connection: Connection,
    *,
    service: str,
    follow: bool,
    last: int | None,
    since: Instant | None,
    until: Instant | None,
    deployment_id: int | None,
    cursor_path: str | None,
    chosen: Filter,
    shown: Format,
) -> int:
    """Show the log of a service; with -f, go on with what it writes.

    SERVICE is an id, a name, or a pattern that fits one name. With -f the log
    of each new deployment follows that of the one before. What is written on
    standard error is red. The times of --timestamps are UTC.
    """
    place = None if cursor_path is None else CursorFile(cursor_path)
    if place is not None:
        place.check()

    async def main() -> int:
        async with connection.open() as services:
            found = await connection.reach(services, lambda view: find(view, [service]))
            target = _only(found, service)
            resume = place.load(target.id, deployment_id) if place else None
            if target.current_deployment is None and deployment_id is None:
                waiting = ": waiting for its first line" * follow
                note(f"service {target.id} has no log, it was never deployed{waiting}")
                if not follow:
                    return 0
            now = begin = end = None
            if since or until or last is not None:
                now = await connection.now(services)
                begin, end = since and since.at(now), until and until.at(now)
            if begin and end and end < begin:
                raise CommandError("--until is before --since", status=MISUSED)
            log = _Log(services, target, deployment_id, end, chosen, shown, place)
            if last is not None and now is not None and resume is None:
                resume = await log.show_last(last, begin, now=now)
                if not follow:
                    return 0
            await log.show(resume, begin, follow=follow)
        return 0

    return run(main, ends_unread=True)


def _only(found: list[Target], term: str) -> Target:
    if len(found) > 1:
        raise CommandError(
            f"{len(found)} services have a name that fits {term!r}: say one, "
            "or use aioservices watch",
            status=MISUSED,
        )
    return found[0]


class _Log:
    """One log, on its way to standard output."""

    def __init__(
        self,
        services: Services,
        target: Target,
        deployment_id: int | None,
        until: dt.datetime | None,
        chosen: Filter,
        shown: Format,
        place: CursorFile | None,
    ) -> None:
        self._services = services
        self._service_id = target.id
        self._name = target.name
        self._deployment_id = deployment_id
        self._until = until
        self._chosen = chosen
        self._shown = shown
        self._place = place

    async def show_last(
        self, count: int, since: dt.datetime | None, *, now: dt.datetime
    ) -> LogCursor:
        """Show the last lines that there are by now.

        Returns
        -------
        LogCursor
            It stands behind them: what was left out before them does not come any more.
        """
        first, *others = _beginnings(since, self._until, now=now)
        kept, cursor = await self._read_last(count, first)
        for begin in others:
            if len(kept) == count:
                break
            kept, cursor = await self._read_last(count, begin)
        await self._write(kept)
        if self._place is not None:
            self._place.keep(cursor)
        return cursor

    async def show(
        self, resume: LogCursor | None, since: dt.datetime | None, *, follow: bool
    ) -> None:
        """Show lines as they come."""
        begin = None if resume is not None else since
        async with self._tail(resume, begin, follow=follow) as tail:
            written = tail.cursor
            try:
                async for batch in self._batches(tail):
                    await self._write(batch)
                    if self._place is not None:
                        written = tail.cursor
                        if self._place.is_due():
                            self._place.keep(written)
                written = tail.cursor
            finally:
                # Where a write was cut short its lines come again, rather than never.
                if self._place is not None:
                    self._place.keep(written)

    async def _read_last(
        self, count: int, begin: dt.datetime | None
    ) -> tuple[deque[TailedEntry], LogCursor]:
        kept: deque[TailedEntry] = deque(maxlen=count)
        async with self._tail(None, begin, follow=False) as tail:
            async for batch in self._batches(tail):
                kept.extend(batch)
            return kept, tail.cursor

    def _tail(
        self, resume: LogCursor | None, start_at: dt.datetime | None, *, follow: bool
    ) -> LogTail:
        return self._services.tail_logs(
            self._service_id,
            self._deployment_id,
            start_at=start_at,
            end_at=self._until,
            resume=resume,
            follow=follow,
            # Who follows a log sits any outage out; who wants to see it wants to know.
            max_outage=None if follow else _PATIENCE,
        )

    async def _batches(self, tail: LogTail) -> AsyncIterator[list[TailedEntry]]:
        async for batch in tail.batches():
            yield [entry for entry in batch if self._chosen.passes(entry)]

    async def _write(self, entries: list[TailedEntry] | deque[TailedEntry]) -> None:
        if entries:
            await stdout().write("".join(self._shown(entry, self._name) for entry in entries))


def _beginnings(
    since: dt.datetime | None, until: dt.datetime | None, *, now: dt.datetime
) -> list[dt.datetime | None]:
    """Give the times from which on the last lines are looked for, one after the other."""
    looks = [
        now - span
        for span in _LOOKS_BACK
        if (since is None or since < now - span) and (until is None or now - span < until)
    ]
    return [*looks, since]
