"""Where the output goes: a reader that is slow, gone or stopped, a full disk, any encoding."""

import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from aioservices.emulator import Emulator
from tests.servers.programs import COMMAND, Ended
from tests.servers.terminal import shown_on
from tests.servers.waiting import PATIENCE

from .conftest import Cli

FULL_DISK = "aioservices: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_a_terminal_that_nobody_reads_does_not_stop_the_deploys(
    cli: Cli, emulator: Emulator, options: list[str]
) -> None:
    names = [f"{number}-{'x' * 200}" for number in range(300)]
    for name in names:
        emulator.add_service(name)
    command = ["deploy", "*", "--yes", "--no-wait", *options]
    with cli.terminal(*command) as terminal:
        with anyio.fail_after(PATIENCE):
            while emulator.deploys.total() < len(names):
                await anyio.sleep(0.05)
        assert terminal.process.poll() is None  # the terminal has not taken all of it
        terminal.process.send_signal(signal.SIGINT)
        status = await terminal.wait()
    assert status == 128 + signal.SIGINT


async def test_a_signal_ends_a_deploy_although_nobody_reads_its_terminal(cli: Cli) -> None:
    async with Emulator(pending_for=600) as emulator:
        cli.emulator = emulator
        for number in range(40):
            emulator.add_service(f"{number}-{'x' * 200}")
        with cli.terminal("deploy", "*", "--yes", columns=200, rows=60) as terminal:
            with anyio.fail_after(PATIENCE):
                while emulator.deploys.total() < 40:
                    await anyio.sleep(0.05)
            await anyio.sleep(1)  # some frames of the progress fill the terminal
            terminal.process.send_signal(signal.SIGTERM)
            status = await terminal.wait()
    assert status == 128 + signal.SIGTERM


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
async def test_characters_that_the_output_lacks_are_escaped(
    cli: Cli, emulator: Emulator, encoding: str
) -> None:
    emulator.add_service("日本-ü")
    emulator.log(1, "5 €")
    ended = await cli.run("deploy", "日本-ü", PYTHONIOENCODING=encoding)
    assert ended.status == 0, ended
    shown = "日本-ü".encode(encoding, "backslashreplace").decode(encoding)
    assert ended.output.startswith(f"running   {shown} (1), ")
    for command in ("list", "get", "logs"):
        arguments = [command, *(["1"] if command != "list" else [])]
        ended = await cli.run(*arguments, PYTHONIOENCODING=encoding)
        assert (ended.status, ended.errors) == (0, "")
    with cli.terminal("deploy", "1", columns=40, PYTHONIOENCODING=encoding) as terminal:
        assert (await terminal.end()).status == 0


async def test_an_encoding_with_a_mark_has_it_once(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("日本-ü", deployed=True)
    for number in range(3):
        emulator.log(1, f"line {number} €")
    for arguments in (["logs", "1"], ["deploy", "1"], ["list"], ["--help"]):
        ended = await cli.run(*arguments, PYTHONIOENCODING="utf-16")
        assert ended.status == 0, ended
        assert ended.output, ended
        assert "\ufeff" not in ended.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        [],
        ["logs", "--help"],
        ["list"],
        ["list", "--json"],
        ["get", "1"],
        ["deploy", "1", "--dry-run"],
        ["deploy", "1"],
        ["emulator", "--help"],
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
async def test_a_full_disk_is_reported_in_one_line(
    cli: Cli, emulator: Emulator, full_disk: int, arguments: list[str], unbuffered: str
) -> None:
    emulator.add_service("web")
    ended = await cli.run_into(full_disk, *arguments, PYTHONUNBUFFERED=unbuffered)
    assert ended == Ended(1, "", FULL_DISK)
    assert emulator.deploys.total() == (arguments == ["deploy", "1"])


WITHOUT_EXTRA = [
    sys.executable,
    "-c",
    (
        "import sys; sys.modules['click'] = None; sys.argv[0] = 'aioservices'\n"
        "from importlib import util; find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'click' else find(name, *rest)\n"
        "from aioservices.__main__ import command; sys.exit(command())"
    ),
]


@pytest.mark.parametrize("program", [COMMAND, WITHOUT_EXTRA], ids=["whole", "without click"])
@pytest.mark.parametrize("command", [["emulator", "--services", "0"], ["demo"]])
async def test_a_full_disk_ends_what_runs_until_a_signal(
    cli: Cli, program: list[str], command: list[str]
) -> None:
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process(
            ["sh", "-c", '"$@" >/dev/full', "sh", *program, *command],
            check=False,
            env=cli.environment(),
        )
    assert (done.returncode, done.stderr.decode()) == (1, FULL_DISK)


async def test_an_emulator_whose_url_nobody_reads_ends(cli: Cli) -> None:
    ended = await cli.run_unread("emulator", "--services", "0")
    assert ended.status == 1
    assert ended.errors == ("aioservices emulator: the output cannot be written: Broken pipe\n")


@pytest.mark.parametrize("command", [["logs", "web", "-f"], ["watch", "web"]])
async def test_following_ends_with_its_reader_although_no_line_comes(
    cli: Cli, emulator: Emulator, command: list[str]
) -> None:
    emulator.add_service("web", deployed=True)
    with cli.start(*command) as program:
        emulator.log(1, "the first")
        assert "the first" in await program.readline()
        program.stdout.close()
        assert await program.end() == Ended(0)


async def test_notes_stay_in_order_with_lines_that_go_to_the_same_place(
    cli: Cli, emulator: Emulator
) -> None:
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process(
            ["sh", "-c", '"$@" 2>&1', "sh", *COMMAND, "list", "-v"],
            check=False,
            env=cli.environment(),
        )
    *before, last = done.stdout.decode().splitlines()
    assert last == "aioservices: no services found"
    assert any("GET" in line for line in before)


async def test_a_closed_standard_error_is_no_output(cli: Cli) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", *COMMAND, "--version"],
        stdout=subprocess.PIPE,
        check=False,
        env=cli.environment(),
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, b"aioservices")


async def test_the_progress_that_was_drawn_is_taken_away_again(cli: Cli) -> None:
    async with Emulator(pending_for=0.5) as emulator:
        cli.emulator = emulator
        emulator.add_service("web")
        with cli.terminal("deploy", "web", NO_COLOR="1") as terminal:
            ended = await terminal.end()
    [line] = shown_on(ended.output, rows=24)
    assert line.startswith("running   web (1), ")


@pytest.mark.parametrize(
    "module",
    [
        "aioservices.terminal.run",
        "anyio",
        "click",
        "rich",
        "msgspec",
        "aiohttp",
        "aioservices.client",
        "aioservices.cli.commands.logs",
    ],
)
async def test_ctrl_c_while_a_module_is_imported_is_quiet(
    cli: Cli, tmp_path: Path, module: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "def interrupt(event, arguments):\n"
        f"    if event == 'import' and arguments[0] == {module!r}:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(interrupt)\n"
    )
    ended = await cli.run("list", PYTHONPATH=str(tmp_path))
    assert ended == Ended(128 + signal.SIGINT, "", "")
