"""`python -m aioservices.emulator`, as a user runs it."""

import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import pytest

from aioservices.emulator.__main__ import main
from aioservices.emulator.serve import parse_program
from tests.servers.programs import Program, run, start
from tests.servers.waiting import PATIENCE

MODULE = "aioservices.emulator"


@asynccontextmanager
async def emulator_program(*arguments: str) -> AsyncIterator[tuple[Program, str]]:
    """Run the program: gives it, and the URL it says it listens on."""
    with start(*arguments, module=MODULE) as program:
        line = await program.readline()
        match = re.fullmatch(r"Emulator listening on (http://127\.0\.0\.1:\d+)\n", line)
        assert match, line
        yield program, match[1]


async def get(session: aiohttp.ClientSession, url: str, key: str) -> list[dict[str, object]]:
    headers = {"Authorization": aiohttp.encode_basic_auth(key, "")}
    async with session.get(url, headers=headers) as response:
        assert response.status == 200
        return list(await response.json())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_it_serves_until_a_signal_and_ends_quietly(
    session: aiohttp.ClientSession, number: signal.Signals
) -> None:
    async with emulator_program("--services", "2", "--api-key", "mine") as (process, url):
        services = await get(session, f"{url}/services", "mine")
        assert [service["name"] for service in services] == ["service-2", "service-1"]
        process.send_signal(number)
        ended = await process.end()
        assert (ended.output, ended.status) == ("", 0)
        assert "mine" not in ended.errors


async def test_a_random_key_is_printed_apart_from_the_output(
    session: aiohttp.ClientSession,
) -> None:
    async with emulator_program() as (process, url):
        process.send_signal(signal.SIGTERM)
        ended = await process.end()
    assert (ended.output, ended.status) == ("", 0)
    said = rf"^export CIVIS_API_ENDPOINT={url} CIVIS_API_KEY=\w+$"
    assert re.search(said, ended.errors, re.MULTILINE)


async def test_a_key_is_taken_from_the_environment(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIS_API_KEY", "from-the-environment")
    async with emulator_program() as (process, url):
        assert await get(session, f"{url}/services", "from-the-environment")
        process.send_signal(signal.SIGTERM)
        ended = await process.end()
    assert f"export CIVIS_API_ENDPOINT={url}\n" in ended.errors
    assert "from-the-environment" not in ended.errors


async def test_a_key_that_is_given_comes_before_that_of_the_environment(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIS_API_KEY", "from-the-environment")
    async with emulator_program("--api-key", "mine") as (_, url):
        assert await get(session, f"{url}/services", "mine")


async def test_the_address_that_it_prints_opens_its_page(session: aiohttp.ClientSession) -> None:
    async with emulator_program() as (process, url):
        said = rf"Its page is at {url}/#token=(\S+)\n"
        while not (match := re.fullmatch(said, line := await process.readline(errors=True))):
            assert line  # not the end
        headers = {"Authorization": f"Bearer {match[1]}"}
        async with session.get(f"{url}/_emulator/overview", headers=headers) as response:
            assert response.status == 200
            assert (await response.json())["total"] == 3


async def test_state_is_kept_from_one_start_to_the_next(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    arguments = ["--services=1", "--api-key=mine", "--state", str(tmp_path / "state.json")]
    arguments += ["--run", "job=true"]
    headers = {"Authorization": aiohttp.encode_basic_auth("mine", "")}
    async with emulator_program(*arguments) as (process, url):
        async with session.post(f"{url}/services", headers=headers, json={"name": "web"}) as made:
            assert made.status == 201
        process.send_signal(signal.SIGTERM)
        assert (await process.end()).status == 0
    async with emulator_program(*arguments) as (_, url):
        names = {service["name"] for service in await get(session, f"{url}/services", "mine")}
    assert names == {"job", "service-1", "web"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "damaged"),
        (b"[]", "damaged"),
        (b"{}", "not the state of an emulator"),
        (b'{"format":"aioservices-emulator-state","version":99}', "another version"),
        (b'{"format":"aioservices-emulator-state","version":1,"services":[1]}', "damaged"),
    ],
)
def test_a_state_that_cannot_be_read_is_reported_in_one_line_and_left_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    assert main(["--state", str(path)]) == 1
    output, errors = capsys.readouterr()
    assert (output, errors.count("\n")) == ("", 1)
    assert str(path) in errors
    assert reason in errors
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]
    assert path.read_bytes() == content


def test_a_state_in_a_folder_that_does_not_exist_is_reported_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "missing" / "state.json"
    assert main(["--state", str(path)]) == 1
    output, errors = capsys.readouterr()
    assert (output, errors) == (
        "",
        f"python -m aioservices.emulator: {path} cannot be written: No such file or directory\n",
    )


async def test_its_services_write_lines_and_its_programs_are_there(
    session: aiohttp.ClientSession,
) -> None:
    program = f"job={sys.executable} -c 'print(1)'"
    async with emulator_program("--services=1", "--api-key=mine", "--run", program) as (_, url):
        services = {s["name"]: s for s in await get(session, f"{url}/services", "mine")}
        assert services.keys() == {"service-1", "job"}
        assert services["job"]["currentDeployment"] is None
        with anyio.fail_after(PATIENCE):
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
        (["--api-key", ""], "--api-key: the key must not be empty"),
        (["--api-key", "a b"], "--api-key: the key cannot be sent"),
        (["--api-key", "a:b"], "--api-key: the key cannot be sent"),
        (["--api-key", "schlüssel"], "--api-key: the key cannot be sent"),
    ],
)
def test_wrong_arguments_are_reported_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    output, errors = capsys.readouterr()
    assert (ended.value.code, output) == (2, "")
    assert errors.count("\n") == 1
    assert reason in errors


@pytest.mark.parametrize("key", ["two words", "a:b", "schlüssel", "line\nbreak"])
def test_a_key_of_the_environment_that_no_client_can_send_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("CIVIS_API_KEY", key)
    with pytest.raises(SystemExit) as ended:
        main([])
    output, errors = capsys.readouterr()
    assert (ended.value.code, output, errors.count("\n")) == (2, "", 1)
    assert "CIVIS_API_KEY cannot be sent by a client" in errors
    assert key not in errors


async def test_a_port_that_is_taken_is_reported_in_one_line() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = await run("--port", port, module=MODULE)
    assert (ended.status, ended.output) == (1, "")
    assert ended.errors.count("\n") == 1
    advice = "choose another, or 0 for a free one"
    expected = f"cannot listen on port {port}: Address already in use: {advice}\n"
    assert ended.errors.endswith(expected)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
async def test_an_output_that_cannot_be_written_is_reported_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = await run(module=MODULE, output=full.fileno())
    assert ended.status == 1
    assert ended.errors == (
        "python -m aioservices.emulator: the output cannot be written: No space left on device\n"
    )


def test_the_help_says_who_can_read_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "CIVIS_API_KEY" in text
    assert "Every user of this machine can read it in the list of processes" in text


def test_a_command_is_split_as_a_shell_does() -> None:
    assert parse_program("web=python -c 'print(1)'") == ("web", ["python", "-c", "print(1)"])
    assert parse_program("a=b=c") == ("a", ["b=c"])


@pytest.mark.parametrize("text", ["", "web", "web=", "=true", "web='"])
def test_what_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"NAME=COMMAND|cannot read"):
        parse_program(text)
