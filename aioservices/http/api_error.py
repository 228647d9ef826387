"""The error that an answer with an error status stands for; pure."""

from __future__ import annotations

import contextlib
import json
import math
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import msgspec
from multidict import CIMultiDict

from aioservices.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnprocessableError,
)

from .redaction import redact, without_partial
from .response import RawResponse, describe_body, retry_after_of

__all__ = ["api_error"]

_LONGEST_INTEGER = 19  # digits that fit into 64 bits
_BY_STATUS: Mapping[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableError,
    429: RateLimitedError,
}


def api_error(response: RawResponse, *, secrets: Iterable[str] = ()) -> APIError:
    """Make the error for an answer.

    Parameters
    ----------
    response : RawResponse
        With a status of 300 or more.
    secrets : iterable of str
        What the error must not repeat, even if the server does.

    Returns
    -------
    APIError
        Of the subclass that belongs to the status.
    """
    secrets = tuple(secrets)
    status = response.status
    said = _read_error_body(response.content, secrets)
    if said is None:
        said = {} if status < 400 else {"errorDescription": describe_body(response)}
    description = said.get("errorDescription")
    if description is None:
        description = said.get("message")  # as gateways in front of the API write it
    if status < 400:
        parts = (_text(description, secrets), _explain_redirect(response.headers))
        description = "; ".join(filter(None, parts))
    cls = _BY_STATUS.get(status, ServerError if status >= 500 else APIError)
    error = cls(
        status=status,
        method=response.method,
        path=response.path,
        attempts=response.attempts,
        code=_code(said.get("code"), secrets),
        error=_text(said.get("error"), secrets),
        description=_text(description, secrets),
        headers=CIMultiDict(response.headers),  # the proxy that aiohttp gives cannot be pickled
        body=response.content,
    )
    if isinstance(error, RateLimitedError):
        error.retry_after = retry_after_of(response.headers)
    return error


def _explain_redirect(headers: Mapping[str, str]) -> str:
    """Describe where a redirect that was not followed points to, and what to do."""
    location = headers.get("Location", "")
    try:
        host = urllib.parse.urlsplit(location).hostname
    except ValueError:
        host = None
    where = "a redirect"
    if host is not None:
        # As it is written there, because a secret is only found as it is written.
        begin = location.lower().rindex(host)
        where = f"a redirect to {location[begin : begin + len(host)]}"
    return (
        f"{where} that is not followed, as it is not safe or one too many: "
        "check base_url or CIVIS_API_ENDPOINT, and set it to the API's new address if it has one"
    )


def _read_error_body(body: bytes, secrets: tuple[str, ...]) -> dict[str, object] | None:
    """Read the members of an error's body; None if it is not a JSON object."""
    for reading in _readings(body, secrets):
        with contextlib.suppress(msgspec.MsgspecError, ValueError, RecursionError):
            return msgspec.json.decode(reading, type=dict[str, object]) or None
    return None


def _readings(body: bytes, secrets: tuple[str, ...]) -> Iterator[bytes | str]:
    """Yield what a body may mean: as it is, then repaired, then completed where it was cut."""
    yield body
    text = body.decode(errors="replace")
    if text.lstrip()[:1] != "{":
        return
    for reading in (text, *_completions(without_partial(text, secrets))):
        with contextlib.suppress(ValueError, RecursionError):
            yield _repair_json(reading)


def _completions(text: str) -> Iterator[str]:
    """Complete JSON that was cut: where it ends, or else behind its last whole member."""
    open_brackets: list[str] = []
    in_string = is_escaped = False
    escape = len(text)  # where the last one begins
    last_member = ""
    for place, character in enumerate(text):
        if in_string:
            in_string = is_escaped or character != '"'
            is_escaped = character == "\\" and not is_escaped
            escape = place if is_escaped else escape
        elif character == '"':
            in_string = True
        elif character in "{[":
            open_brackets.append("}" if character == "{" else "]")
        elif character in "}]":
            del open_brackets[-1:]
        elif character == ",":
            last_member = text[:place] + "".join(reversed(open_brackets))
    closing = "".join(reversed(open_brackets))
    if in_string:
        is_cut = is_escaped or (text[escape + 1 : escape + 2] == "u" and len(text) < escape + 6)
        yield f'{text[:escape] if is_cut else text}…"{closing}'
    else:
        yield text + closing
    yield last_member


def _repair_json(text: str) -> str:
    """Replace invalid parts of JSON, so that the rest of an explanation can be read.

    These are bytes and surrogates that are not text, and numbers that are out of range.

    Raises
    ------
    ValueError
        If it is not JSON even so.
    """

    def integer(text: str) -> int | str:
        return int(text) if len(text) < _LONGEST_INTEGER else text

    def number(text: str) -> float | str:
        return value if math.isfinite(value := float(text)) else text

    said: object = json.loads(text, parse_int=integer, parse_float=number, parse_constant=str)
    repaired = json.dumps(said, ensure_ascii=False)
    return repaired.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(value: object, secrets: tuple[str, ...]) -> str | None:
    """Show a member of an error's body: a text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return redact(value, secrets)
    # First inside, where no quotation mark is escaped; then numbers.
    shown = msgspec.json.encode(_redact_inside(value, secrets)).decode()
    return redact(shown, secrets)


def _redact_inside(value: object, secrets: tuple[str, ...]) -> object:
    match value:
        case str():
            return redact(value, secrets)
        case list():
            return [_redact_inside(each, secrets) for each in cast("list[object]", value)]
        case dict():
            members = cast("dict[str, object]", value).items()
            return {redact(name, secrets): _redact_inside(each, secrets) for name, each in members}
        case _:
            return value


def _code(value: object, secrets: tuple[str, ...]) -> str | int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and str(value) not in secrets:
        return value
    return _text(value, secrets)
