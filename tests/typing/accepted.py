"""Calls that a type checker must accept, with the types that they give. Never run."""

import builtins
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import assert_type

from aioservices.api.models import (
    JSON,
    Credential,
    Dependency,
    Deployment,
    DeploymentSummary,
    LogEntry,
    NewToken,
    Notifications,
    Project,
    Recurrence,
    Schedule,
    Service,
    ServiceSummary,
    Shares,
    Token,
    Transfer,
    to_dict,
)
from aioservices.api.pagination import Paginator
from aioservices.api.params import ServiceAttributes
from aioservices.client import Services
from aioservices.http.options import RequestInfo
from aioservices.http.response import RawResponse
from aioservices.http.retry import RetryPolicy


async def session() -> None:
    async with Services() as services:
        assert_type(services, Services)
    services = Services("key", base_url="https://x.org", timeout=None, retry=RetryPolicy())
    assert_type(services.with_options(timeout=None, background=True), Services)
    assert_type(services.with_options(retry=RetryPolicy(max_attempts=1)), Services)
    answer = await services.request("GET", "users/me", params={"ids": [1, 2], "all": None})
    assert_type(answer, RawResponse)
    await services.request("POST", "x", json={"a": [1, None, {"b": True}]})

    @services.on_request
    def seen(info: RequestInfo) -> None:
        print(info.method)

    services.on_response(print)
    seen(RequestInfo(method="GET", path="services", attempt=1))
    await services.aclose()


async def listings(services: Services) -> None:
    assert_type(services.list(), Paginator[ServiceSummary])
    assert_type(await services.list(limit=20, page_num=2), list[ServiceSummary])
    async for summary in services.list(status="running", iterator=True):
        assert_type(summary, ServiceSummary)
    services.list(status="running,idle")
    services.list(hidden=True, archived="all", author="1,2", order="name", order_dir="asc")
    assert_type(services.list_deployments(42), Paginator[DeploymentSummary])
    async for deployment in services.list_deployments(42, deployment_id=1, order="created_at"):
        assert_type(deployment, DeploymentSummary)


async def attributes(services: Services) -> None:
    assert_type(await services.post(), Service)
    await services.post(name="web", type="App", hidden=True)
    await services.put(42, name="web", max_replicas=None)
    service = await services.patch(42, replicas=3, max_replicas=None)
    assert_type(service, Service)
    await services.patch(
        42,
        schedule={
            "runtime_plan": "specific_times",
            "recurrences": [
                {"scheduled_days": [0, 6], "scheduled_hours": range(8, 12)},
                Recurrence(scheduled_days=[1], scheduled_hours=[8]),
            ],
        },
        notifications={"failure_on": True},
        environment_variables={"A": "1", "B": None, "PORT": 8080},
        credentials=(1, Credential(id=2)),
    )
    await services.patch(
        43,
        schedule=service.schedule,
        notifications=service.notifications,
        environment_variables=service.environment_variables,
        credentials=service.credentials,
    )
    await services.patch(42, schedule=Schedule(), notifications=Notifications())
    changes: ServiceAttributes = {"memory": 512, "cpu": 250}
    await services.patch(42, **changes)


async def other_endpoints(services: Services) -> None:
    assert_type(await services.get(42), Service)
    assert_type(await services.post_clone(42), Service)
    assert_type(await services.put_archive(42, True), Service)
    assert_type(await services.put_archive(id=42, status=False), Service)
    assert_type(await services.put_transfer(42, 7, True, email_body=None), Transfer)
    assert_type(await services.list_dependencies(42, user_id=7), list[Dependency])
    assert_type(await services.post_deployments(42, deployment_id=None), Deployment)
    assert_type(await services.get_deployments(service_id=42, deployment_id=1), Deployment)
    assert_type(await services.post_redeploy(42, deployment_id=3), Deployment)
    await services.delete_deployments(42, 1)
    logs = await services.list_deployments_logs(
        42, 1, start_at=datetime.now(UTC), end_at="2026-11-23T12:34:56Z", limit=10
    )
    assert_type(logs, list[LogEntry])
    assert_type(await services.list_shares(42), Shares)
    assert_type(await services.put_shares_users(42, [7], "read"), Shares)
    assert_type(await services.put_shares_groups(42, {8}, "manage", send_shared_email=True), Shares)
    await services.delete_shares_users(42, 7)
    await services.delete_shares_groups(42, 8)
    assert_type(await services.list_projects(42, hidden=False), list[Project])
    await services.put_projects(42, 4)
    await services.delete_projects(42, 4)
    assert_type(await services.post_tokens(42, "ci", expires_in=60, machine_token=None), NewToken)
    assert_type(await services.list_tokens(42), list[Token])
    await services.delete_tokens(42, 3)


async def raw(services: Services) -> None:
    assert_type(await services.raw.get(42), RawResponse)
    assert_type(await services.raw.list(status="running"), RawResponse)
    assert_type(await services.raw.list_deployments(42, limit=1), RawResponse)
    assert_type(await services.raw.patch(42, replicas=3), RawResponse)
    assert_type(await services.raw.delete_tokens(42, 3), RawResponse)
    get: Callable[[int], Awaitable[RawResponse]] = services.raw.get
    await get(42)


def models(service: Service, page: builtins.list[ServiceSummary]) -> None:
    assert_type(service.replicas, int | None)
    assert_type(service.created_at, datetime | None)
    assert_type(service.environment_variables, dict[str, str | int | float | bool | None] | None)
    assert_type(service.credentials, list[int | Credential] | None)
    assert_type(to_dict(service), dict[str, JSON])
    assert_type(to_dict(page), list[JSON])
    if service.current_deployment is not None:
        assert_type(service.current_deployment.display_url, str | None)
        summary: DeploymentSummary = service.current_deployment
        print(summary.state)
    if service.schedule is not None and service.schedule.recurrences is not None:
        assert_type(service.schedule.recurrences[0].scheduled_days, list[int] | None)
