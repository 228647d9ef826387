"""The one map from aiohttp's exceptions to ours: why there was no answer."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable, Iterator

import aiohttp
from aiohttp.http_exceptions import BadHttpMessage, ContentEncodingError, LineTooLong

from aioservices.errors import (
    ConnectionFailedError,
    RequestTimeoutError,
    single_line,
)

from .attempt import Call

__all__ = [
    "PROBLEMS",
    "ProxyAddress",
    "connection_error",
    "explain",
    "system_reason",
    "timeout_error",
]

PROBLEMS = (aiohttp.ClientError, OSError, UnicodeError)
"""What aiohttp raises where there is no answer. UnicodeError: a host name cannot be looked up."""

_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientSSLError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
    UnicodeError,
)
_LONGEST_TEXT = 300


class ProxyAddress:
    """The proxy that calls go through.

    Attributes
    ----------
    variable : str
        The environment variable that names it.
    host : str or None
    port : int or None
    """

    __slots__ = ("host", "port", "variable")

    def __init__(self, variable: str, host: str | None, port: int | None) -> None:
        self.variable = variable
        self.host = host
        self.port = port

    def __str__(self) -> str:
        return f"the proxy {self.host}:{self.port} (from {self.variable})"


def timeout_error(call: Call) -> RequestTimeoutError:
    """Make the error of an attempt whose time is over."""
    return RequestTimeoutError(
        f"no answer within {call.options.timeout:g} s",
        method=call.method,
        path=call.path,
        attempts=call.attempts,
        sent=True,
    )


def connection_error(
    call: Call, problem: Exception, *, proxy: ProxyAddress | None, secrets: Iterable[str]
) -> ConnectionFailedError:
    """Convert the reason why there was no answer.

    Parameters
    ----------
    call : Call
    problem : Exception
        One of `PROBLEMS`.
    proxy : ProxyAddress or None
        The proxy that was used.
    secrets : iterable of str
        What must not be repeated.

    Returns
    -------
    ConnectionFailedError
        Its cause is the error of the operating system, if there was one. It has no traceback,
        because frames of aiohttp contain the request.
    """
    from .redaction import redact  # seldom needed, and takes time to load

    sent = not isinstance(problem, _NEVER_SENT)
    is_proxys = _is_proxys(problem, proxy)
    if isinstance(problem, aiohttp.ConnectionTimeoutError):
        reason, is_permanent = "could not connect in time", False
        if proxy is not None:  # which of the two did not answer is not known
            reason = f"{reason} through {proxy}"
    else:
        reason, is_permanent = _explain(problem, proxy if is_proxys else None)
    # Cut only when it is redacted: a part of a secret would not be found.
    text = single_line(redact(reason, secrets) or type(problem).__name__, _LONGEST_TEXT)
    cls = RequestTimeoutError if isinstance(problem, TimeoutError) else ConnectionFailedError
    error = cls(text, method=call.method, path=call.path, attempts=call.attempts, sent=sent)
    error.is_permanent = is_permanent
    if is_proxys and proxy is not None:
        error.proxy = proxy.variable
    error.__cause__ = _bare_cause(problem)
    return error


def explain(problem: Exception) -> str:
    """Describe why a request got no answer."""
    return _explain(problem, None)[0]


def _explain(problem: Exception, proxy: ProxyAddress | None) -> tuple[str, bool]:
    """Return the reason of a failure, and whether it is permanent."""
    match problem:
        case aiohttp.ClientHttpProxyError():
            refused = 400 <= problem.status < 500
            return f"{proxy or 'the proxy'} refused with status {problem.status}", refused
        case aiohttp.InvalidURL() | UnicodeError():
            return "the URL cannot be used: its host is not a name that can be looked up", True
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {problem.host} is refused: {_said(problem)}", True
        case aiohttp.ClientConnectorError():
            host = problem.host if ":" not in problem.host else f"[{problem.host}]"
            where = str(proxy) if proxy else f"{host}:{problem.port}"
            return f"cannot connect to {where}: {_said(problem)}", isinstance(
                problem, aiohttp.ClientSSLError
            )
        case aiohttp.ClientResponseError():  # its text may repeat what was received
            return _explain_malformed(problem)
        case _:
            return f"the connection broke: {str(problem) or type(problem).__name__}", False


def _explain_malformed(problem: aiohttp.ClientResponseError) -> tuple[str, bool]:
    for each in _chain(problem):
        if isinstance(each, LineTooLong):
            return "a header of the answer is too long to be read", True
        if isinstance(each, ContentEncodingError):
            return "the answer is compressed in a way that was not asked for", True
        if isinstance(each, BadHttpMessage) and "Too many headers" in each.message:
            return "the answer has too many headers to be read", True
    return "the connection broke: what was received is not valid HTTP", False


def _said(problem: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError) -> str:
    inner = _bare_cause(problem)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    said = system_reason(inner) if isinstance(inner, OSError) else str(inner or problem)
    return said.strip() or _kind(inner or problem)


def system_reason(error: OSError) -> str:
    """Return the operating system's message, which asyncio may have replaced by its own."""
    if error.errno and not isinstance(error, socket.gaierror | ssl.SSLError):
        return os.strerror(error.errno)
    return str(error.strerror or error)


def _kind(error: BaseException) -> str:
    return type(error).__name__


def _is_proxys(problem: Exception, proxy: ProxyAddress | None) -> bool:
    if isinstance(problem, aiohttp.ClientHttpProxyError | aiohttp.ClientProxyConnectionError):
        return True
    if proxy is None or not isinstance(problem, aiohttp.ClientConnectorError):
        return False
    return (problem.host, problem.port) == (proxy.host, proxy.port)


def _bare_cause(problem: Exception) -> BaseException | None:
    """The error of the operating system or of TLS, without the frames it went through."""
    match problem:
        case aiohttp.ClientConnectorCertificateError():
            cause: BaseException = problem.certificate_error
        case aiohttp.ClientConnectorError():
            cause = problem.os_error
        case OSError():
            cause = problem
        case _:  # another one may repeat what the server sent, which may be the key
            return None
    cause.__cause__ = cause.__context__ = None
    return cause.with_traceback(None)


def _chain(problem: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = problem
    while each is not None:
        yield each
        each = each.__cause__ or each.__context__
