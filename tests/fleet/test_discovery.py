"""Looking at services with few requests."""

import pytest

from aioservices import NotFoundError, RetryPolicy, ServerError, Services
from aioservices.emulator import Emulator, Respond
from aioservices.errors import ServicesError
from aioservices.fleet.discovery import Roster, Sight


def add_services(emulator: Emulator, count: int) -> list[int]:
    return [emulator.add_service(f"added-{number}") for number in range(count)]


def numbers_of(sights: dict[int, Sight | ServicesError]) -> dict[int, int | None]:
    numbers = {}
    for service_id, sight in sights.items():
        assert not isinstance(sight, ServicesError)
        current = sight.current_deployment
        numbers[service_id] = None if current is None else current.deployment_id
    return numbers


async def test_a_fleet_is_seen_with_a_request_for_each_page(
    emulator: Emulator, services: Services
) -> None:
    add_services(emulator, 197)
    wanted = set(emulator.service_ids)
    deployed = {service_id: emulator.deploy(service_id) for service_id in sorted(wanted)[::2]}
    sights = await Roster(services).look(wanted)
    assert numbers_of(sights) == {each: deployed.get(each) for each in wanted}
    assert len(emulator.requests) == 4


async def test_only_the_pages_that_matter_are_fetched_again(
    emulator: Emulator, services: Services
) -> None:
    add_services(emulator, 197)
    roster = Roster(services)
    await roster.look(set(emulator.service_ids))
    emulator.requests.clear()
    sights = await roster.look({60, 70, 199}, thrifty=True)
    assert sights.keys() == {60, 70, 199}
    assert sorted(request.query["page_num"] for request in emulator.requests) == ["2", "4"]


async def test_a_few_services_of_a_large_fleet_are_asked_for_one_by_one(
    emulator: Emulator, services: Services
) -> None:
    add_services(emulator, 197)
    sights = await Roster(services).look({1, 200})
    assert sights.keys() == {1, 200}
    assert [request.path for request in emulator.requests] == ["/services/1", "/services/200"]


async def test_services_that_the_listing_does_not_show_are_asked_for_by_themselves(
    emulator: Emulator, services: Services
) -> None:
    hidden = [emulator.add_service("hidden", hidden=True) for _ in range(2)]
    wanted = {*hidden, *add_services(emulator, 60)}
    roster = Roster(services)
    for _ in range(2):
        emulator.requests.clear()
        sights = await roster.look(wanted)
        assert sights.keys() == wanted
        assert len(emulator.requests) == 2 + len(hidden)


async def test_a_thrifty_look_takes_those_in_turn(emulator: Emulator, services: Services) -> None:
    hidden = {emulator.add_service("hidden", hidden=True) for _ in range(25)}
    roster = Roster(services)
    await roster.look(hidden)
    seen = [set(await roster.look(hidden, thrifty=True)) for _ in range(3)]
    assert [len(each) for each in seen] == [10, 10, 10]
    assert set().union(*seen) == hidden


async def test_a_service_that_has_moved_to_another_page_is_found_again(
    emulator: Emulator, services: Services
) -> None:
    add_services(emulator, 97)
    roster = Roster(services)
    await roster.look(set(emulator.service_ids))
    emulator.remove_service(1)  # so that 51 is on the first page now
    assert (await roster.look({51}, thrifty=True)).keys() == {51}


async def test_a_service_that_does_not_exist_says_so(services: Services) -> None:
    sights = await Roster(services).look({1, 99})
    assert isinstance(sights[99], NotFoundError)
    assert not isinstance(sights[1], ServicesError)


async def test_a_listing_that_fails_is_told_as_itself(
    emulator: Emulator, services: Services
) -> None:
    emulator.fault(Respond(500), path="/services")
    add_services(emulator, 10)
    roster = Roster(services.with_options(retry=RetryPolicy(max_attempts=1)))
    with pytest.raises(ServerError):
        await roster.look(set(emulator.service_ids))


async def test_a_listing_without_page_counts_is_read_to_its_end() -> None:
    async with (
        Emulator(services=70, pagination_headers=False) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        sights = await Roster(services).look(set(emulator.service_ids))
        assert len(sights) == 70
