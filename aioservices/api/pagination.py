"""Listings: one page when awaited, everything when iterated."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Generator, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import anyio
import msgspec

from aioservices.errors import MalformedEntryWarning, ServicesError
from aioservices.http.response import RawResponse, decode_lenient, warn_malformed

__all__ = ["Page", "PagePlan", "Paginator", "read_page", "total_pages"]

T = TypeVar("T")

DEFAULT_PAGE_SIZE = 50  # the server's maximum
# The most pages that are fetched at once. It is not reached at once: who leaves early
# should cost little.
_AHEAD = 8
# A listing without page counts ends at its first empty page. A server that
# ignores page_num never sends one.
_STALE_PAGES = 20


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a listing.

    Attributes
    ----------
    items : list
    total_pages : int or None
        How many pages there are, if the server tells.
    malformed : sequence of MalformedEntryWarning
        Entries that the page holds besides, and that could not be decoded.
    """

    items: list[T]
    total_pages: int | None = None
    malformed: Sequence[MalformedEntryWarning] = ()


def read_page(response: RawResponse, type_: type[T]) -> Page[T]:
    """Read a page of a listing from an answer.

    Parameters
    ----------
    response : RawResponse
    type_ : type
        What each entry should be.

    Raises
    ------
    ResponseDecodeError
        If the body is not a JSON array.
    """
    items, malformed = decode_lenient(response, type_)
    return Page(items, total_pages(response.headers), malformed)


def total_pages(headers: Mapping[str, str]) -> int | None:
    """Read how many pages a listing has from the headers of one of them."""
    try:
        return int(headers["X-Pagination-Total-Pages"])
    except (KeyError, ValueError):
        return None


class PagePlan:
    """Which pages to fetch next, and which of their items are new.

    Arithmetic only: the pages are handed in, in their order.

    Parameters
    ----------
    first : int
        The number of the first page.
    """

    def __init__(self, first: int = 1) -> None:
        self._next = first
        self._end: int | None = None  # number of the last page, if known
        self._admitted = 0
        self._stale = 0
        self._seen: set[Hashable] = set()
        self._over = False

    def next_batch(self) -> range:
        """The numbers of the pages to fetch at once; empty when the listing is at its end."""
        if self._over:
            return range(0)
        size = 1
        if self._end is not None:  # so one page at least was admitted
            size = min(4 * self._admitted, _AHEAD, self._end - self._next + 1)
        return range(self._next, self._next + size)

    def end(self) -> None:
        """Fetch nothing more."""
        self._over = True

    def admit(self, number: int, page: Page[T], key: Callable[[T], Hashable]) -> list[T]:
        """Take in a page.

        Parameters
        ----------
        number : int
            The page's number.
        page : Page
        key : callable
            What makes an item the same one on another page.

        Returns
        -------
        list
            The items that no earlier page held.

        Raises
        ------
        ServicesError
            If the server repeats itself without end.
        """
        if self._over:
            return []
        self._next = number + 1
        self._admitted += 1
        if page.total_pages is not None:
            self._end = page.total_pages
        is_empty = not page.items and not page.malformed
        if is_empty or (self._end is not None and number >= self._end):
            self._over = True
        new: list[T] = []
        for item in page.items:
            identity = key(item)
            if identity not in self._seen:
                self._seen.add(identity)
                new.append(item)
        self._stale = 0 if new else self._stale + 1
        if self._stale > _STALE_PAGES and not self._over:
            raise ServicesError(
                f"the listing repeats itself: {self._stale} pages up to page {number} hold nothing "
                "new; the server seems to ignore page_num"
            )
        return new


class Paginator(Generic[T]):
    """A listing that was asked for.

    ``await`` it for one page as a list; iterate it with ``async for`` for every
    item of every page. Iterating, pages are fetched as they are needed, several
    at once as soon as their number is known, and an item that moves to a later
    page meanwhile is not given twice. An error is raised where its page would
    have begun. Each iteration starts anew.

    Parameters
    ----------
    one : callable
        Fetches what awaiting gives.
    fetch : callable
        Fetches the page of a number, for iterating.
    key : callable
        What makes an item the same one on another page.
    first : int
        The number of the page with which iterating starts.
    """

    def __init__(
        self,
        one: Callable[[], Awaitable[list[T]]],
        fetch: Callable[[int], Awaitable[Page[T]]],
        *,
        key: Callable[[T], Hashable],
        first: int = 1,
    ) -> None:
        self._one = one
        self._fetch = fetch
        self._key = key
        self._first = first

    def __await__(self) -> Generator[object, None, list[T]]:
        return self._await().__await__()

    def __aiter__(self) -> PageIterator[T]:
        return PageIterator(self._fetch, PagePlan(self._first), self._key)

    async def _await(self) -> list[T]:
        return await self._one()


class PageIterator(Generic[T]):
    """Gives the items of a listing one by one; between two of them nothing is under way."""

    def __init__(
        self,
        fetch: Callable[[int], Awaitable[Page[T]]],
        plan: PagePlan,
        key: Callable[[T], Hashable],
    ) -> None:
        self._fetch = fetch
        self._plan = plan
        self._key = key
        self._pages: deque[tuple[int, Page[T] | Exception]] = deque()
        self._items: deque[T] = deque()

    def __aiter__(self) -> PageIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if not self._pages:
                await self._fetch_batch()
            number, page = self._pages.popleft()
            if isinstance(page, Exception):
                self._pages.clear()
                self._plan.end()
                raise page
            warn_malformed(page.malformed)
            self._items.extend(self._plan.admit(number, page, self._key))
        return self._items.popleft()

    async def _fetch_batch(self) -> None:
        numbers = self._plan.next_batch()
        if not numbers:
            raise StopAsyncIteration
        results: dict[int, Page[T] | Exception] = {}

        async def fetch(number: int) -> None:
            try:
                results[number] = await self._fetch(number)
            except Exception as exc:  # raised where its page would have begun
                results[number] = exc

        if len(numbers) == 1:
            await fetch(numbers[0])
        else:
            async with anyio.create_task_group() as group:
                for number in numbers:
                    group.start_soon(fetch, number)
        self._pages.extend((number, results[number]) for number in numbers)
