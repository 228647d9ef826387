"""No request, however odd, breaks the emulator or leaves a service that cannot be read."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aioservices.emulator.deployments import Deployment, Lifecycle
from aioservices.emulator.routes import ROUTES, Api, Request
from aioservices.emulator.schemas import NewAttributes
from aioservices.emulator.state import Service, State
from tests.emulator.test_specification import SPECIFICATION, assert_fits

NOW = 1_800_000_000 * 10**9
DAY = 24 * 3600 * 10**9

numbers = st.integers() | st.sampled_from([0, -1, 1, 2**31 - 1, 2**31, 2**63, 10**400])
scalars = st.none() | st.booleans() | numbers | st.floats() | st.text()
texts = st.text(st.characters(exclude_categories=[]))  # lone surrogates, too
values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    *(field.replace("_", "") for field in ("name", "memory", "cpu", "replicas", "credentials")),
    *("maxReplicas", "max_replicas", "permissionSetId", "environmentVariables", "schedule"),
    *("notifications", "type", "hidden", "dockerImageName", "description", "userIds", "userId"),
    *("permissionLevel", "includeDependencies", "status", "expiresIn", "deploymentId"),
]
notifications = st.fixed_dictionaries(
    {}, optional={"failureEmailAddresses": st.none() | st.lists(scalars), "failureOn": scalars}
)
members = {
    "notifications": notifications,
    "environmentVariables": st.dictionaries(texts, scalars, max_size=3),
    "credentials": st.lists(numbers, max_size=3),
}
attributes = st.fixed_dictionaries(
    {}, optional={name: members.get(name, scalars) | values for name in NAMES}
)
bodies = st.binary(max_size=40) | attributes.map(lambda body: json.dumps(body).encode())
paths = st.sampled_from(sorted(ROUTES)).flatmap(
    lambda path: st.lists(
        st.sampled_from(["1", "1001", "2", "x", "0"]), min_size=path.count("#"), max_size=3
    ).map(lambda ids: "/" + "/".join(ids.pop(0) if p == "#" else p for p in path.split("/")))
)
queries = st.text(st.characters(max_codepoint=127)) | st.builds(
    lambda name, value: f"{name}={value}",
    st.sampled_from(["limit", "page_num", "order", "start_at", "end_at", "author", "status"]),
    numbers | st.sampled_from(["0001-01-01T00:00:00+05:30", "9999-12-31T23:59:59.999Z", "%00"]),
)


def ignore(*_: Service | Deployment) -> None:
    pass


@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]), paths, queries, bodies, attributes
)
def test_any_request_is_answered_and_every_service_can_be_read_afterwards(
    method: str, path: str, query: str, body: bytes, more: dict[str, Any]
) -> None:
    state = State(lifecycle=Lifecycle(), on_start=ignore, on_stop=ignore)
    api = Api(state=state)
    state.deploy(NOW, state.create(NOW, NewAttributes()))
    for request in (
        Request("PATCH", "/services/1", "", json.dumps(more).encode()),
        Request(method, path, query, body),
        Request("POST", "/services/1/redeploy"),
        Request("DELETE", "/services/1"),
    ):
        reply = api.handle(request, NOW)
        assert reply.status in {200, 201, 204, 400, 404, 405, 422}
        if reply.status >= 400:
            assert json.loads(reply.content)["errorDescription"]
    for service_id in state.services:
        reply = api.handle(Request("GET", f"/services/{service_id}"), NOW + DAY)
        assert reply.status == 200
        service = json.loads(reply.content)
        assert_fits(service, SPECIFICATION["definitions"]["Service"], "service")
        for name in ("name", "memory", "cpu", "replicas", "schedule", "notifications"):
            assert service[name] is not None
        assert None not in service["notifications"].values()
