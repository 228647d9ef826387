"""The bodies of the API as they are on the wire.

Written from the API's reference alone, and not from the client's models: a mistake in one
of the two must not be able to hide in the other.
"""

from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct, field

PermissionLevel = Literal["read", "write", "manage"]
RuntimePlan = Literal["on_demand", "specific_times", "always_on"]
Stream = Literal["stdout", "stderr"]
Source = Literal["system", "user"]

Positive = Annotated[int, Meta(ge=1)]
# Seconds, as long as the end can still be written as a timestamp.
Century = Annotated[int, Meta(ge=1, le=100 * 365 * 86_400)]
Variable = str | int | float | bool
Day = Annotated[int, Meta(ge=0, le=6)]
Hour = Annotated[int, Meta(ge=0, le=23)]


_Shape = TypeVar("_Shape", bound=Struct)


class Wire(Struct, rename="camel"):
    """An object whose keys are camelCase on the wire."""


def pick(source: Struct, shape: type[_Shape], **others: object) -> _Shape:
    """Take from an object what a smaller shape has of it, and the others as given."""
    names = shape.__struct_fields__
    return shape(**{name: getattr(source, name) for name in names if name not in others}, **others)


class Body(Wire, forbid_unknown_fields=True):
    """What a client sends: an attribute that the API does not know is refused."""


class Recurrence(Body):
    """Days of the week, from Sunday, and hours on which a service is on."""

    scheduled_days: list[Day]
    scheduled_hours: list[Hour]


class Schedule(Body):
    """When a service is on."""

    runtime_plan: RuntimePlan
    recurrences: list[Recurrence]


class Notifications(Body):
    """Who is told when a service fails."""

    failure_email_addresses: list[str] | None = field(default_factory=list[str])
    failure_on: bool | None = False


def _on_demand() -> Schedule:
    return Schedule(runtime_plan="on_demand", recurrences=[])


class Attributes(Body):
    """What `put` and `patch` take, each with what it becomes when it is cleared."""

    name: str = "Untitled Service"
    description: str | None = None
    docker_image_name: str | None = None
    docker_image_tag: str = "latest"
    schedule: Schedule = field(default_factory=_on_demand)
    replicas: Positive = 1
    max_replicas: Positive | None = None
    instance_type: str | None = None
    memory: Positive = 2000
    cpu: Positive = 500
    credentials: list[int] = field(default_factory=list[int])
    permission_set_id: int | None = None
    git_repo_url: str | None = None
    git_repo_ref: str | None = None
    git_path_dir: str | None = None
    environment_variables: dict[str, Variable] = field(default_factory=dict[str, Variable])
    notifications: Notifications = field(default_factory=Notifications)
    partition_label: str | None = None


class NewAttributes(Attributes):
    """What `post` takes."""

    type: str = "App"
    hidden: bool = False


class User(Wire):
    """Somebody."""

    id: int
    name: str
    username: str
    initials: str
    online: bool


class Named(Wire):
    """Someone a service is shared with, or a credential."""

    id: int
    name: str


class DeploymentSummary(Wire, kw_only=True):
    """A deployment in a listing."""

    deployment_id: int
    user_id: int
    host: str
    name: str
    docker_image_name: str | None
    docker_image_tag: str
    instance_type: str | None
    memory: int
    cpu: int
    state: str
    state_message: str
    max_memory_usage: float | None = None
    max_cpu_usage: float | None = None
    created_at: str
    updated_at: str
    service_id: int


class Deployment(DeploymentSummary, kw_only=True):
    """A deployment; memory is in MB, cpu in millicores."""

    display_url: str


class ServiceSummary(Wire, kw_only=True):
    """A service in a listing."""

    id: int
    name: str
    description: str | None
    user: User
    type: str
    created_at: str
    updated_at: str
    git_repo_url: str | None
    git_repo_ref: str | None
    git_path_dir: str | None
    current_deployment: DeploymentSummary | None = None
    archived: bool


class Service(NewAttributes, kw_only=True):
    """A service."""

    id: int
    user: User
    time_zone: str
    created_at: str
    updated_at: str
    report_id: int | None = None
    current_deployment: Deployment | None = None
    current_url: str | None = None
    my_permission_level: PermissionLevel = "manage"
    archived: bool = False


class LogLine(Wire):
    """A line of a log."""

    message: str
    stream: Stream
    created_at: str
    source: Source


class ShareHolders(Wire):
    """Everybody with one level of permission."""

    users: list[Named] = field(default_factory=list[Named])
    groups: list[Named] = field(default_factory=list[Named])


class Shares(Wire):
    """Who may do what with a service."""

    readers: ShareHolders
    writers: ShareHolders
    owners: ShareHolders
    total_user_shares: int
    total_group_shares: int


class Project(Wire):
    """A project that a service belongs to."""

    id: int
    author: User
    name: str
    description: str
    users: list[User]
    auto_share: bool
    created_at: str
    updated_at: str
    archived: bool


class Token(Wire):
    """A token of a service."""

    id: int
    name: str
    user: User | None
    machine_token: bool
    expires_at: str | None
    created_at: str


class NewToken(Token):
    """A token when it is made, the only time that its value is shown."""

    token: str


class Dependency(Wire):
    """Something that a service needs."""

    object_type: str
    fco_type: str
    id: int
    name: str
    permission_level: PermissionLevel | None
    description: str | None
    shareable: bool


class TransferredDependency(Wire):
    """Something that a service needs, when the service is given away."""

    object_type: str
    fco_type: str
    id: int
    name: str
    permission_level: PermissionLevel | None
    description: str | None
    shared: bool


class Transfer(Wire):
    """What became of the dependencies."""

    dependencies: list[TransferredDependency]


class Failure(Wire):
    """The body of an error."""

    error: str
    error_description: str
    code: int


class DeployBody(Body):
    """What `post_deployments` and `post_redeploy` take."""

    deployment_id: int | None = None


class ShareUsersBody(Body):
    """What `put_shares_users` takes."""

    user_ids: Annotated[list[int], Meta(min_length=1)]
    permission_level: PermissionLevel
    share_email_body: str | None = None
    send_shared_email: bool | None = None


class ShareGroupsBody(Body):
    """What `put_shares_groups` takes."""

    group_ids: Annotated[list[int], Meta(min_length=1)]
    permission_level: PermissionLevel
    share_email_body: str | None = None
    send_shared_email: bool | None = None


class TransferBody(Body):
    """What `put_transfer` takes; e-mails are not sent."""

    user_id: int
    include_dependencies: bool
    email_body: str | None = None
    send_email: bool | None = None


class ArchiveBody(Body):
    """What `put_archive` takes."""

    status: bool


class TokenBody(Body):
    """What `post_tokens` takes; the token expires in so many seconds."""

    name: Annotated[str, Meta(min_length=1)]
    machine_token: bool | None = None
    expires_in: Century | None = None
