"""The sockets and the tasks of an emulator while it is entered."""

import asyncio
from collections.abc import Collection

from aiohttp import web

from aioservices.emulator.programs import Programs
from aioservices.emulator.server import App
from aioservices.emulator.state_file import StateKeeper

__all__ = ["Listener"]


class Listener:
    """Serves an application on loopback, runs its programs and keeps its state.

    Parameters
    ----------
    app
        Answers the requests.
    port
        The TCP port; 0 takes a free one.
    programs
        The programs to run.
    keeper
        Writes the state file, if there is one.

    Attributes
    ----------
    port
        The TCP port; the same one whenever it is started again.
    """

    def __init__(self, app: App, port: int, programs: Programs, keeper: StateKeeper | None) -> None:
        self.port = port
        self._app = app
        self._programs = programs
        self._keeper = keeper

    async def start(self) -> None:
        """Accept connections."""
        self._runner = web.ServerRunner(
            web.Server(self._app.handle), access_log=None, shutdown_timeout=0.1
        )
        keeper = self._keeper
        if keeper is not None:
            keeper.file.lock()
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=1024).start()
        except BaseException:
            await self._runner.cleanup()
            if keeper is not None:
                keeper.file.unlock()
            raise
        self.port = self._runner.addresses[0][1]
        # Separate tasks: a test fixture is often exited by another task than the one that entered
        # it, which a task group does not allow.
        self._tasks = [asyncio.create_task(self._programs.serve(), name="emulator-programs")]
        if keeper is not None:
            self._tasks.append(asyncio.create_task(keeper.run(), name="emulator-state"))

    async def stop(self) -> None:
        """Close the connections, end the programs and write the state."""
        try:
            await self._runner.cleanup()
        finally:
            try:
                await _cancel(self._tasks)
                if self._keeper is not None:
                    await self._keeper.save()
            finally:
                if self._keeper is not None:
                    self._keeper.file.unlock()


async def _cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait until tasks have cleaned up, however often the waiting is cancelled."""
    for task in tasks:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    for task in tasks:
        if not task.cancelled():
            task.result()
