"""The endpoints of services themselves."""

from __future__ import annotations

import builtins
from operator import attrgetter
from typing import Literal, Unpack

from msgspec import UNSET, UnsetType

from aioservices.http.url import QueryValue
from aioservices.validation import validate_int, validate_optional_int, validate_type

from .calls import Calls, Direction, service_path
from .models import Dependency, Service, ServiceSummary, Transfer
from .pagination import Paginator
from .params import (
    NewServiceAttributes,
    ServiceAttributes,
    encode_attributes,
    encode_body,
    with_keywords,
)
from .states import ArchivalStatus, StatusFilter

__all__ = ["ServiceEndpoints"]


class ServiceEndpoints(Calls):
    """The endpoints of services themselves."""

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
            Sort by this. The server's default is `updated_at`.
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
        return await self._call(Service, "GET", service_path(id))

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
        path = service_path(id)
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
        path = service_path(id)
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
        return await self._call(Service, "POST", service_path(id, "/clone"))

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
        path = service_path(id, "/archive")
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
            Whether to notify the new owner by e-mail.

        Returns
        -------
        Transfer
            What happened to everything that the service needs.

        Examples
        --------
        ::

            transfer = await services.put_transfer(42, user_id, True, send_email=False)
        """
        path = service_path(id, "/transfer")
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
        path = service_path(id, "/dependencies")
        params = {"user_id": validate_optional_int(user_id, "user_id")}
        return await self._call_list(Dependency, "GET", path, params=params)
