"""What a sight of a service's deployments says about one of them.

Pure: what was seen is handed in.
"""

from collections.abc import Iterable
from enum import Enum, auto

import msgspec

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.api.states import is_final, is_running

__all__ = ["Progress", "complete", "is_newer", "newest_since", "progress_of"]


class Progress(Enum):
    """How far a deployment is."""

    PENDING = auto()
    RUNNING = auto()
    ENDED = auto()
    UNSEEN = auto()
    """The service shows another deployment, or none."""


def progress_of(deployment_id: int, seen: DeploymentSummary | None) -> Progress:
    """Tell how far a deployment is.

    Parameters
    ----------
    deployment_id : int
        The deployment that is meant.
    seen : DeploymentSummary, optional
        The one that its service shows.
    """
    if seen is None or seen.deployment_id != deployment_id:
        return Progress.UNSEEN
    if is_running(seen.state):
        return Progress.RUNNING
    # A state that is not known may yet become a good one.
    return Progress.ENDED if is_final(seen.state) else Progress.PENDING


def is_newer(deployment: DeploymentSummary, than: DeploymentSummary) -> bool:
    """Tell whether a deployment was made after another one of the same service."""
    if deployment.created_at and than.created_at and deployment.created_at != than.created_at:
        return deployment.created_at > than.created_at
    return deployment.deployment_id > than.deployment_id


def newest_since(
    before: DeploymentSummary | None, listed: Iterable[DeploymentSummary]
) -> DeploymentSummary | None:
    """Find the deployment that was made since a service was looked at.

    Parameters
    ----------
    before : DeploymentSummary, optional
        What it showed then; None if it was not deployed.
    listed : iterable of DeploymentSummary
        Its deployments now.

    Returns
    -------
    DeploymentSummary or None
        The newest that is newer, if there is any.
    """
    newest = before
    for deployment in listed:
        if newest is None or is_newer(deployment, newest):
            newest = deployment
    return None if newest is before else newest


def complete(seen: DeploymentSummary, earlier: Deployment | None = None) -> Deployment:
    """Add to what a listing shows of a deployment what only an answer of its own tells.

    Parameters
    ----------
    seen : DeploymentSummary
        What is shown.
    earlier : Deployment, optional
        The same deployment in an earlier answer of its own.
    """
    if isinstance(seen, Deployment):
        return seen
    url = None if earlier is None else earlier.display_url
    return Deployment(**msgspec.structs.asdict(seen), display_url=url)
