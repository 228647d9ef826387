"""The query parameters and the JSON bodies of requests, checked."""

import json
import re
from collections.abc import Collection
from functools import cached_property
from typing import TypeVar, cast
from urllib.parse import parse_qsl

import msgspec

from aioservices.emulator import instants
from aioservices.emulator.state import APIError

__all__ = ["Query", "parse_body"]

_Schema = TypeVar("_Schema", bound=msgspec.Struct)

_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


class Query:
    """The parameters after the question mark; unknown ones are ignored."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _values(self) -> dict[str, str]:
        return dict(parse_qsl(self._text, keep_blank_values=True)) if self._text else {}

    def integer(self, name: str, *, minimum: int = 1) -> int | None:
        """Read an integer; one that is not given is None."""
        text = self._values.get(name)
        if text is None:
            return None
        if not re.fullmatch(r"-?\d{1,18}", text) or int(text) < minimum:
            raise APIError(422, f"{name} must be an integer of at least {minimum}")
        return int(text)

    def boolean(self, name: str) -> bool:
        """Read true or false; one that is not given is false."""
        text = self._values.get(name, "false")
        if text.lower() not in _BOOLEANS:
            raise APIError(422, f"{name} must be true or false")
        return _BOOLEANS[text.lower()]

    def choice(self, name: str, options: Collection[str], default: str) -> str:
        """Read one of the words that are allowed."""
        text = self._values.get(name) or default
        if text not in options:
            raise APIError(422, f"{name} must be one of: {', '.join(options)}")
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
            raise APIError(422, f"{name} must be an ISO 8601 timestamp") from None


def parse_body(content: bytes, schema: type[_Schema]) -> tuple[_Schema, list[str]]:
    """Read a JSON object whose keys are camelCase or snake_case.

    Returns
    -------
    tuple
        The object, and the names of the attributes that were given. An attribute, a member of
        an attribute or an environment variable that is null is cleared: it has the value that
        it has when it is not given at all.
    """
    try:
        body = _camel(_parse_object(content or b"{}"))
    except RecursionError:
        raise APIError(400, "The body is nested too deeply") from None
    fields = {field.encode_name: field for field in msgspec.structs.fields(schema)}
    for key in body.keys() - fields.keys():
        raise APIError(422, f"Unknown attribute {key}")
    required = {key for key, field in fields.items() if field.required}
    values = {key: value for key, value in body.items() if value is not None or key in required}
    try:
        parsed = msgspec.convert(values, schema)
    except msgspec.ValidationError as error:
        raise APIError(422, str(error)) from None
    return parsed, [fields[key].name for key in body]


def _parse_object(content: bytes) -> dict[str, object]:
    try:
        body = msgspec.json.decode(content)
    except ValueError as error:  # of msgspec, or of Python for an integer with too many digits
        raise APIError(400, _explain(content, error)) from None
    if not isinstance(body, dict):
        raise APIError(400, "The body must be a JSON object")
    return cast("dict[str, object]", body)


def _explain(content: bytes, error: ValueError) -> str:
    """Return why a body cannot be parsed, if msgspec's message is misleading."""
    if isinstance(error, UnicodeDecodeError):
        return "The body is not UTF-8"
    if isinstance(error, msgspec.ValidationError):
        return "The body has a number that is out of range"
    try:
        # Python's own parser accepts one of two surrogates, which is not Unicode text. It
        # also accepts NaN and Infinity, which are not JSON.
        json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return f"The body could not be parsed: {error}"
    return "The body has a string with a lone surrogate, which is not Unicode text"


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _camel(body: dict[str, object]) -> dict[str, object]:
    converted: dict[str, object] = {}
    for key, value in body.items():
        name = re.sub(r"_([a-z])", lambda match: match[1].upper(), key)
        # The keys of environment variables are the user's own.
        convert = _without_nulls if name == "environmentVariables" else _camel_within
        converted[name] = convert(value)
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
        return _without_nulls(_camel(cast("dict[str, object]", value)))
    return value
