"""The commands about who owns a service, and what it needs: `transfer` and `dependencies`."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import click
from msgspec import UNSET

from aioservices.api.models import Dependency, Transfer, to_dict
from aioservices.cli.actions import look_up, name_and_id
from aioservices.cli.arguments import POSITIVE, SERVICE, as_json, changing, connected, examples
from aioservices.cli.confirm import confirm
from aioservices.cli.connection import Connection
from aioservices.cli.console import note, would
from aioservices.cli.tables import Column, table
from aioservices.cli.targets import find_one
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run

__all__ = ["dependencies", "transfer"]


def _yes_or_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


# The columns of a dependency, by itself and after a transfer.
_COLUMNS = (
    Column[Any]("id", lambda d, _: d.id, right=True),
    Column[Any]("type", lambda d, _: d.fco_type or d.object_type),
    Column[Any]("name", lambda d, _: d.name, ratio=2),
    Column[Any]("permission", lambda d, _: d.permission_level),
)
_DEPENDENCY_COLUMNS = (
    *_COLUMNS,
    Column[Any]("shareable", lambda d, _: _yes_or_no(d.shareable)),
    Column[Any]("description", lambda d, _: d.description, least=80, ratio=2, prose=True),
)
_TRANSFER_COLUMNS = (
    *_COLUMNS,
    Column[Any]("shared", lambda d, _: _yes_or_no(d.shared)),
    Column[Any]("description", lambda d, _: d.description, least=80, ratio=2, prose=True),
)


@click.command(
    "dependencies",
    short_help="List what a service needs.",
    epilog=examples("aioservices dependencies web-shop", "aioservices dependencies 42 --user 7"),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.option(
    "--user",
    "user_id",
    type=POSITIVE,
    metavar="ID",
    help="Show what this user may do with each of them.",
)
@as_json("Print one JSON object per line.")
@connected()
def dependencies(
    connection: Connection, *, service: str, user_id: int | None, as_json: bool
) -> int:
    """List what a service needs: scripts, credentials, tables and the like.

    SERVICE is an id, a name, or a pattern that matches one name.
    """

    async def main() -> int:
        async with connection.open() as services:
            target = await connection.reach(services, lambda view: find_one(view, service))
            found: list[Dependency] = await services.list_dependencies(target.id, user_id=user_id)
        if as_json:
            await stdout().write("".join(json.dumps(to_dict(each)) + "\n" for each in found))
        elif found:
            await stdout().write(table(_DEPENDENCY_COLUMNS, found, now=dt.datetime.now(dt.UTC)))
        else:
            note(f"{name_and_id(target)} depends on nothing")
        return 0

    return run(main)


@click.command(
    "transfer",
    short_help="Give a service to another owner.",
    epilog=examples(
        "aioservices transfer web-shop 7",
        "aioservices transfer web-shop 7 --with-dependencies --message 'Yours now.'",
    ),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.argument("user_id", metavar="USER_ID", type=POSITIVE)
@click.option(
    "--with-dependencies",
    is_flag=True,
    help="Let the new owner manage everything that the service needs, too.",
)
@click.option("--message", metavar="TEXT", help="Text of the e-mail to the new owner.")
@click.option("--no-email", is_flag=True, help="Do not notify the new owner by e-mail.")
@changing(asks="it asks, because only the new owner can undo it")
@as_json("Print one JSON object, with what was shared.")
@connected()
def transfer(
    connection: Connection,
    *,
    service: str,
    user_id: int,
    with_dependencies: bool,
    message: str | None,
    no_email: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Give a service to another owner.

    SERVICE is an id, a name, or a pattern that matches one name; USER_ID is the
    new owner.
    """
    [target] = look_up(connection, [service], one=True)
    more = " and all that it needs" if with_dependencies else ""
    action = f"transfer {name_and_id(target)}{more} to user {user_id}"
    if dry_run:
        would(action)
        return 0
    confirm(action, yes=yes, consequence="Only the new owner can undo this.")

    async def work() -> int:
        async with connection.open() as services:
            made: Transfer = await services.put_transfer(
                target.id,
                user_id,
                with_dependencies,
                email_body=UNSET if message is None else message,
                send_email=False if no_email else UNSET,
            )
        if as_json:
            await stdout().write(json.dumps(to_dict(made)) + "\n")
            return 0
        await stdout().write(f"transferred {name_and_id(target)} to user {user_id}\n")
        if made.dependencies:
            now = dt.datetime.now(dt.UTC)
            await stdout().write("\n" + table(_TRANSFER_COLUMNS, made.dependencies, now=now))
        return 0

    return run(work)
