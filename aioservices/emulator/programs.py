"""The programs of all deployments, started and stopped as their deployments are."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping

import anyio

from aioservices.emulator.deployments import Deployment
from aioservices.emulator.process import run
from aioservices.emulator.schemas import Stream
from aioservices.emulator.state import Service

__all__ = ["Programs"]


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
        self._orders: deque[tuple[Service | None, Deployment]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._stops: dict[int, anyio.Event] = {}
        self._turns: defaultdict[int, anyio.Lock] = defaultdict(anyio.Lock)

    def start(self, service: Service, deployment: Deployment) -> None:
        """Start the program of a service, for one of its deployments."""
        self._order(service, deployment)

    def stop(self, deployment: Deployment) -> None:
        """Stop the program of a deployment, if it has one."""
        self._order(None, deployment)

    async def serve(self) -> None:
        """Carry out what is ordered, until cancelled; then every program is stopped."""
        self._loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as programs:
            try:
                while True:
                    self._news.clear()
                    while self._orders:
                        service, deployment = self._orders.popleft()
                        if service is not None:
                            stop = self._stops[deployment.id] = anyio.Event()
                            programs.start_soon(self._run, service, deployment, stop)
                        elif deployment.id in self._stops:
                            self._stops[deployment.id].set()
                    await self._news.wait()
            finally:
                self._loop = None
                for stop in self._stops.values():
                    stop.set()

    def _order(self, service: Service | None, deployment: Deployment) -> None:
        self._orders.append((service, deployment))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._news.set)

    async def _run(self, service: Service, deployment: Deployment, stop: anyio.Event) -> None:
        try:
            # One after the other: two web servers cannot have the same port.
            async with self._turns[deployment.service_id]:
                if stop.is_set() or service.program is None:
                    return
                outcome = await run(
                    service.program,
                    self._environment(service),
                    stop=stop,
                    grace=self._grace,
                    on_start=lambda: self._on_state(deployment, "running", None),
                    on_line=lambda stream, line: self._on_line(deployment, stream, line),
                )
            self._on_state(deployment, *outcome)
        finally:
            del self._stops[deployment.id]
