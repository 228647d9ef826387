"""Calls that a type checker must refuse, each on a line that says so. Never run."""

from datetime import date

from aioservices.api.models import Deployment, Notifications, Service, ServiceSummary, to_dict
from aioservices.client import Services
from aioservices.http.retry import RetryPolicy


async def session(services: Services) -> None:
    Services("key", "https://x.org")  # refuse: keyword-only
    Services(timeout="60")  # refuse
    Services(retry=3)  # refuse
    services.with_options(30)  # refuse: keyword-only
    services.with_options(timeuot=30)  # refuse
    await services.request("GET")  # refuse: no path
    await services.request("GET", "x", params={"a": object()})  # refuse
    services.on_request(lambda: None)  # refuse: takes no argument
    services.rate_limit = None  # refuse: read-only
    RetryPolicy(5)  # refuse: keyword-only
    with services:  # refuse: asynchronous only
        pass


async def listings(services: Services) -> None:
    services.list(20)  # refuse: keyword-only
    services.list(order="id")  # refuse
    services.list(order_dir="up")  # refuse
    services.list(stauts="running")  # refuse
    services.list(status=["running"])  # refuse
    for _ in services.list():  # refuse: asynchronous only
        pass
    services.list_deployments()  # refuse: no service
    services.list_deployments(42, 1)  # refuse: keyword-only
    services.list_deployments(42, order="name")  # refuse
    async for summary in services.list():
        print(summary.display_url)  # refuse: not in listings


async def attributes(services: Services) -> None:
    await services.patch(42, replica=3)  # refuse
    await services.patch(42, replicas="3")  # refuse
    await services.patch(42, hidden=True)  # refuse: for post only
    await services.put(42, type="App")  # refuse: for post only
    await services.patch()  # refuse: no service
    await services.patch(42, {"replicas": 3})  # refuse
    await services.post("web")  # refuse: keyword-only
    await services.post(nam="web")  # refuse
    await services.patch(42, schedule="always_on")  # refuse
    await services.patch(42, schedule={"runtime_plan": "always_on"})  # refuse: no recurrences
    await services.patch(42, schedule={"runtime_plan": "off", "recurrences": []})  # refuse
    await services.patch(42, schedule=Notifications())  # refuse
    await services.patch(42, notifications={"failureOn": True})  # refuse
    await services.patch(42, environment_variables={"PORTS": [8080]})  # refuse
    await services.patch(42, credentials=["1"])  # refuse


async def other_endpoints(services: Services) -> None:
    await services.get("42")  # refuse
    await services.get()  # refuse
    await services.get(service_id=42)  # refuse: it is called id
    await services.get_deployments(id=42, deployment_id=1)  # refuse: it is called service_id
    await services.put_archive(42)  # refuse: no status
    await services.put_transfer(42, 7)  # refuse: no include_dependencies
    await services.put_transfer(42, 7, True, "hello")  # refuse: keyword-only
    await services.put_shares_users(42, 7, "read")  # refuse: several users
    await services.put_shares_users(42, [7])  # refuse: no level
    await services.put_shares_users(42, [7], "admin")  # refuse
    await services.put_shares_groups(42, ["7"], "read")  # refuse
    await services.post_tokens(42)  # refuse: no name
    await services.post_tokens(42, "ci", True)  # refuse: keyword-only
    await services.post_deployments(42, 3)  # refuse: keyword-only
    await services.list_deployments_logs(42, 1, start_at=date(2026, 11, 23))  # refuse
    await services.list_deployments_logs(42)  # refuse: no deployment
    await services.delete_services(42)  # refuse: no such endpoint


async def raw(services: Services) -> None:
    print((await services.raw.get(42)).name)  # refuse: nothing is decoded
    await services.raw.get("42")  # refuse
    await services.raw.patch(42, replica=3)  # refuse
    async for _ in services.raw.list():  # refuse: one page only
        pass


def models(service: Service, deployment: Deployment) -> None:
    len(service.name)  # refuse: may be None
    print(service.created_at.year)  # refuse: may be None
    print(service.nmae)  # refuse
    service.name = "other"  # refuse: frozen
    Service()  # refuse: no id
    Service(42)  # refuse: keyword-only
    ServiceSummary(id="42")  # refuse
    print(deployment.id)  # refuse: it is called deployment_id
    to_dict(42)  # refuse
