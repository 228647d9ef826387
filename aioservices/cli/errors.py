"""Errors explained in one line that says what to do, with the exit status; pure."""

from __future__ import annotations

import errno
import re
import ssl
from typing import NamedTuple

from aioservices.concurrency import first_error
from aioservices.errors import (
    APIError,
    AuthenticationError,
    ConnectionFailedError,
    CursorFileError,
    MissingAPIKeyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestError,
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    ServicesError,
)
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import format_duration

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "USAGE_ERROR",
    "CommandError",
    "Explanation",
    "explain",
    "is_output_error",
]

FAILED = 1
USAGE_ERROR = 2
INTERRUPTED = 130

# Errors of writes, and of nothing else that the program does.
_WRITING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})

_THING = re.compile(r"services/(\d+)(?:/(\w+)(?:/(users|groups))?/(\d+))?")


class CommandError(Exception):
    """A command cannot continue; the message says why, and what to do.

    Parameters
    ----------
    message : str
    status : int, default 1
        The exit status.
    """

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


class Explanation(NamedTuple):
    """What is wrong, what to do about it, and the exit status."""

    problem: str
    advice: str
    status: int

    @property
    def text(self) -> str:
        """All of it in one line."""
        return f"{self.problem}: {self.advice}" if self.advice else self.problem


def explain(error: BaseException, *, url: str) -> Explanation:
    """Explain an error.

    Parameters
    ----------
    error : BaseException
        A group of errors is explained by its first.
    url : str
        The base URL of the API.

    Returns
    -------
    Explanation
    """
    error = first_error(error)
    status = error.status if isinstance(error, CommandError) else FAILED
    if isinstance(error, MissingAPIKeyError | CursorFileError):
        status = USAGE_ERROR
    problem, advice = _explained(error, url)
    return Explanation(one_line(problem), one_line(advice), status)


def is_output_error(error: BaseException) -> bool:
    """Return whether the output cannot be written, which its owner reports."""
    error = first_error(error)
    return isinstance(error, BrokenPipeError) or (
        isinstance(error, OSError) and not error.filename and error.errno in _WRITING
    )


def _explained(error: BaseException, url: str) -> tuple[str, str]:
    """Return what is wrong, and what to do about it."""
    match error:
        case CommandError():
            return str(error), ""
        case MissingAPIKeyError():
            advice = "set the environment variable CIVIS_API_KEY (see aioservices help key)"
            return "no API key", advice
        case RequestError():
            return _explained_call(error, url)
        case OSError(strerror=str(reason), filename=name) if name:
            return f"{name}: {reason}", ""
        case ServicesError():
            return str(error), ""
        case _:
            return f"this should not happen: {type(error).__name__}: {error}", ""


def _explained_call(error: RequestError, url: str) -> tuple[str, str]:
    again = "try again later"
    match error:
        case AuthenticationError():
            return f"{url} refuses the API key", "check CIVIS_API_KEY, the key may have expired"
        case PermissionDeniedError():
            return f"the API key's owner may not do this: {_reason(error)}", ""
        case NotFoundError():
            return f"{_not_there(error.method, error.path, url)}, or the API key may not see it", ""
        case RateLimitedError(retry_after=None):
            return "the rate limit is reached", "try again in some minutes"
        case RateLimitedError(retry_after=float() | int() as seconds):
            return "the rate limit is reached", f"try again in {format_duration(seconds)}"
        case ServerError():
            reason = f": {_reason(error)}" * bool(error.description or error.error)
            return f"{url} has trouble (status {error.status}{reason})", again
        case APIError():
            return f"{url} refuses this ({error.method} {error.path}): {_reason(error)}", ""
        case ConnectionFailedError():
            return _explained_connection(error, url)
        case ResponseDecodeError():
            what = f"{url} answers with something that is not this API's"
            return what, f"check the URL ({error})"
        case _:
            return str(error), ""


def _explained_connection(error: ConnectionFailedError, url: str) -> tuple[str, str]:
    again = "try again later"
    if error.proxy is not None:
        what = f"cannot reach {url}: {error.reason}"
        return what, f"check {error.proxy}, or name the API's host in NO_PROXY"
    if error.is_permanent and _tls_problem(error) is None:
        return f"cannot use {url}: {error.reason}", "check the URL, and what stands in between"
    match error:
        case RequestTimeoutError(sent=True):
            return f"{url} does not answer in time", "try again, or raise --timeout"
        case ConnectionFailedError(sent=False) if (problem := _tls_problem(error)) is not None:
            return f"cannot reach {url}: {problem}", "check the URL, and what stands in between"
        case ConnectionFailedError(sent=False):
            return f"cannot reach {url}", "check the network, and CIVIS_API_ENDPOINT or --url"
        case _:
            times = ", again and again" if error.attempts > 1 else ""
            return f"the connection to {url} broke{times}", again


def _not_there(method: str, path: str, url: str) -> str:
    match = _THING.match(path)
    if match is None:
        thing = "services API" if path == "services" else one_line(path)
        return f"there is no {thing} at {url}"
    service, kind, holders, number = match.groups()
    if number is None:
        return f"there is no service {service} at {url}"
    thing = (holders or kind).removesuffix("s")
    if holders:
        return f"service {service} is not shared with {thing} {number} at {url}"
    if kind == "projects":  # these are not specific to the service
        if method == "DELETE":
            return f"service {service} is not in project {number} at {url}"
        return f"there is no project {number}, or no service {service}, at {url}"
    return f"there is no {thing} {number} of service {service} at {url}"


def _tls_problem(error: BaseException) -> str | None:
    """Return what is wrong with TLS, if that is the cause of an error."""
    cause: BaseException | None = error
    said: str | None = None
    while cause is not None:  # the innermost is the most specific
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_message"):
            said = f"its certificate is refused ({cause.verify_message})"
        elif isinstance(cause, ssl.SSLError):
            said = f"the TLS connection fails ({getattr(cause, 'reason', None) or cause})"
        cause = cause.__cause__ or cause.__context__
    return said


def _reason(error: APIError) -> str:
    return error.description or error.error or f"status {error.status}"
