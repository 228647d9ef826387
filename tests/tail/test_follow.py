"""Following a service: its deployments as they come, go and end."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from aioservices import NotFoundError, Services
from aioservices.emulator import Emulator
from tests.servers.hostile import hostile

from .conftest import (
    PATIENCE,
    QUICK,
    arrival,
    collecting,
    drain,
    looks,
    queries,
    take,
    until,
    write,
)
from .plain import PlainServer


async def test_lines_come_as_they_are_written(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, **QUICK) as tail:
        for number in range(0, 30, 3):
            written = write(emulator, service_id, number, number + 1, number + 2)
            assert await take(tail, 3) == written


async def test_an_entry_says_which_deployment_wrote_it(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    emulator.log(service_id, "a")
    async with services.tail_logs(service_id, **QUICK) as tail:
        first = await anext(tail)
        emulator.log(service_id, "b", deployment_id=(second := emulator.deploy(service_id)))
        assert (first.service_id, first.deployment_id) == (service_id, 1001)
        assert (await anext(tail)).deployment_id == second


async def test_deploy_and_follow_gives_the_first_line(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web")
    async with services.tail_logs(service_id, **QUICK) as tail, anyio.create_task_group() as group:

        async def deploy() -> None:
            await until(lambda: queries(emulator, "/deployments"))
            deployment = await services.post_deployments(service_id)
            write(emulator, service_id, 1, deployment_id=deployment.deployment_id)

        group.start_soon(deploy)
        assert await take(tail, 1) == ["line 1"]


async def test_what_was_deployed_before_and_has_gone_is_not_asked_for(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web")
    gone, stopped = emulator.deploy(service_id), emulator.deploy(service_id)
    write(emulator, service_id, 1, deployment_id=gone)
    await services.delete_deployments(service_id, stopped)
    async with services.tail_logs(service_id, **QUICK) as tail, anyio.create_task_group() as group:

        async def deploy() -> None:
            await until(lambda: queries(emulator, "/deployments"))
            write(emulator, service_id, 2, deployment_id=emulator.deploy(service_id))

        group.start_soon(deploy)
        assert await take(tail, 1) == ["line 2"]


async def test_a_deployment_that_came_and_went_before_the_next_look_is_read_too(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web")
    async with services.tail_logs(service_id, **QUICK) as tail, anyio.create_task_group() as group:

        async def deploy() -> None:
            await until(lambda: queries(emulator, "/deployments"))
            brief = emulator.deploy(service_id)
            write(emulator, service_id, 1, deployment_id=brief)
            emulator.deploy(service_id)

        group.start_soon(deploy)
        assert await take(tail, 1) == ["line 1"]


async def test_two_redeploys_between_two_looks_are_both_followed(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1)
    async with services.tail_logs(service_id, **QUICK) as tail:
        assert await take(tail, 1) == ["line 1"]
        for number in (2, 3):  # no await, hence no look between them
            write(emulator, service_id, number, deployment_id=emulator.deploy(service_id))
        assert sorted(await take(tail, 2)) == ["line 2", "line 3"]


async def test_late_lines_of_the_old_deployment_come_beside_those_of_the_new_one(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1)
    async with services.tail_logs(service_id, **QUICK | {"grace": PATIENCE}) as tail:
        await take(tail, 1)
        before = datetime.now(UTC)
        new = emulator.deploy(service_id)
        write(emulator, service_id, 3, deployment_id=new)
        assert await take(tail, 1) == ["line 3"]
        write(emulator, service_id, 2, deployment_id=1001, at=before)
        assert await take(tail, 1) == ["line 2"]
        write(emulator, service_id, 4, deployment_id=new)
        assert await take(tail, 1) == ["line 4"]


async def test_a_replaced_deployment_is_left_when_its_log_is_drained(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1)
    async with services.tail_logs(service_id, **QUICK) as tail, anyio.create_task_group() as group:
        await take(tail, 1)
        new = emulator.deploy(service_id)
        group.start_soon(take, tail, 1)
        await until(lambda: tail.status.deployments == (new,))
        write(emulator, service_id, 2)


async def test_a_named_deployment_that_ends_ends_the_iteration(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write(emulator, service_id, *range(5))
    emulator.set_state(service_id, "failed")
    assert await drain(services.tail_logs(service_id, 1001, **QUICK)) == written


async def test_the_end_is_not_slept_through(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    options = QUICK | {"poll_interval": 0.05, "max_poll_interval": 3600.0, "grace": 0.0}
    emulator.set_state(service_id, "terminated")
    assert await drain(services.tail_logs(service_id, 1001, **options)) == []


async def test_a_poller_at_rest_reads_what_there_is_when_it_hears_of_the_end(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1)
    options = QUICK | {"poll_interval": 3600.0, "max_poll_interval": 3600.0}
    async with services.tail_logs(service_id, **options) as tail:
        await take(tail, 1)
        await until(lambda: tail.status.next_poll)
        written = write(emulator, service_id, 2)
        emulator.deploy(service_id)
        tail.finish()  # checks the service at once, which would be done in two hours
        assert await take(tail, 1) == written


async def test_lines_that_turn_up_after_the_end_are_awaited(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    options = QUICK | {"grace": 0.6}
    async with services.tail_logs(service_id, 1001, **options) as tail:
        written = write(emulator, service_id, 1, 2)
        await take(tail, 2)
        last = write(emulator, service_id, 3, 4, visible_after=0.35)
        emulator.set_state(service_id, "terminated")
        assert written + await drain(tail) == [*written, *last]


async def test_a_named_deployment_that_is_replaced_ends_whatever_its_state_says(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1)
    async with services.tail_logs(service_id, 1001, **QUICK) as tail:
        await take(tail, 1)
        await anyio.sleep(0.002)  # a later time in the listing, which knows milliseconds
        emulator.deploy(service_id)
        emulator.set_state(service_id, "running", deployment_id=1001)
        write(emulator, service_id, 2, deployment_id=1001)
        assert await drain(tail) == ["line 2"]


async def test_a_state_never_seen_before_counts_as_running(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    emulator.set_state(service_id, "hibernating")
    async with services.tail_logs(service_id, 1001, **QUICK | {"grace": 0.0}) as tail:
        for number in range(3):
            written = write(emulator, service_id, number)
            assert await take(tail, 1) == written
            emulator.requests.clear()
            await until(lambda: looks(emulator, service_id) > 1)


async def test_a_state_that_flaps_neither_loses_nor_repeats_a_line(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, **QUICK | {"grace": 0.05}) as tail:
        async with anyio.create_task_group() as group:
            seen: list[str] = []

            async def read() -> None:
                seen.extend(await take(tail, 4))

            group.start_soon(read)
            written: list[str] = []
            for number in range(0, 4, 2):
                written += write(emulator, service_id, number)
                emulator.set_state(service_id, "failed")
                await until(lambda: tail.status.polls and not tail.status.deployments)
                emulator.set_state(service_id, "running")
                written += write(emulator, service_id, number + 1)
                await until(lambda: tail.status.deployments)
        assert seen == written


async def test_a_deployment_that_is_current_again_goes_on_where_it_was() -> None:
    plain = PlainServer()
    async with (
        hostile(plain.behave) as server,
        Services("key", base_url=server.url) as services,
        services.tail_logs(1, **QUICK | {"grace": 0.0}) as tail,
        collecting(tail) as messages,
    ):
        written: list[str] = []
        for number in range(2):
            written += plain.write(f"line {number}")
            await arrival(messages, len(written))
            plain.is_current = False
            await until(lambda: not tail.status.deployments)
            plain.is_current = True
            await until(lambda: tail.status.deployments)
        assert messages == written


async def test_deployments_that_are_done_are_not_kept_for_ever(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, **QUICK | {"grace": 0.0}) as tail:
        async with collecting(tail) as messages:
            for number in range(3):
                new = emulator.deploy(service_id)
                write(emulator, service_id, number, deployment_id=new)
                await arrival(messages, number + 1)
                await until(lambda: len(tail.status.deployments) == 1)
        assert len(tail.cursor.positions) <= 2


async def test_a_sleeping_service_wakes_up_in_the_log(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    emulator.set_state(service_id, "sleeping")
    async with services.tail_logs(service_id, **QUICK) as tail, anyio.create_task_group() as group:

        async def wake() -> None:
            await until(lambda: tail.status.polls > 2)
            write(emulator, service_id, 1)

        group.start_soon(wake)
        assert await take(tail, 1) == ["line 1"]


async def test_a_service_that_is_stopped_and_deployed_again_is_followed(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    write(emulator, service_id, 1)
    async with services.tail_logs(service_id, **QUICK) as tail, anyio.create_task_group() as group:
        await take(tail, 1)

        async def stop_and_deploy() -> None:
            await services.delete_deployments(service_id, 1001)
            seen = queries(emulator, "/deployments")
            await until(lambda: queries(emulator, "/deployments") > seen + 1)
            write(emulator, service_id, 2, deployment_id=emulator.deploy(service_id))

        group.start_soon(stop_and_deploy)
        assert await take(tail, 1) == ["line 2"]


async def test_without_follow_everything_up_to_now_is_given(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write(emulator, service_id, *range(10))
    assert await drain(services.tail_logs(service_id, follow=False)) == written
    assert await drain(services.tail_logs(service_id, 1001, follow=False)) == written


async def test_without_follow_a_service_without_a_deployment_gives_nothing(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web")
    assert await drain(services.tail_logs(service_id, follow=False)) == []


@pytest.mark.parametrize("named", [True, False])
async def test_end_at_ends_the_tail(emulator: Emulator, services: Services, *, named: bool) -> None:
    service_id = emulator.add_service("web", deployed=True)
    end_at = datetime.now(UTC) + timedelta(seconds=0.5)
    write(emulator, service_id, 1)
    # The second one turns up when the end has come, and late lines are still waited for.
    write(emulator, service_id, 2, at=end_at - timedelta(seconds=0.1), visible_after=0.6)
    write(emulator, service_id, 3, at=end_at + timedelta(seconds=0.1))
    options = QUICK | {"end_at": end_at}
    async with services.tail_logs(service_id, 1001 if named else None, **options) as tail:
        assert await drain(tail) == ["line 1", "line 2"]


async def test_end_at_ends_the_tail_of_a_service_that_was_never_deployed(
    emulator: Emulator, services: Services
) -> None:
    service_id = emulator.add_service("web")
    past = datetime.now(UTC) - timedelta(hours=1)
    assert await drain(services.tail_logs(service_id, end_at=past)) == []


async def test_start_at_leaves_out_what_came_before(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    start_at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=30)
    for second in range(-2, 3):
        write(emulator, service_id, second, at=start_at + timedelta(seconds=second))
    async with services.tail_logs(service_id, start_at=start_at, **QUICK) as tail:
        assert await take(tail, 3) == ["line 0", "line 1", "line 2"]
        written = write(emulator, service_id, 3)
        assert await take(tail, 1) == written


@pytest.mark.usefixtures("short_read_lag")
async def test_a_service_that_does_not_exist_is_an_error(services: Services) -> None:
    with anyio.fail_after(PATIENCE), pytest.raises(NotFoundError):
        await anext(services.tail_logs(99, **QUICK))


@pytest.mark.usefixtures("short_read_lag")
@pytest.mark.parametrize("follow", [True, False])
async def test_a_deployment_that_does_not_exist_is_an_error(
    emulator: Emulator, services: Services, *, follow: bool
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    with anyio.fail_after(PATIENCE), pytest.raises(NotFoundError):
        await anext(services.tail_logs(service_id, 999_999, follow=follow, **QUICK))


@pytest.mark.parametrize("follow", [True, False])
async def test_a_deployment_that_cannot_have_just_been_made_is_not_waited_for(
    emulator: Emulator, services: Services, monkeypatch: pytest.MonkeyPatch, *, follow: bool
) -> None:
    monkeypatch.setattr("aioservices.tail.fetcher._READ_LAG", 3600.0)
    service_id = emulator.add_service("web", deployed=True)
    with anyio.fail_after(PATIENCE), pytest.raises(NotFoundError):
        await anext(services.tail_logs(service_id, 99, follow=follow, **QUICK))
