"""Looking at services with few requests."""

from functools import partial

import anyio

from aioservices import NotFoundError, RetryPolicy, ServerError, Services
from aioservices.emulator import Emulator, Respond, Stall
from aioservices.errors import ServicesError
from aioservices.fleet.discovery import ServiceCheck, ServiceIndex, ServiceSnapshot, SharedChecks
from tests.servers.waiting import PATIENCE, until


def add_services(emulator: Emulator, count: int) -> list[int]:
    return [emulator.add_service(f"added-{number}") for number in range(count)]


async def look(index: ServiceIndex, wanted: set[int]) -> dict[int, ServiceSnapshot | ServicesError]:
    """Look at services; gives by service what was seen of it."""
    found: dict[int, ServiceSnapshot | ServicesError] = {}
    await index.fetch(wanted, found.__setitem__)
    assert found.keys() >= wanted
    return {each: found[each] for each in wanted}


def numbers_of(
    snapshots: dict[int, ServiceSnapshot | ServicesError],
) -> dict[int, int | None]:
    numbers = {}
    for service_id, snapshot in snapshots.items():
        assert not isinstance(snapshot, ServicesError)
        current = snapshot.current_deployment
        numbers[service_id] = None if current is None else current.deployment_id
    return numbers


async def test_a_fleet_is_seen_with_a_request_for_each_page(
    emulator: Emulator, services: Services
) -> None:
    add_services(emulator, 197)
    wanted = set(emulator.service_ids)
    deployed = {service_id: emulator.deploy(service_id) for service_id in sorted(wanted)[::2]}
    snapshots = await look(ServiceIndex(services), wanted)
    assert numbers_of(snapshots) == {each: deployed.get(each) for each in wanted}
    assert len(emulator.requests) == 4


async def test_only_the_pages_that_matter_are_fetched_again(
    emulator: Emulator, services: Services
) -> None:
    add_services(emulator, 197)
    index = ServiceIndex(services)
    await look(index, set(emulator.service_ids))
    emulator.requests.clear()
    await look(index, {60, 70, 199})
    assert sorted(request.query["page_num"] for request in emulator.requests) == ["2", "4"]


async def test_a_few_services_of_a_large_fleet_are_asked_for_one_by_one(
    emulator: Emulator, services: Services
) -> None:
    add_services(emulator, 197)
    await look(ServiceIndex(services), {1, 200})
    assert [request.path for request in emulator.requests] == ["/services/1", "/services/200"]


async def test_many_hidden_services_cost_a_request_for_each_page(
    emulator: Emulator, services: Services
) -> None:
    wanted = {emulator.add_service("hidden", hidden=True) for _ in range(120)}
    index = ServiceIndex(services)
    await look(index, wanted)
    emulator.requests.clear()
    assert numbers_of(await look(index, wanted)) == dict.fromkeys(wanted)
    assert len(emulator.requests) == 3


async def test_services_that_no_listing_shows_are_asked_for_by_themselves(
    emulator: Emulator, services: Services
) -> None:
    archived = add_services(emulator, 5)
    for each in archived:
        await services.put_archive(each, True)
    wanted = {*archived, *add_services(emulator, 60)}
    index = ServiceIndex(services)
    await look(index, wanted)
    emulator.requests.clear()
    await look(index, wanted)
    assert len(emulator.requests) == 2 + len(archived)


async def test_a_service_that_has_moved_to_another_page_is_found_again(
    emulator: Emulator, services: Services
) -> None:
    add_services(emulator, 97)
    index = ServiceIndex(services)
    await look(index, set(emulator.service_ids))
    emulator.remove_service(1)  # so that 51 is on the first page now
    assert numbers_of(await look(index, {51})) == {51: None}


async def test_a_service_that_does_not_exist_says_so(services: Services) -> None:
    snapshots = await look(ServiceIndex(services), {1, 99})
    assert isinstance(snapshots[99], NotFoundError)
    assert not isinstance(snapshots[1], ServicesError)


async def test_a_listing_that_fails_is_reported_for_each_service(
    emulator: Emulator, services: Services
) -> None:
    emulator.fault(Respond(500), path="/services")
    add_services(emulator, 10)
    index = ServiceIndex(services.with_options(retry=RetryPolicy(max_attempts=1)))
    snapshots = await look(index, set(emulator.service_ids))
    assert {type(each) for each in snapshots.values()} == {ServerError}


async def test_a_page_that_fails_costs_only_its_own_services(
    emulator: Emulator, services: Services
) -> None:
    add_services(emulator, 197)
    index = ServiceIndex(services.with_options(retry=RetryPolicy(max_attempts=1)))
    await look(index, set(emulator.service_ids))
    emulator.fault(Respond(500), path="/services", times=1)
    snapshots = await look(index, set(emulator.service_ids))
    failed = {key for key, each in snapshots.items() if isinstance(each, ServicesError)}
    assert len(failed) == 50


async def test_a_listing_without_page_counts_is_read_to_its_end() -> None:
    async with (
        Emulator(services=70, pagination_headers=False) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        assert len(await look(ServiceIndex(services), set(emulator.service_ids))) == 70


async def test_what_a_page_shows_of_other_services_is_given_too(
    emulator: Emulator, services: Services
) -> None:
    ids = add_services(emulator, 45)
    index = ServiceIndex(services)
    await look(index, set(ids))
    found: dict[int, ServiceSnapshot | ServicesError] = {}
    await index.fetch({ids[0]}, found.__setitem__)
    assert found.keys() >= set(ids)


# Many that share looks


async def test_tasks_that_look_at_services_of_one_page_share_its_requests(
    emulator: Emulator, services: Services
) -> None:
    ids = add_services(emulator, 40)
    checks = SharedChecks(ServiceIndex(services), spacing=0.01)
    seen: dict[int, ServiceCheck] = {}
    due: dict[int, float] = {}  # of each round, the same for all tasks

    async def watch(service_id: int) -> None:
        for number in range(3):
            at = due.setdefault(number, anyio.current_time() + 0.05)
            seen[service_id] = await checks.check(service_id, due=at)

    async with anyio.create_task_group() as looking:
        looking.start_soon(checks.run)
        async with anyio.create_task_group() as watching:
            for each in ids:
                watching.start_soon(watch, each)
        looking.cancel_scope.cancel()
    assert seen.keys() == set(ids)
    assert {request.path for request in emulator.requests} == {"/services"}
    assert len(emulator.requests) <= 6


async def test_who_waits_for_later_is_given_what_an_earlier_look_shows(
    emulator: Emulator, services: Services
) -> None:
    ids = add_services(emulator, 5)
    checks = SharedChecks(ServiceIndex(services), spacing=0.01)
    async with anyio.create_task_group() as group:
        group.start_soon(checks.run)
        async with anyio.create_task_group() as first:  # so that they are known to share a page
            for each in ids:
                first.start_soon(partial(checks.check, each, due=0.0))
        given: list[ServiceCheck] = []

        async def wait_for_later() -> None:
            given.append(await checks.check(ids[1], due=anyio.current_time() + 3600))

        group.start_soon(wait_for_later)
        await anyio.sleep(0)
        await checks.check(ids[0], due=anyio.current_time())
        while not given:
            await anyio.sleep(0.001)
        group.cancel_scope.cancel()
    assert not isinstance(given[0].snapshot, ServicesError)


async def test_without_anybody_who_waits_nothing_is_asked_for(
    emulator: Emulator, services: Services
) -> None:
    checks = SharedChecks(ServiceIndex(services), spacing=0.001)
    with anyio.move_on_after(0.05):
        await checks.run()
    assert not emulator.requests


async def test_several_tasks_may_wait_for_one_service(services: Services) -> None:
    checks = SharedChecks(ServiceIndex(services), spacing=0.01)
    given: list[ServiceCheck] = []

    async def wait() -> None:
        given.append(await checks.check(1, due=0.0))

    async with anyio.create_task_group() as checking:
        checking.start_soon(checks.run)
        async with anyio.create_task_group() as waiting:
            for _ in range(3):
                waiting.start_soon(wait)
        checking.cancel_scope.cancel()
    assert len(given) == 3


async def test_a_page_that_does_not_come_holds_up_only_its_own_services(
    emulator: Emulator, services: Services
) -> None:
    ids = add_services(emulator, 97)  # with those of the fixture, two pages
    index = ServiceIndex(services)
    await look(index, set(ids))
    checks = SharedChecks(index, spacing=0.001)
    fault = emulator.fault(Stall(), path="/services", times=1)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(checks.run)
            group.start_soon(partial(checks.check, ids[0], due=0.0))
            await until(lambda: fault.hits)
            for _ in range(3):
                await checks.check(ids[-1], due=anyio.current_time())
            group.cancel_scope.cancel()


async def test_what_was_seen_a_moment_ago_may_do(emulator: Emulator, services: Services) -> None:
    checks = SharedChecks(ServiceIndex(services), spacing=0.001)
    async with anyio.create_task_group() as group:
        group.start_soon(checks.run)
        first = await checks.check(1, due=0.0, max_age=3600)
        assert await checks.check(1, due=0.0, max_age=3600) is first
        assert await checks.check(1, due=0.0) is not first
        group.cancel_scope.cancel()
    assert len(emulator.requests) == 2
