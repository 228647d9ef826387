"""Deployments."""

import msgspec

from aioservices.api.states import State, state_as_text

from .common import Masked, Timestamp

__all__ = ["Deployment", "DeploymentSummary"]


class DeploymentSummary(Masked, frozen=True, kw_only=True, rename="camel"):
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
        EC2 instance type that was requested for it.
    memory
        Its memory, in MB.
    cpu
        Its processor time, in millicores.
    state
        `pending`, `running`, `sleeping`, `terminated`, or a state newer than this library.
    state_message
        A description of the state.
    max_memory_usage
        The most memory it ever used, in MB. Known once it has ended.
    max_cpu_usage
        The most processor time it ever used, in millicores. Known once it has ended.
    created_at
        When it was created.
    updated_at
        When it was last changed.
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

    It also has all attributes of a `DeploymentSummary`.

    Attributes
    ----------
    display_url
        Signed URL at which the deployed service can be viewed. It gives access to whoever has it.
    """

    display_url: str | None = None
