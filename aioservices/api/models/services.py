"""Services, and what can be set on them."""

from typing import Literal, TypeAlias

import msgspec

from .common import Masked, Timestamp, User
from .deployments import Deployment, DeploymentSummary

__all__ = [
    "Credential",
    "EnvironmentValue",
    "Notifications",
    "Recurrence",
    "RuntimePlan",
    "Schedule",
    "Service",
    "ServiceSummary",
]

EnvironmentValue: TypeAlias = str | int | float | bool | None
RuntimePlan: TypeAlias = Literal["on_demand", "specific_times", "always_on"]


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
    """Who is notified when a service fails.

    Attributes
    ----------
    failure_email_addresses
        E-mail addresses to notify.
    failure_on
        Whether they are notified.
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
        When it was last changed.
    git_repo_url
        Git repository that its code is in.
    git_repo_ref
        Branch, tag or commit of that repository.
    git_path_dir
        Directory of the code in that repository; None for its root.
    current_deployment
        The newest deployment, None for a service that was never deployed.
    archived
        Whether it is archived: a boolean or, from some servers, a string.
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


class Service(Masked, frozen=True, kw_only=True, rename="camel"):
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
        The most replicas to run. None for a service that does not scale automatically.
    instance_type
        EC2 instance type to run on.
    memory
        Memory for each replica, in MB.
    cpu
        Processor time for each replica, in millicores.
    created_at
        When it was created.
    updated_at
        When it was last changed.
    credentials
        Its credentials: identifiers or, from newer servers, `Credential`.
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
        Its environment variables, by name: strings or, as the reference does not exclude them,
        numbers, booleans and null.
    notifications
        Who is notified when it fails.
    partition_label
        Label of the partition of the cluster that it runs in.
    my_permission_level
        What the caller may do with it: `read`, `write` or `manage`.
    archived
        Whether it is archived: a boolean or, from some servers, a string.
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
