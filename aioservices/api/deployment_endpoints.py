"""The endpoints of deployments and their logs."""

from __future__ import annotations

import builtins
from datetime import datetime
from operator import attrgetter
from typing import Literal

from msgspec import UNSET, UnsetType

from aioservices.http.url import QueryValue
from aioservices.validation import format_timestamp, validate_optional_int, validate_type

from .calls import Calls, Direction, deployment_path, service_path
from .models import Deployment, DeploymentSummary, LogEntry
from .pagination import Paginator
from .params import encode_body

__all__ = ["DeploymentEndpoints"]


class DeploymentEndpoints(Calls):
    """The endpoints of deployments and their logs."""

    def list_deployments(
        self,
        service_id: int,
        *,
        deployment_id: int | None = None,
        limit: int | None = None,
        page_num: int | None = None,
        order: Literal["created_at"] | None = None,
        order_dir: Direction | None = None,
        iterator: bool | None = None,
    ) -> Paginator[DeploymentSummary]:
        """List deployments of a service: awaited one page, iterated with `async for` all of them.

        ``GET /services/{service_id}/deployments``

        Parameters
        ----------
        service_id : int
            The service.
        deployment_id : int, optional
            Only this deployment.
        limit : int, optional
            Deployments on a page, at most 50. The server's default is 20; iterating, it is 50.
        page_num : int, optional
            The page, or the first one when iterating. Default 1.
        order : {'created_at'}, optional
            Sort by this. The server's default is `created_at`.
        order_dir : {'asc', 'desc'}, optional
            Ascending or descending. The server's default is `desc`.
        iterator : bool, optional
            True to ignore `limit` and `page_num`. Meant for `async for`: awaited, it is one page
            all the same.

        Returns
        -------
        Paginator of DeploymentSummary

        Examples
        --------
        ::

            async for deployment in services.list_deployments(42):
                print(deployment.deployment_id, deployment.state)
        """
        path = service_path(service_id, "/deployments", "service_id")
        filters: dict[str, QueryValue] = {
            "deployment_id": validate_optional_int(deployment_id, "deployment_id"),
            "order": validate_type(order, str | None, "order"),
            "order_dir": validate_type(order_dir, str | None, "order_dir"),
        }
        return self._pages(
            DeploymentSummary,
            attrgetter("deployment_id"),
            path,
            filters,
            limit,
            page_num,
            iterator,
        )

    async def post_deployments(
        self, service_id: int, *, deployment_id: UnsetType | int | None = UNSET
    ) -> Deployment:
        """Deploy a service.

        ``POST /services/{service_id}/deployments``

        Parameters
        ----------
        service_id : int
            The service.
        deployment_id : int, optional
            Identifier for the deployment.

        Returns
        -------
        Deployment
            As it was created; it starts later.

        Examples
        --------
        ::

            deployment = await services.post_deployments(42)
        """
        path = service_path(service_id, "/deployments", "service_id")
        return await self._call(Deployment, "POST", path, body=_deploy_body(deployment_id))

    async def get_deployments(self, service_id: int, deployment_id: int) -> Deployment:
        """Get a deployment of a service.

        ``GET /services/{service_id}/deployments/{deployment_id}``

        Parameters
        ----------
        service_id : int
            The service.
        deployment_id : int
            The deployment.

        Returns
        -------
        Deployment

        Examples
        --------
        ::

            deployment = await services.get_deployments(42, deployment_id)
            print(deployment.state, deployment.state_message)
        """
        return await self._call(Deployment, "GET", deployment_path(service_id, deployment_id))

    async def delete_deployments(self, service_id: int, deployment_id: int) -> None:
        """Stop a deployment of a service.

        ``DELETE /services/{service_id}/deployments/{deployment_id}``

        Parameters
        ----------
        service_id : int
            The service.
        deployment_id : int
            The deployment.

        Examples
        --------
        ::

            await services.delete_deployments(42, deployment_id)
        """
        return await self._act("DELETE", deployment_path(service_id, deployment_id))

    async def post_redeploy(
        self, service_id: int, *, deployment_id: UnsetType | int | None = UNSET
    ) -> Deployment:
        """Deploy a service again, in place of its current deployment.

        ``POST /services/{service_id}/redeploy``

        Parameters
        ----------
        service_id : int
            The service.
        deployment_id : int, optional
            Identifier for the deployment.

        Returns
        -------
        Deployment
            As it was created; it starts later.

        Examples
        --------
        ::

            deployment = await services.post_redeploy(42)
        """
        path = service_path(service_id, "/redeploy", "service_id")
        return await self._call(Deployment, "POST", path, body=_deploy_body(deployment_id))

    async def list_deployments_logs(
        self,
        id: int,
        deployment_id: int,
        *,
        start_at: datetime | str | None = None,
        end_at: datetime | str | None = None,
        limit: int | None = None,
    ) -> builtins.list[LogEntry]:
        """Get a part of the log of a deployment; `tail_logs` gets all of it.

        ``GET /services/{id}/deployments/{deployment_id}/logs``

        Parameters
        ----------
        id : int
            The service.
        deployment_id : int
            The deployment.
        start_at : datetime or str, optional
            Leave out lines before this time: an aware datetime, or a text in ISO 8601 with a
            time zone.
        end_at : datetime or str, optional
            Leave out lines after this time.
        limit : int, optional
            The most lines to return. The server's default is 10,000.

        Returns
        -------
        list of LogEntry

        Raises
        ------
        ValueError
            If a time has no time zone or is no ISO 8601.

        Examples
        --------
        ::

            page = await services.list_deployments_logs(
                42, deployment_id, start_at="2026-01-31T12:00:00Z", limit=100
            )
        """
        path = f"{deployment_path(id, deployment_id, 'id')}/logs"
        params = {
            "start_at": None if start_at is None else format_timestamp(start_at, "start_at"),
            "end_at": None if end_at is None else format_timestamp(end_at, "end_at"),
            "limit": validate_optional_int(limit, "limit", least=1),
        }
        return await self._call_list(LogEntry, "GET", path, params=params)


def _deploy_body(deployment_id: UnsetType | int | None) -> bytes:
    return encode_body(deploymentId=validate_optional_int(deployment_id, "deployment_id"))
