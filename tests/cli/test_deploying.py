"""`aioservices deploy` and `redeploy`."""

import json
import re
import signal
import sys

import pytest

from aioservices.emulator import Emulator
from aioservices.emulator.faults import Reset, Respond, Stall
from tests.servers.terminal import shown_on

from .conftest import Cli

CRASHING = [
    sys.executable,
    "-c",
    r"print('one'); raise SystemExit('bad \x1b[31m\x1b]0;title\x07')",
]


async def test_services_are_deployed_by_id_name_and_pattern(cli: Cli, emulator: Emulator) -> None:
    for name in ("web-a", "web-b", "shop", "other"):
        emulator.add_service(name)
    ended = await cli.run("deploy", "3", "web-*", "SHOP")
    assert ended.status == 0, ended
    assert emulator.deploys == {1: 1, 2: 1, 3: 1}
    assert "\x1b" not in ended.output
    for name in ("web-a (1)", "web-b (2)", "shop (3)"):
        assert sum(line.startswith(f"running   {name}, ") for line in ended.lines) == 1
    assert ended.lines[-1].startswith("3 services: 3 running, in ")


async def test_what_fails_is_reported_with_the_end_of_its_log(cli: Cli, emulator: Emulator) -> None:
    emulator.fault(Respond(422, "json"), method="POST", path="/services/1/deployments")
    emulator.add_service("refused")
    emulator.add_service("good")
    ended = await cli.run("deploy", "refused", "good")
    assert ended.status == 1
    reported = [line for line in ended.lines if line.startswith("refused   refused (1), ")]
    assert len(reported) == 2  # when it happens, and again in the end
    assert ended.lines[-1].startswith("2 services: 1 refused, 1 running, in ")


async def test_no_escape_sequence_of_a_failed_log_gets_through(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("crash\x1b[2J", command=CRASHING)
    # It may run for a moment before it ends: both are right.
    with cli.terminal("deploy", "1") as terminal:
        ended = await terminal.end()
    assert "\x1b]" not in ended.output
    assert "\x1b[2J" not in ended.output
    assert "crash" in ended.output


async def test_json_is_one_object_a_service(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ended = await cli.run("redeploy", "web", "--json")
    assert ended.status == 0, ended
    [found] = map(json.loads, ended.lines)
    assert found.pop("elapsed") >= 0
    assert found == {
        "service_id": 1,
        "service_name": "web",
        "deployment_id": 1001,
        "state": "running",
        "ok": True,
        "error": None,
        "logs": [],
    }


@pytest.mark.slow
async def test_nothing_is_deployed_twice_although_the_answer_is_lost(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("web")
    emulator.fault(Reset(), method="POST", times=1)
    ended = await cli.run("deploy", "web")
    assert ended.status == 0, ended
    assert emulator.deploys == {1: 1}


async def test_many_need_a_yes_where_nobody_can_be_asked(cli: Cli, emulator: Emulator) -> None:
    for number in range(11):
        emulator.add_service(f"web-{number}")
    refused = await cli.run("deploy", "web-*")
    assert (refused.status, refused.output, emulator.deploys) == (2, "", {})
    assert refused.errors.count("\n") == 1
    assert "11 services" in refused.errors
    assert "--yes" in refused.errors
    assert (await cli.run("deploy", "-", "--yes", "--no-wait", input="web-*\n")).status == 0
    assert emulator.deploys.total() == 11


@pytest.mark.parametrize(("answer", "status", "deploys"), [("y\n", 0, 11), ("n\n", 1, 0)])
async def test_a_person_is_asked_before_many(
    cli: Cli, emulator: Emulator, answer: str, status: int, deploys: int
) -> None:
    for number in range(11):
        emulator.add_service(f"web-{number}")
    with cli.terminal("deploy", "web-*") as terminal:
        asked = await terminal.until("? [y/N] ")
        assert "Deploy 11 services: web-0 (1), " in asked
        assert " and 1 more? " in asked
        terminal.type(answer)
        ended = await terminal.end()
    assert ended.status == status, ended
    assert emulator.deploys.total() == deploys


async def test_a_dry_run_deploys_nothing(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ended = await cli.run("deploy", "web", "--dry-run")
    assert (ended.status, ended.output) == (0, "would deploy web (1), now not deployed\n")
    assert emulator.deploys == {}


async def test_standard_input_names_services_as_list_shows_them(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("a")
    emulator.add_service("b")
    listed = await cli.run("list", "--json")
    ended = await cli.run("deploy", "-", "--json", input=listed.output + "# a comment\n\na\n")
    assert ended.status == 0, ended
    assert emulator.deploys == {1: 1, 2: 1}


@pytest.mark.parametrize("columns", [40, 80])
async def test_a_terminal_shows_the_progress_and_keeps_what_is_done(cli: Cli, columns: int) -> None:
    async with Emulator(pending_for=1.5) as emulator:
        cli.emulator = emulator
        emulator.add_service("web-shop")
        emulator.add_service("api")
        with cli.terminal("deploy", "web-shop", "api", columns=columns) as terminal:
            ended = await terminal.end()
    assert ended.status == 0, ended
    assert "0/2" in ended.output
    assert "━" in ended.output
    assert "2 services: 2 running" in ended.output


async def test_ctrl_c_reports_what_was_started(cli: Cli) -> None:
    async with Emulator(null_state_for=0, pending_for=600) as emulator:
        cli.emulator = emulator
        emulator.add_service("web")
        with cli.terminal("deploy", "web") as terminal:
            # The state is known from the answer, which comes after the emulator has deployed it.
            await terminal.until("pending")
            terminal.type("\x03")
            ended = await terminal.end()
    assert ended.status == 128 + signal.SIGINT
    assert "interrupted: 1 of 1 services were deployed and continue: web (1)" in ended.output
    assert "Traceback" not in ended.output


async def test_ctrl_c_claims_no_deploy_whose_answer_is_out_and_none_that_was_reported(
    cli: Cli, emulator: Emulator
) -> None:
    for name in ("reported", "asked-for"):
        emulator.add_service(name)
    emulator.fault(Stall(), method="POST", path="/services/2/deployments")
    with cli.terminal("deploy", "reported", "asked-for", columns=200, NO_COLOR="1") as terminal:
        await terminal.until("running   reported (1)")
        await terminal.until("1/2, 1 under way")
        terminal.type("\x03")
        ended = await terminal.end()
    assert ended.status == 128 + signal.SIGINT
    said = ended.output.partition("interrupted: ")[2]
    assert said == (
        "0 of 1 other services were deployed and continue; "
        "these may have been deployed, too: asked-for (2)\n"
    )


async def test_the_progress_leaves_a_line_for_each_service_and_nothing_else(cli: Cli) -> None:
    async with Emulator(pending_for=1.0) as emulator:
        cli.emulator = emulator
        for number in range(60):
            emulator.add_service(f"web-{number:02}")
        arguments = ["deploy", "web-*", "--yes", "--concurrency", "7"]
        with cli.terminal(*arguments, columns=160, rows=30, NO_COLOR="1") as terminal:
            ended = await terminal.end()
    assert ended.status == 0, ended
    *lines, empty, summary = shown_on(ended.output, rows=30)
    reported = sorted(line.partition(", ")[0] for line in lines)
    assert reported == [f"running   web-{number:02} ({number + 1})" for number in range(60)]
    assert (empty, summary.partition(", ")[0]) == ("", "60 services: 60 running")


@pytest.mark.parametrize("columns", [40, 80])
async def test_a_long_name_takes_no_space_from_states_and_times(cli: Cli, columns: int) -> None:
    async with Emulator(null_state_for=0, pending_for=600) as emulator:
        cli.emulator = emulator
        emulator.add_service("a-name-that-never-ends-" * 8)
        emulator.add_service("api")
        with cli.terminal("deploy", "1", "2", columns=columns, NO_COLOR="1") as terminal:
            before, said, _ = (await terminal.until("2 s")).partition("2 s")
            # What follows may be the beginning of the next drawing.
            for line in shown_on(before + said, rows=24):
                if "a-name" in line:
                    assert line.startswith("pending    a-name")
                    assert "…" in line
                    assert re.fullmatch(r"\d+ s", line.rpartition("  ")[2])
                    assert len(line) <= columns


async def test_a_reader_that_has_enough_does_not_stop_the_deploys(
    cli: Cli, emulator: Emulator
) -> None:
    for name in ("a", "b", "c"):
        emulator.add_service(name)
    for options in ([], ["--json"]):
        ended = await cli.run_unread("deploy", "a", "b", "c", *options)
        assert (ended.status, ended.errors) == (0, "")
    assert emulator.deploys == {1: 2, 2: 2, 3: 2}


async def test_a_pipe_is_no_terminal_although_colours_are_forced(
    cli: Cli, emulator: Emulator
) -> None:
    name = "a-name-that-never-ends-" * 5
    emulator.add_service(name)
    ended = await cli.run("deploy", "1", FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert (ended.status, ended.errors) == (0, "")
    [line] = ended.lines
    assert line.startswith(f"\x1b[32mrunning\x1b[0m   {name} (1), ")
    listed = await cli.run("list", FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert name in listed.output


@pytest.mark.parametrize(
    "line",
    [
        '{"id": true}',
        '{"id": 1.5}',
        '{"id": -1}',
        '{"id": "web"}',
        '{"id": null}',
        '{"id": [1]}',
        '{"name": 1}',
        '{"id": 1',
    ],
)
async def test_only_an_id_is_taken_for_one(cli: Cli, emulator: Emulator, line: str) -> None:
    emulator.add_service("web")
    ended = await cli.run("deploy", "-", input=line)
    assert (ended.status, ended.output, ended.errors.count("\n")) == (2, "", 1)
    assert "standard input" in ended.errors
    assert emulator.deploys == {}


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-with-mark", "utf-32", "utf-32-be-with-mark"],
)
async def test_standard_input_may_be_in_any_unicode_encoding(
    cli: Cli, emulator: Emulator, encoding: str
) -> None:
    emulator.add_service("größe")
    text, _, mark = encoding.partition("-with-")
    data = ("\ufeff" * bool(mark) + "größe\r\n").encode(text)
    ended = await cli.run("deploy", "-", "--dry-run", input=data)
    assert (ended.status, ended.output) == (0, "would deploy größe (1), now not deployed\n"), ended


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe\x00", b"\x80abc", "web".encode("utf-16-le"), b"\x00", b"\xff\xfea\x00\x00\x00"],
)
async def test_standard_input_that_is_not_text_is_refused(
    cli: Cli, emulator: Emulator, data: bytes
) -> None:
    ended = await cli.run("deploy", "-", input=data)
    assert (ended.status, ended.errors) == (2, "aioservices: standard input is not text\n")


async def test_an_id_may_be_written_as_a_string(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ended = await cli.run("deploy", "-", "--dry-run", input='{"service_id": "1"}')
    assert ended.output.startswith("would deploy web (1)")


async def test_a_service_that_crashes_soon_after_it_came_up_is_not_called_running(
    cli: Cli, emulator: Emulator
) -> None:
    code = "import time; print('up', flush=True); time.sleep(1); raise SystemExit('bad')"
    emulator.add_service("crash", command=[sys.executable, "-c", code])
    ended = await cli.run("deploy", "crash", "--stay-up", "5s")
    assert ended.status == 1, ended
    assert ended.lines[0].startswith("failed    crash (1), ")
    refused = await cli.run("deploy", "crash", "--stay-up", "5s", "--no-wait")
    assert (refused.status, refused.errors.count("\n")) == (2, 1)


async def test_all_unknown_names_are_reported_at_once(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ended = await cli.run("deploy", "nope", "web", "77", "x-*")
    assert (ended.status, ended.errors.count("\n"), emulator.deploys) == (1, 1, {})
    for term in ("'nope'", "service 77", "'x-*'"):
        assert term in ended.errors


async def test_failures_without_a_log_stand_below_each_other_in_the_end(
    cli: Cli, emulator: Emulator
) -> None:
    for name in ("a", "b", "c"):
        emulator.add_service(name)
    emulator.fault(Respond(422), method="POST")
    ended = await cli.run("deploy", "*")
    assert ended.status == 1
    end = ended.lines[ended.lines.index("") + 1 :]
    assert sorted(line.split()[:2] for line in end[:3]) == [
        ["refused", "a"],
        ["refused", "b"],
        ["refused", "c"],
    ]
    assert end[3:] == ["", ended.lines[-1]]
    assert ended.lines[-1].startswith("3 services: 3 refused")
