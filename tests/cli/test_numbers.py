"""Numbers and durations at the terminal: what cannot be used is refused where it is read."""

from collections.abc import Iterator

import click
import pytest

from aioservices.cli.app import cli as root

from .conftest import Cli

HOSTILE = ["9" * 400, "9" * 5000, "9" * 400 + "d", "1e400", "nan", "inf", "-1", "x", ""]


def parameters(
    command: click.Command, names: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Parameter]]:
    """Return every parameter of a command and those below it, with its name."""
    for parameter in command.params:
        yield " ".join((*names, str(parameter.name))), parameter
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from parameters(each, (*names, name))


NUMERIC = [
    pytest.param(parameter, id=name)
    for name, parameter in parameters(root)
    if isinstance(parameter.type, click.IntRange | click.FloatRange)
    or parameter.type in (click.INT, click.FLOAT)
    or parameter.type.name == "duration"
]


@pytest.mark.parametrize("parameter", NUMERIC)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:5])
def test_a_number_that_makes_no_sense_is_refused_where_it_is_read(
    parameter: click.Parameter, text: str
) -> None:
    value = (text,) if parameter.multiple or parameter.nargs != 1 else text
    with pytest.raises(click.BadParameter), click.Context(root) as context:
        parameter.type_cast_value(context, value)


def test_all_commands_were_looked_at() -> None:
    assert len(NUMERIC) > 15


async def test_a_number_that_makes_no_sense_is_named_in_one_short_line(cli: Cli) -> None:
    for arguments in (
        ["list", "--timeout", "9" * 5000],
        ["list", "--limit", "9" * 5000],
        ["list", "--limit", str(2**63)],
        ["deploy", "web", "--concurrency", "0"],
    ):
        ended = await cli.run(*arguments)
        assert (ended.status, ended.output) == (2, ""), ended
        assert f"'{arguments[-2]}'" in ended.errors
