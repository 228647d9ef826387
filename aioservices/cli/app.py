"""The command line as a whole: its commands, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from aioservices._version import __version__
from aioservices.cli.commands.deploy import deploy, redeploy
from aioservices.cli.commands.local import demo, emulator
from aioservices.cli.commands.logs import logs
from aioservices.cli.commands.services import get_services, list_services
from aioservices.cli.commands.watch import watch
from aioservices.terminal.output import discard
from aioservices.terminal.sanitize import one_line

from .arguments import examples
from .errors import INTERRUPTED, MISUSED, explain

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
        click.echo(context.get_help())


for command in (list_services, get_services, deploy, redeploy, logs, watch, emulator, demo):
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
    if not _have_streams():
        return MISUSED
    out = sys.stdout
    try:
        status = cli.main(list(arguments), prog_name="aioservices", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as exc:
        return _fail(_complaint(exc), exc.exit_code)
    except SystemExit:
        # Click's answer to a closed pipe, and then it has stood something in for the stream.
        if sys.stdout is out:
            raise
        discard()
        return 0
    except Exception as exc:  # whatever it is, a person gets one line
        return _fail(*explain(exc, url="the API"))
    return status if isinstance(status, int) else 0


def _have_streams() -> bool:
    """Stand something in for standard streams that are closed; without an output nothing is done.

    Else a socket would get the number of such a stream, and with it what is written there.
    """
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:  # the lowest number that is free is that of the stream
        nowhere = os.open(os.devnull, os.O_RDWR)
        if name != "stdout":
            stream = open(nowhere, "r" if name == "stdin" else "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    if "stdout" in closed:
        _fail("standard output is closed: send it to /dev/null if nobody is to read it", MISUSED)
    return "stdout" not in closed


def _fail(text: str, status: int) -> int:
    click.echo(f"aioservices: {text}", err=True)
    return status


def _complaint(error: click.ClickException) -> str:
    text = one_line(error.format_message()).rstrip(".")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{text} (see {error.ctx.command_path} --help)"
    return text
