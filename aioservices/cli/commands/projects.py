"""The commands about the projects of a service: `projects list`, `add` and `remove`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

import click

from aioservices.api.models import Project, to_dict
from aioservices.cli.actions import look_up, name_and_id
from aioservices.cli.arguments import POSITIVE, SERVICE, as_json, changing, connected, examples
from aioservices.cli.confirm import numbered
from aioservices.cli.connection import Connection
from aioservices.cli.console import note, would
from aioservices.cli.groups import Group
from aioservices.cli.tables import Column, age, table
from aioservices.cli.targets import find_one
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run

__all__ = ["projects"]

_COLUMNS = (
    Column[Project]("id", lambda p, _: p.id, right=True),
    Column[Project]("name", lambda p, _: p.name, ratio=2),
    Column[Project]("author", lambda p, _: p.author and (p.author.name or p.author.username)),
    Column[Project]("age", lambda p, now: age(p.created_at, now), least=60),
    Column[Project]("description", lambda p, _: p.description, least=80, ratio=2, prose=True),
)


@click.group("projects", cls=Group, short_help="Show and change the projects of a service.")
def projects() -> None:
    """Show and change the projects that a service belongs to."""


@projects.command(
    "list",
    short_help="List the projects of a service.",
    epilog=examples("aioservices projects list web-shop"),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.option("--hidden", is_flag=True, help="Show the hidden ones instead.")
@as_json("Print one JSON object per line.")
@connected()
def list_projects(connection: Connection, *, service: str, hidden: bool, as_json: bool) -> int:
    """List the projects that a service belongs to.

    SERVICE is an id, a name, or a pattern that matches one name.
    """

    async def main() -> int:
        async with connection.open() as services:
            target = await connection.reach(services, lambda view: find_one(view, service))
            found = await services.list_projects(target.id, hidden=hidden or None)
        if as_json:
            await stdout().write("".join(json.dumps(to_dict(each)) + "\n" for each in found))
        elif found:
            await stdout().write(table(_COLUMNS, found, now=dt.datetime.now(dt.UTC)))
        else:
            note(f"{name_and_id(target)} belongs to no project")
        return 0

    return run(main)


@projects.command(
    "add",
    short_help="Add a service to projects.",
    epilog=examples("aioservices projects add web-shop 12 13"),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.argument("project_ids", metavar="PROJECT_ID...", nargs=-1, required=True, type=POSITIVE)
@changing()
@connected()
def add_projects(
    connection: Connection, *, service: str, project_ids: Sequence[int], dry_run: bool, yes: bool
) -> int:
    """Add a service to projects.

    SERVICE is an id, a name, or a pattern that matches one name.
    """
    return _change(connection, service, project_ids, adds=True, dry_run=dry_run)


@projects.command(
    "remove",
    short_help="Take a service out of projects.",
    epilog=examples("aioservices projects remove web-shop 12"),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.argument("project_ids", metavar="PROJECT_ID...", nargs=-1, required=True, type=POSITIVE)
@changing()
@connected()
def remove_projects(
    connection: Connection, *, service: str, project_ids: Sequence[int], dry_run: bool, yes: bool
) -> int:
    """Take a service out of projects.

    SERVICE is an id, a name, or a pattern that matches one name.
    """
    return _change(connection, service, project_ids, adds=False, dry_run=dry_run)


def _change(
    connection: Connection, service: str, project_ids: Sequence[int], *, adds: bool, dry_run: bool
) -> int:
    [target] = look_up(connection, [service], one=True)
    verb, done, into = ("add", "added", "to") if adds else ("remove", "removed", "from")
    if dry_run:
        about = numbered("project", project_ids)
        would(f"{verb} {name_and_id(target)} {into} {about}")
        return 0

    async def work() -> int:
        async with connection.open() as services:
            call = services.put_projects if adds else services.delete_projects
            for project_id in project_ids:
                await call(target.id, project_id)
                stdout().post(f"{done} {name_and_id(target)} {into} project {project_id}\n")
        return 0

    return run(work)
