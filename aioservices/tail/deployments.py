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
    """What the API has said about a deployment; None where it said nothing."""

    deployment_id: int
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    state: str | None = None
    state_message: str | None = None

    def is_newer(self, than: DeploymentSnapshot) -> bool:
        """Whether it was created after another one; ids decide where times do not."""
        mine, its = self.created_at, than.created_at
        if mine is None or its is None or mine == its:
            return self.deployment_id > than.deployment_id
        return mine > its

    def or_newer(self, other: DeploymentSnapshot | None) -> DeploymentSnapshot:
        """Return this one, or another one that is surely newer."""
        if other is None or other.created_at is None or self.created_at is None:
            return self
        return other if other.created_at > self.created_at else self

    @property
    def age(self) -> tuple[bool, float, int]:
        """By which deployments are sorted, oldest first."""
        at = self.created_at
        return (at is not None, 0.0 if at is None else at.timestamp(), self.deployment_id)


class DeploymentAnswer(msgspec.Struct, rename="camel"):
    """A deployment as the API sent it; a value of another type than promised counts as missing."""

    deployment_id: int = 0
    state: object = None
    state_message: object = None
    created_at: object = None
    updated_at: object = None


class ServiceAnswer(msgspec.Struct, rename="camel"):
    """A service as the API sent it."""

    current_deployment: DeploymentAnswer | None = None


def snapshot(
    answer: DeploymentAnswer | Deployment | DeploymentSummary | None,
) -> DeploymentSnapshot | None:
    """Take what a tail needs to know; None if there is no deployment."""
    if answer is None or not answer.deployment_id:
        return None
    message = answer.state_message
    return DeploymentSnapshot(
        answer.deployment_id,
        created_at=_time(answer.created_at),
        updated_at=_time(answer.updated_at),
        state=state_as_text(answer.state),
        state_message=message if isinstance(message, str) else None,
    )


def _time(value: object) -> dt.datetime | None:
    try:
        time = msgspec.convert(value, Timestamp)
    except msgspec.ValidationError:
        return None
    # The zero times of languages and databases stand for no time.
    return time if 1970 < time.year < 9999 else None
