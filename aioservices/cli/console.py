"""How things look on a terminal, and in a pipe."""

from __future__ import annotations

import datetime as dt
import io
import os
from collections.abc import Iterable, Sequence

import click
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from aioservices.api.models import Service, ServiceSummary
from aioservices.terminal.output import Output, stderr, stdout
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import in_words

__all__ = [
    "coloured",
    "encodable",
    "has_cursor",
    "note",
    "rendered",
    "service_shown",
    "services_shown",
    "state_style",
    "summary_of",
]

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
_ENDLESS = 1_000_000  # cells
_ELLIPSIS = "…"


def note(text: str) -> None:
    """Tell something on standard error, in a line of its own."""
    stderr().post(f"aioservices: {text}\n")


def has_cursor(output: Output) -> bool:
    """Tell whether lines that were written can be replaced."""
    return output.is_terminal and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


def coloured() -> bool:
    """Tell whether colours may be used on standard output.

    ``--color`` decides; without it ``NO_COLOR`` and ``FORCE_COLOR`` do; else a terminal has them.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or has_cursor(stdout())


def rendered(renderable: RenderableType, *, width: int | None = None) -> str:
    """Give what standard output gets of something, with its last line feed.

    Parameters
    ----------
    renderable : rich renderable
        Nothing in a text is taken for markup.
    width : int, optional
        Where lines end. Default: they are as long as they are.
    """
    colours = coloured()
    console = Console(
        # What stands here is never written anywhere; its encoding decides what bars are made of.
        file=io.TextIOWrapper(io.BytesIO(), encoding=stdout().encoding, errors="backslashreplace"),
        width=_ENDLESS if width is None else width,
        markup=False,
        emoji=False,
        highlight=False,
        force_terminal=colours,
        color_system="standard" if colours else None,
        legacy_windows=False,
        _environ={},
    )
    with console.capture() as captured:
        console.print(renderable, soft_wrap=width is None)
    return encodable(captured.get())


def encodable(text: str) -> str:
    """Give a text with ellipses that standard output can show; they are one cell wide in any."""
    try:
        _ELLIPSIS.encode(stdout().encoding)
    except UnicodeEncodeError:
        return text.replace(_ELLIPSIS, "~")
    return text


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
    out = stdout()
    if not out.is_terminal:
        return _aligned([list(_COLUMNS), *rows])
    shown = [index for index, least in enumerate(_COLUMNS.values()) if out.columns >= least]
    names = list(_COLUMNS)
    widths = [max(cell_len(row[index]) for row in [names, *rows]) for index in shown]
    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        # Where not everything fits, the columns with a ratio share what the others leave.
        expand=sum(widths) + _GAP * (len(shown) - 1) > out.columns,
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
    return rendered(table, width=out.columns)


def service_shown(service: Service, *, now: dt.datetime) -> str:
    """Give everything about one service, a line a fact."""
    facts = list(summary_of(service, now=now))
    out = stdout()
    if not out.is_terminal:
        return _aligned(facts)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(value, style=state_style(value) if name == "state" else ""))
    return rendered(table, width=out.columns)


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


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        )
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)
