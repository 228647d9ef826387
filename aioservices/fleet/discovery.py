"""What services are doing now, learnt from as few requests as will do."""

from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import TypeAlias

from aioservices.api.models import Service, ServiceSummary
from aioservices.api.pagination import DEFAULT_PAGE_SIZE, Page, PagePlan, read_page
from aioservices.errors import RequestError, ServicesError

from .session import Session
from .workers import work_through

__all__ = ["Roster", "Sight"]

Sight: TypeAlias = Service | ServiceSummary

_AT_ONCE = 8
_FEW = 3  # so few services are asked for one by one at once
_FEWEST_STRAYS = 10


class Roster:
    """Looks at services, fifty with one request where the listing shows them.

    It remembers on which page each service was, and fetches only these pages again. A service
    that the listing does not show, as a hidden one, is asked for by itself. So is every service
    when there are fewer of them than pages to search.

    Parameters
    ----------
    session : Session
        Makes the calls.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._unhurried = session.with_options(background=True)
        self._page_of: dict[int, int] = {}
        self._strays: dict[int, None] = {}  # those that were not looked at for longest come first

    async def look(
        self, wanted: AbstractSet[int], *, thrifty: bool = False
    ) -> dict[int, Sight | ServicesError]:
        """Look at services.

        Parameters
        ----------
        wanted : set of int
            Their identifiers.
        thrifty : bool, default False
            Whether to give way to other calls, and to see only some at a time of the services
            that the listing does not show.

        Returns
        -------
        dict
            By identifier the service, or why it could not be seen.

        Raises
        ------
        ServicesError
            If the listing could not be read.
        """
        session = self._unhurried if thrifty else self._session
        seen: dict[int, Sight | ServicesError] = {}

        async def turn(number: int) -> None:
            await self._fetch(session, number, seen)

        async def visit(service_id: int) -> None:
            self._strays[service_id] = self._strays.pop(service_id)  # the last in turn again
            try:
                seen[service_id] = await session.get(service_id)
            except RequestError as exc:
                seen[service_id] = exc

        pages = {self._page_of[each] for each in wanted if each in self._page_of}
        await work_through(sorted(pages), turn, at_once=_AT_ONCE)
        unplaced = wanted - seen.keys() - self._strays.keys()
        if len(unplaced) > _FEW:
            await self._search(session, unplaced, seen)
        for each in sorted(unplaced - seen.keys()):
            self._page_of.pop(each, None)
            self._strays[each] = None
        strays = [each for each in self._strays if each in wanted]
        if thrifty:
            strays = strays[: max(_FEWEST_STRAYS, len(pages))]
        await work_through(strays, visit, at_once=_AT_ONCE)
        return {each: seen[each] for each in wanted if each in seen}

    async def _search(
        self, session: Session, unplaced: AbstractSet[int], seen: dict[int, Sight | ServicesError]
    ) -> None:
        """Read the listing until all are found, or asking for each of the others is cheaper."""
        pages: dict[int, Page[ServiceSummary]] = {}

        async def turn(number: int) -> None:
            pages[number] = await self._fetch(session, number, seen)

        plan = PagePlan()
        while missing := unplaced - seen.keys():
            numbers = plan.next_batch()
            if not numbers or numbers.start > len(missing):
                break
            await work_through(numbers, turn, at_once=_AT_ONCE)
            for number in numbers:
                plan.admit(number, pages[number], attrgetter("id"))

    async def _fetch(
        self, session: Session, number: int, seen: dict[int, Sight | ServicesError]
    ) -> Page[ServiceSummary]:
        """Fetch a page of the listing."""
        response = await session.raw.list(
            # In this order a page stays as it is while services are added and changed.
            order="created_at",
            order_dir="asc",
            limit=DEFAULT_PAGE_SIZE,
            page_num=number,
        )
        page = read_page(response, ServiceSummary)
        for item in page.items:
            seen[item.id] = item
            self._page_of[item.id] = number
            self._strays.pop(item.id, None)
        return page
