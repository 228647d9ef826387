"""The commands about who may do what with a service: `shares list`, `add` and `remove`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click
from msgspec import UNSET

from aioservices.api.models import PermissionLevel, Shares, to_dict
from aioservices.cli.actions import look_up, name_and_id
from aioservices.cli.arguments import POSITIVE, SERVICE, as_json, changing, connected, examples
from aioservices.cli.confirm import confirm, enumerated
from aioservices.cli.connection import Connection
from aioservices.cli.console import note, would
from aioservices.cli.groups import Group
from aioservices.cli.tables import Column, table
from aioservices.cli.targets import find_one
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run

__all__ = ["shares"]


class _Share(NamedTuple):
    kind: str
    id: int
    name: str | None
    level: str


_COLUMNS = (
    Column[_Share]("kind", lambda s, _: s.kind),
    Column[_Share]("id", lambda s, _: s.id, right=True),
    Column[_Share]("name", lambda s, _: s.name, ratio=2),
    Column[_Share]("level", lambda s, _: s.level),
)


@click.group("shares", cls=Group, short_help="Show and change who may use a service.")
def shares() -> None:
    """Show and change who may use a service."""


def _holders(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name users and groups."""
    ids = POSITIVE
    for kind in ("group", "user"):
        option = click.option(
            f"--{kind}",
            f"{kind}_ids",
            type=ids,
            multiple=True,
            metavar="ID",
            help=f"A {kind}; may be repeated.",
        )
        command = option(command)
    return command


@shares.command(
    "list",
    short_help="List the users and groups that a service is shared with.",
    epilog=examples("aioservices shares list web-shop"),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@as_json("Print one JSON object: readers, writers and owners.")
@connected()
def list_shares(connection: Connection, *, service: str, as_json: bool) -> int:
    """List the users and groups that a service is shared with.

    SERVICE is an id, a name, or a pattern that matches one name.
    """

    async def main() -> int:
        async with connection.open() as services:
            target = await connection.reach(services, lambda view: find_one(view, service))
            found = await services.list_shares(target.id)
        if as_json:
            await stdout().write(json.dumps(to_dict(found)) + "\n")
        elif rows := _rows(found):
            await stdout().write(table(_COLUMNS, rows, now=dt.datetime.now(dt.UTC)))
        else:
            note(f"{name_and_id(target)} is shared with nobody")
        return 0

    return run(main)


@shares.command(
    "add",
    short_help="Share a service with users and groups.",
    epilog=examples(
        "aioservices shares add web-shop --user 7 --user 8 --level read",
        "aioservices shares add web-shop --group 3 --level manage --no-email",
    ),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@_holders
@click.option(
    "--level",
    type=click.Choice(["read", "write", "manage"]),
    required=True,
    help="What they may do with it.",
)
@click.option("--message", metavar="TEXT", help="Text of the e-mail to them.")
@click.option("--no-email", is_flag=True, help="Do not notify them by e-mail.")
@changing()
@as_json("Print one JSON object: readers, writers and owners.")
@connected()
def add_shares(
    connection: Connection,
    *,
    service: str,
    user_ids: Sequence[int],
    group_ids: Sequence[int],
    level: PermissionLevel,
    message: str | None,
    no_email: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Share a service with users and groups, or change what they may do with it.

    SERVICE is an id, a name, or a pattern that matches one name.
    """
    holders = _named(user_ids, group_ids)
    [target] = look_up(connection, [service], one=True)
    if dry_run:
        would(f"share {name_and_id(target)} with {enumerated(holders)}: {level}")
        return 0
    body = UNSET if message is None else message
    send = False if no_email else UNSET

    async def work() -> int:
        shared = Shares()
        async with connection.open() as services:
            if user_ids:
                shared = await services.put_shares_users(
                    target.id, user_ids, level, share_email_body=body, send_shared_email=send
                )
            if group_ids:
                shared = await services.put_shares_groups(
                    target.id, group_ids, level, share_email_body=body, send_shared_email=send
                )
        if as_json:
            await stdout().write(json.dumps(to_dict(shared)) + "\n")
        else:
            done = f"shared {name_and_id(target)} with {enumerated(holders)}: {level}\n"
            await stdout().write(done)
        return 0

    return run(work)


@shares.command(
    "remove",
    short_help="Stop sharing a service with users and groups.",
    epilog=examples("aioservices shares remove web-shop --user 7 --group 3"),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@_holders
@changing(asks="it asks before more than one user or group")
@connected()
def remove_shares(
    connection: Connection,
    *,
    service: str,
    user_ids: Sequence[int],
    group_ids: Sequence[int],
    dry_run: bool,
    yes: bool,
) -> int:
    """Stop sharing a service with users and groups.

    SERVICE is an id, a name, or a pattern that matches one name.
    """
    holders = _named(user_ids, group_ids)
    [target] = look_up(connection, [service], one=True)
    action = f"stop sharing {name_and_id(target)} with {enumerated(holders)}"
    if dry_run:
        would(action)
        return 0
    if len(holders) > 1:
        confirm(action, yes=yes)

    async def work() -> int:
        async with connection.open() as services:
            for user_id in user_ids:
                await services.delete_shares_users(target.id, user_id)
                stdout().post(f"stopped sharing {name_and_id(target)} with user {user_id}\n")
            for group_id in group_ids:
                await services.delete_shares_groups(target.id, group_id)
                stdout().post(f"stopped sharing {name_and_id(target)} with group {group_id}\n")
        return 0

    return run(work)


def _named(user_ids: Sequence[int], group_ids: Sequence[int]) -> list[str]:
    holders = [*(f"user {each}" for each in user_ids), *(f"group {each}" for each in group_ids)]
    if not holders:
        raise click.UsageError("name a user or group with --user or --group")
    return holders


def _rows(shares: Shares) -> list[_Share]:
    levels = {"manage": shares.owners, "write": shares.writers, "read": shares.readers}
    return [
        _Share(kind, each.id, each.name, level)
        for level, holders in levels.items()
        if holders is not None
        for kind, found in (("user", holders.users), ("group", holders.groups))
        for each in found or ()
    ]
