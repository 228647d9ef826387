"""Listings: which pages are fetched, which items are given, and what is left behind."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.api.pagination import Page, PagePlan, total_pages
from aioservices.client import Services
from aioservices.emulator import Emulator
from aioservices.errors import (
    MalformedEntryWarning,
    NotFoundError,
    ResponseDecodeError,
    ServicesError,
)
from aioservices.http.retry import RetryPolicy
from tests.servers.hostile import Behaviour, HostileServer, Request, Writer, answer, hostile
from tests.servers.waiting import PATIENCE

AHEAD = 32


class Listing:
    """A server's listing of numbers that may move while it is read."""

    def __init__(self, items: list[int], size: int, *, counted: bool) -> None:
        self.items = items
        self.size = size
        self.counted = counted
        self.asked: list[int] = []

    def page(self, number: int) -> Page[int]:
        self.asked.append(number)
        total = -(-len(self.items) // self.size)
        items = self.items[(number - 1) * self.size : number * self.size]
        if not self.counted:
            return Page(items)
        return Page(items, total, total_entries=len(self.items))


def batches(plan: PagePlan) -> Iterator[range]:
    while numbers := plan.next_batch():
        yield numbers


def read(listing: Listing, plan: PagePlan) -> list[int]:
    """Read a listing as a PageIterator does: a whole batch is fetched, then admitted in order."""
    given: list[int] = []
    for numbers in batches(plan):
        assert len(numbers) <= AHEAD
        for number, page in [(number, listing.page(number)) for number in numbers]:
            given += plan.filter_new(number, page, lambda item: item)
    return given


listings = st.builds(
    Listing,
    st.lists(st.integers(), unique=True, max_size=200),
    st.integers(1, 20),
    counted=st.booleans(),
)


@given(listings)
def test_everything_is_given_once_in_order(listing: Listing) -> None:
    assert read(listing, PagePlan()) == listing.items


@given(listings)
def test_no_page_is_asked_for_twice_or_beyond_the_first_that_is_empty(listing: Listing) -> None:
    read(listing, PagePlan())
    last = -(-len(listing.items) // listing.size)
    beyond = 0 if listing.counted and listing.items else 1
    assert listing.asked == list(range(1, last + beyond + 1))


@given(listings, st.integers(1, 30))
def test_reading_starts_at_the_first_page_that_is_wanted(listing: Listing, first: int) -> None:
    assert read(listing, PagePlan(first)) == listing.items[(first - 1) * listing.size :]
    assert listing.asked[0] == first


@given(st.lists(st.integers(0, 99), unique=True, max_size=30), st.integers(1, 5), st.data())
def test_items_that_move_to_later_pages_are_given_once(
    items: list[int], size: int, data: st.DataObject
) -> None:
    """New items at the front push the others back, between any two pages."""
    plan, given_items = PagePlan(), list[int]()
    listing = Listing(list(items), size, counted=data.draw(st.booleans()))
    newcomers = itertools.count(100)
    for numbers in batches(plan):
        pages = []
        for number in numbers:
            pages.append((number, listing.page(number)))
            for _ in range(data.draw(st.integers(0, min(2, size - 1)))):
                listing.items.insert(0, next(newcomers))
        for number, page in pages:
            given_items += plan.filter_new(number, page, lambda item: item)
    assert set(items) <= set(given_items)
    assert len(given_items) == len(set(given_items))


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 50), max_size=4), st.none() | st.integers(-5, 40)))
)
def test_page_counts_that_lie_or_change_cost_no_more_than_they_promise(
    answers: list[tuple[list[int], int | None]],
) -> None:
    plan, given_items, asked = PagePlan(), list[int](), 0
    for numbers in batches(plan):
        assert len(numbers) <= AHEAD
        for number in numbers:
            asked += 1
            items, total = answers[number - 1] if number <= len(answers) else ([], None)
            given_items += plan.filter_new(number, Page(items, total), lambda item: item)
    assert len(given_items) == len(set(given_items))
    assert asked <= len(answers) + AHEAD


def test_a_page_count_that_falls_ends_the_reading_there() -> None:
    plan = PagePlan()
    plan.filter_new(1, Page([1], 10), lambda item: item)
    assert plan.next_batch() == range(2, 11)
    assert plan.filter_new(2, Page([2], 2), lambda item: item) == [2]
    assert plan.filter_new(3, Page([3], 2), lambda item: item) == [3]  # it was fetched anyway
    assert not plan.next_batch()


@given(
    st.integers(0, 120),
    st.integers(1, 20),
    st.integers(1, 3),
    st.lists(st.booleans(), min_size=120, max_size=120),
)
def test_items_that_leave_the_listing_when_they_are_given_hide_none_of_the_others(
    count: int, size: int, first: int, leaves: list[bool]
) -> None:
    """The loop takes some items out, each as soon as it is given."""
    listing = Listing(list(range(count)), size, counted=True)
    plan, given_items = PagePlan(first, size), list[int]()
    for numbers in batches(plan):
        for number, page in [(number, listing.page(number)) for number in numbers]:
            for item in plan.filter_new(number, page, lambda item: item):
                given_items.append(item)
                if leaves[item]:
                    listing.items.remove(item)
    assert len(given_items) == len(set(given_items))
    if first == 1:
        assert sorted(given_items) == list(range(count))


def test_a_total_that_is_never_reached_costs_one_more_pass() -> None:
    plan = PagePlan()
    asked: list[int] = []
    for numbers in batches(plan):
        for number in numbers:
            asked.append(number)
            plan.filter_new(number, Page([number], 3, total_entries=1000), lambda item: item)
    assert asked == [1, 2, 3, 1, 2, 3]


def test_a_malformed_entry_is_not_missed() -> None:
    plan = PagePlan()
    odd = MalformedEntryWarning("GET", "services", 2, "name", "wrong")
    plan.filter_new(1, Page([1], 1, [odd], total_entries=2), lambda item: item)
    assert not plan.next_batch()


def test_a_page_count_that_rises_is_followed() -> None:
    plan = PagePlan()
    plan.filter_new(1, Page([1], 2), lambda item: item)
    assert plan.next_batch() == range(2, 3)
    plan.filter_new(2, Page([2], 3), lambda item: item)
    assert plan.next_batch() == range(3, 4)


def test_pages_are_not_counted_as_read_before_they_are_admitted() -> None:
    plan = PagePlan()
    plan.filter_new(1, Page([1], 10), lambda item: item)
    assert plan.next_batch() == plan.next_batch()


@given(st.integers(1, 5), st.integers(1, 50))
def test_a_server_that_ignores_page_num_is_found_out(first: int, size: int) -> None:
    plan = PagePlan(first)
    asked: list[int] = []

    def read_on() -> None:
        for (number,) in batches(plan):
            asked.append(number)
            new = plan.filter_new(number, Page(list(range(size))), lambda item: item)
            assert new == (list(range(size)) if number == first else [])

    with pytest.raises(ServicesError, match="ignore page_num"):
        read_on()
    assert len(asked) < 50


@pytest.mark.parametrize(
    ("headers", "count"),
    [
        ({"X-Pagination-Total-Pages": "7"}, 7),
        ({"X-Pagination-Total-Pages": "many"}, None),
        ({}, None),
    ],
)
def test_the_number_of_pages_is_read_from_the_headers(
    headers: Mapping[str, str], count: int | None
) -> None:
    assert total_pages(headers) == count


# -- over real sockets -------------------------------------------------------------------------


def page_number(request: Request) -> int:
    return int(parse_qs(urlsplit(request.target).query)["page_num"][0])


class Pages:
    """Serves a listing of services, one on each page; some pages misbehave."""

    def __init__(self, count: int, *, counted: bool = True, **special: Behaviour) -> None:
        self.count = count
        self.counted = counted
        self.special = special
        self.now = self.most = 0

    async def __call__(self, request: Request, writer: Writer) -> None:
        number = page_number(request)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.002)
            total = str(self.count)
            counts = {"X-Pagination-Total-Pages": total, "X-Pagination-Total-Entries": total}
            headers = counts if self.counted else {}
            items = [{"id": number}] if number <= self.count else []
            behave = self.special.get(f"page{number}", answer(items, headers=headers))
            await behave(request, writer)
        finally:
            self.now -= 1


def session(server: HostileServer) -> Services:
    return Services("key", base_url=server.url, retry=RetryPolicy(max_attempts=1))


def other_tasks() -> set[asyncio.Task[object]]:
    tasks: set[asyncio.Task[object]] = asyncio.all_tasks()
    return {task for task in tasks if "hostile" not in repr(task.get_coro())}


@pytest.mark.parametrize("counted", [True, False])
async def test_a_listing_is_read_to_its_end(counted: bool) -> None:
    pages = Pages(30, counted=counted)
    async with hostile(pages) as server, session(server) as services:
        assert [service.id async for service in services.list()] == list(range(1, 31))
        assert len(server.requests) == (30 if counted else 31)
        assert 1 <= pages.most <= (AHEAD if counted else 1)


async def test_pages_are_fetched_at_once_when_their_number_is_known() -> None:
    together = anyio.Event()
    seen: list[int] = []

    async def serve(request: Request, writer: Writer) -> None:
        number = page_number(request)
        seen.append(number)
        if len(seen) == 5:
            together.set()
        if number > 1:
            await together.wait()  # pages one after the other would never come
        headers = {"X-Pagination-Total-Pages": "5"}
        await answer([{"id": number}], headers=headers)(request, writer)

    async with hostile(serve) as server, session(server) as services:
        with anyio.fail_after(PATIENCE):
            assert [service.id async for service in services.list()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("is_counted", [True, False])
async def test_a_loop_that_changes_the_listing_gets_every_service(is_counted: bool) -> None:
    async with (
        Emulator(services=0, pagination_headers=is_counted) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        ids = {emulator.add_service(f"service {number}") for number in range(230)}
        deployed = set[int]()
        async for service in services.list(status="idle"):
            await services.post_deployments(service.id)
            assert service.id not in deployed
            deployed.add(service.id)
        assert deployed == ids


@pytest.mark.parametrize("is_counted", [True, False])
async def test_a_loop_that_adds_to_the_listing_ends(is_counted: bool) -> None:
    async with (
        Emulator(services=120, pagination_headers=is_counted) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        given: list[int] = []
        async for service in services.list():
            given.append(service.id)
            await services.post_clone(service.id)
            assert len(given) <= 240  # a new one may be among those of a later page
        assert set(range(1, 121)) <= set(given)
        assert len(given) == len(set(given))


async def test_a_listing_that_is_not_counted_is_read_whole_before_an_item_is_given() -> None:
    pages = Pages(3, counted=False, page3=answer(b"", status=404))
    async with hostile(pages) as server, session(server) as services:
        iterator = aiter(services.list())
        assert (await anext(iterator)).id == 1
        assert len(server.requests) == 3
        assert (await anext(iterator)).id == 2
        for expected in (NotFoundError, StopAsyncIteration):
            with pytest.raises(expected):
                await anext(iterator)


async def test_an_error_is_raised_where_its_page_would_have_begun() -> None:
    pages = Pages(10, page4=answer(b"", status=404))
    async with hostile(pages) as server, session(server) as services:
        iterator = aiter(services.list())
        assert [(await anext(iterator)).id for _ in range(3)] == [1, 2, 3]
        with pytest.raises(NotFoundError):
            await anext(iterator)
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)


async def test_a_page_that_is_no_page_is_an_error_with_its_place() -> None:
    pages = Pages(3, page2=answer({"id": 2}))
    async with hostile(pages) as server, session(server) as services:
        with pytest.raises(ResponseDecodeError, match="GET services"):
            [service async for service in services.list()]


async def test_a_listing_that_is_left_early_leaves_no_task_and_asks_for_no_more() -> None:
    async with hostile(Pages(100)) as server, session(server) as services:
        before = other_tasks()
        async for service in services.list():
            if service.id == 2:
                break
        assert other_tasks() == before
        asked = len(server.requests)
        assert asked <= 1 + AHEAD
        await asyncio.sleep(0.02)
        assert len(server.requests) == asked


async def test_an_iteration_cancelled_among_its_pages_leaves_no_task_and_loses_nothing() -> None:
    stalled = asyncio.Event()
    let_go = asyncio.Event()

    async def third(request: Request, writer: Writer) -> None:
        stalled.set()
        await let_go.wait()
        headers = {"X-Pagination-Total-Pages": "10", "X-Pagination-Total-Entries": "10"}
        await answer([{"id": 3}], headers=headers)(request, writer)

    async with hostile(Pages(10, page3=third)) as server, session(server) as services:
        before = other_tasks()
        iterator = aiter(services.list())
        assert (await anext(iterator)).id == 1
        async with anyio.create_task_group() as group:
            group.start_soon(anext, iterator)
            await stalled.wait()
            group.cancel_scope.cancel()
        assert other_tasks() == before
        let_go.set()
        assert [service.id async for service in iterator] == list(range(2, 11))


async def test_each_iteration_starts_again() -> None:
    async with hostile(Pages(3)) as server, session(server) as services:
        listing = services.list()
        assert [service.id async for service in listing] == [1, 2, 3]
        assert [service.id async for service in listing] == [1, 2, 3]


async def test_awaiting_a_listing_is_one_request() -> None:
    async with hostile(answer([{"id": 1}])) as server, session(server) as services:
        assert [service.id for service in await services.list()] == [1]
        assert len(server.requests) == 1
