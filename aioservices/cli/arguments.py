"""Options that several commands have."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from aioservices.terminal.output import stdout
from aioservices.terminal.times import Instant, parse_duration

from .completion import service_names
from .connection import Connection
from .console import coloured, encodable
from .filters import FIELDS, Filter, Format, checked_template
from .labels import Labels

__all__ = [
    "COUNT",
    "DURATION",
    "INSTANT",
    "POSITIVE",
    "SERVICE",
    "TOKEN",
    "as_json",
    "changing",
    "connected",
    "examples",
    "line_options",
]

_MIN_LABEL = 16  # cells

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


if TYPE_CHECKING:
    ParamType = click.ParamType
else:

    class ParamType(click.ParamType):
        """`click.ParamType`, which is generic for type checkers; before click 8.4 only for them."""

        def __class_getitem__(cls, _: object) -> type[ParamType]:
            return cls


class _Duration(ParamType[float]):
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
            self.fail("it must be greater than zero", param, ctx)
        return seconds


DURATION = _Duration()


class _Integer(ParamType[int]):
    """An integer with a minimum."""

    name = "integer"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        text = str(value).strip()
        if not re.fullmatch(r"[+-]?[0-9]{1,30}", text) or int(text) < self._least:
            self.fail(f"{value!r} is not an integer from {self._least} up", param, ctx)
        if int(text) > _LARGEST:
            self.fail(f"{text} is too large", param, ctx)
        return int(text)


_LARGEST = 2**63 - 1
COUNT = _Integer(0)
POSITIVE = _Integer(1)


class _Token(ParamType[int | str]):
    """The id or the name of a token; digits are always an id."""

    name = "token"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        text = str(value)
        return POSITIVE.convert(value, param, ctx) if re.fullmatch(r"[+-]?[0-9]+", text) else text


TOKEN = _Token()


class _Instant(ParamType[Instant]):
    """A time, as people write it."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Instant:
        instant = Instant(str(value))
        try:
            instant.at(dt.datetime.now(dt.UTC))  # roughly, to check the syntax
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        return instant


class _Pattern(ParamType[str]):
    """A regular expression."""

    name = "regexp"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            re.compile(str(value))
        except re.error as exc:
            self.fail(f"{value!r} is not a regular expression: {exc}", param, ctx)
        return str(value)


class _Template(ParamType[str]):
    """A template of a line."""

    name = "template"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            return checked_template(str(value))
        except (ValueError, LookupError) as exc:
            self.fail(str(exc), param, ctx)


class _Service(ParamType[str]):
    """An id, a name or a pattern of services; shells complete names."""

    name = "service"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in service_names(incomplete)]


INSTANT = _Instant()
SERVICE = _Service()


def _labels() -> Labels:
    """Make labels: full names in a pipe; on a terminal, names that leave space for lines."""
    out = stdout()
    widest = max(_MIN_LABEL, out.columns // 4) if out.is_terminal else None
    return Labels(widest=widest, ellipsis=encodable("…"))


def _patterns(texts: Sequence[str], *, ignore_case: bool) -> list[re.Pattern[str]]:
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    return [re.compile(text, flags) for text in texts]


def examples(*lines: str) -> str:
    """Make the end of a command's help, whose lines are not wrapped."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def as_json(help: str) -> Callable[[CommandT], CommandT]:
    """Add the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help=help)


_LINE_OPTIONS = (
    click.option(
        "--stream",
        type=click.Choice(["stdout", "stderr"]),
        help="Only lines of this stream.",
    ),
    click.option(
        "--grep",
        type=_Pattern(),
        multiple=True,
        help="Only lines that match; if repeated, any of the expressions.",
    ),
    click.option(
        "--exclude",
        type=_Pattern(),
        multiple=True,
        help="Leave out lines that match; may be repeated.",
    ),
    click.option("-i", "--ignore-case", is_flag=True, help="Ignore case."),
    click.option("-t", "--timestamps", is_flag=True, help="Show the time of each line."),
    click.option(
        "--template",
        type=_Template(),
        help=f"Format of a line; fields: {', '.join(f'{{{f}}}' for f in FIELDS)}.",
    ),
    as_json("Print one JSON object per line, with every byte of the message."),
)


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
            grep: tuple[str, ...],
            exclude: tuple[str, ...],
            ignore_case: bool,
            timestamps: bool,
            template: str | None,
            as_json: bool,
            **rest: object,
        ) -> object:
            chosen = Filter(
                stream=stream,
                grep=_patterns(grep, ignore_case=ignore_case),
                exclude=_patterns(exclude, ignore_case=ignore_case),
            )
            shown = Format(
                as_json=as_json,
                template=template,
                timestamps=timestamps,
                coloured=coloured(),
                labels=_labels() if named else None,
                aligned=stdout().is_terminal,
            )
            return command(*args, chosen=chosen, shown=shown, **rest)

        for option in reversed(_LINE_OPTIONS):
            with_lines = option(with_lines)
        return cast("CommandT", with_lines)

    return decorate


def changing(*, asks: str = "") -> Callable[[CommandT], CommandT]:
    """Add ``--dry-run`` and ``--yes`` to a command that changes something.

    Parameters
    ----------
    asks : str, optional
        When it asks, for the help. Default: it never does, and accepts ``--yes`` for scripts.
    """

    def decorate(command: CommandT) -> CommandT:
        with_yes = click.option(
            "-y",
            "--yes",
            is_flag=True,
            hidden=not asks,
            help=f"Do not ask for confirmation. Otherwise {asks}.",
        )
        with_dry_run = click.option("--dry-run", is_flag=True, help="Only show what would be done.")
        return with_dry_run(with_yes(command))

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
                "--url", metavar="URL", help="Address of the API, instead of CIVIS_API_ENDPOINT."
            ),
            click.option(
                "--timeout" if timeout else "--request-timeout",
                "request_timeout",
                type=DURATION,
                default="60s",
                show_default=True,
                help="Time limit for each attempt of a request.",
            ),
            click.option(
                "-v", "--verbose", is_flag=True, help="Report every request on standard error."
            ),
            click.option(
                "--color",
                type=click.Choice(["auto", "always", "never"]),
                default="auto",
                expose_value=False,
                is_eager=True,
                callback=_choose_colours,
                help="Whether to use colours (auto: on a terminal).",
            ),
        ]
        for option in reversed(options):
            connecting = option(connecting)
        return cast("CommandT", connecting)

    return decorate


def _choose_colours(context: click.Context, _: click.Parameter, value: str) -> None:
    context.color = {"always": True, "never": False}.get(value)
