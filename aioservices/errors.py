"""Every exception of the library."""

from __future__ import annotations

import http
from collections.abc import Mapping
from typing import Any

__all__ = [
    "SESSION_WIDE",
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "ConnectionFailedError",
    "CursorFileError",
    "DeploymentFailedError",
    "DeploymentTimeoutError",
    "MalformedEntryWarning",
    "MissingAPIKeyError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitedError",
    "RequestError",
    "RequestTimeoutError",
    "ResponseDecodeError",
    "ResponseTooLargeError",
    "ServerError",
    "ServicesError",
    "SessionClosedError",
    "SessionLoopError",
    "UnprocessableError",
    "single_line",
]

_LONGEST_TEXT = 1000


class ServicesError(Exception):
    """Base class of all errors of this library."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which keyword-only constructors refuse.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    cls: type[ServicesError], args: tuple[object, ...], state: dict[str, object]
) -> ServicesError:
    error = cls.__new__(cls, *args)
    error.args = args  # a class that also inherits from OSError leaves this to __init__
    error.__dict__.update(state)
    return error


class MalformedEntryWarning(UserWarning):
    """An entry of a listing is not as documented, and was left out.

    Attributes
    ----------
    method, path : str
        The call, as in ``GET`` and ``services``.
    item_id : int or None
        Identifier of the entry, if it can be read.
    field : str or None
        The invalid place in the entry, as in ``currentDeployment.createdAt``; None for the
        whole entry.
    reason : str
        What is wrong with it.
    """

    def __init__(
        self, method: str, path: str, item_id: int | None, field: str | None, reason: str
    ) -> None:
        self.method = method
        self.path = path
        self.item_id = item_id
        self.field = field
        self.reason = reason
        super().__init__(method, path, item_id, field, reason)

    def __str__(self) -> str:
        which = "an entry" if self.item_id is None else f"the entry with the id {self.item_id}"
        where = "" if self.field is None else f"{self.field}: "
        return f"{self.method} {self.path}: {which} is left out: {where}{self.reason}"


class MissingAPIKeyError(ServicesError):
    """No API key was given, neither as an argument nor as ``CIVIS_API_KEY``."""


class SessionLoopError(ServicesError):
    """The session is in use on another event loop, to which its connections belong."""

    def __init__(
        self,
        text: str = "the session belongs to another event loop: make a Services for each of them",
    ) -> None:
        super().__init__(text)


class SessionClosedError(ServicesError):
    """The session was closed before, or while, the call was made."""

    def __init__(self, text: str = "the session is closed: create a new Services") -> None:
        super().__init__(text)


class DeploymentFailedError(ServicesError):
    """A deployment ended, or was replaced, instead of running.

    Attributes
    ----------
    service_id, deployment_id : int
    state : str or None
        The state in which it was found.
    state_message : str or None
        The platform's description of that state.
    logs : tuple of str
        The last lines of its log, oldest first.
    """

    def __init__(
        self,
        *,
        service_id: int,
        deployment_id: int,
        state: str | None,
        state_message: str | None = None,
        logs: tuple[str, ...] = (),
    ) -> None:
        self.service_id = service_id
        self.deployment_id = deployment_id
        self.state = state
        self.state_message = state_message
        self.logs = logs
        text = f"deployment {deployment_id} of service {service_id} is {state or 'in no state'}"
        super().__init__(f"{text}: {single_line(state_message)}" if state_message else text)


class DeploymentTimeoutError(ServicesError, TimeoutError):
    """A deployment was not running in time; it may still do so later.

    Attributes
    ----------
    service_id, deployment_id : int
    state : str or None
        The state in which it was last seen; None if it could not be seen.
    state_message : str or None
        The platform's description of that state.
    """

    def __init__(
        self,
        *,
        service_id: int,
        deployment_id: int,
        timeout: float,
        state: str | None,
        state_message: str | None = None,
    ) -> None:
        self.service_id = service_id
        self.deployment_id = deployment_id
        self.state = state
        self.state_message = state_message
        said = f": {single_line(state_message)}" if state_message else ""
        super().__init__(
            f"deployment {deployment_id} of service {service_id} is still "
            f"{state or 'in an unknown state'} after {timeout:g} s{said}"
        )


class CursorFileError(ServicesError):
    """A cursor cannot be read from, or written to, its file."""


class RequestError(ServicesError):
    """A call failed.

    Attributes
    ----------
    method, path : str
        The request, as in ``GET`` and ``services/42``.
    attempts : int
        How many times it was sent.
    reason : str
        What went wrong, without the request.
    sent : bool
        Whether the server may have received, and so acted on, the last attempt.
    """

    sent: bool = True

    def __init__(self, text: str, *, method: str, path: str, attempts: int) -> None:
        self.reason = text
        self.method = method
        self.path = path
        self.attempts = attempts
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"{method} {path}: {text} ({times})")


class ConnectionFailedError(RequestError):
    """No connection could be made, or it broke before the answer was complete.

    Attributes
    ----------
    proxy : str or None
        The environment variable, such as ``HTTPS_PROXY``, that names the proxy which could not be
        reached or refused to connect; None if the proxy did not cause the failure.
    is_permanent : bool
        Whether the same request would fail again in the same way; it was not retried then.
    """

    proxy: str | None = None
    is_permanent: bool = False

    def __init__(self, text: str, *, method: str, path: str, attempts: int, sent: bool) -> None:
        super().__init__(text, method=method, path=path, attempts=attempts)
        self.sent = sent


class RequestTimeoutError(ConnectionFailedError):
    """The answer was not complete within the timeout of an attempt."""


class APIError(RequestError):
    """The server answered with a status that is not a success.

    Attributes
    ----------
    status : int
    code : str, int or None
        ``code`` of the error body.
    error, description : str or None
        ``error`` and ``errorDescription`` of the error body.
    headers : Mapping of str to str
        The response headers; case of names is ignored.
    body : bytes
        The raw body, at most its first 64 KiB.
    """

    def __init__(
        self,
        *,
        status: int,
        method: str,
        path: str,
        attempts: int,
        code: str | int | None = None,
        error: str | None = None,
        description: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        self.status = status
        self.code = code
        self.error = error
        self.description = description
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.body = body
        said = description or error
        text = _status_text(status)
        if said:
            text = f"{text}: {single_line(said)}"
        super().__init__(text, method=method, path=path, attempts=attempts)


class BadRequestError(APIError):
    """400: the server could not understand the request."""


class AuthenticationError(APIError):
    """401: the API key is missing, wrong or expired."""


# Other calls of the session would fail, too, and retrying changes nothing.
SESSION_WIDE = (AuthenticationError, SessionClosedError, SessionLoopError)


class PermissionDeniedError(APIError):
    """403: the key's owner may not do this."""


class NotFoundError(APIError):
    """404: it does not exist, or the key's owner may not know that it does."""


class ConflictError(APIError):
    """409: the request conflicts with the current state."""


class UnprocessableError(APIError):
    """422: the request was understood, but a value in it was rejected."""


class RateLimitedError(APIError):
    """429: more requests than the rate limit allows.

    Attributes
    ----------
    retry_after : float or None
        Seconds after which the server accepts requests again, if it said so.
    """

    retry_after: float | None = None


class ServerError(APIError):
    """5xx: the server, or a proxy in front of it, failed."""


class ResponseDecodeError(RequestError):
    """The answer was successful, but its body is not as documented.

    Attributes
    ----------
    status : int
    field : str or None
        The place in the body, as in ``$[3].createdAt``.
    headers : Mapping of str to str
    body : bytes
        The raw body.
    """

    def __init__(
        self,
        text: str,
        *,
        method: str,
        path: str,
        attempts: int,
        status: int,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        self.status = status
        self.field = field
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.body = body
        super().__init__(
            f"{_status_text(status)}, but {text}", method=method, path=path, attempts=attempts
        )


class ResponseTooLargeError(ResponseDecodeError):
    """The body is larger than ``max_body_size``; what was read of it is discarded."""


def single_line(text: str, most: int = _LONGEST_TEXT) -> str:
    """Make a server's text fit for a message: one short line without control characters."""
    text = " ".join(text.split())
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _status_text(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
