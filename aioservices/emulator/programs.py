"""The programs of all deployments, started and stopped as their deployments are."""

import asyncio
import contextlib
import subprocess
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from secrets import token_hex

import anyio
from anyio.abc import TaskGroup

from aioservices.emulator import reaper
from aioservices.emulator.deployments import Deployment
from aioservices.emulator.process import Outcome, run
from aioservices.emulator.schemas import Stream
from aioservices.emulator.state import Service

__all__ = ["Programs"]

# Seconds for the reaper to exit, which it does at once if no program is left.
_REAPER_SECONDS = 10.0


class Programs:
    """Keeps the programs running whose deployments are.

    `start` and `stop` may be called from any thread, also before `serve` runs.

    Parameters
    ----------
    environment
        Gives all environment variables for the program of a service.
    on_line
        Called with each line that the program of a deployment writes.
    on_state
        Called with each state that a program brings its deployment to, and a message.
    grace
        Seconds from SIGTERM until SIGKILL.
    """

    def __init__(
        self,
        *,
        environment: Callable[[Service], Mapping[str, str]],
        on_line: Callable[[Deployment, Stream, str], None],
        on_state: Callable[[Deployment, str, str | None], None],
        grace: float,
    ) -> None:
        self._environment = environment
        self._on_line = on_line
        self._on_state = on_state
        self._grace = grace
        self._pending: deque[tuple[Service | None, Deployment]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queueed = asyncio.Event()
        self._stops: dict[int, anyio.Event] = {}
        self._turns: defaultdict[int, anyio.Lock] = defaultdict(anyio.Lock)
        self._reaper = _Reaper(grace)

    def start(self, service: Service, deployment: Deployment) -> None:
        """Start the program of a service, for one of its deployments."""
        self._enqueue(service, deployment)

    def stop(self, deployment: Deployment) -> None:
        """Stop the program of a deployment, if it has one."""
        self._enqueue(None, deployment)

    async def serve(self) -> None:
        """Start and stop programs until cancelled; then stop all of them."""
        self._loop = asyncio.get_running_loop()
        try:
            async with anyio.create_task_group() as programs:
                try:
                    while True:
                        self._queueed.clear()
                        while self._pending:
                            self._apply(programs, *self._pending.popleft())
                        await self._queueed.wait()
                finally:
                    self._loop = None
                    for stop in self._stops.values():
                        stop.set()
        finally:
            with anyio.CancelScope(shield=True):
                await self._reaper.aclose()

    def _enqueue(self, service: Service | None, deployment: Deployment) -> None:
        self._pending.append((service, deployment))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._queueed.set)

    def _apply(self, programs: TaskGroup, service: Service | None, deployment: Deployment) -> None:
        if service is not None:
            stop = self._stops[deployment.id] = anyio.Event()
            programs.start_soon(self._run, service, deployment, stop)
        elif deployment.id in self._stops:
            self._stops[deployment.id].set()

    async def _run(self, service: Service, deployment: Deployment, stop: anyio.Event) -> None:
        group: int | None = None

        def on_start(pid: int) -> None:
            nonlocal group
            group = pid
            self._reaper.add(pid)
            self._on_state(deployment, "running", None)

        try:
            # One after the other: two web servers cannot have the same port.
            async with self._turns[deployment.service_id]:
                if stop.is_set() or service.program is None:
                    return
                self._reaper.start()
                outcome = await run(
                    service.program,
                    self._environment(service),
                    mark=f"{self._reaper.mark}{deployment.id}/",
                    stop=stop,
                    grace=self._grace,
                    on_start=on_start,
                    on_line=lambda stream, line: self._on_line(deployment, stream, line),
                )
            if self._loop is None:  # it did not fail: it was ended together with the emulator
                outcome = Outcome("terminated", "The emulator was stopped")
            self._on_state(deployment, *outcome)
        finally:
            del self._stops[deployment.id]
            if group is not None:
                self._reaper.discard(group)


class _Reaper:
    """A separate process that ends the programs if this one is killed.

    Parameters
    ----------
    grace
        Seconds from SIGTERM until SIGKILL.
    """

    def __init__(self, grace: float) -> None:
        self.mark = f"{token_hex(16)}/"
        self._grace = grace
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._process is not None or not sys.executable:
            return
        self._process = subprocess.Popen(  # noqa: S603 - this file's own arguments
            [sys.executable, "-I", "-S", reaper.__file__, self.mark, str(self._grace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
            bufsize=0,
        )

    def add(self, group: int) -> None:
        """Report the start of a process group."""
        self._send(f"+{group}")

    def discard(self, group: int) -> None:
        """Report the end of a process group."""
        self._send(f"-{group}")

    async def aclose(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        with anyio.move_on_after(_REAPER_SECONDS):
            while process.poll() is None:  # noqa: ASYNC110 - it ends within milliseconds
                await anyio.sleep(0.01)
            return
        process.kill()
        process.wait()

    def _send(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it was killed
                self._process.stdin.write(f"{line}\n".encode())
