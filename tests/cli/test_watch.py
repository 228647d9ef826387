"""`aioservices watch`."""

import json
import signal

from rich.cells import cell_len

from aioservices.emulator import Emulator

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


async def test_it_says_that_it_waits_for_a_service_that_fits(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web", deployed=True)
    with cli.terminal("watch", "job-*", "--refresh", "0.2", NO_COLOR="1") as terminal:
        await terminal.until("no running service fits 'job-*' yet: waiting for one")
        emulator.log(emulator.add_service("job-1", deployed=True), "here")
        await terminal.until("job-1 | here")


async def test_names_are_padded_and_cut_by_the_cells_that_they_take(
    cli: Cli, emulator: Emulator
) -> None:
    for name in ("日本", "日" * 15, "x"):
        emulator.log(emulator.add_service(name, deployed=True), "says")
    with cli.terminal("watch", "*", "--hold-back", "3", NO_COLOR="1") as terminal:
        await terminal.until("日… | says")
        await terminal.until("日本")
    heads = {line.partition(" | ")[0] for line in terminal.text.splitlines()}
    assert "日" * 9 + "…" in {head.rstrip() for head in heads}
    assert all(cell_len(head) <= 20 for head in heads)
