"""The command that checks the setup: `doctor`."""

from __future__ import annotations

import json
import textwrap

import click
from rich.text import Text

from aioservices.cli.arguments import as_json, connected, examples
from aioservices.cli.connection import Connection
from aioservices.cli.console import rendered
from aioservices.cli.doctor import Finding, examine
from aioservices.cli.errors import FAILED
from aioservices.terminal.output import stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line

__all__ = ["doctor"]

_GRADE_WIDTH = 8
_NAME_WIDTH = 11
_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command(
    "doctor",
    short_help="Check the key, the network, the clock and the rate limit.",
    epilog=examples("aioservices doctor", "aioservices doctor --json > report.jsonl"),
)
@as_json("Print one JSON object per line for each check.")
@connected()
def doctor(connection: Connection, *, as_json: bool) -> int:
    """Check the setup and the way to the API.

    The report contains no secret: you can paste it where you ask for help. The
    exit status is 1 if a check failed.
    """

    async def main() -> int:
        failed = False
        async for finding in examine(connection):
            failed = failed or finding.grade == "failed"
            await stdout().write(_shown(finding, as_json=as_json))
        return FAILED if failed else 0

    return run(main)


def _shown(finding: Finding, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(finding._asdict()) + "\n"
    out = stdout()
    head = f"{finding.grade:<{_GRADE_WIDTH}} {finding.name:<{_NAME_WIDTH}}  "
    text = one_line(finding.text)
    width = max(10, out.columns - len(head))
    lines = textwrap.wrap(text, width, break_on_hyphens=False) if out.is_terminal else [text]
    shown = Text(f"\n{' ' * len(head)}".join(lines or [""]))
    shown = Text(head).append(shown)
    shown.stylize(_STYLES[finding.grade], 0, len(finding.grade))
    return rendered(shown)
