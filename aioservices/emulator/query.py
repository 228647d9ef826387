"""What a client asks for: query parameters and JSON bodies, checked."""

import re
from collections.abc import Collection
from functools import cached_property
from typing import TypeVar, cast
from urllib.parse import parse_qsl

import msgspec

from aioservices.emulator import instants
from aioservices.emulator.state import Refusal

__all__ = ["Query", "parse_body"]

_Shape = TypeVar("_Shape", bound=msgspec.Struct)

_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


class Query:
    """The parameters after the question mark; those that are not known are ignored."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _values(self) -> dict[str, str]:
        return dict(parse_qsl(self._text, keep_blank_values=True)) if self._text else {}

    def integer(self, name: str, *, minimum: int = 1) -> int | None:
        """Read a whole number."""
        text = self._values.get(name)
        if text is None:
            return None
        if not re.fullmatch(r"-?\d{1,18}", text) or int(text) < minimum:
            raise Refusal(422, f"{name} must be a whole number of at least {minimum}")
        return int(text)

    def boolean(self, name: str) -> bool:
        """Read true or false; what is not given is false."""
        text = self._values.get(name, "false")
        if text.lower() not in _BOOLEANS:
            raise Refusal(422, f"{name} must be true or false")
        return _BOOLEANS[text.lower()]

    def choice(self, name: str, options: Collection[str], default: str) -> str:
        """Read one of the words that are allowed."""
        text = self._values.get(name) or default
        if text not in options:
            raise Refusal(422, f"{name} must be one of: {', '.join(options)}")
        return text

    def words(self, name: str) -> list[str] | None:
        """Read a comma-separated list; one that is not given is None."""
        text = self._values.get(name)
        return (text and [word.strip() for word in text.split(",")]) or None

    def instant(self, name: str) -> int | None:
        """Read a timestamp, as nanoseconds."""
        text = self._values.get(name)
        try:
            return instants.parse(text) if text else None
        except (ValueError, OverflowError):
            raise Refusal(422, f"{name} must be an ISO 8601 timestamp") from None


def parse_body(content: bytes, shape: type[_Shape]) -> tuple[_Shape, list[str]]:
    """Read a JSON object whose keys are camelCase or snake_case.

    Returns
    -------
    tuple
        The object, and the names of the attributes that were given. An attribute given as
        null is cleared: it has the value that it has when it is not given at all. So is an
        environment variable.
    """
    try:
        body = _camel(msgspec.json.decode(content or b"{}", type=dict[str, object]))
    except msgspec.ValidationError:
        raise Refusal(400, "The body must be a JSON object") from None
    except RecursionError:
        raise Refusal(400, "The body is nested too deeply") from None
    except ValueError as error:  # of msgspec, or of Python for a number with too many digits
        raise Refusal(400, f"The body could not be parsed: {error}") from None
    names = {f.encode_name: f for f in msgspec.structs.fields(shape)}
    for key in body.keys() - names.keys():
        raise Refusal(422, f"Unknown attribute {key}")
    required = {key for key, f in names.items() if f.required}
    values = {key: v for key, v in body.items() if v is not None or key in required}
    try:
        parsed = msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise Refusal(422, str(error)) from None
    return parsed, [names[key].name for key in body]


def _camel(body: dict[str, object]) -> dict[str, object]:
    converted: dict[str, object] = {}
    for key, value in body.items():
        name = re.sub(r"_([a-z])", lambda match: match[1].upper(), key)
        # The keys of environment variables are the user's own.
        variables = name == "environmentVariables"
        converted[name] = _without_nulls(value) if variables else _camel_within(value)
    return converted


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return {name: each for name, each in members.items() if each is not None}
    return value


def _camel_within(value: object) -> object:
    if isinstance(value, list):
        return [_camel_within(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return _camel(cast("dict[str, object]", value))
    return value
