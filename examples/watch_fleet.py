"""A daemon that follows the logs of a fleet, and continues after a restart.

It prints every line of every service that runs, and keeps in a file how far it has come. Stopped
by Ctrl-C or SIGTERM and started again, it prints what was written meanwhile, and nothing twice;
after a crash it repeats at most the lines of one second.

With CIVIS_API_KEY set it watches your own services. Without, it starts an emulator.

    python examples/watch_fleet.py [--checkpoints checkpoints.json] [--seconds 10]
"""

import argparse
import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack

import anyio

from aioservices import CursorFile, CursorFileError, Services
from aioservices.emulator import Emulator


async def main(path: str, seconds: float) -> None:
    """Watch for some seconds, or until a signal comes."""
    async with AsyncExitStack() as stack:
        cursor_file = stack.enter_context(CursorFile(path))
        checkpoint = cursor_file.load_checkpoint()
        services = Services() if "CIVIS_API_KEY" in os.environ else None
        if services is None:
            emulator = Emulator(services=5, deployed=True, log_interval=0.5)
            await stack.enter_async_context(emulator)
            services = Services(emulator.api_key, base_url=emulator.url)
        await stack.enter_async_context(services)

        with anyio.move_on_after(seconds) as scope:
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, scope.cancel)
            async with services.watch_logs(resume=checkpoint) as watch:
                async for line in watch:
                    print(f"{line.service_name} | {line.entry.message}", flush=True)
                    cursor_file.save(watch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Follow the logs of a fleet.")
    parser.add_argument(
        "--checkpoints", default="checkpoints.json", help="file in which the position is stored"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="how long to watch")
    arguments = parser.parse_args()
    try:
        asyncio.run(main(arguments.checkpoints, arguments.seconds))
    except CursorFileError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does. Python would say so again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
