"""How an endpoint is called: its path, the request, and the answer as a typed value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Literal, TypeAlias, TypeVar

from aioservices.http.options import Options
from aioservices.http.response import decode, decode_lenient, warn_malformed
from aioservices.http.transport import Transport
from aioservices.http.url import QueryValue
from aioservices.validation import validate_int, validate_optional_int, validate_type

from .pagination import DEFAULT_PAGE_SIZE, Page, Paginator, read_page

__all__ = ["Calls", "Direction", "deployment_path", "service_path"]

T = TypeVar("T")
Direction: TypeAlias = Literal["asc", "desc"]


class Calls:
    """The calls that endpoints are made of.

    Parameters
    ----------
    transport : Transport
        The connections to use.
    options : Options
        Those of every call.
    """

    __slots__ = ("_options", "_transport")

    def __init__(self, transport: Transport, options: Options) -> None:
        self._transport = transport
        self._options = options

    async def _call(
        self,
        answer: type[T],
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        body: bytes | None = None,
    ) -> T:
        """Make a call that is answered by a value."""
        response = await self._transport.send(
            method, path, params=params, body=body, options=self._options
        )
        return decode(response, answer)

    async def _call_list(
        self,
        item: type[T],
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
    ) -> list[T]:
        """Make a call that is answered by an array; a malformed entry costs that entry."""
        response = await self._transport.send(method, path, params=params, options=self._options)
        entries, malformed = decode_lenient(response, item)
        warn_malformed(malformed)
        return entries

    async def _act(self, method: str, path: str) -> None:
        """Make a call that is answered by nothing."""
        await self._transport.send(method, path, options=self._options)

    def _pages(
        self,
        item: type[T],
        key: Callable[[T], Hashable],
        path: str,
        filters: Mapping[str, QueryValue],
        limit: int | None,
        page_num: int | None,
        iterator: bool | None,
    ) -> Paginator[T]:
        """Prepare the calls that are answered by pages of a listing."""
        if validate_type(iterator, bool | None, "iterator"):
            limit = page_num = None
        limit = validate_optional_int(limit, "limit", least=1)
        page_num = validate_optional_int(page_num, "page_num", least=1)
        size = DEFAULT_PAGE_SIZE if limit is None else min(limit, DEFAULT_PAGE_SIZE)

        def one() -> Awaitable[list[T]]:
            params = {**filters, "limit": limit, "page_num": page_num}
            return self._call_list(item, "GET", path, params=params)

        async def fetch(number: int) -> Page[T]:
            params = {**filters, "limit": size, "page_num": number}
            response = await self._transport.send("GET", path, params=params, options=self._options)
            return read_page(response, item)

        return Paginator(one, fetch, key=key, first=page_num or 1, size=size)


def service_path(id: int, rest: str = "", name: str = "id") -> str:
    """Write the path of a service, or of something that belongs to it, such as `/tokens`.

    Parameters
    ----------
    id : int
        The service.
    rest : str, optional
        What follows.
    name : str, default "id"
        The name of the parameter that `id` is, for the message if it is not an identifier.
    """
    return f"services/{validate_int(id, name)}{rest}"


def deployment_path(service_id: int, deployment_id: int, name: str = "service_id") -> str:
    """Write the path of a deployment; `name` is that of the parameter `service_id`."""
    deployments = service_path(service_id, "/deployments", name)
    return f"{deployments}/{validate_int(deployment_id, 'deployment_id')}"
