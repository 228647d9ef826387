"""Checks of what Python code passes to the emulator."""

from types import UnionType
from typing import TypeVar, cast, get_args

__all__ = [
    "check_api_key",
    "check_choice",
    "check_integer",
    "check_kind",
    "check_seconds",
    "check_text",
    "shown",
]

_Value = TypeVar("_Value")

# Long enough for any wait, and short enough for the end to be a valid time.
_CENTURIES = 1e10
_LARGEST = 2**63 - 1
_MAX_DIGITS = 30


def check_kind(value: _Value, kind: type | UnionType, name: str) -> _Value:
    """Refuse a value of another type; a boolean does not count as a number."""
    # `isinstance` takes True for an integer.
    is_wrong = isinstance(value, bool) and bool not in (get_args(kind) or (kind,))
    if is_wrong or not isinstance(value, kind):
        kinds = [cast("type", each).__name__ for each in get_args(kind) or (kind,)]
        expected = " or ".join(kinds).replace("NoneType", "None")
        raise TypeError(f"{name} must be {expected}, not {type(value).__name__}")
    return value


def check_text(value: str, name: str) -> str:
    """Refuse a value that is not text, or cannot be encoded as UTF-8."""
    try:
        check_kind(value, str, name).encode()
    except UnicodeEncodeError as error:
        lone = value[error.start]
        raise ValueError(f"{name} must be Unicode text, without {lone!r} on its own") from None
    return value


def check_api_key(value: str, name: str) -> str:
    """Refuse a key that no client can send.

    A client sends it in a header, as the user name of HTTP basic authentication: that ends at a
    colon. The message does not repeat the key.
    """
    if not check_kind(value, str, name):
        raise ValueError(f"{name} must not be empty")
    if not (value.isascii() and value.isprintable()) or ":" in value or " " in value:
        raise ValueError(
            f"{name} cannot be sent by a client: it contains a space, a colon, a line break or "
            "another character that is not printable ASCII"
        )
    return value


def check_choice(value: object, choices: object, name: str) -> None:
    """Refuse a value that is not one of a `Literal`."""
    values = get_args(choices)
    if value not in values:
        listed = ", ".join(map(repr, values))
        raise ValueError(f"{name} must be one of {listed}, not {value!r}")


def check_integer(value: int, name: str, *, least: int = 0, most: int = _LARGEST) -> int:
    """Refuse anything but an integer within bounds."""
    if not least <= check_kind(value, int, name) <= most:
        bounds = f"{least} or more" if most == _LARGEST else f"from {least} to {most}"
        raise ValueError(f"{name} must be {bounds}, not {shown(value)}")
    return value


def check_seconds(seconds: float, name: str) -> None:
    """Refuse a duration that is negative or not finite."""
    if not 0 <= check_kind(seconds, int | float, name) < _CENTURIES:
        raise ValueError(f"{name} must be 0 or more, and less than 1e10, not {shown(seconds)}")


def shown(number: float) -> str:
    """Write a number; Python itself refuses to write one of thousands of digits."""
    if isinstance(number, int) and abs(number) >= 10**_MAX_DIGITS:
        return f"a number of more than {_MAX_DIGITS} digits"
    return str(number)
