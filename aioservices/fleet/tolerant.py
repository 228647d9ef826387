"""Decodes a service or a deployment although some of its members are malformed; pure."""

from __future__ import annotations

import logging
import re
from typing import TypeVar, cast

import msgspec

from aioservices.errors import ResponseDecodeError
from aioservices.http.response import RawResponse, decode, field_of

__all__ = ["decode_tolerant"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_MAX_MEMBERS = 50
_REQUIRED = frozenset({"currentDeployment"})  # without it a service would seem not to be deployed


def decode_tolerant(response: RawResponse, type_: type[T]) -> T:
    """Decode the body of an answer; a malformed member counts as null.

    A fleet needs few of the members. A malformed value in one of the others must not end a wait.

    Parameters
    ----------
    response : RawResponse
    type_ : type
        What the body should be.

    Raises
    ------
    ResponseDecodeError
        If a required member is malformed: an identifier, or the current deployment as a whole.
    """
    try:
        return decode(response, type_)
    except ResponseDecodeError as exc:
        value = _convert(response.content, type_)
        if value is None:
            raise
        log.debug("a malformed value is ignored: %s", exc)
        return value


def _convert(content: bytes, type_: type[T]) -> T | None:
    try:
        document: object = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    for _ in range(_MAX_MEMBERS):
        try:
            return msgspec.convert(document, type_)
        except msgspec.ValidationError as exc:
            if not _clear(document, field_of(exc) or ""):
                return None
    return None


def _clear(document: object, place: str) -> bool:
    """Set the value at a path such as ``$.currentDeployment.memory`` to null, if it is optional."""
    parent: object = None
    key: str | int = ""
    value = document
    for name, index in _STEP.findall(place):
        parent, key = value, name or int(index)
        try:
            value = cast("dict[str | int, object]", parent)[key]
        except LookupError:  # a required member that is missing
            return False
    if parent is None or value is None or key in _REQUIRED:
        return False
    cast("dict[str | int, object]", parent)[key] = None
    return True
