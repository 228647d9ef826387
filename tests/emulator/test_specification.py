"""Every field of the official specification is in every answer, and no other.

The specification comes with the wheel of the official client.
"""

import json
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

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
# The reference has a list of ids here, the specification one of objects: both are tested.
LIST_OF_IDS = {"type": "array", "items": {"type": "integer"}}


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
    else:
        assert isinstance(value, TYPES[schema["type"]]), where
        assert not schema.get("enum") or value in schema["enum"], where


@pytest.fixture
async def prepared(client: Client, emulator: Emulator) -> Client:
    service = {"name": "web", "credentials": [5], "permissionSetId": 9}
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
    prepared: Client, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: object
) -> None:
    definition = SPECIFICATION["definitions"]["Service"]["properties"]
    monkeypatch.setitem(definition, "credentials", LIST_OF_IDS)
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


async def test_credentials_can_come_as_objects(client: Client) -> None:
    async with Emulator(credentials_as="objects") as emulator:
        made = await Client(emulator, client.session).post("/services", {"credentials": [5]})
    assert made["credentials"] == [{"id": 5, "name": "Credential 5"}]
    assert_fits(made, SPECIFICATION["definitions"]["Service"], "service")


async def test_shares_can_come_as_an_object(client: Client) -> None:
    async with Emulator(services=1, shares_as="object") as emulator:
        shares = await Client(emulator, client.session).get("/services/1/shares")
    assert_fits(shares, SPECIFICATION["definitions"]["ShareIndex"], "shares")
