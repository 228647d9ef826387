"""Checks of what Python code passes to the emulator."""

from types import UnionType
from typing import TypeVar, cast, get_args

__all__ = ["check_choice", "check_kind"]

_Value = TypeVar("_Value")


def check_kind(value: _Value, kind: type | UnionType, name: str) -> _Value:
    """Refuse what is not of a type; a boolean is no number."""
    # `isinstance` takes True for an integer.
    stray = isinstance(value, bool) and bool not in (get_args(kind) or (kind,))
    if stray or not isinstance(value, kind):
        kinds = [cast("type", each).__name__ for each in get_args(kind) or (kind,)]
        expected = " or ".join(kinds).replace("NoneType", "None")
        raise TypeError(f"{name} must be {expected}, not {type(value).__name__}")
    return value


def check_choice(value: object, choices: object, name: str) -> None:
    """Refuse what is none of the values of a `Literal`."""
    values = get_args(choices)
    if value not in values:
        listed = ", ".join(map(repr, values))
        raise ValueError(f"{name} must be one of {listed}, not {value!r}")
