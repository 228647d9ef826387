"""The command `aioservices`."""

from __future__ import annotations

# Nothing that takes time: until `command` has its own handler, Ctrl-C would end in a traceback.
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

__all__ = ["command", "main"]

_HELP = """\
Usage: aioservices COMMAND

  demo      start a small fleet on this machine, deploy it and follow its logs
  emulator  serve the API on this machine, for tests and for trying things out

The other commands (list, get, deploy, logs, watch and many more) need the
extra [cli]: install aioservices-civis[cli] as you have installed this.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name. Default: those that the program was started with.

    Returns
    -------
    int
        The exit status: 0, 1 if the work failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    return _loaded()(sys.argv[1:] if arguments is None else list(arguments))


def command() -> int:
    """Run the command line as the only purpose of this process: the command `aioservices`.

    Returns
    -------
    int
        The exit status, as `main`.
    """
    try:
        status = _until_interrupted()
    except KeyboardInterrupt:  # at the very moment when the handler changes
        return _INTERRUPTED
    if "_AIOSERVICES_COMPLETE" in os.environ:
        # Everything is written; a hanging name lookup would hold up the shell.
        os._exit(status)
    return status


_INTERRUPTED = 128 + signal.SIGINT


def _until_interrupted() -> int:
    """Run `main`; while it does not run, Ctrl-C ends the process at once.

    As an exception it could be raised in the middle of an import, or while the interpreter
    ends, and be shown or swallowed there.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return main()  # it is ignored, as after nohup
    signal.signal(signal.SIGINT, _end_at_once)
    run = _loaded()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run(sys.argv[1:])
    finally:
        signal.signal(signal.SIGINT, _end_at_once)


def _end_at_once(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


def _loaded() -> Callable[[Sequence[str]], int]:
    """Import everything, and return the function that runs the command line."""
    from aioservices.terminal.run import program

    command_line = _command_line()
    return lambda arguments: program(lambda: command_line(arguments))


def _command_line() -> Callable[[Sequence[str]], int]:
    import importlib.util

    if all(map(importlib.util.find_spec, ("click", "rich"))):
        from aioservices.cli.app import main as command_line

        return command_line
    return _without_extra


def _without_extra(arguments: Sequence[str]) -> int:
    """Run what needs neither click nor rich, and say how to install the rest."""
    match arguments:
        case ["demo"]:
            from .demo import main as demo

            return demo()
        case ["emulator", *rest]:
            from aioservices.emulator.__main__ import main as emulator
            from aioservices.terminal.output import write_through

            return emulator(rest, prog="aioservices emulator", write=write_through)
        case [] | ["--help" | "-h", *_] | ["demo", "--help" | "-h"]:
            print(_HELP, end="")
            return 0
        case ["--version"]:
            from ._version import __version__

            print(f"aioservices {__version__}")
            return 0
        case _:
            hint = "this command needs the extra [cli]: install aioservices-civis[cli]"
            print(f"aioservices: {hint}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(command())
