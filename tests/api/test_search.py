"""Finding services by their names."""

from typing import Any

import pytest

from aioservices import Services
from aioservices.emulator import Emulator


@pytest.fixture(autouse=True)
def fleet(emulator: Emulator) -> None:
    for number in range(60):
        emulator.add_service(f"batch-{number:02}")
    emulator.add_service("Dashboard", deployed=True)
    emulator.add_service("web [prod]")
    emulator.add_service("dashboard-old", hidden=True)


async def names(services: Services, *terms: str | int, **options: Any) -> list[str | None]:
    return [service.name for service in await services.find(*terms, **options)]


async def test_a_name_finds_its_service(services: Services) -> None:
    assert await names(services, "dashboard") == ["Dashboard"]
    assert await names(services, "web [prod]") == ["web [prod]"]


async def test_an_id_finds_its_service_as_a_number_and_in_digits(services: Services) -> None:
    assert await names(services, 3) == await names(services, "3") == ["batch-02"]


async def test_a_pattern_finds_services_of_every_page(services: Services) -> None:
    assert sorted(map(str, await names(services, "batch-*"))) == [
        f"batch-{number:02}" for number in range(60)
    ]


async def test_services_come_in_the_order_of_the_terms_and_once(services: Services) -> None:
    assert await names(services, "dash*", "batch-07", "batch-0[67]", "nobody") == [
        "Dashboard",
        "batch-07",
        "batch-06",
    ]


async def test_a_search_can_be_iterated(services: Services) -> None:
    assert [each.name async for each in services.find("dash*")] == ["Dashboard"]


async def test_what_is_searched_can_be_narrowed_and_widened(services: Services) -> None:
    assert await names(services, "*", status="running") == ["Dashboard"]
    assert await names(services, "*", hidden=True) == ["dashboard-old"]


@pytest.mark.parametrize(
    ("terms", "error"),
    [((), ValueError), ((4.2,), TypeError), ((True,), TypeError), ((-1,), ValueError)],
)
async def test_terms_that_are_no_strings_or_ids_are_refused_at_once(
    services: Services, emulator: Emulator, terms: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        services.find(*terms)
    assert not emulator.requests
