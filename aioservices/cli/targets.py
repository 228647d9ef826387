"""Finding the services that a command is told of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import anyio

from aioservices.api.matching import ids_among, is_id
from aioservices.api.models import Service, ServiceSummary
from aioservices.client import Services
from aioservices.errors import RequestError

from .matching import select

__all__ = ["Target", "find"]

Target: TypeAlias = Service | ServiceSummary

_FEW = 10  # so many are asked for one by one, rather than by reading the listing


async def find(services: Services, terms: Sequence[str]) -> list[Target]:
    """Find services by ids, names and patterns.

    Parameters
    ----------
    services : Services
    terms : sequence of str

    Returns
    -------
    list of Service or ServiceSummary
        Each once, in the order of the terms.

    Raises
    ------
    CommandError
        If a name or pattern means no service, or a name several.
    NotFoundError
        If there is no service of an id.
    """
    found: dict[int, Target] = {}
    if len(terms) > _FEW or not all(map(is_id, terms)):
        async for summary in services.list(order="name", order_dir="asc"):
            found[summary.id] = summary
    # The listing leaves out hidden and archived ones; who gives an id means it.
    found.update(await _get_all(services, [key for key in ids_among(terms) if key not in found]))
    names = {key: target.name for key, target in found.items()}
    return [found[key] for key in select(terms, names)]


async def _get_all(services: Services, ids: Iterable[int]) -> dict[int, Service]:
    found: dict[int, Service] = {}
    errors: list[RequestError] = []

    async def get(id: int) -> None:
        try:
            found[id] = await services.get(id)
        except RequestError as exc:
            errors.append(exc)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for each in ids:
            group.start_soon(get, each)
    if errors:
        raise errors[0]
    return found
