"""What mypy and basedpyright say of calls that are right, and of calls that are wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.sharing import make_once

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parents[1]
CHECKERS = {
    "mypy": ["--no-pretty", "--no-error-summary", "--hide-error-context"],
    "basedpyright": ["--outputjson", "--pythonpath", sys.executable],
}
FILES = {name: FOLDER / f"{name}.py" for name in ("accepted", "refused")}


def check(folder: Path) -> None:
    """Write what a checker says into a folder that has its name."""
    checker = folder.stem
    command = [sys.executable, "-m", checker, *CHECKERS[checker], *map(str, FILES.values())]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr  # it ran, and refused something
    (folder / "output").write_text(done.stdout)


@pytest.fixture(params=CHECKERS)
def refused(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, set[int]]:
    """Return the numbers of the lines that a checker refuses, by file."""
    output = (make_once(tmp_path_factory, request.param, check) / "output").read_text()
    found: dict[str, set[int]] = {name: set() for name in FILES}
    if request.param == "mypy":
        for file, line in re.findall(r"^(.+?):(\d+): error: ", output, flags=re.MULTILINE):
            found[Path(file).stem].add(int(line))
    else:
        for each in json.loads(output)["generalDiagnostics"]:
            if each["severity"] == "error":
                found[Path(each["file"]).stem].add(each["range"]["start"]["line"] + 1)
    return found


def lines_to_refuse() -> set[int]:
    lines = FILES["refused"].read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if "# refuse" in line}


def test_every_right_call_is_accepted(refused: dict[str, set[int]]) -> None:
    assert refused["accepted"] == set()


def test_every_wrong_call_is_refused(refused: dict[str, set[int]]) -> None:
    assert lines_to_refuse() - refused["refused"] == set()


def test_nothing_but_the_wrong_calls_is_refused(refused: dict[str, set[int]]) -> None:
    assert refused["refused"] - lines_to_refuse() == set()
