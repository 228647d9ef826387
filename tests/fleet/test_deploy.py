"""Deploying many services, each of them exactly once."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import pytest
from yarl import URL

from aioservices import (
    AuthenticationError,
    ConnectionFailedError,
    DeploymentFailedError,
    DeploymentTimeoutError,
    NotFoundError,
    RateLimitedError,
    RequestInfo,
    RequestTimeoutError,
    ResponseInfo,
    RetryPolicy,
    ServerError,
    Services,
    UnprocessableError,
)
from aioservices.emulator import Cut, Delay, Emulator, Garble, Reset, Respond, Stall
from aioservices.emulator.faults import Effect
from aioservices.errors import ResponseDecodeError, ServicesError, SessionClosedError
from aioservices.fleet import DeployOutcome, DeployRun
from tests.servers.hostile import Behaviour, Request, Writer, answer, hostile
from tests.servers.lagging import lagging

from .conftest import PATIENCE, requests_to, running_tasks, until

ALL = (1, 2, 3)
POSTS = "/services/*/deployments"
QUICK: dict[str, Any] = {"settle": 0.1, "poll_interval": 0.02}


async def deploy(
    services: Services, ids: Iterable[int] = ALL, **options: Any
) -> dict[int, DeployOutcome]:
    """Deploy services; gives the outcomes by service."""
    with anyio.fail_after(PATIENCE):
        run = services.deploy_many(ids, **(QUICK | options))
        outcomes = [outcome async for outcome in run]
    assert sorted(outcome.service_id for outcome in outcomes) == sorted(run.ids)
    return {outcome.service_id: outcome for outcome in outcomes}


def assert_well(outcomes: dict[int, DeployOutcome]) -> None:
    for outcome in outcomes.values():
        assert outcome.error is None
        assert outcome.deployment is not None
        assert outcome.deployment.service_id == outcome.service_id


def assert_once(emulator: Emulator, ids: Iterable[int] = ALL) -> None:
    assert dict(emulator.deploys) == dict.fromkeys(ids, 1)


@pytest.fixture
async def once(emulator: Emulator) -> AsyncIterator[Services]:
    """A session whose calls are not repeated."""
    retry = RetryPolicy(max_attempts=1)
    async with Services(emulator.api_key, base_url=emulator.url, retry=retry) as services:
        yield services


# What is asked for


async def test_every_service_is_deployed_once_and_runs(
    emulator: Emulator, services: Services
) -> None:
    outcomes = await deploy(services)
    assert_well(outcomes)
    assert_once(emulator)
    assert {each.deployment.state for each in outcomes.values() if each.deployment} == {"running"}
    assert all(outcome.elapsed > 0 for outcome in outcomes.values())


async def test_a_service_that_is_named_twice_is_deployed_once(
    emulator: Emulator, services: Services
) -> None:
    assert_well(await deploy(services, [2, 1, 2, 2]))
    assert_once(emulator, [1, 2])


async def test_no_service_at_all_is_no_outcome(emulator: Emulator, services: Services) -> None:
    assert await deploy(services, []) == {}
    assert not emulator.requests


async def test_a_generator_of_ids_will_do(emulator: Emulator, services: Services) -> None:
    assert_well(await deploy(services, (number for number in ALL)))
    assert_once(emulator)


@pytest.mark.parametrize("ids", [[1, "2"], [True], [1.0], [None], "12", [-1]])
async def test_an_id_that_is_none_is_refused_before_anything_is_sent(
    emulator: Emulator, services: Services, ids: Any
) -> None:
    with pytest.raises((TypeError, ValueError), match="ids"):
        services.deploy_many(ids)
    assert not emulator.requests


@pytest.mark.parametrize(
    "option",
    [
        {"concurrency": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"settle": -1},
        {"poll_interval": 0},
    ],
)
async def test_a_senseless_option_is_refused_by_its_name(
    services: Services, option: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        services.deploy_many(ALL, **option)


async def test_redeploy_calls_redeploy(emulator: Emulator, services: Services) -> None:
    for service_id in ALL:
        emulator.deploy(service_id)
    assert_well(await deploy(services, redeploy=True))
    assert requests_to(emulator, "/services/1/redeploy", "POST") == 1
    assert set(emulator.deploys.values()) == {2}


async def test_without_waiting_an_outcome_is_known_when_the_deployment_was_made() -> None:
    async with (
        Emulator(services=3, pending_for=3600.0) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        outcomes = await deploy(services, wait=False)
    assert_well(outcomes)
    assert {each.deployment.state for each in outcomes.values() if each.deployment} == {None}


async def test_outcomes_come_in_the_order_in_which_they_are_known(
    emulator: Emulator, services: Services
) -> None:
    emulator.fault(Delay(0.5), method="POST", path="/services/1/deployments")
    run = services.deploy_many(ALL, **QUICK)
    assert [outcome.service_id async for outcome in run][-1] == 1


async def test_no_more_are_asked_for_at_once_than_is_allowed() -> None:
    async with (
        Emulator(services=30, latency=0.02, pending_for=0.01) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        under_way = most = 0

        @services.on_request
        def begun(info: RequestInfo) -> None:
            nonlocal under_way, most
            under_way += info.method == "POST"
            most = max(most, under_way)

        @services.on_response
        def ended(info: ResponseInfo) -> None:
            nonlocal under_way
            under_way -= info.method == "POST"

        assert_well(await deploy(services, range(1, 31), concurrency=4))
        assert most == 4


async def test_hidden_services_are_deployed_like_all_others(
    emulator: Emulator, services: Services
) -> None:
    hidden = [emulator.add_service("hidden", hidden=True) for _ in range(5)]
    assert_well(await deploy(services, [*ALL, *hidden]))
    assert_once(emulator, [*ALL, *hidden])


async def test_a_run_is_iterated_again_with_nothing_done_again(
    emulator: Emulator, services: Services
) -> None:
    run = services.deploy_many(ALL, **QUICK)
    assert len([outcome async for outcome in run]) == 3
    assert [outcome async for outcome in run] == []
    assert_once(emulator)


# What goes wrong with one of them


async def test_one_that_does_not_exist_stops_no_other(
    emulator: Emulator, services: Services
) -> None:
    outcomes = await deploy(services, [*ALL, 99])
    missing = outcomes.pop(99)
    assert isinstance(missing.error, NotFoundError)
    assert missing.deployment is None
    assert_well(outcomes)
    assert_once(emulator)


async def test_an_archived_one_is_refused_with_what_the_server_says(
    emulator: Emulator, services: Services
) -> None:
    await services.put_archive(2, True)
    outcomes = await deploy(services)
    archived = outcomes.pop(2)
    assert isinstance(archived.error, UnprocessableError)
    assert "archived" in str(archived.error)
    assert_well(outcomes)
    assert_once(emulator, [1, 3])


async def test_one_that_fails_says_why_with_its_last_lines(
    emulator: Emulator, services: Services
) -> None:
    async with services.deploy_many(ALL, **QUICK | {"poll_interval": 0.2}) as run:
        stream = aiter(run)
        first = asyncio.ensure_future(anext(stream))
        await until(lambda: emulator.deploys[2])
        for number in range(30):
            emulator.log(2, f"line {number}", stream="stderr")
        emulator.set_state(2, "failed", message="Exited with status 1")
        outcomes = [await first, *[outcome async for outcome in stream]]
    by_id = {outcome.service_id: outcome for outcome in outcomes}
    failed = by_id.pop(2)
    assert isinstance(failed.error, DeploymentFailedError)
    assert failed.error.state == "failed"
    assert failed.error.state_message == "Exited with status 1"
    assert failed.error.logs == tuple(f"line {number}" for number in range(10, 30))
    assert failed.deployment is not None
    assert failed.deployment.state == "failed"
    assert_well(by_id)


@pytest.mark.parametrize("event", ["replaced", "deleted", "removed", "sleeping"])
async def test_each_thing_that_can_happen_meanwhile_has_its_outcome(
    event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioservices.fleet.deploy.READ_LAG", 0.3)
    async with (
        Emulator(services=2, pending_for=3600.0) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
        services.deploy_many([1], **QUICK) as run,
        anyio.create_task_group() as group,
    ):
        outcomes: list[DeployOutcome] = []

        async def collect() -> None:
            outcomes.extend([outcome async for outcome in run])

        group.start_soon(collect)
        await until(lambda: run.started.get(1))
        made = run.started[1]
        assert made is not None
        match event:
            case "replaced":
                emulator.deploy(1)
            case "deleted":
                await services.delete_deployments(1, made.deployment_id)
            case "removed":
                emulator.remove_service(1)
            case _:
                emulator.set_state(1, "sleeping")
        await until(lambda: outcomes)
        error = outcomes[0].error
        deployment = outcomes[0].deployment
        assert deployment is not None
        assert deployment.deployment_id == made.deployment_id
        match event:
            case "replaced":
                assert isinstance(error, DeploymentFailedError)
                assert str(made.deployment_id + 1) in str(error) or "terminated" in str(error)
            case "deleted":
                assert isinstance(error, DeploymentFailedError)
                assert error.state == "deleted"
            case "removed":
                assert isinstance(error, NotFoundError)
            case _:
                assert error is None


async def test_one_that_does_not_run_in_time_says_in_which_state_it_is() -> None:
    async with (
        Emulator(services=1, pending_for=3600.0) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        outcome = (await deploy(services, [1], timeout=1.0))[1]
        assert isinstance(outcome.error, DeploymentTimeoutError)
        assert outcome.error.state == "pending"
        assert outcome.deployment is not None
        assert_once(emulator, [1])


async def test_a_key_that_becomes_unknown_is_the_outcome_of_all_that_are_left() -> None:
    async with (
        Emulator(services=3, pending_for=3600.0) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
        services.deploy_many(ALL, **QUICK) as run,
    ):
        first = asyncio.ensure_future(anext(run))
        await until(lambda: len(emulator.deploys) == 3 and None not in run.started.values())
        emulator.api_key = "another"
        outcomes = [await first, *[outcome async for outcome in run]]
        assert len(outcomes) == 3
        assert all(isinstance(outcome.error, AuthenticationError) for outcome in outcomes)


# What goes wrong with the calls


ACTED: list[Effect] = [
    Reset(acts=True),
    Reset(in_body=True),
    Cut(),
    Garble(),
    Respond(500, acts=True),
    Respond(502, acts=True),
    Respond(504, "html", acts=True),
    Respond(502, "empty", acts=True),
]
DID_NOT_ACT: list[Effect] = [
    Reset(),
    Respond(429, retry_after=0),
    Respond(503, retry_after=0),
    Respond(502),
    Respond(504, "html"),
    Respond(500),
]


@pytest.mark.parametrize("effect", ACTED, ids=str)
@pytest.mark.parametrize("redeploy", [False, True])
async def test_a_deploy_whose_answer_is_lost_is_not_made_twice(
    emulator: Emulator, services: Services, effect: Effect, *, redeploy: bool
) -> None:
    fault = emulator.fault(effect, method="POST", times=3)
    assert_well(await deploy(services, redeploy=redeploy, settle=5.0))
    assert fault.hits == 3
    assert_once(emulator)


@pytest.mark.parametrize("effect", ACTED, ids=str)
async def test_a_lost_answer_is_distinguished_from_an_earlier_deployment(
    emulator: Emulator, services: Services, effect: Effect
) -> None:
    earlier = {service_id: emulator.deploy(service_id) for service_id in ALL}
    emulator.fault(effect, method="POST", times=3)
    outcomes = await deploy(services, settle=5.0)
    assert_well(outcomes)
    for service_id, outcome in outcomes.items():
        assert outcome.deployment is not None
        assert outcome.deployment.deployment_id > earlier[service_id]
    assert set(emulator.deploys.values()) == {2}


@pytest.mark.parametrize("effect", DID_NOT_ACT, ids=str)
async def test_a_deploy_that_had_no_effect_is_asked_for_again(
    emulator: Emulator, services: Services, effect: Effect
) -> None:
    fault = emulator.fault(effect, method="POST", times=3)
    assert_well(await deploy(services))
    assert fault.hits == 3
    assert_once(emulator)


async def leave_an_old_deployment(emulator: Emulator, services: Services, service_id: int) -> int:
    """Deploy twice, and delete the current one: the service shows none, and has had one."""
    old = emulator.deploy(service_id)
    await services.delete_deployments(service_id, emulator.deploy(service_id))
    assert (await services.get(service_id)).current_deployment is None
    assert [each.deployment_id for each in await services.list_deployments(service_id)] == [old]
    emulator.deploys.clear()
    return old


async def test_in_an_outage_a_deployment_of_before_is_never_taken_for_ours() -> None:
    async with (
        Emulator(services=60) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        for each in reversed(emulator.service_ids):
            await leave_an_old_deployment(emulator, services, each)
        emulator.fault(Reset(), method="POST", times=60)
        outcomes = await deploy(services, emulator.service_ids)
    for service_id, outcome in outcomes.items():
        if outcome.error is None:
            assert emulator.deploys[service_id] == 1
        else:  # one that may be older is not known to be ours, nor not to be
            assert emulator.deploys[service_id] == 0
            assert outcome.deployment is None
            assert "is not known" in "".join(outcome.error.__notes__)


LOST: list[Effect] = [
    *(Respond(status) for status in (408, 500, 502, 504)),
    *(Respond(status, acts=True) for status in (408, 500, 502, 504)),
    Reset(),
    Reset(acts=True),
    Reset(in_body=True),
    Cut(),
    Stall(seconds=0.05),
    Stall(seconds=0.05, acts=True),
    Stall(),
    Stall(acts=True),
]


@pytest.mark.parametrize("effect", LOST, ids=str)
async def test_a_deployment_of_before_is_never_taken_for_ours(
    emulator: Emulator, services: Services, effect: Effect
) -> None:
    old = await leave_an_old_deployment(emulator, services, 1)
    fault = emulator.fault(effect, method="POST", times=1)
    impatient = services.with_options(timeout=1.0)
    outcomes = await deploy(impatient, [1], wait=False, settle=0.5)
    assert_well(outcomes)
    assert outcomes[1].deployment is not None
    assert outcomes[1].deployment.deployment_id > old
    assert fault.hits == 1
    assert_once(emulator, [1])


@pytest.mark.parametrize("effect", LOST, ids=str)
async def test_an_earlier_deployment_is_recognised_by_those_that_the_run_has_made(
    emulator: Emulator, services: Services, effect: Effect
) -> None:
    old = [await leave_an_old_deployment(emulator, services, each) for each in ALL]
    emulator.requests.clear()
    fault = emulator.fault(effect, method="POST", path="/services/3/deployments", times=1)
    impatient = services.with_options(timeout=1.0)
    outcomes = await deploy(impatient, wait=False, settle=0.5, concurrency=1)
    assert_well(outcomes)
    assert outcomes[3].deployment is not None
    assert outcomes[3].deployment.deployment_id > max(old)
    assert fault.hits == 1
    assert_once(emulator)
    # The first one asked what there was; the second one had no need to.
    lists = [requests_to(emulator, f"/services/{each}/deployments", "GET") for each in (1, 2)]
    assert lists == [1, 0]


async def test_nothing_is_deployed_while_it_is_not_known_what_there_was(
    emulator: Emulator, once: Services
) -> None:
    await leave_an_old_deployment(emulator, once, 1)
    emulator.fault(Respond(500), method="GET", path=POSTS)
    outcome = (await deploy(once, [1]))[1]
    assert isinstance(outcome.error, ServerError)
    assert not emulator.deploys


@pytest.mark.parametrize("acts", [True, False])
@pytest.mark.parametrize("shows", [True, False])
async def test_a_server_that_lists_the_oldest_first_does_not_deploy_twice(
    *, acts: bool, shows: bool
) -> None:
    made = [deployment(number) for number in range(1, 121)]
    posts = 0

    async def behave(request: Request, writer: Writer) -> None:
        nonlocal posts
        target = URL(request.target)
        if request.method == "POST":
            posts += 1
            if acts or posts > 1:
                made.append(deployment(121))
            if posts == 1:
                return writer.transport.abort()
            return await answer(made[-1])(request, writer)
        if target.path.endswith("/deployments"):
            size, page = int(target.query.get("limit", 20)), int(target.query.get("page_num", 1))
            items = made[(page - 1) * size : page * size]
            return await answer(items, headers={"X-Pagination-Total-Pages": "3"})(request, writer)
        current = made[-1] if shows else None
        return await answer({"id": 1, "currentDeployment": current})(request, writer)

    async with (
        hostile(behave) as server,
        Services("key", base_url=server.url) as services,
    ):
        outcome = (await deploy(services, [1], wait=False))[1]
    assert outcome.error is None
    assert outcome.deployment is not None
    assert outcome.deployment.deployment_id == 121
    assert posts == (1 if acts else 2)


def deployment(number: int) -> dict[str, object]:
    created_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    return {"deploymentId": number, "serviceId": 1, "createdAt": created_at.isoformat()}


@pytest.mark.parametrize("effect", [Reset(), Respond(502), Stall(seconds=0.05)], ids=str)
async def test_a_deploy_that_never_takes_is_given_up_after_a_few_requests(
    emulator: Emulator, services: Services, effect: Effect
) -> None:
    fault = emulator.fault(effect, method="POST")
    run = services.deploy_many([1], **QUICK)
    with anyio.fail_after(PATIENCE):
        outcome = await anext(run)
    assert isinstance(outcome.error, ServerError | ConnectionFailedError)
    assert outcome.deployment is None
    assert fault.hits == 3
    assert run.started == {}
    assert not emulator.deploys


@pytest.mark.parametrize("status", [429, 503])
async def test_being_turned_away_for_good_is_an_error_and_no_deployment(
    emulator: Emulator, once: Services, status: int
) -> None:
    fault = emulator.fault(Respond(status, retry_after=0), method="POST")
    outcome = (await deploy(once, [1]))[1]
    assert isinstance(outcome.error, RateLimitedError | ServerError)
    assert fault.hits == 1
    assert not emulator.deploys


async def test_a_deploy_that_acts_after_the_client_has_given_up_is_not_made_twice(
    emulator: Emulator, services: Services
) -> None:
    emulator.fault(Delay(1.5), method="POST", times=1)
    impatient = services.with_options(timeout=1.0)
    assert_well(await deploy(impatient, settle=10.0))
    assert_once(emulator)


async def test_a_deploy_that_shows_only_at_a_later_check_is_found(
    emulator: Emulator, services: Services
) -> None:
    emulator.fault(Reset(), method="POST", times=1)
    async with anyio.create_task_group() as group:

        async def act_late() -> None:
            await until(lambda: requests_to(emulator, "/services/1/deployments"))
            emulator.deploy(1)

        group.start_soon(act_late)
        assert_well(await deploy(services, [1], settle=10.0))
    assert_once(emulator, [1])


async def test_a_success_that_shows_no_deployment_is_an_error_and_not_repeated(
    emulator: Emulator, services: Services
) -> None:
    fault = emulator.fault(Respond(200, b"{"), method="POST")
    run = services.deploy_many([1], **QUICK)
    outcome = await anext(run)
    assert isinstance(outcome.error, ResponseDecodeError)
    assert fault.hits == 1


async def test_what_cannot_be_known_is_not_repeated(emulator: Emulator, once: Services) -> None:
    emulator.deploy(1)
    posts = emulator.fault(Reset(acts=True), method="POST")
    run = once.deploy_many([1], **QUICK)
    emulator.fault(Respond(500), method="GET", skip=1)
    outcome = await anext(run)
    assert isinstance(outcome.error, ConnectionFailedError)
    assert any("not known" in note for note in outcome.error.__notes__)
    assert posts.hits == 1
    assert run.started == {1: None}
    assert run.unknown == {1}
    assert run.made == {}
    assert dict(emulator.deploys) == {1: 2}


@pytest.mark.parametrize("count", [3, 200])
async def test_a_first_check_that_fails_is_repeated(
    emulator: Emulator, once: Services, count: int
) -> None:
    ids = [*ALL, *(emulator.add_service("added") for _ in range(count - 3))]
    emulator.fault(Garble(), method="GET", times=2)
    assert_well(await deploy(once, ids))
    assert_once(emulator, ids)


async def test_nothing_is_deployed_while_it_is_not_known_what_there_is(
    emulator: Emulator, once: Services
) -> None:
    emulator.fault(Respond(500), method="GET")
    outcomes = await deploy(once, range(1, 10))
    assert all(isinstance(outcome.error, ServerError) for outcome in outcomes.values())
    assert not emulator.deploys


@pytest.mark.parametrize(
    "effect", [Respond(500), Respond(502, "html"), Respond(503), Reset(), Garble(), Cut()], ids=str
)
async def test_checks_that_fail_only_take_longer(
    emulator: Emulator, once: Services, effect: Effect
) -> None:
    run = once.deploy_many(ALL, **QUICK)
    with anyio.fail_after(PATIENCE):
        first = asyncio.ensure_future(anext(run))
        await until(lambda: len(run.started) == 3)
        fault = emulator.fault(effect, method="GET", times=5)
        outcomes = [await first, *[outcome async for outcome in run]]
    assert_well({outcome.service_id: outcome for outcome in outcomes})
    assert fault.hits


async def test_many_faults_at_once_make_no_deploy_twice() -> None:
    async with (
        Emulator(services=150, pending_for=0.05) as emulator,
        Services(
            emulator.api_key, base_url=emulator.url, retry=RetryPolicy(base_delay=0.01), timeout=10
        ) as services,
    ):
        for seed, effect in enumerate((*ACTED, *DID_NOT_ACT)):
            emulator.fault(effect, method="POST", probability=0.05, seed=seed)
            emulator.fault(effect, method="GET", probability=0.01, seed=seed + 100)
        outcomes = await deploy(services, emulator.service_ids, settle=1.0, concurrency=50)
        assert max(emulator.deploys.values()) == 1
        for outcome in outcomes.values():
            if outcome.error is None:
                assert emulator.deploys[outcome.service_id] == 1
        well = sum(outcome.error is None for outcome in outcomes.values())
        assert well == len(emulator.deploys) > 120


async def test_a_deploy_that_its_own_list_cannot_decide_is_not_repeated(
    emulator: Emulator, once: Services
) -> None:
    emulator.deploy(1)
    posts = emulator.fault(Reset(), method="POST")
    emulator.fault(Respond(500), method="GET", path=POSTS)
    outcome = (await deploy(once, [1]))[1]
    assert isinstance(outcome.error, ConnectionFailedError)
    assert posts.hits == 1


@pytest.mark.parametrize("entry", ["no id", "with its id"])
async def test_a_malformed_deployment_is_never_overlooked(entry: str) -> None:
    posts = 0

    async def behave(request: Request, writer: Writer) -> None:
        nonlocal posts
        if request.method == "POST":
            posts += 1
            return writer.transport.abort()
        if URL(request.target).path.endswith("/deployments"):
            made = deployment(2) | {"createdAt": "yesterday"}
            if entry == "no id":
                del made["deploymentId"]
            listed = [made, deployment(1)] if posts else [deployment(1)]
            return await answer(listed)(request, writer)
        return await answer({"id": 1, "currentDeployment": None})(request, writer)

    async with hostile(behave) as server, Services("key", base_url=server.url) as services:
        outcome = (await deploy(services, [1], wait=False))[1]
    assert posts == 1
    if entry == "no id":
        assert isinstance(outcome.error, ConnectionFailedError)
    else:
        assert outcome.deployment is not None
        assert outcome.deployment.deployment_id == 2


# What is odd about another service


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 5, "updatedAt": ""},
        {"id": 5, "updatedAt": "2026-01-01T00:00:00"},
        {"id": 5, "currentDeployment": {}},
        None,
    ],
)
async def test_one_odd_service_in_the_listing_touches_no_other(odd: object) -> None:
    made: dict[int, dict[str, object]] = {}

    async def behave(request: Request, writer: Writer) -> None:
        path = URL(request.target).path.strip("/").split("/")
        if request.method == "POST":
            number = int(path[1])
            made[number] = deployment(number) | {"serviceId": number, "state": "running"}
            return await answer(made[number], status=201)(request, writer)
        listed = [{"id": each, "currentDeployment": made.get(each)} for each in range(1, 9)]
        if path[-1] == "deployments":
            return await answer([])(request, writer)
        if len(path) > 1:
            return await answer(listed[int(path[1]) - 1])(request, writer)
        return await answer([*listed[:4], odd, *listed[5:]])(request, writer)

    async with hostile(behave) as server, Services("key", base_url=server.url) as services:
        assert_well(await deploy(services, [1, 2, 3, 4]))
        assert made.keys() == {1, 2, 3, 4}


async def test_what_nobody_has_foreseen_in_one_service_is_its_own_failure(
    emulator: Emulator, services: Services
) -> None:
    async def behave(request: Request, writer: Writer) -> None:
        path = URL(request.target).path.strip("/").split("/")
        number = int(path[1]) if len(path) > 1 else 0
        if request.method == "POST":
            return await answer(b"[" * 100_000, status=201)(request, writer)
        if path[-1] == "deployments":
            return await answer([{"deploymentId": 10**30}])(request, writer)
        return await answer({"id": number, "currentDeployment": None})(request, writer)

    async with hostile(behave) as server, Services("key", base_url=server.url) as odd:
        outcomes = await deploy(odd, [1, 2])
    assert all(isinstance(outcome.error, ServicesError) for outcome in outcomes.values())


# Times


async def test_no_deployment_is_late_because_the_rate_limit_holds_up_the_looks() -> None:
    async with (
        Emulator(services=40, rate_limit=30, rate_window=1.0, pending_for=0.05) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        outcomes = await deploy(
            services, emulator.service_ids, timeout=0.5, poll_interval=0.1, settle=1.0
        )
    assert_well(outcomes)


async def test_no_hidden_deployment_is_late_because_there_are_many() -> None:
    async with Emulator(pending_for=0.05) as emulator:
        hidden = [emulator.add_service("hidden", hidden=True) for _ in range(200)]
        async with Services(emulator.api_key, base_url=emulator.url) as services:
            assert_well(await deploy(services, hidden, timeout=0.5))
        assert len(emulator.requests) < 2 * 200 + 60


async def test_no_deployment_is_late_because_each_must_be_looked_at_by_itself() -> None:
    async with (
        Emulator(services=60, pending_for=0.05, latency=0.02) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        emulator.fault(Respond(200, b"[]"), method="GET", path="/services")
        assert_well(await deploy(services, emulator.service_ids, timeout=0.1))


async def test_services_and_deployments_that_were_just_made_are_not_missing() -> None:
    async with lagging(0.4) as server, Services("key", base_url=server.url) as services:
        ids = [server.add_service() for _ in range(6)]
        outcomes = await deploy(services, ids, settle=1.0)
    assert_well(outcomes)


# Staying up


async def test_one_that_crashes_while_it_must_stay_up_has_failed(
    emulator: Emulator, services: Services
) -> None:
    run = services.deploy_many(ALL, **QUICK, stay_up=0.3)
    first = asyncio.ensure_future(anext(run))
    await until(lambda: len(run.made) == 3)
    await until(lambda: requests_to(emulator, "/services") + requests_to(emulator, "/services/2"))
    emulator.set_state(2, "running")
    await anyio.sleep(0.1)
    emulator.set_state(2, "failed", message="exited with status 1")
    outcomes = [await first, *[outcome async for outcome in run]]
    by_id = {outcome.service_id: outcome for outcome in outcomes}
    failed = by_id.pop(2)
    assert isinstance(failed.error, DeploymentFailedError)
    assert failed.error.state_message == "exited with status 1"
    assert_well(by_id)


async def test_a_recheck_finds_what_crashed_after_it_came_up() -> None:
    async with (
        Emulator(services=120) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        async with services.deploy_many(emulator.service_ids, **QUICK) as run:
            outcomes = {outcome.service_id: outcome async for outcome in run}
            assert_well(outcomes)
            emulator.set_state(7, "failed", message="exited with status 1")
            emulator.deploy(8)
            emulator.remove_service(9)
            emulator.requests.clear()
            failed = {outcome.service_id: outcome for outcome in await run.recheck()}
            assert requests_to(emulator, "/services") == 3
            again = await run.recheck()
        assert failed.keys() == {7, 8, 9}
        assert isinstance(failed[7].error, DeploymentFailedError)
        assert failed[7].error.state_message == "exited with status 1"
        assert isinstance(failed[8].error, DeploymentFailedError)
        assert isinstance(failed[9].error, NotFoundError)
        assert again == []


async def test_a_recheck_of_a_run_that_is_well_is_empty(services: Services) -> None:
    async with services.deploy_many(ALL, **QUICK) as run:
        async for _ in run:
            pass
        assert await run.recheck() == []


# What it costs


async def deploy_fleet(
    effect: Effect, *, times: int | None, size: int = 300, deployed: bool = True
) -> Emulator:
    """Deploy services that were deployed before or were not, some with a lost answer."""
    async with (
        Emulator(services=size, deployed=deployed, pending_for=0.05) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        emulator.deploys.clear()
        emulator.requests.clear()
        emulator.fault(effect, method="POST", times=times)
        outcomes = await deploy(services, emulator.service_ids, settle=1.0, poll_interval=0.1)
        if times is not None:
            assert_well(outcomes)
            assert_once(emulator, emulator.service_ids)
    return emulator


@pytest.mark.parametrize("deployed", [True, False])
@pytest.mark.parametrize("effect", [Reset(), Reset(acts=True)], ids=str)
async def test_a_fleet_of_which_a_fifth_lose_their_answer_costs_few_requests_more(
    effect: Effect, deployed: bool
) -> None:
    emulator = await deploy_fleet(effect, times=60, deployed=deployed)
    assert len(emulator.requests) <= 550


async def test_a_fleet_that_was_never_deployed_costs_few_lists_of_deployments() -> None:
    emulator = await deploy_fleet(Reset(), times=0, size=100, deployed=False)
    lists = sum(
        request.method == "GET" and request.path.endswith("/deployments")
        for request in emulator.requests
    )
    # Those of the services that are asked for at once, before the first answer has come.
    assert lists <= 20


@pytest.mark.parametrize("deployed", [True, False])
async def test_a_fleet_of_which_all_lose_their_answer_costs_three_requests_a_service(
    deployed: bool,
) -> None:
    emulator = await deploy_fleet(Reset(), times=150, size=150, deployed=deployed)
    assert len(emulator.requests) <= 3 * 150 + 90


async def test_a_fleet_that_was_deployed_although_all_answers_are_lost_costs_a_request_each() -> (
    None
):
    emulator = await deploy_fleet(Reset(acts=True), times=150, size=150, deployed=False)
    assert len(emulator.requests) <= 150 + 90


async def test_a_fleet_none_of_which_can_be_deployed_is_not_asked_for_again_and_again() -> None:
    emulator = await deploy_fleet(Respond(502), times=None)
    posts = sum(request.method == "POST" for request in emulator.requests)
    assert posts <= 300 + 2 * 5
    # A list of each tells that it was not deployed.
    assert len(emulator.requests) <= posts + 300 + 90


async def test_waiting_costs_requests_for_pages_and_not_for_services() -> None:
    async with (
        Emulator(services=400, pending_for=1.0, deployed=True) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        assert_well(await deploy(services, emulator.service_ids, concurrency=100))
        listings = requests_to(emulator, "/services")
        assert len(emulator.requests) == 400 + listings
        looks = dict.fromkeys(range(1, 9), 0)
        for request in emulator.requests:
            if request.path == "/services":
                looks[int(request.query["page_num"])] += 1
        assert listings == sum(looks.values())
        assert min(looks.values()) >= 2


async def test_a_service_that_shows_no_deployment_costs_a_request_more(
    emulator: Emulator, services: Services
) -> None:
    emulator.deploy(1)
    assert_well(await deploy(services))
    assert [requests_to(emulator, f"/services/{each}/deployments") for each in ALL] == [0, 1, 1]


async def test_checks_become_rarer_while_nothing_changes() -> None:
    async with (
        Emulator(services=10, pending_for=3600.0) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        await deploy(services, emulator.service_ids, timeout=1.0, poll_interval=0.02)
        # At 0.02 s there would be fifty; at 1.5 times as long each time there are nine.
        assert requests_to(emulator, "/services") < 20


# How it ends


async def test_nothing_is_deployed_before_the_first_outcome_is_asked_for(
    emulator: Emulator, services: Services
) -> None:
    run = services.deploy_many(ALL)
    await anyio.sleep(0.05)
    assert run.started == {}
    assert not emulator.requests


async def test_break_leaves_nothing_that_runs(emulator: Emulator, services: Services) -> None:
    before = running_tasks()
    emulator.fault(Delay(0.05), path="/services/3/deployments", method="POST")
    async for _ in services.deploy_many(ALL, concurrency=1, **QUICK):
        break
    await until(lambda: running_tasks() <= before)
    assert emulator.deploys[1] == 1


async def test_cancelling_leaves_nothing_that_runs_and_says_what_was_started() -> None:
    async with Emulator(services=50, pending_for=3600.0) as emulator:
        async with Services(emulator.api_key, base_url=emulator.url) as services:
            before = running_tasks()
            emulator.fault(Stall(acts=True), method="POST", path="/services/7/deployments")
            run = services.deploy_many(emulator.service_ids, concurrency=5)
            async with anyio.create_task_group() as group:

                async def drive() -> None:
                    async with run:
                        async for _ in run:
                            pass

                group.start_soon(drive)
                await until(lambda: emulator.deploys[7] and len(emulator.deploys) > 15)
                group.cancel_scope.cancel()
            assert running_tasks() <= before
        assert set(run.started) >= set(emulator.deploys)
        assert run.started[7] is None
        known = {each for each, made in run.started.items() if made is not None}
        assert len(known) > 5
        assert max(emulator.deploys.values()) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_deploy_that_was_turned_away_and_waits_was_not_started(
    emulator: Emulator, services: Services, status: int
) -> None:
    fault = emulator.fault(Respond(status, retry_after=100), method="POST")
    run = services.deploy_many([1], **QUICK)
    async with anyio.create_task_group() as group:
        group.start_soon(drain, run)
        await until(lambda: fault.hits)
        await until(lambda: not run.started)
        await run.aclose()
    assert run.started == {}
    assert not run.unknown
    assert fault.hits == 1


async def test_a_deploy_that_never_left_and_waits_was_not_started(closed_port: int) -> None:
    attempts: list[ResponseInfo] = []

    async def look(request: Request, writer: Writer) -> None:
        listener.close()  # what comes after this look is refused
        shown = {"id": 1, "currentDeployment": {"deploymentId": 1}}
        await answer(shown, headers={"Connection": "close"}, close=True)(request, writer)

    listener = await asyncio.start_server(partial(serve_once, look), "127.0.0.1", closed_port)
    url = f"http://127.0.0.1:{closed_port}"
    async with Services("key", base_url=url, retry=RetryPolicy(base_delay=1000)) as services:
        services.on_response(attempts.append)
        run = services.deploy_many([1], **QUICK)
        async with anyio.create_task_group() as group:
            group.start_soon(drain, run)
            await until(lambda: len(attempts) >= 2)
            await run.aclose()
    assert attempts[1].method == "POST"
    assert run.started == {}


async def drain(run: DeployRun) -> None:
    async for _ in run:
        pass


async def serve_once(
    behave: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, target, _ = head.split(" ", 2)
    await behave(Request(method, target, {}, b""), writer)
    await writer.wait_closed()


async def test_a_deploy_under_way_may_have_been_started(
    emulator: Emulator, services: Services
) -> None:
    emulator.fault(Stall(acts=True), method="POST", path="/services/1/deployments")
    run = services.deploy_many([1, 2], wait=False)
    assert (await anext(run)).service_id == 2
    await until(lambda: emulator.deploys[1])
    await run.aclose()
    assert run.unknown == {1}
    assert set(run.made) == {2}
    assert set(run.started) == {1, 2}


async def test_a_step_that_is_cancelled_loses_no_outcome(
    emulator: Emulator, services: Services
) -> None:
    run = services.deploy_many(ALL, **QUICK)
    outcomes: list[DeployOutcome] = []
    with anyio.fail_after(PATIENCE):
        while len(outcomes) < 3:
            with anyio.move_on_after(0.01):
                outcomes.append(await anext(run))
    assert {outcome.service_id for outcome in outcomes} == set(ALL)
    assert_once(emulator)


async def test_closing_the_session_ends_a_run(emulator: Emulator) -> None:
    services = Services(emulator.api_key, base_url=emulator.url)
    emulator.fault(Stall(), method="POST")
    run = services.deploy_many(ALL)
    step = asyncio.ensure_future(anext(run))
    await until(lambda: run.started)
    await services.aclose()
    with pytest.raises(SessionClosedError):
        await step


async def test_a_slow_reader_keeps_no_deploy_waiting(
    emulator: Emulator, services: Services
) -> None:
    run = services.deploy_many(ALL, concurrency=1, **QUICK)
    await anext(run)
    await until(lambda: len(emulator.deploys) == 3)
    await run.aclose()


async def test_a_timeout_of_the_deploy_itself_is_looked_into(
    emulator: Emulator, services: Services
) -> None:
    emulator.fault(Stall(acts=False, seconds=2.0), method="POST")
    outcome = (await deploy(services.with_options(timeout=0.5), [1]))[1]
    assert isinstance(outcome.error, RequestTimeoutError)
    assert requests_to(emulator, "/services/1/deployments") >= 3
    assert not emulator.deploys
