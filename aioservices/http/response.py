"""Raw answers, and their decoding into typed values."""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

import msgspec
from multidict import CIMultiDict, istr

from aioservices.errors import MalformedEntryWarning, ResponseDecodeError

from .ratelimit import RateLimit
from .retry import parse_retry_after

__all__ = [
    "RawResponse",
    "decode",
    "decode_lenient",
    "describe_body",
    "field_of",
    "http_date",
    "parse_count",
    "parse_rate_limit",
    "retry_after_of",
    "warn_malformed",
]

T = TypeVar("T")

_DATE = istr("Date")
_LIMIT = istr("X-RateLimit-Limit")
_REMAINING = istr("X-RateLimit-Remaining")
_MOST_DIGITS = 15
_CONTENT_TYPES = frozenset(
    {
        "application/octet-stream",
        "application/pdf",
        "application/xml",
        "text/csv",
        "text/plain",
        "text/xml",
    }
)


class RawResponse(msgspec.Struct, kw_only=True, eq=False):
    """An answer as it came.

    Attributes
    ----------
    status : int
    headers : Mapping of str to str
        Names are compared without regard to case.
    content : bytes
        The body, decompressed.
    method, path : str
        The request that it answers.
    attempts : int
        How many times the request was sent.
    elapsed : float
        Seconds that the last attempt took.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    method: str
    path: str
    attempts: int
    elapsed: float

    @property
    def rate_limit(self) -> RateLimit | None:
        """What this answer says about the rate limit."""
        return parse_rate_limit(self.headers)

    def json(self) -> object:
        """Decode the body.

        Returns
        -------
        object
            Built-in types, with the keys as they are on the wire.

        Raises
        ------
        ResponseDecodeError
            If the body is not JSON.
        """
        return decode(self, object)

    def __reduce__(self) -> tuple[Any, ...]:
        # The headers that aiohttp gives cannot be pickled or copied.
        state = msgspec.structs.asdict(self) | {"headers": CIMultiDict(self.headers)}
        return _restore, (state,)

    def __repr__(self) -> str:
        return f"<RawResponse {self.status} {self.method} {self.path} {len(self.content)} bytes>"


def _restore(state: dict[str, Any]) -> RawResponse:
    return RawResponse(**state)


def decode(response: RawResponse, type_: type[T]) -> T:
    """Decode the body of an answer.

    Parameters
    ----------
    response : RawResponse
    type_ : type
        What the body should be; anything that msgspec can decode.

    Returns
    -------
    T

    Raises
    ------
    ResponseDecodeError
        If the body is something else.
    """
    try:
        value: T = _decoder(type_).decode(response.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise _decode_error(response, exc) from exc
    return value


def _decode_error(response: RawResponse, problem: Exception) -> ResponseDecodeError:
    if isinstance(problem, msgspec.ValidationError):
        text = f"the body does not match the specification: {problem}"
    else:
        text = describe_body(response) or f"the body is not valid JSON: {problem}"
    return ResponseDecodeError(
        text,
        method=response.method,
        path=response.path,
        attempts=response.attempts,
        status=response.status,
        field=field_of(problem),
        headers=CIMultiDict(response.headers),  # the proxy that aiohttp gives cannot be pickled
        body=response.content,
    )


def field_of(problem: Exception) -> str | None:
    """Return the place in a body that msgspec complains about, as in ``$[3].createdAt``."""
    if not isinstance(problem, msgspec.ValidationError):
        return None
    said = str(problem)
    found = re.search(r" - at `(.+)`$", said)
    place = found[1] if found else "$"
    if missing := re.match(r"Object missing required field `(.+?)`", said):
        return f"{place}.{missing[1]}"
    return place


def describe_body(response: RawResponse) -> str | None:
    """Describe a body that is not JSON; None if it claims to be."""
    body = response.content
    if not body.strip():
        return "the body is empty"
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type == "text/html" or body.lstrip()[:1] == b"<":
        return f"the body is an HTML page of {len(body)} bytes"
    if content_type.endswith("json"):
        return None
    if content_type not in _CONTENT_TYPES:  # not quoted: a server may put anything there
        content_type = "of another type than JSON" if content_type else "of no stated type"
    return f"the body is {content_type}, {len(body)} bytes"


def decode_lenient(
    response: RawResponse, type_: type[T]
) -> tuple[list[T], list[MalformedEntryWarning]]:
    """Decode an array entry by entry, so that only a malformed entry itself is lost.

    Parameters
    ----------
    response : RawResponse
    type_ : type
        What each entry should be.

    Returns
    -------
    list of T
        The valid entries, in their order.
    list of MalformedEntryWarning
        What is wrong with the others. The warnings are returned, not issued: see `warn_malformed`.

    Raises
    ------
    ResponseDecodeError
        If the body is not a JSON array.
    """
    page = cast("type[list[T]]", list[type_])  # type: ignore[valid-type]  # known at run time only
    try:
        return _decoder(page).decode(response.content), []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raw_entries = decode(response, _RAW_ENTRIES)
    decoder = _decoder(type_)
    entries: list[T] = []
    malformed: list[MalformedEntryWarning] = []
    for raw in raw_entries:
        try:
            entries.append(decoder.decode(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            malformed.append(_describe_malformed(response, raw, exc))
    return entries, malformed


def warn_malformed(malformed: Iterable[MalformedEntryWarning]) -> None:
    """Issue the warnings of entries that were left out."""
    for each in malformed:
        warnings.warn(each, stacklevel=3)


def _describe_malformed(
    response: RawResponse, raw: msgspec.Raw, problem: Exception
) -> MalformedEntryWarning:
    field = field_of(problem)
    reason = str(problem) if field is None else str(problem).partition(" - at `")[0]
    return MalformedEntryWarning(
        response.method,
        response.path,
        _identifier(raw),
        None if field is None or field == "$" else field.removeprefix("$").removeprefix("."),
        reason,
    )


def _identifier(raw: msgspec.Raw) -> int | None:
    try:
        found = _decoder(_Identified).decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    for each in (found.id, found.deployment_id):
        if isinstance(each, int) and not isinstance(each, bool):
            return each
    return None


class _Identified(msgspec.Struct, rename="camel"):
    """What identifies an entry of any listing."""

    id: object = None
    deployment_id: object = None


_RAW_ENTRIES = list[msgspec.Raw]


def http_date(headers: Mapping[str, str]) -> dt.datetime | None:
    """The server's time when it answered, rounded down to seconds; None if it sent none."""
    header = headers.get(_DATE)
    return None if header is None else _parse_date(header)


@functools.lru_cache(maxsize=16)
def _parse_date(header: str) -> dt.datetime | None:
    # The answers of a second have the same date, and a session may have dozens of them.
    try:
        date = email.utils.parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=dt.UTC) if date.tzinfo is None else date


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds until the server accepts requests again, by its own clock if it sends the time."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    return parse_retry_after(value, now=http_date(headers) or dt.datetime.now(dt.UTC))


def _decoder(type_: object) -> msgspec.json.Decoder[Any]:
    """Make a decoder, once for each type."""
    # A dictionary, because a union of types is hashable though its type does not say so.
    decoder = _DECODERS.get(type_)
    if decoder is None:
        decoder = _DECODERS[type_] = msgspec.json.Decoder(type_)
    return decoder


_DECODERS: dict[object, msgspec.json.Decoder[Any]] = {}


def parse_rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """Read the rate limit from the headers of an answer; None if they do not have it."""
    limit, remaining = headers.get(_LIMIT), headers.get(_REMAINING)
    if limit is None or remaining is None or len(limit) + len(remaining) > 2 * _MOST_DIGITS:
        return None
    return _rate_limit(limit, remaining)


@functools.lru_cache(maxsize=64)
def _rate_limit(limit: str, remaining: str) -> RateLimit | None:
    # Where the server counts no requests, each answer has the same numbers. Where it does, to keep
    # all of them would take as much memory as dozens of tails.
    limit_count, remaining_count = parse_count(limit), parse_count(remaining)
    if limit_count is None or remaining_count is None:
        return None
    return RateLimit(limit_count, remaining_count)


def parse_count(value: str | None) -> int | None:
    """Read a count from a header; None if it is not one."""
    if value is None or not (value.isascii() and value.isdecimal()):
        return None
    # No count has more digits, and larger numbers could not be calculated with.
    return int(value) if len(value) <= _MOST_DIGITS else None
