"""Logs whose large pages cannot be had: a retry that cannot succeed changes something."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from aioservices import Services
from tests.servers.deployments import DeploymentsServer, ago
from tests.servers.hostile import (
    Behaviour,
    Request,
    Writer,
    after,
    answer,
    cut_body,
    hostile,
    stall_in_body,
)

from .conftest import QUICK, collecting, take, until

LARGEST = 300


def spread(server: DeploymentsServer, count: int) -> list[str]:
    """Write numbered lines, 10 ms apart."""
    deployment = server.deployments[0] if server.deployments else server.deploy()
    begin = ago(count / 100 + 1)
    return [
        message
        for number in range(count)
        for message in deployment.write(
            f"line {number}", at=begin + timedelta(milliseconds=10 * number)
        )
    ]


FAILURES = {
    "504": answer(b"", status=504),
    "502": answer(b"<html>", status=502, content_type="text/html"),
    "413": answer(b"", status=413),
    "cut": cut_body(b"[", 10_000),
    "stall": stall_in_body(b"[", 10_000),
}


def timeout_for(name: str) -> float | None:
    """Give the timeout without which the failure would not end, and otherwise none.

    On a slow machine good pages may be too late for it, too, and be asked for again. So tests count
    only the requests that the server failed.
    """
    return 0.5 if name == "stall" else None


@pytest.mark.parametrize("name", FAILURES)
async def test_less_is_asked_for_where_a_large_page_ends_in(name: str) -> None:
    server = DeploymentsServer()
    written = spread(server, 3000)
    failed: Counter[tuple[str, ...]] = Counter()

    def page(lines: list[Any]) -> Behaviour | None:
        if len(lines) <= LARGEST:
            return None
        failed[server.queries[-1]] += 1
        return FAILURES[name]

    server.page = page
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url, timeout=timeout_for(name)) as services,
        services.tail_logs(1, **QUICK) as tail,
    ):
        assert await take(tail, 3000) == written
    assert max(failed.values()) <= 2


async def test_a_page_that_takes_too_long_is_asked_for_in_parts() -> None:
    server = DeploymentsServer()
    written = spread(server, 600)
    server.page = lambda lines: after(0.001 * len(lines), answer(lines))
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url, timeout=0.3) as services,
        services.tail_logs(1, **QUICK) as tail,
    ):
        assert await take(tail, 600) == written


async def test_pages_grow_again_when_the_server_is_quick_again() -> None:
    server = DeploymentsServer()
    written = spread(server, 2000)
    server.page = lambda lines: FAILURES["504"] if len(lines) > LARGEST else None
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK | {"limit": 1000, "overlap": 60.0}) as tail,
    ):
        assert await take(tail, 2000) == written
        server.page = lambda _: None
        async with collecting(tail) as messages:
            deployment = server.deployments[0]
            for _ in range(40):
                count = len(messages)
                begin = max(deployment.lines[-1][0], ago(0.4))
                for number in range(400):
                    at = begin + timedelta(milliseconds=number + 1)
                    deployment.write("more", at=at)
                await until(lambda count=count: len(messages) >= count + 400)  # type: ignore[misc]
                if int(server.queries[-1][2]) == 1000:
                    break
        assert int(server.queries[-1][2]) == 1000


async def test_two_pages_of_a_backlog_are_under_way_at_once() -> None:
    server = DeploymentsServer()
    deployment, begin = server.deploy(), ago(400.0)
    for second in range(300):
        deployment.write(f"line {second}", at=begin + timedelta(seconds=second))
    under_way = most = 0

    def page(lines: list[Any]) -> Behaviour:
        async def behave(request: Request, writer: Writer) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            if len(server.queries) > 3:  # the first ones tell how long the others should be
                await until(lambda: most > 1)
            under_way -= 1
            await answer(lines)(request, writer)

        return behave

    server.page = page
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK | {"limit": 50}) as tail,
    ):
        await take(tail, 300)
    assert most == 2


async def test_an_outage_of_large_pages_is_one_outage() -> None:
    server = DeploymentsServer()
    written = spread(server, 1000)
    server.page = lambda lines: FAILURES["504"] if len(lines) > LARGEST else None
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK) as tail,
    ):
        await take(tail, len(written[:100]))
        assert tail.status.outages == 1


@pytest.mark.parametrize(("largest", "apart"), [(1, 1500), (5, 100), (20, 5)])
async def test_less_is_asked_for_down_to(largest: int, apart: int) -> None:
    server = DeploymentsServer()
    deployment = server.deploy()
    written = [
        message
        for number in range(20)
        for message in deployment.write(
            f"line {number}", at=ago(40.0) + timedelta(milliseconds=apart * number)
        )
    ]
    server.page = lambda lines: FAILURES["504"] if len(lines) > largest else None
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK) as tail,
    ):
        assert await take(tail, 20) == written


async def test_an_outage_in_which_pages_became_small_costs_no_line_of_a_crowded_instant() -> None:
    server = DeploymentsServer()
    instant = ago(1.0)
    written = server.deploy().write(*(f"line {number}" for number in range(60)), at=instant)
    failing = [FAILURES["504"]] * 20

    def page(lines: list[Any]) -> Behaviour | None:
        return failing.pop() if failing else None

    server.page = page
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK) as tail,
    ):
        assert sorted(await take(tail, 60)) == sorted(written)
        assert tail.status.gap_count == 0


async def test_a_larger_limit_than_usual_is_tried_again_after_an_outage() -> None:
    server = DeploymentsServer()
    instant = ago(1.0)
    written = server.deploy().write(*(f"line {number}" for number in range(60)), at=instant)
    failing = [FAILURES["504"], FAILURES["504"]]

    def page(lines: list[Any]) -> Behaviour | None:
        is_enlarged = int(server.queries[-1][2]) > 20
        return failing.pop() if failing and is_enlarged else None

    server.page = page
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK | {"limit": 20}) as tail,
    ):
        assert sorted(await take(tail, 60)) == sorted(written)
        assert (tail.status.gap_count, failing) == (0, [])


@pytest.mark.filterwarnings("ignore::aioservices.LogGap")
async def test_a_larger_limit_that_never_succeeds_leaves_a_gap_and_the_rest_is_read() -> None:
    server = DeploymentsServer()
    deployment = server.deploy()
    deployment.write(*(f"line {number}" for number in range(60)), at=ago(5.0))
    deployment.write("after", at=ago(1.0))
    server.page = lambda _: FAILURES["504"] if int(server.queries[-1][2]) > 20 else None
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK | {"limit": 20}) as tail,
        collecting(tail) as messages,
    ):
        await until(lambda: "after" in messages)
        assert tail.status.gap_count > 0
        assert len(messages) == len(set(messages))


@pytest.mark.parametrize("name", FAILURES)
async def test_a_page_that_is_only_tried_is_tried_once_where_that_ends_in(name: str) -> None:
    server = DeploymentsServer()
    written = spread(server, 2000)
    failed: list[int] = []

    def page(lines: list[Any]) -> Behaviour | None:
        if len(lines) <= 2 * LARGEST:
            return None
        failed.append(len(lines))
        return FAILURES[name]

    server.page = page
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url, timeout=timeout_for(name)) as services,
    ):
        for _ in range(2):  # what one tail has found out, the next one knows
            async with services.tail_logs(1, **QUICK | {"limit": LARGEST}) as tail:
                assert await take(tail, 2000) == written
                assert tail.status.gap_count == 0
    assert len(failed) == 1


@pytest.mark.parametrize("status", [403, 404, 414, 500, 503])
async def test_more_lines_than_the_limit_are_done_without_where_they_end_in(status: int) -> None:
    server = DeploymentsServer()
    written = spread(server, 1500)
    largest = 100
    server.page = lambda _: (
        answer(b"", status=status) if int(server.queries[-1][2]) > largest else None
    )
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK | {"limit": largest}) as tail,
    ):
        assert await take(tail, 1500) == written
        assert tail.status.gap_count == 0


async def test_a_page_that_is_only_tried_does_not_hold_up_the_others() -> None:
    server = DeploymentsServer()
    written = spread(server, 1500)
    server.page = lambda _: (
        stall_in_body(b"[", 10_000) if int(server.queries[-1][2]) > 100 else None
    )
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url, timeout=3600.0) as services,
        services.tail_logs(1, **QUICK | {"limit": 100}) as tail,
    ):
        assert await take(tail, 1500) == written


async def test_a_limit_between_that_is_taken_is_found_where_a_larger_one_is_refused() -> None:
    server = DeploymentsServer()
    instant = ago(5.0)
    written = server.deploy().write(*(f"line {number}" for number in range(500)), at=instant)
    server.deployments[0].write("later", at=ago(1.0))
    server.page = lambda _: (
        answer({"code": 422}, status=422) if int(server.queries[-1][2]) > 1000 else None
    )
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK | {"limit": 100}) as tail,
    ):
        assert sorted((await take(tail, 501))[:500]) == sorted(written)
        assert tail.status.gap_count == 0
