"""The session: what its methods send, and what becomes of the answers."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from aioservices.api.models import NewToken, Service, Sharee, ShareHolders, Shares
from aioservices.client import Services
from aioservices.errors import (
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    SessionClosedError,
    UnprocessableError,
)
from aioservices.http.options import RequestInfo, ResponseInfo
from aioservices.http.response import RawResponse
from aioservices.http.retry import RetryPolicy
from tests.servers.hostile import HostileServer, answer, hostile, stall

KEY = "very-secret-key"
SERVICE = {"id": 42, "name": "web"}
SHARES = {"owners": {"users": [{"id": 7, "name": "Ada"}], "groups": []}}


def session(server: HostileServer, **options: Any) -> Services:
    return Services(KEY, base_url=server.url, retry=RetryPolicy(max_attempts=1), **options)


def query(server: HostileServer) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(request.target).query) for request in server.requests]


async def test_none_is_sent_as_null_and_what_is_not_given_is_not_sent() -> None:
    async with hostile(answer(SERVICE)) as server, session(server) as services:
        service = await services.patch(42, replicas=3, max_replicas=None)
        assert service == Service(id=42, name="web")
        assert server.requests[0].method == "PATCH"
        assert server.requests[0].json == {"replicas": 3, "maxReplicas": None}


async def test_the_optional_part_of_any_body_says_null_from_absent() -> None:
    async with hostile(answer({"id": 1})) as server, session(server) as services:
        await services.post_tokens(42, "ci")
        await services.post_tokens(42, "ci", machine_token=None, expires_in=60)
        assert [request.json for request in server.requests] == [
            {"name": "ci"},
            {"name": "ci", "machineToken": None, "expiresIn": 60},
        ]


async def test_a_post_without_parameters_has_no_body_and_one_without_arguments_an_empty_one() -> (
    None
):
    async with (
        hostile(answer({"id": 1, "deploymentId": 2})) as server,
        session(server) as services,
    ):
        await services.post_clone(42)
        await services.post_redeploy(42)
        assert [request.body for request in server.requests] == [b"", b"{}"]


async def test_nothing_is_sent_when_an_argument_is_refused() -> None:
    async with hostile(answer(SERVICE)) as server, session(server) as services:
        with pytest.raises(TypeError, match="id must be an integer, not str"):
            await services.get("1/../../users")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="token_id must be an integer, not NoneType"):
            await services.delete_tokens(42, None)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="did you mean 'replicas'"):
            await services.patch(42, replica=3)  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="start_at has no time zone"):
            await services.list_deployments_logs(42, 1, start_at=datetime(2026, 11, 23))  # noqa: DTZ001
        with pytest.raises(ValueError, match="limit must be 1 or more"):
            services.list(limit=0)
        assert server.requests == []


@pytest.mark.parametrize("which", ["start_at", "end_at"])
async def test_a_time_of_no_zone_is_never_sent(which: str) -> None:
    async with hostile(answer([])) as server, session(server) as services:
        for send in (services.list_deployments_logs, services.raw.list_deployments_logs):
            with pytest.raises(ValueError, match=f"^{which} has no time zone"):
                await send(42, 1, **{which: "2026-01-01 00:00"})  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=f"^{which} has no time zone"):
            services.tail_logs(42, **{which: "2026-01-01 00:00"})  # type: ignore[arg-type]
        assert server.requests == []


WRONG: list[tuple[Callable[[Any], object], str]] = [
    (lambda s: s.list(hidden="maybe"), "hidden must be a boolean or None, not str"),
    (lambda s: s.list(archived=True), "archived must be a string or None, not bool"),
    (lambda s: s.list(author=7), "author must be a string or None, not int"),
    (lambda s: s.list(status=["running"]), "status must be a string or None, not list"),
    (lambda s: s.list(order=1), "order must be a string or None, not int"),
    (lambda s: s.list(order_dir=1), "order_dir must be a string or None, not int"),
    (lambda s: s.list(limit="20"), "limit must be an integer or None, not str"),
    (lambda s: s.list(page_num=True), "page_num must be an integer or None, not bool"),
    (lambda s: s.list(iterator="no"), "iterator must be a boolean or None, not str"),
    (lambda s: s.list_deployments(1, order=1), "order must be a string or None, not int"),
    (lambda s: s.list_deployments(1, order_dir=1), "order_dir must be a string or None, not int"),
    (lambda s: s.list_deployments(1, iterator=1), "iterator must be a boolean or None, not int"),
    (lambda s: s.put_archive(1, "false"), "status must be a boolean, not str"),
    (lambda s: s.put_archive(1, None), "status must be a boolean, not NoneType"),
    (lambda s: s.put_transfer(1, 2, "no"), "include_dependencies must be a boolean, not str"),
    (
        lambda s: s.put_transfer(1, 2, False, email_body=5),
        "email_body must be a string or None, not int",
    ),
    (
        lambda s: s.put_transfer(1, 2, False, send_email="no"),
        "send_email must be a boolean or None, not str",
    ),
    (lambda s: s.list_dependencies(1, user_id="2"), "user_id must be an integer or None, not str"),
    (lambda s: s.list_projects(1, hidden="no"), "hidden must be a boolean or None, not str"),
    (lambda s: s.post_tokens(1, 5), "name must be a string, not int"),
    (
        lambda s: s.post_tokens(1, "x", machine_token="no"),
        "machine_token must be a boolean or None, not str",
    ),
    (
        lambda s: s.post_tokens(1, "x", expires_in="x"),
        "expires_in must be an integer or None, not str",
    ),
    (
        lambda s: s.post_redeploy(1, deployment_id="2"),
        "deployment_id must be an integer or None, not str",
    ),
    (
        lambda s: s.list_deployments_logs(1, 2, limit=1.5),
        "limit must be an integer or None, not float",
    ),
    (lambda s: s.put_shares_users(1, "7", "read"), "user_ids must be a list of integers, not str"),
    (lambda s: s.put_shares_users(1, [7], 5), "permission_level must be a string, not int"),
    (
        lambda s: s.put_shares_groups(1, [7], "read", share_email_body=5),
        "share_email_body must be a string or None, not int",
    ),
    (
        lambda s: s.put_shares_groups(1, [7], "read", send_shared_email="no"),
        "send_shared_email must be a boolean or None, not str",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
async def test_an_argument_of_a_wrong_type_is_named_before_anything_is_sent(
    call: Callable[[Any], Awaitable[object]], message: str, raw: bool
) -> None:
    async with hostile(answer({})) as server, session(server) as services:
        with pytest.raises(TypeError) as caught:
            await call(services.raw if raw else services)
        assert str(caught.value) == message
        assert server.requests == []


async def test_times_are_taken_as_aware_datetimes_and_as_texts() -> None:
    async with hostile(answer([])) as server, session(server) as services:
        at = datetime(2026, 11, 23, 12, 34, 56, 789, tzinfo=UTC)
        end = "2026-11-24T00:00+02:00"
        assert await services.list_deployments_logs(42, 1, start_at=at, end_at=end) == []
        assert query(server) == [{"start_at": ["2026-11-23T12:34:56.000789Z"], "end_at": [end]}]


@pytest.mark.parametrize("body", [SHARES, [SHARES]], ids=["object", "array of one"])
async def test_shares_come_as_an_object_or_an_array_holding_one(body: object) -> None:
    async with hostile(answer(body)) as server, session(server) as services:
        owners = ShareHolders(users=[Sharee(id=7, name="Ada")], groups=[])
        assert await services.list_shares(42) == Shares(owners=owners)


@pytest.mark.parametrize("body", [[], [SHARES, SHARES], "none"])
async def test_shares_in_any_other_form_are_refused(body: object) -> None:
    async with hostile(answer(body)) as server, session(server) as services:
        with pytest.raises(ResponseDecodeError):
            await services.list_shares(42)


async def test_an_answer_without_content_is_none() -> None:
    async with hostile(answer(b"", status=204)) as server, session(server) as services:
        assert await services.delete_deployments(42, 1) is None  # type: ignore[func-returns-value]
        assert (await services.raw.delete_deployments(42, 1)).status == 204


async def test_raw_makes_the_same_call_and_decodes_nothing() -> None:
    async with hostile(answer(b"<not json>")) as server, session(server) as services:
        response = await services.raw.patch(42, replicas=3)
        assert isinstance(response, RawResponse)
        assert response.content == b"<not json>"
        assert server.requests[0].json == {"replicas": 3}


async def test_a_raw_listing_is_one_page() -> None:
    async with hostile(answer([SERVICE])) as server, session(server) as services:
        response = await services.raw.list(status="running", limit=7, page_num=2)
        assert response.json() == [SERVICE]
        assert query(server) == [{"status": ["running"], "limit": ["7"], "page_num": ["2"]}]


async def test_every_endpoint_has_a_raw_form() -> None:
    async with hostile(answer([])) as server, session(server) as services:
        endpoints = {
            name
            for name in dir(services)
            if name.split("_")[0] in {"list", "get", "post", "put", "patch", "delete"}
        }
        assert len(endpoints) == 26
        assert {name for name in dir(services.raw) if not name.startswith("_")} == endpoints


async def test_awaiting_a_listing_asks_for_what_was_said_and_no_more() -> None:
    async with hostile(answer([SERVICE])) as server, session(server) as services:
        assert [each.id for each in await services.list(limit=20, page_num=2, hidden=True)] == [42]
        await services.list()
        assert query(server) == [{"limit": ["20"], "page_num": ["2"], "hidden": ["true"]}, {}]


async def test_iterating_starts_at_the_page_that_was_named_with_pages_of_the_size_named() -> None:
    async with hostile(answer([SERVICE]), answer([])) as server, session(server) as services:
        assert [each.id async for each in services.list(limit=7, page_num=3)] == [42]
        assert [each["page_num"] for each in query(server)] == [["3"], ["4"]]
        assert [each["limit"] for each in query(server)] == [["7"], ["7"]]


async def test_iterator_ignores_limit_and_page_num() -> None:
    async with hostile(answer([])) as server, session(server) as services:
        listing = services.list_deployments(42, limit=7, page_num=3, iterator=True)
        assert [each async for each in listing] == []
        assert query(server) == [{"limit": ["50"], "page_num": ["1"]}]


async def test_a_view_has_its_own_options_on_the_same_connections() -> None:
    async with hostile(answer(SERVICE), stall) as server, session(server) as services:
        hasty = services.with_options(timeout=0.05)
        await services.get(42)
        with pytest.raises(RequestTimeoutError):
            await hasty.get(42)
        with pytest.raises(RequestTimeoutError):
            await hasty.raw.get(42)
        assert hasty.rate_limit is services.rate_limit
        await hasty.aclose()
        assert services.closed


async def test_a_view_of_a_view_keeps_the_options_of_both() -> None:
    async with hostile(stall) as server, session(server) as services:
        _ = services.raw  # made before the views: theirs must be their own
        view = services.with_options(timeout=0.05).with_options(max_body_size=10)
        with pytest.raises(RequestTimeoutError):
            await view.raw.get(42)


async def test_options_that_make_no_sense_are_refused() -> None:
    async with hostile(stall) as server, session(server) as services:
        with pytest.raises(ValueError, match="timeout must be"):
            services.with_options(timeout=-1)
        with pytest.raises(ValueError, match="max_body_size must be"):
            session(server, max_body_size=0)


@pytest.mark.parametrize("salt", [b"", b"x" * 65, "text", None])
async def test_a_salt_that_cannot_be_one_is_named(salt: Any) -> None:
    async with Services("key", base_url="http://127.0.0.1:1") as services:
        assert len(services.key_id(b"x")) == 16
        with pytest.raises((TypeError, ValueError), match=r"^salt must "):
            services.key_id(salt)


@pytest.mark.parametrize("timeout", [float("inf"), 10**400])
async def test_no_bound_on_the_time_is_said_as_none_and_not_as_a_number(timeout: float) -> None:
    async with hostile(answer(SERVICE)) as server, session(server, timeout=None) as services:
        assert (await services.get(42)).id == 42
        with pytest.raises(ValueError, match=r"timeout must be .* or None for no bound"):
            services.with_options(timeout=timeout)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", "60"),
        ("timeout", True),
        ("max_body_size", True),
        ("max_body_size", 1e6),
        ("max_body_size", float("nan")),
        ("retry", 3),
        ("background", "yes"),
    ],
)
async def test_an_option_of_a_wrong_type_is_refused(name: str, value: object) -> None:
    async with hostile(stall) as server, session(server) as services:
        with pytest.raises(TypeError, match=f"^{name} must be "):
            services.with_options(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("api_key", b"key"), ("api_key", 5), ("base_url", 1)])
def test_a_session_is_not_made_of_a_wrong_type(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a string, not {type(value).__name__}"):
        Services(**{"api_key": KEY, name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["text", 8080, 1.5, True, None])
async def test_the_variables_of_a_service_are_taken_as_they_come_and_can_be_passed_back(
    value: object,
) -> None:
    variables = {"A": value, "B": "text"}
    async with (
        hostile(answer({"id": 42, "environmentVariables": variables})) as server,
        session(server) as services,
    ):
        service = await services.get(42)
        assert service.environment_variables == variables
        await services.patch(42, environment_variables=service.environment_variables)
        assert server.requests[1].json == {"environmentVariables": variables}


async def test_request_reaches_any_other_endpoint() -> None:
    async with hostile(answer({"id": 7})) as server, session(server) as services:
        response = await services.request(
            "post", "/users/a b", params={"ids": [1, 2], "none": None}, json={"x": [None]}
        )
        assert response.json() == {"id": 7}
        assert server.requests[0].method == "POST"
        assert server.requests[0].target.partition("?")[0] == "/users/a%20b"
        assert query(server) == [{"ids[]": ["1", "2"]}]
        assert server.requests[0].json == {"x": [None]}


@pytest.mark.parametrize(
    "path", ["https://elsewhere.example.org/", "//elsewhere", "users?x=1", "a/../b"]
)
async def test_request_leads_nowhere_else(path: str) -> None:
    async with hostile(answer({})) as server, session(server) as services:
        with pytest.raises(ValueError, match="path must"):
            await services.request("GET", path)
        assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": 5}, "method must be a string"),
        ({"path": b"users"}, "path must be a string"),
        ({"params": [("a", 1)]}, "params must be a dictionary"),
    ],
)
async def test_request_names_an_argument_of_a_wrong_type(
    arguments: dict[str, Any], message: str
) -> None:
    async with hostile(stall) as server, session(server) as services:
        with pytest.raises(TypeError, match=message):
            await services.request(**{"method": "GET", "path": "users"} | arguments)
        assert server.requests == []


async def test_request_refuses_what_is_no_method() -> None:
    async with hostile(answer({})) as server, session(server) as services:
        with pytest.raises(ValueError, match="method must be the name of an HTTP method"):
            await services.request("GET /x HTTP/1.1\r\n", "users")


async def test_observers_see_every_attempt() -> None:
    async with hostile(answer(SERVICE)) as server, session(server) as services:
        seen: list[RequestInfo | ResponseInfo] = []
        services.on_request(seen.append)
        services.on_response(seen.append)
        await services.get(42)
        request, response = seen
        assert request == RequestInfo("GET", "services/42", 1)
        assert isinstance(response, ResponseInfo)
        assert response.status == 200


async def test_an_observer_can_be_a_decorated_function() -> None:
    async with hostile(answer(SERVICE)) as server, session(server) as services:
        paths: list[str] = []

        @services.on_request
        def note(info: RequestInfo) -> None:
            paths.append(info.path)

        await services.with_options(timeout=5).get(42)
        note(RequestInfo("GET", "by hand", 1))
        assert paths == ["services/42", "by hand"]


class AsyncObserver:
    async def __call__(self, info: object) -> None: ...


@pytest.mark.parametrize("observer", [None, 5, anyio.sleep, AsyncObserver()])
async def test_what_cannot_observe_is_refused_at_once(observer: Any) -> None:
    async with hostile(stall) as server, session(server) as services:
        for register in (services.on_request, services.on_response):
            with pytest.raises(TypeError, match="an observer must be a function that is not async"):
                register(observer)


async def test_a_closed_session_says_so() -> None:
    async with hostile(answer(SERVICE)) as server:
        services = session(server)
        await services.get(42)
        assert "closed" not in repr(services)
        await services.aclose()
        await services.aclose()
        with pytest.raises(SessionClosedError, match="closed"):
            await services.get(42)
        with pytest.raises(SessionClosedError, match="closed"):
            await services.__aenter__()
        assert "closed" in repr(services)


async def test_an_error_keeps_a_number_secret_that_is_an_environment_variable() -> None:
    echo = {"error": "invalid", "errorDescription": "PIN: 48151623 is true", "code": 422}
    async with hostile(answer(echo, status=422)) as server, session(server) as services:
        with pytest.raises(UnprocessableError, match=r"PIN: \*\*\* is true"):
            await services.patch(42, environment_variables={"PIN": 48151623, "DEBUG": True})


@pytest.mark.parametrize("method", ["post", "put", "patch"])
async def test_an_error_that_echoes_an_environment_variable_is_kept_from_telling_it(
    method: str,
) -> None:
    echo = {"error": "invalid", "errorDescription": "DB_URL: pg://hush is no URL", "code": 422}
    async with hostile(answer(echo, status=422)) as server, session(server) as services:
        call = services.post if method == "post" else getattr(services, method)
        arguments = () if method == "post" else (42,)
        with pytest.raises(UnprocessableError, match="DB_URL") as caught:
            await call(*arguments, environment_variables={"DB_URL": "pg://hush", "EMPTY": None})
        assert "hush" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("name", ["environmentVariables", "environment_variables"])
async def test_a_call_of_any_other_endpoint_keeps_the_variables_of_its_body_secret(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    echo = {"errorDescription": "DB_URL: pg://hush or [48151623] is no URL"}
    body = {"jobs": [{name: {"DB_URL": "pg://hush", "IDS": [48151623], "EMPTY": None}}]}
    again = RetryPolicy(max_attempts=2, base_delay=0.001)
    async with (
        hostile(answer(echo, status=503)) as server,
        Services(KEY, base_url=server.url, retry=again) as services,
    ):
        with pytest.raises(ServerError, match=r"DB_URL: \*\*\* or \[\*\*\*\]") as caught:
            await services.request("PUT", "other", json=body)
    shown = str(caught.value) + repr(caught.value) + caplog.text
    assert "the next attempt follows" in shown
    assert "hush" not in shown
    assert "48151623" not in shown


async def test_a_new_token_is_given_and_not_shown() -> None:
    body = {"id": 1, "token": "hush"}
    async with hostile(answer(body, status=201)) as server, session(server) as services:
        token = await services.post_tokens(42, "ci")
        assert token == NewToken(id=1, token="hush")
        assert "hush" not in repr(token)


async def test_a_session_does_not_show_its_key() -> None:
    async with hostile(answer(SERVICE)) as server, session(server) as services:
        assert KEY not in repr(services) + str(vars(services))


async def test_nothing_that_came_from_a_closed_session_works_any_longer() -> None:
    async with hostile(answer([])) as server:
        services = session(server)
        view, raw, listing = services.with_options(timeout=5), services.raw, services.list()
        await services.aclose()
        calls: list[Awaitable[object]] = [
            view.get(42),
            raw.get(42),
            services.request("GET", "users"),
            listing,
            anext(aiter(listing)),
        ]
        for call in calls:
            with pytest.raises(SessionClosedError, match="create a new Services"):
                await call
        assert server.requests == []


async def test_closing_a_view_closes_the_session() -> None:
    async with hostile(answer(SERVICE)) as server, session(server) as services:
        await services.with_options(timeout=5).aclose()
        with pytest.raises(SessionClosedError):
            await services.get(42)


async def test_a_view_has_its_own_retries() -> None:
    async with hostile(answer(b"", status=503)) as server, session(server) as services:
        patient = services.with_options(retry=RetryPolicy(max_attempts=3, base_delay=0))
        with pytest.raises(ServerError) as caught:
            await patient.get(42)
        assert caught.value.attempts == len(server.requests) == 3
        with pytest.raises(ServerError) as caught:
            await services.get(42)
        assert caught.value.attempts == 1


async def test_background_calls_of_a_view_leave_what_is_left_to_ordinary_ones() -> None:
    """They wait while no more than the reserve is left; ordinary ones do not."""
    scarce = answer(SERVICE, headers={"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "15"})
    async with hostile(scarce) as server, session(server) as services:
        await services.get(1)
        background = services.with_options(background=True)
        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(background.get, number)
            await anyio.wait_all_tasks_blocked()
            waiting = len(server.requests)
            for _ in range(10):
                await services.get(2)
            assert len(server.requests) <= waiting + 10 + 5
            group.cancel_scope.cancel()
