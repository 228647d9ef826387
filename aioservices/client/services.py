"""The class `Services`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from aioservices.api.models import ServiceSummary
from aioservices.api.pagination import Paginator
from aioservices.api.states import ArchivalStatus, StatusFilter
from aioservices.http.connections import Connections
from aioservices.http.options import Options
from aioservices.http.retry import RetryPolicy
from aioservices.http.secret import SecretStr
from aioservices.http.transport import Transport
from aioservices.validation import validate_int, validate_type

from .deploys import DeployCalls

# Imported where it is needed, so that programs which make single calls start sooner.
if TYPE_CHECKING:
    from aioservices.api.search import ServiceSearch

__all__ = ["Services"]

_DEFAULTS = Options()


class Services(DeployCalls):
    """A session with the services API.

    Use it in `async with`, or close it with :meth:`aclose`. One session serves any number of
    tasks of one event loop at once; they share its connections, its rate limit and the pause
    after a 429.

    Parameters
    ----------
    api_key : str, optional
        The API key. Default: the environment variable `CIVIS_API_KEY`.
    base_url : str, optional
        Address of the API. Default: the environment variable `CIVIS_API_ENDPOINT`, else
        `https://api.civisanalytics.com/`.
    timeout : float or None, default 60.0
        Seconds that an attempt may take, from connecting to the last byte. None for no limit.
    retry : RetryPolicy, optional
        How often, and for how long, a failed call is retried where that is safe.
    max_connections : int, default 100
        The most requests in progress at once; others wait for their turn.
    user_agent : str, optional
        Prefixed to the library's own name in `User-Agent`.
    http : aiohttp.ClientSession, optional
        The caller's own session to use, never closed here.
    max_body_size : int, default 268435456
        Size limit of an answer, in bytes.
    allow_http : bool, default False
        Whether the API key may be sent unencrypted to another machine.
    trust_env : bool, default True
        Whether to use the proxy of `HTTPS_PROXY` and similar variables. Your own session,
        passed as `http`, uses its own setting.

    Raises
    ------
    MissingAPIKeyError
        If there is no API key.
    ValueError
        If an argument is invalid, or the URL is not encrypted.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float | None = _DEFAULTS.timeout,
        retry: RetryPolicy = _DEFAULTS.retry,
        max_connections: int = 100,
        user_agent: str | None = None,
        http: aiohttp.ClientSession | None = None,
        max_body_size: int = _DEFAULTS.max_body_size,
        allow_http: bool = False,
        trust_env: bool = True,
    ) -> None:
        # So that no traceback with local variables shows the key, be it in the wrong place.
        if isinstance(api_key, str):
            api_key = SecretStr(api_key)
        if isinstance(base_url, str):
            base_url = SecretStr(base_url)
        options = Options(timeout=timeout, retry=retry, max_body_size=max_body_size)
        connections = Connections(
            api_key,
            base_url=base_url,
            max_connections=max_connections,
            user_agent=user_agent,
            http=http,
            allow_http=allow_http,
            trust_env=trust_env,
        )
        super().__init__(Transport(connections), options)

    def find(
        self,
        *terms: str | int,
        hidden: bool | None = None,
        archived: ArchivalStatus | None = None,
        author: str | None = None,
        status: StatusFilter | None = None,
    ) -> ServiceSearch:
        """Find services by name, pattern or id: awaited as a list, or iterated with `async for`.

        ``GET /services``, every page

        Parameters
        ----------
        *terms : str or int
            A name; a pattern with `*`, `?` or `[...]`; or an id. Case is ignored, unless several
            names differ only in case and one of them matches exactly.
        hidden, archived, author, status
            Which services to search, as for `list`. Default: those that are listed by default.

        Returns
        -------
        ServiceSearch
            The services in the order of the terms, each once. A term without a match adds none.

        Raises
        ------
        TypeError, ValueError
            At once if a term is neither a string nor an int, or there are no terms.

        Examples
        --------
        ::

            print(await services.find("dashboard"))
            async for service in services.find("service-*", status="running"):
                print(service.id, service.name)
        """
        from aioservices.api.search import ServiceSearch

        if not terms:
            raise ValueError("find needs a name, a pattern or an id to search for")
        texts = tuple(
            str(validate_int(term, f"terms[{number}]"))
            if isinstance(term, int)
            else validate_type(term, str, f"terms[{number}]")
            for number, term in enumerate(terms)
        )

        def listing() -> Paginator[ServiceSummary]:
            return self.list(hidden=hidden, archived=archived, author=author, status=status)

        return ServiceSearch(listing, texts)
