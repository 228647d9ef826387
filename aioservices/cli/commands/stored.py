"""The commands that read a store: `stored` and `export`."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import anyio
import click

from aioservices.api.matching import select
from aioservices.cli.arguments import INSTANT, as_json, examples
from aioservices.cli.console import note
from aioservices.cli.errors import USAGE_ERROR, CommandError
from aioservices.cli.tables import Column, table
from aioservices.stores import (
    ForwardPosition,
    ServiceAudit,
    Store,
    StoreAudit,
    StoreConfigError,
    StoreError,
    StoreLockedError,
    open_store,
)
from aioservices.terminal.numbers import quantity
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import Instant, format_instant

_RESPONSE_TIMEOUT = 60.0  # seconds; a daemon checks every ten

__all__ = ["export", "opened", "stored", "stored_services"]


@contextlib.asynccontextmanager
async def opened(url: str, *, read_only: bool = True) -> AsyncGenerator[Store, None]:
    """Open a store for a command, and explain its errors."""
    try:
        store = open_store(url, read_only=read_only)
    except StoreConfigError as exc:
        raise CommandError(str(exc), status=USAGE_ERROR) from None
    try:
        async with store:
            yield store
    except StoreError as exc:
        raise CommandError(str(exc)) from exc


async def stored_services(store: Store, terms: Sequence[str]) -> dict[int, str | None]:
    """Find services of a store by ids, names and patterns; without any, all of them."""
    names = {each.service_id: each.service_name for each in await store.services()}
    if not terms:
        return names
    selection = select(terms, names)
    if selection.unmatched:
        listed = ", ".join(map(repr, selection.unmatched))
        raise CommandError(
            f"the store has no lines of {listed}: see aioservices stored {store.url}"
        )
    return {service_id: names[service_id] for service_id in selection.ids}


@click.command(
    "stored",
    short_help="Show what a store contains, and whether it is complete.",
    epilog=examples(
        "aioservices stored sqlite:logs.db",
        "aioservices stored sqlite:logs.db --thorough",
        "aioservices stored sqlite:logs.db --forwarders",
        "aioservices stored sqlite:logs.db --resend otlp:http://127.0.0.1:4318 --since 1d",
    ),
)
@click.argument("store_url", metavar="STORE")
@click.option("--thorough", is_flag=True, help="Read every line, to find any that is damaged.")
@click.option("--forwarders", is_flag=True, help="Show the position of each forwarder.")
@click.option(
    "--resend",
    metavar="TO",
    help="Have this forwarder send again what it has sent: its name, or what --forward was given.",
)
@click.option("--since", type=INSTANT, help="With --resend: only what was stored since then.")
@click.option(
    "--rejected",
    "rejected_only",
    is_flag=True,
    help="With --resend: only from the first line on that the destination rejected.",
)
@as_json("Print one JSON object.")
def stored(
    *,
    store_url: str,
    thorough: bool,
    forwarders: bool,
    resend: str | None,
    since: Instant | None,
    rejected_only: bool,
    as_json: bool,
) -> int:
    """Show what a store contains, service by service, and whether it is complete.

    STORE is sqlite:PATH or postgresql://... The lines of each service are numbered as they are
    stored, so a store is complete if no number is missing that --keep has not removed. The exit
    status is 1 if any is missing.
    """
    if (since or rejected_only) and resend is None:
        raise CommandError("--since and --rejected need --resend", status=USAGE_ERROR)

    async def main() -> int:
        if resend is not None:
            return await _resend(store_url, resend, since, rejected_only=rejected_only)
        async with opened(store_url, read_only=True) as store:
            if forwarders:
                await _show_forwarders(store, as_json=as_json)
                return 0
            audit = await store.audit(thorough=thorough)
            text = _audit_as_json(audit) if as_json else _audit_as_table(audit)
            await stdout().write(text)
            for problem in audit.problems:
                note(one_line(problem))
            for service in audit.services:
                for problem in service.problems:
                    note(f"service {service.service_id}: {one_line(problem)}")
            return 0 if audit.ok else 1

    return run(main)


async def _resend(url: str, name: str, since: Instant | None, *, rejected_only: bool) -> int:
    try:
        async with opened(url, read_only=False) as store:
            await _move_back(store, name, since, rejected_only=rejected_only)
    except CommandError as exc:
        locked = exc.__cause__
        if not isinstance(locked, StoreLockedError):
            raise
        holder = "the process" if locked.pid is None else f"process {locked.pid}"
        note(f"asking {holder} that collects into {url} ...")
        async with opened(url, read_only=True) as store:
            with anyio.move_on_after(_RESPONSE_TIMEOUT) as scope:
                await _move_back(store, name, since, rejected_only=rejected_only)
        if scope.cancelled_caught:
            raise CommandError(f"{holder} does not answer: stop it, and try again") from None
    return 0


async def _move_back(
    store: Store, destination: str, since: Instant | None, *, rejected_only: bool
) -> None:
    known = sorted({each.forwarder for each in await store.forward_positions()})
    name = destination if destination in known else _forwarder_name(destination)
    if name not in known:
        there = f"it has {', '.join(known)}" if known else "nothing was ever forwarded from it"
        text = f"the store has no forwarder {destination!r}: {there}"
        raise CommandError(text, status=USAGE_ERROR)
    begin = None if since is None else since.at(dt.datetime.now(dt.UTC))
    count = await store.resend(name, since=begin, rejected_only=rejected_only)
    if count < 0:
        note(f"the daemon sends to {name} again")
    else:
        lines = quantity(count, "line")
        note(f"{lines} will be sent to {name} again, as soon as a daemon runs with it")


def _forwarder_name(destination: str) -> str:
    """Return the name of the forwarder that ``--forward`` makes of a destination."""
    from aioservices.stores.forward.url import open_forwarder
    from aioservices.stores.forward.worker import name_of

    try:
        return name_of(open_forwarder(destination))
    except StoreConfigError:  # a forwarder of somebody's own, whose name is all there is
        return destination


async def _show_forwarders(store: Store, *, as_json: bool) -> None:
    positions = await store.forward_positions()
    rejected = await store.rejected()
    if as_json:
        value = {
            "forwarders": [_built_in(position) for position in positions],
            "rejected": [_built_in(lines) for lines in rejected],
        }
        await stdout().write(json.dumps(value) + "\n")
        return
    if not positions:
        note("nothing was ever forwarded from this store")
        return
    await stdout().write(table(_FORWARDER_COLUMNS, positions, now=dt.datetime.now(dt.UTC)))
    for lines in rejected:
        note(
            f"{one_line(lines.forwarder)} rejected {quantity(lines.count, 'line')}, some of them "
            f"of service {lines.service_id} from {lines.first_seq} to {lines.last_seq}: "
            f"{one_line(lines.reason)}"
        )


def _built_in(value: object) -> object:
    import msgspec

    return msgspec.to_builtins(value)


def _audit_as_json(audit: StoreAudit) -> str:
    value = {"ok": audit.ok, "bytes": audit.bytes, "problems": list(audit.problems)}
    services = [_built_in(service) for service in audit.services]
    return json.dumps({**value, "services": services}) + "\n"


def _audit_as_table(audit: StoreAudit) -> str:
    lines = sum(each.lines for each in audit.services)
    size = audit.bytes / 1_000_000
    shown = table(_SERVICE_COLUMNS, audit.services, now=dt.datetime.now(dt.UTC))
    services = quantity(len(audit.services), "service")
    return f"{shown}{quantity(lines, 'line')} of {services} in {size:,.1f} MB\n"


def _minute(time: dt.datetime | None) -> str | None:
    return None if time is None else format_instant(time, "minutes")


_FORWARDER_COLUMNS = (
    Column[ForwardPosition]("forwarder", lambda p, _: p.forwarder, ratio=2),
    Column[ForwardPosition]("service", lambda p, _: p.service_id, right=True),
    Column[ForwardPosition]("sent up to", lambda p, _: f"{p.seq:,}", right=True),
    Column[ForwardPosition]("behind", lambda p, _: f"{p.behind:,}", right=True),
)
_SERVICE_COLUMNS = (
    Column[ServiceAudit]("id", lambda s, _: s.service_id, right=True),
    Column[ServiceAudit]("name", lambda s, _: s.service_name, ratio=2),
    Column[ServiceAudit]("lines", lambda s, _: f"{s.lines:,}", right=True),
    Column[ServiceAudit]("removed", lambda s, _: f"{s.removed:,}", least=90, right=True),
    Column[ServiceAudit]("first", lambda s, _: _minute(s.first_at), least=70),
    Column[ServiceAudit]("last", lambda s, _: _minute(s.last_at), least=50),
    Column[ServiceAudit]("gaps", lambda s, _: f"{s.gaps:,}", least=80, right=True),
    Column[ServiceAudit]("", lambda s, _: "DAMAGED" if s.problems else "whole"),
)


@click.command(
    "export",
    short_help="Write stored lines to a file.",
    epilog=examples(
        "aioservices export sqlite:logs.db --jsonl logs.jsonl",
        "aioservices export sqlite:logs.db web-shop --parquet web.parquet --since 7d",
    ),
)
@click.argument("store_url", metavar="STORE")
@click.argument("terms", metavar="[SERVICE]...", nargs=-1)
@click.option(
    "--parquet", type=click.Path(path_type=Path), metavar="FILE", help="As Parquet; needs pyarrow."
)
@click.option(
    "--jsonl", type=click.Path(path_type=Path), metavar="FILE", help="As JSON, one object per line."
)
@click.option("--since", type=INSTANT, help="Only lines from then on: 10m (ago), or a date.")
@click.option("--until", type=INSTANT, help="Only lines until then.")
def export(
    *,
    store_url: str,
    terms: tuple[str, ...],
    parquet: Path | None,
    jsonl: Path | None,
    since: Instant | None,
    until: Instant | None,
) -> int:
    """Write the stored lines of some services, or of all, to a file.

    The file appears only when it is complete.
    """
    if (parquet is None) == (jsonl is None):
        raise CommandError("pass either --parquet FILE or --jsonl FILE", status=USAGE_ERROR)
    now = dt.datetime.now(dt.UTC)
    begin, end = since and since.at(now), until and until.at(now)

    async def main() -> int:
        from aioservices.stores.export import export_lines

        async with opened(store_url) as store:
            services = await stored_services(store, terms)
            path = parquet or jsonl
            assert path is not None  # noqa: S101 - one of them was given
            try:
                count = await export_lines(
                    store,
                    list(services),
                    path,
                    format="jsonl" if parquet is None else "parquet",
                    start_at=begin,
                    end_at=end,
                )
            except ModuleNotFoundError as exc:
                raise CommandError(
                    f"--parquet needs the package {exc.name}: "
                    "pip install 'aioservices-civis[parquet]'"
                ) from None
            except OSError as exc:
                raise CommandError(f"{path}: {exc.strerror or exc}") from exc
        found = f"{quantity(count, 'line')} of {quantity(len(services), 'service')}"
        note(f"{path} contains {found}")
        return 0

    return run(main)
