"""The command that shows one log: `logs`."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import click

from aioservices.api.models import TailedEntry
from aioservices.cli.actions import name_and_id
from aioservices.cli.arguments import (
    COUNT,
    INSTANT,
    POSITIVE,
    SERVICE,
    connected,
    examples,
    line_options,
)
from aioservices.cli.connection import Connection
from aioservices.cli.console import note
from aioservices.cli.errors import USAGE_ERROR, CommandError
from aioservices.cli.filters import Filter, Format
from aioservices.cli.last_lines import last_lines
from aioservices.cli.notices import Notices
from aioservices.cli.targets import Target, find_one
from aioservices.client import Services
from aioservices.fleet import CursorFile
from aioservices.tail import LogCursor, LogTail
from aioservices.tail.status import EventHook
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.times import Instant

__all__ = ["logs"]

_MAX_OUTAGE = 60.0  # seconds, if the log is not followed


@click.command(
    "logs",
    short_help="Show or follow the log of a service.",
    epilog=examples(
        "aioservices logs web-shop -n 100",
        "aioservices logs web-shop -f --since 10m",
        "aioservices logs web-shop --previous -n 50",
        "aioservices logs 42 --stream stderr -i --grep 'timeout|refused'",
        "aioservices logs 42 --json --cursor web.cursor >> web.jsonl",
    ),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.option("-f", "--follow", is_flag=True, help="Keep showing new lines.")
@click.option("-n", "--lines", "last", type=COUNT, metavar="N", help="Only the last N lines.")
@click.option("--since", type=INSTANT, help="Only lines since then: 10m (ago), or a date.")
@click.option("--until", type=INSTANT, help="Only lines until then.")
@click.option(
    "--deployment",
    "deployment_id",
    type=POSITIVE,
    metavar="ID",
    help="Show the log of this deployment instead of the current one.",
)
@click.option(
    "--previous",
    is_flag=True,
    help="Show the log of the previous deployment, for example to see why it ended.",
)
@click.option(
    "--cursor",
    "cursor_path",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Continue after the lines shown with this FILE, and store the position in it. "
    "-n and --since apply only while there is no FILE yet.",
)
@click.option(
    "--from",
    "store_url",
    metavar="STORE",
    help="Read what `collect` has stored (sqlite:PATH, postgresql://...); needs no key.",
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
    previous: bool,
    cursor_path: str | None,
    store_url: str | None,
    chosen: Filter,
    shown: Format,
) -> int:
    """Show the log of a service; with -f, keep following it.

    SERVICE is an id, a name, or a pattern that matches one name. With -f it
    continues with each new deployment. Lines from standard error are red. The
    times of --timestamps are UTC.
    """
    if previous and (deployment_id is not None or follow):
        other = "--follow" if follow else "--deployment"
        raise click.UsageError(f"--previous and {other} cannot be used together")
    if store_url is not None:
        from .stored_log import StoredLog  # loaded only if a store is used

        log = StoredLog(
            store_url=store_url,
            service=service,
            follow=follow,
            last=last,
            since=since,
            until=until,
            deployment_id=deployment_id,
            previous=previous,
            cursor_path=cursor_path,
            chosen=chosen,
            shown=shown,
        )
        return run(log.show, ends_with_output=True)
    cursor_file = None if cursor_path is None else CursorFile(cursor_path)
    if cursor_file is not None:
        cursor_file.check()

    async def main() -> int:
        async with connection.open() as services:
            target = await connection.reach(services, lambda view: find_one(view, service))
            deployment = await _previous(services, target) if previous else deployment_id
            resume = cursor_file.load() if cursor_file else None
            _check_cursor(resume, cursor_path, target.id, deployment)
            if target.current_deployment is None and deployment is None:
                waiting = ": waiting for its first line" * follow
                note(f"{name_and_id(target)} has no log, it was never deployed{waiting}")
                if not follow:
                    return 0
            now = begin = end = None
            if since or until or last is not None:
                now = await connection.now(services)
                begin, end = since and since.at(now), until and until.at(now)
            if begin and end and end < begin:
                raise CommandError("--until is before --since", status=USAGE_ERROR)
            log = _Log(
                services=services,
                service_id=target.id,
                name=target.name,
                deployment_id=deployment,
                until=end,
                chosen=chosen,
                shown=shown,
                cursor_file=cursor_file,
                notices=connection.notices,
                on_event=connection.notices.event if follow else connection.notices.outage,
            )
            if last is not None and now is not None and resume is None:
                resume = await log.show_last(last, begin, now=now)
                if not follow:
                    return 0
            await log.show(resume, begin, follow=follow)
        return 0

    return run(main, ends_with_output=True)


def _check_cursor(
    resume: LogCursor | None, path: str | None, service_id: int, deployment_id: int | None
) -> None:
    """Refuse the cursor of another log."""
    if resume and (resume.service_id, resume.deployment_id) != (service_id, deployment_id):
        raise CommandError(
            f"{path} is the cursor of {resume.whose}: pass another --cursor for this log",
            status=USAGE_ERROR,
        )


async def _previous(services: Services, target: Target) -> int:
    """Find the deployment before the newest one."""
    newest = await services.list_deployments(target.id, limit=2)
    if len(newest) < 2:
        raise CommandError(f"{name_and_id(target)} has no previous deployment")
    return newest[1].deployment_id


@dataclass(frozen=True, kw_only=True)
class _Log:
    """One log that is written to standard output."""

    services: Services
    service_id: int
    name: str | None
    deployment_id: int | None
    until: dt.datetime | None
    chosen: Filter
    shown: Format
    cursor_file: CursorFile | None
    notices: Notices
    on_event: EventHook

    async def show_last(
        self, count: int, since: dt.datetime | None, *, now: dt.datetime
    ) -> LogCursor:
        """Show the last lines, and return the cursor behind them."""
        kept, cursor = await last_lines(
            lambda begin: self._tail(None, begin, follow=False),
            count,
            self.chosen,
            since=since,
            until=self.until,
            now=now,
        )
        await self._write(kept)
        if self.cursor_file is not None:
            await stdout().flush()
            self.cursor_file.save(cursor)
            self.cursor_file.flush()
        return cursor

    async def show(
        self, resume: LogCursor | None, since: dt.datetime | None, *, follow: bool
    ) -> None:
        """Show lines as they arrive."""
        begin = None if resume is not None else since
        async with self._tail(resume, begin, follow=follow) as tail:
            # After an interrupted write its lines are shown again, rather than never.
            with self.cursor_file or contextlib.nullcontext():
                async for batch in self._batches(tail):
                    await self._write(batch)
                    if self.cursor_file is not None:
                        await stdout().flush()
                        self.cursor_file.save(tail)
                if self.cursor_file is not None:
                    self.cursor_file.save(tail)

    def _tail(
        self, resume: LogCursor | None, start_at: dt.datetime | None, *, follow: bool
    ) -> LogTail:
        return self.services.tail_logs(
            self.service_id,
            self.deployment_id,
            start_at=start_at,
            end_at=self.until,
            resume=resume,
            follow=follow,
            # Following a log waits for the end of any outage; showing it does not.
            max_outage=None if follow else _MAX_OUTAGE,
            on_event=self.on_event,
        )

    async def _batches(self, tail: LogTail) -> AsyncIterator[list[TailedEntry]]:
        async for batch in tail.batches():
            yield [entry for entry in batch if self.chosen.passes(entry)]

    async def _write(self, entries: Sequence[TailedEntry]) -> None:
        texts: list[str] = []
        for entry in entries:
            if self.notices.due_before(entry.deployment_id):
                stdout().post("".join(texts))
                texts.clear()
                self.notices.flush()
            texts.append(self.shown(entry, self.name))
        await stdout().write("".join(texts))
