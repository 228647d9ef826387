"""The bodies of the API as they are on the wire.

Written from the API's reference and its recorded answers alone, and not from the client's
models: a mistake in one of the two must not be able to hide in the other.
"""

from functools import cache
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct, field

PermissionLevel = Literal["read", "write", "manage"]
RuntimePlan = Literal["on_demand", "specific_times", "always_on"]
Stream = Literal["stdout", "stderr"]
Source = Literal["system", "user"]

# The platform keeps numbers in database columns: what they cannot hold is refused.
Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Amount = Annotated[int, Meta(ge=1, le=2**31 - 1)]
# Seconds; the end must be a timestamp that can be written.
Lifetime = Annotated[int, Meta(ge=1, le=100 * 365 * 86_400)]
Scalar = str | int | float | bool
Day = Annotated[int, Meta(ge=0, le=6)]
Hour = Annotated[int, Meta(ge=0, le=23)]


_Schema = TypeVar("_Schema", bound=Struct)


class Wire(Struct, rename="camel"):
    """An object whose keys are camelCase on the wire."""


def pick(source: Struct, schema: type[_Schema], **others: object) -> _Schema:
    """Make a value of another schema from the fields that both have, and the others as given."""
    names = _shared_fields(type(source), schema)
    return schema(**{name: getattr(source, name) for name in names if name not in others}, **others)


@cache
def _shared_fields(source: type[Struct], schema: type[Struct]) -> tuple[str, ...]:
    theirs = set(source.__struct_fields__)
    return tuple(name for name in schema.__struct_fields__ if name in theirs)


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


class NotificationSettings(Body):
    """Who is notified when a service fails; None stands for the default."""

    failure_email_addresses: list[str] | None = None
    failure_on: bool | None = None


def _on_demand() -> Schedule:
    return Schedule(runtime_plan="on_demand", recurrences=[])


class Attributes(Body):
    """What `put` and `patch` take, each with the value that it has when it is not given."""

    name: str | None = None
    description: str | None = None
    docker_image_name: str = "civisanalytics/civis-services-shiny"
    docker_image_tag: str = "latest"
    schedule: Schedule = field(default_factory=_on_demand)
    replicas: Amount = 1
    max_replicas: Amount | None = None
    instance_type: str | None = None
    memory: Amount = 3000
    cpu: Amount = 800
    credentials: list[Id] = field(default_factory=list[int])
    permission_set_id: Id | None = None
    git_repo_url: str | None = None
    git_repo_ref: str | None = None
    git_path_dir: str | None = None
    environment_variables: dict[str, Scalar] = field(default_factory=dict[str, Scalar])
    notifications: NotificationSettings = field(default_factory=NotificationSettings)
    partition_label: str | None = None


class NewAttributes(Attributes):
    """What `post` takes."""

    type: str = "App"
    hidden: bool = False


class User(Wire):
    """A user; whether one is online is not always known."""

    id: int
    name: str
    username: str
    initials: str
    online: bool | None


class Named(Wire):
    """A user or a group that a service is shared with, or a credential."""

    id: int
    name: str


class DeploymentSummary(Wire, kw_only=True):
    """A deployment in a listing."""

    deployment_id: int
    user_id: int
    host: str
    name: str
    docker_image_name: str
    docker_image_tag: str
    instance_type: str | None
    memory: int
    cpu: int
    state: str | None
    state_message: str | None
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


class Notifications(Wire):
    """Who is notified when a service fails."""

    failure_email_addresses: list[str]
    failure_on: bool


class Service(Wire, kw_only=True):
    """A service; memory is in MB, cpu in millicores."""

    id: int
    name: str
    description: str | None
    user: User
    type: str
    docker_image_name: str
    docker_image_tag: str
    schedule: Schedule
    time_zone: str
    replicas: int
    max_replicas: int | None
    instance_type: str | None
    memory: int
    cpu: int
    created_at: str
    updated_at: str
    credentials: list[int]
    permission_set_id: int | None
    git_repo_url: str | None
    git_repo_ref: str | None
    git_path_dir: str | None
    report_id: int | None = None
    current_deployment: Deployment | None = None
    current_url: str | None = None
    environment_variables: dict[str, str]
    notifications: Notifications
    partition_label: str | None
    my_permission_level: PermissionLevel = "manage"
    archived: bool
    hidden: bool


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
    user: User
    machine_token: bool
    expires_at: str
    created_at: str


class NewToken(Token):
    """A token when it is made, the only time that its value is shown."""

    token: str


class Dependency(Wire):
    """An object that a service needs."""

    object_type: str
    fco_type: str
    id: int
    name: str
    permission_level: PermissionLevel | None
    description: str | None
    shareable: bool


class TransferredDependency(Wire):
    """An object that a service needs which is transferred."""

    object_type: str
    fco_type: str
    id: int
    name: str
    permission_level: PermissionLevel | None
    description: str | None
    shared: bool


class Transfer(Wire):
    """The dependencies of a service that was given away, and which of them were shared."""

    dependencies: list[TransferredDependency]


class ErrorBody(Wire):
    """The body of an error."""

    error: str
    error_description: str
    code: int


class DeployBody(Body):
    """What `post_deployments` and `post_redeploy` take."""

    deployment_id: Id | None = None


class ShareUsersBody(Body):
    """What `put_shares_users` takes."""

    user_ids: Annotated[list[Id], Meta(min_length=1)]
    permission_level: PermissionLevel
    share_email_body: str | None = None
    send_shared_email: bool | None = None


class ShareGroupsBody(Body):
    """What `put_shares_groups` takes."""

    group_ids: Annotated[list[Id], Meta(min_length=1)]
    permission_level: PermissionLevel
    share_email_body: str | None = None
    send_shared_email: bool | None = None


class TransferBody(Body):
    """What `put_transfer` takes; e-mails are not sent."""

    user_id: Id
    include_dependencies: bool
    email_body: str | None = None
    send_email: bool | None = None


class ArchiveBody(Body):
    """What `put_archive` takes."""

    status: bool


class TokenBody(Body):
    """What `post_tokens` takes; `expires_in` is in seconds."""

    name: Annotated[str, Meta(min_length=1)]
    machine_token: bool | None = None
    expires_in: Lifetime | None = None
