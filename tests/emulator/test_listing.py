"""Pages, filters, order."""

from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.emulator import Emulator
from aioservices.emulator.deployments import Deployment, Lifecycle
from aioservices.emulator.routes import Api, Request
from aioservices.emulator.schemas import NewAttributes
from aioservices.emulator.state import Service, State
from tests.emulator.conftest import Client


class Platform:
    """An API whose time is handed in."""

    def __init__(self) -> None:
        self.now = 1_800_000_000 * 10**9
        self.state = State(lifecycle=Lifecycle(), on_start=self._ignore, on_stop=self._ignore)
        self.api = Api(state=self.state)

    def _ignore(self, *_: Service | Deployment) -> None:
        pass

    def create(self, name: str, *, author: int = 1, hidden: bool = False) -> Service:
        self.now += 10**9
        attributes = NewAttributes(name=name, hidden=hidden)
        return self.state.create(self.now, attributes, author=author)

    def page(self, query: str = "", path: str = "/services") -> list[dict[str, Any]]:
        reply = self.api.handle(Request("GET", path, query), self.now)
        assert reply.status == 200, reply.content
        return msgspec.json.decode(reply.content, type=list[dict[str, Any]])

    def names(self, query: str = "") -> list[str]:
        return [service["name"] for service in self.page(query)]


@pytest.fixture
def platform() -> Platform:
    return Platform()


@given(st.integers(0, 12), st.integers(1, 5), st.sampled_from(["asc", "desc"]))
def test_the_pages_together_are_the_whole(count: int, limit: int, direction: str) -> None:
    platform = Platform()
    for number in range(count):
        platform.create(f"{number * 7 % 13:02d}")
    seen: list[str] = []
    for page in range(1, count + 2):
        query = f"limit={limit}&page_num={page}&order=name&order_dir={direction}"
        seen += platform.names(query)
    assert len(seen) == count
    assert seen == sorted(set(seen), reverse=direction == "desc")


@pytest.mark.parametrize(("limit", "size"), [("", 20), ("limit=30", 30), ("limit=1000", 50)])
def test_a_page_has_20_unless_more_is_asked_for_and_never_more_than_50(
    platform: Platform, limit: str, size: int
) -> None:
    for number in range(60):
        platform.create(f"service-{number}")
    assert len(platform.page(limit)) == size


def test_what_was_updated_last_comes_first(platform: Platform) -> None:
    first, _second = platform.create("first"), platform.create("second")
    assert platform.names() == ["second", "first"]
    platform.now += 10**9
    platform.state.update(platform.now, first, NewAttributes(name="first"))
    assert platform.names() == ["first", "second"]
    assert platform.names("order=created_at") == ["second", "first"]
    assert platform.names("order=name&order_dir=asc") == ["first", "second"]


def test_hidden_services_are_listed_only_when_they_are_asked_for(platform: Platform) -> None:
    platform.create("shown")
    platform.create("hidden", hidden=True)
    assert platform.names() == ["shown"]
    assert platform.names("hidden=true") == ["hidden"]


def test_archived_services_are_listed_only_when_they_are_asked_for(platform: Platform) -> None:
    platform.create("kept")
    platform.state.archive(platform.now, platform.create("archived"), archived=True)
    assert platform.names() == platform.names("archived=") == ["kept"]
    assert platform.names("archived=true") == ["archived"]
    assert sorted(platform.names("archived=all")) == ["archived", "kept"]


def test_authors_are_a_list_of_users(platform: Platform) -> None:
    for author in (1, 2, 3):
        platform.create(f"by-{author}", author=author)
    assert sorted(platform.names("author=2,3")) == ["by-2", "by-3"]
    assert platform.names("author=4") == []


def test_a_service_is_running_while_its_deployment_is(platform: Platform) -> None:
    running, _idle = platform.create("running"), platform.create("idle")
    platform.state.deploy(platform.now, running)
    assert sorted(platform.names("status=idle")) == ["idle", "running"]
    platform.now += 10**9
    assert platform.names("status=running") == ["running"]
    assert platform.names("status=idle") == ["idle"]
    assert len(platform.names("status=running,idle")) == 2


def test_deployments_are_listed_from_the_last_to_the_first(platform: Platform) -> None:
    service = platform.create("web")
    made = [platform.state.deploy(platform.now, service).id for _ in range(3)]
    path = f"/services/{service.details.id}/deployments"
    assert [d["deploymentId"] for d in platform.page(path=path)] == made[::-1]
    assert [d["deploymentId"] for d in platform.page("order_dir=asc&limit=2", path)] == made[:2]
    assert [d["deploymentId"] for d in platform.page(f"deployment_id={made[1]}", path)] == [made[1]]


async def test_headers_describe_the_pages(client: Client, emulator: Emulator) -> None:
    for number in range(7):
        emulator.add_service(f"service-{number}")
    headers = (await client.call("GET", "/services", params={"limit": 3, "page_num": 2})).headers
    pagination = {
        name: value for name, value in headers.items() if name.startswith("X-Pagination-")
    }
    assert pagination == {
        "X-Pagination-Current-Page": "2",
        "X-Pagination-Total-Pages": "3",
        "X-Pagination-Per-Page": "3",
        "X-Pagination-Total-Entries": "7",
    }


async def test_headers_can_be_left_out(session: aiohttp.ClientSession) -> None:
    async with Emulator(services=3, pagination_headers=False) as emulator:
        answer = await Client(emulator, session).call("GET", "/services")
        assert len(answer.json) == 3
        assert not [name for name in answer.headers if name.startswith("X-Pagination")]
