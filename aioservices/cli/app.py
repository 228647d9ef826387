"""The command line as a whole: its commands, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import click

from aioservices._version import __version__
from aioservices.cli.commands.api import api
from aioservices.cli.commands.archive import archive, unarchive
from aioservices.cli.commands.collect import collect
from aioservices.cli.commands.completion import completion
from aioservices.cli.commands.deploy import deploy, redeploy
from aioservices.cli.commands.deployments import deployments, stop
from aioservices.cli.commands.doctor import doctor
from aioservices.cli.commands.edit import clone, create, update
from aioservices.cli.commands.help import help_command
from aioservices.cli.commands.local import demo, emulator
from aioservices.cli.commands.logs import logs
from aioservices.cli.commands.ownership import dependencies, transfer
from aioservices.cli.commands.projects import projects
from aioservices.cli.commands.services import get_services, list_services, open_service
from aioservices.cli.commands.shares import shares
from aioservices.cli.commands.stored import export, stored
from aioservices.cli.commands.tokens import tokens
from aioservices.cli.commands.watch import watch
from aioservices.terminal.output import stderr
from aioservices.terminal.sanitize import one_line

from .arguments import examples
from .console import note
from .errors import FAILED, INTERRUPTED, explain, is_output_error
from .groups import Group
from .help_text import HelpContext

__all__ = ["cli", "main"]

_SUGGESTION = re.compile(r"\. \(?Did you mean (?:one of: )?(.+?)\?\)?$")

GROUPS: Mapping[str, Sequence[click.Command]] = {
    "Services": (
        list_services,
        get_services,
        open_service,
        create,
        update,
        clone,
        archive,
        unarchive,
    ),
    "Deployments": (deploy, redeploy, stop, deployments),
    "Logs": (logs, watch, collect, stored, export),
    "Sharing": (shares, tokens, projects, transfer, dependencies),
    "Tools": (api, doctor, completion, emulator, demo, help_command),
}
"""The commands, as the help groups them."""


class _Commands(Group):
    """The commands of `GROUPS`."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        longest = max(len(command.name or "") for command in self.commands.values())
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        # All names take the same width, so that the groups are aligned.
                        ((command.name or "").ljust(longest), command.short_help or "")
                        for command in commands
                    ]
                )


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "aioservices demo          (needs no key)",
        "aioservices help start    (the first ten minutes)",
        "export CIVIS_API_KEY=...",
        "aioservices list",
        "aioservices deploy web-shop 'batch-*'",
        "aioservices logs web-shop -f -n 100",
    ),
)
@click.version_option(__version__, prog_name="aioservices", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Show, deploy, follow and change services of the Civis Platform.

    The API key is read from the environment variable CIVIS_API_KEY. Each
    command explains itself, for example: aioservices logs --help
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def _add(command: click.Command, to: click.Group | None = None) -> None:
    """Make a command, and its subcommands, print the same kind of help."""
    command.context_class = HelpContext
    if to is not None:
        to.add_command(command)
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _add(each)


for _group in GROUPS.values():
    for _command in _group:
        _add(_command, to=cli)
cli.context_class = HelpContext


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
    except click.exceptions.NoArgsIsHelpError as exc:  # a group without a command
        stderr().post(f"{exc.ctx.get_help()}\n")
        return exc.exit_code
    except click.ClickException as exc:
        return _fail(_error_text(exc), exc.exit_code)
    except Exception as exc:  # users see one line for any error
        if is_output_error(exc):
            return FAILED
        explanation = explain(exc, url="the API")
        return _fail(explanation.text, explanation.status)
    return status if isinstance(status, int) else 0


def _fail(text: str, status: int) -> int:
    note(text)
    return status


def _error_text(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption) and error.ctx and error.ctx.command is cli:
        option = error.option_name
        for name, command in cli.commands.items():
            if any(option in parameter.opts for parameter in command.params):
                return f"{option!r} follows the command, as in aioservices {name} {option}"
    # click's own messages are sentences; ours follow a colon.
    text = one_line(error.format_message()).rstrip(".")
    text = _SUGGESTION.sub(r": did you mean \1?", text)
    if text[1:2].islower():
        text = text[0].lower() + text[1:]
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{text} (see {error.ctx.command_path} --help)"
    return text
