"""Options that several commands have."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from .connection import Connection
from .times import parse_duration

__all__ = ["DURATION", "as_json", "connected", "examples"]

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


class _Duration(click.ParamType[float]):
    """Seconds, as people write them."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, int | float):
            return value
        try:
            seconds = parse_duration(str(value))
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        if seconds <= 0:
            self.fail("it must be more than nothing", param, ctx)
        return seconds


DURATION = _Duration()


def examples(*lines: str) -> str:
    """Make the end of a command's help, whose lines stay as they are."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def as_json(help: str) -> Callable[[CommandT], CommandT]:
    """Add the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help=help)


def connected(*, timeout: bool = True) -> Callable[[CommandT], CommandT]:
    """Add the options of a command that uses the API, which is given a `Connection`.

    Parameters
    ----------
    timeout : bool
        Whether ``--timeout`` is that of a request.
    """

    def decorate(command: CommandT) -> CommandT:
        @functools.wraps(command)
        def connecting(
            *args: object, url: str | None, verbose: bool, request_timeout: float, **rest: object
        ) -> object:
            connection = Connection(url=url, timeout=request_timeout, verbose=verbose)
            return command(connection, *args, **rest)

        options = [
            click.option(
                "--url", metavar="URL", help="Address of the API, in place of CIVIS_API_ENDPOINT."
            ),
            click.option(
                "--timeout" if timeout else "--request-timeout",
                "request_timeout",
                type=DURATION,
                default="60s",
                show_default=True,
                help="How long an attempt of a request may take.",
            ),
            click.option(
                "-v", "--verbose", is_flag=True, help="Tell of every request on standard error."
            ),
        ]
        for option in reversed(options):
            connecting = option(connecting)
        return cast("CommandT", connecting)

    return decorate
