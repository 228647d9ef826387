"""What is stored, at the command line: `logs --from`, `stored` and `export`."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pyarrow.parquet as parquet
import pytest

from aioservices import Services
from aioservices.emulator import Emulator
from aioservices.fleet.collecting import Collector
from aioservices.stores import StoredEntry, open_store
from tests.cli.conftest import ELSEWHERE, Cli, assert_times_in_utc
from tests.fleet.collecting.conftest import quick
from tests.servers import programs
from tests.servers.emulated import session
from tests.servers.programs import Ended
from tests.servers.waiting import until

KEYS = "service_id service_name deployment_id seq created_at kept_at stream source message"
KEYS += " copy line_id"


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    return {"services": 2, "deployed": True, "pending_for": 0.0, "null_state_for": 0.0}


async def collect(services: Services, url: str, lines: int) -> None:
    """Collect until so many lines are stored."""
    async with open_store(url) as store, anyio.create_task_group() as group:
        collector = Collector(store, [services], quick())
        group.start_soon(collector.run)
        await until(lambda: collector.status.lines >= lines)
        collector.stop()


@pytest.fixture
async def store(emulator: Emulator, tmp_path: Path) -> str:
    """Return the URL of a store with ten lines of service 1 and one of service 2."""
    url = f"sqlite:{tmp_path}/logs.db"
    for n in range(10):
        emulator.log(1, f"line {n}", stream="stderr" if n == 7 else "stdout")
    emulator.log(2, "another")
    async with session(emulator) as services:
        await collect(services, url, 11)
    return url


async def run(*arguments: str, cwd: Path | None = None) -> Ended:
    """Run the program without a key, and without an API."""
    environment = {**os.environ, "CIVIS_API_ENDPOINT": "http://127.0.0.1:9"}
    return await programs.run(*arguments, environment=environment, folder=cwd)


async def messages(*arguments: str) -> list[str]:
    ended = await run("logs", *arguments)
    assert (ended.status, ended.errors) == (0, "")
    return ended.lines


async def test_a_stored_log_is_read_with_the_options_of_a_log(store: str) -> None:
    source = ("--from", store)
    everything = [f"line {n}" for n in range(10)]
    assert await messages("service-1", *source) == everything
    assert await messages("1", *source, "-n", "2") == everything[-2:]
    assert await messages("1", *source, "--stream", "stderr") == ["line 7"]
    assert await messages("1", *source, "--grep", "[35]$", "-n", "1") == ["line 5"]
    assert await messages("1", *source, "--since", "1d", "--exclude", "[0-8]") == ["line 9"]
    assert await messages("1", *source, "--until", "1h") == []


async def test_as_json_a_stored_line_has_all_that_is_known_of_it(store: str) -> None:
    first, *_ = await messages("1", "--from", store, "--json")
    line = json.loads(first)
    assert list(line) == KEYS.split()
    assert (line["service_name"], line["seq"], line["message"]) == ("service-1", 1, "line 0")


async def test_a_cursor_keeps_the_place_in_a_store(
    store: str, emulator: Emulator, services: Services, tmp_path: Path
) -> None:
    place = ("--from", store, "--cursor", str(tmp_path / "place"))
    assert await messages("1", *place, "-n", "1") == ["line 9"]
    assert await messages("1", *place) == []
    emulator.log(1, "a new line")
    await collect(services, store, 1)
    assert await messages("1", *place) == ["a new line"]
    refused = await run("logs", "2", *place)
    assert refused.status == 2
    assert "another --cursor" in refused.errors


@pytest.mark.parametrize("columns", [50, 80, 200])
async def test_an_audit_is_no_wider_than_the_terminal(cli: Cli, store: str, columns: int) -> None:
    with cli.terminal("stored", store, columns=columns, NO_COLOR="1") as terminal:
        ended = await terminal.end()
    assert ended.status == 0
    head, *_, total = ended.lines
    assert head.split()[:3] == ["ID", "NAME", "LINES"]
    assert ("FIRST" in head) == (columns > 50)
    assert total.startswith("11 lines of 2 services in ")
    assert all(len(line) <= columns for line in ended.lines)


async def test_what_is_not_stored_is_named(store: str, tmp_path: Path) -> None:
    missing = await run("logs", "web", "--from", store)
    assert (missing.status, "'web'" in missing.errors) == (1, True)
    missing = await run("logs", "1", "--from", f"sqlite:{tmp_path}/none.db")
    assert missing.status == 1
    assert "none.db" in missing.errors
    assert not (tmp_path / "none.db").exists()
    assert (await run("logs", "1", "--from", "logs.db")).status == 2


@pytest.mark.parametrize("thorough", [False, True])
async def test_a_whole_store_is_counted(store: str, thorough: bool) -> None:
    ended = await run("stored", store, *["--thorough"] * thorough)
    assert ended.status == 0
    assert "service-1" in ended.output
    assert "11 lines of 2 services" in ended.output
    document = json.loads((await run("stored", store, "--json")).output)
    assert document["ok"] is True
    assert [each["lines"] for each in document["services"]] == [10, 1]


async def test_a_forwarder_that_is_not_known_cannot_send_again(store: str) -> None:
    ended = await run("stored", store, "--resend", "otlp:http://nowhere")
    assert ended.status == 2
    assert "nothing was ever forwarded" in ended.errors


async def test_a_forwarder_sends_again_while_the_daemon_runs(
    emulator: Emulator, tmp_path: Path
) -> None:
    sent: list[int] = []

    class Memory:
        name = "memory"

        async def send(self, lines: Sequence[StoredEntry]) -> None:
            sent.extend(line.seq for line in lines)

    url = f"sqlite:{tmp_path}/logs.db"
    for n in range(10):
        emulator.log(1, f"line {n}")
    async with (
        session(emulator) as services,
        open_store(url) as store,
        anyio.create_task_group() as group,
    ):
        collector = Collector(store, [services], quick(), forwarders=[Memory()])
        group.start_soon(collector.run)
        await until(lambda: len(sent) == 10)
        unknown = await run("stored", url, "--resend", "otlp:http://nowhere")
        assert (unknown.status, "it has memory" in unknown.errors) == (2, True)
        ended = await run("stored", url, "--resend", "memory")
        assert ended.status == 0
        assert f"process {os.getpid()}" in ended.errors
        emulator.log(1, "line 10")
        await until(lambda: len(sent) >= 21)
        assert sorted(sent) == sorted([*range(1, 11), *range(1, 12)])
        collector.stop()
    assert not [*tmp_path.glob("*resend*")]


@pytest.mark.parametrize(
    ("name", "destination"),
    [
        ("jsonl:{}/lines.jsonl", "jsonl:lines.jsonl"),
        ("jsonl:{}/lines.jsonl", "jsonl:./lines.jsonl?rotate=1MB&keep=2"),
        ("otlp:http://host:4318/v1/logs", "otlp:http://host:4318"),
        ("otlp:http://host:4318/v1/logs", "otlp:http://user:secret@host:4318/?key=secret"),
    ],
)
async def test_a_forwarder_is_known_by_the_words_that_forward_takes(
    store: str, tmp_path: Path, name: str, destination: str
) -> None:
    name = name.format(tmp_path)
    async with open_store(store) as opened:
        assert await opened.mark_forwarded(name, {2: (0, 1)})
    ended = await run("stored", store, "--resend", destination, cwd=tmp_path)
    assert f"1 line will be sent to {name} again" in " ".join(ended.errors.split())
    assert ended.status == 0
    other = await run("stored", store, "--resend", "jsonl:other.jsonl", cwd=tmp_path)
    assert (other.status, f"it has {name}" in other.errors) == (2, True)


async def test_no_export_is_written_over_a_store(store: str) -> None:
    path = store.removeprefix("sqlite:")
    for kind in ("--jsonl", "--parquet"):
        ended = await run("export", store, kind, path)
        assert ended.status != 0
        assert "belongs to a SQLite database" in ended.errors
    assert (await run("stored", store, "--thorough")).status == 0


async def test_a_store_is_exported_as_json_lines_and_as_parquet(store: str, tmp_path: Path) -> None:
    lines, table = tmp_path / "lines.jsonl", tmp_path / "lines.parquet"
    assert (await run("export", store, "--jsonl", str(lines))).status == 0
    documents = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [each["message"] for each in documents] == [*(f"line {n}" for n in range(10)), "another"]
    assert (await run("export", store, "service-1", "--parquet", str(table))).status == 0
    columns = parquet.read_table(table).to_pydict()
    assert columns["message"] == [f"line {n}" for n in range(10)]
    assert columns["line_id"] == [each["line_id"] for each in documents[:10]]
    assert columns["created_at"][0].tzinfo is not None
    assert sorted(path.name for path in tmp_path.iterdir() if "new" in path.name) == []


async def test_an_export_says_where_to(store: str, tmp_path: Path) -> None:
    assert (await run("export", store)).status == 2
    ended = await run("export", store, "--jsonl", str(tmp_path / "no" / "such.jsonl"))
    assert ended.status == 1
    assert "such.jsonl" in ended.errors


@pytest.mark.parametrize("command", [["stored"], ["logs", "1", "--timestamps", "--from"]])
async def test_every_time_of_a_store_is_in_utc_wherever_the_machine_is(
    store: str, command: list[str]
) -> None:
    ended = await programs.run(*command, store, environment=os.environ | ELSEWHERE)
    assert ended.status == 0
    assert_times_in_utc(ended.output)
