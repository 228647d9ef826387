"""Options that several commands have."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from .connection import Connection
from .console import coloured
from .filters import FIELDS, Filter, Format, checked_template
from .times import Instant, parse_duration

__all__ = ["DURATION", "INSTANT", "as_json", "connected", "examples", "line_options"]

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


class _Instant(click.ParamType[Instant]):
    """A time, as people write it."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Instant:
        instant = Instant(str(value))
        try:
            instant.at(dt.datetime.now(dt.UTC))  # roughly, to see that it is one
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        return instant


class _Pattern(click.ParamType[re.Pattern[str]]):
    """A regular expression."""

    name = "regexp"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> re.Pattern[str]:
        try:
            return re.compile(str(value))
        except re.error as exc:
            self.fail(f"{value!r} is no regular expression: {exc}", param, ctx)


class _Template(click.ParamType[str]):
    """A template of a line."""

    name = "template"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            return checked_template(str(value))
        except (ValueError, LookupError) as exc:
            self.fail(str(exc), param, ctx)


INSTANT = _Instant()


def examples(*lines: str) -> str:
    """Make the end of a command's help, whose lines stay as they are."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def as_json(help: str) -> Callable[[CommandT], CommandT]:
    """Add the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help=help)


def line_options(*, named: bool) -> Callable[[CommandT], CommandT]:
    """Add the options that say which lines are shown, and how: a `Filter` and a `Format`.

    Parameters
    ----------
    named : bool
        Whether the name of the service goes before each line.
    """

    def decorate(command: CommandT) -> CommandT:
        @functools.wraps(command)
        def with_lines(
            *args: object,
            stream: str | None,
            grep: tuple[re.Pattern[str], ...],
            exclude: tuple[re.Pattern[str], ...],
            timestamps: bool,
            template: str | None,
            as_json: bool,
            **rest: object,
        ) -> object:
            chosen = Filter(stream=stream, grep=grep, exclude=exclude)
            shown = Format(
                as_json=as_json,
                template=template,
                timestamps=timestamps,
                named=named,
                coloured=coloured(),
            )
            return command(*args, chosen=chosen, shown=shown, **rest)

        options = [
            click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only this."),
            click.option(
                "--grep",
                type=_Pattern(),
                multiple=True,
                help="Only lines in which it is found; of several, any one.",
            ),
            click.option(
                "--exclude", type=_Pattern(), multiple=True, help="No lines in which it is found."
            ),
            click.option("-t", "--timestamps", is_flag=True, help="Show the time of each line."),
            click.option(
                "--template",
                type=_Template(),
                help=f"How a line is shown; there are {', '.join(f'{{{f}}}' for f in FIELDS)}.",
            ),
            as_json("One JSON object a line, with every byte of the message."),
        ]
        for option in reversed(options):
            with_lines = option(with_lines)
        return cast("CommandT", with_lines)

    return decorate


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
