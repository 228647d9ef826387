"""The commands about the tokens of a service: `tokens list`, `create` and `revoke`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

import click
from msgspec import UNSET

from aioservices.api.models import Token, to_dict
from aioservices.cli.actions import look_up, name_and_id
from aioservices.cli.arguments import (
    DURATION,
    SERVICE,
    TOKEN,
    as_json,
    changing,
    connected,
    examples,
)
from aioservices.cli.confirm import confirm, enumerated
from aioservices.cli.connection import Connection
from aioservices.cli.console import note, would
from aioservices.cli.errors import USAGE_ERROR, CommandError
from aioservices.cli.groups import Group
from aioservices.cli.tables import Column, age, table
from aioservices.cli.targets import Target, find_one
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import format_duration

__all__ = ["tokens"]


def _expiry(token: Token, now: dt.datetime) -> str:
    if token.expires_at is None:
        return "never"
    left = (token.expires_at - now).total_seconds()
    return f"in {format_duration(left)}" if left > 0 else "expired"


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
@as_json("Print one JSON object per line.")
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
            note(f"{name_and_id(target)} has no tokens")
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
@click.option("--machine", is_flag=True, help="Create a token that belongs to no user.")
@click.option("--expires-in", type=DURATION, help="Let it expire after this time: 12h, 90d, ...")
@changing()
@as_json("Print one JSON object, with the value as 'token'.")
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

    Its value is printed alone on standard output, so that you can redirect it. It
    cannot be shown again. SERVICE is an id, a name, or a pattern
    that matches one name.
    """
    [target] = look_up(connection, [service], one=True)
    lifetime = None if expires_in is None else max(1, round(expires_in))  # in whole seconds
    if dry_run:
        expires = "" if lifetime is None else f", which expires in {format_duration(lifetime)}"
        would(f"create the token {one_line(name)!r} of {name_and_id(target)}{expires}")
        if lifetime is None:
            note("the platform decides when it expires, unless --expires-in is used")
        return 0

    async def work() -> int:
        async with connection.open() as services:
            made = await services.post_tokens(
                target.id,
                name,
                machine_token=machine or UNSET,
                expires_in=UNSET if lifetime is None else lifetime,
            )
        if not made.token:
            raise CommandError(f"the server has made token {made.id}, but did not return its value")
        expiry = _expiry(made, dt.datetime.now(dt.UTC))
        expires = "it never expires" if expiry == "never" else f"it expires {expiry}"
        note(f"created token {made.id} of {name_and_id(target)}: {expires}")
        if stdout().is_terminal:
            note("this is the only time that its value is shown: keep it as you keep a password")
        value = json.dumps(to_dict(made)) if as_json else one_line(made.token)
        await stdout().write(value + "\n")
        return 0

    return run(work)


@tokens.command(
    "revoke",
    short_help="Revoke tokens of a service.",
    epilog=examples(
        "aioservices tokens revoke web-shop 11 12", "aioservices tokens revoke web-shop ci"
    ),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.argument("terms", metavar="TOKEN...", nargs=-1, required=True, type=TOKEN)
@changing(asks="it asks, because a revoked token cannot be restored")
@connected()
def revoke_tokens(
    connection: Connection, *, service: str, terms: Sequence[int | str], dry_run: bool, yes: bool
) -> int:
    """Revoke tokens of a service, so that they no longer give access to it.

    SERVICE is an id, a name, or a pattern that matches one name; TOKEN is an id
    or a name, as aioservices tokens list shows them.
    """
    [target] = look_up(connection, [service], one=True)
    chosen = _chosen(connection, target, terms)
    plural = "s" * (len(chosen) > 1)
    action = f"revoke token{plural} {enumerated([*chosen.values()])} of {name_and_id(target)}"
    if dry_run:
        would(action)
        return 0
    confirm(
        action,
        yes=yes,
        consequence="Programs that use these tokens lose access; this cannot be undone.",
    )

    async def work() -> int:
        async with connection.open() as services:
            for token_id, shown in chosen.items():
                await services.delete_tokens(target.id, token_id)
                stdout().post(f"revoked token {shown} of {name_and_id(target)}\n")
        return 0

    return run(work)


def _chosen(connection: Connection, target: Target, terms: Sequence[int | str]) -> dict[int, str]:
    """Find tokens by ids and names; returns their labels by id."""
    listed: list[Token] = []

    async def fetch() -> int:
        async with connection.open() as services:
            listed.extend(await services.list_tokens(target.id))
        return 0

    if any(isinstance(term, str) for term in terms) and (status := run(fetch)):
        raise click.exceptions.Exit(status)
    chosen: dict[int, str] = {}
    for term in terms:
        if isinstance(term, int):
            chosen.setdefault(term, str(term))
            continue
        ids = [each.id for each in listed if each.name == term]
        if not ids:
            advice = f"aioservices tokens list {target.id} shows what there is"
            raise CommandError(f"{name_and_id(target)} has no token called {term!r}: {advice}")
        if len(ids) > 1:
            numbers = ", ".join(map(str, ids))
            raise CommandError(
                f"{len(ids)} tokens are called {term!r}: say which by its id ({numbers})",
                status=USAGE_ERROR,
            )
        chosen[ids[0]] = f"{one_line(term)} ({ids[0]})"
    return chosen
