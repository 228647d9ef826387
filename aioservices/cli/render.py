"""How things look on a terminal."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aioservices.api.models import Service, ServiceSummary
from aioservices.terminal.sanitize import one_line

from .times import in_words

__all__ = ["coloured", "console", "service_shown", "services_shown", "state_style", "summary_of"]

_STATE_STYLES = {
    "running": "green",
    "sleeping": "green",
    "pending": "yellow",
    "queued": "yellow",
    "failed": "red",
    "terminated": "dim",
}
# The columns of the listing: from which width of the terminal on they are there.
_COLUMNS = {
    "ID": 0,
    "NAME": 0,
    "STATE": 0,
    "SINCE": 60,
    "OWNER": 60,
    "MESSAGE": 100,
    "REPOSITORY": 130,
}
_GAP = 2  # between two columns


def console(*, stderr: bool = False) -> Console:
    """Make a console on which nothing in a text is taken for markup.

    ``FORCE_COLOR`` gives a pipe colours, and does not make it a terminal: what
    reads it has no width, and no cursor to move.
    """
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    forced = not is_terminal and os.environ.get("FORCE_COLOR")
    return _Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        force_terminal=is_terminal,
        color_system="standard" if forced else "auto",
    )


def coloured() -> bool:
    """Whether colours may be used on standard output."""
    out = console()
    return out.color_system is not None and not out.no_color


def state_style(state: str | None) -> str:
    """Give the style of a state."""
    return _STATE_STYLES.get(state or "", "")


def services_shown(services: Sequence[ServiceSummary], *, now: dt.datetime) -> str:
    """Give a listing: as wide as the terminal, or whole where there is none.

    Parameters
    ----------
    services : sequence of ServiceSummary
    now : datetime
        To which ages refer.
    """
    rows = [_row(service, now) for service in services]
    out = console()
    if not out.is_terminal:
        return _aligned([list(_COLUMNS), *rows])
    shown = [index for index, least in enumerate(_COLUMNS.values()) if out.width >= least]
    names = list(_COLUMNS)
    widths = [max(cell_len(row[index]) for row in [names, *rows]) for index in shown]
    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        # Where not everything fits, the columns with a ratio share what the others leave.
        expand=sum(widths) + _GAP * (len(shown) - 1) > out.width,
    )
    for index in shown:
        table.add_column(
            names[index],
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if names[index] == "ID" else "left",
            ratio={"NAME": 2, "MESSAGE": 3, "REPOSITORY": 2}.get(names[index]),
        )
    for row in rows:
        cells = [Text(row[index]) for index in shown]
        cells[2].stylize(state_style(row[2]))
        table.add_row(*cells)
    return _rendered(out, table)


def service_shown(service: Service, *, now: dt.datetime) -> str:
    """Give everything about one service, a line a fact."""
    facts = list(summary_of(service, now=now))
    out = console()
    if not out.is_terminal:
        return _aligned(facts)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(value, style=state_style(value) if name == "state" else ""))
    return _rendered(out, table)


def summary_of(service: Service, *, now: dt.datetime) -> Iterable[Sequence[str]]:
    """Give the facts about a service that are known, by name; nothing secret is among them."""
    deployment = service.current_deployment
    facts: dict[str, object] = {
        "id": service.id,
        "name": service.name,
        "description": service.description,
        "state": deployment.state if deployment else "not deployed",
        "message": deployment and deployment.state_message,
        "deployment": deployment and deployment.deployment_id,
        "deployed": deployment and _ago(deployment.created_at, now),
        "url": service.current_url,
        "owner": service.user and (service.user.name or service.user.username),
        "type": service.type,
        "image": _joined(":", service.docker_image_name, service.docker_image_tag),
        "repository": _joined(" ", service.git_repo_url, service.git_repo_ref),
        "path": service.git_path_dir,
        "plan": service.schedule and service.schedule.runtime_plan,
        "replicas": _joined(" to ", service.replicas, service.max_replicas),
        "instance": service.instance_type,
        "memory": service.memory and f"{service.memory} MB",
        "cpu": service.cpu and f"{service.cpu} millicores",
        # Their values may be secrets.
        "variables": ", ".join(service.environment_variables or ()),
        "permission": service.my_permission_level,
        "archived": "yes" if service.archived in {True, "true"} else None,
        "hidden": "yes" if service.hidden else None,
        "created": _ago(service.created_at, now),
        "updated": _ago(service.updated_at, now),
    }
    return [(name, one_line(str(fact))) for name, fact in facts.items() if fact not in (None, "")]


class _Console(Console):
    """A console that leaves it to the program what a closed pipe means."""

    def on_broken_pipe(self) -> NoReturn:
        # Else it would be a SystemExit, in the middle of whatever runs.
        raise BrokenPipeError


def _row(service: ServiceSummary, now: dt.datetime) -> list[str]:
    deployment = service.current_deployment
    state = deployment.state if deployment else "not deployed"
    if service.archived in {True, "true"}:
        state = "archived"
    cells = (
        str(service.id),
        service.name,
        state,
        deployment and _age(deployment.created_at, now),
        service.user and (service.user.name or service.user.username),
        deployment and deployment.state_message,
        _joined(" ", service.git_repo_url, service.git_repo_ref),
    )
    return [one_line(cell or "") or "-" for cell in cells]


def _age(instant: dt.datetime | None, now: dt.datetime) -> str | None:
    return in_words((now - instant).total_seconds()) if instant else None


def _ago(instant: dt.datetime | None, now: dt.datetime) -> str | None:
    if instant is None:
        return None
    return f"{instant.astimezone():%Y-%m-%d %H:%M:%S %Z} ({_age(instant, now)} ago)"


def _joined(separator: str, *parts: object) -> str | None:
    return separator.join(str(part) for part in parts if part is not None) or None


def _rendered(out: Console, table: Table) -> str:
    with out.capture() as captured:
        out.print(table)
    return captured.get()


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        )
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)
