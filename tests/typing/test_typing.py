"""What mypy and basedpyright say of calls that are right, and of calls that are wrong."""

import functools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parents[1]
FILES = {name: FOLDER / f"{name}.py" for name in ("accepted", "refused")}


@functools.cache
def mypy() -> set[tuple[str, int]]:
    """Name of the file and number of the line of everything that mypy refuses."""
    output = run("mypy", "--no-pretty", "--no-error-summary", "--hide-error-context")
    found = re.findall(r"^(.+?):(\d+): error: ", output, flags=re.MULTILINE)
    return {(Path(file).stem, int(line)) for file, line in found}


@functools.cache
def basedpyright() -> set[tuple[str, int]]:
    """Name of the file and number of the line of everything that basedpyright refuses."""
    found = json.loads(run("basedpyright", "--outputjson", "--pythonpath", sys.executable))
    return {
        (Path(each["file"]).stem, each["range"]["start"]["line"] + 1)
        for each in found["generalDiagnostics"]
        if each["severity"] == "error"
    }


def run(checker: str, *options: str) -> str:
    command = [sys.executable, "-m", checker, *options, *map(str, FILES.values())]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr  # it ran, and refused something
    return done.stdout


def lines_to_refuse() -> set[int]:
    lines = FILES["refused"].read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if "# refuse" in line}


checkers = pytest.mark.parametrize("checker", [mypy, basedpyright], ids=["mypy", "basedpyright"])


@checkers
def test_every_right_call_is_accepted(checker: Callable[[], set[tuple[str, int]]]) -> None:
    assert {line for file, line in checker() if file == "accepted"} == set()


@checkers
def test_every_wrong_call_is_refused(checker: Callable[[], set[tuple[str, int]]]) -> None:
    assert lines_to_refuse() - {line for file, line in checker() if file == "refused"} == set()


@checkers
def test_nothing_but_the_wrong_calls_is_refused(
    checker: Callable[[], set[tuple[str, int]]],
) -> None:
    assert {line for file, line in checker() if file == "refused"} - lines_to_refuse() == set()
