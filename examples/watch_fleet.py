"""A daemon that follows the logs of a fleet, and goes on after a restart where it was.

It prints every line of every service that runs, and keeps in a file how far it has come. Stopped
by Ctrl-C or SIGTERM and started again, it prints what was written meanwhile, and nothing twice;
after a crash it repeats what came since the last checkpoint.

With CIVIS_API_KEY set it watches your own services. Without, it starts an emulator.

    python examples/watch_fleet.py [--checkpoints checkpoints.json] [--seconds 10]
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from aioservices import LogCursor, LogWatch, Services
from aioservices.emulator import Emulator

EVERY = 1.0  # seconds between two checkpoints


def load(path: Path) -> dict[int, LogCursor]:
    """Read where each log stood."""
    if not path.exists():
        return {}
    cursors = msgspec.json.decode(path.read_bytes(), type=dict[int, str])
    return {service: LogCursor.from_json(cursor) for service, cursor in cursors.items()}


def save(path: Path, checkpoint: dict[int, LogCursor]) -> None:
    """Keep where each log stands: a crash in the middle leaves the file as it was."""
    cursors = {service: cursor.to_json() for service, cursor in checkpoint.items()}
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(msgspec.json.encode(cursors))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


async def print_lines(watch: LogWatch) -> None:
    """Print line after line."""
    async for line in watch:
        print(f"{line.service_name} | {line.entry.message}", flush=True)


async def keep_saving(watch: LogWatch, path: Path) -> None:
    """Keep a checkpoint now and then, not with each line."""
    while True:
        await anyio.sleep(EVERY)
        save(path, watch.checkpoint)


@asynccontextmanager
async def open_session() -> AsyncGenerator[Services]:
    """Open a session with the API if there is a key for it, else with an emulator."""
    if "CIVIS_API_KEY" in os.environ:
        async with Services() as services:
            yield services
        return
    async with (
        Emulator(services=5, deployed=True, log_interval=0.5) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        yield services


async def main(path: Path, seconds: float, resume: dict[int, LogCursor]) -> None:
    """Watch for some seconds, or until something ends it."""
    loop = asyncio.get_running_loop()
    async with open_session() as services, services.watch_logs(resume=resume) as watch:
        is_read = True
        try:
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as tasks:
                    for number in (signal.SIGINT, signal.SIGTERM):
                        loop.add_signal_handler(number, tasks.cancel_scope.cancel)
                    tasks.start_soon(keep_saving, watch, path)
                    tasks.start_soon(print_lines, watch)
        except* BrokenPipeError:
            # Whoever read our output has gone, as `head` does. What was not read comes again the
            # next time, so the last checkpoint has to do.
            is_read = False
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            if is_read:
                save(path, watch.checkpoint)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Follow the logs of a fleet.")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints.json"))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="how long to watch")
    arguments = parser.parse_args()
    try:
        cursors = load(arguments.checkpoints)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        parser.exit(2, f"{parser.prog}: no checkpoints in {arguments.checkpoints}: {error}\n")
    asyncio.run(main(arguments.checkpoints, arguments.seconds, cursors))
