"""The deployments that a service has had."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from aioservices.api.models import DeploymentSummary
from aioservices.api.pagination import DEFAULT_PAGE_SIZE, PagePlan, read_page
from aioservices.http.response import decode

from .progress import is_newer
from .session import Session

__all__ = ["recent_deployments"]


async def recent_deployments(session: Session, service_id: int) -> Sequence[DeploymentSummary]:
    """List deployments of a service, with the newest among them.

    ``GET /services/{service_id}/deployments``: one page, unless there are more and the server does
    not return the newest first, although the request says so.

    The identifier of a malformed entry is enough: the existence of such a deployment must not be
    overlooked.

    Raises
    ------
    ResponseDecodeError
        If an entry does not even have that.
    """
    found: list[DeploymentSummary] = []
    plan = PagePlan()
    while numbers := plan.next_batch():
        for number in numbers:
            response = await session.raw.list_deployments(
                service_id, limit=DEFAULT_PAGE_SIZE, page_num=number, order_dir="desc"
            )
            page = read_page(response, DeploymentSummary)
            if any(each.item_id is None for each in page.malformed):
                decode(response, list[DeploymentSummary])  # which says what is wrong
            found += plan.filter_new(number, page, _identifier)
            ids = [each.item_id for each in page.malformed if each.item_id is not None]
            found += [DeploymentSummary(deployment_id=each) for each in ids]
            is_whole = len(page.items) + len(page.malformed) < DEFAULT_PAGE_SIZE
            if is_whole or all(is_newer(newer, older) for newer, older in pairwise(page.items)):
                return found
    return found


def _identifier(deployment: DeploymentSummary) -> int:
    return deployment.deployment_id
