"""The official synchronous client works against the emulator.

It knows nothing of aioservices, so it says whether the emulator is an emulator of the real API,
and not only of what our own client makes of it.
"""

import json
import warnings
from collections import OrderedDict
from functools import partial
from importlib.resources import files
from typing import Any

import anyio
import pytest
from anyio import to_thread

from aioservices.emulator import Emulator
from tests.servers.waiting import PATIENCE

with warnings.catch_warnings():
    # Parts of it load when first looked at, and then warn of their own deprecation. Looked at
    # here, they stay quiet when something goes through all modules later.
    warnings.simplefilter("ignore")
    import civis
    from civis.base import CivisAPIError, CivisAPIKeyError

    for part in vars(civis).copy().values():
        getattr(part, "__file__", None)


class OfficialClient:
    """The client, called in a thread so that the emulator's event loop continues."""

    def __init__(self, api_key: str) -> None:
        document = json.loads((files("civis.resources") / "civis_api_spec.json").read_bytes())
        paths = document["paths"].items()
        document["paths"] = {path: each for path, each in paths if "/services/" in path}
        self._client = civis.APIClient(api_key=api_key, local_api_spec=OrderedDict(document))

    async def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        call = getattr(self._client.services, method)
        return await to_thread.run_sync(partial(call, *args, **kwargs))

    async def all(self, method: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Read every page of a listing."""
        call = getattr(self._client.services, method)
        return await to_thread.run_sync(lambda: list(call(*args, iterator=True, **kwargs)))


@pytest.fixture(autouse=True)
def endpoint(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVIS_API_ENDPOINT", emulator.url)


@pytest.fixture
async def official(emulator: Emulator) -> OfficialClient:
    return OfficialClient(emulator.api_key)


@pytest.fixture
async def service_id(official: OfficialClient) -> int:
    service = await official("post", name="web", environment_variables={"LOG_LEVEL": "info"})
    return int(service.id)


async def until_running(official: OfficialClient, service_id: int, deployment_id: int) -> Any:
    with anyio.fail_after(PATIENCE):
        while True:
            deployment = await official("get_deployments", service_id, deployment_id)
            if deployment.state == "running":
                return deployment
            assert deployment.state in {None, "pending"}
            await anyio.sleep(0.02)


async def test_a_created_service_exists(official: OfficialClient) -> None:
    created = await official(
        "post",
        name="web",
        docker_image_name="example/web",
        schedule={"runtimePlan": "always_on", "recurrences": []},
        max_replicas=4,
        environment_variables={"LOG_LEVEL": "info", "camelCase": "yes"},
        notifications={"failure_email_addresses": ["ops@example.com"], "failure_on": True},
    )
    service = await official("get", created.id)
    assert (service.name, service.docker_image_name) == ("web", "example/web")
    assert service.schedule.runtime_plan == "always_on"
    assert service.max_replicas == 4
    assert service.environment_variables.json(snake_case=False) == {
        "LOG_LEVEL": "info",
        "camelCase": "yes",
    }
    assert service.notifications.failure_email_addresses == ["ops@example.com"]
    assert [each.id for each in await official("list")] == [created.id]


async def test_patch_changes_what_is_given_and_clears_what_is_null(
    official: OfficialClient, service_id: int
) -> None:
    await official("patch", service_id, description="old", max_replicas=3)
    service = await official("patch", service_id, description=None, cpu=250)
    assert (service.name, service.description) == ("web", None)
    assert (service.cpu, service.max_replicas) == (250, 3)


async def test_put_replaces_all_attributes(official: OfficialClient, service_id: int) -> None:
    await official("patch", service_id, description="old")
    service = await official("put", service_id, name="new")
    assert (service.name, service.description) == ("new", None)


async def test_a_listing_of_several_pages_is_read_to_its_end(
    official: OfficialClient, emulator: Emulator
) -> None:
    for number in range(60):
        emulator.add_service(f"service-{number}")
    names = [service.name for service in await official.all("list", order="name", order_dir="asc")]
    assert names == sorted(f"service-{number}" for number in range(60))


async def test_a_deployment_is_polled_until_it_runs_and_its_log_is_read(
    official: OfficialClient, emulator: Emulator, service_id: int
) -> None:
    deployment = await official("post_deployments", service_id)
    assert deployment.service_id == service_id
    await until_running(official, service_id, deployment.deployment_id)
    emulator.log(service_id, "ready", stream="stderr")
    entries = await official("list_deployments_logs", service_id, deployment.deployment_id)
    (ready,) = [entry for entry in entries if entry.message == "ready"]
    assert (ready.stream, ready.source) == ("stderr", "user")
    later = await official(
        "list_deployments_logs",
        service_id,
        deployment.deployment_id,
        start_at="2999-01-01T00:00:00.000Z",
        limit=10,
    )
    assert later == []


async def test_a_redeploy_takes_the_place_of_the_deployment(
    official: OfficialClient, service_id: int
) -> None:
    first = await official("post_deployments", service_id)
    await until_running(official, service_id, first.deployment_id)
    second = await official("post_redeploy", service_id)
    await until_running(official, service_id, second.deployment_id)
    service = await official("get", service_id)
    assert service.current_deployment.deployment_id == second.deployment_id
    states = {
        each.deployment_id: each.state
        for each in await official.all("list_deployments", service_id)
    }
    assert states == {first.deployment_id: "terminated", second.deployment_id: "running"}


async def test_a_deleted_deployment_is_gone(official: OfficialClient, service_id: int) -> None:
    deployment = await official("post_deployments", service_id)
    await official("delete_deployments", service_id, deployment.deployment_id)
    with pytest.raises(CivisAPIError) as caught:
        await official("get_deployments", service_id, deployment.deployment_id)
    assert caught.value.status_code == 404


async def test_the_value_of_a_token_is_shown_once(
    official: OfficialClient, service_id: int
) -> None:
    token = await official("post_tokens", service_id, "ci", machine_token=True, expires_in=3600)
    assert token.token
    (listed,) = await official("list_tokens", service_id)
    assert (listed.id, listed.name, listed.machine_token) == (token.id, "ci", True)
    assert "token" not in listed.json()
    await official("delete_tokens", service_id, token.id)
    assert await official("list_tokens", service_id) == []


async def test_shares_are_given_and_taken_back(official: OfficialClient, service_id: int) -> None:
    await official("put_shares_users", service_id, [7, 8], "read")
    shares = await official("put_shares_groups", service_id, [9], "write")
    assert [user.id for user in shares.readers.users] == [7, 8]
    assert [group.id for group in shares.writers.groups] == [9]
    await official("delete_shares_users", service_id, 7)
    await official("delete_shares_groups", service_id, 9)
    (shares,) = await official("list_shares", service_id)
    assert [user.id for user in shares.readers.users] == [8]
    assert shares.writers.groups == []


async def test_an_archived_service_is_listed_among_the_archived_only(
    official: OfficialClient, service_id: int
) -> None:
    assert (await official("put_archive", service_id, True)).archived is True
    assert await official("list") == []
    assert [service.id for service in await official("list", archived="true")] == [service_id]


async def test_a_clone_is_a_service_of_its_own(official: OfficialClient, service_id: int) -> None:
    clone = await official("post_clone", service_id)
    assert clone.id != service_id
    assert clone.environment_variables.json(snake_case=False) == {"LOG_LEVEL": "info"}


async def test_a_service_is_put_into_a_project_and_taken_out(
    official: OfficialClient, service_id: int
) -> None:
    await official("put_projects", service_id, 3)
    assert [project.id for project in await official("list_projects", service_id)] == [3]
    await official("delete_projects", service_id, 3)
    assert await official("list_projects", service_id) == []


async def test_a_service_is_transferred_with_its_dependencies(
    official: OfficialClient, service_id: int
) -> None:
    await official("patch", service_id, credentials=[5])
    (dependency,) = await official("list_dependencies", service_id)
    assert dependency.id == 5
    transfer = await official("put_transfer", service_id, 8, True)
    assert [(each.id, each.shared) for each in transfer.dependencies] == [(5, True)]
    assert (await official("get", service_id)).user.id == 8


async def test_the_rate_limit_is_reported(official: OfficialClient, service_id: int) -> None:
    service = await official("get", service_id)
    assert 0 < service.calls_remaining < service.rate_limit


async def test_what_does_not_exist_is_a_404_with_a_description(official: OfficialClient) -> None:
    with pytest.raises(CivisAPIError, match=r"404.*GET /services/999") as caught:
        await official("get", 999)
    assert caught.value.status_code == 404
    assert caught.value.error_message != "No Error Message Available"


async def test_a_value_of_a_wrong_type_is_refused(
    official: OfficialClient, service_id: int
) -> None:
    with pytest.raises(CivisAPIError) as caught:
        await official("patch", service_id, replicas="many")
    assert caught.value.status_code in (400, 422)


async def test_a_wrong_key_is_distinguished(emulator: Emulator) -> None:
    stranger = OfficialClient("not-the-key")
    with pytest.raises(CivisAPIKeyError, match=r"(?i)basic"):
        await stranger("list")
