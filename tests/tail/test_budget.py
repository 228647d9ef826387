"""How many lines wait in memory."""

import gc
import subprocess
import sys
from collections import Counter

import anyio
import pytest
from anyio.abc import TaskGroup
from hypothesis import given
from hypothesis import strategies as st

from aioservices import AuthenticationError, Services
from aioservices.emulator import Emulator, Respond
from aioservices.tail.budget import LineAccount, LineBudget

from .conftest import PATIENCE, QUICK, drain, until, write_spread


async def test_whole_pages_may_use_half_of_the_capacity() -> None:
    budget = LineBudget(1000)
    first, second = LineAccount(budget), LineAccount(budget)
    assert await first.room(600, 300) == 600
    first.announce(300)
    assert await second.room(600, 200) == 600
    second.announce(200)
    assert budget.used == 500


async def test_a_tail_of_which_no_line_waits_has_its_share_of_what_is_left() -> None:
    budget = LineBudget(1000)
    full, other = LineAccount(budget), LineAccount(budget)
    full.hold(600)
    assert await other.room(600, 600) == 200
    assert await other.room(150, 150) == 150


@given(st.integers(1, 200), st.integers(100, 5000))
def test_tails_that_ask_for_all_they_can_have_exceed_the_capacity_by_small_pages_only(
    tails: int, capacity: int
) -> None:
    budget = LineBudget(capacity)
    accounts = [LineAccount(budget) for _ in range(tails)]

    async def fill() -> None:
        for account in accounts:
            account.hold(await account.room(1000, 1000))

    anyio.run(fill)
    assert budget.used <= capacity + 20 * tails
    assert budget.used > capacity // 4 or tails * 1000 <= capacity


async def test_a_tail_of_which_lines_wait_waits_for_room() -> None:
    budget = LineBudget(2000)
    mine, others = LineAccount(budget), LineAccount(budget)
    mine.hold(500)
    others.hold(500)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            given = ask_for_room(group, mine, 400)
            await anyio.wait_all_tasks_blocked()
            assert not given
            others.hold(-300)
            await anyio.wait_all_tasks_blocked()
            assert not given
            others.hold(-100)
    assert given == [400]


async def test_a_tail_whose_lines_were_taken_waits_no_longer() -> None:
    budget = LineBudget(1000)
    mine, others = LineAccount(budget), LineAccount(budget)
    others.hold(900)
    mine.hold(50)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            given = ask_for_room(group, mine, 400)
            await anyio.wait_all_tasks_blocked()
            assert not given
            mine.hold(-50)
    assert given == [50]


async def test_a_page_on_its_way_keeps_no_other_log_of_its_tail_from_being_read() -> None:
    budget = LineBudget(1000)
    mine, others = LineAccount(budget), LineAccount(budget)
    others.hold(900)
    mine.announce(64)
    with anyio.fail_after(PATIENCE):
        assert await mine.room(400, 400) == 20


async def test_who_is_cancelled_while_waiting_for_room_is_forgotten() -> None:
    budget = LineBudget(1000)
    mine = LineAccount(budget)
    mine.hold(1000)
    async with anyio.create_task_group() as group:
        given = ask_for_room(group, mine, 400)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    mine.hold(-1000)
    assert (given, budget.used) == ([], 0)


def ask_for_room(group: TaskGroup, account: LineAccount, size: int) -> list[int]:
    given: list[int] = []

    async def ask() -> None:
        given.append(await account.room(size, size))

    group.start_soon(ask)
    return given


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
        closed.announce(lines)
        dropped.hold(lines)
        dropped.announce(lines)
    closed.close()
    del dropped
    assert budget.used == 0
    closed.hold(-1)  # who asks a closed tail for more has done with its last lines
    assert (budget.used, budget.share) == (0, 1000)


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
    assert max(held, services._shared_by_tails.budget.used) <= 3000 + len(many) * 20
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


@pytest.mark.parametrize("hold_back", [None, 0.1])
async def test_a_watch_gives_every_line_though_the_capacity_is_used_up(
    services: Services, many: list[int], hold_back: float | None
) -> None:
    services._shared_by_tails.budget.capacity = 1000
    stuck = services.tail_logs(many[0])
    await anext(stuck)  # and is not read on
    watched: Counter[int] = Counter()
    with anyio.fail_after(PATIENCE) as patience:
        async with services.watch_logs(many, hold_back=hold_back) as watch:
            async for line in watch:
                patience.deadline = anyio.current_time() + PATIENCE
                watched[line.service_id] += 1
                if watched.total() == len(many) * 1500:
                    break
    assert set(watched.values()) == {1500}
    await stuck.aclose()
    assert services._shared_by_tails.budget.used == 0


async def test_a_tail_that_was_refused_holds_nothing(
    emulator: Emulator, services: Services, many: list[int]
) -> None:
    tail, other = services.tail_logs(many[0], **QUICK), services.tail_logs(many[1])
    await anext(tail)
    emulator.fault(Respond(401))
    with pytest.raises(AuthenticationError):
        await drain(tail)
    budget = services._shared_by_tails.budget
    assert (budget.used, budget.share) == (0, budget.capacity)  # all of it is the other one's
    await other.aclose()


async def test_a_tail_that_is_dropped_holds_nothing(services: Services, many: list[int]) -> None:
    tail = services.tail_logs(many[0], **QUICK)
    await anext(tail)
    assert services._shared_by_tails.budget.used > 0
    del tail

    def holds_nothing() -> bool:
        gc.collect()
        return services._shared_by_tails.budget.used == 0

    await until(holds_nothing)
