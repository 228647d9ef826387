"""The command that shows many logs in one: `watch`."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import anyio
import click

from aioservices.api.matching import is_pattern, matches
from aioservices.api.models import TailedEntry
from aioservices.cli.arguments import (
    COUNT,
    DURATION,
    INSTANT,
    SERVICE,
    connected,
    examples,
    line_options,
)
from aioservices.cli.connection import Connection
from aioservices.cli.console import note
from aioservices.cli.errors import FAILED, CommandError
from aioservices.cli.filters import Filter, Format
from aioservices.cli.last_lines import last_lines
from aioservices.cli.targets import Target, find
from aioservices.client import Services
from aioservices.fleet import CursorFile, LogWatch
from aioservices.tail import LogCursor, LogTail
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import Instant

__all__ = ["watch"]

# The last lines give context, and clocks may differ.
_DEFAULT_SINCE = dt.timedelta(seconds=10)
_AT_ONCE = 10  # services whose last lines are read at the same time
_MAX_OUTAGE = 60.0  # seconds of an outage, while these are read

_SAVE_INTERVAL = 1.0  # seconds
_LAST_WRITE = 1.0  # seconds to write the last lines after an interruption

_Lines: TypeAlias = tuple[Sequence[TailedEntry], LogCursor]


@click.command(
    "watch",
    short_help="Follow the logs of many services at once.",
    epilog=examples(
        "aioservices watch",
        "aioservices watch 'web-*' --since 5m --timestamps",
        "aioservices watch web-shop batch -n 20",
        "aioservices watch 'web-*' --template '{time} {name}: {message}'",
        "aioservices watch --json --cursor fleet.cursor >> fleet.jsonl",
    ),
)
@click.argument("terms", metavar="[PATTERN]...", nargs=-1, type=SERVICE)
@click.option(
    "-n",
    "--lines",
    "last",
    type=COUNT,
    metavar="N",
    help="Begin with the last N lines of each service.",
)
@click.option("--since", type=INSTANT, help="Begin with the lines since then: 10m, or a date.")
@click.option(
    "--cursor",
    "cursor_path",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Continue after the lines shown with this FILE, and store the position in it.",
)
@click.option(
    "--hold-back",
    type=DURATION,
    help="Delay lines by up to this long, to sort those of all services by time.",
)
@click.option(
    "--refresh",
    type=DURATION,
    default="30s",
    show_default=True,
    help="How often to look for new services.",
)
@click.option(
    "--no-wait", is_flag=True, help="Fail if no matching service is running, instead of waiting."
)
@line_options(named=True)
@connected()
def watch(
    connection: Connection,
    *,
    terms: Sequence[str],
    last: int | None,
    since: Instant | None,
    cursor_path: str | None,
    hold_back: float | None,
    refresh: float,
    no_wait: bool,
    chosen: Filter,
    shown: Format,
) -> int:
    """Follow the logs of many services at once; each line starts with its service's name.

    Without PATTERN it follows all running services, with one PATTERN those with
    matching names; services that start to run later are added. With ids, names
    or several patterns it stays with the services that match at the start,
    whether they run or not.

    It starts with the lines of the last ten seconds, unless --since, -n or
    --cursor is used.
    """
    if last is not None and since is not None:
        raise click.UsageError("--lines and --since cannot be used together")
    cursor_file = None if cursor_path is None else CursorFile(cursor_path)
    if cursor_file is not None:
        cursor_file.check()
    notices = connection.notices

    async def begun(services: Services) -> LogWatch:
        now = await connection.now(services)
        begin = now - _DEFAULT_SINCE if since is None else since.at(now)
        resume = cursor_file.load_checkpoint() if cursor_file else {}
        name = terms[0] if len(terms) == 1 and is_pattern(terms[0]) else None
        ids: list[int] | None = None
        targets: list[Target] = []
        if terms and name is None:
            targets = await connection.reach(services, lambda view: find(view, terms))
            ids = [target.id for target in targets]
        else:
            targets = await connection.reach(services, lambda view: _running(view, name))
            if not targets:
                matches = f" matches {name!r}" if name else " is there"
                if no_wait:
                    raise CommandError(f"no running service{matches}", status=FAILED)
                note(f"no running service{matches} yet: waiting for one")
        notices.names.update({each.id: one_line(each.name or "") for each in targets})
        shown.expect({each.id: each.name for each in targets})
        if last is not None:
            fresh = [each for each in targets if each.current_deployment and each.id not in resume]
            found = await _last_lines(services, fresh, last, chosen, now)
            await _write_in_order(found.values(), fresh, shown)
            resume |= {service_id: cursor for service_id, (_, cursor) in found.items()}
        return services.watch_logs(
            ids,
            name=name,
            start_at=begin,
            resume=resume,
            refresh=refresh,
            hold_back=hold_back,
            on_event=notices.event,
        )

    async def main() -> int:
        async with connection.open() as services, await begun(services) as lines:
            saver = _CursorSaver(cursor_file, lines)
            try:
                async for line in lines:
                    notices.names.setdefault(line.service_id, one_line(line.service_name or ""))
                    if notices.due_before(line.deployment_id):
                        notices.flush()
                    if chosen.passes(line.entry):
                        await stdout().write(shown(line.entry, line.service_name))
                    await saver.save_periodically()
            finally:
                with anyio.move_on_after(_LAST_WRITE, shield=True):
                    await saver.save()
        return 0

    return run(main, ends_with_output=True)


class _CursorSaver:
    """Stores the position of a watch behind the lines that were written."""

    def __init__(self, file: CursorFile | None, lines: LogWatch) -> None:
        self._file = file
        self._lines = lines
        self._due = 0.0

    async def save_periodically(self) -> None:
        """Save it, at most once a second."""
        if self._file is not None and time.monotonic() >= self._due:
            self._due = time.monotonic() + _SAVE_INTERVAL
            await self.save()

    async def save(self) -> None:
        """Save it, once everything is written."""
        if self._file is not None:
            checkpoint = self._lines.checkpoint
            await stdout().flush()
            self._file.save(checkpoint)
            self._file.flush()


async def _last_lines(
    services: Services, targets: Sequence[Target], count: int, chosen: Filter, now: dt.datetime
) -> dict[int, _Lines]:
    """Find the last lines of each of some services."""
    found: dict[int, _Lines] = {}
    slots = anyio.CapacityLimiter(_AT_ONCE)

    async def read(service_id: int) -> None:
        def open_tail(begin: dt.datetime | None) -> LogTail:
            return services.tail_logs(
                service_id, start_at=begin, follow=False, max_outage=_MAX_OUTAGE
            )

        async with slots:
            found[service_id] = await last_lines(
                open_tail, count, chosen, since=None, until=None, now=now
            )

    async with anyio.create_task_group() as group:
        for each in targets:
            group.start_soon(read, each.id)
    return found


async def _write_in_order(
    found: Iterable[_Lines], targets: Sequence[Target], shown: Format
) -> None:
    """Write lines of many services in the order of their time."""
    names = {target.id: target.name for target in targets}
    entries = sorted(
        (entry for lines, _ in found for entry in lines), key=lambda entry: entry.created_at
    )
    await stdout().write("".join(shown(entry, names[entry.service_id]) for entry in entries))


async def _running(services: Services, pattern: str | None) -> list[Target]:
    """Find the running services with such a name."""
    return [
        service
        async for service in services.list(status="running", order="name", order_dir="asc")
        if pattern is None or matches(service.name, pattern)
    ]
