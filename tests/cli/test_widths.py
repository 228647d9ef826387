"""No table and no page of help is wider than the terminal, or breaks a word that would fit."""

import asyncio
import re
from collections.abc import Iterator

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aioservices import Services
from aioservices.cli.app import cli as root
from aioservices.cli.help_text import wrapped
from aioservices.cli.tables import fitted
from aioservices.cli.topics import TOPICS
from aioservices.emulator import Emulator
from tests.servers.emulated import session

from .conftest import Cli

WIDTHS = [50, 80, 200]
NAMES = [f"web-production-frontend-{region}-central-1" for region in ("eu", "us", "ap")]
TABLES = [
    ["list"],
    ["list", "--columns", "id,name,url,message,description,created"],
    ["get", "1"],
    ["deployments", "1"],
    ["deployments", "crashing"],
    ["shares", "list", "1"],
    ["tokens", "list", "1"],
    ["projects", "list", "1"],
    ["dependencies", "1"],
    ["transfer", "1", "2", "--dry-run"],
    ["doctor"],
]


def command_paths(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[list[str]]:
    yield [*path]
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from command_paths(each, (*path, name))


PAGES = [
    *([*path, "--help"] for path in command_paths(root)),
    ["help"],
    *(["help", topic] for topic in TOPICS),
]


async def run_all(cli: Cli, commands: list[list[str]], columns: int) -> dict[str, list[str]]:
    """Run commands on a terminal; gives the lines of each."""
    shown: dict[str, list[str]] = {}
    for command in commands:
        with cli.terminal(*command, columns=columns, NO_COLOR="1") as terminal:
            ended = await terminal.end()
        assert ended.status == 0, ended
        shown[" ".join(command)] = ended.lines
    return shown


async def furnish(emulator: Emulator, services: Services) -> None:
    """Add services about which there is a lot to say."""
    for name in NAMES:
        emulator.add_service(name, deployed=True)
    emulator.add_service("日本語のサービス" * 3, deployed=True)
    emulator.set_state(emulator.add_service("crashing", deployed=True), "failed", message="m" * 99)
    await services.patch(
        1,
        description="what this is for, in many words, " * 5,
        environment_variables={f"A_LONG_NAME_OF_A_VARIABLE_{n}": "x" for n in range(5)},
    )
    await services.post_tokens(1, "a-token-with-a-rather-long-name-for-a-robot")
    await services.put_shares_users(1, [2, 3], "write")
    await services.put_projects(1, 11)


@pytest.mark.parametrize("columns", WIDTHS)
async def test_no_table_is_wider_than_the_terminal(
    cli: Cli, emulator: Emulator, columns: int
) -> None:
    async with session(emulator) as services:
        await furnish(emulator, services)
    shown = await run_all(cli, TABLES, columns)
    for command, lines in shown.items():
        assert lines, command
        assert [line for line in lines if cell_len(line) > columns] == [], command
        assert [line for line in lines if line != line.rstrip()] == [], command
    # The services of several regions can be distinguished.
    names = [line.split()[1] for line in shown["list"] if "web-" in line]
    assert len(names) == 3
    assert all(any(region in name for name in names) for region in ("eu", "us", "ap"))
    words = " ".join(" ".join(shown["doctor"]).split())
    assert "the key sees 5 services; permission for the newest of them: manage" in words


async def test_the_message_of_a_deployment_is_wrapped_not_cut(cli: Cli, emulator: Emulator) -> None:
    message = "Replaced by deployment 1002, because the one before it was no longer needed"
    emulator.set_state(emulator.add_service("web", deployed=True), "terminated", message=message)
    with cli.terminal("deployments", "1", columns=50, NO_COLOR="1") as terminal:
        ended = await terminal.end()
    head, *rows = ended.lines
    start = head.index("MESSAGE")
    assert " ".join(row[start:].strip() for row in rows) == message
    assert max(map(cell_len, rows)) <= 50


@pytest.mark.parametrize("columns", [50, 80])
async def test_an_error_is_wrapped_between_words(
    cli: Cli, emulator: Emulator, columns: int
) -> None:
    in_one_line = (await cli.run("get", "nothing")).errors
    with cli.terminal("get", "nothing", columns=columns) as terminal:
        ended = await terminal.end()
    assert len(ended.lines) > 1
    assert max(map(cell_len, ended.lines)) <= columns
    assert ended.output.split() == in_one_line.split()


@pytest.fixture(scope="module")
def whole() -> dict[str, list[str]]:
    """Return the pages of help as a very wide terminal shows them."""
    return asyncio.run(run_all(Cli(Emulator()), PAGES, 400))


@pytest.mark.parametrize("columns", WIDTHS)
async def test_no_help_is_wider_than_the_terminal_and_no_word_is_broken(
    cli: Cli, columns: int, whole: dict[str, list[str]]
) -> None:
    for command, lines in (await run_all(cli, PAGES, columns)).items():
        explained = [line for line in lines if not is_command(line)]
        assert [line for line in explained if len(line) > columns] == [], command
        # The same words in the same order, but for the emulator's, whose parser is another one.
        if not command.startswith("emulator"):
            assert words_of(lines) == words_of(whole[command]), command


def words_of(lines: list[str]) -> list[str]:
    """Return the words, and the parts of those that may be broken after a hyphen."""
    return re.split(r"\s+|(?<=-)\s*", " ".join(lines).strip())


def is_command(line: str) -> bool:
    """Whether a line is to be copied as it is, however long."""
    return re.match(r"  +(export |eval |[A-Z_]+=\S+ aioservices |aioservices )", line) is not None


@given(
    st.lists(st.tuples(st.integers(1, 60), st.none() | st.integers(1, 3)), min_size=1, max_size=8),
    st.integers(30, 120),
)
def test_columns_fit_and_leave_nothing_over(
    columns: list[tuple[int, int | None]], width: int
) -> None:
    needs = [need for need, _ in columns]
    found = fitted(needs, [ratio for _, ratio in columns], width)
    space = width - 2 * (len(columns) - 1)
    assert all(1 <= each <= need for each, need in zip(found, needs, strict=True))
    assert sum(found) == min(space, sum(needs))
    fixed = sum(need for need, ratio in columns if ratio is None)
    giving = sum(ratio is not None for _, ratio in columns)
    if fixed + 4 * giving <= space:
        assert all(
            each == need
            for each, (need, ratio) in zip(found, columns, strict=True)
            if ratio is None
        )


@given(st.integers(30, 100))
def test_a_page_of_help_keeps_every_word_at_any_width(width: int) -> None:
    for topic in TOPICS.values():
        shown = wrapped(topic.text, width)
        assert shown.split() == topic.text.split()
        assert shown.endswith("\n")
