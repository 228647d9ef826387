"""The command that makes any API call: `api`."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Sequence
from typing import cast

import click

from aioservices.api.models import JSON
from aioservices.cli.arguments import changing, connected, examples
from aioservices.cli.connection import Connection
from aioservices.cli.console import would
from aioservices.cli.errors import USAGE_ERROR, CommandError
from aioservices.cli.files import read_bytes
from aioservices.http.response import RawResponse
from aioservices.http.url import QueryValue
from aioservices.terminal.output import stderr, stdout
from aioservices.terminal.run import run
from aioservices.terminal.sanitize import one_line, printable

__all__ = ["api"]

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_IN_QUERY = _READING | {"DELETE"}


@click.command(
    "api",
    short_help="Make any API call.",
    epilog=examples(
        "aioservices api GET services -f status=running -F limit=50",
        "aioservices api GET users/me",
        "aioservices api PATCH services/42 -F replicas=3",
        "aioservices api POST services --input service.json --dry-run",
    ),
)
@click.argument("method", metavar="METHOD")
@click.argument("path", metavar="PATH")
@click.option(
    "-f",
    "--field",
    "texts",
    multiple=True,
    metavar="NAME=VALUE",
    help="A string parameter. May be repeated.",
)
@click.option(
    "-F",
    "--typed-field",
    "typed",
    multiple=True,
    metavar="NAME=VALUE",
    help="A JSON parameter: a number, true, null, a list, ... May be repeated.",
)
@click.option(
    "--input",
    "file",
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="The body, as JSON; - is standard input.",
)
@click.option(
    "-i", "--include", is_flag=True, help="Show the status and the headers, on standard error."
)
@changing()
@connected()
def api(
    connection: Connection,
    *,
    method: str,
    path: str,
    texts: Sequence[str],
    typed: Sequence[str],
    file: str | None,
    include: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Make any API call, and print the answer.

    METHOD is GET, POST, PUT, PATCH or DELETE; PATH is relative to the address of
    the API, such as services/42. Parameters go into the query for GET and DELETE,
    and into a JSON body otherwise. Their names are those of the API, in camel
    case for a body. The exit status is 1 if the call fails.
    """
    method = method.upper()
    if method not in _METHODS:
        methods = ", ".join(_METHODS)
        raise click.UsageError(f"{one_line(method)!r} is not a method; methods are {methods}")
    path, _, query = path.partition("?")
    params: dict[str, QueryValue] = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    fields = _fields(texts, typed)
    body: JSON = None
    if file is not None:
        body = _json_in(file)
        if fields and not isinstance(body, dict):
            raise CommandError("parameters can only be added to an object", status=USAGE_ERROR)
    if fields and (file is None and method in _IN_QUERY):
        params |= cast("dict[str, QueryValue]", fields)
    elif fields:
        body = {**(body if isinstance(body, dict) else {}), **fields}
    if dry_run and method not in _READING:
        where = f"{path}?{urllib.parse.urlencode(params, doseq=True)}" if params else path
        would(f"{one_line(method)} {one_line(where)}")
        if body is not None:
            print(json.dumps(body, indent=2))
        return 0

    async def main() -> int:
        async with connection.open() as services:
            try:
                answer = await connection.reach(
                    services,
                    lambda view: view.request(method, path, params=params or None, json=body),
                    method=method,
                )
            except (TypeError, ValueError) as exc:
                raise CommandError(str(exc), status=USAGE_ERROR) from None
        if include:
            _show_head(answer)
        await stdout().write(_shown(answer))
        return 0

    return run(main)


def _fields(texts: Sequence[str], typed: Sequence[str]) -> dict[str, JSON]:
    fields: dict[str, JSON] = {}
    for option, settings in (("-f", texts), ("-F", typed)):
        for setting in settings:
            name, separator, text = setting.partition("=")
            if not separator or not name:
                raise CommandError(
                    f"{option} {setting}: write it as NAME=VALUE", status=USAGE_ERROR
                )
            fields[name] = text if option == "-f" else _parsed(setting, text)
    return fields


def _parsed(setting: str, text: str) -> JSON:
    try:
        return cast("JSON", json.loads(text))
    except ValueError:
        raise CommandError(
            f"-F {setting}: the value is not JSON, such as 3, true or [1, 2]; use -f for strings",
            status=USAGE_ERROR,
        ) from None


def _json_in(file: str) -> JSON:
    try:
        return cast("JSON", json.loads(read_bytes(file)))
    except (ValueError, RecursionError) as exc:
        shown = "standard input" if file == "-" else file
        raise CommandError(f"{shown} is not JSON: {exc}", status=USAGE_ERROR) from None


def _shown(answer: RawResponse) -> str | bytes:
    """Return the body: formatted and escaped on a terminal, unchanged in a pipe."""
    if not stdout().is_terminal:
        return answer.content
    if not answer.content:
        return ""
    try:
        text = json.dumps(json.loads(answer.content), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = answer.content.decode("utf-8", "replace")
    return printable(text).rstrip("\n") + "\n"


def _show_head(answer: RawResponse) -> None:
    stderr().post(f"{answer.status}\n")
    for name, value in answer.headers.items():
        stderr().post(f"{one_line(name)}: {one_line(value)}\n")
    stderr().post("\n")
