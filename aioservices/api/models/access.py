"""Who can reach a service, and what belongs to it: shares, tokens, projects, dependencies."""

from typing import Literal, TypeAlias

import msgspec

from .common import Masked, Timestamp, User

__all__ = [
    "Dependency",
    "NewToken",
    "PermissionLevel",
    "Project",
    "ShareHolders",
    "Sharee",
    "Shares",
    "Token",
    "Transfer",
    "TransferredDependency",
]

PermissionLevel: TypeAlias = Literal["read", "write", "manage"]


class Project(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A project that a service belongs to.

    Attributes
    ----------
    id
        Identifier of the project.
    author
        Who made it.
    name
        Name of the project.
    description
        What it is for.
    users
        Who can see it.
    auto_share
        Whether additions to the project are shared with its users automatically.
    created_at
        When it was created.
    updated_at
        When it was last changed.
    archived
        Whether it is archived: a boolean or, from some servers, a string.
    """

    id: int
    author: User | None = None
    name: str | None = None
    description: str | None = None
    users: list[User] | None = None
    auto_share: bool | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    archived: bool | str | None = None


class Sharee(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A user or a group that something is shared with.

    Attributes
    ----------
    id
        Identifier of the user or group.
    name
        Its name.
    """

    id: int
    name: str | None = None


class ShareHolders(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everybody with the same permission.

    Attributes
    ----------
    users
        Users with this permission.
    groups
        Groups with this permission.
    """

    users: list[Sharee] | None = None
    groups: list[Sharee] | None = None


class Shares(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who may do what with a service.

    Attributes
    ----------
    readers
        Who may see it.
    writers
        Who may change it.
    owners
        Who may manage it.
    total_user_shares
        Number of users it is shared with: all of them for an owner, only visible ones for
        anybody else.
    total_group_shares
        Number of groups it is shared with, counted in the same way.
    """

    readers: ShareHolders | None = None
    writers: ShareHolders | None = None
    owners: ShareHolders | None = None
    total_user_shares: int | None = None
    total_group_shares: int | None = None


class Dependency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that a service needs, such as a credential.

    Attributes
    ----------
    object_type
        Its type.
    fco_type
        Its type in human-readable form.
    id
        Its identifier, unique among those of its type.
    name
        Its name; None if the caller may not read it.
    permission_level
        What the user in the request may do with it; None without such a user, or if it cannot be
        shared.
    description
        A description.
    shareable
        Whether the caller may share it.
    """

    object_type: str | None = None
    fco_type: str | None = None
    id: int
    name: str | None = None
    permission_level: str | None = None
    description: str | None = None
    shareable: bool | None = None


class TransferredDependency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that a service needs, and what happened to it when the service got a new owner.

    Attributes
    ----------
    object_type
        Its type.
    fco_type
        Its type in human-readable form.
    id
        Its identifier, unique among those of its type.
    name
        Its name; None if the caller may not read it.
    permission_level
        What the new owner may do with it; None if it cannot be shared.
    description
        A description.
    shared
        Whether it was shared with the new owner.
    """

    object_type: str | None = None
    fco_type: str | None = None
    id: int
    name: str | None = None
    permission_level: str | None = None
    description: str | None = None
    shared: bool | None = None


class Transfer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The outcome of giving a service to another owner.

    Attributes
    ----------
    dependencies
        The dependencies of the service, with what happened to each.
    """

    dependencies: list[TransferredDependency] | None = None


class Token(Masked, frozen=True, kw_only=True, rename="camel"):
    """A long-lived token that lets programs reach a service.

    Attributes
    ----------
    id
        Identifier of the token.
    name
        Name of the token.
    user
        The user it belongs to.
    machine_token
        Whether it belongs to no user.
    expires_at
        When it expires.
    created_at
        When it was created.
    """

    id: int
    name: str | None = None
    user: User | None = None
    machine_token: bool | None = None
    expires_at: Timestamp | None = None
    created_at: Timestamp | None = None


class NewToken(Token, frozen=True, kw_only=True, rename="camel"):
    """A token that was just created, the only time that its value is shown.

    It also has all attributes of a `Token`.

    Attributes
    ----------
    token
        The value of the token: a secret, kept out of its `repr`.
    """

    token: str | None = None
