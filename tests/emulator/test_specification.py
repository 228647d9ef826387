"""Every field of the official specification is in every answer, and no other.

The specification comes with the wheel of the official client.
"""

import json
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aioservices.emulator import Emulator
from aioservices.emulator.routes import ROUTES
from tests.emulator.conftest import Client

SPECIFICATION = json.loads(
    Path(str(distribution("civis").locate_file("civis/resources/civis_api_spec.json"))).read_bytes()
)
TYPES: dict[str, Any] = {
    "integer": int,
    "string": str,
    "boolean": bool,
    "number": float,
    "object": dict,
}


def assert_fits(value: object, schema: dict[str, Any], where: str) -> None:
    if "$ref" in schema:
        schema = SPECIFICATION["definitions"][schema["$ref"].rpartition("/")[2]]
    if value is None:
        return
    if schema.get("type") == "array":
        assert isinstance(value, list), where
        for item in value:
            assert_fits(item, schema["items"], f"{where}[]")
    elif "properties" in schema:
        assert isinstance(value, dict), where
        assert value.keys() == schema["properties"].keys(), where
        for name, inner in schema["properties"].items():
            assert_fits(value[name], inner, f"{where}.{name}")
    elif "additionalProperties" in schema:
        assert isinstance(value, dict), where
        for name, member in value.items():
            assert_fits(member, schema["additionalProperties"], f"{where}.{name}")
    else:
        assert isinstance(value, TYPES[schema["type"]]), where
        assert not schema.get("enum") or value in schema["enum"], where


@pytest.fixture
async def prepared(client: Client, emulator: Emulator) -> Client:
    service = {
        "name": "web",
        "credentials": [5],
        "permissionSetId": 9,
        "environmentVariables": {"TEXT": "1", "PORT": 8080, "GONE": None},
        "notifications": {"failureOn": None},
    }
    assert (await client.post("/services", service))["id"] == 1
    emulator.log(1, "a line")
    await client.call("PUT", "/services/1/projects/3")
    await client.post("/services/1/tokens", {"name": "ci", "expiresIn": 9})
    return client


CALLS: list[tuple[str, str, object]] = [
    ("GET", "/services/", None),
    ("POST", "/services/", {"credentials": [5]}),
    ("GET", "/services/{id}", None),
    ("PUT", "/services/{id}", {"credentials": [5]}),
    ("PATCH", "/services/{id}", {"name": "new"}),
    ("GET", "/services/{id}/shares", None),
    ("PUT", "/services/{id}/shares/users", {"userIds": [7], "permissionLevel": "read"}),
    ("PUT", "/services/{id}/shares/groups", {"groupIds": [7], "permissionLevel": "write"}),
    ("GET", "/services/{id}/dependencies", None),
    ("PUT", "/services/{id}/transfer", {"userId": 7, "includeDependencies": True}),
    ("PUT", "/services/{id}/archive", {"status": True}),
    ("GET", "/services/{id}/projects", None),
    ("GET", "/services/{service_id}/deployments", None),
    ("POST", "/services/{service_id}/deployments", {}),
    ("GET", "/services/{service_id}/deployments/{deployment_id}", None),
    ("POST", "/services/{service_id}/redeploy", {}),
    ("GET", "/services/{id}/deployments/{deployment_id}/logs", None),
    ("POST", "/services/{id}/clone", None),
    ("POST", "/services/{id}/tokens", {"name": "ci"}),
    ("GET", "/services/{id}/tokens", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_an_answer_has_the_fields_of_the_specification(
    prepared: Client, method: str, path: str, body: object
) -> None:
    [(code, success)] = SPECIFICATION["paths"][path][method.lower()]["responses"].items()
    deployment_id = (await prepared.get("/services/1/deployments"))[0]["deploymentId"]
    target = path.format(id=1, service_id=1, deployment_id=deployment_id)
    answer = await prepared.call(method, target, body)
    assert answer.status == int(code)
    assert answer.json
    assert_fits(answer.json, success["schema"], path)


def test_every_path_of_the_specification_is_known() -> None:
    theirs = {
        (method.upper(), "/".join("#" if "{" in part else part for part in path.split("/") if part))
        for path, methods in SPECIFICATION["paths"].items()
        if path.startswith("/services/")
        for method in methods
        if method != "parameters"
    }
    ours = {(method, path) for path, methods in ROUTES.items() for method in methods}
    assert ours == theirs


async def test_credentials_can_come_as_ids_as_the_reference_says(client: Client) -> None:
    async with Emulator(credentials_as="ids") as emulator:
        made = await Client(emulator, client.session).post("/services", {"credentials": [5]})
    assert made["credentials"] == [5]


async def test_shares_can_come_as_an_object(client: Client) -> None:
    async with Emulator(services=1, shares_as="object") as emulator:
        shares = await Client(emulator, client.session).get("/services/1/shares")
    assert_fits(shares, SPECIFICATION["definitions"]["ShareIndex"], "shares")


# Where each recorded answer may differ from what the emulator gives: it names other users and
# hosts, and the recorded deployments were made with a size of their own.
VARIABLE = {
    "id", "userId", "serviceId", "deploymentId", "user", "name", "host", "displayUrl",
    "createdAt", "updatedAt", "expiresAt", "token", "currentUrl", "failureEmailAddresses",
    "dockerImageName", "dockerImageTag", "instanceType", "memory", "cpu", "gitRepoUrl",
}  # fmt: skip


def recorded(method: str, path: str) -> list[tuple[dict[str, Any], Any]]:
    """Return the bodies of recorded requests with those of their answers."""
    return [
        (json.loads(request["request_body"] or "{}"), json.loads(request["response_body"]))
        for example in SPECIFICATION["paths"][path][method]["x-examples"]
        for request in example["requests"]
    ]


def constant(value: Any) -> Any:
    """Leave out what differs from one service to the next."""
    if isinstance(value, list):
        return [constant(item) for item in value]
    if isinstance(value, dict):
        return {name: constant(each) for name, each in value.items() if name not in VARIABLE}
    return value


async def test_a_new_service_is_like_the_recorded_one(client: Client) -> None:
    for body, answer in recorded("post", "/services/"):
        made = await client.post("/services", body)
        assert constant(made) == constant(answer)
        for name in ("memory", "cpu", "gitRepoUrl", "dockerImageName", *body):
            if name != "credentials":
                assert made[name] == answer[name], name
        assert made["notifications"]["failureEmailAddresses"] == ["user1@example.com"]
        assert body or made["name"] == f"Service #{made['id']}"


async def test_a_new_deployment_is_like_the_recorded_one(session: aiohttp.ClientSession) -> None:
    [(_, answer)] = recorded("post", "/services/{service_id}/deployments")
    async with Emulator(services=1) as emulator:
        made = await Client(emulator, session).post("/services/1/deployments")
    assert constant(made) == constant(answer)


async def test_a_running_deployment_is_like_the_recorded_one(client: Client) -> None:
    service_id = client.emulator.add_service("web", deployed=True)
    answer = recorded("get", "/services/{id}")[1][1]["currentDeployment"]
    current = (await client.get(f"/services/{service_id}"))["currentDeployment"]
    assert constant(current) == constant(answer)


async def test_a_clone_is_called_as_the_recorded_one(client: Client) -> None:
    await client.post("/services", {})
    clone = await client.post("/services/1/clone")
    assert clone["name"] == "Clone of Service 1 Service #1"


async def test_a_token_is_like_the_recorded_one(client: Client) -> None:
    [(body, answer)] = recorded("post", "/services/{id}/tokens")
    await client.post("/services", {})
    made = await client.post("/services/1/tokens", body)
    assert constant(made) == constant(answer)
    assert made["user"].keys() == answer["user"].keys()


async def test_a_listed_machine_token_is_like_the_recorded_one(client: Client) -> None:
    [(_, [answer])] = recorded("get", "/services/{id}/tokens")
    await client.post("/services", {})
    await client.post("/services/1/tokens", {"name": answer["name"], "machineToken": True})
    [token] = await client.get("/services/1/tokens")
    assert constant(token) == constant(answer)
    assert token["user"]["online"] is answer["user"]["online"] is None
