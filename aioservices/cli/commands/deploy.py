"""The commands that deploy services: `deploy` and `redeploy`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import click

from aioservices.api.models import Service, ServiceSummary
from aioservices.cli.arguments import DURATION, as_json, connected, examples
from aioservices.cli.connection import Connection
from aioservices.cli.errors import FAILED, MISUSED, CommandError
from aioservices.cli.matching import terms_from_lines
from aioservices.cli.outcome import Verdict, judge, summary
from aioservices.cli.progress import Board
from aioservices.cli.targets import Target, find
from aioservices.client import Services
from aioservices.fleet import DeployRun
from aioservices.terminal.output import write_while_read
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line, printable

__all__ = ["deploy", "redeploy"]

_MANY = 10  # services that are deployed without asking


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both commands take."""
    options = [
        click.argument("terms", metavar="SERVICE...", nargs=-1, required=True),
        click.option("--dry-run", is_flag=True, help="Only show which services it would be."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask, however many they are."),
        click.option("--no-wait", is_flag=True, help="Do not wait until they run."),
        click.option(
            "--concurrency",
            type=click.IntRange(1),
            default=20,
            show_default=True,
            metavar="N",
            help="How many are asked for at once.",
        ),
        click.option(
            "--timeout",
            type=DURATION,
            default="10m",
            show_default=True,
            help="How long each deployment may take until it runs.",
        ),
        as_json("One JSON object a line, for each service as it is done."),
        connected(timeout=False),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    "deploy",
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
    standard input, one a line. Each service is deployed exactly once, whatever
    the network does. The exit status is 1 if any of them does not run.
    """
    return _deploy(connection, redeploy=False, **options)


@click.command(
    "redeploy",
    epilog=examples("aioservices redeploy web-shop", "aioservices redeploy 'web-*' --no-wait"),
)
@_options
def redeploy(connection: Connection, **options: Any) -> int:
    """Deploy services again as they are, and wait until they run.

    SERVICE is an id, a name, or a pattern such as 'web-*'; - reads them from
    standard input, one a line. The exit status is 1 if any of them does not
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
    as_json: bool,
) -> int:
    wanted = _with_standard_input(terms)
    targets: list[Target] = []

    async def look() -> int:
        async with connection.open() as services:
            targets.extend(await connection.reach(services, lambda view: find(view, wanted)))
        return 0

    if status := run(look):
        return status
    names = {each.id: one_line(each.name or "") or "-" for each in targets}
    verb = "redeploy" if redeploy else "deploy"
    if dry_run:
        _show_plan(targets, names, verb=verb, as_json=as_json)
        return 0
    if len(names) > _MANY and not yes:
        _ask(len(names), verb)

    def start(services: Services) -> DeployRun:
        return services.deploy_many(
            names,
            redeploy=redeploy,
            wait=not no_wait,
            concurrency=concurrency,
            timeout=timeout,
        )

    async def work() -> int:
        async with connection.open() as services:
            tell = _tell_json if as_json else None
            return await _see_through(
                start(services), names, waited=not no_wait, url=connection.base_url, tell=tell
            )

    return run(work)


async def _see_through(
    deploys: DeployRun,
    names: Mapping[int, str],
    *,
    waited: bool,
    url: str,
    tell: Callable[[Verdict], Awaitable[None]] | None,
) -> int:
    """Deploy, show what becomes of it, and sum up."""
    begun = time.monotonic()
    verdicts: list[Verdict] = []

    async def go(tell: Callable[[Verdict], Awaitable[None]]) -> None:
        async with deploys:
            async for outcome in deploys:
                verdict = judge(outcome, names[outcome.service_id], waited=waited, url=url)
                verdicts.append(verdict)
                await tell(verdict)

    try:
        if tell is not None:
            await go(tell)
        else:
            async with Board(names) as board:
                board.follow(deploys.started)
                await go(board.tell)
            await _sum_up(verdicts, seconds=time.monotonic() - begun)
    finally:
        if len(verdicts) < len(names):
            told = {verdict.service_id for verdict in verdicts}
            _tell_interrupted(deploys, {each: names[each] for each in names if each not in told})
    return 0 if all(verdict.is_good for verdict in verdicts) else FAILED


def _with_standard_input(terms: Sequence[str]) -> list[str]:
    if "-" not in terms:
        return list(terms)
    try:
        read = terms_from_lines(sys.stdin)
    except UnicodeDecodeError:
        raise CommandError("standard input is no text", status=MISUSED) from None
    given = [each for term in terms for each in (read if term == "-" else [term])]
    if not given:
        raise CommandError("standard input names no service", status=MISUSED)
    return given


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
            click.echo(json.dumps(plan))
        else:
            now = one_line(state or "not deployed")
            click.echo(f"would {verb} {names[each.id]} ({each.id}), now {now}")


def _ask(count: int, verb: str) -> None:
    """Have a person confirm.

    Raises
    ------
    CommandError
        If there is nobody, or they say no.
    """
    if not sys.stdin.isatty():
        raise CommandError(
            f"this would {verb} {count} services: say --yes if it should, or look with --dry-run",
            status=MISUSED,
        )
    if not click.confirm(f"{verb.capitalize()} {count} services?", err=True):
        raise CommandError("nothing was done", status=FAILED)


async def _tell_json(verdict: Verdict) -> None:
    await write_while_read(json.dumps(verdict.to_json()) + "\n")


async def _sum_up(verdicts: Sequence[Verdict], *, seconds: float) -> None:
    """Print why some failed, with the end of their logs, then how many are how."""
    lines: list[str] = []
    for verdict in verdicts:
        if verdict.logs:
            lines += ["", f"Last lines of {verdict.name} ({verdict.service_id}):"]
            for message in verdict.logs:
                lines += [f"  {line}" for line in printable(message).split("\n")]
    if len(verdicts) > 1:
        lines += ["", summary(verdicts, seconds=seconds)]
    await write_while_read("".join(f"{line}\n" for line in lines))


def _tell_interrupted(deploys: DeployRun, left: Mapping[int, str]) -> None:
    """Say what became of the services of which nothing was told yet."""
    made, unknown = deploys.made, deploys.unknown
    surely = [each for each in left if each in made]
    perhaps = [each for each in left if each in unknown]

    def named(ids: Sequence[int]) -> str:
        return ", ".join(f"{left[each]} ({each})" for each in ids)

    services = "services" if len(left) == len(deploys.ids) else "other services"
    text = f"interrupted: {len(surely)} of {len(left)} {services} were deployed, and go on"
    text += f": {named(surely)}" if surely else ""
    text += f"; perhaps these were, too: {named(perhaps)}" if perhaps else ""
    click.echo(f"aioservices: {text}", err=True)
