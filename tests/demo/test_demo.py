"""The demo, as a stranger runs it."""

import io
import os
import re
import shutil
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from aioservices.demo.screen import Screen
from aioservices.demo.summary import NEXT_STEPS
from tests.servers.programs import Ended, run, start


@pytest.fixture(scope="module")
async def shown() -> str:
    """Run the demo once, into a pipe."""
    ended = await run("demo", environment=os.environ | {"TZ": "Asia/Kathmandu"})
    assert (ended.status, ended.errors) == (0, ""), ended
    return ended.output


@pytest.mark.slow
async def test_it_shows_a_fleet_and_sums_it_up(shown: str) -> None:
    assert "\x1b" not in shown
    end = shown.partition("── What happened\n")[2]
    assert "crashed: exited with status 1" in end
    assert "5 services, 6 deployments" in end
    assert "each of them arrived, once" in end
    assert "This should not have happened" not in shown


@pytest.mark.slow
async def test_a_crash_is_reported_after_its_traceback(shown: str) -> None:
    before, _, after = shown.partition("── report has crashed: exited with status 1\n")
    assert "ZeroDivisionError: float division by zero" in before
    assert " report     " not in after.partition("── What happened")[0]


@pytest.mark.slow
async def test_its_times_are_in_utc_wherever_the_machine_is(shown: str) -> None:
    now = datetime.now(UTC)
    times = re.findall(r"^(\d\d):(\d\d):\d\d ", shown, re.MULTILINE)
    assert "(times are UTC)" in shown
    assert times
    for hours, minutes in times:
        age = now - now.replace(hour=int(hours), minute=int(minutes), second=0)
        assert age % timedelta(days=1) < timedelta(hours=1)


@pytest.mark.slow
async def test_it_counts_as_many_visits_as_it_shows(shown: str) -> None:
    stated = re.search(r"(\d+) visits to the shop\.", shown)
    assert stated
    assert int(stated[1]) == len(re.findall(r" shop +GET /", shown))


@pytest.mark.slow
async def test_an_outage_and_a_lost_answer_are_survived(shown: str) -> None:
    lost = shown.index("The answer to the deploy of shop is lost")
    outage = shown.index("── An outage: ")
    back = shown.index("── The API answers again")
    assert lost < outage < back
    assert "1 lost answer and 1 outage of the API." in shown


@pytest.mark.slow
async def test_it_ends_with_what_to_try_next(shown: str) -> None:
    steps = shown.partition("── What to try next\n")[2].splitlines()
    assert [line.split("  ")[1] for line in steps] == [command for command, _ in NEXT_STEPS]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")
@pytest.mark.parametrize("installed", [False, True])
async def test_make_says_where_the_command_is_unless_it_is_found(
    tmp_path: Path, installed: bool
) -> None:
    program = tmp_path / "bin" / "aioservices"
    program.parent.mkdir()
    for each in (program, program.with_name("python")):
        each.write_text("#!/bin/sh\n")
        each.chmod(0o755)
    (tmp_path / ".run").touch()  # as after the installation
    tools = f"{tmp_path / 'bin'}:/usr/bin:/bin" if installed else "/usr/bin:/bin"
    ended = await anyio.run_process(
        ["make", "demo", f"VENV={tmp_path}"],
        cwd=Path(__file__).parents[2],
        env={"PATH": tools},
    )
    said = "" if installed else f"source {tmp_path}/bin/activate\n"
    assert ended.stdout.decode().endswith(said)
    assert bool(ended.stdout) is not installed


@pytest.mark.parametrize("command", [command for command, _ in NEXT_STEPS])
async def test_what_to_try_next_exists(command: str) -> None:
    _, name, *_ = command.split()
    ended = await run(*(["--help"] if name == "--help" else [name, "--help"]))
    assert ended.status == 0, ended
    assert all(word in ended.output for word in command.split() if word.startswith("--"))


@pytest.mark.skipif(sys.platform == "win32", reason="poll distinguishes pipes from files")
async def test_it_ends_when_nobody_reads_it_any_more() -> None:
    with start("demo") as program:
        await program.readline()
        program.stdout.close()
        assert await program.end() == Ended(0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_quietly(number: signal.Signals) -> None:
    with start("demo") as program:
        while line := await program.readline():
            if "scheduler" in line and "tick" in line:
                break
        program.send_signal(number)
        ended = await program.end()
    assert (ended.status, ended.errors) == (128 + number, "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_what_happened_is_wrapped_between_words_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal() if terminal else io.StringIO()
    text = "  report    3 lines  crashed: exited with status 1, deployed again meanwhile"
    Screen(out, {}).paragraph(text)
    lines = out.getvalue().splitlines()
    if not terminal:
        assert lines == [text]
        return
    assert max(map(len, lines)) <= 40
    assert all(line.startswith("    ") for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())


@pytest.mark.parametrize("columns", [30, 50, 80, 200])
def test_a_next_step_fits_next_to_its_command_or_stands_below_it(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for command, purpose in NEXT_STEPS:
        out = Terminal()
        Screen(out, {"NO_COLOR": "1"}).step(command, purpose)
        lines = out.getvalue().splitlines()
        assert lines[0].startswith(f"  {command}")
        assert max(len(line) for line in lines) <= max(columns, len(command) + 2)
        assert " ".join(out.getvalue().split()) == f"{command} {purpose}"


def test_a_heading_is_wrapped_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    out = Terminal()
    Screen(out, {"NO_COLOR": "1"}).heading("An outage: the API breaks every connection for 2.5 s")
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("── An outage")
    assert all(line.startswith("   ") for line in lines[1:])
    assert max(map(len, lines)) <= 30


@pytest.mark.parametrize(("columns", "rows"), [(30, 3), (50, 2), (80, 1)])
def test_how_a_deploy_went_is_wrapped_next_to_the_name(
    monkeypatch: pytest.MonkeyPatch, columns: int, rows: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Terminal()
    rest = "after 0.5 s: a program that runs until it is stopped"
    Screen(out, {}).outcome("  scheduler  ", 13, "running", rest, style="good")
    assert out.getvalue().startswith("  scheduler  \x1b[32mrunning\x1b[0m after")
    lines = out.getvalue().replace("\x1b[32m", "").replace("\x1b[0m", "").splitlines()
    assert len(lines) == rows
    assert all(line.startswith(" " * 13) for line in lines[1:])
    assert max(map(len, lines)) <= max(columns, 13 + 20)
    assert " ".join(" ".join(lines).split()) == f"scheduler running {rest}"
