"""State that is kept in a file from one start to the next."""

import json
import logging
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.emulator import Emulator, LogBehaviour, StateFileError
from aioservices.emulator.state_file import KEPT_LINES, StateFile, dump
from tests.emulator.conftest import Client
from tests.servers.waiting import PATIENCE, until

PATHS = ["", "/deployments", "/shares", "/projects", "/tokens", "/dependencies"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


async def everything(client: Client) -> dict[str, Any]:
    """Return all that the API shows of all services."""
    shown: dict[str, Any] = {"": await client.get("/services", archived="all")}
    for service_id in client.emulator.service_ids:
        for part in PATHS:
            shown[f"{service_id}{part}"] = await client.get(f"/services/{service_id}{part}")
        for deployment in shown[f"{service_id}/deployments"]:
            log = f"/services/{service_id}/deployments/{deployment['deploymentId']}/logs"
            shown[log] = await client.get(log)
    return shown


async def test_all_that_the_api_shows_survives_a_restart(
    path: Path, session: aiohttp.ClientSession
) -> None:
    now = 1_800_000_000 * 10**9

    def emulator() -> Emulator:
        return Emulator(
            2, deployed=True, state_file=path, clock=lambda: now, logs=LogBehaviour(unit="us")
        )

    async with emulator() as first:
        client = Client(first, session)
        made = await client.post(
            "/services",
            {
                "name": "web",
                "credentials": [5],
                "environmentVariables": {"some_name": "x", "B": "y"},
                "schedule": {
                    "runtimePlan": "specific_times",
                    "recurrences": [{"scheduledDays": [1], "scheduledHours": [9]}],
                },
            },
        )
        web = f"/services/{made['id']}"
        await client.post(f"{web}/deployments")
        await client.post(f"{web}/redeploy")
        await client.put(f"{web}/shares/users", {"userIds": [7], "permissionLevel": "read"})
        await client.put(f"{web}/shares/groups", {"groupIds": [8], "permissionLevel": "write"})
        await client.put(f"{web}/transfer", {"userId": 9, "includeDependencies": True})
        await client.call("PUT", f"{web}/projects/31")
        await client.post(f"{web}/tokens", {"name": "ci"})
        first.log(1, "a line", stream="stderr", at=now - 5)
        first.log(1, "a later line", source="system")
        first.set_state(2, "failed", message="out of memory")
        await client.put("/services/2/archive", {"status": True})
        before = await everything(client)
        dependencies = await client.get(f"{web}/dependencies", user_id=9)
    async with emulator() as second:
        client = Client(second, session)
        assert await everything(client) == before
        assert await client.get(f"{web}/dependencies", user_id=9) == dependencies
        assert second.deploys == first.deploys
        # What is new does not take the number of what there was.
        assert (await client.post("/services", {}))["id"] == made["id"] + 1
        again = await client.post(f"{web}/deployments")
        assert str(again["deploymentId"]) not in json.dumps(before)


async def test_a_line_that_is_not_visible_yet_becomes_so_after_the_restart(
    path: Path, session: aiohttp.ClientSession
) -> None:
    now = 1_800_000_000 * 10**9
    async with Emulator(1, state_file=path, clock=lambda: now) as emulator:
        emulator.log(1, "late", visible_after=60)
    async with Emulator(1, state_file=path, clock=lambda: now) as emulator:
        client = Client(emulator, session)
        assert await client.messages(1, 1001) == []
        now += 61 * 10**9
        assert await client.messages(1, 1001) == ["late"]


async def test_nothing_is_written_for_the_time_in_which_nothing_ran(
    path: Path, session: aiohttp.ClientSession
) -> None:
    now = 1_800_000_000 * 10**9
    options: dict[str, Any] = {"state_file": path, "log_interval": 1.0, "deployed": True}
    async with Emulator(1, clock=lambda: now, **options) as emulator:
        now += 3 * 10**9
        before = await Client(emulator, session).messages(1, 1001)
    now += 3600 * 10**9
    async with Emulator(1, clock=lambda: now, **options) as emulator:
        now += 2 * 10**9
        after = await Client(emulator, session).messages(1, 1001)
    assert len(before) == 3
    assert after[:3] == before
    assert len(after) == 5


async def test_a_program_has_ended_with_the_emulator_and_is_the_same_service_again(
    path: Path, session: aiohttp.ClientSession
) -> None:
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    async with Emulator(state_file=path, stop_grace=0.5) as emulator:
        client = Client(emulator, session)
        service_id = emulator.add_service("job", command=command)
        emulator.deploy(service_id)
        with anyio.fail_after(PATIENCE):
            while await client.messages(service_id, 1001) != ["up"]:
                await anyio.sleep(0.01)
    async with Emulator(state_file=path, stop_grace=0.5) as emulator:
        client = Client(emulator, session)
        current = (await client.get(f"/services/{service_id}"))["currentDeployment"]
        assert current["state"] == "terminated"
        assert current["stateMessage"] == "The emulator was stopped"
        assert await client.messages(service_id, 1001) == ["up"]
        assert emulator.add_service("job", command=command) == service_id
        assert emulator.add_service("job", command=command) != service_id
        emulator.deploy(service_id)
        with anyio.fail_after(PATIENCE):
            while await client.messages(service_id, 1002) != ["up"]:
                await anyio.sleep(0.01)


async def test_a_change_is_in_the_file_before_the_emulator_ends(path: Path) -> None:
    async with Emulator(state_file=path) as emulator:
        emulator.add_service("web")
        await until(lambda: path.exists() and b'"web"' in path.read_bytes())


async def test_the_file_holds_no_key_no_token_and_no_command_and_is_its_owners(
    path: Path, session: aiohttp.ClientSession
) -> None:
    async with Emulator(state_file=path, api_key="the-key") as emulator:
        emulator.add_service("job", command=["my-command"], env={"A": "my-variable"})
        token = await Client(emulator, session).post("/services/1/tokens", {"name": "ci"})
        page_token = emulator.page_url.partition("token=")[2]
    content = path.read_text()
    for secret in ("the-key", "my-command", "my-variable", token["token"], page_token):
        assert secret not in content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_two_emulators_do_not_share_a_file(path: Path) -> None:
    async with Emulator(state_file=path) as first:
        second = Emulator(state_file=path)
        with pytest.raises(StateFileError, match="in use by another emulator"):
            await second.__aenter__()
        first.add_service("web")
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    async with second:
        pass


async def test_a_file_whose_emulator_was_killed_can_be_used(path: Path) -> None:
    script = (
        "import asyncio, os, sys; from aioservices.emulator import Emulator\n"
        "async def main():\n"
        "    async with Emulator(1, state_file=sys.argv[1]):\n"
        "        print('up', flush=True); await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", script, str(path)]
    async with await anyio.open_process(command, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        with anyio.fail_after(PATIENCE):
            await process.stdout.receive()
        process.kill()
    async with Emulator(1, state_file=path):
        pass


async def test_the_file_is_replaced_as_a_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = StateFile(path)
    file.save(b"old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StateFileError, match="No space left"):
        file.save(b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_a_file_that_cannot_be_written_is_reported_and_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    saved: list[bytes] = []

    def save(_: StateFile, content: bytes) -> None:
        saved.append(content)
        if len(saved) == 1:
            raise StateFileError("No space left on device")

    monkeypatch.setattr(StateFile, "save", save)
    with caplog.at_level(logging.WARNING, logger="aioservices"):
        async with Emulator(state_file=path) as emulator:
            emulator.add_service("web")
            await until(lambda: len(saved) == 2)
    assert "No space left on device" in caplog.text


@given(st.integers(0, 30), st.integers(1, 10))
def test_the_newest_lines_of_a_log_are_kept(written: int, kept: int) -> None:
    emulator = Emulator(1)
    emulator.deploy(1)
    for number in range(written):
        emulator.log(1, str(number), at=emulator._clock() + number * 10**6)
    content = json.loads(dump(emulator._state, emulator._clock(), lines=kept))
    lines = content["services"][0]["deployments"][0]["lines"]
    expected = [str(number) for number in range(written)][-kept:]
    assert [line["message"] for _, _, line in lines] == expected
    assert KEPT_LINES >= 10_000  # a page of a log
