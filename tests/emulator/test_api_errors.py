"""The answers to requests that are wrong."""

import json
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from aioservices.emulator import Emulator
from aioservices.emulator.state import State
from tests.emulator.conftest import Answer, Client

SERVICE = "/services/1"


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    return {"services": 1}


def assert_refused(answer: Answer, status: int) -> None:
    assert answer.status == status, answer.text
    assert answer.json.keys() == {"error", "errorDescription", "code"}
    assert answer.json["code"] == status
    assert answer.json["errorDescription"]
    assert answer.headers["X-RateLimit-Limit"]


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_a_wrong_key_is_challenged(client: Client, key: str) -> None:
    answer = await client.call("GET", "/services", key=key)
    assert_refused(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize("header", [None, "Basic", "Basic ?", "Bearer abc"])
async def test_no_proper_credentials_are_challenged(
    emulator: Emulator, session: aiohttp.ClientSession, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with session.get(f"{emulator.url}/services", headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"]


async def test_a_key_that_was_taken_back_is_challenged(client: Client) -> None:
    old = client.emulator.api_key
    client.emulator.api_key = "another"
    assert_refused(await client.call("GET", "/services", key=old), 401)
    await client.get("/services")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "//"),
        ("GET", "/scripts"),
        ("GET", "/services/x"),
        ("GET", "/services/2"),
        ("GET", "/services/%23"),
        ("GET", "/services/1/unknown"),
        ("GET", "/services/99999999999999999999999"),
        ("PUT", "/services/2"),
        ("PATCH", "/services/2"),
        ("GET", "/services/2/shares"),
        ("DELETE", "/services/1/shares/users/7"),
        ("DELETE", "/services/1/shares/groups/7"),
        ("DELETE", "/services/1/projects/7"),
        ("DELETE", "/services/1/tokens/7"),
        ("GET", "/services/1/deployments/7"),
        ("DELETE", "/services/1/deployments/7"),
        ("GET", "/services/1/deployments/7/logs"),
        ("POST", "/services/2/deployments"),
        ("POST", "/services/2/clone"),
    ],
)
async def test_what_does_not_exist_is_not_found(client: Client, method: str, path: str) -> None:
    assert_refused(await client.call(method, path), 404)


async def test_an_unknown_deployment_cannot_be_deployed_again(client: Client) -> None:
    assert_refused(await client.call("POST", f"{SERVICE}/redeploy", {"deploymentId": 7}), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/services", "GET, POST"), ("GET", f"{SERVICE}/clone", "POST")],
)
async def test_another_method_is_not_allowed(
    client: Client, method: str, path: str, allowed: str
) -> None:
    answer = await client.call(method, path)
    assert_refused(answer, 405)
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"null"])
async def test_a_body_that_is_no_object_cannot_be_parsed(client: Client, body: bytes) -> None:
    assert_refused(await client.call("POST", "/services", data=body), 400)


@pytest.mark.parametrize("name", ["name", "environmentVariables", "schedule"])
@pytest.mark.parametrize("depth", [500, 2_000, 100_000])
async def test_a_body_that_is_nested_too_deeply_is_refused(
    client: Client, name: str, depth: int
) -> None:
    body = b'{"%b": %b1%b}' % (name.encode(), b'{"a":' * depth, b"}" * depth)
    answer = await client.call("POST", "/services", data=body)
    assert_refused(answer, answer.status)
    assert answer.status in {400, 422}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "must be a JSON object"),
        (b'{"memory": 1e400}', "number that is out of range"),
        (b'{"memory": [-1e400]}', "number that is out of range"),
        (rb'{"name": "\ud800"}', "lone surrogate"),
        (rb'{"name": "\ud800x and more text"}', "lone surrogate"),
        (rb'{"name": "\udc00"}', "lone surrogate"),
        (b'{"name": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"name": "a', "truncated"),
        (b'{"memory": NaN}', "invalid character"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_with_the_reason(
    client: Client, body: bytes, reason: str
) -> None:
    answer = await client.call("POST", "/services", data=body)
    assert_refused(answer, 400)
    assert reason in answer.json["errorDescription"]


NUMBERS = ["replicas", "maxReplicas", "memory", "cpu", "permissionSetId"]


@pytest.mark.parametrize("name", [*NUMBERS, "credentials"])
@pytest.mark.parametrize("number", [0, -1, 2**63, 10**400])
async def test_a_number_that_the_platform_cannot_keep_is_refused(
    client: Client, name: str, number: int
) -> None:
    value = [number] if name == "credentials" else number
    for method in ("PUT", "PATCH"):
        assert_refused(await client.call(method, SERVICE, {name: value}), 422)
    assert_refused(await client.call("POST", "/services", {name: value}), 422)


@pytest.mark.parametrize("name", NUMBERS)
async def test_the_largest_number_there_is_harms_nothing(client: Client, name: str) -> None:
    await client.patch(SERVICE, {"maxReplicas": 2**31 - 1})
    await client.patch(SERVICE, {name: 2**31 - 1})
    deployment = await client.post(f"{SERVICE}/deployments")
    client.emulator.set_state(1, "failed")
    await client.get(SERVICE)
    await client.delete(f"{SERVICE}/deployments/{deployment['deploymentId']}")
    await client.get(SERVICE)


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**400])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/shares/users", {"userIds": ["#"], "permissionLevel": "read"}),
        ("/shares/groups", {"groupIds": ["#"], "permissionLevel": "read"}),
        ("/transfer", {"userId": "#", "includeDependencies": False}),
    ],
)
async def test_an_identifier_that_cannot_exist_is_refused(
    client: Client, path: str, body: dict[str, object], number: int
) -> None:
    text = json.dumps(body).replace('"#"', str(number))
    assert_refused(await client.call("PUT", SERVICE + path, data=text.encode()), 422)


async def test_a_number_of_too_many_digits_cannot_be_parsed(client: Client) -> None:
    body = b'{"replicas": %b}' % (b"9" * 10_000)
    assert_refused(await client.call("POST", "/services", data=body), 400)


async def test_a_body_that_is_not_compressed_as_it_says_is_refused(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    key = aiohttp.encode_basic_auth(emulator.api_key, "")
    headers = {"Authorization": key, "Content-Encoding": "gzip"}
    async with session.post(f"{emulator.url}/services", data=b"{}", headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["error"] == "bad_request"
    assert emulator.statuses == {400: 1}


async def test_a_bug_of_the_emulator_is_answered_as_the_api_answers_and_logged(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(State, "clone", fail)
    assert_refused(await client.call("POST", f"{SERVICE}/clone"), 500)
    assert "POST /services/1/clone could not be answered" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert client.emulator.statuses == {500: 1}
    await client.get(SERVICE)


async def test_a_huge_body_is_refused(client: Client) -> None:
    body = BytesIO(b'{"description": "' + b"x" * 2_000_000 + b'"}')
    assert_refused(await client.call("POST", "/services", data=body), 413)
    assert client.emulator.statuses == {413: 1}


@pytest.mark.parametrize(
    "attributes",
    [
        {"unknown": 1},
        {"unknown": None},
        {"name": 1},
        {"replicas": 0},
        {"replicas": 3, "maxReplicas": 2},
        {"schedule": {"runtimePlan": "on_demand"}},
        {"schedule": {"recurrences": []}},
        {"schedule": {"runtimePlan": "sometimes", "recurrences": []}},
        {
            "schedule": {
                "runtimePlan": "specific_times",
                "recurrences": [{"scheduledDays": [7], "scheduledHours": [0]}],
            }
        },
        {"credentials": ["x"]},
        {"environmentVariables": {"A": [1]}},
        {"environmentVariables": {"A": {"B": "C"}}},
        {"notifications": {"unknown": 1}},
    ],
)
async def test_attributes_that_are_not_valid_change_nothing(
    client: Client, attributes: dict[str, object]
) -> None:
    before = await client.get(SERVICE)
    for method in ("PUT", "PATCH"):
        assert_refused(await client.call(method, SERVICE, attributes), 422)
    assert_refused(await client.call("POST", "/services", attributes), 422)
    assert await client.get(SERVICE) == before
    assert len(await client.get("/services")) == 1


async def test_type_is_set_only_when_a_service_is_made(client: Client) -> None:
    assert_refused(await client.call("PATCH", SERVICE, {"type": "App"}), 422)


async def test_replicas_must_stay_below_the_maximum_there_is(client: Client) -> None:
    await client.patch(SERVICE, {"maxReplicas": 2})
    assert_refused(await client.call("PATCH", SERVICE, {"replicas": 3}), 422)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/shares/users", {"permissionLevel": "read"}),
        ("PUT", "/shares/users", {"userIds": [], "permissionLevel": "read"}),
        ("PUT", "/shares/users", {"userIds": [7], "permissionLevel": "own"}),
        ("PUT", "/shares/users", {"userIds": [7], "permissionLevel": None}),
        ("PUT", "/shares/groups", {"groupIds": [7]}),
        ("PUT", "/transfer", {"userId": 7}),
        ("PUT", "/archive", {}),
        ("PUT", "/archive", {"status": "true"}),
        ("POST", "/tokens", {}),
        ("POST", "/tokens", {"name": ""}),
        ("POST", "/tokens", {"name": "x", "expiresIn": 0}),
        ("POST", "/tokens", {"name": "x", "expiresIn": 1_000_000_000_000}),
        ("POST", "/tokens", {"name": "x", "expiresIn": 10**30}),
        ("POST", "/deployments", {"deploymentId": "1"}),
    ],
)
async def test_a_body_must_have_what_is_required(
    client: Client, method: str, path: str, body: dict[str, object]
) -> None:
    assert_refused(await client.call(method, SERVICE + path, body), 422)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "x"),
        ("page_num", "0"),
        ("order", "id"),
        ("order_dir", "up"),
        ("archived", "maybe"),
        ("hidden", "maybe"),
        ("author", "me"),
        ("status", "pending"),
    ],
)
async def test_a_listing_refuses_parameters_that_are_not_valid(
    client: Client, name: str, value: str
) -> None:
    answer = await client.call("GET", "/services", params={name: value})
    assert_refused(answer, 422)
    assert name in answer.json["errorDescription"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("start_at", "yesterday"), ("end_at", "2026-13-01"), ("end_at", "9"), ("limit", "0")],
)
async def test_a_log_refuses_parameters_that_are_not_valid(
    client: Client, name: str, value: str
) -> None:
    deployment_id = client.emulator.deploy(1)
    path = f"{SERVICE}/deployments/{deployment_id}/logs"
    answer = await client.call("GET", path, params={name: value})
    assert_refused(answer, 422)
    assert name in answer.json["errorDescription"]


async def test_no_refusal_repeats_the_value_of_an_environment_variable(client: Client) -> None:
    answer = await client.call(
        "POST", "/services", {"environmentVariables": {"A": "hunter2"}, "replicas": "hunter2"}
    )
    assert_refused(answer, 422)
    assert "hunter2" not in answer.text
