"""Changes services: a change is shown or confirmed, then made to each of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import click

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.api.states import is_final
from aioservices.client import Services
from aioservices.errors import ServicesError
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line

from .confirm import confirm, counted
from .connection import Connection
from .console import note, would
from .errors import FAILED, explain
from .targets import Target, find, only

__all__ = [
    "MANY",
    "Change",
    "Unchanged",
    "change_services",
    "how_to_start",
    "look_up",
    "name_and_id",
    "running_deployment",
]

MANY = 10  # services that are changed without asking
_AT_ONCE = 10


class Unchanged(str):
    """Why a service was left unchanged."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change that is made to services.

    Attributes
    ----------
    verb, done : str
        Such as ``archive`` and ``archived``.
    act : callable
        Changes one service; may return an addition to the report, or `Unchanged`.
    archived : bool
        Whether it changes archived services, and names are looked up among those.
    asks_above : int
        Up to how many services it changes without asking.
    ends_deployments : bool
        Whether it ends running deployments: that is shown, and confirmed if there are several.
    """

    verb: str
    done: str
    act: Callable[[Services, Target], Awaitable[str | None]]
    archived: bool = False
    asks_above: int = MANY
    ends_deployments: bool = False


def name_and_id(target: Target) -> str:
    """Return the name of a service with its id."""
    return f"{one_line(target.name or '') or '-'} ({target.id})"


def how_to_start(target: Target) -> str:
    """Return the command that starts a service without a running deployment."""
    return f"it is not running; aioservices deploy {target.id} starts it"


def running_deployment(target: Target) -> Deployment | DeploymentSummary | None:
    """Return the deployment of a service that has not ended, if there is one."""
    deployment = target.current_deployment
    return None if deployment is None or is_final(deployment.state) else deployment


def look_up(
    connection: Connection, terms: Sequence[str], *, one: bool = False, archived: bool = False
) -> list[Target]:
    """Find the services that terms match, in a separate session.

    Parameters
    ----------
    connection : Connection
    terms : sequence of str
    one : bool
        Whether there must be exactly one.
    archived : bool
        Whether names are those of archived services.

    Raises
    ------
    CommandError
        If they cannot be found.
    click.exceptions.Exit
        If Ctrl-C or another signal ended it.
    """
    found: list[Target] = []

    async def search() -> int:
        async with connection.open() as services:
            found.extend(
                await connection.reach(services, lambda view: find(view, terms, archived=archived))
            )
            if one:
                only(found, terms[0])
        return 0

    if status := run(search):
        raise click.exceptions.Exit(status)
    return found


def change_services(
    connection: Connection,
    terms: Sequence[str],
    change: Change,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool = False,
) -> int:
    """Change services, and report on each.

    Returns
    -------
    int
        The exit status: 1 if it failed for any of them.
    """
    targets = look_up(connection, terms, archived=change.archived)
    running = [running_deployment(each) if change.ends_deployments else None for each in targets]
    if dry_run:
        for target, deployment in zip(targets, running, strict=True):
            ends = f" and end its deployment {deployment.deployment_id}" if deployment else ""
            would(f"{change.verb} {name_and_id(target)}{ends}")
        return 0
    ended = sum(each is not None for each in running)
    if len(targets) > change.asks_above or ended > 1:
        ends = f", and end {ended} running deployment{'s' * (ended > 1)}" if ended else ""
        services = counted("service", [name_and_id(target) for target in targets])
        confirm(f"{change.verb} {services}{ends}", yes=yes)
    failed: list[int] = []

    async def work() -> int:
        async with connection.open() as services:
            slots = anyio.CapacityLimiter(_AT_ONCE)

            async def do(target: Target) -> None:
                async with slots:
                    try:
                        added = await change.act(services, target)
                    except ServicesError as exc:
                        failed.append(target.id)
                        _report_failure(target, explain(exc, url=connection.base_url).text, as_json)
                    else:
                        _report(target, change.done, added, as_json)

            async with anyio.create_task_group() as group:
                for target in targets:
                    group.start_soon(do, target)
        return FAILED if failed else 0

    return run(work)


def _report(target: Target, done: str, added: str | None, as_json: bool) -> None:
    if as_json:
        report = {"service_id": target.id, "service_name": target.name, "ok": True, "error": None}
        stdout().post(json.dumps(report) + "\n")
    else:
        done = "left" if isinstance(added, Unchanged) else done
        stdout().post(f"{done} {name_and_id(target)}{f': {added}' if added else ''}\n")


def _report_failure(target: Target, reason: str, as_json: bool) -> None:
    if as_json:
        report = {
            "service_id": target.id,
            "service_name": target.name,
            "ok": False,
            "error": reason,
        }
        stdout().post(json.dumps(report) + "\n")
    else:
        note(f"{name_and_id(target)}: {reason}")
