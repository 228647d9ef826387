"""What following costs, in requests and in lines that are read again."""

import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from aioservices import Services
from aioservices.emulator import Emulator
from aioservices.tail.limits import ServerProfile
from aioservices.tail.poller import jittered
from aioservices.tail.scan import RangeScan
from aioservices.tail.schedule import PollInterval
from tests.servers.hostile import hostile

from .conftest import QUICK, collecting, looks, queries, session, take, until, write, write_spread
from .model import BASE, Behaviour, ModelServer
from .plain import PlainServer


async def requests_at_rest(emulator: Emulator, requests: int = 12) -> float:
    """Seconds between two requests of those that look at nothing but tails; jitter evens out."""
    emulator.requests.clear()
    await until(lambda: len(emulator.requests) > requests)
    return (emulator.requests[-1].time - emulator.requests[0].time) / (len(emulator.requests) - 1)


async def test_an_idle_tail_makes_one_request_in_the_longest_interval(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1)
    options = QUICK | {"max_poll_interval": 0.1, "overlap": 0.1}
    async with services.tail_logs(service_id, **options) as tail, collecting(tail):
        await until(lambda: (tail.status.polls > 10) and looks(emulator, service_id) > 5)
        assert await requests_at_rest(emulator) > 0.08
        assert queries(emulator) > looks(emulator, service_id) > 0


async def test_waiting_for_a_deployment_costs_no_more(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web")
    options = QUICK | {"max_poll_interval": 0.1}
    async with services.tail_logs(service_id, **options) as tail, collecting(tail):
        await until(lambda: len(emulator.requests) > 12)
        assert await requests_at_rest(emulator) > 0.08


async def test_a_service_that_has_ended_costs_no_more(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    emulator.set_state(service_id, "terminated")
    options = QUICK | {"max_poll_interval": 0.1, "grace": 0.0}
    async with services.tail_logs(service_id, **options) as tail, collecting(tail):
        await until(lambda: tail.status.polls and not tail.status.deployments)
        await requests_at_rest(emulator)
        assert await requests_at_rest(emulator) > 0.08
        assert queries(emulator) == 0


async def test_a_poll_of_a_quiet_log_takes_few_requests(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write_spread(emulator, service_id, 150)  # whose times do not fit in one second
    async with services.tail_logs(service_id, **QUICK | {"overlap": 60.0}) as tail:
        await take(tail, 150)
        async with collecting(tail):
            await until(lambda: tail.status.polls > 5)
            polls, asked = tail.status.polls, queries(emulator)
            await until(lambda: tail.status.polls >= polls + 20)
            # As it is the longest page so far, each poll makes sure that it was not cut.
            assert queries(emulator) - asked <= 3 * (tail.status.polls - polls + 1)


async def test_a_log_whose_lines_are_final_is_not_read_again(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write_spread(emulator, service_id, 100, ago=60.0)
    async with services.tail_logs(service_id, **QUICK) as tail:
        await take(tail, 100)
        async with collecting(tail):
            await until(lambda: tail.status.polls > 3)
            polls, asked = tail.status.polls, queries(emulator)
            await until(lambda: tail.status.polls >= polls + 10)
            assert queries(emulator) - asked <= tail.status.polls - polls + 1


async def test_a_poll_of_a_busy_log_reads_a_part_of_the_overlap_again() -> None:
    plain = PlainServer()
    now = datetime.now(UTC)
    for number in range(1200):  # 20 lines in each second of the overlap
        plain.write(f"old {number}", at=now - timedelta(seconds=(1200 - number) / 20))
    async with (
        hostile(plain.behave) as server,
        Services("key", base_url=server.url) as services,
        services.tail_logs(1, **QUICK | {"overlap": 60.0}) as tail,
    ):
        await take(tail, 1200)
        plain.pages.clear()
        polls = tail.status.polls
        for number in range(64):
            written = plain.write(f"new {number}")
            assert await take(tail, 1) == written
        served = sum(plain.pages) / (tail.status.polls - polls)
    assert served < 0.35 * 1200


@pytest.mark.parametrize("slides", [False, True])
async def test_forty_tails_and_ordinary_calls_share_one_rate_limit(*, slides: bool) -> None:
    async with (
        Emulator(
            40, deployed=True, rate_limit=80, rate_window=1.0, rate_limit_slides=slides
        ) as emulator,
        session(emulator) as services,
        anyio.create_task_group() as group,
    ):
        overtaken: list[int] = []

        async def follow(service_id: int) -> None:
            async for _ in services.tail_logs(service_id, **QUICK):
                pass

        for service_id in emulator.service_ids:
            write(emulator, service_id, 1)
            group.start_soon(follow, service_id)
        await until(lambda: emulator.statuses[200] > 120)
        for _ in range(10):
            began = time.time()
            await services.list(limit=1)
            [mine] = [r for r in emulator.requests if r.path == "/services" and r.time >= began]
            overtaken.append(sum(began < each.time < mine.time for each in emulator.requests))
            await anyio.sleep(0.1)
        group.cancel_scope.cancel()
    assert sorted(overtaken)[-2] <= 3  # those that were on their way
    assert emulator.statuses[429] < 0.02 * emulator.statuses.total()


@asynccontextmanager
async def crowd_of_tails(count: int, **options: Any) -> AsyncIterator[Emulator]:
    """Follow many services with a rate limit that is far too small for them."""
    async with (
        Emulator(count, deployed=True, rate_limit=120, rate_window=1.0) as emulator,
        session(emulator) as services,
        anyio.create_task_group() as group,
    ):

        async def follow(service_id: int) -> None:
            async for _ in services.tail_logs(service_id, **QUICK | options):
                pass

        for service_id in emulator.service_ids:
            group.start_soon(follow, service_id)
        await until(lambda: len(emulator.requests) > 2 * count)  # each has begun
        emulator.requests.clear()
        yield emulator
        group.cancel_scope.cancel()


async def test_services_are_checked_once_for_every_two_polls_however_small_the_limit() -> None:
    async with crowd_of_tails(20) as emulator:
        await until(lambda: len(emulator.requests) > 80)
        checks = sum(looks(emulator, service_id) for service_id in emulator.service_ids)
        # Some are on their way at each end of the count.
        assert checks <= (len(emulator.requests) + 20) / 3


async def test_busy_logs_are_polled_more_often_than_idle_ones_where_the_limit_is_small() -> None:
    async with crowd_of_tails(15, max_poll_interval=0.5) as emulator:
        busy = emulator.service_ids[:2]

        def polls(service_ids: Sequence[int]) -> float:
            """How many a log had, on average."""
            paths = [f"/services/{each}/deployments/" for each in service_ids]
            found = sum(request.path.startswith(tuple(paths)) for request in emulator.requests)
            return found / len(service_ids)

        while len(emulator.requests) < 120:
            for service_id in busy:
                write(emulator, service_id, 1)
            await anyio.sleep(0.02)
        assert polls(busy) > 1.4 * polls(emulator.service_ids[2:])


def test_polls_of_many_tails_are_spread() -> None:
    random.seed(0)
    pace = [PollInterval(1.0, 45.0) for _ in range(200)]
    at = [0.0] * 200
    for index in range(200):
        while at[index] < 600.0:
            at[index] += jittered(pace[index].after(0))
    for begin in range(600, 650, 10):
        together = sum(begin <= time < begin + 10 for time in at)
        assert together < 0.45 * len(at)  # of 22 % where they are spread evenly


def test_large_pages_of_a_backlog_are_asked_for_ahead_also_where_they_last_a_few_seconds() -> None:
    server = ModelServer(Behaviour())
    for number in range(30_000):  # a page of 1,000 lasts 5 s
        server.write(number * 5_000_000, f"line {number}")
    now = BASE + timedelta(hours=1)
    scan = RangeScan(None, now=now, profile=ServerProfile(), limit=1_000)
    rounds = with_one_ahead = 0
    while (request := scan.next_request()) is not None:
        asked = [request, scan.next_request(ahead=1)]
        rounds += 1
        with_one_ahead += asked[1] is not None
        for each in asked:
            if each is not None:
                scan.feed(each, server.ask(each, now))
    assert scan.is_complete
    assert with_one_ahead > rounds / 2
    assert len(server.requests) < 1.5 * 30
