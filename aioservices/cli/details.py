"""All details of one service, one per line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from aioservices.api.models import Service
from aioservices.terminal.output import stdout
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import format_instant

from .console import rendered, state_style
from .tables import age, aligned, joined
from .targets import is_archived

__all__ = ["details_of", "service_shown"]


def service_shown(service: Service, *, now: dt.datetime) -> str:
    """Format all details of one service, one per line."""
    facts = details_of(service, now=now)
    out = stdout()
    if not out.is_terminal:
        return aligned(facts)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(value, style=state_style(value) if name == "state" else ""))
    lines = rendered(table, width=out.columns).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def details_of(service: Service, *, now: dt.datetime) -> Sequence[tuple[str, str]]:
    """Return what is known about a service, by name, without secrets."""
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
        "image": joined(":", service.docker_image_name, service.docker_image_tag),
        "repository": joined(" ", service.git_repo_url, service.git_repo_ref),
        "path": service.git_path_dir,
        "plan": service.schedule and service.schedule.runtime_plan,
        "replicas": joined(" to ", service.replicas, service.max_replicas),
        "instance": service.instance_type,
        "memory": service.memory and f"{service.memory} MB",
        "cpu": service.cpu and f"{service.cpu} millicores",
        # Their values may be secrets.
        "variables": ", ".join(service.environment_variables or ()),
        "permission": service.my_permission_level,
        "archived": "yes" if is_archived(service) else None,
        "hidden": "yes" if service.hidden else None,
        "created": _ago(service.created_at, now),
        "updated": _ago(service.updated_at, now),
    }
    return [(name, one_line(str(fact))) for name, fact in facts.items() if fact not in (None, "")]


def _ago(instant: dt.datetime | None, now: dt.datetime) -> str | None:
    if instant is None:
        return None
    return f"{format_instant(instant, 'seconds')} ({age(instant, now)} ago)"
