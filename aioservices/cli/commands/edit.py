"""The commands that create and change services: `create`, `update` and `clone`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import click

from aioservices.api.models import JSON, Service
from aioservices.cli.actions import how_to_start, look_up, name_and_id, running_deployment
from aioservices.cli.arguments import SERVICE, as_json, changing, connected, examples
from aioservices.cli.attributes import (
    assigned,
    changes_to,
    environment,
    from_document,
    plain,
    shown_changes,
)
from aioservices.cli.connection import Connection
from aioservices.cli.console import note, would
from aioservices.cli.errors import USAGE_ERROR, CommandError
from aioservices.cli.files import documents_in, lines_of
from aioservices.cli.targets import find_one
from aioservices.client import Services
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line

from .services import without_secrets

__all__ = ["clone", "create", "update"]


def _attributes(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what attributes a service gets."""
    options = [
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            help="Set an attribute, such as replicas=3 or schedule.runtime_plan=always_on. "
            "May be repeated.",
        ),
        click.option(
            "--env",
            "variables",
            multiple=True,
            metavar="NAME[=VALUE]",
            help="Set an environment variable of the service. Without VALUE, take it from your "
            "own environment, so that it is not on the command line. May be repeated.",
        ),
        click.option(
            "--env-file",
            "env_files",
            multiple=True,
            type=click.Path(dir_okay=False, allow_dash=True),
            metavar="FILE",
            help="Set environment variables from lines of NAME=VALUE.",
        ),
        click.option(
            "--file",
            "file",
            type=click.Path(dir_okay=False, allow_dash=True),
            metavar="FILE",
            help="Set attributes from a YAML or JSON file, such as the output of get --json; "
            "- is standard input. The other options override it.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    "create",
    short_help="Create a service.",
    epilog=examples(
        "aioservices create web-shop --set docker_image_name=acme/shop --set replicas=2",
        "aioservices create web-shop --file web-shop.yaml --env-file web-shop.env",
        "API_TOKEN=... aioservices create web-shop --env API_TOKEN",
    ),
)
@click.argument("name", metavar="[NAME]", required=False)
@_attributes
@click.option("-q", "--quiet", is_flag=True, help="Print only the id of the new service.")
@changing()
@as_json("Print one JSON object: the service as it was created.")
@connected()
def create(
    connection: Connection,
    *,
    name: str | None,
    settings: Sequence[str],
    variables: Sequence[str],
    env_files: Sequence[str],
    file: str | None,
    quiet: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Create a service, without deploying it: see aioservices deploy.

    Its attributes are those of the API: name, description, docker_image_name,
    docker_image_tag, git_repo_url, git_repo_ref, git_path_dir, replicas,
    memory, cpu, schedule, and others that get --json shows.
    """
    documents = [] if file is None else documents_in(file)
    if len(documents) > 1:
        raise CommandError(f"{file} describes {len(documents)} services", status=USAGE_ERROR)
    given: dict[str, JSON] = {}
    for document in documents:
        given |= from_document(document, None, new=True)
    given |= assigned(settings, (), given, new=True)
    if name is not None:
        given["name"] = name
    if not given.get("name"):
        raise click.UsageError("the service needs a NAME")
    added = environment(variables, lines_of(env_files), os.environ)
    if added:
        before = given.get("environment_variables")
        given["environment_variables"] = {**(before if isinstance(before, dict) else {}), **added}
    lines = shown_changes({}, given)
    if dry_run:
        would(f"create {one_line(str(given['name']))}:")
        _print_lines(lines)
        return 0

    async def work() -> int:
        async with connection.open() as services:
            made = await connection.reach(
                services, lambda view: _reporting_usage(view.post, given), method="POST"
            )
        if as_json:
            await stdout().write(json.dumps(without_secrets(made)) + "\n")
        elif quiet:
            await stdout().write(f"{made.id}\n")
        else:
            await stdout().write(f"created {_named(made)}: {how_to_start(made)}\n")
        return 0

    return run(work)


@click.command(
    "update",
    short_help="Change attributes of a service.",
    epilog=examples(
        "aioservices update web-shop --set replicas=3 --unset max_replicas",
        "aioservices update web-shop --set schedule.runtime_plan=always_on --dry-run",
        "API_TOKEN=... aioservices update web-shop --env API_TOKEN --unset-env OLD_TOKEN",
        "aioservices get web-shop --json | aioservices update --file -",
    ),
)
@click.argument("service", metavar="[SERVICE]", required=False, type=SERVICE)
@_attributes
@click.option(
    "--unset",
    multiple=True,
    metavar="NAME",
    help="Clear an attribute, or a member such as schedule.recurrences. May be repeated.",
)
@click.option(
    "--unset-env",
    multiple=True,
    metavar="NAME",
    help="Remove an environment variable. May be repeated.",
)
@changing()
@as_json("Print one JSON object: the service as it is now.")
@connected()
def update(
    connection: Connection,
    *,
    service: str | None,
    settings: Sequence[str],
    variables: Sequence[str],
    env_files: Sequence[str],
    file: str | None,
    unset: Sequence[str],
    unset_env: Sequence[str],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Change attributes of a service, and show what changes.

    SERVICE is an id, a name, or a pattern that matches one name; without it, the
    id in the file is used. Attributes that are not named stay as they are. In a file,
    *** stands for a secret that is left unchanged. Changes take effect with the next
    deployment: see aioservices deploy.
    """
    documents = [] if file is None else documents_in(file)
    added = environment(variables, lines_of(env_files), os.environ)
    if service is not None and len(documents) > 1:
        raise CommandError(f"{file} describes {len(documents)} services", status=USAGE_ERROR)
    if not (documents or settings or unset or added or unset_env):
        raise click.UsageError(
            "nothing to change: use --set, --unset, --env, --unset-env or --file"
        )
    jobs = [(service or _id_in(each, file), each) for each in documents or [None]]

    async def change_one(services: Services, term: str, document: object) -> None:
        found = await connection.reach(services, lambda view: find_one(view, term))
        before = await services.get(found.id)
        current = plain(before)
        given = {} if document is None else from_document(document, current, new=False)
        given |= assigned(settings, unset, {**current, **given}, new=False)
        if added or unset_env:
            known = given.get("environment_variables", current.get("environment_variables"))
            present = dict(known) if isinstance(known, dict) else {}
            if missing := [name for name in unset_env if name not in present]:
                raise CommandError(f"{name_and_id(before)} has no variable {', '.join(missing)}")
            given["environment_variables"] = _changed(present, added, unset_env)
        changes = changes_to(current, given)
        lines = shown_changes(current, changes)
        if dry_run:
            if changes:
                would(f"update {name_and_id(before)}:")
            else:
                print(_unchanged(before))
            _print_lines(lines)
            return
        after = before
        if changes:
            after = await _reporting_usage(
                services.patch, _with_nulls_for_removed(current, changes), found.id
            )
        if as_json:
            await stdout().write(json.dumps(without_secrets(after)) + "\n")
        else:
            _report_update(after, lines if changes else None)

    async def work() -> int:
        async with connection.open() as services:
            for term, document in jobs:
                await change_one(services, term, document)
        return 0

    return run(work)


@click.command(
    "clone",
    short_help="Create a copy of a service.",
    epilog=examples("aioservices clone web-shop --name web-shop-test"),
)
@click.argument("service", metavar="SERVICE", type=SERVICE)
@click.option("--name", metavar="NAME", help="Name of the copy. Default: the platform chooses it.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the id of the copy.")
@changing()
@as_json("Print one JSON object: the copy.")
@connected()
def clone(
    connection: Connection,
    *,
    service: str,
    name: str | None,
    quiet: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Create a copy of a service, which is not deployed.

    SERVICE is an id, a name, or a pattern that matches one name.
    """
    [target] = look_up(connection, [service], one=True)
    if dry_run:
        would(f"clone {name_and_id(target)}{f' as {one_line(name)}' if name else ''}")
        return 0

    async def work() -> int:
        async with connection.open() as services:
            made = await services.post_clone(target.id)
            if name is not None:
                try:
                    made = await services.patch(made.id, name=name)
                except Exception:
                    note(f"{name_and_id(target)} was cloned as {_named(made)}, but not renamed")
                    raise
        if as_json:
            await stdout().write(json.dumps(without_secrets(made)) + "\n")
        elif quiet:
            await stdout().write(f"{made.id}\n")
        else:
            text = f"cloned {name_and_id(target)} as {_named(made)}: {how_to_start(made)}\n"
            await stdout().write(text)
        return 0

    return run(work)


def _with_nulls_for_removed(current: dict[str, JSON], changes: dict[str, JSON]) -> dict[str, JSON]:
    """Send null for each removed variable, in case the server merges the variables."""
    after, before = changes.get("environment_variables"), current.get("environment_variables")
    if not isinstance(after, dict) or not isinstance(before, dict):
        return changes
    gone = dict.fromkeys(name for name in before if name not in after)
    return {**changes, "environment_variables": {**gone, **after}}


def _changed(
    variables: Mapping[str, JSON], added: Mapping[str, JSON], removed: Collection[str]
) -> dict[str, JSON]:
    """Return environment variables with some added and some removed."""
    kept = {name: value for name, value in variables.items() if name not in removed}
    return {**kept, **added}


def _report_update(after: Service, lines: Sequence[str] | None) -> None:
    """Print what has changed, and what makes it take effect; None if nothing has."""
    if lines is None:
        stdout().post(f"{_unchanged(after)}\n")
        return
    stdout().post(f"updated {name_and_id(after)}:\n")
    _print_lines(lines)
    if running_deployment(after) and stdout().is_terminal:
        note(f"changes take effect with the next deployment: aioservices deploy {after.id}")


async def _reporting_usage(
    call: Callable[..., Any], attributes: dict[str, JSON], *ids: int
) -> Service:
    """Make a call with a user's arguments; errors in them are reported as wrong usage."""
    try:
        return cast("Service", await call(*ids, **attributes))
    except (TypeError, ValueError) as exc:
        raise CommandError(str(exc), status=USAGE_ERROR) from None


def _id_in(document: object, file: str | None) -> str:
    found = cast("dict[str, object]", document).get("id") if isinstance(document, dict) else None
    if isinstance(found, bool) or not isinstance(found, int):
        where = "" if file is None else f", or an id in {file}"
        raise CommandError(f"say which SERVICE to update{where}", status=USAGE_ERROR)
    return str(found)


def _named(service: Service) -> str:
    return f"{one_line(service.name or '') or '-'} ({service.id})"


def _unchanged(service: Service) -> str:
    return f"{_named(service)} is like this already"


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"  {one_line(line)}")
