"""The command line as a whole: its commands, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence

import click

from aioservices._version import __version__
from aioservices.cli.commands.collect import collect
from aioservices.cli.commands.deploy import deploy, redeploy
from aioservices.cli.commands.local import demo, emulator
from aioservices.cli.commands.logs import logs
from aioservices.cli.commands.services import get_services, list_services
from aioservices.cli.commands.stored import export, stored
from aioservices.cli.commands.watch import watch
from aioservices.terminal.sanitize import one_line

from .arguments import examples
from .console import note
from .errors import FAILED, INTERRUPTED, explain, is_output_error

__all__ = ["cli", "main"]


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "aioservices demo                  (needs no key)",
        "export CIVIS_API_KEY=...",
        "aioservices list",
        "aioservices deploy 42 web-shop 'batch-*'",
        "aioservices logs web-shop -f -n 100",
        "aioservices watch 'web-*'",
    ),
)
@click.version_option(__version__, prog_name="aioservices", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Look at, deploy and follow services of the Civis Platform.

    The API key is read from the environment variable CIVIS_API_KEY. Each
    command tells more, as in: aioservices logs --help
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


for command in (
    list_services,
    get_services,
    deploy,
    redeploy,
    logs,
    watch,
    collect,
    stored,
    export,
    emulator,
    demo,
):
    cli.add_command(command)


def main(arguments: Sequence[str]) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.

    Returns
    -------
    int
        The exit status.
    """
    try:
        status = cli.main(list(arguments), prog_name="aioservices", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as exc:
        return _fail(_complaint(exc), exc.exit_code)
    except Exception as exc:  # whatever it is, a person gets one line
        if is_output_error(exc):
            return FAILED
        explanation = explain(exc, url="the API")
        return _fail(explanation.text, explanation.status)
    return status if isinstance(status, int) else 0


def _fail(text: str, status: int) -> int:
    note(text)
    return status


def _complaint(error: click.ClickException) -> str:
    text = one_line(error.format_message()).rstrip(".")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{text} (see {error.ctx.command_path} --help)"
    return text
