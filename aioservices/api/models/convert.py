"""Models as built-in values."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias, cast, overload

import msgspec

__all__ = ["JSON", "to_dict"]

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"


@overload
def to_dict(value: msgspec.Struct) -> dict[str, JSON]: ...
@overload
def to_dict(value: Iterable[msgspec.Struct]) -> list[JSON]: ...
def to_dict(value: msgspec.Struct | Iterable[msgspec.Struct]) -> dict[str, JSON] | list[JSON]:
    """Convert a model, or several, to built-in values that any JSON encoder accepts.

    Parameters
    ----------
    value
        A model, or any iterable of models such as a page of a listing.

    Returns
    -------
    dict or list
        A dictionary for a model, with its attributes as keys (`snake_case`, in their order), or
        a list of such dictionaries. Timestamps are RFC 3339 strings. The names of environment
        variables stay as they are. Secrets are included, unlike in `repr`. An error becomes its
        message.

    Examples
    --------
    >>> from aioservices import User
    >>> to_dict(User(id=7, name="Ada"))
    {'id': 7, 'name': 'Ada', 'username': None, 'initials': None, 'online': None}
    """
    if isinstance(value, msgspec.Struct):
        return _fields(value)
    return [_fields(each) for each in value]


def _fields(value: msgspec.Struct) -> dict[str, JSON]:
    if not isinstance(value, msgspec.Struct):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"to_dict() takes models of this library, not {type(value).__name__}")
    return {name: _builtin(getattr(value, name)) for name in value.__struct_fields__}


def _builtin(value: object) -> JSON:
    match value:
        case msgspec.Struct():
            return _fields(value)
        case str() | int() | float() | None:
            return value
        case datetime():
            return str(msgspec.to_builtins(value))
        case dict():
            members = cast("dict[str, object]", value)
            return {name: _builtin(each) for name, each in members.items()}
        case list() | tuple():
            return [_builtin(each) for each in cast("Iterable[object]", value)]
        case Exception():  # of an outcome
            return str(value)
        case _:
            raise TypeError(f"to_dict() takes models of this library, not {type(value).__name__}")
