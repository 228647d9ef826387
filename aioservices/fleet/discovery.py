"""The current state of services, fetched with as few requests as possible.

A page of the listing shows fifty services with one request. `ServiceIndex` remembers on which page
each service was, so that only those pages are fetched again. `SharedChecks` lets any number of
tasks, each with its own service and its own time for the next check, share these pages: a page that
is fetched for one of its services also serves all tasks that wait for another one of them.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Hashable
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import NamedTuple, TypeAlias

import anyio

from aioservices.api.models import Service, ServiceSummary
from aioservices.api.pagination import DEFAULT_PAGE_SIZE, Page, PagePlan, read_page
from aioservices.concurrency import for_each
from aioservices.errors import ServicesError

from .failure import as_services_error
from .session import Session
from .tolerant import decode_tolerant

__all__ = ["ServiceCheck", "ServiceIndex", "ServiceSnapshot", "SharedChecks"]

ServiceSnapshot: TypeAlias = Service | ServiceSummary
Found: TypeAlias = Callable[[int, ServiceSnapshot | ServicesError], None]

_AT_ONCE = 8
_FEW = 3  # so few services are fetched one by one at once


class _Place(NamedTuple):
    """A page of the listing of ordinary services, or of that of hidden ones."""

    hidden: bool
    number: int


class ServiceIndex:
    """Fetches services, fifty with one request where a listing shows them.

    A service that neither listing shows, such as an archived one, is fetched by itself. So is
    every service if there are fewer services than pages to search.

    Parameters
    ----------
    session : Session
        Makes the calls.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._place_of: dict[int, _Place] = {}
        self._unlisted: set[int] = set()

    def group_of(self, service_id: int) -> Hashable:
        """Return what a service is fetched with: the same for all that one request shows."""
        if service_id in self._place_of:
            return self._place_of[service_id]
        return service_id if service_id in self._unlisted else None  # to be searched

    async def fetch(self, wanted: AbstractSet[int], found: Found) -> None:
        """Fetch services.

        ``GET /services``, the pages that show them, and ``GET /services/{id}`` for the others

        Parameters
        ----------
        wanted : set of int
            Their identifiers.
        found : callable
            Called with each of them as soon as it is fetched, or with the error if it could not be;
            also with the other services of the pages.
        """
        seen: set[int] = set()

        def record(service_id: int, snapshot: ServiceSnapshot | ServicesError) -> None:
            seen.add(service_id)
            found(service_id, snapshot)

        async def refetch(place: _Place) -> None:
            try:
                await self._fetch_page(place, record)
            except Exception as exc:
                for each in wanted:
                    if self._place_of.get(each) == place:
                        record(each, as_services_error(exc))

        async def visit(service_id: int) -> None:
            try:
                response = await self._session.raw.get(service_id)
                record(service_id, decode_tolerant(response, Service))
            except Exception as exc:
                record(service_id, as_services_error(exc))

        places = {self._place_of[each] for each in wanted if each in self._place_of}
        await for_each(sorted(places), refetch, at_once=_AT_ONCE)
        for hidden in (False, True):
            unplaced = wanted - seen - self._unlisted
            if len(unplaced) <= _FEW:
                break
            try:
                await self._search(unplaced, seen, record, hidden=hidden)
            except Exception as exc:
                for each in unplaced - seen:
                    record(each, as_services_error(exc))
        for each in wanted - seen:
            self._place_of.pop(each, None)
            self._unlisted.add(each)
        await for_each(sorted(wanted - seen), visit, at_once=_AT_ONCE)

    async def _search(
        self, unplaced: AbstractSet[int], seen: AbstractSet[int], record: Found, *, hidden: bool
    ) -> None:
        """Read a listing until all are found, or fetching each of the others is cheaper."""
        pages: dict[int, Page[ServiceSummary]] = {}

        async def fetch(number: int) -> None:
            pages[number] = await self._fetch_page(_Place(hidden, number), record)

        plan = PagePlan()
        while missing := unplaced - seen:
            # At most as many pages as there are services to find, and not all of them at once.
            numbers = plan.next_batch()[:_AT_ONCE]
            numbers = numbers[: max(0, len(missing) + 1 - numbers.start)]
            if not numbers:
                break
            await for_each(numbers, fetch, at_once=_AT_ONCE)
            for number in numbers:
                plan.filter_new(number, pages[number], attrgetter("id"))

    async def _fetch_page(self, place: _Place, record: Found) -> Page[ServiceSummary]:
        response = await self._session.raw.list(
            hidden=place.hidden or None,
            # In this order a page stays as it is while services are added and changed.
            order="created_at",
            order_dir="asc",
            limit=DEFAULT_PAGE_SIZE,
            page_num=place.number,
        )
        # A malformed entry is missing from the page, and is fetched by itself if it is wanted.
        page = read_page(response, ServiceSummary)
        for item in page.items:
            self._place_of[item.id] = place
            self._unlisted.discard(item.id)
            record(item.id, item)
        return page


class ServiceCheck(NamedTuple):
    """What a check showed of a service.

    Attributes
    ----------
    begun_at : float
        When the check began, by the event loop's clock. It may show anything done before that.
    snapshot : ServiceSnapshot or ServicesError
        The service, or why it could not be seen.
    """

    begun_at: float
    snapshot: ServiceSnapshot | ServicesError


class _Waiter:
    """A task that waits for a check of a service."""

    def __init__(self, service_id: int, since: float, due: float) -> None:
        self.service_id = service_id
        self.since = since
        self.due = due
        self._check: ServiceCheck | None = None
        self._done = anyio.Event()

    @property
    def is_done(self) -> bool:
        return self._check is not None

    def give(self, check: ServiceCheck) -> None:
        if self._check is None:
            self._check = check
            self._done.set()

    async def wait(self) -> ServiceCheck:
        while self._check is None:
            await self._done.wait()
        return self._check


class SharedChecks:
    """Checks services for many tasks, with the same requests.

    A page that does not come holds up its own services alone.

    Parameters
    ----------
    index : ServiceIndex
    spacing : float
        Least seconds between the beginnings of two checks.
    """

    def __init__(self, index: ServiceIndex, *, spacing: float) -> None:
        self._index = index
        self._spacing = spacing
        self._grid = spacing / 4
        self._next_check = -math.inf  # no sooner
        self._planned = math.inf  # when the next check begins, as far as is known
        self._waiters: defaultdict[int, set[_Waiter]] = defaultdict(set)  # by service
        self._latest: dict[int, ServiceCheck] = {}
        self._busy: set[Hashable] = set()  # groups of services that are being checked
        self._slots = anyio.CapacityLimiter(_AT_ONCE)
        self._changed = anyio.Event()

    async def check(self, service_id: int, *, due: float, max_age: float = 0.0) -> ServiceCheck:
        """Wait for a check of a service.

        Parameters
        ----------
        service_id : int
        due : float
            When to check, by the event loop's clock. It is checked as soon as possible after that,
            or before, if a page that another task waits for shows this service too.
        max_age : float, default 0.0
            Seconds for which an earlier check will do.
        """
        now = anyio.current_time()
        latest = self._latest.get(service_id)
        if latest is not None and now - latest.begun_at < max_age:
            return latest
        if due > now:
            # So that those due at almost the same time share a check.
            due = math.ceil(due / self._grid) * self._grid
        waiter = _Waiter(service_id, now, due)
        self._waiters[service_id].add(waiter)
        if max(due, self._next_check) < self._planned:
            self._changed.set()
        try:
            return await waiter.wait()
        finally:
            self._waiters[service_id].remove(waiter)
            if not self._waiters[service_id]:
                del self._waiters[service_id]

    async def run(self) -> None:
        """Check whatever is due; until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._changed = anyio.Event()
                waiters = itertools.chain.from_iterable(self._waiters.values())
                idle = [each for each in waiters if not self._is_under_way(each)]
                earliest = min((each.due for each in idle), default=math.inf)
                now = anyio.current_time()
                self._planned = max(earliest, self._next_check)
                if self._planned > now:
                    with anyio.move_on_after(self._planned - now):
                        await self._changed.wait()
                    continue
                self._next_check = now + self._spacing
                due: defaultdict[Hashable, set[int]] = defaultdict(set)
                for waiter in idle:
                    if waiter.due <= now:
                        due[self._index.group_of(waiter.service_id)].add(waiter.service_id)
                self._busy |= due.keys()
                for group, wanted in due.items():
                    tasks.start_soon(self._check_group, group, wanted)

    def _is_under_way(self, waiter: _Waiter) -> bool:
        return waiter.is_done or self._index.group_of(waiter.service_id) in self._busy

    async def _check_group(self, group: Hashable, wanted: set[int]) -> None:
        """Check services of one group."""
        try:
            async with self._slots:
                begun_at = anyio.current_time()

                def found(service_id: int, snapshot: ServiceSnapshot | ServicesError) -> None:
                    self._latest[service_id] = check = ServiceCheck(begun_at, snapshot)
                    for waiter in self._waiters.get(service_id, ()):
                        # A task that began to wait meanwhile may need to see what this check does
                        # not show.
                        if waiter.since <= begun_at:
                            waiter.give(check)

                await self._index.fetch(wanted, found)
        finally:
            self._busy.discard(group)
            self._changed.set()
