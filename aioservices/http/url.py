"""Where requests go: base URL, path, query and redirects, each checked and encoded."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import re
import string
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence

import msgspec
import yarl

from aioservices.validation import validate_int, validate_number, validate_type

from .secret import SecretStr

__all__ = [
    "DEFAULT_BASE_URL",
    "BaseURL",
    "Proxy",
    "QueryValue",
    "Target",
    "encoded_query",
    "origin",
    "proxy_for",
    "redirect_target",
    "validate_base_url",
    "validate_path",
]

DEFAULT_BASE_URL = "https://api.civisanalytics.com/"

Scalar = str | int | float
_Scalars = (str, int, float)
_Numbers = (int, float)
_LEAST = -(2**63)
QueryValue = Scalar | Sequence[Scalar] | None

_SAFE = "[]:"
_UNQUOTED = frozenset(string.ascii_letters + string.digits + "_.-~" + _SAFE)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD = frozenset({307, 308})  # the others may turn a request into a GET
_KEPT_URLS = 1024  # those of a large fleet, in less than a megabyte


class Proxy(msgspec.Struct, frozen=True):
    """A proxy, and which environment variable names it."""

    variable: str
    url: SecretStr


class Target(msgspec.Struct, frozen=True):
    """Where a redirect leads, and whether that is still the API's own host."""

    url: str
    same_origin: bool


def validate_base_url(
    base_url: str | None, *, allow_http: bool = False, argument: str | None = None
) -> str:
    """Check a base URL, or take it from the environment.

    Parameters
    ----------
    base_url : str or None
        None: the environment variable ``CIVIS_API_ENDPOINT``, else the platform's address.
    allow_http : bool
        Whether plain http to another machine is accepted.
    argument : str, optional
        What the user calls it, for messages. Default: ``base_url``, with ``allow_http``.

    Returns
    -------
    str
        With one slash at the end.

    Raises
    ------
    ValueError
        If it is not an http or https URL, holds credentials, or would send the key unencrypted.
    """
    source = argument or "base_url"
    if base_url is None:
        source = "CIVIS_API_ENDPOINT"
        base_url = os.environ.get("CIVIS_API_ENDPOINT") or DEFAULT_BASE_URL
    base_url = SecretStr(validate_type(base_url, str, source))  # it may be a misplaced key
    alternative = "" if argument else ", or say allow_http=True"
    if problem := _problem_of(base_url, allow_http=allow_http, alternative=alternative):
        raise ValueError(f"{source} {problem}")
    return str(base_url).rstrip("/") + "/"


def validate_path(path: str) -> str:
    """Check a path that a caller composed, and quote it where necessary.

    Raises
    ------
    ValueError
        If it could lead anywhere but below the base URL.
    """
    relative = _encodable(path, "path").removeprefix("/")
    if "?" in relative or "#" in relative:
        raise ValueError("path must not hold a query or fragment: give the query as params")
    quoted = urllib.parse.quote(relative, safe="/:@!$&'()*+,;=~%")
    segments = urllib.parse.unquote(quoted).replace("\\", "/").split("/")
    if relative.startswith("/") or "://" in relative or {".", ".."} & set(segments):
        raise ValueError(
            f"path must be relative to the base URL, as in 'services/42', not {path!r}"
        )
    return quoted


def encoded_query(params: Mapping[str, QueryValue]) -> str:
    """Encode query parameters: None is left out, a sequence becomes ``name[]=1&name[]=2``."""
    if not isinstance(params, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"params must be a dictionary, not {type(params).__name__}")
    pairs: list[str] = []
    for name, value in params.items():
        if value is None:
            continue
        quoted = _quoted_name(name)
        if isinstance(value, _Scalars):
            pairs.append(f"{quoted}={_quoted(value, name)}")
        elif isinstance(value, list | tuple) and all(isinstance(each, _Scalars) for each in value):
            pairs += [f"{quoted}[]={_quoted(item, name)}" for item in value]
        else:
            raise TypeError(
                f"{name} must be a string, a number, a boolean, or a list of such, not {value!r}"
            )
    return "&".join(pairs)


class BaseURL:
    """The base URL of the API, split into parts.

    Joining the parts of a URL takes a third of the time of parsing it. The latest URLs without a
    query are kept, because the same services are asked about again and again, and a `yarl.URL` that
    has been used knows its parts.

    Parameters
    ----------
    base_url : str
        One that `validate_base_url` gave.
    """

    def __init__(self, base_url: str) -> None:
        url = self._url = yarl.URL(base_url)
        self._path = url.raw_path

        @functools.lru_cache(_KEPT_URLS)
        def without_query(path: str) -> yarl.URL:
            return url.with_path(url.raw_path + path, encoded=True)

        self._without_query = without_query

    def join(self, path: str, params: Mapping[str, QueryValue] | None) -> yarl.URL:
        """Make the URL of a request.

        Parameters
        ----------
        path : str
            Relative to the base URL, with nothing in it that needs quoting.
        params : mapping or None
            The query; None leaves a parameter out, a sequence repeats it as ``name[]``.
        """
        if not params:
            return self._without_query(path)
        return yarl.URL.build(
            scheme=self._url.scheme,
            authority=self._url.raw_authority,
            path=self._path + path,
            query_string=encoded_query(params),
            encoded=True,
        )


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL: what two URLs of one server share."""
    parts = urllib.parse.urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def redirect_target(
    method: str,
    url: str,
    status: int,
    location: str | None,
    *,
    base_url: str,
    has_body: bool = False,
) -> Target | None:
    """Return where a redirect may be followed to.

    Parameters
    ----------
    method, url : str
        The request that was redirected.
    status : int
    location : str or None
        The header ``Location``.
    base_url : str
        Of the API: only to its host may the key and a body go.
    has_body : bool
        Whether the request has one.

    Returns
    -------
    Target or None
        None if this is not a redirect, or not one to be followed: one that would
        change the method, take a body to another host, or give up encryption.
    """
    if status not in _REDIRECTS or not location:
        return None
    try:
        target = str(yarl.URL(urllib.parse.urldefrag(urllib.parse.urljoin(url, location)).url))
    except ValueError:
        return None
    parts = _split(target)
    if parts is None or "@" in parts.netloc:
        return None
    same_origin = origin(target) == origin(base_url)
    if has_body and not same_origin:
        return None
    if method not in {"GET", "HEAD"} and not (status in _KEEPS_METHOD and same_origin):
        return None
    if parts.scheme == "http" and urllib.parse.urlsplit(url).scheme == "https":
        return None
    return Target(target, same_origin)


def proxy_for(base_url: str) -> Proxy | None:
    """The proxy that the environment names for a URL, as in ``HTTPS_PROXY`` and ``NO_PROXY``.

    The proxy of another machine, whatever its kind, is not used for this one: it could not reach
    it, and would see an API key that must not leave this machine unencrypted.

    Raises
    ------
    ValueError
        If it is not an http or https proxy.
    """
    parts = urllib.parse.urlsplit(base_url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    # With credentials, perhaps, which no traceback is to show.
    proxies = {name: SecretStr(url) for name, url in urllib.request.getproxies().items()}
    name = parts.scheme if proxies.get(parts.scheme) else "all"
    given = proxies.get(name)
    if not given:
        return None
    proxy = given if "://" in given else SecretStr(f"http://{given}")
    if _is_loopback(parts.hostname or "") and not _is_loopback(_host_of(proxy)):
        return None
    variable = _variable_of(name, given)
    if _split(proxy) is None:
        raise ValueError(
            f"{variable} names no http or https proxy, and others are not supported: change it, or "
            "name the API's host in NO_PROXY"
        )
    return Proxy(variable, proxy)


def _host_of(url: str) -> str:
    """Return the host of a URL of any scheme."""
    try:
        return urllib.parse.urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _variable_of(name: str, value: str) -> str:
    """Return the name of the environment variable of a proxy, in the case in which it is set."""
    upper = f"{name}_proxy".upper()
    found = [each for each in os.environ if each.upper() == upper and os.environ[each] == value]
    # Where several differ in case only, those in lower case win.
    return max(found, key=lambda each: each.endswith("_proxy"), default=upper)


def _problem_of(base_url: str, *, allow_http: bool, alternative: str) -> str | None:
    """Describe what is wrong with a base URL, without repeating it."""
    parts = _split(base_url)
    if parts is None:
        return f"must be a URL such as {DEFAULT_BASE_URL}"
    if parts.username is not None or parts.password is not None:
        return "must not hold credentials: put the key into CIVIS_API_KEY"
    if "?" in base_url or "#" in base_url:
        return "must end with its path, without a query or fragment"
    host = parts.hostname or ""
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        return (
            f"is plain http, which would send the API key unencrypted to {host}: "
            f"use https{alternative}"
        )
    return None


def _split(url: str) -> urllib.parse.SplitResult | None:
    """Split an http or https URL; None if it is not one, or its host cannot be looked up."""
    if re.search(r"[\s\x00-\x1f\\]", url):
        return None
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
        host = yarl.URL(url).raw_host or ""
        host.encode("idna")  # what the lookup of a name does, with an error of its own
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and host else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@functools.lru_cache(maxsize=64, typed=True)
def _quoted_name(name: str) -> str:
    return _quoted(name, "the name of a parameter")


def _quoted(value: Scalar, name: str) -> str:
    """Format a value for a query."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) is int:  # as most are
        return str(validate_int(value, name, least=_LEAST))
    text = value if isinstance(value, str) else str(validate_number(value, _Numbers, name))
    # Most need no quoting, and to find that out by `quote_plus` takes six times as long.
    if _UNQUOTED.issuperset(text):
        return text
    return urllib.parse.quote_plus(_encodable(text, name), safe=_SAFE)


def _encodable(text: str, name: str) -> str:
    if not text.isascii():
        with contextlib.suppress(UnicodeEncodeError):
            text.encode()
            return text
        raise ValueError(
            f"{name} must be text that can be sent: it has a lone surrogate, as a file name or an "
            "environment variable that is not UTF-8 does"
        )
    return text
