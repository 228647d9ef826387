"""The commands that deploy services: `deploy` and `redeploy`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from aioservices.api.models import Service, ServiceSummary
from aioservices.cli.arguments import DURATION, POSITIVE, SERVICE, as_json, connected, examples
from aioservices.cli.confirm import confirm, counted
from aioservices.cli.connection import Connection
from aioservices.cli.console import note, would
from aioservices.cli.errors import FAILED
from aioservices.cli.outcome import Outcome, describe, summary
from aioservices.cli.progress import DeployProgress
from aioservices.cli.targets import Target, find, with_standard_input
from aioservices.client import Services
from aioservices.fleet import DeployOutcome, DeployRun
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line, printable

__all__ = ["deploy", "redeploy"]

_MANY = 10  # services that are deployed without asking


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both commands take."""
    options = [
        click.argument("terms", metavar="SERVICE...", nargs=-1, required=True, type=SERVICE),
        click.option("--dry-run", is_flag=True, help="Only show which services would be deployed."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation."),
        click.option("--no-wait", is_flag=True, help="Do not wait until they run."),
        click.option(
            "--concurrency",
            type=POSITIVE,
            default=20,
            show_default=True,
            metavar="N",
            help="How many to request at once.",
        ),
        click.option(
            "--timeout",
            type=DURATION,
            default="10m",
            show_default=True,
            help="Time limit for each deployment to come up.",
        ),
        click.option(
            "--stay-up",
            type=DURATION,
            default=None,
            metavar="DURATION",
            help="How long each must stay up to count as deployed, such as 10s.",
        ),
        as_json("Print one JSON object per line for each finished service."),
        connected(timeout=False),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    "deploy",
    short_help="Deploy services, and wait until they run.",
    epilog=examples(
        "aioservices deploy 42 web-shop",
        "aioservices deploy 'batch-*' --dry-run",
        "aioservices list --status idle --json | aioservices deploy - --yes",
    ),
)
@_options
def deploy(connection: Connection, **options: Any) -> int:
    """Deploy services, and wait until they run.

    SERVICE is an id, a name, or a pattern such as 'web-*'; - reads them from
    standard input, one per line. Each service is deployed exactly once, whatever
    the network does. The exit status is 1 if any of them does not run.
    """
    return _deploy(connection, redeploy=False, **options)


@click.command(
    "redeploy",
    short_help="Deploy services again as they are, and wait until they run.",
    epilog=examples("aioservices redeploy web-shop", "aioservices redeploy 'web-*' --no-wait"),
)
@_options
def redeploy(connection: Connection, **options: Any) -> int:
    """Deploy services again as they are, and wait until they run.

    SERVICE is an id, a name, or a pattern such as 'web-*'; - reads them from
    standard input, one per line. The exit status is 1 if any of them does not
    run.
    """
    return _deploy(connection, redeploy=True, **options)


def _deploy(
    connection: Connection,
    *,
    terms: Sequence[str],
    redeploy: bool,
    dry_run: bool,
    yes: bool,
    no_wait: bool,
    concurrency: int,
    timeout: float,
    stay_up: float | None,
    as_json: bool,
) -> int:
    if no_wait and stay_up is not None:
        raise click.UsageError("--no-wait and --stay-up cannot be used together")
    wanted = with_standard_input(terms)
    targets: list[Target] = []

    async def search() -> int:
        async with connection.open() as services:
            targets.extend(await connection.reach(services, lambda view: find(view, wanted)))
        return 0

    if status := run(search):
        return status
    names = {each.id: one_line(each.name or "") or "-" for each in targets}
    verb = "redeploy" if redeploy else "deploy"
    if dry_run:
        _show_plan(targets, names, verb=verb, as_json=as_json)
        return 0
    if len(names) > _MANY:
        confirm(f"{verb} {counted('service', _names_and_ids(names))}", yes=yes)

    def start(services: Services) -> DeployRun:
        return services.deploy_many(
            names,
            redeploy=redeploy,
            wait=not no_wait,
            concurrency=concurrency,
            timeout=timeout,
            stay_up=stay_up or 0.0,
        )

    async def work() -> int:
        async with connection.open() as services:
            return await _run_deploys(
                start(services), names, waited=not no_wait, url=connection.base_url, as_json=as_json
            )

    return run(work)


async def _run_deploys(
    deploys: DeployRun, names: Mapping[int, str], *, waited: bool, url: str, as_json: bool
) -> int:
    """Deploy, show the outcomes, and print a summary."""
    begun = time.monotonic()
    outcomes: list[Outcome] = []
    out = stdout()

    def described(outcome: DeployOutcome) -> Outcome:
        return describe(outcome, names[outcome.service_id], waited=waited, url=url)

    async def go(show: Callable[[Outcome], None]) -> None:
        async with deploys:
            async for each in deploys:
                outcomes.append(described(each))
                show(outcomes[-1])
            # Services that came up, but have crashed since.
            for each in await deploys.recheck() if waited else ():
                if each.error is not None:
                    show(_replace(outcomes, described(each)))

    try:
        if as_json:
            await go(lambda outcome: out.post(json.dumps(outcome.to_json()) + "\n"))
        else:
            async with DeployProgress(names, deploys.started) as progress:
                await go(progress.show)
            out.post(_closing_report(outcomes, seconds=time.monotonic() - begun))
    finally:
        if len(outcomes) < len(names):
            shown = {outcome.service_id for outcome in outcomes}
            _report_interrupted(deploys, {each: names[each] for each in names if each not in shown})
    return 0 if all(outcome.is_good for outcome in outcomes) else FAILED


def _show_plan(
    targets: Sequence[Service | ServiceSummary],
    names: Mapping[int, str],
    *,
    verb: str,
    as_json: bool,
) -> None:
    for each in targets:
        deployment = each.current_deployment
        state = deployment.state if deployment else None
        if as_json:
            plan = {"service_id": each.id, "service_name": each.name, "state": state}
            print(json.dumps(plan))
        else:
            now = one_line(state or "not deployed")
            would(f"{verb} {names[each.id]} ({each.id}), now {now}")


def _closing_report(outcomes: Sequence[Outcome], *, seconds: float) -> str:
    """Repeat the failures, with the ends of their logs, then count the outcomes."""
    lines: list[str] = []
    apart = True  # a log is surrounded by empty lines
    for outcome in outcomes:
        if not outcome.is_good and len(outcomes) > 1:
            lines += [""] * (apart or bool(outcome.logs)) + [outcome.line]
            apart = bool(outcome.logs)
        elif outcome.logs:
            lines.append("")
        if outcome.logs:
            lines.append("  The last lines of its log:")
            for message in outcome.logs:
                lines += [f"    {line}" for line in printable(message).split("\n")]
    if len(outcomes) > 1:
        lines += ["", summary(outcomes, seconds=seconds)]
    return "".join(f"{line}\n" for line in lines)


def _replace(outcomes: list[Outcome], later: Outcome) -> Outcome:
    """Replace the earlier outcome of a service by a later one."""
    outcomes[:] = [later if each.service_id == later.service_id else each for each in outcomes]
    return later


def _names_and_ids(names: Mapping[int, str]) -> list[str]:
    return [f"{name} ({each})" for each, name in names.items()]


def _report_interrupted(deploys: DeployRun, left: Mapping[int, str]) -> None:
    """Report what is known of the services whose outcome has not been shown yet."""
    made, unknown = deploys.made, deploys.unknown
    surely = [each for each in left if each in made]
    perhaps = [each for each in left if each in unknown]

    def named(ids: Sequence[int]) -> str:
        return ", ".join(f"{left[each]} ({each})" for each in ids)

    services = "services" if len(left) == len(deploys.ids) else "other services"
    text = f"interrupted: {len(surely)} of {len(left)} {services} were deployed and continue"
    text += f": {named(surely)}" if surely else ""
    text += f"; these may have been deployed, too: {named(perhaps)}" if perhaps else ""
    note(text)
