"""The commands that put services away: `archive` and `unarchive`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import click

from aioservices.cli.actions import MANY, Change, change_services
from aioservices.cli.arguments import SERVICE, as_json, changing, connected, examples
from aioservices.cli.connection import Connection
from aioservices.cli.targets import Target, with_standard_input
from aioservices.client import Services

__all__ = ["archive", "unarchive"]

_ASKS = f"it asks before more than {MANY} services"


@click.command(
    "archive",
    short_help="Put services into the archive.",
    epilog=examples("aioservices archive web-old", "aioservices archive 'test-*' --dry-run"),
)
@click.argument("terms", metavar="SERVICE...", nargs=-1, required=True, type=SERVICE)
@changing(asks=_ASKS)
@as_json("One JSON object a line, for each service as it is done.")
@connected()
def archive(
    connection: Connection, *, terms: Sequence[str], dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Put services into the archive: listings leave them out.

    SERVICE is an id, a name, or a pattern such as 'test-*'; - reads them from
    standard input, one a line. It is undone by: aioservices unarchive
    """
    change = Change(verb="archive", done="archived", act=partial(_set, archived=True))
    terms = with_standard_input(terms)
    return change_services(connection, terms, change, dry_run=dry_run, yes=yes, as_json=as_json)


@click.command(
    "unarchive",
    short_help="Take services out of the archive.",
    epilog=examples(
        "aioservices unarchive web-old",
        "aioservices list --archived -q | aioservices unarchive - --yes",
    ),
)
@click.argument("terms", metavar="SERVICE...", nargs=-1, required=True)
@changing(asks=_ASKS)
@as_json("One JSON object a line, for each service as it is done.")
@connected()
def unarchive(
    connection: Connection, *, terms: Sequence[str], dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Take services out of the archive: listings have them again.

    SERVICE is an id, or the name or pattern of archived services, which
    aioservices list --archived shows; - reads them from standard input, one a
    line.
    """
    act = partial(_set, archived=False)
    change = Change(verb="unarchive", done="unarchived", act=act, archived=True)
    terms = with_standard_input(terms)
    return change_services(connection, terms, change, dry_run=dry_run, yes=yes, as_json=as_json)


async def _set(services: Services, target: Target, *, archived: bool) -> None:
    await services.put_archive(target.id, archived)
