"""Checks of arguments, with the same rules everywhere."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from datetime import MINYEAR, UTC, datetime
from types import NoneType, UnionType
from typing import Literal, TypeVar, cast, get_args

from msgspec import UNSET, UnsetType

__all__ = [
    "LONGEST_SECONDS",
    "SHORTEST_INTERVAL",
    "expected",
    "format_timestamp",
    "parse_timestamp",
    "validate_choice",
    "validate_int",
    "validate_ints",
    "validate_number",
    "validate_optional_int",
    "validate_optional_seconds",
    "validate_seconds",
    "validate_type",
]

T = TypeVar("T")
OptionalIntT = TypeVar("OptionalIntT", int | None, UnsetType | int | None)

_LARGEST = 2**63 - 1  # what databases, servers and other clients take for an integer
LONGEST_SECONDS = 1e9  # the longest possible wait: more than 30 years
SHORTEST_INTERVAL = 0.001  # seconds between two things that are repeated
_MAX_DIGITS = 30  # of a number in a message


def validate_type(value: T, kind: type | UnionType, name: str) -> T:
    """Refuse a value of another type; numbers have their own checks.

    Parameters
    ----------
    value : object
        The argument; `UNSET`, for none, is accepted.
    kind : type or union of types
        What is accepted, such as `bool | None`.
    name : str
        Name of the parameter, for the message.

    Returns
    -------
    object
        The value.

    Raises
    ------
    TypeError
        If it has another type. A boolean is not an integer, nor vice versa.
    """
    # A quick check, as most are right; only a boolean may pass it wrongly.
    if value is UNSET or (isinstance(value, kind) and not isinstance(value, bool)):
        return value  # pyright: ignore[reportReturnType]  # it is of the type T
    kinds: tuple[object, ...] = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if bool in kinds and isinstance(value, bool):
        return value
    raise TypeError(f"{name} must be {expected(kinds)}, not {type(value).__name__}")


def validate_choice(value: T, choices: Sequence[T], name: str) -> T:
    """Refuse a value that is neither one of the choices nor None.

    Parameters
    ----------
    value : object
    choices : sequence
        What it may be, apart from None.
    name : str
        Name of the parameter, for the message.

    Raises
    ------
    TypeError, ValueError
        If it is neither.
    """
    if value is None:
        return value
    validate_type(value, type(choices[0]), name)
    if value not in choices:
        known = ", ".join(repr(each) for each in choices)
        raise ValueError(f"{name} must be one of {known}, or None, not {value!r}")
    return value


def validate_int(value: int, name: str, *, least: int = 0, most: int = _LARGEST) -> int:
    """Refuse anything but an integer within bounds.

    Parameters
    ----------
    value : int
        The number; anything with `__index__` is accepted, such as an integer of NumPy.
    name : str
        Name of the parameter, for the message.
    least : int, default 0
        The smallest accepted number.
    most : int, default 9223372036854775807
        The largest accepted number.

    Returns
    -------
    int
        The number.

    Raises
    ------
    TypeError
        If it is not an integer. A boolean is not one.
    ValueError
        If it is too small or too large.
    """
    if type(value) is int and least <= value <= most:
        return value
    number = _integer(value)
    if number is None:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if number < least:
        raise ValueError(f"{name} must be {least} or more, not {_shown(number)}")
    if number > most:
        raise ValueError(f"{name} must be {most} or less, not {_shown(number)}")
    return number


def validate_optional_int(value: OptionalIntT, name: str, *, least: int = 0) -> OptionalIntT:
    """Do the same as `validate_int`, unless the value is None or `UNSET`."""
    if value is None or value is UNSET:
        return value
    if _integer(value) is None:
        raise TypeError(f"{name} must be an integer or None, not {type(value).__name__}")
    return cast("OptionalIntT", validate_int(value, name, least=least))


def validate_ints(values: Iterable[int], name: str) -> list[int]:
    """Refuse anything but a collection of integers.

    Parameters
    ----------
    values : iterable of int
        The numbers.
    name : str
        Name of the parameter, for the message.

    Returns
    -------
    list of int
        The numbers.

    Raises
    ------
    TypeError
        If one is not an integer, or it is not a collection.
    ValueError
        If one is negative.
    """
    given: object = values  # bytes contain integers, too, but are surely a mistake
    if isinstance(given, str | bytes | bytearray) or not isinstance(given, Iterable):
        raise TypeError(f"{name} must be a list of integers, not {type(values).__name__}")
    return [validate_int(value, f"{name}[{place}]") for place, value in enumerate(values)]


def parse_timestamp(value: datetime | str, name: str) -> datetime:
    """Read a time.

    Parameters
    ----------
    value : datetime or str
        An aware datetime, or a string in ISO 8601 with a time zone.
    name : str
        Name of the parameter, for the message.

    Returns
    -------
    datetime
        Aware.

    Raises
    ------
    TypeError
        If it is neither a datetime nor a string.
    ValueError
        If it has no time zone, or the string is not ISO 8601.
    """
    if isinstance(value, datetime):
        time, remedy = value, "datetime.now(UTC) or value.replace(tzinfo=UTC)"
    elif isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        time, remedy = _iso_8601(value, name), "2026-01-31T12:00:00Z"
    else:
        raise TypeError(f"{name} must be a datetime or a string, not {type(value).__name__}")
    if time.utcoffset() is None:
        raise ValueError(f"{name} has no time zone: add one, as in {remedy}")
    return time


def format_timestamp(value: datetime | str, name: str) -> str:
    """Format a time for the API.

    Parameters
    ----------
    value : datetime or str
        An aware datetime, or a string in ISO 8601 with a time zone, which is left unchanged.
    name : str
        Name of the parameter, for the message.

    Returns
    -------
    str
        The time in ISO 8601; of a datetime in UTC, to the microsecond. A time before the year 1 or
        after 9999 becomes the nearest one within.

    Raises
    ------
    TypeError, ValueError
        As `parse_timestamp`.
    """
    time = parse_timestamp(value, name)
    if isinstance(value, str):
        return value
    return _in_utc(time).isoformat(timespec="microseconds").replace("+00:00", "Z")


def validate_seconds(
    value: float,
    name: str,
    *,
    zero: bool = False,
    least: float = 0.0,
    unbounded: bool = False,
    otherwise: str = "",
) -> float:
    """Refuse anything but a number of seconds that it is possible to wait.

    Parameters
    ----------
    value : float
        The seconds, at most 1,000,000,000.
    name : str
        Name of the parameter, for the message.
    zero : bool, default False
        Whether 0 is allowed.
    least : float, default 0.0
        The smallest accepted number.
    unbounded : bool, default False
        Whether `math.inf` is allowed.
    otherwise : str, optional
        What else is accepted, for the message.

    Returns
    -------
    float
        The seconds.

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is too small, too large or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if unbounded and value == math.inf:
        return value
    if least <= value <= LONGEST_SECONDS and (value > 0 or zero):  # no comparison holds for NaN
        return value
    lower = f"at least {least:g}" if zero or least > 0 else "greater than 0"
    upper = f"at most {LONGEST_SECONDS:,.0f} seconds"
    if unbounded:
        otherwise = "math.inf for no bound"
    others = f", or {otherwise}" if otherwise else ""
    raise ValueError(f"{name} must be {lower} and {upper}{others}, not {_shown(value)}")


def validate_optional_seconds(
    value: float | None, name: str, *, zero: bool = False
) -> float | None:
    """Do the same as `validate_seconds`, unless the value is None."""
    return None if value is None else validate_seconds(value, name, zero=zero)


def validate_number(value: object, kinds: Sequence[object], name: str) -> int | float | None:
    """Return a number if it is of one of the types, otherwise None.

    Raises
    ------
    ValueError
        If the number is not possible in JSON or the API.
    """
    if int in kinds and (number := _integer(value)) is not None:
        # A parameter that takes only integers is a count or an identifier.
        return validate_int(number, name, least=-_LARGEST if float in kinds else 0)
    if float in kinds and isinstance(value, float):
        if not math.isfinite(value):  # JSON has no such number: it would be sent as null
            raise ValueError(f"{name} must be a finite number")
        return float(value)
    return None


def expected(kinds: Sequence[object]) -> str:
    """Describe the expected types."""
    origin = kinds[0]
    known = [_EXPECTED[each] for each in kinds if each in _EXPECTED]
    *others, last = known if origin in _EXPECTED else ["a dictionary", *known]
    return f"{', '.join(others)} or {last}" if others else last


_EXPECTED: Mapping[object, str] = {
    Sequence: "a list",
    Literal: "a string",
    str: "a string",
    bytes: "bytes",
    int: "an integer",
    float: "a float",
    bool: "a boolean",
    NoneType: "None",
}


def _shown(number: float) -> str:
    """Format a number for a message; Python refuses to format thousands of digits."""
    if isinstance(number, int) and abs(number) >= 10**_MAX_DIGITS:
        return f"a number of more than {_MAX_DIGITS} digits"
    return str(number)


def _in_utc(time: datetime) -> datetime:
    """Convert a time to UTC; one outside of the supported years becomes the nearest within."""
    try:
        return time.astimezone(UTC)
    except OverflowError:
        earliest, latest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        return earliest if time.year == MINYEAR else latest


def _iso_8601(text: str, name: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{name} must be a time in ISO 8601, such as 2026-11-23T12:34:56Z"
        ) from None


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return None
    return operator.index(cast("int", value))
