"""An answer as it came, and its decoding into a typed value."""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar, cast

import msgspec
from multidict import CIMultiDict

from aioservices.errors import decode_error

from .ratelimit import RateLimit

__all__ = ["RawResponse", "decode", "http_date"]

T = TypeVar("T")


class RawResponse:
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
    rate_limit : RateLimit or None
        What this answer says of the rate limit.
    """

    __slots__ = (
        "attempts",
        "content",
        "elapsed",
        "headers",
        "method",
        "path",
        "rate_limit",
        "status",
    )

    def __init__(
        self,
        *,
        status: int,
        headers: Mapping[str, str],
        content: bytes,
        method: str,
        path: str,
        attempts: int,
        elapsed: float,
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self.method = method
        self.path = path
        self.attempts = attempts
        self.elapsed = elapsed
        self.rate_limit = _rate_limit(headers)

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

    def __getstate__(self) -> tuple[None, dict[str, object]]:
        # The headers that aiohttp gives cannot be pickled or copied.
        state = {name: getattr(self, name) for name in self.__slots__}
        return None, {**state, "headers": CIMultiDict(self.headers)}

    def __repr__(self) -> str:
        return f"<RawResponse {self.status} {self.method} {self.path} {len(self.content)} bytes>"


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
        value: T = _decoder(cast("Hashable", type_)).decode(response.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise decode_error(
            exc,
            status=response.status,
            method=response.method,
            path=response.path,
            attempts=response.attempts,
            headers=CIMultiDict(response.headers),  # the proxy that aiohttp gives cannot be pickled
            body=response.content,
        ) from exc
    return value


def http_date(headers: Mapping[str, str]) -> dt.datetime | None:
    """The server's time when it answered, to the second below; None if it does not tell."""
    try:
        date = email.utils.parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError, OverflowError):
        return None
    return date.replace(tzinfo=dt.UTC) if date.tzinfo is None else date


@functools.cache
def _decoder(type_: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def _rate_limit(headers: Mapping[str, Any]) -> RateLimit | None:
    try:
        return RateLimit(int(headers["X-RateLimit-Limit"]), int(headers["X-RateLimit-Remaining"]))
    except (KeyError, ValueError):
        return None
