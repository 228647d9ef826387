"""The state of the emulated platform: services with all that belongs to them.

Nothing here waits or reads a clock: the time is passed in, in nanoseconds.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from secrets import token_hex

import msgspec

from aioservices.emulator import directory, instants, schemas
from aioservices.emulator.deployments import Deployment, Lifecycle
from aioservices.emulator.directory import OWNER, user
from aioservices.emulator.logs import Log
from aioservices.emulator.schemas import Attributes, NewAttributes, PermissionLevel, pick

__all__ = ["APIError", "Program", "Service", "State", "not_found"]

_ATTRIBUTES = tuple(Attributes.__struct_fields__)
_DAY = 24 * 3600


class APIError(Exception):
    """A request that the API answers with an error."""

    def __init__(self, status: int, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.description = description


@dataclass(frozen=True, slots=True)
class Program:
    """The program of a service; only the owner of the emulator can set it."""

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | PathLike[str] | None = None


@dataclass(slots=True, eq=False)
class Service:
    """One service with all that belongs to it.

    Attributes
    ----------
    details
        What the API shows of it, apart from its deployment.
    program
        The command that its deployments start.
    lost_program
        Whether it had a program before the emulator was started again.
    """

    details: schemas.Service
    program: Program | None = None
    lost_program: bool = False
    deployments: dict[int, Deployment] = field(default_factory=dict[int, Deployment])
    current: Deployment | None = None
    user_levels: dict[int, PermissionLevel] = field(default_factory=dict[int, PermissionLevel])
    group_levels: dict[int, PermissionLevel] = field(default_factory=dict[int, PermissionLevel])
    projects: dict[int, int] = field(default_factory=dict[int, int])
    tokens: dict[int, schemas.Token] = field(default_factory=dict[int, schemas.Token])

    def view(self, now: int) -> schemas.Service:
        """Return what the API answers about it."""
        if self.current is None:
            return self.details
        alive = not self.current.has_ended(now)
        return msgspec.structs.replace(
            self.details,
            current_deployment=self.current.view(now),
            current_url=f"https://{_host(self.details.id)}" if alive else None,
        )

    def summary(self, now: int) -> schemas.ServiceSummary:
        """Return its entry in a listing."""
        current = None if self.current is None else self.current.summary(now)
        return pick(self.details, schemas.ServiceSummary, current_deployment=current)

    def shares(self) -> schemas.Shares:
        """Return who may do what with it."""
        return directory.shares(self.user_levels, self.group_levels)

    def is_running(self, now: int) -> bool:
        """Return whether the filter `status=running` finds it."""
        return self.current is not None and self.current.phase(now).state == "running"

    def deployment(self, deployment_id: int) -> Deployment:
        """Find a deployment.

        Raises
        ------
        APIError
            404, the service has no such deployment.
        """
        try:
            return self.deployments[deployment_id]
        except KeyError:
            raise not_found("deployment", deployment_id) from None


class State:
    """All services, and the operations on them.

    Users, groups, projects and credentials belong to other parts of the platform: here each
    exists as soon as it is named.

    Parameters
    ----------
    lifecycle
        The states that deployments go through by themselves.
    retention
        About how many lines the log of a deployment keeps.
    on_start, on_stop
        Called with each deployment of a program that begins, and that has to end.
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
        self.granted: set[tuple[str, int, int]] = set()
        # Far apart, so that an identifier in the place of another one is noticed.
        self.last_service_id = 0
        self.last_deployment_id = 1_000
        self.last_token_id = 500_000
        self.lifecycle = lifecycle
        self.retention = retention
        self._on_start = on_start
        self._on_stop = on_stop

    def service(self, service_id: int) -> Service:
        """Find a service.

        Raises
        ------
        APIError
            404, there is no such service.
        """
        try:
            return self.services[service_id]
        except KeyError:
            raise not_found("service", service_id) from None

    def create(
        self,
        now: int,
        attributes: NewAttributes,
        *,
        author: int = OWNER,
        program: Program | None = None,
    ) -> Service:
        """Add a service."""
        self.last_service_id += 1
        service_id = self.last_service_id
        stamp = instants.text(now)
        details = pick(
            attributes,
            schemas.Service,
            **_values(attributes, _ATTRIBUTES, service_id=service_id, author=author),
            id=service_id,
            user=user(author),
            archived=False,
            time_zone="America/Chicago",
            created_at=stamp,
            updated_at=stamp,
        )
        service = Service(details, program, user_levels={author: "manage"})
        self.services[service_id] = service
        return service

    def adopt(self, name: str, program: Program) -> Service | None:
        """Give a program to the service of that name that had one before a restart."""
        for service in self.services.values():
            if service.lost_program and service.details.name == name:
                service.program, service.lost_program = program, False
                return service
        return None

    def remove(self, now: int, service_id: int) -> None:
        """Delete a service completely."""
        service = self.service(service_id)
        self._end_current(service, now, "The service was deleted")
        del self.services[service_id]

    def update(
        self, now: int, service: Service, attributes: Attributes, names: Iterable[str] = _ATTRIBUTES
    ) -> None:
        """Set the attributes that are named."""
        details = service.details
        values = _values(attributes, names, service_id=details.id, author=details.user.id)
        for name, value in values.items():
            setattr(details, name, value)
        self._touch(service, now)

    def archive(self, now: int, service: Service, *, archived: bool) -> None:
        """Archive a service, which ends its deployment, or bring it back."""
        service.details.archived = archived
        if archived:
            self._end_current(service, now, "The service was archived")
        self._touch(service, now)

    def clone(self, now: int, service: Service) -> Service:
        """Copy the attributes of a service into a new one."""
        source = service.details
        attributes = pick(
            source,
            NewAttributes,
            name=f"Clone of Service {source.id} {source.name}",
            notifications=pick(source.notifications, schemas.NotificationSettings),
        )
        return self.create(now, attributes, program=service.program)

    def deploy(self, now: int, service: Service, deployment_id: int | None = None) -> Deployment:
        """Start a deployment, which replaces the current one.

        Parameters
        ----------
        now
            The time.
        service
            What to deploy.
        deployment_id
            An earlier deployment whose image and size are deployed again.
        """
        if service.details.archived:
            raise APIError(422, f"Service {service.details.id} is archived and cannot be deployed")
        earlier = None if deployment_id is None else service.deployment(deployment_id).view(now)
        self.last_deployment_id += 1
        number = self.last_deployment_id
        self._end_current(service, now, f"Replaced by deployment {number}")
        has_program = service.program is not None
        lifecycle = self.lifecycle
        deployment = Deployment(
            _new_deployment(now, number, service, earlier),
            lifecycle.program_phases(now) if has_program else lifecycle.phases(now),
            Log(self.retention),
            log_interval=None if has_program else lifecycle.line_interval,
            is_program=has_program,
        )
        service.deployments[number] = service.current = deployment
        self.deploys[service.details.id] += 1
        if has_program:
            self._on_start(service, deployment)
        return deployment

    def delete_deployment(self, now: int, service: Service, deployment_id: int) -> None:
        """Stop a deployment and forget it with its log."""
        deployment = service.deployment(deployment_id)
        if deployment is service.current:
            self._end_current(service, now, "Deleted")
            service.current = None
        del service.deployments[deployment_id]

    def move(
        self, now: int, deployment: Deployment, state: str | None, message: str | None
    ) -> None:
        """Put a deployment into a state."""
        deployment.move(now, state, message)
        if deployment.has_ended(now):
            self._on_stop(deployment)

    def add_token(
        self, now: int, service: Service, name: str, *, machine: bool, expires_in: int | None
    ) -> schemas.NewToken:
        """Make a token for a service; its value is not kept."""
        self.last_token_id += 1
        owner = user(OWNER)
        token = schemas.NewToken(
            id=self.last_token_id,
            name=name,
            user=msgspec.structs.replace(owner, online=None) if machine else owner,
            machine_token=machine,
            expires_at=instants.text(now + instants.duration(expires_in or _DAY)),
            created_at=instants.text(now),
            token=token_hex(24),
        )
        service.tokens[token.id] = pick(token, schemas.Token)
        return token

    def dependencies(self, service: Service, user_id: int | None) -> list[schemas.Dependency]:
        """List what a service needs, with the level that a user has on each."""
        details = service.details
        needed = [("Credential", "credentials", number) for number in details.credentials]
        if details.permission_set_id is not None:
            needed.append(("PermissionSet", "permission_sets", details.permission_set_id))
        return [
            schemas.Dependency(
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
    ) -> list[schemas.Dependency]:
        """Give a service to another user, with its dependencies if these are granted."""
        if grant:
            for needed in self.dependencies(service, None):
                self.granted.add((needed.object_type, needed.id, user_id))
        service.details.user = user(user_id)
        service.user_levels[user_id] = "manage"
        self._touch(service, now)
        return self.dependencies(service, user_id)

    def _level(self, kind: str, number: int, user_id: int | None) -> PermissionLevel | None:
        granted = user_id == OWNER or (kind, number, user_id) in self.granted
        return "manage" if granted else None

    def _end_current(self, service: Service, now: int, message: str) -> None:
        if service.current is not None:
            service.current.end(now, "terminated", message)
            self._on_stop(service.current)

    def _touch(self, service: Service, now: int) -> None:
        service.details.updated_at = instants.text(now)


def not_found(kind: str, number: int) -> APIError:
    """Make the error for something that does not exist."""
    return APIError(404, f"The {kind} {number} could not be found")


def _values(
    attributes: Attributes, names: Iterable[str], *, service_id: int, author: int
) -> dict[str, object]:
    """Return the attributes as the API shows them: with every default, and variables as text."""
    values = {name: getattr(attributes, name) for name in names}
    if values.get("name", "") is None:
        values["name"] = f"Service #{service_id}"
    if "notifications" in values:
        wanted = attributes.notifications
        addresses, failure_on = wanted.failure_email_addresses, wanted.failure_on
        values["notifications"] = schemas.Notifications(
            failure_email_addresses=[directory.email(author)] if addresses is None else addresses,
            failure_on=True if failure_on is None else failure_on,
        )
    if "environment_variables" in values:
        values["environment_variables"] = {
            name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for name, value in attributes.environment_variables.items()
        }
    return values


def _host(service_id: int) -> str:
    # The same for all deployments of a service: its address stays, whichever of them answers.
    return f"service-{service_id}.services.example"


def _new_deployment(
    now: int, number: int, service: Service, earlier: schemas.Deployment | None
) -> schemas.Deployment:
    source = earlier or service.details
    service_id = service.details.id
    stamp = instants.text(now)
    host = _host(service_id)
    return schemas.Deployment(
        deployment_id=number,
        service_id=service_id,
        user_id=OWNER,
        host=host,
        name=f"service-{service_id}-{number}",
        display_url=f"https://{host}/civis-platform-auth?token={token_hex(8)}",
        docker_image_name=source.docker_image_name,
        docker_image_tag=source.docker_image_tag,
        instance_type=source.instance_type,
        memory=source.memory,
        cpu=source.cpu,
        state=None,
        state_message=None,
        created_at=stamp,
        updated_at=stamp,
    )
