"""How many lines wait in memory."""

import gc
import subprocess
import sys

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices import Services
from aioservices.emulator import Emulator
from aioservices.tail.budget import LineAccount, LineBudget

from .conftest import PATIENCE, QUICK, drain, until, write_spread


async def test_a_page_is_announced_at_once_while_there_is_room() -> None:
    budget = LineBudget(1000)
    first, second = LineAccount(budget), LineAccount(budget)
    assert await first.announce(600, 600) == (600, 600)
    assert await second.announce(600, 300) == (600, 300)
    assert budget.used == 900


async def test_a_tail_of_which_no_line_waits_has_a_small_page() -> None:
    budget = LineBudget(1000)
    full = LineAccount(budget)
    full.hold(1000)
    assert await LineAccount(budget).announce(600, 600) == (200, 200)


async def test_a_tail_of_which_lines_wait_waits_for_room() -> None:
    budget = LineBudget(1000)
    mine, others = LineAccount(budget), LineAccount(budget)
    mine.hold(500)
    others.hold(500)
    announced: list[int] = []

    async def announce() -> None:
        announced.extend(await mine.announce(400, 400))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(announce)
            await anyio.wait_all_tasks_blocked()
            assert not announced
            others.hold(-300)
            await anyio.wait_all_tasks_blocked()
            assert not announced
            others.hold(-200)
    assert announced == [400, 400]


def test_an_account_that_lives_as_long_as_the_process_ends_in_silence() -> None:
    program = """
import sys
from aioservices.tail.budget import LineAccount, LineBudget
account = LineAccount(LineBudget())
account.hold(5)
sys.modules["kept"] = account  # until modules are gone
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ended.stderr == b""


@given(st.lists(st.integers(1, 50)))
def test_an_account_that_is_closed_or_dropped_holds_nothing(pages: list[int]) -> None:
    budget = LineBudget(1000)
    closed, dropped = LineAccount(budget), LineAccount(budget)
    for lines in pages:
        closed.hold(lines)
        dropped.hold(lines)
    closed.close()
    del dropped
    assert budget.used == 0


@pytest.fixture
async def many(emulator: Emulator) -> list[int]:
    service_ids = [emulator.add_service(f"web-{number}", deployed=True) for number in range(12)]
    for service_id in service_ids:
        write_spread(emulator, service_id, 1500)
    return service_ids


async def test_lines_of_many_tails_that_wait_stay_within_the_capacity(
    services: Services, many: list[int]
) -> None:
    services._shared_by_tails.budget.capacity = 3000
    tails = [services.tail_logs(each, **QUICK | {"limit": 500}) for each in many]
    for tail in tails:
        assert (await anext(tail)).message == "line 0"
    held = services._shared_by_tails.budget.used
    await anyio.sleep(0.2)  # in which they would read on
    assert max(held, services._shared_by_tails.budget.used) <= 3000 + len(many) * 200
    for tail in tails:
        await tail.aclose()
    assert services._shared_by_tails.budget.used == 0


async def test_every_tail_is_read_to_its_end_though_the_capacity_is_used_up(
    services: Services, many: list[int]
) -> None:
    services._shared_by_tails.budget.capacity = 1000
    tails = [services.tail_logs(each, follow=False, limit=500) for each in many]
    for tail in tails[1:]:  # which are not read on for now
        await anext(tail)
    for tail in tails:
        messages = await drain(tail)
        assert len(messages) == (1500 if tail is tails[0] else 1499)


async def test_a_tail_that_is_dropped_holds_nothing(services: Services, many: list[int]) -> None:
    tail = services.tail_logs(many[0], **QUICK)
    await anext(tail)
    assert services._shared_by_tails.budget.used > 0
    del tail

    def holds_nothing() -> bool:
        gc.collect()
        return services._shared_by_tails.budget.used == 0

    await until(holds_nothing)
