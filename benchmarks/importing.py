"""Import time: that of the session, compared with the `import aiohttp` that it contains."""

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from tempfile import TemporaryDirectory

import anyio

from benchmarks.race import OURS, Contender, Lap, race
from benchmarks.report import Goal, Report

AIOHTTP = "aiohttp"
# The package alone imports nothing until a public name is asked for.
_STATEMENTS = {AIOHTTP: "import aiohttp", OURS: "from aioservices import Services"}
_CODE = """
from time import perf_counter
start = perf_counter()
{statement}
print(perf_counter() - start)
"""


async def run(*, quick: bool) -> Report:
    """Race in fresh interpreters, whose own start is not counted.

    Both are imported from bytecode, as installed packages are: the warm-up
    laps write it, into a separate directory, whatever the environment says about bytecode.
    """
    with TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        contenders: dict[str, Contender] = {
            name: partial(_import, statement, environment)
            for name, statement in _STATEMENTS.items()
        }
        result = await race(contenders, unit="imports", rounds=2 if quick else 21)
    time = 1 / result.times_as_fast(than=AIOHTTP)
    claim = f"import {OURS}: the time of import {AIOHTTP}"
    goal = Goal(claim, time, at_most=1.08)
    return Report("Import in a fresh interpreter", result.rows(), [goal])


async def _import(statement: str, environment: Mapping[str, str]) -> Lap:
    command = [sys.executable, "-c", _CODE.format(statement=statement)]
    process = await anyio.run_process(
        command, stdin=subprocess.DEVNULL, stderr=None, env=environment
    )
    return Lap(1, float(process.stdout))
