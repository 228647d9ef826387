"""The nouns of the services API as typed, immutable values.

Every value is a frozen, keyword-only `msgspec.Struct`. Fields that this library does not
know are ignored; a field that the server leaves out or sends as null is None. Only what
identifies a value is always there.

The `repr` of a value never shows a secret: the values of environment variables, the value of a
token, a signed URL.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Literal, TypeAlias, cast, overload

import msgspec

from .states import State, state_as_text

__all__ = [
    "JSON",
    "Credential",
    "Dependency",
    "Deployment",
    "DeploymentSummary",
    "EnvironmentValue",
    "LogEntry",
    "NewToken",
    "Notifications",
    "PermissionLevel",
    "Project",
    "Recurrence",
    "RuntimePlan",
    "Schedule",
    "Service",
    "ServiceSummary",
    "ShareHolders",
    "Sharee",
    "Shares",
    "TailedEntry",
    "Timestamp",
    "Token",
    "Transfer",
    "TransferredDependency",
    "User",
    "assign_log",
    "to_dict",
]

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
EnvironmentValue: TypeAlias = str | int | float | bool | None
PermissionLevel: TypeAlias = Literal["read", "write", "manage"]
RuntimePlan: TypeAlias = Literal["on_demand", "specific_times", "always_on"]
Timestamp: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]

_SECRETS = frozenset({"display_url", "environment_variables", "token"})


class _Masked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A value that holds a secret, which its `repr` does not show."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [
            (name, _mask(getattr(self, name)) if name in _SECRETS else getattr(self, name))
            for name in self.__struct_fields__
        ]


def _mask(value: object) -> object:
    if isinstance(value, Mapping):  # the names of the variables are not secret
        return dict.fromkeys(cast("Mapping[str, object]", value), "***")
    return None if value is None else "***"


class User(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A person with an account on the platform.

    Attributes
    ----------
    id
        Identifier of the user.
    name
        Full name.
    username
        Name to log in with.
    initials
        Initials of the full name.
    online
        Whether the user is logged in just now.
    """

    id: int
    name: str | None = None
    username: str | None = None
    initials: str | None = None
    online: bool | None = None


class Recurrence(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Hours of the week at which a service is on.

    Attributes
    ----------
    scheduled_days
        Days of the week, 0 for Sunday to 6 for Saturday.
    scheduled_hours
        Hours of those days, 0 to 23, in the time zone of the service.
    """

    scheduled_days: list[int] | None = None
    scheduled_hours: list[int] | None = None


class Schedule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When a deployed service is on.

    Attributes
    ----------
    runtime_plan
        `on_demand` (turned on by a visit, off when idle), `specific_times` (on at the
        recurrences) or `always_on`.
    recurrences
        The times of a service with `specific_times`.
    """

    runtime_plan: str | None = None
    recurrences: list[Recurrence] | None = None


class Notifications(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whom to tell when a service fails.

    Attributes
    ----------
    failure_email_addresses
        E-mail addresses that are written to.
    failure_on
        Whether they are written to at all.
    """

    failure_email_addresses: list[str] | None = None
    failure_on: bool | None = None


class Credential(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A credential that is passed to a service, without its content.

    Attributes
    ----------
    id
        Identifier of the credential.
    name
        Name of the credential.
    """

    id: int
    name: str | None = None


class DeploymentSummary(_Masked, frozen=True, kw_only=True, rename="camel"):
    """A deployment of a service, as listings show it.

    Attributes
    ----------
    deployment_id
        Identifier of the deployment.
    user_id
        Identifier of its owner.
    host
        Domain at which it is reached.
    name
        Name of the deployment.
    docker_image_name
        Docker image that it runs.
    docker_image_tag
        Tag of that image.
    instance_type
        EC2 instance type that it was asked to run on.
    memory
        Memory it was given, in MB.
    cpu
        Processor time it was given, in millicores.
    state
        `pending`, `running`, `sleeping`, `terminated`, or a state newer than this library.
    state_message
        The state in more words.
    max_memory_usage
        The most memory it ever used, in MB. Known once it has ended.
    max_cpu_usage
        The most processor time it ever used, in millicores. Known once it has ended.
    created_at
        When it was created.
    updated_at
        When it changed last.
    service_id
        Identifier of the service that it is a deployment of.
    """

    deployment_id: int
    user_id: int | None = None
    host: str | None = None
    name: str | None = None
    docker_image_name: str | None = None
    docker_image_tag: str | None = None
    instance_type: str | None = None
    memory: int | None = None
    cpu: int | None = None
    state: State | None = None
    state_message: str | None = None
    max_memory_usage: float | None = None
    max_cpu_usage: float | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    service_id: int | None = None

    def __post_init__(self) -> None:
        state: object = self.state  # as it is decoded, it may be any JSON
        if not isinstance(state, str | None):
            msgspec.structs.force_setattr(self, "state", state_as_text(state))


class Deployment(DeploymentSummary, frozen=True, kw_only=True, rename="camel"):
    """A deployment of a service.

    It has everything that a `DeploymentSummary` has, too.

    Attributes
    ----------
    display_url
        Signed URL at which the deployed service can be viewed. Whoever has it is let in.
    """

    display_url: str | None = None


class ServiceSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A service, as listings show it.

    Attributes
    ----------
    id
        Identifier of the service.
    name
        Name of the service.
    description
        What it is for.
    user
        Its owner.
    type
        Kind of service.
    created_at
        When it was created.
    updated_at
        When it changed last.
    git_repo_url
        Git repository that its code is in.
    git_repo_ref
        Branch, tag or commit of that repository.
    git_path_dir
        Directory of the code in that repository; None for its root.
    current_deployment
        The newest deployment, None for a service that was never deployed.
    archived
        Whether it is archived: a boolean or, from some servers, a text.
    """

    id: int
    name: str | None = None
    description: str | None = None
    user: User | None = None
    type: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    git_repo_url: str | None = None
    git_repo_ref: str | None = None
    git_path_dir: str | None = None
    current_deployment: DeploymentSummary | None = None
    archived: bool | str | None = None


class Service(_Masked, frozen=True, kw_only=True, rename="camel"):
    """A service: a container that the platform keeps running and gives a URL.

    Attributes
    ----------
    id
        Identifier of the service.
    name
        Name of the service.
    description
        What it is for.
    user
        Its owner.
    type
        Kind of service.
    docker_image_name
        Docker image that it runs.
    docker_image_tag
        Tag of that image.
    schedule
        When it is on while it is deployed.
    time_zone
        Time zone of the schedule, as `America/Chicago`.
    replicas
        Number of replicas to run; the least number if `max_replicas` is set.
    max_replicas
        The most replicas to run. None for a service that does not scale by itself.
    instance_type
        EC2 instance type to run on.
    memory
        Memory for each replica, in MB.
    cpu
        Processor time for each replica, in millicores.
    created_at
        When it was created.
    updated_at
        When it changed last.
    credentials
        Credentials that it is given: identifiers or, from newer servers, `Credential`.
    permission_set_id
        Identifier of its permission set.
    git_repo_url
        Git repository that its code is in.
    git_repo_ref
        Branch, tag or commit of that repository.
    git_path_dir
        Directory of the code in that repository; None for its root.
    report_id
        Identifier of its report.
    current_deployment
        The newest deployment, None for a service that was never deployed.
    current_url
        URL at which it is reached.
    environment_variables
        Environment variables that it is given, by name: texts or, as the reference does not say,
        whatever else of numbers, booleans and null the server gives.
    notifications
        Whom to tell when it fails.
    partition_label
        Label of the partition of the cluster that it runs in.
    my_permission_level
        What the caller may do with it: `read`, `write` or `manage`.
    archived
        Whether it is archived: a boolean or, from some servers, a text.
    hidden
        Whether listings leave it out.
    """

    id: int
    name: str | None = None
    description: str | None = None
    user: User | None = None
    type: str | None = None
    docker_image_name: str | None = None
    docker_image_tag: str | None = None
    schedule: Schedule | None = None
    time_zone: str | None = None
    replicas: int | None = None
    max_replicas: int | None = None
    instance_type: str | None = None
    memory: int | None = None
    cpu: int | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    credentials: list[int | Credential] | None = None
    permission_set_id: int | None = None
    git_repo_url: str | None = None
    git_repo_ref: str | None = None
    git_path_dir: str | None = None
    report_id: int | None = None
    current_deployment: Deployment | None = None
    current_url: str | None = None
    environment_variables: dict[str, EnvironmentValue] | None = None
    notifications: Notifications | None = None
    partition_label: str | None = None
    my_permission_level: str | None = None
    archived: bool | str | None = None
    hidden: bool | None = None


# Made by the ten thousand, and never part of a cycle: nothing for the collector to track.
class LogEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """A line of a deployment's log.

    Attributes
    ----------
    message
        The text of the line.
    stream
        `stdout` or `stderr`.
    created_at
        When it was written.
    source
        `user` for what the service wrote, `system` for what the platform says about it.
    """

    message: str | None = None
    stream: str | None = None
    created_at: Timestamp | None = None
    source: str | None = None


class TailedEntry(LogEntry, frozen=True, kw_only=True, rename="camel", gc=False):
    """A line of a log that is tailed, which knows where it stands.

    It has everything that a `LogEntry` has, too.

    Attributes
    ----------
    created_at
        When it was written. It is the line's place in the log, therefore always there.
    service_id
        Identifier of the service.
    deployment_id
        Identifier of the deployment that wrote it.
    copy
        Which of several identical lines of one instant it is, from 0.
    """

    created_at: Timestamp  # pyright: ignore[reportGeneralTypeIssues]  # required again
    # Under names that no server uses: these are ours to say.
    service_id: int = msgspec.field(default=0, name="@serviceId")
    deployment_id: int = msgspec.field(default=0, name="@deploymentId")
    copy: int = msgspec.field(default=0, name="@copy")

    @property
    def line_id(self) -> str:
        """Hash that stays the same however, and however often, the line is read.

        A sink that keeps one row an identifier needs no other protection against repetition.
        """
        try:
            at = self.created_at.astimezone(UTC)
        except OverflowError:  # before the first year, or after the last one
            at = self.created_at
        time = at.isoformat(timespec="microseconds")
        place = f"{self.service_id}/{self.deployment_id}/{time}/{self.copy}"
        text = f"{place}\0{self.stream}\0{self.source}\0{self.message}"
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def assign_log(entries: Iterable[TailedEntry], service_id: int, deployment_id: int) -> None:
    """Name the log to which entries belong that were just decoded, and that nobody has seen yet.

    To create each entry with its log would take several times as long.
    """
    set_field = msgspec.structs.force_setattr
    for entry in entries:
        set_field(entry, "service_id", service_id)
        set_field(entry, "deployment_id", deployment_id)


class Project(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A project that a service belongs to.

    Attributes
    ----------
    id
        Identifier of the project.
    author
        Who made it.
    name
        Name of the project.
    description
        What it is for.
    users
        Who can see it.
    auto_share
        Whether what is added to the project is shared with its users by itself.
    created_at
        When it was created.
    updated_at
        When it changed last.
    archived
        Whether it is archived: a boolean or, from some servers, a text.
    """

    id: int
    author: User | None = None
    name: str | None = None
    description: str | None = None
    users: list[User] | None = None
    auto_share: bool | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    archived: bool | str | None = None


class Sharee(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A user or a group that something is shared with.

    Attributes
    ----------
    id
        Identifier of the user or group.
    name
        Its name.
    """

    id: int
    name: str | None = None


class ShareHolders(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everybody with the same permission.

    Attributes
    ----------
    users
        Users with this permission.
    groups
        Groups with this permission.
    """

    users: list[Sharee] | None = None
    groups: list[Sharee] | None = None


class Shares(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who may do what with a service.

    Attributes
    ----------
    readers
        Who may look at it.
    writers
        Who may change it.
    owners
        Who may manage it.
    total_user_shares
        Number of users it is shared with; all of them for an owner, those who can be seen for
        anybody else.
    total_group_shares
        Number of groups it is shared with, counted in the same way.
    """

    readers: ShareHolders | None = None
    writers: ShareHolders | None = None
    owners: ShareHolders | None = None
    total_user_shares: int | None = None
    total_group_shares: int | None = None


class Dependency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that a service needs, such as a credential.

    Attributes
    ----------
    object_type
        Its type.
    fco_type
        Its type in words for people.
    id
        Its identifier, unique among those of its type.
    name
        Its name; None if the caller may not read it.
    permission_level
        What the user that was asked about may do with it; None without such a user, or for what
        cannot be shared.
    description
        More about it.
    shareable
        Whether the caller may share it.
    """

    object_type: str | None = None
    fco_type: str | None = None
    id: int
    name: str | None = None
    permission_level: str | None = None
    description: str | None = None
    shareable: bool | None = None


class TransferredDependency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that a service needs, and what happened to it when the service got a new owner.

    Attributes
    ----------
    object_type
        Its type.
    fco_type
        Its type in words for people.
    id
        Its identifier, unique among those of its type.
    name
        Its name; None if the caller may not read it.
    permission_level
        What the new owner may do with it; None for what cannot be shared.
    description
        More about it.
    shared
        Whether it was shared with the new owner.
    """

    object_type: str | None = None
    fco_type: str | None = None
    id: int
    name: str | None = None
    permission_level: str | None = None
    description: str | None = None
    shared: bool | None = None


class Transfer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The outcome of giving a service to another owner.

    Attributes
    ----------
    dependencies
        What the service needs, with what happened to it.
    """

    dependencies: list[TransferredDependency] | None = None


class Token(_Masked, frozen=True, kw_only=True, rename="camel"):
    """A long-lived token that lets programs reach a service.

    Attributes
    ----------
    id
        Identifier of the token.
    name
        Name of the token.
    user
        The user it stands for.
    machine_token
        Whether it stands for no user in particular.
    expires_at
        When it ends.
    created_at
        When it was created.
    """

    id: int
    name: str | None = None
    user: User | None = None
    machine_token: bool | None = None
    expires_at: Timestamp | None = None
    created_at: Timestamp | None = None


class NewToken(Token, frozen=True, kw_only=True, rename="camel"):
    """A token that was just created, the only time that its value is shown.

    It has everything that a `Token` has, too.

    Attributes
    ----------
    token
        The value of the token: a secret, kept out of its `repr`.
    """

    token: str | None = None


@overload
def to_dict(value: msgspec.Struct) -> dict[str, JSON]: ...
@overload
def to_dict(value: Iterable[msgspec.Struct]) -> list[JSON]: ...
def to_dict(value: msgspec.Struct | Iterable[msgspec.Struct]) -> dict[str, JSON] | list[JSON]:
    """Turn a model, or several, into built-in values that any JSON encoder takes.

    Parameters
    ----------
    value
        A model, or any iterable of models such as a page of a listing.

    Returns
    -------
    dict or list
        A dictionary for a model, with its attributes as keys (`snake_case`, in their order), or
        a list of such dictionaries. Timestamps are RFC 3339 texts. The names of environment
        variables stay as they are. Secrets are included, unlike in `repr`. An error is its text.

    Examples
    --------
    >>> to_dict(User(id=7, name="Ada"))
    {'id': 7, 'name': 'Ada', 'username': None, 'initials': None, 'online': None}
    """
    if isinstance(value, msgspec.Struct):
        return _fields(value)
    return [_fields(each) for each in value]


def _fields(value: msgspec.Struct) -> dict[str, JSON]:
    if not isinstance(value, msgspec.Struct):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"to_dict() takes models of this library, not {type(value).__name__}")
    return {name: _builtin(getattr(value, name)) for name in value.__struct_fields__}


def _builtin(value: object) -> JSON:
    match value:
        case msgspec.Struct():
            return _fields(value)
        case str() | int() | float() | None:
            return value
        case datetime():
            return str(msgspec.to_builtins(value))
        case dict():
            members = cast("dict[str, object]", value)
            return {name: _builtin(each) for name, each in members.items()}
        case list() | tuple():
            return [_builtin(each) for each in cast("Iterable[object]", value)]
        case Exception():  # of an outcome
            return str(value)
        case _:
            raise TypeError(f"to_dict() takes models of this library, not {type(value).__name__}")
