"""Finding services by their names."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator

from .matching import select
from .models import ServiceSummary

__all__ = ["ServiceSearch"]


class ServiceSearch:
    """A search for services: ``await`` it for a list, or iterate it with ``async for``.

    Made by `Services.find`. Each use reads the listing again.

    Parameters
    ----------
    listing : callable
        Lists the services among which to search.
    terms : tuple of str
        Names, patterns and ids.
    """

    def __init__(
        self, listing: Callable[[], AsyncIterable[ServiceSummary]], terms: tuple[str, ...]
    ) -> None:
        self._listing = listing
        self._terms = terms

    def __await__(self) -> Generator[object, None, list[ServiceSummary]]:
        return self._find().__await__()

    async def __aiter__(self) -> AsyncIterator[ServiceSummary]:
        # Only the whole listing shows whether a name matches exactly or except for its case.
        for service in await self._find():
            yield service

    async def _find(self) -> list[ServiceSummary]:
        services = {each.id: each async for each in self._listing()}
        names = {number: each.name for number, each in services.items()}
        return [services[number] for number in select(self._terms, names).ids]
