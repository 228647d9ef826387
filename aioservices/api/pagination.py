"""Listings: one page when awaited, every item when iterated.

Theory of operation
-------------------
A page is a slice of the listing at the time of the request. When an item leaves the listing, all
later items move forward, and some move from a page that has not been read to one that has. So
``async for s in services.list(status="idle")`` with a deploy in its body, which takes each service
out of the listing, would miss many. Therefore one pass over the pages is not the end. The first
page says how many items there are. As long as fewer have been seen, and the last pass has found new
ones, the pages are read again from the first. Items that were returned before are skipped.

Example: 230 items on pages of 50, and each returned item leaves the listing. Page 1 has 50 items;
page 2 of the remaining 180 misses the 50 that are on page 1 now, and so on. The next pass finds
them.

The number on the first page is the limit, not that on later pages. Otherwise a loop that adds to
the listing, for example by cloning each service, would also get what it has added, and never end.

If the server does not say how many items there are, another pass could not know when to end. So
such a listing is read to its end before the first item is returned, and the loop cannot change it.
Items that others move during the short time of that reading may be missed.

As soon as the number of pages is known, all of them are fetched at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec
from multidict import istr

from aioservices.errors import MalformedEntryWarning, ServicesError
from aioservices.http.response import RawResponse, decode_lenient, parse_count, warn_malformed

__all__ = ["Page", "PagePlan", "Paginator", "read_page", "total_pages"]

T = TypeVar("T")

_TOTAL_PAGES = istr("X-Pagination-Total-Pages")
_TOTAL_ENTRIES = istr("X-Pagination-Total-Entries")

DEFAULT_PAGE_SIZE = 50  # the server's maximum
_MOST_AT_ONCE = 32  # pages
# A listing without page counts ends at its first empty page. A server that
# ignores page_num never sends one.
_STALE_PAGES = 20


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a listing.

    Attributes
    ----------
    items : list
    total_pages : int or None
        How many pages there are, if the server says so.
    malformed : sequence of MalformedEntryWarning
        Further entries of the page that could not be decoded.
    total_entries : int or None
        How many items there are on all pages, if the server says so.
    """

    items: list[T]
    total_pages: int | None = None
    malformed: Sequence[MalformedEntryWarning] = ()
    total_entries: int | None = None


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
    headers = response.headers
    return Page(items, total_pages(headers), malformed, parse_count(headers.get(_TOTAL_ENTRIES)))


def total_pages(headers: Mapping[str, str]) -> int | None:
    """Read how many pages a listing has from the headers of one of them."""
    return parse_count(headers.get(_TOTAL_PAGES))


class PagePlan:
    """Which pages to fetch next, and which of their items are new.

    Arithmetic only: the pages are handed in, in their order.

    Parameters
    ----------
    first : int
        The number of the first page.
    size : int
        How many items a page holds.
    """

    def __init__(self, first: int = 1, size: int = DEFAULT_PAGE_SIZE) -> None:
        self._first = self._next = first
        self._skipped = (first - 1) * size  # items that are skipped
        self._end: int | None = None  # number of the last page, if known
        self._total: int | None = None  # how many items there are, by the first page
        self._seen: set[Hashable] = set()
        self._is_over = False
        self._is_repeated = False  # whether this is not the first pass
        self._pass_is_over = False
        self._new_in_pass = 0
        self._malformed_in_pass = 0
        self._stale = 0

    def next_batch(self) -> range:
        """The numbers of the pages to fetch at once; empty when the listing is at its end."""
        if self._pass_is_over and not self._is_over:
            self._begin_pass_or_end()
        if self._is_over:
            return range(0)
        size = 1
        if self._end is not None:
            size = max(1, min(_MOST_AT_ONCE, self._end - self._next + 1))
        return range(self._next, self._next + size)

    @property
    def is_read_whole(self) -> bool:
        """Whether all pages have to be read before an item is returned, and are not yet."""
        return self._total is None and not (self._pass_is_over or self._is_over)

    def end(self) -> None:
        """Fetch nothing more."""
        self._is_over = True

    def filter_new(self, number: int, page: Page[T], key: Callable[[T], Hashable]) -> list[T]:
        """Record a page.

        Parameters
        ----------
        number : int
            The page's number.
        page : Page
        key : callable
            Identifies an item.

        Returns
        -------
        list
            The items that were on no earlier page.

        Raises
        ------
        ServicesError
            If the server repeats the same pages without end.
        """
        if self._is_over:
            return []
        self._next = number + 1
        if page.total_pages is not None:
            self._end = page.total_pages
        if number == self._first and not self._is_repeated:
            self._total = page.total_entries
        is_empty = not page.items and not page.malformed
        if is_empty or (self._end is not None and number >= self._end):
            self._pass_is_over = True
        self._malformed_in_pass += len(page.malformed)
        new: list[T] = []
        for item in page.items:
            identity = key(item)
            if identity not in self._seen:
                self._seen.add(identity)
                new.append(item)
        self._new_in_pass += len(new)
        self._stale = 0 if new else self._stale + 1
        if self._stale > _STALE_PAGES and not self._pass_is_over:
            self._stop_repetition(number)
        return new

    def _begin_pass_or_end(self) -> None:
        known = len(self._seen) + self._malformed_in_pass + self._skipped
        if not self._new_in_pass or self._total is None or known >= self._total:
            self._is_over = True
            return
        self._next = self._first
        self._is_repeated = True
        self._pass_is_over = False
        self._new_in_pass = self._malformed_in_pass = self._stale = 0

    def _stop_repetition(self, number: int) -> None:
        """End a pass that has found nothing new for many pages."""
        if self._is_repeated:
            # Most of what a repeated pass reads is known. It ends with its last page, if known.
            self._pass_is_over = self._end is None
            return
        raise ServicesError(
            f"the listing repeats itself: {self._stale} pages up to page {number} have nothing "
            "new; the server seems to ignore page_num"
        )


class Paginator(Generic[T]):
    """A listing.

    ``await`` it for one page as a list; iterate it with ``async for`` for every
    item of every page. Iterating, pages are fetched as they are needed, all at
    once as soon as their number is known. The body of the loop may change the
    listing: every item that was there at the beginning is returned once. If fewer
    were seen than the server's first page said, the pages are read again until
    no new items come; if it did not say so, all pages are read before the first
    item is returned. An error is raised where its page would have begun. Each
    iteration starts from the beginning.

    Parameters
    ----------
    one : callable
        Fetches the result of awaiting.
    fetch : callable
        Fetches the page of a number, for iterating.
    key : callable
        Identifies an item.
    first : int
        The number of the page with which iterating starts.
    size : int
        How many items a page holds when iterating.
    """

    def __init__(
        self,
        one: Callable[[], Awaitable[list[T]]],
        fetch: Callable[[int], Awaitable[Page[T]]],
        *,
        key: Callable[[T], Hashable],
        first: int = 1,
        size: int = DEFAULT_PAGE_SIZE,
    ) -> None:
        self._size = size
        self._one = one
        self._fetch = fetch
        self._key = key
        self._first = first

    def __await__(self) -> Generator[object, None, list[T]]:
        return self._await().__await__()

    def __aiter__(self) -> PageIterator[T]:
        return PageIterator(self._fetch, PagePlan(self._first, self._size), self._key)

    async def _await(self) -> list[T]:
        return await self._one()


class PageIterator(Generic[T]):
    """Returns the items of a listing one by one; between two of them nothing is in progress."""

    def __init__(
        self,
        fetch: Callable[[int], Awaitable[Page[T]]],
        plan: PagePlan,
        key: Callable[[T], Hashable],
    ) -> None:
        self._fetch_page = fetch
        self._plan = plan
        self._key = key
        self._pages: deque[tuple[int, Page[T] | Exception]] = deque()
        self._items: deque[T] = deque()
        self._error: Exception | None = None

    def __aiter__(self) -> PageIterator[T]:
        return self

    async def __anext__(self) -> T:
        while self._plan.is_read_whole or not self._items:
            if not self._pages:
                numbers = self._plan.next_batch()
                if not numbers:
                    break
                await self._fetch(numbers)
            number, page = self._pages.popleft()
            if isinstance(page, Page):
                warn_malformed(page.malformed)
                self._admit(number, page)
            else:
                self._end(page)
        if self._items:
            return self._items.popleft()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        raise StopAsyncIteration

    def _admit(self, number: int, page: Page[T]) -> None:
        try:
            self._items.extend(self._plan.filter_new(number, page, self._key))
        except ServicesError as exc:
            self._end(exc)

    def _end(self, error: Exception) -> None:
        """Yield what was read, then raise an error."""
        self._error = error
        self._pages.clear()
        self._plan.end()

    async def _fetch(self, numbers: range) -> None:
        results: dict[int, Page[T] | Exception] = {}

        async def fetch(number: int) -> None:
            try:
                results[number] = await self._fetch_page(number)
            except Exception as exc:  # raised where its page would have begun
                results[number] = exc

        if len(numbers) == 1:
            await fetch(numbers[0])
        else:
            async with asyncio.TaskGroup() as group:
                for number in numbers:
                    group.create_task(fetch(number))
        self._pages.extend((number, results[number]) for number in numbers)
