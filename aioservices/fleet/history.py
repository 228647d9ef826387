"""The deployments that a service has had."""

from collections.abc import Sequence
from itertools import pairwise

from aioservices.api.models import DeploymentSummary
from aioservices.api.pagination import DEFAULT_PAGE_SIZE

from .progress import is_newer, newest_since
from .session import Session

__all__ = ["newest_deployment", "recent_deployments"]


async def recent_deployments(session: Session, service_id: int) -> Sequence[DeploymentSummary]:
    """List deployments of a service, with the newest among them.

    ``GET /services/{service_id}/deployments``: one page, unless there are more and the server does
    not give the newest first, although it is asked to.
    """
    first = await session.list_deployments(service_id, limit=DEFAULT_PAGE_SIZE, order_dir="desc")
    is_whole = len(first) < DEFAULT_PAGE_SIZE
    if is_whole or all(is_newer(newer, older) for newer, older in pairwise(first)):
        return first
    return [each async for each in session.list_deployments(service_id, order_dir="desc")]


async def newest_deployment(session: Session, service_id: int) -> DeploymentSummary | None:
    """Find the deployment of a service that was made last, None if there is none."""
    return newest_since(None, await recent_deployments(session, service_id))
