"""The endpoints that say who can reach a service: shares, projects and tokens."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import cast

from msgspec import UNSET, UnsetType

from aioservices.validation import validate_int, validate_ints, validate_optional_int, validate_type

from .calls import Calls, service_path
from .models import NewToken, PermissionLevel, Project, Shares, Token
from .params import encode_body

__all__ = ["AccessEndpoints"]

# The specification says an array, the reference one object.
_ONE_OR_ARRAY_OF_ONE = cast("type[Shares | tuple[Shares]]", Shares | tuple[Shares])


class AccessEndpoints(Calls):
    """The endpoints of shares, projects and tokens."""

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
        path = service_path(id, "/shares")
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
            Whether to notify them by e-mail.

        Returns
        -------
        Shares
            Everybody it is shared with now.

        Examples
        --------
        ::

            shares = await services.put_shares_users(42, [user_id], "read")
        """
        ids = validate_ints(user_ids, "user_ids")
        body = _share_body(permission_level, share_email_body, send_shared_email, userIds=ids)
        path = service_path(id, "/shares/users")
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
        path = f"{service_path(id, '/shares/users')}/{validate_int(user_id, 'user_id')}"
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
            Whether to notify them by e-mail.

        Returns
        -------
        Shares
            Everybody it is shared with now.

        Examples
        --------
        ::

            shares = await services.put_shares_groups(42, [group_id], "write")
        """
        ids = validate_ints(group_ids, "group_ids")
        body = _share_body(permission_level, share_email_body, send_shared_email, groupIds=ids)
        path = service_path(id, "/shares/groups")
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
        path = f"{service_path(id, '/shares/groups')}/{validate_int(group_id, 'group_id')}"
        return await self._act("DELETE", path)

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
        path = service_path(id, "/projects")
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
        path = f"{service_path(id, '/projects')}/{validate_int(project_id, 'project_id')}"
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
        path = f"{service_path(id, '/projects')}/{validate_int(project_id, 'project_id')}"
        return await self._act("DELETE", path)

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
        path = service_path(id, "/tokens")
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
        path = service_path(id, "/tokens")
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
        path = f"{service_path(id, '/tokens')}/{validate_int(token_id, 'token_id')}"
        return await self._act("DELETE", path)


def _share_body(
    level: PermissionLevel,
    email_body: UnsetType | str | None,
    send_email: UnsetType | bool | None,
    **ids: builtins.list[int],
) -> bytes:
    return encode_body(
        **ids,
        permissionLevel=validate_type(level, str, "permission_level"),
        shareEmailBody=validate_type(email_body, str | None, "share_email_body"),
        sendSharedEmail=validate_type(send_email, bool | None, "send_shared_email"),
    )
