"""`python -m aioservices.emulator`, as a user runs it."""

import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from aioservices.emulator.serve import parse_program

COMMAND = [sys.executable, "-m", "aioservices.emulator"]


@asynccontextmanager
async def emulator_program(*arguments: str) -> AsyncIterator[tuple[Process, str]]:
    """Run the program: gives it, and the URL it says it listens on."""
    async with await anyio.open_process([*COMMAND, *arguments]) as process:
        try:
            assert process.stdout is not None
            line = ""
            with anyio.fail_after(30):
                while not line.endswith("\n"):
                    line += (await process.stdout.receive()).decode()
            match = re.fullmatch(r"Emulator listening on (http://127\.0\.0\.1:\d+)\n", line)
            assert match, line
            yield process, match[1]
        finally:
            if process.returncode is None:
                process.kill()


async def rest_of(process: Process) -> tuple[str, str, int]:
    assert process.stdout is not None
    assert process.stderr is not None
    with anyio.fail_after(30):
        output = "".join([text async for text in TextReceiveStream(process.stdout)])
        errors = "".join([text async for text in TextReceiveStream(process.stderr)])
        return output, errors, await process.wait()


async def get(session: aiohttp.ClientSession, url: str, key: str) -> list[dict[str, object]]:
    headers = {"Authorization": aiohttp.encode_basic_auth(key, "")}
    async with session.get(url, headers=headers) as response:
        assert response.status == 200
        return list(await response.json())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_a_signal_and_ends_quietly(
    session: aiohttp.ClientSession, number: signal.Signals
) -> None:
    async with emulator_program("--services", "2", "--api-key", "mine") as (process, url):
        services = await get(session, f"{url}/services", "mine")
        assert [service["name"] for service in services] == ["service-2", "service-1"]
        process.send_signal(number)
        assert await rest_of(process) == ("", "", 0)


async def test_a_key_that_was_made_up_is_told_apart_from_the_output(
    session: aiohttp.ClientSession,
) -> None:
    async with emulator_program() as (process, url):
        process.terminate()
        output, errors, status = await rest_of(process)
    assert (output, status) == ("", 0)
    key = re.search(rf"^export CIVIS_API_ENDPOINT={url} CIVIS_API_KEY=(\w+)$", errors, re.MULTILINE)
    assert key


async def test_its_services_write_lines_and_its_programs_are_there(
    session: aiohttp.ClientSession,
) -> None:
    program = f"job={sys.executable} -c 'print(1)'"
    async with emulator_program("--services=1", "--api-key=mine", "--run", program) as (_, url):
        services = {s["name"]: s for s in await get(session, f"{url}/services", "mine")}
        assert services.keys() == {"service-1", "job"}
        assert services["job"]["currentDeployment"] is None
        with anyio.fail_after(30):
            path = f"{url}/services/1/deployments/1001/logs"
            while not await get(session, path, "mine"):
                await anyio.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--port", "x"], "--port"),
        (["--port", "70000"], "70000"),
        (["--services", "-1"], "-1"),
        (["--rate-limit", "0"], "--rate-limit"),
        (["--latency", "-5"], "-5"),
        (["--latency", "nan"], "nan"),
        (["--run", "x"], "NAME=COMMAND"),
        (["--unknown"], "--unknown"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    from aioservices.emulator.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main(arguments)
    output, errors = capsys.readouterr()
    assert (ended.value.code, output) == (2, "")
    assert errors.count("\n") == 1
    assert reason in errors


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [*COMMAND, "--port", port], capture_output=True, text=True, timeout=60, check=False
        )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert port in ended.stderr


def test_a_command_is_split_as_a_shell_does() -> None:
    assert parse_program("web=python -c 'print(1)'") == ("web", ["python", "-c", "print(1)"])
    assert parse_program("a=b=c") == ("a", ["b=c"])


@pytest.mark.parametrize("text", ["", "web", "web=", "=true", "web='"])
def test_what_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"NAME=COMMAND|cannot read"):
        parse_program(text)
