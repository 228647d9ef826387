"""What went wrong, in one line that says what to do, with the exit status; pure."""

from __future__ import annotations

import errno
import re
import ssl
from typing import NamedTuple, cast

from aioservices.errors import (
    APIError,
    AuthenticationError,
    ConnectionFailedError,
    MissingAPIKeyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    ServicesError,
)
from aioservices.terminal.sanitize import one_line

from .times import in_words

__all__ = ["FAILED", "INTERRUPTED", "MISUSED", "CommandError", "Explanation", "explain", "first_of"]

FAILED = 1
MISUSED = 2
INTERRUPTED = 130

# What can go wrong with a write, and not with anything else that the program does.
_WRITING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})

_THING = re.compile(r"services/(\d+)(?:/deployments/(\d+))?")


class CommandError(Exception):
    """A command cannot go on; the message says why, and what to do.

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
    """One line, and the exit status that goes with it."""

    text: str
    status: int


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
    error = first_of(error)
    match error:
        case CommandError():
            return Explanation(one_line(str(error)), error.status)
        case MissingAPIKeyError():
            text = "no API key: set the environment variable CIVIS_API_KEY to yours"
            return Explanation(text, MISUSED)
        case _:
            return Explanation(one_line(_said(error, url)), FAILED)


def first_of(error: BaseException) -> BaseException:
    """Give the first error of a group, or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def _said(error: BaseException, url: str) -> str:
    match error:
        case AuthenticationError():
            return f"{url} refuses the API key: check CIVIS_API_KEY, the key may have expired"
        case PermissionDeniedError():
            return f"the API key's owner may not do this: {_reason(error)}"
        case NotFoundError():
            return f"there is no {_thing(error.path)} at {url}, or the API key may not see it"
        case RateLimitedError(retry_after=None):
            return "the rate limit is reached: try again in some minutes"
        case RateLimitedError(retry_after=float() | int() as seconds):
            return f"the rate limit is reached: try again in {in_words(seconds)}"
        case ServerError():
            reason = f": {_reason(error)}" * bool(error.description or error.error)
            return f"{url} has trouble (status {error.status}{reason}): try again later"
        case APIError():
            return f"{url} refuses this ({error.method} {error.path}): {_reason(error)}"
        case RequestTimeoutError(sent=True):
            return f"{url} does not answer in time: try again, or raise --timeout"
        case ConnectionFailedError(sent=False) if (trouble := _tls_trouble(error)) is not None:
            return f"cannot reach {url}: {trouble}: check the URL, and what stands in between"
        case ConnectionFailedError(sent=False):
            return f"cannot reach {url}: check the network, and CIVIS_API_ENDPOINT or --url"
        case ConnectionFailedError():
            return f"the connection to {url} broke, again and again: try again later"
        case ResponseDecodeError():
            return f"{url} answers with something else than the API would: check the URL ({error})"
        case OSError(strerror=str(reason), filename=name) if name:
            return f"{name}: {reason}"
        case OSError(strerror=str(reason), errno=number) if number in _WRITING:
            return f"the output cannot be written: {reason}"
        case ServicesError():
            return str(error)
        case _:
            return f"this should not happen: {type(error).__name__}: {error}"


def _thing(path: str) -> str:
    match = _THING.match(path)
    if match is None:
        return "services API"
    service, deployment = match.groups()
    return f"deployment {deployment} of service {service}" if deployment else f"service {service}"


def _tls_trouble(error: BaseException) -> str | None:
    """Say what is wrong with TLS, if that is what an error comes of."""
    cause: BaseException | None = error
    said: str | None = None
    while cause is not None:  # the innermost knows best
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_message"):
            said = f"its certificate is refused ({cause.verify_message})"
        elif isinstance(cause, ssl.SSLError):
            said = f"no TLS connection comes about ({getattr(cause, 'reason', None) or cause})"
        cause = cause.__cause__ or cause.__context__
    return said


def _reason(error: APIError) -> str:
    return error.description or error.error or f"status {error.status}"
