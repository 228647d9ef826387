"""`aioservices list` and `get`."""

import csv
import json

import pytest

from aioservices.emulator import Emulator

from .conftest import ELSEWHERE, Cli, assert_times_in_utc


@pytest.fixture
def fleet(emulator: Emulator) -> None:
    emulator.add_service("web-shop", deployed=True, environment_variables={"TOKEN": "hunter2"})
    emulator.add_service("web-api-with-a-name-that-is-quite-long-for-a-terminal")
    emulator.add_service("nasty\x1b]0;title\x07\x1b[2Jname")


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("columns", [40, 80, 140])
async def test_the_table_is_as_wide_as_the_terminal(cli: Cli, columns: int) -> None:
    with cli.terminal("list", columns=columns, NO_COLOR="1") as terminal:
        ended = await terminal.end()
    assert ended.status == 0, ended
    lines = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in ended.lines]
    assert len(lines) == 4
    assert max(map(len, lines)) <= columns
    assert lines[0].split()[:3] == ["ID", "NAME", "STATE"]
    assert ("AGE" in lines[0]) == (columns >= 60)
    assert any("web-shop" in line and "running" in line for line in lines)
    assert "\x07" not in ended.output


@pytest.mark.usefixtures("fleet")
async def test_a_pipe_gets_every_column_whole(cli: Cli) -> None:
    ended = await cli.run("list", "--name", "WEB-*")
    assert (ended.status, ended.errors, len(ended.lines)) == (0, "", 3)
    assert "web-api-with-a-name-that-is-quite-long-for-a-terminal" in ended.output
    assert "\x1b" not in ended.output


@pytest.mark.usefixtures("fleet")
async def test_json_is_one_object_a_line(cli: Cli) -> None:
    ended = await cli.run("list", "--json", "--status", "running")
    [found] = map(json.loads, ended.lines)
    assert (found["name"], found["current_deployment"]["state"]) == ("web-shop", "running")


@pytest.mark.usefixtures("fleet")
async def test_values_of_variables_are_shown_on_demand_only(cli: Cli) -> None:
    for options in ([], ["--json"]):
        ended = await cli.run("get", "web-shop", *options)
        assert ended.status == 0, ended
        assert "TOKEN" in ended.output
        assert "hunter2" not in ended.output
    assert "hunter2" in (await cli.run("get", "1", "--json", "--show-secrets")).output


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("columns", [40, 80])
async def test_a_service_is_shown_a_fact_a_line(cli: Cli, columns: int) -> None:
    with cli.terminal("get", "web-shop", columns=columns, NO_COLOR="1") as terminal:
        ended = await terminal.end()
    assert "running" in ended.output
    assert all(
        len(line.replace("\x1b[1m", "").replace("\x1b[0m", "")) <= columns for line in ended.lines
    )


async def test_an_empty_list_says_so(cli: Cli) -> None:
    ended = await cli.run("list")
    assert (ended.status, ended.output, ended.errors) == (0, "", "aioservices: no services found\n")


@pytest.mark.usefixtures("fleet")
async def test_patterns_and_columns_choose_what_is_listed(cli: Cli) -> None:
    listed = await cli.run("list", "web-*", "--columns", "id,state,url", "--csv")
    assert listed.status == 0, listed
    head, *rows = csv.reader(listed.lines)
    assert head == ["id", "state", "url"]
    assert sorted(row[:2] for row in rows) == [["1", "running"], ["2", "not deployed"]]
    assert [row[2].startswith("https://") for row in rows if row[0] == "1"] == [True]
    assert (await cli.run("list", "web-shop", "3", "-q")).lines == ["3", "1"]
    refused = await cli.run("list", "--columns", "id,nonsense")
    assert (refused.status, refused.errors.count("\n")) == (2, 1)
    assert "'nonsense' is not a column" in refused.errors


@pytest.mark.usefixtures("fleet")
async def test_a_term_that_fits_nothing_is_reported_next_to_what_was_found(cli: Cli) -> None:
    ended = await cli.run("list", "web-*", "nosuch", "other-*", "99", "-q")
    assert (ended.status, sorted(ended.lines)) == (0, ["1", "2"])
    assert ended.errors == "aioservices: nothing found for 'nosuch', 'other-*', '99'\n"
    assert (await cli.run("list", "web-*", "-q")).errors == ""
    # What follows a limit was not read.
    assert (await cli.run("list", "web-*", "nosuch", "-q", "-n", "1")).errors == ""
    assert (await cli.run("list", "nosuch")).errors == "aioservices: no services found\n"


async def test_every_command_shows_the_same_address_for_all_deployments(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("web", deployed=True)
    seen: set[str] = set()
    for _ in range(2):
        seen |= set((await cli.run("open", "web", "--print")).lines)
        table = await cli.run("list", "--columns", "url", "--csv")
        seen.add(table.lines[1])
        facts = dict(line.split(maxsplit=1) for line in (await cli.run("get", "web")).lines)
        seen.add(facts["url"])
        assert (await cli.run("redeploy", "web")).status == 0
    assert len(seen) == 1


async def test_deployments_are_listed_newest_first(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web", deployed=True)
    emulator.deploy(1)
    assert (await cli.run("deployments", "web", "-q")).lines == ["1002", "1001"]
    assert (await cli.run("deployments", "web", "-n", "1", "-q")).lines == ["1002"]
    with cli.terminal("deployments", "web", columns=50, NO_COLOR="1") as terminal:
        shown = await terminal.end()
    assert max(map(len, shown.lines)) <= 50
    assert shown.lines[0].split()[:2] == ["ID", "STATE"]


@pytest.mark.parametrize(
    "command",
    [
        ["get", "web-shop"],
        ["get", "web-shop", "--json"],
        ["list", "--columns", "id,created,updated"],
        ["list", "--columns", "created,updated", "--csv"],
        ["list", "--json"],
        ["deployments", "web-shop", "--json"],
        ["logs", "web-shop", "--timestamps"],
        ["logs", "web-shop", "--json"],
    ],
    ids=" ".join,
)
async def test_every_time_is_in_utc_wherever_the_machine_is(
    cli: Cli, emulator: Emulator, command: list[str]
) -> None:
    emulator.log(emulator.add_service("web-shop", deployed=True), "a line")
    ended = await cli.run(*command, **ELSEWHERE)
    assert ended.status == 0
    assert_times_in_utc(ended.output)
