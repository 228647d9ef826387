"""What a tail needs to know of a deployment.

Of an answer about a service or a deployment only that is read, so that nothing else in it can be in
the way. Pure.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import msgspec

from aioservices.api.models import Deployment, DeploymentSummary, Timestamp
from aioservices.api.states import state_as_text

__all__ = ["DeploymentAnswer", "DeploymentSnapshot", "ServiceAnswer", "snapshot"]


class DeploymentSnapshot(NamedTuple):
    """What a tail needs to know of a deployment.

    Attributes
    ----------
    deployment_id : int
    state, state_message : str or None
    created_at, updated_at : datetime or None
    """

    deployment_id: int
    state: str | None = None
    state_message: str | None = None
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None

    def is_newer(self, than_id: int, than: dt.datetime | None) -> bool:
        """Whether it was created after another one; ids decide where times do not."""
        if self.created_at is None or than is None or self.created_at == than:
            return self.deployment_id > than_id
        return self.created_at > than

    @property
    def age(self) -> tuple[bool, float, int]:
        """By which deployments are sorted, oldest first."""
        at = self.created_at
        return (at is not None, 0.0 if at is None else at.timestamp(), self.deployment_id)


class DeploymentAnswer(msgspec.Struct, rename="camel"):
    """A deployment as it came: what is not as promised counts as not told."""

    deployment_id: int = 0
    state: object = None
    state_message: object = None
    created_at: object = None
    updated_at: object = None


class ServiceAnswer(msgspec.Struct, rename="camel"):
    """A service as it came."""

    current_deployment: DeploymentAnswer | None = None


def snapshot(
    deployment: DeploymentAnswer | Deployment | DeploymentSummary | None,
) -> DeploymentSnapshot | None:
    """Take what a tail needs to know; None if there is no deployment."""
    if deployment is None or not deployment.deployment_id:
        return None
    return DeploymentSnapshot(
        deployment.deployment_id,
        state_as_text(deployment.state),
        _text(deployment.state_message),
        _time(deployment.created_at),
        _time(deployment.updated_at),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: object) -> dt.datetime | None:
    try:
        time = msgspec.convert(value, Timestamp)
    except msgspec.ValidationError:
        return None
    # The zero times of languages and databases stand for no time.
    return time if 1970 < time.year < 9999 else None
