"""The commands about the tokens of a service: `tokens list`, `create` and `revoke`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

import click
from msgspec import UNSET

from aioservices.api.models import Token, to_dict
from aioservices.cli.actions import called, look_up
from aioservices.cli.arguments import (
    DURATION,
    POSITIVE,
    SERVICE,
    as_json,
    changing,
    connected,
    examples,
)
from aioservices.cli.confirm import confirm, numbered
from aioservices.cli.connection import Connection
from aioservices.cli.console import note
from aioservices.cli.errors import CommandError
from aioservices.cli.groups import Group
from aioservices.cli.tables import Column, age, table
from aioservices.cli.targets import find_one
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import in_words

__all__ = ["tokens"]


def _expiry(token: Token, now: dt.datetime) -> str:
    if token.expires_at is None:
        return "never"
    left = (token.expires_at - now).total_seconds()
    return f"in {in_words(left)}" if left > 0 else "expired"


def _owner(token: Token, _: dt.datetime) -> str | None:
    if token.machine_token:
        return "machine"
    return (token.user.name or token.user.username) if token.user else None


_COLUMNS = (
    Column[Token]("id", lambda t, _: t.id, right=True),
    Column[Token]("name", lambda t, _: t.name, ratio=2),
    Column[Token]("owner", _owner),
    Column[Token]("expires", _expiry),
    Column[Token]("age", lambda t, now: age(t.created_at, now), least=60),
)


@click.group("tokens", cls=Group, short_help="Show, create and revoke tokens of a service.")
def tokens() -> None:
    """Show, create and revoke tokens, which let programs use a service."""


@tokens.command(
    "list",
    short_help="List the tokens of a service; their values are not shown.",
    epilog=examples("aioservices tokens list web-shop"),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@as_json("One JSON object a line.")
@connected()
def list_tokens(connection: Connection, *, service: str, as_json: bool) -> int:
    """List the tokens of a service. The platform shows their values only once.

    SERVICE is an id, a name, or a pattern that matches one name.
    """

    async def main() -> int:
        async with connection.open() as services:
            target = await connection.reach(services, lambda view: find_one(view, service))
            found = await services.list_tokens(target.id)
        if as_json:
            await stdout().write("".join(json.dumps(to_dict(each)) + "\n" for each in found))
        elif found:
            await stdout().write(table(_COLUMNS, found, now=dt.datetime.now(dt.UTC)))
        else:
            note(f"{called(target)} has no tokens")
        return 0

    return run(main)


@tokens.command(
    "create",
    short_help="Create a token, and print its value once.",
    epilog=examples(
        "aioservices tokens create web-shop ci --expires-in 90d > token",
        "aioservices tokens create web-shop robot --machine --json",
    ),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.argument("name", metavar="NAME")
@click.option("--machine", is_flag=True, help="A token that belongs to no user.")
@click.option(
    "--expires-in", type=DURATION, help="After this time it is worth nothing: 12h, 90d, ..."
)
@changing()
@as_json("One JSON object, with the value as 'token'.")
@connected()
def create_token(
    connection: Connection,
    *,
    service: str,
    name: str,
    machine: bool,
    expires_in: float | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Create a token of a service.

    Its value is printed once, alone on standard output, and cannot be shown
    again: send it to where it is kept. SERVICE is an id, a name, or a pattern
    that matches one name.
    """
    [target] = look_up(connection, [service], one=True)
    if dry_run:
        print(f"would create the token {one_line(name)!r} of {called(target)}")
        return 0

    async def work() -> int:
        async with connection.open() as services:
            made = await services.post_tokens(
                target.id,
                name,
                machine_token=machine or UNSET,
                expires_in=UNSET if expires_in is None else max(1, round(expires_in)),
            )
        if not made.token:
            raise CommandError(f"the server has made token {made.id}, and not told its value")
        expiry = _expiry(made, dt.datetime.now(dt.UTC))
        expires = "it never expires" if expiry == "never" else f"it expires {expiry}"
        note(f"created token {made.id} of {called(target)}: {expires}")
        if stdout().is_terminal:
            note("this is the only time that its value is shown: keep it as you keep a password")
        value = json.dumps(to_dict(made)) if as_json else one_line(made.token)
        await stdout().write(value + "\n")
        return 0

    return run(work)


@tokens.command(
    "revoke",
    short_help="Revoke tokens of a service.",
    epilog=examples("aioservices tokens revoke web-shop 11 12"),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.argument("token_ids", metavar="TOKEN_ID...", nargs=-1, required=True, type=POSITIVE)
@changing(asks="it asks, because a token that is revoked cannot be had back")
@connected()
def revoke_tokens(
    connection: Connection, *, service: str, token_ids: Sequence[int], dry_run: bool, yes: bool
) -> int:
    """Revoke tokens of a service: what uses them is turned away from then on.

    SERVICE is an id, a name, or a pattern that matches one name; TOKEN_ID as
    aioservices tokens list shows it.
    """
    [target] = look_up(connection, [service], one=True)
    action = f"revoke {numbered('token', token_ids)} of {called(target)}"
    if dry_run:
        print(f"would {action}")
        return 0
    confirm(
        action,
        yes=yes,
        consequence="What uses these tokens is turned away; this cannot be undone.",
    )

    async def work() -> int:
        async with connection.open() as services:
            for token_id in token_ids:
                await services.delete_tokens(target.id, token_id)
                stdout().post(f"revoked token {token_id} of {called(target)}\n")
        return 0

    return run(work)
