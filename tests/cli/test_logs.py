"""`aioservices logs`."""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import anyio
import pytest

from aioservices.emulator import Emulator
from aioservices.emulator.faults import Respond
from tests.servers.programs import Ended
from tests.servers.waiting import PATIENCE

from .conftest import Cli

SECOND = 1_000_000_000
HOSTILE = "a\x1b[2Jb\x1b]0;title\x07c\rd\u202ee\x9bf\ttab"


@pytest.fixture
def web(emulator: Emulator) -> int:
    """A service that has written ten lines, the last a second ago."""
    service_id = emulator.add_service("web", deployed=True)
    now = time.time_ns()
    for number in range(10):
        stream = "stderr" if number % 2 else "stdout"
        emulator.log(service_id, f"line {number}", stream=stream, at=now - (10 - number) * SECOND)  # type: ignore[arg-type]
    return service_id


async def test_a_log_is_shown_whole(cli: Cli, web: int) -> None:
    ended = await cli.run("logs", "web")
    assert (ended.status, ended.errors) == (0, "")
    assert ended.lines == [f"line {number}" for number in range(10)]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["-n", "3"], [7, 8, 9]),
        (["-n", "0"], []),
        (["-n", "2", "--stream", "stderr"], [7, 9]),
        (["--grep", "[2-5]", "--exclude", "3", "--exclude", "4"], [2, 5]),
        (["--since", "later"], None),
        (["--grep", "("], None),
        (["--template", "{what}"], None),
        (["--template", "{message"], None),
        (["--template", "{message:>99999999999}"], None),
        (["--until", "5m", "--since", "1m"], None),
    ],
)
async def test_options_choose_lines(
    cli: Cli, web: int, options: list[str], numbers: list[int] | None
) -> None:
    ended = await cli.run("logs", "web", *options)
    if numbers is None:
        assert (ended.status, ended.output, ended.errors.count("\n")) == (2, "", 1)
        assert options[0] in ended.errors
        return
    assert ended.status == 0, ended
    assert ended.lines == [f"line {number}" for number in numbers]


async def test_since_leaves_out_what_is_older(cli: Cli, emulator: Emulator, web: int) -> None:
    emulator.log(web, "long ago", at=time.time_ns() - 7200 * SECOND)
    ended = await cli.run("logs", "web", "--since", "1h")
    assert ended.lines == [f"line {number}" for number in range(10)]
    assert (await cli.run("logs", "web", "-n", "11")).lines == ["long ago", *ended.lines]


async def write_on(emulator: Emulator, service_id: int) -> None:
    while True:
        emulator.log(service_id, "live")
        await anyio.sleep(0.2)


@pytest.mark.parametrize("ahead", [3600, -3600])
async def test_what_counts_from_now_counts_from_the_servers_now(ahead: int) -> None:
    now = time.time_ns() + ahead * SECOND
    async with Emulator(clock=lambda: time.time_ns() + ahead * SECOND) as emulator:
        cli = Cli(emulator)
        service_id = emulator.add_service("web", deployed=True)
        emulator.log(service_id, "older", at=now - 1200 * SECOND)
        emulator.log(service_id, "newer", at=now - 2 * SECOND)
        ended = await cli.run("logs", "web", "--since", "10m")
        assert ended.lines == ["newer"]
        ended = await cli.run("logs", "web", "--until", "10m")
        assert ended.lines == ["older"]
        ended = await cli.run("logs", "web", "--since", "10m", "-n", "5")
        assert ended.lines == ["newer"]
        with cli.terminal("watch", "web*", NO_COLOR="1") as terminal:
            async with anyio.create_task_group() as group:
                group.start_soon(write_on, emulator, service_id)
                assert "older" not in await terminal.until("live")
                group.cancel_scope.cancel()


async def test_a_template_and_timestamps_say_when_and_where(cli: Cli, web: int) -> None:
    template = "{name}|{service_id}|{deployment_id}|{stream}|{source}|{message}"
    ended = await cli.run("logs", "web", "-n", "1", "--template", template)
    assert ended.output == f"web|{web}|1001|stderr|user|line 9\n"
    ended = await cli.run("logs", "web", "-n", "1", "-t")
    stamp, _, message = ended.output.partition(" ")
    assert (stamp[-1], len(stamp), message) == ("Z", 24, "line 9\n")


async def test_nothing_that_a_terminal_acts_on_gets_through(cli: Cli, emulator: Emulator) -> None:
    emulator.log(emulator.add_service("web"), HOSTILE)
    with cli.terminal("logs", "web") as terminal:
        ended = await terminal.end()
    assert ended.output == "a\\x1b[2Jb\\x1b]0;title\\x07c\\rd\\u202ee\\x9bf   tab\n".replace(
        "f   tab", ended.output[ended.output.index("f") : ended.output.index("tab")] + "tab"
    )
    assert not set("\x1b\x07\x9b\u202e\t").intersection(ended.output)


async def test_json_keeps_every_byte(cli: Cli, emulator: Emulator) -> None:
    emulator.log(emulator.add_service("web"), HOSTILE)
    ended = await cli.run("logs", "web", "--json")
    assert ended.output.isascii()
    assert json.loads(ended.output)["message"] == HOSTILE


async def test_standard_error_is_red_unless_colours_are_unwanted(cli: Cli, web: int) -> None:
    with cli.terminal("logs", "web", "-n", "1") as terminal:
        assert (await terminal.end()).output == "\x1b[31mline 9\x1b[0m\n"
    with cli.terminal("logs", "web", "-n", "1", NO_COLOR="1") as terminal:
        assert (await terminal.end()).output == "line 9\n"


async def test_following_shows_the_last_lines_then_only_new_ones(
    cli: Cli, emulator: Emulator, web: int
) -> None:
    with cli.terminal("logs", "web", "-f", "-n", "2", columns=40, NO_COLOR="1") as terminal:
        await terminal.until("line 9")
        emulator.log(web, "new")
        await terminal.until("new")
        terminal.type("\x03")
        ended = await terminal.end()
    assert ended.status == 128 + signal.SIGINT
    assert ended.output.replace("^C", "") == "line 8\nline 9\nnew\n"


async def test_a_redeploy_is_followed(cli: Cli, emulator: Emulator, web: int) -> None:
    with cli.terminal("logs", "web", "-f", "-n", "1") as terminal:
        await terminal.until("line 9")
        emulator.deploy(web)
        emulator.log(web, "after")
        await terminal.until("after")


async def test_what_happens_to_a_deployment_is_reported_behind_its_last_line(
    cli: Cli, emulator: Emulator
) -> None:
    crash = [sys.executable, "-c", "print('so long'); raise SystemExit(3)"]
    emulator.add_service("job", command=crash)
    emulator.deploy(1)
    with cli.terminal("logs", "job", "-f", NO_COLOR="1") as terminal:
        said = await terminal.until("-- deployment 1001 has ended: exited with status 3")
        assert said.index("so long") < said.index("-- ")
        emulator.deploy(1)
        said = await terminal.until("-- deployment 1002 has ended")
    first, second = [at.start() for at in re.finditer("so long", said)]
    assert first < said.index("-- deployment 1002 replaces it") < second


async def test_a_running_deployment_that_is_replaced_is_reported(
    cli: Cli, emulator: Emulator, web: int
) -> None:
    with cli.terminal("logs", "web", "-f", NO_COLOR="1") as terminal:
        await terminal.until("line 9")
        emulator.deploy(web)
        emulator.deploy(web)
        await terminal.until("-- deployment 1002 replaces deployment 1001")
        emulator.log(web, "of the newest")
        said = await terminal.until("of the newest")
    assert "-- deployment 1003 replaces deployment 1002" in said  # and not only after it


async def test_the_log_of_the_previous_deployment_is_shown(
    cli: Cli, emulator: Emulator, web: int
) -> None:
    assert (await cli.run("logs", "web", "--previous")).status == 1
    emulator.deploy(web)
    emulator.log(web, "of the new one")
    ended = await cli.run("logs", "web", "--previous", "-n", "1")
    assert (ended.status, ended.output) == (0, "line 9\n")


async def test_case_is_ignored_on_demand(cli: Cli, emulator: Emulator, web: int) -> None:
    ended = await cli.run("logs", "web", "-i", "--grep", "LINE 3", "--color", "always")
    assert ended.output == "\x1b[31mline 3\x1b[0m\n"
    assert (await cli.run("logs", "web", "--grep", "LINE 3")).output == ""


async def test_ctrl_c_ends_it_although_nobody_reads(cli: Cli, emulator: Emulator, web: int) -> None:
    for _ in range(3000):
        emulator.log(web, "x" * 100)
    with cli.start("logs", "web") as program:
        await program.until_full()
        program.send_signal(signal.SIGINT)
        assert await program.wait() == 128 + signal.SIGINT


async def test_a_reader_that_has_enough_ends_it_quietly(
    cli: Cli, emulator: Emulator, web: int
) -> None:
    for _ in range(3000):
        emulator.log(web, "x" * 100)
    with cli.start("logs", "web") as program:
        await anyio.wait_readable(program.stdout)
        program.stdout.close()
        assert await program.end() == Ended(0)


async def test_a_cursor_continues_where_it_stopped(
    cli: Cli, emulator: Emulator, web: int, tmp_path: Path
) -> None:
    place = str(tmp_path / "web.cursor")
    assert (await cli.run("logs", "web", "-n", "2", "--cursor", place)).lines == [
        "line 8",
        "line 9",
    ]
    assert (await cli.run("logs", "web", "-n", "2", "--cursor", place)).lines == []
    emulator.log(web, "new")
    assert (await cli.run("logs", "web", "--cursor", place)).lines == ["new"]
    assert {path.name for path in tmp_path.iterdir()} == {"web.cursor", "web.cursor.previous"}


@pytest.mark.parametrize("kind", ["cut", "foreign", "other"])
async def test_a_cursor_that_does_not_fit_is_refused_in_one_line(
    cli: Cli, emulator: Emulator, web: int, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "cursor"
    emulator.add_service("other", deployed=True)
    await cli.run("logs", "other", "--cursor", str(place))
    if kind == "cut":
        place.write_text(place.read_text()[:20])
    elif kind == "foreign":
        place.write_bytes(b"\xff\x00 not a cursor")
    before = place.read_bytes()
    ended = await cli.run("logs", "web", "--cursor", str(place))
    assert (ended.status, ended.output, ended.errors.count("\n")) == (2, "", 1)
    assert str(place) in ended.errors
    assert place.read_bytes() == before


async def test_a_service_that_was_never_deployed_has_no_log(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ended = await cli.run("logs", "web")
    assert (ended.status, ended.output) == (0, "")
    assert ended.errors == "aioservices: web (1) has no log, it was never deployed\n"


@pytest.mark.parametrize("kind", ["device", "fifo", "directory", "nowhere"])
async def test_a_cursor_that_cannot_be_kept_is_reported_before_anything_is_shown(
    cli: Cli, web: int, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / kind
    if kind == "device":
        place = Path("/dev/full")
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        place /= "cursor"
    ended = await cli.run("logs", "web", "--cursor", str(place))
    assert (ended.status, ended.output, ended.errors.count("\n")) == (2, "", 1)
    assert str(place) in ended.errors


async def test_an_outage_while_following_is_reported_and_so_is_its_end(
    cli: Cli, emulator: Emulator, web: int
) -> None:
    with cli.terminal("logs", "web", "-f", "-n", "1", columns=200, NO_COLOR="1") as terminal:
        await terminal.until("line 9")
        emulator.fault(Respond(503, "html"), path="/services/1/deployments/1001/logs", times=2)
        said = await terminal.until("the log is served again")
        assert "the log is not served: " in said
        assert "status 503" in said
        assert "trying again" in said
        emulator.log(web, "afterwards")
        assert (await terminal.until("afterwards")).count("not served") == 1


async def test_a_rate_limit_while_following_is_reported_with_its_time(
    cli: Cli, emulator: Emulator, web: int
) -> None:
    with cli.terminal("logs", "web", "-f", "-n", "1", columns=200, NO_COLOR="1") as terminal:
        await terminal.until("line 9")
        path = "/services/1/deployments/1001/logs"
        emulator.fault(Respond(429, "json", retry_after=120), path=path, times=1)
        await terminal.until("the rate limit is reached: continuing in 2 min")


async def test_an_outage_that_does_not_end_ends_it_where_it_does_not_follow(
    cli: Cli, emulator: Emulator, web: int
) -> None:
    emulator.fault(Respond(500, "json"), path="/services/1/deployments/1001/logs")
    code = (
        "import sys; from aioservices.cli.commands import logs; logs._MAX_OUTAGE = 0.5\n"
        "from aioservices.__main__ import main; sys.exit(main())"
    )
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process(
            [sys.executable, "-c", code, "logs", "web"], check=False, env=cli.environment()
        )
    assert (done.returncode, done.stdout) == (1, b"")
    assert "status 500" in done.stderr.decode().splitlines()[-1]
