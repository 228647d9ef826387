"""`python -m aioservices.emulator`."""

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from typing import NoReturn

from aioservices.emulator.arguments import check_api_key
from aioservices.emulator.emulator import UNLIMITED
from aioservices.emulator.serve import ServeError, Write, parse_program, print_text, serve


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(
    argv: Sequence[str] | None = None,
    prog: str = "python -m aioservices.emulator",
    write: Write = print_text,
) -> int:
    """Run the emulator with the arguments of a command line.

    Parameters
    ----------
    argv
        The arguments. None: those of this process.
    prog
        The name of the program, for its help and its error messages.
    write
        Writes what the emulator prints while it runs. Default: `print`.

    Returns
    -------
    int
        The exit status.
    """
    parser = _parser(prog)
    options = parser.parse_args(argv)
    api_key: str | None = options.api_key
    if api_key is None and (from_environment := os.environ.get("CIVIS_API_KEY")):
        try:
            api_key = check_api_key(from_environment, "CIVIS_API_KEY")
        except ValueError as error:
            parser.error(str(error))
    try:
        serve(
            port=options.port,
            services=options.services,
            api_key=api_key,
            programs=dict(options.run),
            rate_limit=options.rate_limit,
            latency=options.latency / 1000,
            state_file=options.state,
            write=write,
        )
    except ServeError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser(prog: str) -> ArgumentParser:
    parser = _Parser(
        prog=prog,
        description="A server of the Civis services API on this machine, for trying things out.",
        epilog="It prints its URL on standard output. On standard error it prints the address of "
        "its page, and what to export so that a client finds it.",
    )
    add = parser.add_argument
    add("--port", type=_port, default=0, help="TCP port on 127.0.0.1 (0, the default: a free one)")
    add("--services", type=_count, default=3, help="services that run from the start (default: 3)")
    add(
        "--api-key",
        type=_api_key,
        metavar="KEY",
        help="the key that is accepted (default: the value of CIVIS_API_KEY, otherwise a new one). "
        "Every user of this machine can read it in the list of processes; an environment "
        "variable only you can read",
    )
    add(
        "--run",
        type=_program,
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="a service that is a real program, started by its deployment; may be repeated",
    )
    add(
        "--state",
        metavar="FILE",
        help="keep services, deployments and the newest lines in FILE, and begin with what it "
        "holds; it also holds the environment variables of services, and only you can read it",
    )
    add(
        "--rate-limit",
        type=_positive,
        default=UNLIMITED,
        metavar="N",
        help="requests that are accepted in 300 s (default: 1000000; the platform: 1000)",
    )
    add("--latency", type=_milliseconds, default=0.0, metavar="MS", help="delay each answer by MS")
    return parser


def _program(text: str) -> tuple[str, list[str]]:
    try:
        return parse_program(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _api_key(text: str) -> str:
    try:
        return check_api_key(text, "the key")
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    return _integer(text, 0, 65535)


def _count(text: str) -> int:
    return _integer(text, 0, 1_000_000)


def _positive(text: str) -> int:
    return _integer(text, 1, 1_000_000_000)


def _integer(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise ArgumentTypeError(f"{text!r} is not an integer from {least} to {most}")
    return int(text)


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3_600_000:
        raise ArgumentTypeError(f"{text!r} is not a number of milliseconds from 0 to 3600000")
    return value


if __name__ == "__main__":
    sys.exit(main())
