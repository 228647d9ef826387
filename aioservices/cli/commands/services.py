"""The commands that show services: `list`, `get` and `open`."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import webbrowser
from collections.abc import Sequence
from typing import Literal

import anyio
import click

from aioservices.api.matching import is_id, matches
from aioservices.api.models import JSON, Service, ServiceSummary, to_dict
from aioservices.api.states import StatusFilter
from aioservices.cli.actions import name_and_id, running_deployment
from aioservices.cli.arguments import POSITIVE, SERVICE, as_json, connected, examples
from aioservices.cli.attributes import MASK
from aioservices.cli.connection import Connection
from aioservices.cli.console import note
from aioservices.cli.details import service_shown
from aioservices.cli.errors import CommandError
from aioservices.cli.tables import Column, age, joined, named_columns, state_of, table, to_csv
from aioservices.cli.targets import find, find_one, is_archived
from aioservices.client import Services
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import format_instant

__all__ = ["get_services", "list_services", "open_service", "without_secrets"]


def _state(service: ServiceSummary, _: dt.datetime) -> str:
    return "archived" if is_archived(service) else state_of(service.current_deployment)


def _age(service: ServiceSummary, now: dt.datetime) -> str | None:
    deployment = service.current_deployment
    return age(deployment.created_at, now) if deployment else None


def _url(service: ServiceSummary, _: dt.datetime) -> str | None:
    # A deployment that has ended does not answer at its address.
    deployment = running_deployment(service)
    host = None if deployment is None else deployment.host
    return host if not host or "://" in host else f"https://{host}"


def _owner(service: ServiceSummary, _: dt.datetime) -> str | None:
    return (service.user.name or service.user.username) if service.user else None


_COLUMNS = (
    Column[ServiceSummary]("id", lambda s, _: s.id, right=True),
    Column[ServiceSummary]("name", lambda s, _: s.name, ratio=2),
    Column[ServiceSummary]("state", _state),
    Column[ServiceSummary]("age", _age, least=60),
    Column[ServiceSummary]("owner", _owner, least=70),
    Column[ServiceSummary]("url", _url, least=100, ratio=3),
    Column[ServiceSummary](
        "message",
        lambda s, _: s.current_deployment and s.current_deployment.state_message,
        least=130,
        ratio=2,
        prose=True,
    ),
    Column[ServiceSummary](
        "repository", lambda s, _: joined(" ", s.git_repo_url, s.git_repo_ref), least=160, ratio=2
    ),
)
# Columns that are shown on request only.
_EXTRA_COLUMNS = (
    Column[ServiceSummary](
        "deployment", lambda s, _: s.current_deployment and s.current_deployment.deployment_id
    ),
    Column[ServiceSummary]("type", lambda s, _: s.type),
    Column[ServiceSummary]("description", lambda s, _: s.description, ratio=2, prose=True),
    Column[ServiceSummary]("created", lambda s, _: s.created_at and format_instant(s.created_at)),
    Column[ServiceSummary]("updated", lambda s, _: s.updated_at and format_instant(s.updated_at)),
)


@click.command(
    "list",
    short_help="List services.",
    epilog=examples(
        "aioservices list",
        "aioservices list 'web-*' --status running",
        "aioservices list --columns id,name,url,created",
        "aioservices list --csv > services.csv",
        "aioservices list --status idle -q | aioservices deploy - --yes",
        "aioservices list --json | jq -r 'select(.current_deployment == null) | .id'",
    ),
)
@click.argument("terms", metavar="[PATTERN]...", nargs=-1, type=SERVICE)
@click.option("--name", "pattern", metavar="PATTERN", hidden=True)
@click.option(
    "--status", type=click.Choice(["running", "idle"]), help="Only services with this status."
)
@click.option(
    "--author", metavar="IDS", help="Only services of these users: ids, separated by commas."
)
@click.option("--archived", is_flag=True, help="List archived services instead.")
@click.option("--hidden", is_flag=True, help="Show the hidden ones instead.")
@click.option(
    "--order",
    type=click.Choice(["updated_at", "name", "created_at"]),
    default="name",
    show_default=True,
    help="Sort by this.",
)
@click.option("--desc", is_flag=True, help="Sort in descending order.")
@click.option("-n", "--limit", type=POSITIVE, metavar="N", help="Show at most this many.")
@click.option("-q", "--quiet", is_flag=True, help="Print only ids, one per line.")
@click.option(
    "--columns",
    metavar="NAMES",
    help="Columns to show, separated by commas: "
    f"{', '.join(column.name for column in (*_COLUMNS, *_EXTRA_COLUMNS))}.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@as_json("Print one JSON object per line.")
@connected()
def list_services(
    connection: Connection,
    *,
    terms: Sequence[str],
    pattern: str | None,
    status: StatusFilter | None,
    author: str | None,
    archived: bool,
    hidden: bool,
    order: Literal["updated_at", "name", "created_at"],
    desc: bool,
    limit: int | None,
    quiet: bool,
    columns: str | None,
    as_csv: bool,
    as_json: bool,
) -> int:
    """List services: all of them, or those that match a PATTERN.

    PATTERN is a name, an id, or a pattern such as 'web-*'. A terminal shows as
    many columns as fit; a pipe gets all of them, in full.
    """
    if sum((quiet, as_csv, as_json)) > 1:
        raise click.UsageError("--quiet, --csv and --json cannot be used together")
    wanted = [*terms, *([pattern] if pattern else [])]
    try:
        shown, chosen = named_columns((*_COLUMNS, *_EXTRA_COLUMNS), columns)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--columns") from None

    missing: dict[str, None] = {}  # terms that match nothing, in order

    async def found(services: Services) -> list[ServiceSummary]:
        listed: list[ServiceSummary] = []
        missing.update(dict.fromkeys(wanted))
        async for service in services.list(
            hidden=hidden or None,
            archived="true" if archived else None,
            author=author,
            status=status,
            order=order,
            order_dir="desc" if desc else "asc",
        ):
            fitting = [term for term in wanted if _matches(service, term)]
            for term in fitting:
                missing.pop(term, None)
            if fitting or not wanted:
                listed.append(service)
            if len(listed) == limit:
                missing.clear()  # it may be on a later page
                break
        return listed

    async def main() -> int:
        async with connection.open() as services:
            listed = await connection.reach(services, found)
        now = dt.datetime.now(dt.UTC)
        if as_json:
            text = "".join(json.dumps(to_dict(service)) + "\n" for service in listed)
        elif quiet:
            text = "".join(f"{service.id}\n" for service in listed)
        elif as_csv:
            text = to_csv(shown if chosen else _COLUMNS, listed, now=now)
        elif listed:
            text = table(shown if chosen else _COLUMNS, listed, now=now, complete=chosen)
        else:
            text = ""
        if not listed:
            note("no services found")
        elif missing:
            note(f"nothing found for {', '.join(map(repr, missing))}")
        await stdout().write(text)
        return 0

    return run(main)


def _matches(service: ServiceSummary, term: str) -> bool:
    return (is_id(term) and service.id == int(term)) or matches(service.name, term)


@click.command(
    "get",
    short_help="Show all details of services.",
    epilog=examples(
        "aioservices get 42",
        "aioservices get web-shop --json | jq .current_deployment.state",
        "aioservices get web-shop --json > web-shop.json   (see update --file)",
    ),
)
@click.argument("terms", metavar="SERVICE...", nargs=-1, required=True, type=SERVICE)
@click.option(
    "--show-secrets",
    is_flag=True,
    help="With --json: show the values of environment variables, and the signed URL.",
)
@as_json("Print one JSON object per line.")
@connected()
def get_services(
    connection: Connection, *, terms: Sequence[str], show_secrets: bool, as_json: bool
) -> int:
    """Show all details of services.

    SERVICE is an id, a name, or a pattern such as 'web-*'.
    """

    async def main() -> int:
        async with connection.open() as services:
            targets = await connection.reach(services, lambda view: find(view, terms))
            for number, target in enumerate(targets):
                service = target
                if not isinstance(service, Service):  # the listing does not have all details
                    service = await services.get(target.id)
                if as_json:
                    shown = to_dict(service) if show_secrets else without_secrets(service)
                    await stdout().write(json.dumps(shown) + "\n")
                    continue
                facts = service_shown(service, now=dt.datetime.now(dt.UTC))
                await stdout().write(("\n" if number else "") + facts)
        return 0

    return run(main)


def without_secrets(service: Service) -> dict[str, JSON]:
    """Convert a service to built-ins, with `MASK` in place of secrets."""
    shown = to_dict(service)
    if service.environment_variables:
        shown["environment_variables"] = dict.fromkeys(service.environment_variables, MASK)
    if service.current_deployment and service.current_deployment.display_url:
        deployment = to_dict(service.current_deployment)
        shown["current_deployment"] = deployment | {"display_url": MASK}
    return shown


@click.command(
    "open",
    short_help="Open a service in the browser.",
    epilog=examples("aioservices open web-shop", "curl -sI $(aioservices open web-shop)"),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.option("--print", "print_only", is_flag=True, help="Only print the URL.")
@connected()
def open_service(connection: Connection, *, service: str, print_only: bool) -> int:
    """Open a service in the browser; in a pipe, or without a screen, print its URL.

    SERVICE is an id, a name, or a pattern that matches one name.
    """

    async def main() -> int:
        async with connection.open() as services:
            found = await connection.reach(services, lambda view: find_one(view, service))
            target = await services.get(found.id)
        url = target.current_url
        if not url:
            raise CommandError(
                f"{name_and_id(target)} has no URL: it is {state_of(target.current_deployment)}"
            )
        await stdout().write(one_line(url) + "\n")
        if not print_only and stdout().is_terminal and _has_display() and url.startswith("http"):
            await anyio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True)
        return 0

    return run(main)


def _has_display() -> bool:
    if sys.platform in {"win32", "darwin"}:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
