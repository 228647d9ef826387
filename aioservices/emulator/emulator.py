"""The class `Emulator`: the server with its state, as a Python object."""

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from os import PathLike
from random import Random
from secrets import token_hex
from threading import RLock
from types import TracebackType
from typing import Literal, Self

import anyio
import msgspec

from aioservices.emulator import instants
from aioservices.emulator.arguments import (
    check_api_key,
    check_choice,
    check_integer,
    check_kind,
    check_seconds,
    check_text,
    shown,
)
from aioservices.emulator.commands import parse_program
from aioservices.emulator.deployments import Deployment, Lifecycle
from aioservices.emulator.faults import Effect, Fault, Faults
from aioservices.emulator.limits import FixedWindow, SlidingWindow
from aioservices.emulator.listener import Listener
from aioservices.emulator.logs import LogBehaviour
from aioservices.emulator.programs import Programs
from aioservices.emulator.query import parse_body
from aioservices.emulator.routes import Api
from aioservices.emulator.schemas import NewAttributes, Source, Stream
from aioservices.emulator.server import App, RecordedRequest
from aioservices.emulator.state import APIError, Service, State
from aioservices.emulator.state_file import StateFile, StateKeeper, dump

__all__ = ["UNLIMITED", "Emulator"]

_Shares = Literal["array", "object"]
_Credentials = Literal["ids", "objects"]

UNLIMITED = 1_000_000
"""More requests than tests and benchmarks make in a window."""

_MOST_SERVICES = 1_000_000


class Emulator:
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
        gives null, as the platform does. Never longer than `pending_for`.
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
        Whether `GET /services/{id}/shares` gives an array with one object, or the object.
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
        check_integer(services, "services", most=_MOST_SERVICES)
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
        self._clock = clock
        self._lock = RLock()
        self._faults = Faults()
        self._programs = Programs(
            environment=self._environment,
            on_line=self._on_line,
            on_state=self._on_state,
            grace=stop_grace,
        )
        self._state = State(
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
        self._api = Api(
            state=self._state,
            logs=logs or LogBehaviour(),
            random=Random(seed),
            pagination_headers=pagination_headers,
            shares_as=shares_as,
            credentials_as=credentials_as,
        )
        window = (SlidingWindow if rate_limit_slides else FixedWindow)(
            rate_limit, instants.duration(rate_window)
        )
        self._app = App(
            self._api,
            self._faults,
            window,
            clock=clock,
            lock=self._lock,
            api_key=token_hex(16) if api_key is None else api_key,
            latency=latency,
            on_change=self._note_change,
        )
        self._keeper: StateKeeper | None = None
        loaded = False
        if state_file is not None:
            file = StateFile(state_file)
            loaded = file.load(self._state, clock())
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
    def logs(self) -> LogBehaviour:
        """The behaviour of logs; it may be changed at any time."""
        return self._api.logs

    @logs.setter
    def logs(self, behaviour: LogBehaviour) -> None:
        self._api.logs = behaviour

    @property
    def service_ids(self) -> list[int]:
        """The ids of all services."""
        with self._lock:
            return list(self._state.services)

    @property
    def requests(self) -> deque[RecordedRequest]:
        """The last 10,000 requests, in the order in which they were answered."""
        return self._app.requests

    @property
    def statuses(self) -> Counter[int | None]:
        """The number of requests answered with each status, since the beginning."""
        return self._app.statuses

    @property
    def deploys(self) -> Counter[int]:
        """The number of deployments that each service has had, since the beginning."""
        return self._state.deploys

    def add_service(
        self,
        name: str,
        *,
        command: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | PathLike[str] | None = None,
        deployed: bool = False,
        user_id: int = 1,
        **attributes: object,
    ) -> int:
        """Add a service.

        Parameters
        ----------
        name
            Its name.
        command
            The program that its deployments start, with its arguments. None: the service
            only pretends to run.
        env
            More environment variables for the program, which the API does not show.
        cwd
            The directory in which the program starts.
        deployed
            Whether it is deployed and running from the beginning.
        user_id
            The id of its author.
        attributes
            Other attributes that `POST /services` takes, in snake_case.

        Returns
        -------
        int
            The id of the service.

        Raises
        ------
        TypeError
            An attribute is unknown, or the command is not a sequence of strings.
        ValueError
            An attribute has a value that the API rejects, or the command, the directory or a
            variable has one that is not possible for a program.
        """
        for unknown in sorted(attributes.keys() - set(NewAttributes.__struct_fields__)):
            raise TypeError(f"add_service() got an unexpected keyword argument {unknown!r}")
        check_integer(user_id, "user_id")
        given = _encode({"name": check_text(name, "name"), **attributes})
        program = None if command is None else parse_program(command, env or {}, cwd)
        with self._change() as now:
            parsed, _ = parse_body(given, NewAttributes)
            service = None if program is None else self._state.adopt(name, program)
            if service is None:
                service = self._state.create(now, parsed, author=user_id, program=program)
            if deployed:
                self._deploy_running(service, now)
            return service.details.id

    def remove_service(self, service_id: int) -> None:
        """Delete a service completely.

        Raises
        ------
        LookupError
            There is no such service.
        """
        check_integer(service_id, "service_id")
        with self._change() as now:
            self._state.remove(now, service_id)

    def deploy(self, service_id: int) -> int:
        """Deploy a service, as `POST /services/{id}/deployments` does.

        Returns
        -------
        int
            The id of the deployment.

        Raises
        ------
        LookupError
            There is no such service.
        ValueError
            It is archived.
        """
        check_integer(service_id, "service_id")
        with self._change() as now:
            return self._state.deploy(now, self._state.service(service_id)).id

    def set_state(
        self,
        service_id: int,
        state: str | None,
        *,
        message: str | None = None,
        deployment_id: int | None = None,
    ) -> None:
        """Put a deployment into a state, in which it remains.

        Parameters
        ----------
        service_id
            The id of the service.
        state
            Any word, or None: no state yet. A final one, such as `terminated`, `failed` or
            `crashed`, ends the program of the deployment.
        message
            The state message; by default the usual one of the state.
        deployment_id
            The id of the deployment; by default the current one.

        Raises
        ------
        LookupError
            There is no such service or deployment.
        """
        if state is not None:
            check_text(state, "state")
        if message is not None:
            check_text(message, "message")
        with self._change() as now:
            deployment = self._deployment(service_id, deployment_id, now)
            self._state.move(now, deployment, state, message)

    def log(
        self,
        service_id: int,
        message: str,
        *,
        stream: Stream = "stdout",
        source: Source = "user",
        at: datetime | int | None = None,
        deployment_id: int | None = None,
        visible_after: float = 0.0,
    ) -> None:
        """Write a line into a log.

        Parameters
        ----------
        service_id
            The id of the service. One that was never deployed is deployed first.
        message
            The line.
        stream
            The stream to which it was written.
        source
            Whether the service or the platform wrote it.
        at
            Its time: an aware datetime, or nanoseconds since the epoch. None: now.
        deployment_id
            The id of the deployment; by default the current one.
        visible_after
            Seconds until queries find it.

        Raises
        ------
        LookupError
            There is no such service or deployment.
        ValueError
            The stream or the source is unknown, the message is not Unicode text, or the time
            has no zone or lies outside the years 1678 to 2261.
        """
        check_text(message, "message")
        check_choice(stream, Stream, "stream")
        check_choice(source, Source, "source")
        check_kind(at, datetime | int | None, "at")
        check_seconds(visible_after, "visible_after")
        with self._change() as now:
            written = instants.from_datetime(at) if isinstance(at, datetime) else at
            if written is not None and not -instants.LIMIT < written < instants.LIMIT:
                given = at if isinstance(at, datetime) else shown(written)
                raise ValueError(f"at must lie between the years 1678 and 2261, not {given}")
            self._deployment(service_id, deployment_id, now).log.write(
                message,
                now=now,
                at=now if written is None else written,
                stream=stream,
                source=source,
                behaviour=self.logs,
                visible_after=visible_after,
            )

    def fault(
        self,
        effect: Effect,
        *,
        method: str | None = None,
        path: str | None = None,
        skip: int = 0,
        times: int | None = None,
        probability: float = 1.0,
        seed: int = 0,
    ) -> Fault:
        """Inject a fault.

        Parameters
        ----------
        effect
            What happens: `Delay`, `Respond`, `Reset`, `Stall`, `Cut`, `Garble` or `Gzip`.
        method
            Only requests with this HTTP method.
        path
            Only requests to this path, in which `*` stands for one segment and `**` for any
            number: `"/services/*/deployments"`.
        skip
            How many such requests are not affected at first.
        times
            How many requests it affects. None: all, until it is removed.
        probability
            The probability of affecting each request.
        seed
            Determines which requests it affects.

        Returns
        -------
        Fault
            Counts its hits. Its `remove()` or the end of a `with` block removes it.

        Raises
        ------
        TypeError
            The effect is not one of these, or another argument is of another type.
        ValueError
            An argument has an invalid value.
        """
        fault = Fault(
            effect,
            method=method,
            path=path,
            skip=skip,
            times=times,
            probability=probability,
            seed=seed,
        )
        with self._lock:
            self._faults.add(fault)
        return fault

    @contextmanager
    def _change(self) -> Generator[int, None, None]:
        """Hold the lock, yield the time, and convert errors of the API to Python's."""
        with self._lock:
            self._note_change()
            try:
                yield self._clock()
            except APIError as error:
                missing = error.status == HTTPStatus.NOT_FOUND
                raise (LookupError if missing else ValueError)(error.description) from None

    def _note_change(self) -> None:
        if self._keeper is not None:
            self._keeper.note_change()

    def _dump(self) -> bytes:
        with self._lock:
            now = self._clock()
            for service in self._state.services.values():
                for deployment in service.deployments.values():
                    deployment.write_due_lines(now, self.logs)
            return dump(self._state, now)

    def _deployment(self, service_id: int, deployment_id: int | None, now: int) -> Deployment:
        service = self._state.service(check_integer(service_id, "service_id"))
        if deployment_id is not None:
            check_integer(deployment_id, "deployment_id")
            return service.deployment(deployment_id)
        return service.current or self._deploy_running(service, now)

    def _deploy_running(self, service: Service, now: int) -> Deployment:
        deployment = self._state.deploy(now, service)
        if service.program is None:
            self._state.move(now, deployment, "running", None)
        return deployment

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
            self._note_change()
            now = self._clock()
            if not deployment.has_ended(now):
                deployment.move(now, state, message)


def _encode(attributes: Mapping[str, object]) -> bytes:
    try:
        return msgspec.json.encode(attributes)
    except UnicodeEncodeError:
        raise ValueError("attributes must be Unicode text, without lone surrogates") from None
    except (OverflowError, TypeError) as error:
        raise ValueError(f"attributes must be values of JSON: {error}") from None
