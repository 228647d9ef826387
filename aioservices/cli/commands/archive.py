"""The commands for the archive: `archive` and `unarchive`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from aioservices.api.states import is_final
from aioservices.cli.actions import (
    MANY,
    Change,
    Unchanged,
    change_services,
    how_to_start,
    running_deployment,
)
from aioservices.cli.arguments import SERVICE, as_json, changing, connected, examples
from aioservices.cli.connection import Connection
from aioservices.cli.targets import Target, is_archived, with_standard_input
from aioservices.client import Services

__all__ = ["archive", "unarchive"]

_ASKS = f"it asks before more than {MANY} services"


@click.command(
    "archive",
    short_help="Move services into the archive, which ends their deployments.",
    epilog=examples("aioservices archive web-old", "aioservices archive 'test-*' --dry-run"),
)
@click.argument("terms", metavar="SERVICE...", nargs=-1, required=True, type=SERVICE)
@changing(asks=f"{_ASKS}, or before more than one running deployment ends")
@as_json("Print one JSON object per line for each finished service.")
@connected()
def archive(
    connection: Connection, *, terms: Sequence[str], dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Move services into the archive: ends running deployments, and hides the services.

    SERVICE is an id, a name, or a pattern such as 'test-*'; - reads them from
    standard input, one per line. aioservices unarchive takes them out again, and
    aioservices deploy deploys them.
    """
    change = Change(verb="archive", done="archived", act=_archive, ends_deployments=True)
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
@as_json("Print one JSON object per line for each finished service.")
@connected()
def unarchive(
    connection: Connection, *, terms: Sequence[str], dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Take services out of the archive, so that listings show them again.

    SERVICE is an id, or the name or pattern of archived services, which
    aioservices list --archived shows; - reads them from standard input, one per
    line. To deploy them, use aioservices deploy.
    """
    change = Change(verb="unarchive", done="unarchived", act=_unarchive, archived=True)
    terms = with_standard_input(terms)
    return change_services(connection, terms, change, dry_run=dry_run, yes=yes, as_json=as_json)


async def _archive(services: Services, target: Target) -> str | None:
    if is_archived(target):
        return Unchanged("it was archived already")
    before = running_deployment(target)
    after = (await services.put_archive(target.id, True)).current_deployment
    if before is None:
        return None
    ended = after is None or after.deployment_id != before.deployment_id or is_final(after.state)
    return f"deployment {before.deployment_id} {'has ended' if ended else 'still runs'}"


async def _unarchive(services: Services, target: Target) -> str | None:
    if not is_archived(target):
        return Unchanged("it was not archived")
    after = await services.put_archive(target.id, False)
    if running_deployment(after) is not None:
        return None
    return how_to_start(target)
