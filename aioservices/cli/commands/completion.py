"""The command that installs completion in a shell: `completion`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from aioservices.cli.arguments import examples
from aioservices.cli.shells import SHELLS

__all__ = ["completion"]

_VARIABLE = "_AIOSERVICES_COMPLETE"
_AFTERWARDS = {
    "bash": "it works in new shells, where the package bash-completion is installed",
    "zsh": "it works in new shells whose .zshrc has: fpath+=(~/.zfunc); autoload -U compinit; "
    "compinit",
    "fish": "it works in new shells",
}


@click.command(
    "completion",
    short_help="Set up completion of commands and names in your shell.",
    epilog=examples(
        'eval "$(aioservices completion bash)"      (for this shell)',
        "aioservices completion bash --install      (for new shells)",
        "aioservices completion fish --install",
    ),
)
@click.argument("shell", metavar="SHELL", type=click.Choice(list(SHELLS)))
@click.option("--install", is_flag=True, help="Install it where the shell looks for it.")
@click.pass_context
def completion(context: click.Context, shell: str, install: bool) -> int:
    """Set up completion of commands, options and service names.

    SHELL is bash, zsh or fish. Names are fetched from the API, for which the shell
    waits half a second; those that arrive later are available the next time. They are
    cached for a minute.
    """
    program = context.find_root()
    script = SHELLS[shell](program.command, {}, "aioservices", _VARIABLE).source()
    if not install:
        print(script)
        return 0
    path = _place(shell)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script + "\n", encoding="utf-8")
    print(f"wrote {path}: {_AFTERWARDS[shell]}")
    return 0


def _place(shell: str) -> Path:
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return {
        "bash": data / "bash-completion" / "completions" / "aioservices",
        "zsh": home / ".zfunc" / "_aioservices",
        "fish": config / "fish" / "completions" / "aioservices.fish",
    }[shell]
