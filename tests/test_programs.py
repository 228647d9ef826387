"""A copied program finds the same as a freshly started one."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.servers.programs import Ended, run, start
from tests.servers.terminal import on_terminal

PROBE = "tests.servers.probe"
OWN = {**os.environ, "OF_THE_TEST": "ü", "TZ": "Asia/Kathmandu"}
FRESH = {**OWN, "PYTHONSAFEPATH": "1"}  # Python's own, so that it is started; it changes no answer


def found_by(ended: Ended) -> dict[str, Any]:
    assert (ended.status, ended.errors) == (7, ""), ended
    found: dict[str, Any] = json.loads(ended.output)
    found["environment"].pop("PYTHONSAFEPATH", None)
    return found


@pytest.mark.parametrize("encoding", ["", "latin-1", "ascii:backslashreplace"])
async def test_in_pipes(encoding: str) -> None:
    arguments = ("7", "two words")
    given = "1\n" + "ü" * (not encoding.startswith("ascii"))
    data = given.encode(encoding.partition(":")[0] or "utf-8")
    chosen = {"PYTHONIOENCODING": encoding} if encoding else {}
    copied, fresh = [
        found_by(await run(*arguments, module=PROBE, input=data, environment=each | chosen))
        for each in (OWN, FRESH)
    ]
    assert copied == fresh
    assert copied["input"] == given
    assert copied["arguments"] == list(arguments)
    assert copied["environment"] == OWN | chosen


async def test_on_a_terminal() -> None:
    found = []
    for environment in (OWN, FRESH):
        with on_terminal("7", module=PROBE, environment=environment) as terminal:
            found.append(found_by(await terminal.end()))
    assert found[0] == found[1]
    assert found[0]["leads its session"]
    assert found[0]["has its terminal"]


async def test_in_another_folder(tmp_path: Path) -> None:
    ended = await run("7", module=PROBE, environment=OWN, folder=tmp_path)
    assert found_by(ended)["folder"] == str(tmp_path)


async def test_it_is_killed_when_its_block_is_left() -> None:
    for environment in (OWN, FRESH):
        with start("emulator", "--services", "0", environment=environment) as program:
            assert "listening" in await program.readline()
            assert program.poll() is None
        assert program.poll() == -9
