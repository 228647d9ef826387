"""The commands that look into a store: `stored` and `export`."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import click

from aioservices.api.matching import select
from aioservices.cli.arguments import INSTANT, as_json, examples
from aioservices.cli.console import note, rendered
from aioservices.cli.errors import MISUSED, CommandError
from aioservices.stores import Store, StoreAudit, StoreConfigError, StoreError, open_store
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import Instant

__all__ = ["export", "opened", "stored", "stored_services"]


@contextlib.asynccontextmanager
async def opened(url: str, *, read_only: bool = True) -> AsyncGenerator[Store, None]:
    """Open a store for a command; what is wrong with it is explained."""
    try:
        store = open_store(url, read_only=read_only)
    except StoreConfigError as exc:
        raise CommandError(str(exc), status=MISUSED) from None
    try:
        async with store:
            yield store
    except StoreError as exc:
        raise CommandError(str(exc)) from exc


async def stored_services(store: Store, terms: Sequence[str]) -> dict[int, str | None]:
    """Find the services of a store that are meant by ids, names and patterns; all without any."""
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
    short_help="Show what a store holds, and whether it is whole.",
    epilog=examples(
        "aioservices stored sqlite:logs.db",
        "aioservices stored sqlite:logs.db --thorough",
        "aioservices stored sqlite:logs.db --forwarders",
        "aioservices stored sqlite:logs.db --resend otlp:http://127.0.0.1:4318/v1/logs --since 1d",
    ),
)
@click.argument("store_url", metavar="STORE")
@click.option("--thorough", is_flag=True, help="Read every line, to find any that is damaged.")
@click.option("--forwarders", is_flag=True, help="Show how far each forwarder is.")
@click.option("--resend", metavar="NAME", help="Have this forwarder send again what it has sent.")
@click.option("--since", type=INSTANT, help="With --resend: only what was stored since then.")
@click.option(
    "--rejected",
    "rejected_only",
    is_flag=True,
    help="With --resend: only from the first line on that the destination did not take.",
)
@as_json("One JSON object.")
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
    """Show what a store holds, service by service, and whether it is whole.

    STORE is sqlite:PATH or postgresql://... The lines of each service are numbered as they are
    stored: as many as the last number must be there, or have been removed by --keep. The exit
    status is 1 if any is missing.
    """
    if (since or rejected_only) and resend is None:
        raise CommandError("--since and --rejected go with --resend", status=MISUSED)

    async def main() -> int:
        async with opened(store_url, read_only=resend is None) as store:
            if resend is not None:
                return await _resend(store, resend, since, rejected_only=rejected_only)
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


async def _resend(store: Store, name: str, since: Instant | None, *, rejected_only: bool) -> int:
    known = sorted({each.forwarder for each in await store.forward_positions()})
    if name not in known:
        there = f"it has {', '.join(known)}" if known else "nothing was ever forwarded from it"
        raise CommandError(f"the store knows no forwarder {name!r}: {there}", status=MISUSED)
    begin = None if since is None else since.at(dt.datetime.now(dt.UTC))
    count = await store.resend(name, since=begin, rejected_only=rejected_only)
    note(f"{count:,} lines will be sent to {name} again, as soon as a daemon runs with it")
    return 0


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
    rows = [
        [one_line(each.forwarder), str(each.service_id), f"{each.seq:,}", f"{each.behind:,}"]
        for each in positions
    ]
    await stdout().write(
        _table(["FORWARDER", "SERVICE", "SENT UP TO", "BEHIND"], rows, right={1, 2, 3})
    )
    for lines in rejected:
        note(
            f"{one_line(lines.forwarder)} did not take {lines.count:,} of the lines "
            f"{lines.first_seq} to {lines.last_seq} of service {lines.service_id}: "
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
    rows = [
        [
            str(each.service_id),
            one_line(each.service_name or ""),
            f"{each.lines:,}",
            f"{each.removed:,}",
            _minute(each.first_at),
            _minute(each.last_at),
            f"{each.gaps:,}",
            "whole" if not each.problems else "DAMAGED",
        ]
        for each in audit.services
    ]
    heads = ["ID", "NAME", "LINES", "REMOVED", "FIRST", "LAST", "GAPS", ""]
    table = _table(heads, rows, right={0, 2, 3, 6})
    lines = sum(each.lines for each in audit.services)
    size = audit.bytes / 1_000_000
    return f"{table}{lines:,} lines of {len(rows):,} services in {size:,.1f} MB\n"


def _minute(time: dt.datetime | None) -> str:
    return "" if time is None else time.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: set[int]) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, head in enumerate(heads):
        table.add_column(
            head, justify="right" if number in right else "left", overflow="fold", no_wrap=False
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return rendered(table)


@click.command(
    "export",
    short_help="Write what a store holds to a file.",
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
@click.option("--jsonl", type=click.Path(path_type=Path), metavar="FILE", help="JSON, a line each.")
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
    """Write what a store holds of some services, or of all, to a file.

    The file is there when it is complete, and not before.
    """
    if (parquet is None) == (jsonl is None):
        raise CommandError("say either --parquet FILE or --jsonl FILE", status=MISUSED)
    now = dt.datetime.now(dt.UTC)
    begin, end = since and since.at(now), until and until.at(now)

    async def main() -> int:
        from aioservices.stores.export import write_jsonl, write_parquet

        async with opened(store_url) as store:
            services = await stored_services(store, terms)
            path = parquet or jsonl
            assert path is not None  # noqa: S101 - one of them was given
            write = write_jsonl if parquet is None else write_parquet
            try:
                count = await write(store, list(services), path, start_at=begin, end_at=end)
            except ModuleNotFoundError as exc:
                raise CommandError(
                    f"--parquet needs the package {exc.name}: "
                    "pip install 'aioservices-civis[parquet]'"
                ) from None
            except OSError as exc:
                raise CommandError(f"{path}: {exc.strerror or exc}") from exc
        note(f"{count:,} lines of {len(services):,} services are in {path}")
        return 0

    return run(main)
