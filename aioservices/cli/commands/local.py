"""The commands that need no platform: `emulator` and `demo`."""

from __future__ import annotations

import click

__all__ = ["demo", "emulator"]


@click.command("emulator", add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def emulator(arguments: tuple[str, ...]) -> int:
    """Serve the API on this machine, for trying things out.

    What it takes is told by: aioservices emulator --help
    """
    from aioservices.emulator.__main__ import main

    return main(list(arguments), prog="aioservices emulator")


@click.command("demo", short_help="Show what this can do; it needs no key.")
def demo() -> int:
    """Show what this can do, with a fleet of real programs on this machine.

    It takes some ten seconds, and needs neither a key nor a network.
    """
    from aioservices.demo import main

    return main()
