"""One short method for each endpoint of the services API."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Literal, TypeAlias, TypeVar, Unpack, cast

from msgspec import UNSET, UnsetType

from aioservices.http.options import Options
from aioservices.http.response import decode, decode_lenient, warn_malformed
from aioservices.http.transport import Transport
from aioservices.http.url import QueryValue
from aioservices.validation import (
    format_timestamp,
    validate_int,
    validate_ints,
    validate_optional_int,
    validate_type,
)

from .models import (
    Dependency,
    Deployment,
    DeploymentSummary,
    LogEntry,
    NewToken,
    PermissionLevel,
    Project,
    Service,
    ServiceSummary,
    Shares,
    Token,
    Transfer,
)
from .pagination import DEFAULT_PAGE_SIZE, Page, Paginator, read_page
from .params import (
    NewServiceAttributes,
    ServiceAttributes,
    encode_attributes,
    encode_body,
    with_keywords,
)
from .states import ArchivalStatus, StatusFilter

__all__ = ["Direction", "Endpoints"]

T = TypeVar("T")
Direction: TypeAlias = Literal["asc", "desc"]

# The specification says an array, the reference one object.
_ONE_OR_ARRAY_OF_ONE = cast("type[Shares | tuple[Shares]]", Shares | tuple[Shares])


class Endpoints:
    """The endpoints of the services API.

    Any of the methods may raise an `APIError` (one subclass for each status), a
    `ConnectionFailedError` or `RequestTimeoutError` if no answer came, a
    `ResponseDecodeError` if the answer is not what the endpoint promises, or a
    `SessionClosedError`. Arguments are checked before anything is sent: one of a wrong type
    is a `TypeError`, a negative identifier a `ValueError`.

    Keyword arguments that go into the body of a request are left out when not given, and sent
    as `null` when given as None. Those that go into the query are left out in both cases.

    Parameters
    ----------
    transport : Transport
        The connections to use.
    options : Options
        Those of every call.
    """

    def __init__(self, transport: Transport, options: Options) -> None:
        self._transport = transport
        self._options = options

    # -- services ------------------------------------------------------------------------------

    def list(
        self,
        *,
        hidden: bool | None = None,
        archived: ArchivalStatus | None = None,
        author: str | None = None,
        status: StatusFilter | None = None,
        limit: int | None = None,
        page_num: int | None = None,
        order: Literal["updated_at", "name", "created_at"] | None = None,
        order_dir: Direction | None = None,
        iterator: bool | None = None,
    ) -> Paginator[ServiceSummary]:
        """List services: awaited one page, iterated with `async for` all of them.

        ``GET /services``

        Iterating gives every service once, also where the loop changes the listing, as by deploying
        what is listed as idle. See `Paginator`.

        Parameters
        ----------
        hidden : bool, optional
            True for the hidden services instead of the others.
        archived : str, optional
            Archival status of the services that are wanted: `true`, `false` or `all`.
        author : str, optional
            Identifiers of users, with commas between them; only their services are listed.
        status : str, optional
            `running`, `idle`, or both with a comma between them.
        limit : int, optional
            Services on a page, at most 50. The server's default is 20; iterating, it is 50.
        page_num : int, optional
            The page, or the first one when iterating. Default 1.
        order : {'updated_at', 'name', 'created_at'}, optional
            What to sort by. The server's default is `updated_at`.
        order_dir : {'asc', 'desc'}, optional
            Ascending or descending. The server's default is `desc`.
        iterator : bool, optional
            True to ignore `limit` and `page_num`. Meant for `async for`: awaited, it is one page
            all the same.

        Returns
        -------
        Paginator of ServiceSummary

        Examples
        --------
        ::

            running = await services.list(status="running", limit=50)
            async for summary in services.list(order="name", order_dir="asc"):
                print(summary.id, summary.name)
        """
        filters: dict[str, QueryValue] = {
            "hidden": validate_type(hidden, bool | None, "hidden"),
            "archived": validate_type(archived, str | None, "archived"),
            "author": validate_type(author, str | None, "author"),
            "status": validate_type(status, str | None, "status"),
            "order": validate_type(order, str | None, "order"),
            "order_dir": validate_type(order_dir, str | None, "order_dir"),
        }
        return self._pages(
            ServiceSummary, attrgetter("id"), "services", filters, limit, page_num, iterator
        )

    @with_keywords(NewServiceAttributes)
    async def post(self, **attributes: Unpack[NewServiceAttributes]) -> Service:
        """Create a service.

        ``POST /services``

        Parameters
        ----------
        **attributes
            Those of `NewServiceAttributes`, all optional.

        Returns
        -------
        Service
            As it was created.

        Raises
        ------
        TypeError
            If an attribute is unknown or of a wrong type.

        Examples
        --------
        ::

            service = await services.post(
                name="dashboard",
                docker_image_name="acme/dashboard",
                environment_variables={"STAGE": "test"},
            )
        """
        body = encode_attributes("post", attributes, NewServiceAttributes)
        return await self._call(Service, "POST", "services", body=body)

    async def get(self, id: int) -> Service:
        """Get a service.

        ``GET /services/{id}``

        Parameters
        ----------
        id : int
            The service.

        Returns
        -------
        Service

        Raises
        ------
        NotFoundError
            If there is no such service.

        Examples
        --------
        ::

            service = await services.get(42)
            print(service.name, service.current_url)
        """
        return await self._call(Service, "GET", f"services/{validate_int(id, 'id')}")

    @with_keywords(ServiceAttributes)
    async def put(self, id: int, **attributes: Unpack[ServiceAttributes]) -> Service:
        """Replace all attributes of a service: what is not given gets its default.

        ``PUT /services/{id}``

        Parameters
        ----------
        id : int
            The service.
        **attributes
            Those of `ServiceAttributes`, all optional.

        Returns
        -------
        Service
            As it is now.

        Raises
        ------
        TypeError
            If an attribute is unknown or of a wrong type.

        Examples
        --------
        ::

            service = await services.put(42, name="dashboard", docker_image_name="acme/dashboard")
        """
        path = f"services/{validate_int(id, 'id')}"
        body = encode_attributes("put", attributes, ServiceAttributes)
        return await self._call(Service, "PUT", path, body=body)

    @with_keywords(ServiceAttributes)
    async def patch(self, id: int, **attributes: Unpack[ServiceAttributes]) -> Service:
        """Change some attributes of a service: what is not given stays as it is.

        ``PATCH /services/{id}``

        Parameters
        ----------
        id : int
            The service.
        **attributes
            Those of `ServiceAttributes`, all optional. None clears one.

        Returns
        -------
        Service
            As it is now.

        Raises
        ------
        TypeError
            If an attribute is unknown or of a wrong type.

        Examples
        --------
        ::

            service = await services.patch(42, replicas=3, max_replicas=None)
        """
        path = f"services/{validate_int(id, 'id')}"
        body = encode_attributes("patch", attributes, ServiceAttributes)
        return await self._call(Service, "PATCH", path, body=body)

    async def post_clone(self, id: int) -> Service:
        """Create a copy of a service.

        ``POST /services/{id}/clone``

        Parameters
        ----------
        id : int
            The service to copy.

        Returns
        -------
        Service
            The copy.

        Examples
        --------
        ::

            copy = await services.post_clone(42)
        """
        return await self._call(Service, "POST", f"services/{validate_int(id, 'id')}/clone")

    async def put_archive(self, id: int, status: bool) -> Service:
        """Put a service into the archive, or take it out.

        ``PUT /services/{id}/archive``

        Parameters
        ----------
        id : int
            The service.
        status : bool
            True to archive it, False to take it out.

        Returns
        -------
        Service
            As it is now.

        Examples
        --------
        ::

            await services.put_archive(42, True)
        """
        path = f"services/{validate_int(id, 'id')}/archive"
        body = encode_body(status=validate_type(status, bool, "status"))
        return await self._call(Service, "PUT", path, body=body)

    async def put_transfer(
        self,
        id: int,
        user_id: int,
        include_dependencies: bool,
        *,
        email_body: UnsetType | str | None = UNSET,
        send_email: UnsetType | bool | None = UNSET,
    ) -> Transfer:
        """Give a service to another owner.

        ``PUT /services/{id}/transfer``

        Parameters
        ----------
        id : int
            The service.
        user_id : int
            The new owner.
        include_dependencies : bool
            Whether the new owner may manage everything that the service needs, too.
        email_body : str, optional
            Text of the e-mail.
        send_email : bool, optional
            Whether the new owner is told by e-mail.

        Returns
        -------
        Transfer
            What happened to everything that the service needs.

        Examples
        --------
        ::

            transfer = await services.put_transfer(42, user_id, True, send_email=False)
        """
        path = f"services/{validate_int(id, 'id')}/transfer"
        body = encode_body(
            userId=validate_int(user_id, "user_id"),
            includeDependencies=validate_type(include_dependencies, bool, "include_dependencies"),
            emailBody=validate_type(email_body, str | None, "email_body"),
            sendEmail=validate_type(send_email, bool | None, "send_email"),
        )
        return await self._call(Transfer, "PUT", path, body=body)

    async def list_dependencies(
        self, id: int, *, user_id: int | None = None
    ) -> builtins.list[Dependency]:
        """List what a service needs.

        ``GET /services/{id}/dependencies``

        Parameters
        ----------
        id : int
            The service.
        user_id : int, optional
            A user, to learn what that user may do with each of them.

        Returns
        -------
        list of Dependency

        Examples
        --------
        ::

            for dependency in await services.list_dependencies(42):
                print(dependency.object_type, dependency.name)
        """
        path = f"services/{validate_int(id, 'id')}/dependencies"
        params = {"user_id": validate_optional_int(user_id, "user_id")}
        return await self._call_list(Dependency, "GET", path, params=params)

    # -- deployments ---------------------------------------------------------------------------

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
            What to sort by. The server's default is `created_at`.
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
        path = f"services/{validate_int(service_id, 'service_id')}/deployments"
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
        path = f"services/{validate_int(service_id, 'service_id')}/deployments"
        body = encode_body(deploymentId=validate_optional_int(deployment_id, "deployment_id"))
        return await self._call(Deployment, "POST", path, body=body)

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
        return await self._call(Deployment, "GET", _deployment(service_id, deployment_id))

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
        return await self._act("DELETE", _deployment(service_id, deployment_id))

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
        path = f"services/{validate_int(service_id, 'service_id')}/redeploy"
        body = encode_body(deploymentId=validate_optional_int(deployment_id, "deployment_id"))
        return await self._call(Deployment, "POST", path, body=body)

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
        path = f"{_deployment(id, deployment_id, 'id')}/logs"
        params = {
            "start_at": None if start_at is None else format_timestamp(start_at, "start_at"),
            "end_at": None if end_at is None else format_timestamp(end_at, "end_at"),
            "limit": validate_optional_int(limit, "limit", least=1),
        }
        return await self._call_list(LogEntry, "GET", path, params=params)

    # -- shares --------------------------------------------------------------------------------

    async def list_shares(self, id: int) -> Shares:
        """List who may do what with a service.

        ``GET /services/{id}/shares``

        Parameters
        ----------
        id : int
            The service.

        Returns
        -------
        Shares

        Examples
        --------
        ::

            shares = await services.list_shares(42)
            print([user.name for user in shares.readers.users])
        """
        path = f"services/{validate_int(id, 'id')}/shares"
        shares = await self._call(_ONE_OR_ARRAY_OF_ONE, "GET", path)
        return shares[0] if isinstance(shares, tuple) else shares

    async def put_shares_users(
        self,
        id: int,
        user_ids: Iterable[int],
        permission_level: PermissionLevel,
        *,
        share_email_body: UnsetType | str | None = UNSET,
        send_shared_email: UnsetType | bool | None = UNSET,
    ) -> Shares:
        """Share a service with users.

        ``PUT /services/{id}/shares/users``

        Parameters
        ----------
        id : int
            The service.
        user_ids : iterable of int
            The users, at least one.
        permission_level : {'read', 'write', 'manage'}
            What they may do with it.
        share_email_body : str, optional
            Text of the e-mail.
        send_shared_email : bool, optional
            Whether they are told by e-mail.

        Returns
        -------
        Shares
            Everybody it is shared with now.

        Examples
        --------
        ::

            shares = await services.put_shares_users(42, [user_id], "read")
        """
        body = encode_body(
            userIds=validate_ints(user_ids, "user_ids"),
            permissionLevel=validate_type(permission_level, str, "permission_level"),
            shareEmailBody=validate_type(share_email_body, str | None, "share_email_body"),
            sendSharedEmail=validate_type(send_shared_email, bool | None, "send_shared_email"),
        )
        path = f"services/{validate_int(id, 'id')}/shares/users"
        return await self._call(Shares, "PUT", path, body=body)

    async def delete_shares_users(self, id: int, user_id: int) -> None:
        """Take back what was shared with a user.

        ``DELETE /services/{id}/shares/users/{user_id}``

        Parameters
        ----------
        id : int
            The service.
        user_id : int
            The user.

        Examples
        --------
        ::

            await services.delete_shares_users(42, user_id)
        """
        path = f"services/{validate_int(id, 'id')}/shares/users/{validate_int(user_id, 'user_id')}"
        return await self._act("DELETE", path)

    async def put_shares_groups(
        self,
        id: int,
        group_ids: Iterable[int],
        permission_level: PermissionLevel,
        *,
        share_email_body: UnsetType | str | None = UNSET,
        send_shared_email: UnsetType | bool | None = UNSET,
    ) -> Shares:
        """Share a service with groups.

        ``PUT /services/{id}/shares/groups``

        Parameters
        ----------
        id : int
            The service.
        group_ids : iterable of int
            The groups, at least one.
        permission_level : {'read', 'write', 'manage'}
            What their members may do with it.
        share_email_body : str, optional
            Text of the e-mail.
        send_shared_email : bool, optional
            Whether they are told by e-mail.

        Returns
        -------
        Shares
            Everybody it is shared with now.

        Examples
        --------
        ::

            shares = await services.put_shares_groups(42, [group_id], "write")
        """
        body = encode_body(
            groupIds=validate_ints(group_ids, "group_ids"),
            permissionLevel=validate_type(permission_level, str, "permission_level"),
            shareEmailBody=validate_type(share_email_body, str | None, "share_email_body"),
            sendSharedEmail=validate_type(send_shared_email, bool | None, "send_shared_email"),
        )
        path = f"services/{validate_int(id, 'id')}/shares/groups"
        return await self._call(Shares, "PUT", path, body=body)

    async def delete_shares_groups(self, id: int, group_id: int) -> None:
        """Take back what was shared with a group.

        ``DELETE /services/{id}/shares/groups/{group_id}``

        Parameters
        ----------
        id : int
            The service.
        group_id : int
            The group.

        Examples
        --------
        ::

            await services.delete_shares_groups(42, group_id)
        """
        path = (
            f"services/{validate_int(id, 'id')}/shares/groups/{validate_int(group_id, 'group_id')}"
        )
        return await self._act("DELETE", path)

    # -- projects ------------------------------------------------------------------------------

    async def list_projects(self, id: int, *, hidden: bool | None = None) -> builtins.list[Project]:
        """List the projects that a service belongs to.

        ``GET /services/{id}/projects``

        Parameters
        ----------
        id : int
            The service.
        hidden : bool, optional
            True for the hidden projects instead of the others.

        Returns
        -------
        list of Project

        Examples
        --------
        ::

            for project in await services.list_projects(42):
                print(project.id, project.name)
        """
        path = f"services/{validate_int(id, 'id')}/projects"
        params = {"hidden": validate_type(hidden, bool | None, "hidden")}
        return await self._call_list(Project, "GET", path, params=params)

    async def put_projects(self, id: int, project_id: int) -> None:
        """Add a service to a project.

        ``PUT /services/{id}/projects/{project_id}``

        Parameters
        ----------
        id : int
            The service.
        project_id : int
            The project.

        Examples
        --------
        ::

            await services.put_projects(42, project_id)
        """
        path = (
            f"services/{validate_int(id, 'id')}/projects/{validate_int(project_id, 'project_id')}"
        )
        return await self._act("PUT", path)

    async def delete_projects(self, id: int, project_id: int) -> None:
        """Take a service out of a project.

        ``DELETE /services/{id}/projects/{project_id}``

        Parameters
        ----------
        id : int
            The service.
        project_id : int
            The project.

        Examples
        --------
        ::

            await services.delete_projects(42, project_id)
        """
        path = (
            f"services/{validate_int(id, 'id')}/projects/{validate_int(project_id, 'project_id')}"
        )
        return await self._act("DELETE", path)

    # -- tokens --------------------------------------------------------------------------------

    async def post_tokens(
        self,
        id: int,
        name: str,
        *,
        machine_token: UnsetType | bool | None = UNSET,
        expires_in: UnsetType | int | None = UNSET,
    ) -> NewToken:
        """Create a long-lived token that lets programs reach a service.

        ``POST /services/{id}/tokens``

        Parameters
        ----------
        id : int
            The service.
        name : str
            Name of the token.
        machine_token : bool, optional
            True for a compact token that stands for no user in particular.
        expires_in : int, optional
            Seconds until the token ends.

        Returns
        -------
        NewToken
            With the value of the token, which is never shown again.

        Examples
        --------
        ::

            created = await services.post_tokens(42, "ci", expires_in=3600)
            keep(created.token)  # it is never shown again
        """
        path = f"services/{validate_int(id, 'id')}/tokens"
        body = encode_body(
            name=validate_type(name, str, "name"),
            machineToken=validate_type(machine_token, bool | None, "machine_token"),
            expiresIn=validate_optional_int(expires_in, "expires_in", least=1),
        )
        return await self._call(NewToken, "POST", path, body=body)

    async def list_tokens(self, id: int) -> builtins.list[Token]:
        """List the tokens of a service, without their values.

        ``GET /services/{id}/tokens``

        Parameters
        ----------
        id : int
            The service.

        Returns
        -------
        list of Token

        Examples
        --------
        ::

            for token in await services.list_tokens(42):
                print(token.id, token.name, token.expires_at)
        """
        path = f"services/{validate_int(id, 'id')}/tokens"
        return await self._call_list(Token, "GET", path)

    async def delete_tokens(self, id: int, token_id: int) -> None:
        """Revoke a token of a service.

        ``DELETE /services/{id}/tokens/{token_id}``

        Parameters
        ----------
        id : int
            The service.
        token_id : int
            The token.

        Examples
        --------
        ::

            await services.delete_tokens(42, token_id)
        """
        path = f"services/{validate_int(id, 'id')}/tokens/{validate_int(token_id, 'token_id')}"
        return await self._act("DELETE", path)

    # -- the way of a call ---------------------------------------------------------------------

    async def _call(
        self,
        answer: type[T],
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        body: bytes | None = None,
    ) -> T:
        """Make a call that is answered by a value."""
        response = await self._transport.send(
            method, path, params=params, body=body, options=self._options
        )
        return decode(response, answer)

    async def _call_list(
        self,
        item: type[T],
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
    ) -> builtins.list[T]:
        """Make a call that is answered by an array; a malformed entry costs that entry."""
        response = await self._transport.send(method, path, params=params, options=self._options)
        entries, malformed = decode_lenient(response, item)
        warn_malformed(malformed)
        return entries

    async def _act(self, method: str, path: str) -> None:
        """Make a call that is answered by nothing."""
        await self._transport.send(method, path, options=self._options)

    def _pages(
        self,
        item: type[T],
        key: Callable[[T], Hashable],
        path: str,
        filters: Mapping[str, QueryValue],
        limit: int | None,
        page_num: int | None,
        iterator: bool | None,
    ) -> Paginator[T]:
        """Prepare the calls that are answered by pages of a listing."""
        if validate_type(iterator, bool | None, "iterator"):
            limit = page_num = None
        limit = validate_optional_int(limit, "limit", least=1)
        page_num = validate_optional_int(page_num, "page_num", least=1)
        size = DEFAULT_PAGE_SIZE if limit is None else min(limit, DEFAULT_PAGE_SIZE)

        def one() -> Awaitable[builtins.list[T]]:
            params = {**filters, "limit": limit, "page_num": page_num}
            return self._call_list(item, "GET", path, params=params)

        async def fetch(number: int) -> Page[T]:
            params = {**filters, "limit": size, "page_num": number}
            response = await self._transport.send("GET", path, params=params, options=self._options)
            return read_page(response, item)

        return Paginator(one, fetch, key=key, first=page_num or 1, size=size)


def _deployment(service_id: int, deployment_id: int, service_name: str = "service_id") -> str:
    service = validate_int(service_id, service_name)
    return f"services/{service}/deployments/{validate_int(deployment_id, 'deployment_id')}"
