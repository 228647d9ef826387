"""What the emulated platform knows: services with all that belongs to them.

Nothing here waits or looks at a clock: the time is handed in, in nanoseconds.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from os import PathLike
from secrets import token_hex

import msgspec
from msgspec.structs import asdict

from aioservices.emulator import directory, instants
from aioservices.emulator.deployments import Deployment, Lifecycle, phase
from aioservices.emulator.directory import OWNER, user
from aioservices.emulator.logs import Log
from aioservices.emulator.schemas import (
    Attributes,
    Dependency,
    NewAttributes,
    NewToken,
    PermissionLevel,
    ServiceSummary,
    Shares,
    pick,
)
from aioservices.emulator.schemas import Deployment as DeploymentShape
from aioservices.emulator.schemas import Service as ServiceShape

__all__ = ["Program", "Refusal", "Service", "State"]

_ATTRIBUTES = tuple(Attributes.__struct_fields__)


class Refusal(Exception):  # noqa: N818 - the API's answer, no mistake of ours
    """A request that the API answers with an error."""

    def __init__(self, status: int, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.description = description


@dataclass(frozen=True, slots=True)
class Program:
    """A command that a service really is; only the emulator's owner can set it."""

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | PathLike[str] | None = None


@dataclass(slots=True, eq=False)
class Service:
    """One service with all that belongs to it."""

    shape: ServiceShape
    program: Program | None = None
    deployments: dict[int, Deployment] = field(default_factory=dict[int, Deployment])
    current: Deployment | None = None
    user_levels: dict[int, PermissionLevel] = field(default_factory=dict[int, PermissionLevel])
    group_levels: dict[int, PermissionLevel] = field(default_factory=dict[int, PermissionLevel])
    projects: dict[int, int] = field(default_factory=dict[int, int])
    tokens: dict[int, NewToken] = field(default_factory=dict[int, NewToken])

    def view(self, now: int) -> ServiceShape:
        """Say of it what the API says."""
        if self.current is None:
            return self.shape
        alive = not self.current.has_ended(now)
        return msgspec.structs.replace(
            self.shape,
            current_deployment=self.current.shape(now),
            current_url=f"https://service-{self.shape.id}.services.example" if alive else None,
        )

    def summary(self, now: int) -> ServiceSummary:
        """Say of it what the API says in a listing."""
        current = None if self.current is None else self.current.summary(now)
        return pick(self.shape, ServiceSummary, current_deployment=current)

    def shares(self) -> Shares:
        """Say who may do what with it."""
        return directory.shares(self.user_levels, self.group_levels)

    def is_running(self, now: int) -> bool:
        """Say whether the filter `status=running` finds it."""
        return self.current is not None and self.current.phase(now).state == "running"

    def deployment(self, deployment_id: int) -> Deployment:
        """Find a deployment.

        Raises
        ------
        Refusal
            404, the service has no such deployment.
        """
        try:
            return self.deployments[deployment_id]
        except KeyError:
            raise unknown("deployment", deployment_id) from None


class State:
    """Every service, and what may be done to them.

    Users, groups, projects and credentials belong to other parts of the platform: here each
    exists as soon as it is named.

    Parameters
    ----------
    lifecycle
        What deployments go through by themselves.
    retention
        About how many lines the log of a deployment keeps.
    on_start, on_stop
        Told of each deployment of a program that begins, and that has to end.
    """

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        retention: int = 2_000_000,
        on_start: Callable[[Service, Deployment], None],
        on_stop: Callable[[Deployment], None],
    ) -> None:
        self.services: dict[int, Service] = {}
        self.deploys: Counter[int] = Counter()
        self._lifecycle = lifecycle
        self._retention = retention
        self._on_start = on_start
        self._on_stop = on_stop
        # Far apart, so that an identifier in the place of another one is noticed.
        self._service_ids = count(1)
        self._deployment_ids = count(1001)
        self._token_ids = count(500_001)
        self._granted: set[tuple[str, int, int]] = set()

    def service(self, service_id: int) -> Service:
        """Find a service.

        Raises
        ------
        Refusal
            404, there is no such service.
        """
        try:
            return self.services[service_id]
        except KeyError:
            raise unknown("service", service_id) from None

    def create(
        self,
        now: int,
        attributes: NewAttributes,
        *,
        author: int = OWNER,
        program: Program | None = None,
    ) -> Service:
        """Add a service."""
        service_id = next(self._service_ids)
        stamp = instants.text(now)
        shape = ServiceShape(
            **asdict(attributes),
            id=service_id,
            user=user(author),
            time_zone="America/Chicago",
            created_at=stamp,
            updated_at=stamp,
        )
        service = Service(shape, program, user_levels={author: "manage"})
        self.services[service_id] = service
        return service

    def remove(self, now: int, service_id: int) -> None:
        """Take a service away as if it had never been."""
        service = self.service(service_id)
        self._retire(service, now, "The service was deleted")
        del self.services[service_id]

    def update(
        self, now: int, service: Service, attributes: Attributes, names: Iterable[str] = _ATTRIBUTES
    ) -> None:
        """Set the attributes that are named."""
        for name in names:
            setattr(service.shape, name, getattr(attributes, name))
        self._touch(service, now)

    def archive(self, now: int, service: Service, *, archived: bool) -> None:
        """Archive a service, which ends its deployment, or bring it back."""
        service.shape.archived = archived
        if archived:
            self._retire(service, now, "The service was archived")
        self._touch(service, now)

    def clone(self, now: int, service: Service) -> Service:
        """Copy the attributes of a service into a new one."""
        name = f"Clone of {service.shape.name}"
        attributes = pick(service.shape, NewAttributes, name=name)
        return self.create(now, attributes, program=service.program)

    def deploy(self, now: int, service: Service, deployment_id: int | None = None) -> Deployment:
        """Start a deployment, which takes the place of the one there is.

        Parameters
        ----------
        now
            The time.
        service
            What to deploy.
        deployment_id
            An earlier deployment whose image and size are deployed again.
        """
        if service.shape.archived:
            raise Refusal(422, f"Service {service.shape.id} is archived and cannot be deployed")
        earlier = None if deployment_id is None else service.deployment(deployment_id).shape(now)
        number = next(self._deployment_ids)
        self._retire(service, now, f"Replaced by deployment {number}")
        program = service.program
        deployment = Deployment(
            _new_shape(now, number, service, earlier),
            self._lifecycle.phases(now) if program is None else [phase(now, "pending")],
            Log(self._retention),
            log_interval=self._lifecycle.log_interval if program is None else None,
        )
        service.deployments[number] = service.current = deployment
        self.deploys[service.shape.id] += 1
        if program is not None:
            self._on_start(service, deployment)
        return deployment

    def delete_deployment(self, now: int, service: Service, deployment_id: int) -> None:
        """Stop a deployment and forget it with its log."""
        deployment = service.deployment(deployment_id)
        if deployment is service.current:
            self._retire(service, now, "Deleted")
            service.current = None
        del service.deployments[deployment_id]

    def move(self, now: int, deployment: Deployment, state: str, message: str | None) -> None:
        """Put a deployment into a state."""
        deployment.move(now, state, message)
        if deployment.has_ended(now):
            self._on_stop(deployment)

    def add_token(
        self, now: int, service: Service, name: str, *, machine: bool, expires_in: int | None
    ) -> NewToken:
        """Make a token for a service."""
        expires = None if expires_in is None else now + instants.duration(expires_in)
        token = NewToken(
            id=next(self._token_ids),
            name=name,
            user=None if machine else user(OWNER),
            machine_token=machine,
            expires_at=None if expires is None else instants.text(expires),
            created_at=instants.text(now),
            token=token_hex(24),
        )
        service.tokens[token.id] = token
        return token

    def dependencies(self, service: Service, user_id: int | None) -> list[Dependency]:
        """List what a service needs, with the level that a user has on each."""
        needed = [("Credential", "credentials", number) for number in service.shape.credentials]
        if service.shape.permission_set_id is not None:
            needed.append(("PermissionSet", "permission_sets", service.shape.permission_set_id))
        return [
            Dependency(
                object_type=kind,
                fco_type=fco,
                id=number,
                name=f"{kind} {number}",
                permission_level=self._level(kind, number, user_id),
                description=None,
                shareable=True,
            )
            for kind, fco, number in needed
        ]

    def transfer(
        self, now: int, service: Service, user_id: int, *, grant: bool
    ) -> list[Dependency]:
        """Give a service to another user, with its dependencies if these are granted."""
        if grant:
            for needed in self.dependencies(service, None):
                self._granted.add((needed.object_type, needed.id, user_id))
        service.shape.user = user(user_id)
        service.user_levels[user_id] = "manage"
        self._touch(service, now)
        return self.dependencies(service, user_id)

    def _level(self, kind: str, number: int, user_id: int | None) -> PermissionLevel | None:
        granted = user_id == OWNER or (kind, number, user_id) in self._granted
        return "manage" if granted else None

    def _retire(self, service: Service, now: int, message: str) -> None:
        if service.current is not None:
            service.current.end(now, "terminated", message)
            self._on_stop(service.current)

    def _touch(self, service: Service, now: int) -> None:
        service.shape.updated_at = instants.text(now)


def unknown(kind: str, number: int) -> Refusal:
    """Say that something does not exist."""
    return Refusal(404, f"The {kind} {number} could not be found")


def _new_shape(
    now: int, number: int, service: Service, earlier: DeploymentShape | None
) -> DeploymentShape:
    source = earlier or service.shape
    service_id = service.shape.id
    stamp = instants.text(now)
    host = f"service-{service_id}-{number}.services.example"
    return DeploymentShape(
        deployment_id=number,
        service_id=service_id,
        user_id=OWNER,
        host=host,
        name=f"service-{service_id}-{number}",
        display_url=f"https://{host}/?signature={token_hex(8)}",
        docker_image_name=source.docker_image_name,
        docker_image_tag=source.docker_image_tag,
        instance_type=source.instance_type,
        memory=source.memory,
        cpu=source.cpu,
        state="pending",
        state_message="",
        created_at=stamp,
        updated_at=stamp,
    )
