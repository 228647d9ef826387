"""Import time: `import aioservices` beside the `import aiohttp` that it contains."""

import subprocess
import sys
from functools import partial

import anyio

from benchmarks.race import OURS, Contender, Lap, race
from benchmarks.report import Report, Verdict

AIOHTTP = "aiohttp"
_CODE = """
from time import perf_counter
start = perf_counter()
import {module}
print(perf_counter() - start)
"""


async def run(*, quick: bool) -> Report:
    """Race in fresh interpreters, whose own start is not counted."""
    contenders: dict[str, Contender] = {
        module: partial(_import, module) for module in (AIOHTTP, OURS)
    }
    result = await race(contenders, unit="imports", rounds=2 if quick else 21)
    time = 1 / result.times_as_fast(than=AIOHTTP)
    claim = f"import {OURS} takes at most 1.25 times as long as import {AIOHTTP}"
    return Report(
        "Import in a fresh interpreter", result.rows(), [Verdict(claim, time, at_most=1.25)]
    )


async def _import(module: str) -> Lap:
    command = [sys.executable, "-c", _CODE.format(module=module)]
    process = await anyio.run_process(command, stderr=None, stdin=subprocess.DEVNULL)
    return Lap(1, float(process.stdout))
