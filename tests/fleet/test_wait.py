"""Waiting until deployments run."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from yarl import URL

from aioservices import (
    AuthenticationError,
    DeploymentFailedError,
    DeploymentTimeoutError,
    NotFoundError,
    RateLimitedError,
    ResponseDecodeError,
    RetryPolicy,
    Services,
)
from aioservices.api.models import Deployment
from aioservices.api.states import FINAL_STATES
from aioservices.emulator import Cut, Delay, Emulator, Garble, Reset, Respond, Stall
from aioservices.emulator.faults import Effect
from aioservices.fleet.discovery import ServiceIndex, SharedChecks
from aioservices.fleet.failure import last_lines
from aioservices.fleet.wait import DeploymentWaiter
from tests.servers.emulated import session
from tests.servers.hostile import Behaviour, Request, Writer, answer, hostile
from tests.servers.lagging import lagging

from .conftest import PATIENCE, requests_to, running_tasks, until

QUICK: dict[str, Any] = {"poll_interval": 0.02, "timeout": PATIENCE}


@pytest.fixture
async def slow() -> AsyncIterator[Emulator]:
    """A server whose deployments run when the test says so."""
    async with Emulator(services=3, pending_for=3600.0) as emulator:
        yield emulator


@pytest.fixture
async def patient(slow: Emulator) -> AsyncIterator[Services]:
    async with Services(slow.api_key, base_url=slow.url) as services:
        yield services


def looks(emulator: Emulator, service_id: int, deployment_id: int) -> int:
    return requests_to(emulator, f"/services/{service_id}/deployments/{deployment_id}")


async def test_a_deployment_is_returned_once_it_runs(
    emulator: Emulator, services: Services
) -> None:
    number = emulator.deploy(1)
    deployment = await services.wait_until_running(1, number, **QUICK)
    assert (deployment.deployment_id, deployment.state) == (number, "running")


async def test_one_that_runs_already_costs_one_request(slow: Emulator, patient: Services) -> None:
    number = slow.deploy(1)
    slow.set_state(1, "running")
    await patient.wait_until_running(1, number)
    assert len(slow.requests) == 1


async def test_one_that_sleeps_was_deployed_well(slow: Emulator, patient: Services) -> None:
    number = slow.deploy(1)
    slow.set_state(1, "sleeping")
    assert (await patient.wait_until_running(1, number, **QUICK)).state == "sleeping"


async def test_a_state_that_is_not_known_counts_as_running_and_is_reported_once(
    slow: Emulator, patient: Services, caplog: pytest.LogCaptureFixture
) -> None:
    number = slow.deploy(1)
    slow.set_state(1, "warming up")
    deployment = await patient.wait_until_running(1, number, stay_up=0.1, **QUICK)
    assert deployment.state == "warming up"
    assert caplog.text.count("unknown state 'warming up'") == 1


def odd_answers(made: dict[str, Any]) -> Behaviour:
    """Answer every request of a fleet about service 1 with a deployment."""

    async def behave(request: Request, writer: Writer) -> None:
        path = URL(request.target).path.strip("/").split("/")
        service = {"id": 1, "name": "web", "currentDeployment": made}
        if path[-1] == "logs":
            return await answer([])(request, writer)
        if request.method == "POST":
            service["currentDeployment"] = made
            return await answer(made, status=201)(request, writer)
        if "deployments" in path:
            return await answer([made] if path[-1] == "deployments" else made)(request, writer)
        return await answer(service if len(path) > 1 else [service])(request, writer)

    return behave


RUNNING = {"deploymentId": 7, "serviceId": 1, "state": "running"}
OPTIONAL = [
    name for name in Deployment.__struct_encode_fields__ if name not in {"deploymentId", "state"}
]


@pytest.mark.parametrize("name", OPTIONAL)
async def test_one_odd_value_ends_no_wait_and_no_deploy(name: str) -> None:
    made = RUNNING | {name: {"odd": [None]}}
    async with hostile(odd_answers(made)) as server, session(server) as services:
        deployment = await services.wait_until_running(1, 7, **QUICK)
        assert deployment == Deployment(
            deployment_id=7, service_id=deployment.service_id, state="running"
        )
        run = services.deploy_many([1], **QUICK)
        outcomes = [outcome async for outcome in run]
        assert [(outcome.deployment, outcome.error) for outcome in outcomes] == [(deployment, None)]
        assert await run.recheck() == []


async def test_a_state_that_is_not_a_text_counts_as_running_and_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server_of = hostile(odd_answers(RUNNING | {"state": 5}))
    async with server_of as server, session(server) as services:
        deployment = await services.wait_until_running(1, 7, stay_up=0.1, **QUICK)
        assert deployment.state == "5"
        assert caplog.text.count("unknown state '5'") == 1
        async for outcome in services.deploy_many([1], stay_up=0.1, **QUICK):
            assert outcome.error is None
        assert caplog.text.count("unknown state '5'") == 2  # once by each wait
        current = (await services.list())[0].current_deployment
        assert current is not None
        assert current.state == "5"


@pytest.mark.parametrize(
    "made", [RUNNING | {"deploymentId": "7"}, {"state": "running"}, 5], ids=["text", "none", "5"]
)
async def test_a_deployment_without_an_identifier_is_an_error(made: Any) -> None:
    async with hostile(odd_answers(made)) as server, session(server) as services:
        outcomes = [each async for each in services.deploy_many([1], settle=0.05, **QUICK)]
    assert isinstance(outcomes[0].error, ResponseDecodeError)


async def test_a_state_that_is_not_known_may_turn_out_to_be_followed_by_a_bad_one(
    slow: Emulator, patient: Services
) -> None:
    number = slow.deploy(1)
    slow.set_state(1, "warming up")
    async with anyio.create_task_group() as group:

        async def fail() -> None:
            await until(lambda: looks(slow, 1, number) > 1)
            slow.set_state(1, "failed")

        group.start_soon(fail)
        with pytest.raises(DeploymentFailedError):
            await patient.wait_until_running(1, number, stay_up=60.0, **QUICK)


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
async def test_one_that_ended_says_why_with_its_last_lines(
    slow: Emulator, patient: Services, state: str
) -> None:
    number = slow.deploy(1)
    for line in range(25):
        slow.log(1, f"line {line}")
    slow.set_state(1, state, message="No such image")
    with pytest.raises(DeploymentFailedError, match="No such image") as caught:
        await patient.wait_until_running(1, number, **QUICK)
    error = caught.value
    assert (error.service_id, error.deployment_id, error.state) == (1, number, state)
    assert error.logs == tuple(f"line {line}" for line in range(5, 25))


async def test_the_last_lines_are_found_also_if_they_were_written_long_before_the_end(
    slow: Emulator, patient: Services
) -> None:
    number = slow.deploy(1)
    current = (await patient.get(1)).current_deployment
    assert current is not None
    assert current.created_at is not None
    slow.log(1, "the only line", at=current.created_at.replace(year=2020))
    slow.set_state(1, "failed")
    with pytest.raises(DeploymentFailedError) as caught:
        await patient.wait_until_running(1, number, **QUICK)
    assert caught.value.logs == ("the only line",)


async def test_the_last_lines_are_found_also_on_the_last_of_many_pages(
    slow: Emulator, patient: Services
) -> None:
    number = slow.deploy(1)
    for line in range(10_030):  # more than a page
        slow.log(1, f"line {line}")
    slow.set_state(1, "failed")
    with pytest.raises(DeploymentFailedError) as caught:
        await patient.wait_until_running(1, number, **QUICK)
    assert caught.value.logs == tuple(f"line {line}" for line in range(10_010, 10_030))


async def test_a_failure_is_no_timeout_because_its_log_takes_longer(
    slow: Emulator, patient: Services
) -> None:
    number = slow.deploy(1)
    slow.log(1, "the only line")
    slow.set_state(1, "failed", message="No such image")
    slow.fault(Delay(1.0), path="/services/*/deployments/*/logs")
    with pytest.raises(DeploymentFailedError, match="No such image") as caught:
        await patient.wait_until_running(1, number, poll_interval=0.02, timeout=0.5)
    assert caught.value.logs == ("the only line",)


async def test_a_failure_is_reported_also_when_its_log_cannot_be_read(
    slow: Emulator, patient: Services
) -> None:
    number = slow.deploy(1)
    slow.set_state(1, "failed", message="No such image")
    slow.fault(Respond(403), path="/services/*/deployments/*/logs")
    with pytest.raises(DeploymentFailedError, match="No such image") as caught:
        await patient.wait_until_running(1, number, **QUICK)
    assert caught.value.logs == ()


async def test_one_that_was_replaced_has_ended(slow: Emulator, patient: Services) -> None:
    number = slow.deploy(1)
    later = slow.deploy(1)
    with pytest.raises(DeploymentFailedError, match=str(later)):
        await patient.wait_until_running(1, number, **QUICK)


@pytest.mark.parametrize(("service_id", "offset"), [(1, 1000), (2, 0), (99, 0)])
async def test_one_that_does_not_exist_says_so_when_that_is_sure(
    slow: Emulator,
    patient: Services,
    monkeypatch: pytest.MonkeyPatch,
    service_id: int,
    offset: int,
) -> None:
    monkeypatch.setattr("aioservices.fleet.progress.READ_LAG", 0.1)
    number = slow.deploy(1)
    with pytest.raises(NotFoundError):
        await patient.wait_until_running(service_id, number + offset, **QUICK)
    assert len(slow.requests) > 1


async def test_one_that_was_just_made_is_awaited_though_reads_lag_behind() -> None:
    async with lagging(0.4) as server, Services("key", base_url=server.url) as services:
        service_id = server.add_service()
        made = await services.post_deployments(service_id)
        deployment = await services.wait_until_running(
            service_id, made.deployment_id, poll_interval=0.02
        )
    assert deployment == made


async def test_a_wrong_key_says_so_at_once(slow: Emulator) -> None:
    async with Services("wrong", base_url=slow.url) as services:
        with pytest.raises(AuthenticationError):
            await services.wait_until_running(1, slow.deploy(1), **QUICK)


@pytest.mark.parametrize(("retry_after", "max_elapsed"), [(3600, 600.0), (300, 60.0)])
async def test_a_rate_limit_that_outlasts_every_call_says_so_at_once(
    slow: Emulator, retry_after: int, max_elapsed: float
) -> None:
    number = slow.deploy(1)
    slow.fault(Respond(429, retry_after=retry_after))
    async with session(slow, retry=RetryPolicy(max_elapsed=max_elapsed)) as services:
        with pytest.raises(RateLimitedError) as caught, anyio.fail_after(PATIENCE):
            await services.wait_until_running(1, number, timeout=7200)
        assert caught.value.retry_after == retry_after
        # Also where the session was blocked before the wait began, and in a deploy.
        with pytest.raises(RateLimitedError), anyio.fail_after(PATIENCE):
            await services.wait_until_running(1, number, timeout=7200)
        with anyio.fail_after(PATIENCE):
            outcomes = [outcome async for outcome in services.deploy_many([1], timeout=7200)]
        assert isinstance(outcomes[0].error, RateLimitedError)


async def test_one_that_does_not_run_in_time_says_in_which_state_it_is(
    slow: Emulator, patient: Services
) -> None:
    number = slow.deploy(1)
    with pytest.raises(DeploymentTimeoutError, match=r"still pending after 1 s") as caught:
        await patient.wait_until_running(1, number, timeout=1.0, poll_interval=0.02)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.deployment_id == number


@pytest.mark.parametrize(
    "effect", [Respond(500), Respond(502, "html"), Respond(503), Reset(), Garble(), Cut()], ids=str
)
async def test_checks_that_fail_are_repeated(
    emulator: Emulator, services: Services, effect: Effect
) -> None:
    once = services.with_options(retry=RetryPolicy(max_attempts=1))
    number = emulator.deploy(1)
    fault = emulator.fault(effect, method="GET", times=3)
    assert (await once.wait_until_running(1, number, **QUICK)).state == "running"
    assert fault.hits == 3


async def test_an_outage_longer_than_the_time_leaves_the_state_unknown(
    slow: Emulator, patient: Services
) -> None:
    number = slow.deploy(1)
    slow.fault(Respond(500))
    with pytest.raises(DeploymentTimeoutError, match="unknown state") as caught:
        await patient.wait_until_running(1, number, timeout=0.1, poll_interval=0.02)
    assert caught.value.state is None


async def test_checks_become_rarer_while_nothing_changes(slow: Emulator, patient: Services) -> None:
    number = slow.deploy(1)
    with pytest.raises(DeploymentTimeoutError):
        await patient.wait_until_running(1, number, timeout=1.0, poll_interval=0.02)
    assert looks(slow, 1, number) < 20  # fifty without


async def test_cancelling_leaves_nothing_that_runs(slow: Emulator, patient: Services) -> None:
    before = running_tasks()
    number = slow.deploy(1)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: patient.wait_until_running(1, number, **QUICK))
        await until(lambda: looks(slow, 1, number) > 1)
        group.cancel_scope.cancel()
    assert running_tasks() <= before


@pytest.mark.parametrize("name", ["timeout", "poll_interval"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
async def test_a_senseless_time_is_refused_by_its_name(
    patient: Services, name: str, value: float
) -> None:
    options: dict[str, float] = {name: value}
    with pytest.raises(ValueError, match=name):
        await patient.wait_until_running(1, 1001, **options)


async def test_a_time_that_is_no_number_is_refused(patient: Services) -> None:
    soon: Any = "soon"
    with pytest.raises(TypeError, match="timeout must be a number of seconds, not str"):
        await patient.wait_until_running(1, 1001, timeout=soon)


async def test_a_wait_that_the_rate_limit_holds_up_is_no_timeout() -> None:
    async with (
        Emulator(services=1, rate_limit=5, rate_window=1.0, pending_for=0.0) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        number = emulator.deploy(1)
        for _ in range(5):
            await services.get(1)
        deployment = await services.wait_until_running(1, number, timeout=0.2, poll_interval=0.02)
        assert deployment.state == "running"


async def test_a_server_that_does_not_answer_is_given_up_in_time(
    slow: Emulator, patient: Services
) -> None:
    number = slow.deploy(1)
    slow.fault(Stall(), method="GET")
    with pytest.raises(DeploymentTimeoutError, match="unknown state"):
        await patient.wait_until_running(1, number, timeout=0.2, poll_interval=0.02)


async def test_one_that_crashes_while_it_must_stay_up_has_failed(
    slow: Emulator, patient: Services
) -> None:
    number = slow.deploy(1)
    slow.set_state(1, "running")
    async with anyio.create_task_group() as group:

        async def crash() -> None:
            await until(lambda: looks(slow, 1, number) > 1)
            slow.log(1, "Traceback")
            slow.set_state(1, "failed", message="exited with status 1")

        group.start_soon(crash)
        with pytest.raises(DeploymentFailedError, match="exited with status 1") as caught:
            await patient.wait_until_running(1, number, stay_up=PATIENCE, **QUICK)
    assert caught.value.logs == ("Traceback",)


async def test_one_that_stays_up_is_returned_then(slow: Emulator, patient: Services) -> None:
    number = slow.deploy(1)
    slow.set_state(1, "running")
    begun = anyio.current_time()
    await patient.wait_until_running(1, number, stay_up=0.2, **QUICK)
    assert anyio.current_time() - begun >= 0.2


# Many at once


def start_all(emulator: Emulator) -> list[Deployment]:
    """Make a deployment of every service."""
    return [
        Deployment(deployment_id=emulator.deploy(each), service_id=each, state="pending")
        for each in emulator.service_ids
    ]


async def wait_for_all(
    services: Services,
    made: list[Deployment],
    *,
    timeout: float = PATIENCE,
    read_lag: float = 0.1,
) -> dict[int, Exception | None]:
    """Wait for every deployment; gives by service why it is not up."""
    errors: dict[int, Exception | None] = {}
    index = ServiceIndex(services)
    await index.fetch({each.service_id or 0 for each in made}, lambda _id, _snapshot: None)
    shared = SharedChecks(index, spacing=0.01)
    waiter = DeploymentWaiter(
        services, shared, timeout=timeout, stay_up=0.0, poll_interval=0.02, read_lag=read_lag
    )

    async def wait(deployment: Deployment) -> None:
        assert deployment.service_id is not None
        _, errors[deployment.service_id] = await waiter.wait(deployment.service_id, deployment)

    async with anyio.create_task_group() as looking:
        looking.start_soon(shared.run)
        async with anyio.create_task_group() as waiting:
            for deployment in made:
                waiting.start_soon(wait, deployment)
        looking.cancel_scope.cancel()
    return errors


async def test_hundreds_are_waited_for_with_a_request_for_each_page_and_look() -> None:
    async with (
        Emulator(services=300, pending_for=3600.0) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        waiting = asyncio.ensure_future(wait_for_all(services, start_all(emulator)))
        await until(lambda: requests_to(emulator, "/services") >= 12)
        assert all(request.path == "/services" for request in emulator.requests)
        for service_id in emulator.service_ids:
            emulator.set_state(service_id, "running")
        assert set((await waiting).values()) == {None}


async def test_only_pages_with_services_that_are_awaited_are_looked_at() -> None:
    async with (
        Emulator(services=300, pending_for=3600.0) as emulator,
        Services(emulator.api_key, base_url=emulator.url) as services,
    ):
        made = start_all(emulator)
        for service_id in range(1, 251):
            emulator.set_state(service_id, "running")
        waiting = asyncio.ensure_future(wait_for_all(services, made))
        await until(lambda: requests_to(emulator, "/services") >= 24)
        late = [request.query["page_num"] for request in emulator.requests][-3:]
        assert late == ["6"] * 3
        for service_id in range(251, 301):
            emulator.set_state(service_id, "running")
        assert set((await waiting).values()) == {None}


async def test_each_of_many_has_its_own_outcome(slow: Emulator, patient: Services) -> None:
    made = start_all(slow)
    slow.set_state(1, "running")
    slow.set_state(2, "failed", message="No such image")
    errors = await wait_for_all(patient, made, timeout=1.0)
    assert errors[1] is None
    assert isinstance(errors[2], DeploymentFailedError)
    assert isinstance(errors[3], DeploymentTimeoutError)


async def test_one_whose_service_shows_no_deployment_any_more_is_gone(
    slow: Emulator, patient: Services
) -> None:
    made = start_all(slow)
    for service_id in (1, 3):
        slow.set_state(service_id, "running")
    await patient.delete_deployments(2, made[1].deployment_id)
    errors = await wait_for_all(patient, made)
    error = errors.pop(2)
    assert isinstance(error, DeploymentFailedError)
    assert error.state == "deleted"
    assert "it was pending before" in str(error)
    assert set(errors.values()) == {None}


def test_of_no_lines_none_are_the_last() -> None:
    assert last_lines([]) == []
