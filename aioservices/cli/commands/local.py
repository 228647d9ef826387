"""The commands that work without the platform: `emulator` and `demo`."""

from __future__ import annotations

import click

from aioservices.terminal.output import write_through

__all__ = ["demo", "emulator"]


@click.command(
    "emulator",
    short_help="Serve the API on this machine, to test and try things out.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def emulator(arguments: tuple[str, ...]) -> int:
    """Serve the API on this machine, to test and try things out.

    Its options are shown by: aioservices emulator --help
    """
    from aioservices.emulator.__main__ import main

    return main(list(arguments), prog="aioservices emulator", write=write_through)


@click.command(
    "demo", short_help="Show what aioservices can do, on this machine and without a key."
)
def demo() -> int:
    """Show what aioservices can do, with a fleet of real programs on this machine.

    It takes about ten seconds, and needs neither a key nor a network.
    """
    from aioservices.demo import main

    return main()
