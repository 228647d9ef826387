"""Pages that are asked for while others are worked on."""

from collections.abc import Iterator

import anyio
import pytest

from aioservices.tail.pipeline import read_ahead

from .conftest import running


class Server:
    """Answers a request when it is told to."""

    def __init__(self, count: int, *, ahead: int) -> None:
        self.under_way: dict[int, anyio.Event] = {}
        self.taken: list[int] = []
        self.log: list[str] = []
        self._left: Iterator[int] = iter(range(count))
        self.ahead = ahead

    def next_request(self, outstanding: int) -> int | None:
        return next(self._left, None) if outstanding <= self.ahead else None

    async def fetch(self, request: int) -> str:
        self.log.append(f"ask {request}")
        await self.under_way.setdefault(request, anyio.Event()).wait()
        self.log.append(f"decode {request}")
        return f"page {request}"

    async def take(self, request: int, page: str) -> None:
        assert page == f"page {request}"
        self.taken.append(request)

    def answer(self, *requests: int) -> None:
        for request in requests:
            self.under_way.setdefault(request, anyio.Event()).set()


@pytest.mark.parametrize("ahead", [0, 1, 3])
async def test_every_page_is_taken_once(ahead: int) -> None:
    server = Server(20, ahead=ahead)
    server.answer(*range(20))
    await read_ahead(server.next_request, server.fetch, server.take)
    assert sorted(server.taken) == list(range(20))


async def test_the_next_page_is_asked_for_before_one_is_decoded() -> None:
    server = Server(3, ahead=1)
    server.answer(*range(3))
    await read_ahead(server.next_request, server.fetch, server.take)
    assert server.log.index("ask 1") < server.log.index("decode 0")


async def test_no_more_than_asked_for_are_outstanding() -> None:
    server = Server(10, ahead=2)
    async with anyio.create_task_group() as group:
        group.start_soon(read_ahead, server.next_request, server.fetch, server.take)
        await anyio.wait_all_tasks_blocked()
        assert list(server.under_way) == [0, 1, 2]
        server.answer(1)
        await anyio.wait_all_tasks_blocked()
        assert list(server.under_way) == [0, 1, 2, 3]
        assert server.taken == [1]
        server.answer(*range(10))


@pytest.mark.parametrize("where", ["fetch", "take"])
async def test_an_error_is_raised_as_it_is_and_leaves_nothing_behind(where: str) -> None:
    server = Server(5, ahead=2)
    server.answer(0)
    before = running()

    async def fail(*_: object) -> None:
        raise KeyError("mine")

    fetch, take = (fail, server.take) if where == "fetch" else (server.fetch, fail)
    with pytest.raises(KeyError, match="mine"):
        await read_ahead(server.next_request, fetch, take)
    assert running() == before


async def test_one_that_is_cancelled_leaves_nothing_behind() -> None:
    server = Server(5, ahead=2)
    before = running()
    with anyio.move_on_after(0.01) as scope:
        await read_ahead(server.next_request, server.fetch, server.take)
    assert scope.cancelled_caught
    assert running() == before
