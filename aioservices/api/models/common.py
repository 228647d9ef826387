"""What the models have in common."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, TypeAlias, cast

import msgspec

__all__ = ["Masked", "Timestamp", "User"]

Timestamp: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
_SECRETS = frozenset({"display_url", "environment_variables", "token"})


class Masked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A value that holds a secret, which its `repr` does not show."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [
            (name, _mask(getattr(self, name)) if name in _SECRETS else getattr(self, name))
            for name in self.__struct_fields__
        ]


def _mask(value: object) -> object:
    if isinstance(value, Mapping):  # the names of the variables are not secret
        return dict.fromkeys(cast("Mapping[str, object]", value), "***")
    return None if value is None else "***"


class User(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A person with an account on the platform.

    Attributes
    ----------
    id
        Identifier of the user.
    name
        Full name.
    username
        Name to log in with.
    initials
        Initials of the full name.
    online
        Whether the user is logged in just now.
    """

    id: int
    name: str | None = None
    username: str | None = None
    initials: str | None = None
    online: bool | None = None
