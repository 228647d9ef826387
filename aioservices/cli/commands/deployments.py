"""The commands for existing deployments: `stop` and `deployments`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

import click

from aioservices.api.models import DeploymentSummary, to_dict
from aioservices.cli.actions import (
    Change,
    Unchanged,
    change_services,
    name_and_id,
    running_deployment,
)
from aioservices.cli.arguments import POSITIVE, SERVICE, as_json, changing, connected, examples
from aioservices.cli.connection import Connection
from aioservices.cli.console import note
from aioservices.cli.tables import Column, age, joined, state_of, table
from aioservices.cli.targets import Target, find_one, with_standard_input
from aioservices.client import Services
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run

__all__ = ["deployments", "stop"]


@click.command(
    "stop",
    short_help="Stop services: end their current deployments.",
    epilog=examples("aioservices stop web-shop", "aioservices stop 'test-*' --dry-run"),
)
@click.argument("terms", metavar="SERVICE...", nargs=-1, required=True, type=SERVICE)
@changing(asks="it asks before more than one service")
@as_json("Print one JSON object per line for each finished service.")
@connected()
def stop(
    connection: Connection, *, terms: Sequence[str], dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Stop services: end their current deployments.

    SERVICE is an id, a name, or a pattern such as 'test-*'; - reads them from
    standard input, one per line. aioservices deploy starts them again.
    """
    change = Change(verb="stop", done="stopped", act=_stop, asks_above=1)
    terms = with_standard_input(terms)
    return change_services(connection, terms, change, dry_run=dry_run, yes=yes, as_json=as_json)


async def _stop(services: Services, target: Target) -> str | None:
    deployment = running_deployment(await services.get(target.id))
    if deployment is None:
        return Unchanged("it was not running")
    await services.delete_deployments(target.id, deployment.deployment_id)
    return f"deployment {deployment.deployment_id}"


def _image(deployment: DeploymentSummary, _: dt.datetime) -> str | None:
    return joined(":", deployment.docker_image_name, deployment.docker_image_tag)


_COLUMNS = (
    Column[DeploymentSummary]("id", lambda d, _: d.deployment_id, right=True),
    Column[DeploymentSummary]("state", state_of),
    Column[DeploymentSummary]("age", lambda d, now: age(d.created_at, now)),
    Column[DeploymentSummary]("message", lambda d, _: d.state_message, ratio=3, wraps=True),
    Column[DeploymentSummary]("image", _image, least=80, ratio=2),
    Column[DeploymentSummary]("memory", lambda d, _: d.memory and f"{d.memory} MB", least=100),
    Column[DeploymentSummary]("cpu", lambda d, _: d.cpu and f"{d.cpu} m", least=100),
)


@click.command(
    "deployments",
    short_help="List the deployments of a service.",
    epilog=examples(
        "aioservices deployments web-shop",
        "aioservices deployments 42 -n 1 -q",
        "aioservices logs 42 --deployment 1001",
    ),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.option(
    "-n",
    "--limit",
    type=POSITIVE,
    default=20,
    show_default=True,
    metavar="N",
    help="Show at most this many, the newest first.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only ids, one per line.")
@as_json("Print one JSON object per line.")
@connected()
def deployments(
    connection: Connection, *, service: str, limit: int, quiet: bool, as_json: bool
) -> int:
    """List the deployments of a service, the newest first.

    SERVICE is an id, a name, or a pattern that matches one name.
    """

    async def main() -> int:
        async with connection.open() as services:
            target = await connection.reach(services, lambda view: find_one(view, service))
            listed: list[DeploymentSummary] = []
            async for each in services.list_deployments(target.id):
                listed.append(each)
                if len(listed) == limit:
                    break
        if as_json:
            await stdout().write("".join(json.dumps(to_dict(each)) + "\n" for each in listed))
        elif quiet:
            await stdout().write("".join(f"{each.deployment_id}\n" for each in listed))
        elif listed:
            await stdout().write(table(_COLUMNS, listed, now=dt.datetime.now(dt.UTC)))
        else:
            note(f"{name_and_id(target)} was never deployed")
        return 0

    return run(main)
