"""Programs: how signals end them."""

import signal
import subprocess
import sys

import anyio

_SIGNAL_AS_THE_LAST_STEP = """
import os, signal, sys
import anyio
from aioservices.terminal.output import stdout
from aioservices.terminal.run import program, run

async def main():
    await anyio.sleep(0.01)
    stdout().post("x" * 1_000_000)
    os.kill(os.getpid(), signal.SIGINT)
    return 0

sys.exit(program(lambda: run(main)))
"""


async def test_a_signal_in_the_last_step_ends_a_program_whose_output_nobody_reads() -> None:
    command = [sys.executable, "-c", _SIGNAL_AS_THE_LAST_STEP]
    async with await anyio.open_process(command, stdout=subprocess.PIPE) as process:
        with anyio.move_on_after(60):
            await process.wait()
        assert process.returncode == 128 + signal.SIGINT
