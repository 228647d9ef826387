"""The emulator as a Python object."""

import asyncio
import doctest
import gc
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aioservices.emulator.emulator
from aioservices import Services
from aioservices.emulator import Cut, Emulator, LogBehaviour
from tests.emulator.conftest import Client
from tests.servers.waiting import until


async def test_every_name_of_the_package_exists() -> None:
    for name in aioservices.emulator.__all__:
        assert getattr(aioservices.emulator, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Unknown'"):
        _ = aioservices.emulator.Unknown


async def test_it_leaves_no_task_and_no_socket(
    session: aiohttp.ClientSession, closed_port: int
) -> None:
    before = asyncio.all_tasks()
    async with Emulator(services=1, port=closed_port) as emulator:
        await Client(emulator, session).get("/services/1")
    await until(lambda: asyncio.all_tasks() == before)
    gc.collect()
    with pytest.raises(aiohttp.ClientConnectorError):
        await Client(emulator, session).get("/services/1")


async def test_it_may_be_left_by_another_task_than_the_one_that_entered_it(
    session: aiohttp.ClientSession,
) -> None:
    emulator = Emulator(services=1)
    await asyncio.create_task(emulator.__aenter__())
    await Client(emulator, session).get("/services/1")
    await asyncio.create_task(emulator.__aexit__(None, None, None))


async def test_it_comes_back_after_an_outage(session: aiohttp.ClientSession) -> None:
    emulator = Emulator()
    async with emulator:
        made = await Client(emulator, session).post("/services", {"name": "web"})
        url = emulator.url
    async with emulator:
        assert emulator.url == url
        assert await Client(emulator, session).get(f"/services/{made['id']}") == made


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing(emulator: Emulator) -> None:
    port = int(emulator.url.rpartition(":")[2])
    before = asyncio.all_tasks()
    with pytest.raises(OSError, match="in use"):
        async with Emulator(port=port):
            pass
    assert asyncio.all_tasks() == before


async def test_each_emulator_has_a_key_of_its_own() -> None:
    first, second = Emulator(), Emulator()
    assert first.api_key != second.api_key
    assert Emulator(api_key="mine").api_key == "mine"
    assert first.api_key not in repr(first)


async def test_a_service_has_the_attributes_that_were_given(client: Client) -> None:
    service_id = client.emulator.add_service("web", memory=512, hidden=True, user_id=7)
    service = await client.get(f"/services/{service_id}")
    assert (service["name"], service["memory"], service["hidden"]) == ("web", 512, True)
    assert service["user"]["id"] == 7
    assert client.emulator.service_ids == [service_id]


async def test_attributes_that_do_not_exist_are_refused(emulator: Emulator) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'replica'"):
        emulator.add_service("web", replica=2)
    with pytest.raises(ValueError, match="replicas"):
        emulator.add_service("web", replicas=0)
    assert emulator.service_ids == []


async def test_a_text_that_cannot_be_sent_is_refused_and_changes_nothing(
    client: Client, service_id: int
) -> None:
    lone = "\ud800"
    emulator = client.emulator
    emulator.deploy(service_id)
    calls: list[Callable[[], object]] = [
        lambda: emulator.add_service(lone),
        lambda: emulator.add_service("web", description=lone),
        lambda: emulator.log(service_id, lone),
        lambda: emulator.set_state(service_id, lone),
        lambda: emulator.set_state(service_id, "running", message=lone),
    ]
    before = await client.get(f"/services/{service_id}")
    for call in calls:
        with pytest.raises(ValueError, match="must be Unicode text"):
            call()
    assert await client.get(f"/services/{service_id}") == before
    assert emulator.service_ids == [service_id]


@pytest.mark.parametrize(
    "at",
    [10**30, -(10**30), datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)],
)
async def test_a_line_whose_time_no_log_can_keep_is_refused(
    emulator: Emulator, service_id: int, at: int | datetime
) -> None:
    with pytest.raises(ValueError, match=r"^at must lie between the years"):
        emulator.log(service_id, "a line", at=at)


@pytest.mark.parametrize("command", ["echo hi", b"echo hi"])
async def test_a_command_as_one_string_is_refused_with_the_remedy(
    emulator: Emulator, command: str
) -> None:
    with pytest.raises(TypeError, match=r"command must be a sequence of strings: use shlex\.split"):
        emulator.add_service("web", command=command)
    assert emulator.service_ids == []


async def test_a_command_of_no_words_or_of_no_texts_is_refused(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="command must have a program"):
        emulator.add_service("web", command=[])
    with pytest.raises(TypeError, match=r"command\[1\] must be str, not int"):
        emulator.add_service("web", command=["sleep", 5])  # type: ignore[list-item]
    assert emulator.service_ids == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"command": ["true", "a\0b"]}, ValueError, r"command\[1\] must not have a null"),
        ({"env": {"A": 5}}, TypeError, r"env\['A'\] must be str, not int"),
        ({"env": {5: "A"}}, TypeError, "env must be str, not int"),
        ({"env": {"A=B": "x"}}, ValueError, "env must have names without '='"),
        ({"env": {"": "x"}}, ValueError, "env must have names"),
        ({"env": {"A": "secret\0"}}, ValueError, r"env\['A'\] must not have a null character"),
        ({"cwd": 5}, TypeError, "PathLike"),
        ({"cwd": "a\0b"}, ValueError, "cwd must not have a null character"),
    ],
)
async def test_what_no_program_can_be_given_is_refused_at_once(
    emulator: Emulator, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        emulator.add_service("job", **{"command": ["true"], **options})
    assert "secret" not in str(raised.value)
    assert emulator.service_ids == []


@pytest.mark.parametrize("key", ["\ud800", b"key", 5, "", "a b", "a:b", "schlüssel", "a\nb"])
async def test_a_key_that_nobody_can_send_is_refused(emulator: Emulator, key: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^api_key (must|cannot) ") as made:
        Emulator(api_key=key)
    with pytest.raises((TypeError, ValueError), match=r"^api_key (must|cannot) ") as changed:
        emulator.api_key = key
    assert str(made.value) == str(changed.value)


@given(
    key=st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1
    )
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_key_that_is_taken_is_one_that_the_client_can_send(
    emulator: Emulator, key: str
) -> None:
    emulator.api_key = key
    async with Services(key, base_url=emulator.url) as services:
        assert await services.list() == []


async def test_services_can_be_running_from_the_start(session: aiohttp.ClientSession) -> None:
    async with Emulator(services=2, deployed=True, pending_for=60.0) as emulator:
        running = await Client(emulator, session).get("/services", status="running")
        assert len(running) == 2


async def test_a_line_deploys_a_service_that_was_not(client: Client, service_id: int) -> None:
    client.emulator.log(service_id, "first")
    service = await client.get(f"/services/{service_id}")
    assert service["currentDeployment"]["state"] == "running"
    deployment_id = service["currentDeployment"]["deploymentId"]
    assert await client.messages(service_id, deployment_id) == ["first"]


async def test_a_state_can_be_any_word(client: Client, service_id: int) -> None:
    client.emulator.deploy(service_id)
    client.emulator.set_state(service_id, "hibernating", message="until spring")
    current = (await client.get(f"/services/{service_id}"))["currentDeployment"]
    assert (current["state"], current["stateMessage"]) == ("hibernating", "until spring")


async def test_an_earlier_deployment_can_change_too(client: Client, service_id: int) -> None:
    first, _second = client.emulator.deploy(service_id), client.emulator.deploy(service_id)
    client.emulator.set_state(service_id, "running", deployment_id=first)
    path = f"/services/{service_id}/deployments/{first}"
    assert (await client.get(path))["state"] == "running"


async def test_a_removed_service_is_gone(client: Client, service_id: int) -> None:
    client.emulator.remove_service(service_id)
    assert (await client.call("GET", f"/services/{service_id}")).status == 404


async def test_deploys_are_counted_for_each_service(client: Client, service_id: int) -> None:
    await client.post(f"/services/{service_id}/deployments")
    await client.post(f"/services/{service_id}/redeploy")
    assert client.emulator.deploys == {service_id: 2}


@pytest.mark.parametrize("call", ["log", "deploy", "set_state", "remove_service"])
async def test_an_unknown_service_is_named(emulator: Emulator, call: str) -> None:
    arguments = {"log": ("a line",), "set_state": ("running",)}.get(call, ())
    with pytest.raises(LookupError, match="service 42"):
        getattr(emulator, call)(42, *arguments)


async def test_an_unknown_deployment_is_named(emulator: Emulator, service_id: int) -> None:
    with pytest.raises(LookupError, match="deployment 7"):
        emulator.log(service_id, "a line", deployment_id=7)
    with pytest.raises(LookupError, match="deployment 7"):
        emulator.set_state(service_id, "running", deployment_id=7)


async def test_an_archived_service_is_not_deployed(client: Client, service_id: int) -> None:
    await client.put(f"/services/{service_id}/archive", {"status": True})
    with pytest.raises(ValueError, match="archived"):
        client.emulator.deploy(service_id)


@pytest.mark.parametrize("effect", ["x", Cut, None, 503])
async def test_what_is_no_effect_is_no_fault(client: Client, effect: object) -> None:
    with pytest.raises(TypeError, match="effect must be an object of Delay, Respond, "):
        client.emulator.fault(effect)  # type: ignore[arg-type]
    await client.get("/services")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"probability": 2}, ValueError),
        ({"probability": "often"}, TypeError),
        ({"times": -1}, ValueError),
        ({"times": "once"}, TypeError),
        ({"skip": True}, TypeError),
        ({"method": 5}, TypeError),
        ({"path": 5}, TypeError),
    ],
)
async def test_a_fault_with_options_that_make_no_sense_is_refused(
    emulator: Emulator, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=f"^{next(iter(options))} must be "):
        emulator.fault(Cut(), **options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"stream": "bad"}, ValueError),
        ({"source": "bad"}, ValueError),
        ({"message": b"a line"}, TypeError),
        ({"at": 1.5}, TypeError),
    ],
)
async def test_a_line_that_no_log_has_is_not_written(
    client: Client, service_id: int, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=f"^{next(iter(options))} must be "):
        client.emulator.log(service_id, **{"message": "a line", **options})
    assert client.emulator.deploys == {}


@pytest.mark.parametrize(
    "name",
    [
        "rate_window",
        "latency",
        "null_state_for",
        "pending_for",
        "running_for",
        "log_interval",
        "stop_grace",
    ],
)
@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e300])
def test_a_duration_that_cannot_be_is_refused(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be 0 or more"):
        Emulator(**{name: seconds})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["services", "rate_limit", "log_retention"])
def test_a_number_that_is_too_small_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be (. or more|from 0 to 1000000), not -1"):
        Emulator(**{name: -1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=rf"^{name} must be int, not str"):
        Emulator(**{name: "1"})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["shares_as", "credentials_as"])
def test_an_emulator_of_a_kind_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be one of "):
        Emulator(**{name: "text"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["keeps", "order", "unit", "start_unit", "end_unit", "start_rounding", "end_rounding"]
)
def test_a_behaviour_of_logs_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be one of "):
        LogBehaviour(**{name: "bad"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"max_limit": 0}, {"utc_offset": 1440}, {"utc_offset": -1440}, {"visible_after": -1.0}],
)
def test_a_behaviour_of_logs_that_is_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(options))} must be "):
        LogBehaviour(**options)


async def test_a_naive_time_is_refused(emulator: Emulator, service_id: int) -> None:
    naive = datetime.now(UTC).replace(tzinfo=None)
    with pytest.raises(ValueError, match="timezone"):
        emulator.log(service_id, "a line", at=naive)


def test_its_example_runs() -> None:
    results = doctest.testmod(aioservices.emulator.emulator, optionflags=doctest.ELLIPSIS)
    assert results.attempted > 0
    assert results.failed == 0


def test_its_methods_may_be_called_from_any_thread() -> None:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Emulator(services=1)) as emulator,
    ):

        def write() -> None:
            for number in range(500):
                emulator.log(1, str(number))

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()

        async def count() -> int:
            async with aiohttp.ClientSession() as session:
                return len(await Client(emulator, session).messages(1, 1001))

        assert portal.call(count) <= 2000
        for thread in threads:
            thread.join()
        assert portal.call(count) == 2000
        assert emulator.deploys == {1: 1}
