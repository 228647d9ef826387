"""The command `aioservices`."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence

from ._version import __version__

__all__ = ["main"]

_HELP = """\
Usage: aioservices COMMAND

  demo      start a small fleet on this machine, deploy it and follow its logs
  emulator  serve the API on this machine, for tests and for trying things out

The other commands (list, get, deploy, redeploy, logs, watch) need the extra:

  pip install 'aioservices[cli]'
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those that the program was started with.

    Returns
    -------
    int
        The exit status: 0, 1 if the work failed, 2 if it was asked for in a
        wrong way, 130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with _quiet_interrupt():
        command_line = _command_line()
    try:
        return command_line(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _command_line() -> Callable[[Sequence[str]], int]:
    if all(map(importlib.util.find_spec, ("click", "rich"))):
        from aioservices.cli.app import main as command_line

        return command_line
    return _without_extra


@contextlib.contextmanager
def _quiet_interrupt() -> Generator[None, None, None]:
    """Let Ctrl-C end the program at once, while it does nothing but import.

    As an exception it would come up in the middle of some module, and there be
    shown or swallowed as the module pleases.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # it is ignored, as after nohup, or somebody else's
        return
    try:
        signal.signal(signal.SIGINT, lambda number, _: os._exit(128 + number))
    except ValueError:  # not in the main thread, which gets the signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _without_extra(arguments: Sequence[str]) -> int:
    """Do what needs neither click nor rich, and say how to get the rest."""
    match arguments:
        case ["demo"]:
            from .demo import main as demo

            return demo()
        case ["emulator", *rest]:
            from aioservices.emulator.__main__ import main as emulator

            return emulator(rest)
        case [] | ["--help" | "-h", *_] | ["demo", "--help" | "-h"]:
            print(_HELP, end="")
            return 0
        case ["--version"]:
            print(f"aioservices {__version__}")
            return 0
        case _:
            hint = "this needs the command line's extra: pip install 'aioservices[cli]'"
            print(f"aioservices: {hint}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
