"""The commands that show services: `list` and `get`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Literal

import click

from aioservices.api.matching import matches
from aioservices.api.models import JSON, Service, ServiceSummary, to_dict
from aioservices.api.states import StatusFilter
from aioservices.cli.arguments import as_json, connected, examples
from aioservices.cli.connection import Connection
from aioservices.cli.console import note, service_shown, services_shown
from aioservices.cli.targets import find
from aioservices.client import Services
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run

__all__ = ["get_services", "list_services"]

_HIDDEN: JSON = "***"


@click.command(
    "list",
    epilog=examples(
        "aioservices list",
        "aioservices list --status running --name 'web-*'",
        "aioservices list --json | jq -r 'select(.current_deployment == null) | .id'",
    ),
)
@click.option("--name", "pattern", metavar="PATTERN", help="Only names that fit, as 'web-*'.")
@click.option("--status", type=click.Choice(["running", "idle"]), help="Only these.")
@click.option("--author", metavar="IDS", help="Only those of these users: ids, with commas.")
@click.option("--archived", is_flag=True, help="The archived ones, in place of the others.")
@click.option("--hidden", is_flag=True, help="The hidden ones, in place of the others.")
@click.option(
    "--order",
    type=click.Choice(["updated_at", "name", "created_at"]),
    default="name",
    show_default=True,
    help="What to sort by.",
)
@click.option("--desc", is_flag=True, help="The other way round.")
@click.option("-n", "--limit", type=click.IntRange(1), metavar="N", help="At most so many.")
@as_json("One JSON object a line.")
@connected()
def list_services(
    connection: Connection,
    *,
    pattern: str | None,
    status: StatusFilter | None,
    author: str | None,
    archived: bool,
    hidden: bool,
    order: Literal["updated_at", "name", "created_at"],
    desc: bool,
    limit: int | None,
    as_json: bool,
) -> int:
    """List services."""

    async def found(services: Services) -> list[ServiceSummary]:
        listed: list[ServiceSummary] = []
        async for service in services.list(
            hidden=hidden or None,
            archived="true" if archived else None,
            author=author,
            status=status,
            order=order,
            order_dir="desc" if desc else "asc",
        ):
            if pattern is None or matches(service.name, pattern):
                listed.append(service)
            if len(listed) == limit:
                break
        return listed

    async def main() -> int:
        async with connection.open() as services:
            listed = await connection.reach(services, found)
        if as_json:
            await stdout().write("".join(json.dumps(to_dict(service)) + "\n" for service in listed))
        elif listed:
            await stdout().write(services_shown(listed, now=dt.datetime.now(dt.UTC)))
        else:
            note("no services found")
        return 0

    return run(main)


@click.command(
    "get",
    epilog=examples(
        "aioservices get 42", "aioservices get web-shop --json | jq .current_deployment.state"
    ),
)
@click.argument("terms", metavar="SERVICE...", nargs=-1, required=True)
@click.option(
    "--show-secrets",
    is_flag=True,
    help="With --json: the values of environment variables, and the signed URL.",
)
@as_json("One JSON object a line.")
@connected()
def get_services(
    connection: Connection, *, terms: Sequence[str], show_secrets: bool, as_json: bool
) -> int:
    """Show everything about services.

    SERVICE is an id, a name, or a pattern such as 'web-*'.
    """

    async def main() -> int:
        async with connection.open() as services:
            targets = await connection.reach(services, lambda view: find(view, terms))
            for number, target in enumerate(targets):
                service = target
                if not isinstance(service, Service):  # from the listing, which leaves much out
                    service = await services.get(target.id)
                if as_json:
                    await stdout().write(
                        json.dumps(_shown(service, show_secrets=show_secrets)) + "\n"
                    )
                    continue
                facts = service_shown(service, now=dt.datetime.now(dt.UTC))
                await stdout().write(("\n" if number else "") + facts)
        return 0

    return run(main)


def _shown(service: Service, *, show_secrets: bool) -> dict[str, JSON]:
    shown = to_dict(service)
    if not show_secrets:
        if service.environment_variables:
            shown["environment_variables"] = dict.fromkeys(service.environment_variables, _HIDDEN)
        if service.current_deployment and service.current_deployment.display_url:
            deployment = to_dict(service.current_deployment)
            shown["current_deployment"] = deployment | {"display_url": _HIDDEN}
    return shown
