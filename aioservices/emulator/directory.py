"""Users, groups, projects and credentials, each of which exists as soon as it is named."""

from collections.abc import Mapping

from aioservices.emulator import instants
from aioservices.emulator.schemas import Named, PermissionLevel, Project, ShareHolders, Shares, User

__all__ = ["OWNER", "credential", "email", "project", "shares", "user"]

OWNER = 1
"""The user whose key the emulator takes."""


def email(number: int) -> str:
    """Return the address of a user."""
    return f"user{number}@example.com"


def user(number: int) -> User:
    """Invent a user."""
    return User(
        id=number,
        name=f"User {number}",
        username=f"user{number}",
        initials=f"U{number}",
        online=number == OWNER,
    )


def credential(number: int) -> Named:
    """Invent a credential."""
    return Named(id=number, name=f"Credential {number}")


def project(number: int, created: int) -> Project:
    """Invent a project that was created when it was first named."""
    stamp = instants.text(created)
    return Project(
        id=number,
        author=user(OWNER),
        name=f"Project {number}",
        description=f"The objects of project {number}",
        users=[user(OWNER)],
        auto_share=False,
        created_at=stamp,
        updated_at=stamp,
        archived=False,
    )


def shares(users: Mapping[int, PermissionLevel], groups: Mapping[int, PermissionLevel]) -> Shares:
    """Return who may do what."""

    def holders(level: PermissionLevel) -> ShareHolders:
        return ShareHolders(
            users=[Named(id=n, name=f"User {n}") for n, has in users.items() if has == level],
            groups=[Named(id=n, name=f"Group {n}") for n, has in groups.items() if has == level],
        )

    return Shares(
        readers=holders("read"),
        writers=holders("write"),
        owners=holders("manage"),
        total_user_shares=len(users),
        total_group_shares=len(groups),
    )
