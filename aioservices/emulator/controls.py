"""What the owner of an emulator does with its state, beside the API."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from os import PathLike
from threading import RLock

import msgspec

from aioservices.emulator import instants
from aioservices.emulator.arguments import (
    check_choice,
    check_integer,
    check_kind,
    check_seconds,
    check_text,
    shown,
)
from aioservices.emulator.commands import parse_program
from aioservices.emulator.deployments import Deployment
from aioservices.emulator.faults import Effect, Fault, Faults
from aioservices.emulator.logs import LogBehaviour
from aioservices.emulator.query import parse_body
from aioservices.emulator.routes import Api
from aioservices.emulator.schemas import NewAttributes, Source, Stream
from aioservices.emulator.state import APIError, Service, State
from aioservices.emulator.state_file import StateKeeper, dump

__all__ = ["Controls"]


class Controls:
    """The state of an emulator, as its owner sees and changes it from any thread.

    Parameters
    ----------
    state
        Every service, with all that belongs to it.
    api
        The endpoints, which change the state, too.
    clock
        Returns the time, in nanoseconds since the epoch.
    """

    def __init__(self, state: State, api: Api, clock: Callable[[], int]) -> None:
        self._state = state
        self._api = api
        self._clock = clock
        self._lock = RLock()
        self._faults = Faults()
        self._keeper: StateKeeper | None = None

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
            self._mark_changed()
            try:
                yield self._clock()
            except APIError as error:
                missing = error.status == HTTPStatus.NOT_FOUND
                raise (LookupError if missing else ValueError)(error.description) from None

    def _mark_changed(self) -> None:
        if self._keeper is not None:
            self._keeper.mark_changed()

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


def _encode(attributes: Mapping[str, object]) -> bytes:
    try:
        return msgspec.json.encode(attributes)
    except UnicodeEncodeError:
        raise ValueError("attributes must be Unicode text, without lone surrogates") from None
    except (OverflowError, TypeError) as error:
        raise ValueError(f"attributes must be values of JSON: {error}") from None
