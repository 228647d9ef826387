"""What each endpoint does."""

import aiohttp
import pytest

from aioservices.emulator import Emulator, instants
from tests.emulator.conftest import Client


async def test_a_service_is_made_of_what_was_posted(client: Client) -> None:
    made = await client.post("/services", {"name": "web", "type": "Dash", "hidden": True})
    assert (made["name"], made["type"], made["hidden"]) == ("web", "Dash", True)
    assert await client.get(f"/services/{made['id']}") == made


@pytest.mark.parametrize("path", ["/services", "/services/"])
async def test_the_collection_is_found_with_and_without_a_slash(client: Client, path: str) -> None:
    made = await client.post(path, {})
    assert [service["id"] for service in await client.get(path)] == [made["id"]]


async def test_bodies_in_camel_case_and_in_snake_case_mean_the_same(client: Client) -> None:
    camel = await client.post(
        "/services",
        {
            "dockerImageName": "nginx",
            "schedule": {
                "runtimePlan": "specific_times",
                "recurrences": [{"scheduledDays": [1], "scheduledHours": [9, 10]}],
            },
            "notifications": {"failureEmailAddresses": ["a@example.com"], "failureOn": True},
        },
    )
    snake = await client.post(
        "/services",
        {
            "docker_image_name": "nginx",
            "schedule": {
                "runtime_plan": "specific_times",
                "recurrences": [{"scheduled_days": [1], "scheduled_hours": [9, 10]}],
            },
            "notifications": {"failure_email_addresses": ["a@example.com"], "failure_on": True},
        },
    )
    fields = ("dockerImageName", "schedule", "notifications")
    assert [camel[field] for field in fields] == [snake[field] for field in fields]
    assert snake["schedule"]["recurrences"] == [{"scheduledDays": [1], "scheduledHours": [9, 10]}]


async def test_an_environment_variable_is_cleared_with_null(client: Client) -> None:
    made = await client.post("/services", {"environmentVariables": {"A": "1", "B": None}})
    assert made["environmentVariables"] == {"A": "1"}
    path = f"/services/{made['id']}"
    for method in (client.patch, client.put):
        cleared = await method(path, {"environmentVariables": {"A": None, "C": "3"}})
        assert cleared["environmentVariables"] == {"C": "3"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_an_environment_variable_comes_back_as_text(
    client: Client, service_id: int, method: str
) -> None:
    variables = {"TEXT": "1", "PORT": 8080, "RATE": 0.5, "DEBUG": True}
    path = "/services" if method == "POST" else f"/services/{service_id}"
    answer = await client.call(method, path, {"environmentVariables": variables})
    assert answer.json["environmentVariables"] == {
        "TEXT": "1",
        "PORT": "8080",
        "RATE": "0.5",
        "DEBUG": "true",
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_null_within_notifications_is_the_default(
    client: Client, service_id: int, method: str
) -> None:
    path = "/services" if method == "POST" else f"/services/{service_id}"
    nulls = {"notifications": {"failureEmailAddresses": None, "failureOn": None}}
    answer = await client.call(method, path, nulls)
    assert answer.json["notifications"] == {
        "failureEmailAddresses": ["user1@example.com"],
        "failureOn": True,
    }


async def test_notifications_are_kept_as_they_were_set(client: Client) -> None:
    off = {"failureEmailAddresses": [], "failureOn": False}
    made = await client.post("/services", {"notifications": off})
    assert made["notifications"] == off


async def test_names_of_environment_variables_are_left_alone(client: Client) -> None:
    variables = {"some_name": "1", "SOME_NAME": "2", "someName": "3"}
    made = await client.post("/services", {"environment_variables": variables})
    assert made["environmentVariables"] == variables


async def test_patch_changes_only_what_is_given(client: Client) -> None:
    made = await client.post("/services", {"name": "web", "replicas": 2, "maxReplicas": 4})
    patched = await client.patch(f"/services/{made['id']}", {"replicas": 3})
    assert patched == made | {"replicas": 3, "updatedAt": patched["updatedAt"]}


async def test_patch_clears_what_is_null(client: Client) -> None:
    made = await client.post("/services", {"maxReplicas": 4, "description": "old"})
    patched = await client.patch(f"/services/{made['id']}", {"maxReplicas": None})
    assert (patched["maxReplicas"], patched["description"]) == (None, "old")


async def test_put_clears_what_is_not_given(client: Client) -> None:
    made = await client.post("/services", {"type": "Dash", "maxReplicas": 4, "description": "old"})
    replaced = await client.put(f"/services/{made['id']}", {"name": "new"})
    assert (replaced["name"], replaced["maxReplicas"]) == ("new", None)
    assert (replaced["description"], replaced["type"]) == (None, "Dash")


async def test_a_clone_has_the_attributes_and_not_the_history(
    client: Client, emulator: Emulator
) -> None:
    made = await client.post("/services", {"name": "web", "memory": 512, "hidden": True})
    emulator.log(made["id"], "a line")
    clone = await client.post(f"/services/{made['id']}/clone")
    assert (clone["name"], clone["memory"], clone["hidden"]) == (
        f"Clone of Service {made['id']} web",
        512,
        True,
    )
    assert clone["id"] != made["id"]
    assert clone["currentDeployment"] is None


async def test_a_user_is_shared_with_at_one_level_only(client: Client, service_id: int) -> None:
    path = f"/services/{service_id}/shares"
    await client.put(f"{path}/users", {"userIds": [7, 8], "permissionLevel": "read"})
    shares = await client.put(f"{path}/users", {"user_ids": [8], "permission_level": "write"})
    assert shares["readers"]["users"] == [{"id": 7, "name": "User 7"}]
    assert shares["writers"]["users"] == [{"id": 8, "name": "User 8"}]
    assert [owner["id"] for owner in shares["owners"]["users"]] == [1]
    assert shares["totalUserShares"] == 3


async def test_groups_are_shared_with_apart_from_users(client: Client, service_id: int) -> None:
    path = f"/services/{service_id}/shares"
    shares = await client.put(f"{path}/groups", {"groupIds": [7], "permissionLevel": "manage"})
    assert shares["owners"]["groups"] == [{"id": 7, "name": "Group 7"}]
    await client.delete(f"{path}/groups/7")
    [shares] = await client.get(path)
    assert (shares["owners"]["groups"], shares["totalGroupShares"]) == ([], 0)


async def test_a_share_that_is_revoked_is_gone(client: Client, service_id: int) -> None:
    path = f"/services/{service_id}/shares/users"
    await client.put(path, {"userIds": [7], "permissionLevel": "read"})
    await client.delete(f"{path}/7")
    assert (await client.call("DELETE", f"{path}/7")).status == 404


async def test_credentials_and_permission_sets_are_dependencies(client: Client) -> None:
    made = await client.post("/services", {"credentials": [5], "permissionSetId": 9})
    found = await client.get(f"/services/{made['id']}/dependencies")
    assert [(each["objectType"], each["id"]) for each in found] == [
        ("Credential", 5),
        ("PermissionSet", 9),
    ]
    assert [each["permissionLevel"] for each in found] == [None, None]


async def test_a_transfer_gives_the_service_and_its_dependencies(client: Client) -> None:
    made = await client.post("/services", {"credentials": [5]})
    path = f"/services/{made['id']}"
    given = await client.put(f"{path}/transfer", {"userId": 7, "includeDependencies": True})
    assert [(each["id"], each["shared"]) for each in given["dependencies"]] == [(5, True)]
    assert (await client.get(path))["user"]["id"] == 7
    [dependency] = await client.get(f"{path}/dependencies", user_id=7)
    assert dependency["permissionLevel"] == "manage"


async def test_a_transfer_without_dependencies_grants_nothing(client: Client) -> None:
    made = await client.post("/services", {"credentials": [5]})
    path = f"/services/{made['id']}"
    given = await client.put(f"{path}/transfer", {"userId": 7, "includeDependencies": False})
    assert [each["shared"] for each in given["dependencies"]] == [False]
    [dependency] = await client.get(f"{path}/dependencies", user_id=7)
    assert dependency["permissionLevel"] is None


async def test_archiving_ends_the_deployment(
    client: Client, emulator: Emulator, service_id: int
) -> None:
    emulator.deploy(service_id)
    archived = await client.put(f"/services/{service_id}/archive", {"status": True})
    assert archived["archived"] is True
    assert archived["currentDeployment"]["state"] == "terminated"
    answer = await client.call("POST", f"/services/{service_id}/deployments", {})
    assert answer.status == 422


async def test_an_archived_service_can_come_back(client: Client, service_id: int) -> None:
    await client.put(f"/services/{service_id}/archive", {"status": True})
    await client.put(f"/services/{service_id}/archive", {"status": False})
    await client.post(f"/services/{service_id}/deployments", {})


async def test_deleting_a_service_archives_it(client: Client, service_id: int) -> None:
    await client.delete(f"/services/{service_id}")
    assert (await client.get(f"/services/{service_id}"))["archived"] is True


async def test_projects_are_joined_and_left(client: Client, service_id: int) -> None:
    path = f"/services/{service_id}/projects"
    answers = [await client.call("PUT", f"{path}/{number}") for number in (31, 32, 31)]
    assert [answer.status for answer in answers] == [204, 204, 204]
    assert [project["id"] for project in await client.get(path)] == [31, 32]
    assert await client.get(path, hidden="true") == []
    await client.delete(f"{path}/31")
    assert [project["id"] for project in await client.get(path)] == [32]


async def test_a_token_shows_its_value_only_once(client: Client, service_id: int) -> None:
    path = f"/services/{service_id}/tokens"
    made = await client.post(path, {"name": "ci", "expires_in": 60})
    assert len(made.pop("token")) > 20
    assert made["user"]["id"] == 1
    assert made["expiresAt"] > made["createdAt"]
    assert await client.get(path) == [made]
    await client.delete(f"{path}/{made['id']}")
    assert await client.get(path) == []


async def test_a_machine_token_has_a_user_of_whom_nobody_knows_whether_one_is_online(
    client: Client, service_id: int
) -> None:
    made = await client.post(f"/services/{service_id}/tokens", {"name": "m", "machineToken": True})
    assert made["machineToken"] is True
    assert (made["user"]["id"], made["user"]["online"]) == (1, None)


async def test_a_token_expires_after_a_day_by_default(client: Client, service_id: int) -> None:
    path = f"/services/{service_id}/tokens"
    for body, seconds in (({}, 86_400), ({"expiresIn": None}, 86_400), ({"expiresIn": 60}, 60)):
        made = await client.post(path, {"name": "ci", **body})
        lifetime = instants.parse(made["expiresAt"]) - instants.parse(made["createdAt"])
        assert lifetime == seconds * 10**9


async def test_a_new_deployment_has_no_state_for_a_moment(
    session: aiohttp.ClientSession,
) -> None:
    now = 1_800_000_000 * 10**9
    async with Emulator(services=1, clock=lambda: now) as emulator:
        client = Client(emulator, session)
        made = await client.post("/services/1/deployments")
        assert (made["state"], made["stateMessage"]) == (None, None)
        states: list[str | None] = []
        for _ in range(3):
            now += 6 * 10**7
            states.append((await client.get("/services/1"))["currentDeployment"]["state"])
    assert states == ["pending", "running", "running"]


async def test_a_deployment_runs_what_the_service_is_at_that_time(client: Client) -> None:
    made = await client.post("/services", {"dockerImageName": "nginx", "dockerImageTag": "1"})
    path = f"/services/{made['id']}"
    first = await client.post(f"{path}/deployments", {})
    await client.patch(path, {"dockerImageTag": "2"})
    second = await client.post(f"{path}/redeploy", {})
    assert [d["dockerImageTag"] for d in (first, second)] == ["1", "2"]


async def test_an_earlier_deployment_can_be_deployed_again(client: Client) -> None:
    made = await client.post("/services", {"dockerImageTag": "1"})
    path = f"/services/{made['id']}"
    first = await client.post(f"{path}/deployments", {})
    await client.patch(path, {"dockerImageTag": "2"})
    again = await client.post(f"{path}/redeploy", {"deploymentId": first["deploymentId"]})
    assert again["dockerImageTag"] == "1"
    assert again["deploymentId"] != first["deploymentId"]


@pytest.mark.parametrize("action", ["deployments", "redeploy"])
async def test_a_new_deployment_ends_the_one_before(
    client: Client, service_id: int, action: str
) -> None:
    path = f"/services/{service_id}"
    first = await client.post(f"{path}/deployments")
    second = await client.post(f"{path}/{action}")
    ended = await client.get(f"{path}/deployments/{first['deploymentId']}")
    assert ended["state"] == "terminated"
    assert str(second["deploymentId"]) in ended["stateMessage"]
    current = (await client.get(path))["currentDeployment"]
    assert (current["deploymentId"], current["state"]) == (second["deploymentId"], "running")


async def test_a_deleted_deployment_is_gone_with_its_log(client: Client, service_id: int) -> None:
    path = f"/services/{service_id}"
    made = await client.post(f"{path}/deployments")
    deployment = f"{path}/deployments/{made['deploymentId']}"
    await client.delete(deployment)
    assert (await client.call("GET", deployment)).status == 404
    assert (await client.call("GET", f"{deployment}/logs")).status == 404
    assert (await client.get(path))["currentDeployment"] is None


async def test_a_deployment_says_what_it_used_once_it_has_ended(
    client: Client, emulator: Emulator, service_id: int
) -> None:
    emulator.deploy(service_id)
    running = (await client.get(f"/services/{service_id}"))["currentDeployment"]
    emulator.set_state(service_id, "failed", message="out of memory")
    ended = (await client.get(f"/services/{service_id}"))["currentDeployment"]
    assert (running["maxMemoryUsage"], running["maxCpuUsage"]) == (None, None)
    assert 0 < ended["maxMemoryUsage"] < ended["memory"]
    assert 0 < ended["maxCpuUsage"] < ended["cpu"]
    assert (ended["state"], ended["stateMessage"]) == ("failed", "out of memory")
