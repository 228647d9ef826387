"""Services that are real programs."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from aioservices.emulator import Emulator, instants
from aioservices.emulator.process import MAX_LINE
from tests.emulator.conftest import Client
from tests.servers.waiting import PATIENCE, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's own")

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="processes are found by their environment in /proc"
)

# Prints its number and that of its child, and waits.
FAMILY = "sleep 600 & echo $$ $!; wait"
STUBBORN = f"trap '' TERM; {FAMILY}; {FAMILY}"


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        if sys.platform != "linux":
            return True
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):  # it may go between two of these calls
        return False
    # Where nobody collects orphans a process that has ended keeps its number.
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


class Desk:
    """Programs under an emulator."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.emulator = client.emulator

    async def deploy(self, script: str, **options: Any) -> int:
        service_id = self.emulator.add_service("program", command=shell(script), **options)
        await self.client.post(f"/services/{service_id}/deployments")
        return service_id

    async def current(self, service_id: int) -> Any:
        return (await self.client.get(f"/services/{service_id}"))["currentDeployment"]

    async def reach(self, service_id: int, *states: str) -> Any:
        with anyio.fail_after(PATIENCE):
            while (current := await self.current(service_id))["state"] not in states:
                await anyio.sleep(0.01)
        return current

    async def log(self, service_id: int) -> list[Any]:
        deployment_id = (await self.current(service_id))["deploymentId"]
        path = f"/services/{service_id}/deployments/{deployment_id}/logs"
        return list(await self.client.get(path))

    async def messages(self, service_id: int) -> list[str]:
        return [line["message"] for line in await self.log(service_id)]

    async def finish(self, script: str, **options: Any) -> Any:
        service_id = await self.deploy(script, **options)
        return await self.reach(service_id, "terminated", "failed")

    async def output(self, script: str, **options: Any) -> list[str]:
        ended = await self.finish(script, **options)
        return await self.messages(ended["serviceId"])

    async def family(self, service_id: int) -> list[int]:
        """Wait until a program has printed its own number and its child's."""
        with anyio.fail_after(PATIENCE):
            while not (messages := await self.messages(service_id)):
                await anyio.sleep(0.01)
        pids = [int(pid) for pid in messages[0].split()]
        assert all(is_alive(pid) for pid in pids)
        return pids


@pytest.fixture
def desk(client: Client) -> Desk:
    return Desk(client)


async def test_what_a_program_writes_becomes_its_log(desk: Desk, tmp_path: Path) -> None:
    # It writes each line when the one before is in the log: the streams are two pipes, and which
    # of two that are filled is read first is not said.
    go = f"while ! test -e '{tmp_path}'/$1; do sleep 0.01; done"
    before = desk.client.emulator._clock()
    service_id = await desk.deploy(
        f"go() {{ {go}; }}; echo one; go 1; echo two >&2; go 2; echo three"
    )
    with anyio.fail_after(PATIENCE):
        for count in (1, 2):
            while len(await desk.messages(service_id)) < count:
                await anyio.sleep(0.01)
            (tmp_path / str(count)).touch()
    await desk.reach(service_id, "terminated", "failed")
    lines = await desk.log(service_id)
    assert [(line["message"], line["stream"], line["source"]) for line in lines] == [
        ("one", "stdout", "user"),
        ("two", "stderr", "user"),
        ("three", "stdout", "user"),
    ]
    times = [instants.parse(line["createdAt"]) for line in lines]
    assert before - 10**6 <= times[0] <= times[1] <= times[2] <= desk.emulator._clock()


async def test_a_program_runs_until_it_ends(desk: Desk, tmp_path: Path) -> None:
    go = tmp_path / "go"
    service_id = await desk.deploy(f"while ! test -e '{go}'; do sleep 0.01; done")
    await desk.reach(service_id, "running")
    go.touch()
    ended = await desk.reach(service_id, "terminated", "failed")
    assert (ended["state"], ended["stateMessage"]) == ("terminated", "exited with status 0")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "exited with status 3"),
        ("kill -KILL $$", "killed by signal SIGKILL"),
        ("kill -SEGV $$", "killed by signal SIGSEGV"),
    ],
)
async def test_a_program_that_fails_says_how(desk: Desk, script: str, message: str) -> None:
    ended = await desk.finish(script)
    assert (ended["state"], ended["stateMessage"]) == ("failed", message)


async def test_a_program_that_does_not_exist_fails_with_its_name(desk: Desk) -> None:
    service_id = desk.emulator.add_service("program", command=["no-such-program", "--flag"])
    desk.emulator.deploy(service_id)
    failed = await desk.reach(service_id, "failed")
    assert "no-such-program" in failed["stateMessage"]
    assert "No such file" in failed["stateMessage"]


async def test_a_folder_that_does_not_exist_is_the_reason(desk: Desk, tmp_path: Path) -> None:
    failed = await desk.finish("pwd", cwd=tmp_path / "missing")
    assert failed["state"] == "failed"
    assert "missing" in failed["stateMessage"]


async def test_a_program_starts_in_its_folder(desk: Desk, tmp_path: Path) -> None:
    assert await desk.output("pwd -P", cwd=tmp_path) == [str(tmp_path.resolve())]


async def test_a_program_gets_the_variables_of_its_service_and_its_own(desk: Desk) -> None:
    variables = {"GREETING": "hello", "BOTH": "service"}
    output = await desk.output(
        "echo $GREETING $HIDDEN $BOTH",
        env={"HIDDEN": "there", "BOTH": "own"},
        environment_variables=variables,
    )
    assert output == ["hello there service"]


async def test_a_variable_that_is_no_text_reaches_the_program_as_json_writes_it(desk: Desk) -> None:
    variables = {"PORT": 8080, "RATE": 0.5, "DEBUG": True, "GONE": None}
    output = await desk.output(
        "echo $PORT $RATE $DEBUG ${GONE-unset}", environment_variables=variables
    )
    assert output == ["8080 0.5 true unset"]


async def test_a_program_asks_the_emulator_and_not_the_real_api(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIS_API_KEY", "the real one")
    output = await desk.output("echo $CIVIS_API_ENDPOINT $CIVIS_API_KEY")
    assert output == [f"{desk.emulator.url} {desk.emulator.api_key}"]


async def test_a_variable_that_cannot_be_passed_is_not_shown(desk: Desk) -> None:
    failed = await desk.finish("true", environment_variables={"A": "secret\0"})
    assert failed["state"] == "failed"
    assert "environment variable" in failed["stateMessage"]
    assert "secret" not in failed["stateMessage"]


async def test_an_emptied_and_an_unfinished_line_are_lines(desk: Desk) -> None:
    assert await desk.output(r"printf 'a\n\nb\r\nc'") == ["a", "", "b", "c"]


async def test_bytes_that_are_no_text_are_replaced(desk: Desk) -> None:
    assert await desk.output(r"printf 'a\377b\n'") == ["a\ufffdb"]


async def test_a_huge_line_becomes_several(desk: Desk) -> None:
    size = 3 * MAX_LINE + 10
    output = await desk.output(f"head -c {size} /dev/zero | tr '\\0' x; echo; echo end")
    assert output[-1] == "end"
    assert "".join(output[:-1]) == "x" * size
    assert max(len(line) for line in output) <= MAX_LINE


async def test_many_lines_are_all_there(desk: Desk) -> None:
    assert await desk.output("seq 1 20000 | head -n 9999") == [str(n) for n in range(1, 10_000)]


async def test_a_redeploy_stops_a_program_and_its_children(desk: Desk) -> None:
    service_id = await desk.deploy(FAMILY)
    pids = await desk.family(service_id)
    await desk.client.post(f"/services/{service_id}/redeploy")
    await until(lambda: not any(is_alive(pid) for pid in pids))
    assert set(pids).isdisjoint(await desk.family(service_id))


@pytest.mark.parametrize(
    "how", ["delete", "archive", "remove", "terminated", "failed", "crashed", "succeeded"]
)
async def test_whatever_ends_a_deployment_stops_its_program(desk: Desk, how: str) -> None:
    service_id = await desk.deploy(FAMILY)
    pids = await desk.family(service_id)
    path = f"/services/{service_id}"
    if how == "delete":
        deployment_id = (await desk.current(service_id))["deploymentId"]
        await desk.client.delete(f"{path}/deployments/{deployment_id}")
    elif how == "archive":
        await desk.client.put(f"{path}/archive", {"status": True})
    elif how == "remove":
        desk.emulator.remove_service(service_id)
    else:
        desk.emulator.set_state(service_id, how)
    await until(lambda: not any(is_alive(pid) for pid in pids))


async def test_a_program_that_was_stopped_did_not_fail(desk: Desk) -> None:
    service_id = await desk.deploy(FAMILY)
    pids = await desk.family(service_id)
    first = (await desk.current(service_id))["deploymentId"]
    second = (await desk.client.post(f"/services/{service_id}/redeploy"))["deploymentId"]
    await until(lambda: not any(is_alive(pid) for pid in pids))
    await desk.reach(service_id, "running")
    stopped = await desk.client.get(f"/services/{service_id}/deployments/{first}")
    assert stopped["state"] == "terminated"
    assert str(second) in stopped["stateMessage"]


async def test_the_last_words_of_a_stopped_program_are_kept(desk: Desk) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    service_id = await desk.deploy(script)
    with anyio.fail_after(PATIENCE):
        while "ready" not in await desk.messages(service_id):
            await anyio.sleep(0.01)
        desk.emulator.set_state(service_id, "terminated")
        while "bye" not in await desk.messages(service_id):
            await anyio.sleep(0.01)


async def test_the_next_program_starts_when_the_last_one_has_ended(
    desk: Desk, tmp_path: Path
) -> None:
    lock = tmp_path / "lock"
    script = (
        f"mkdir '{lock}' || exit 9; trap 'sleep 0.1; rmdir \"{lock}\"; exit 0' TERM;"
        "echo mine; while :; do sleep 0.01; done"
    )
    service_id = await desk.deploy(script)
    for _ in range(3):
        with anyio.fail_after(PATIENCE):
            while await desk.messages(service_id) != ["mine"]:
                await anyio.sleep(0.01)
        assert (await desk.current(service_id))["state"] == "running"
        await desk.client.post(f"/services/{service_id}/redeploy")


async def test_deployments_in_haste_leave_only_the_last_running(desk: Desk) -> None:
    service_id = desk.emulator.add_service("program", command=shell(FAMILY))
    for _ in range(5):
        desk.emulator.deploy(service_id)
    pids = await desk.family(service_id)
    assert len(pids) == 2
    states = [d["state"] for d in await desk.client.get(f"/services/{service_id}/deployments")]
    assert states == ["running"] + ["terminated"] * 4


async def test_children_do_not_outlive_a_program_that_ends(desk: Desk) -> None:
    ended = await desk.finish("sleep 600 & echo $!")
    [child] = await desk.messages(ended["serviceId"])
    assert ended["state"] == "terminated"
    assert not is_alive(int(child))


# Starts a new session, twice removed from the program, as daemons do.
RUNAWAY = "(setsid sh -c 'echo $$; exec sleep 600' >&1 &) ; "


@linux_only
@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
async def test_a_child_in_a_session_of_its_own_ends_with_the_program(
    session: aiohttp.ClientSession, tmp_path: Path, trap: str
) -> None:
    pid = tmp_path / "pid"
    runaway = f"(setsid sh -c 'echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600' &)"
    async with Emulator(stop_grace=0.2) as emulator:
        desk = Desk(Client(emulator, session))
        ended = await desk.finish(f"{trap}{runaway}; until test -e {pid}; do sleep 0.01; done")
        assert not is_alive(int(pid.read_text()))
    assert ended["state"] == "terminated"


@linux_only
@pytest.mark.parametrize("how", ["stop", "redeploy", "leave"])
async def test_a_child_in_a_session_of_its_own_does_not_survive_the_stop(
    session: aiohttp.ClientSession, how: str
) -> None:
    async with Emulator(stop_grace=1.0) as emulator:
        desk = Desk(Client(emulator, session))
        service_id = await desk.deploy(f"{RUNAWAY} sleep 600")
        [runaway] = await desk.family(service_id)
        if how == "stop":
            emulator.set_state(service_id, "terminated")
        elif how == "redeploy":
            emulator.deploy(service_id)
        if how != "leave":
            await until(lambda: not is_alive(runaway))
    assert not is_alive(runaway)


async def test_a_runaway_of_another_deployment_is_left_alone(desk: Desk) -> None:
    """The marks of deployments 1001 and 10010 begin alike."""
    desk.emulator._state.last_deployment_id = 1_000
    first = await desk.deploy(FAMILY)
    desk.emulator._state.last_deployment_id = 10_009
    second = await desk.deploy(FAMILY)
    pids = await desk.family(second)
    others = await desk.family(first)
    desk.emulator.set_state(first, "terminated")
    await until(lambda: not any(is_alive(pid) for pid in others))
    assert all(is_alive(pid) for pid in pids)


KILLED = """
import asyncio, os, signal, sys
from aioservices.emulator import Emulator

async def main():
    async with Emulator(stop_grace=0.2) as emulator:
        for script in sys.argv[1:]:
            emulator.deploy(emulator.add_service("job", command=["/bin/sh", "-c", script]))
        await asyncio.sleep(600)

asyncio.run(main())
"""


@linux_only
@pytest.mark.parametrize("signals", [[signal.SIGKILL], [signal.SIGSTOP, signal.SIGKILL]])
async def test_programs_do_not_outlive_an_emulator_that_is_killed(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    scripts = [
        f"echo $$ > '{tmp_path}/plain'; sleep 600",
        f"trap '' TERM; echo $$ > '{tmp_path}/stubborn'; while :; do sleep 0.1; done",
        f"setsid sh -c 'echo $$ > {tmp_path}/runaway; exec sleep 600' & sleep 600",
    ]
    names = ["plain", "stubborn", "runaway"]

    def pids() -> list[int]:
        texts = [path.read_text() for name in names if (path := tmp_path / name).exists()]
        return [int(text) for text in texts if text.endswith("\n")]

    async with await anyio.open_process([sys.executable, "-c", KILLED, *scripts]) as process:
        await until(lambda: len(pids()) == len(names))
        for number in signals:
            process.send_signal(number)
        await process.wait()
    await until(lambda: not any(is_alive(pid) for pid in pids()))


async def test_no_process_is_left_next_to_an_emulator(session: aiohttp.ClientSession) -> None:
    async with Emulator() as emulator:
        desk = Desk(Client(emulator, session))
        await desk.finish("true")
        helper = emulator._programs._reaper._process
        assert helper is not None
        assert is_alive(helper.pid)
    assert helper.returncode == 0


async def test_an_emulator_without_programs_starts_no_process(emulator: Emulator) -> None:
    emulator.deploy(emulator.add_service("plain"))
    assert emulator._programs._reaper._process is None


@pytest.mark.parametrize("script", [FAMILY, STUBBORN])
async def test_the_end_of_the_emulator_is_the_end_of_its_programs(
    session: aiohttp.ClientSession, script: str
) -> None:
    async with Emulator(stop_grace=0.2) as emulator:
        desk = Desk(Client(emulator, session))
        pids = await desk.family(await desk.deploy(script))
    assert not any(is_alive(pid) for pid in pids)


async def test_a_cancelled_emulator_stops_its_programs_too(session: aiohttp.ClientSession) -> None:
    pids: list[int] = []
    with anyio.CancelScope() as scope:
        async with Emulator(stop_grace=0.2) as emulator:
            desk = Desk(Client(emulator, session))
            pids = await desk.family(await desk.deploy(STUBBORN))
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert pids
    assert not any(is_alive(pid) for pid in pids)


async def test_a_program_deployed_before_the_start_starts_with_the_emulator(
    session: aiohttp.ClientSession,
) -> None:
    emulator = Emulator()
    service_id = emulator.add_service("program", command=shell(FAMILY), deployed=True)
    async with emulator:
        await Desk(Client(emulator, session)).family(service_id)


async def test_the_api_cannot_set_a_command(desk: Desk) -> None:
    for body in ({"command": ["true"]}, {"program": "true"}):
        assert (await desk.client.call("POST", "/services", body)).status == 422


async def test_a_clone_of_a_program_is_that_program(desk: Desk) -> None:
    service_id = desk.emulator.add_service("program", command=shell("echo hello"))
    clone = await desk.client.post(f"/services/{service_id}/clone")
    desk.emulator.deploy(clone["id"])
    await desk.reach(clone["id"], "terminated")
    assert await desk.messages(clone["id"]) == ["hello"]
