"""`aioservices watch`."""

import json
import signal
import sys
from pathlib import Path

import anyio
import pytest
from rich.cells import cell_len

from aioservices.emulator import Emulator
from tests.servers.waiting import PATIENCE

from .conftest import Cli


async def test_lines_come_after_the_name_in_its_colour(cli: Cli, emulator: Emulator) -> None:
    for name in ("web", "api", "other"):
        emulator.log(emulator.add_service(name, deployed=True), f"{name} says")
    seen = []
    for _ in range(2):
        with cli.terminal("watch", "web", "api") as terminal:
            await terminal.until("web says")
            await terminal.until("api says")
            terminal.type("\x03")
            ended = await terminal.end()
        assert ended.status == 128 + signal.SIGINT
        assert "other" not in ended.output
        seen.append(sorted(line for line in ended.output.splitlines() if "says" in line))
    assert seen[0] == seen[1]
    assert all(line.startswith("\x1b[") for line in seen[0])


async def test_services_that_come_are_taken_up(cli: Cli, emulator: Emulator) -> None:
    emulator.log(emulator.add_service("web-1", deployed=True), "first")
    emulator.log(emulator.add_service("job", deployed=True), "hidden")
    with cli.terminal("watch", "web-*", "--refresh", "0.2", NO_COLOR="1") as terminal:
        await terminal.until("web-1 | first")
        emulator.log(emulator.add_service("web-2", deployed=True), "second")
        await terminal.until("web-2 | second")
    assert "hidden" not in terminal.text


async def test_json_and_templates_are_for_machines(cli: Cli, emulator: Emulator) -> None:
    emulator.log(emulator.add_service("web", deployed=True), "a\x1b[2J", stream="stderr")
    with cli.terminal("watch", "--json", columns=1000) as terminal:
        shown = json.loads((await terminal.until("\n")).splitlines()[0])
    assert (shown["service_name"], shown["message"], shown["stream"]) == (
        "web",
        "a\x1b[2J",
        "stderr",
    )
    with cli.terminal("watch", "--template", r"{name}\t{message}") as terminal:
        assert "a\\x1b[2J" in await terminal.until("\n")


async def test_it_says_that_it_waits_for_a_service_that_matches(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("web", deployed=True)
    with cli.terminal("watch", "job-*", "--refresh", "0.2", NO_COLOR="1") as terminal:
        await terminal.until("no running service matches 'job-*' yet: waiting for one")
        emulator.log(emulator.add_service("job-1", deployed=True), "here")
        await terminal.until("job-1 | here")


async def test_names_are_padded_by_the_cells_that_they_take(cli: Cli, emulator: Emulator) -> None:
    for name in ("日本", "日" * 15, "x"):
        emulator.log(emulator.add_service(name, deployed=True), "says")
    with cli.terminal("watch", "*", "-n", "1", NO_COLOR="1") as terminal:
        for head in ("日本", "日日日日日…日日日日", "x"):
            await terminal.until(head + " " * (19 - cell_len(head)) + " | says")


async def test_a_pipe_gets_names_in_full(cli: Cli, emulator: Emulator) -> None:
    names = [f"web-production-frontend-{place}-central-1" for place in ("eu", "us")]
    for name in names:
        emulator.log(emulator.add_service(name, deployed=True), "says")
    with cli.start("watch", "-n", "1") as program:
        lines = [await program.readline() for _ in names]
    assert lines == [f"{name} | says\n" for name in names]


@pytest.mark.parametrize("columns", [50, 80, 200])
async def test_names_stay_distinct_however_narrow_the_terminal_is(
    cli: Cli, emulator: Emulator, columns: int
) -> None:
    names = [f"web-production-frontend-{place}-central-1" for place in ("eu", "us", "ap")]
    for name in [*names, "web-production-frontend-eu-central-1"]:
        emulator.log(emulator.add_service(name, deployed=True), f"says {name}")
    with cli.terminal("watch", "-n", "1", columns=columns, NO_COLOR="1") as terminal:
        await terminal.until("says")
        with anyio.fail_after(PATIENCE):
            while terminal.text.count("says") < 4:
                await terminal.until("\n" * (terminal.text.count("\n") + 1))
    heads = {line.partition(" | ")[0] for line in terminal.text.splitlines() if " | " in line}
    assert len(heads) == 4
    # What they differ in is there to see: the region, and the id of the two in one region.
    assert {each for head in heads for each in ("eu", "us", "ap") if each in head} == {
        "eu",
        "us",
        "ap",
    }
    assert all(cell_len(head) <= max(24, columns // 4) for head in heads)


async def test_it_says_what_happens_to_deployments(cli: Cli, emulator: Emulator) -> None:
    emulator.log(emulator.add_service("web", deployed=True), "the first")
    crash = [sys.executable, "-c", "print('so long'); raise SystemExit(3)"]
    emulator.add_service("job", command=crash)
    arguments = ["watch", "web", "job", "--refresh", "0.2"]
    with cli.terminal(*arguments, NO_COLOR="1", columns=100) as terminal:
        await terminal.until("web | the first")
        emulator.deploy(1)
        emulator.log(1, "of the new one")
        said = await terminal.until("web | of the new one")
        assert "-- web: deployment 1002 replaces deployment 1001" in said
        emulator.deploy(2)
        said = await terminal.until("-- job: deployment 1003 has ended: exited with status 3")
        assert said.index("so long") < said.index("-- job")
        emulator.deploy(2)
        await terminal.until("-- job: deployment 1004 replaces it")


async def test_a_cursor_continues_where_the_watch_stopped(
    cli: Cli, emulator: Emulator, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        emulator.log(emulator.add_service(name, deployed=True), f"{name} first")
    arguments = ["watch", "--cursor", str(tmp_path / "fleet.cursor")]
    shown = []
    for last in ("first", "second"):
        with cli.terminal(*arguments, NO_COLOR="1") as terminal:
            await terminal.until(f"a | a {last}")
            await terminal.until(f"b | b {last}")
            terminal.type("\x03")
            shown.append((await terminal.end()).output)
        for number, name in ((1, "a"), (2, "b")):
            emulator.log(number, f"{name} second")
    assert "first" not in shown[1]


async def test_no_wait_fails_where_no_service_runs(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ended = await cli.run("watch", "--no-wait")
    assert (ended.status, ended.output) == (1, "")
    assert ended.errors == "aioservices: no running service is there\n"
