"""The class `Emulator`: the server with its state, as a Python object."""

import os
import time
from collections import Counter, deque
from collections.abc import Callable
from os import PathLike
from random import Random
from secrets import token_hex
from types import TracebackType
from typing import Literal, Self

import anyio

from aioservices.emulator import instants
from aioservices.emulator.arguments import (
    check_api_key,
    check_choice,
    check_integer,
    check_kind,
    check_seconds,
)
from aioservices.emulator.controls import Controls
from aioservices.emulator.deployments import Deployment, Lifecycle
from aioservices.emulator.limits import FixedWindow, SlidingWindow
from aioservices.emulator.listener import Listener
from aioservices.emulator.logs import LogBehaviour
from aioservices.emulator.programs import Programs
from aioservices.emulator.record import RecordedRequest
from aioservices.emulator.routes import Api
from aioservices.emulator.schemas import Stream
from aioservices.emulator.server import App
from aioservices.emulator.state import Service, State
from aioservices.emulator.state_file import StateFile, StateKeeper

__all__ = ["UNLIMITED", "Emulator"]

_Shares = Literal["array", "object"]
_Credentials = Literal["ids", "objects"]

UNLIMITED = 1_000_000
"""More requests than tests and benchmarks make in a window."""

_MAX_SERVICES = 1_000_000


class Emulator(Controls):
    """A server of the services API on loopback, in this process and with state.

    Its methods may be called from any thread. Entered again after it was left, it continues with
    the same state, port and key, as a server does after an outage.

    Parameters
    ----------
    services
        The number of services at the start.
    api_key
        The accepted key. None: a random one.
    port
        The TCP port on 127.0.0.1; 0 takes a free one.
    deployed
        Whether these services are running at the start.
    rate_limit
        Requests that are accepted in each period. The platform accepts 1,000 in 300 s.
    rate_window
        Seconds.
    rate_limit_slides
        Whether the period ends at each request; otherwise one period follows the other.
    latency
        Seconds by which each answer is delayed.
    null_state_for
        Seconds from the creation of a deployment until it has a state: until then the API
        returns null, as the platform does. Never longer than `pending_for`.
    pending_for
        Seconds from the creation of a deployment until it runs.
    running_for
        Seconds that a deployment runs until it terminates by itself. None: forever.
    log_interval
        Seconds between the lines that a running deployment writes by itself. None: it
        writes none. A service that is a program writes its own lines.
    logs
        The behaviour of logs that the API does not document.
    log_retention
        About how many lines of a deployment are kept.
    pagination_headers
        Whether listings carry `X-Pagination-...`.
    shares_as
        Whether `GET /services/{id}/shares` returns an array with one object, or the object.
    credentials_as
        Whether a service shows its credentials as objects with id and name, or as ids.
    stop_grace
        Seconds that a program has from SIGTERM until SIGKILL.
    state_file
        Keeps the state across restarts: it is read now, and written within a second of each
        change and at the end. If it exists, `services` are not added again, and `add_service`
        with a command gives that command to the service of that name that was a program. None:
        the state is lost at the end.
    seed
        Determines the order of unsorted log pages.
    clock
        Gives the time, in nanoseconds since the epoch.

    Raises
    ------
    TypeError, ValueError
        An argument has an invalid type or value.
    StateFileError
        The state file cannot be read or understood. On entering: another emulator uses it;
        on leaving: it cannot be written.

    Examples
    --------
    >>> import asyncio
    >>> async def main():
    ...     async with Emulator(services=1) as emulator:
    ...         emulator.log(1, "a line", stream="stderr")
    ...         print(emulator.url, emulator.deploys)
    >>> asyncio.run(main())
    http://127.0.0.1:... Counter({1: 1})
    """

    def __init__(
        self,
        services: int = 0,
        *,
        api_key: str | None = None,
        port: int = 0,
        deployed: bool = False,
        rate_limit: int = UNLIMITED,
        rate_window: float = 300.0,
        rate_limit_slides: bool = False,
        latency: float = 0.0,
        null_state_for: float = 0.05,
        pending_for: float = 0.1,
        running_for: float | None = None,
        log_interval: float | None = None,
        logs: LogBehaviour | None = None,
        log_retention: int = 2_000_000,
        pagination_headers: bool = True,
        shares_as: _Shares = "array",
        credentials_as: _Credentials = "objects",
        stop_grace: float = 2.0,
        state_file: str | PathLike[str] | None = None,
        seed: int = 0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        check_integer(services, "services", most=_MAX_SERVICES)
        check_integer(port, "port", most=65_535)
        check_integer(rate_limit, "rate_limit", least=1)
        check_integer(log_retention, "log_retention", least=1)
        check_kind(seed, int, "seed")
        for name, seconds in (
            ("rate_window", rate_window),
            ("latency", latency),
            ("null_state_for", null_state_for),
            ("pending_for", pending_for),
            ("stop_grace", stop_grace),
        ):
            check_seconds(seconds, name)
        for name, optional in (("running_for", running_for), ("log_interval", log_interval)):
            if optional is not None:
                check_seconds(optional, name)
        if api_key is not None:
            check_api_key(api_key, "api_key")
        check_choice(shares_as, _Shares, "shares_as")
        check_choice(credentials_as, _Credentials, "credentials_as")
        self._programs = Programs(
            environment=self._environment,
            on_line=self._on_line,
            on_state=self._on_state,
            grace=stop_grace,
        )
        state = State(
            lifecycle=Lifecycle(
                null_state_for=null_state_for,
                pending_for=pending_for,
                running_for=running_for,
                log_interval=log_interval,
            ),
            retention=log_retention,
            on_start=self._programs.start,
            on_stop=self._programs.stop,
        )
        api = Api(
            state=state,
            logs=logs or LogBehaviour(),
            random=Random(seed),
            pagination_headers=pagination_headers,
            shares_as=shares_as,
            credentials_as=credentials_as,
        )
        super().__init__(state, api, clock)
        window = (SlidingWindow if rate_limit_slides else FixedWindow)(
            rate_limit, instants.duration(rate_window)
        )
        self._app = App(
            api,
            self._faults,
            window,
            clock=clock,
            lock=self._lock,
            api_key=token_hex(16) if api_key is None else api_key,
            latency=latency,
            on_change=self._mark_changed,
        )
        loaded = False
        if state_file is not None:
            file = StateFile(state_file)
            loaded = file.load(state, clock())
            self._keeper = StateKeeper(file, self._dump)
        self._listener = Listener(self._app, port, self._programs, self._keeper)
        if not loaded:
            for number in range(1, services + 1):
                self.add_service(f"service-{number}", deployed=deployed)

    async def __aenter__(self) -> Self:
        await self._listener.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._listener.stop()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._listener.port}"

    @property
    def page_url(self) -> str:
        """The address of the page, with its token."""
        return f"{self.url}/#token={self._app.page.token}"

    @property
    def api_key(self) -> str:
        """The accepted key; setting another one revokes it at once."""
        return self._app.api_key

    @api_key.setter
    def api_key(self, key: str) -> None:
        self._app.api_key = check_api_key(key, "api_key")

    @property
    def requests(self) -> deque[RecordedRequest]:
        """The last 10,000 requests, in the order in which they were answered."""
        return self._app.requests

    @property
    def statuses(self) -> Counter[int | None]:
        """The number of requests answered with each status, since the beginning."""
        return self._app.statuses

    def _environment(self, service: Service) -> dict[str, str]:
        return {
            **os.environ,
            # The program's own API calls go here, and never to the real API.
            "CIVIS_API_ENDPOINT": self.url,
            "CIVIS_API_KEY": self.api_key,
            # Python buffers what it prints to a pipe, and the lines would come late.
            "PYTHONUNBUFFERED": "1",
            **(service.program.env if service.program else {}),
            **service.details.environment_variables,
        }

    def _on_line(self, deployment: Deployment, stream: Stream, message: str) -> None:
        with self._lock:
            now = self._clock()
            deployment.log.write(
                message, now=now, at=now, stream=stream, source="user", behaviour=self.logs
            )

    def _on_state(self, deployment: Deployment, state: str, message: str | None) -> None:
        with self._lock:
            self._mark_changed()
            now = self._clock()
            if not deployment.has_ended(now):
                deployment.move(now, state, message)
