"""The example programs run as a newcomer runs them, and do what they say."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from aioservices.emulator import Emulator
from tests.servers.waiting import PATIENCE

EXAMPLES = Path(__file__).parent.parent / "examples"
# Besides "no error", what the output must have; those that are not here only have to succeed.
STATUS = {"deploy_fleet": 1}  # two of its services cannot start
SAYS = {"application": "service-1: running", "deploy_fleet": "300 of 300 deployed, 2 failures"}
# How long they serve or watch; the deploys end when their outcomes are known.
ARGUMENTS = {"application": ["--seconds", "1"], "watch_fleet": ["--seconds", "1"]}


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_an_example_runs_without_a_key(name: str, tmp_path: Path) -> None:
    result = subprocess.run(
        command(name, *ARGUMENTS.get(name, [])),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == STATUS.get(name, 0), result.stderr
    assert SAYS.get(name, "") in result.stdout
    assert "Traceback" not in result.stderr


async def start(emulator: Emulator, name: str, *arguments: str) -> Process:
    """Start an example with the key of an emulator."""
    known = {"CIVIS_API_KEY": emulator.api_key, "CIVIS_API_ENDPOINT": emulator.url}
    return await anyio.open_process(command(name, *arguments), env=os.environ | known, stderr=None)


async def read_until(process: Process, text: str) -> str:
    """Read what an example prints until a text is among it."""
    output = ""
    assert process.stdout is not None
    with anyio.fail_after(PATIENCE):
        while text not in output:
            output += (await process.stdout.receive()).decode()
    return output


async def test_the_watch_without_a_key_prints_the_lines_of_an_emulator(tmp_path: Path) -> None:
    async with await anyio.open_process(
        command("watch_fleet"), cwd=tmp_path, stderr=None
    ) as process:
        await read_until(process, "service-1 | GET /items/1")
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(PATIENCE):
            assert await process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_watch_continues_where_it_was_stopped(
    number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoints.json"
    async with Emulator(services=2, deployed=True) as emulator:
        printed = ""
        for message in ("first", "second", "third"):
            emulator.log(1, message)
            async with await start(emulator, "watch_fleet", "--checkpoints", str(path)) as process:
                printed += await read_until(process, f"{message}\n")
                process.send_signal(number)
                with anyio.fail_after(PATIENCE):
                    assert await process.wait() == 0
        assert printed.splitlines() == [
            f"service-1 | {each}" for each in ("first", "second", "third")
        ]
        assert {each.name for each in tmp_path.iterdir()} == {path.name, f"{path.name}.previous"}


async def test_the_deploys_touch_only_what_matches() -> None:
    async with Emulator(services=1, pending_for=0.01) as emulator:
        web = emulator.add_service("web-1")
        async with await start(emulator, "deploy_fleet", "web-*") as process:
            await read_until(process, "1 of 1 deployed, 0 failures")
            with anyio.fail_after(PATIENCE):
                assert await process.wait() == 0
        assert dict(emulator.deploys) == {web: 1}


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"1": 2}', '{"1": "x"}', '{"x": "{}"}', b"\xff"]
)
def test_a_file_without_checkpoints_is_reported_in_one_line(
    content: str | bytes, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoints.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = subprocess.run(
        command("watch_fleet", "--checkpoints", str(path)),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert str(path) in result.stderr
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())


def test_the_watch_ends_quietly_when_nobody_reads_it_any_more(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("watch_fleet"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""
