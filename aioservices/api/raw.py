"""The endpoints with their answers as they came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, cast

from aioservices.http.options import Options
from aioservices.http.response import RawResponse
from aioservices.http.transport import Transport
from aioservices.http.url import QueryValue

from .endpoints import Endpoints

__all__ = ["RawServices"]

P = ParamSpec("P")


class RawServices:
    """Every endpoint method of a session, returning a `RawResponse`.

    The parameters are those of the typed methods. `list` and `list_deployments` make one call,
    for one page.

    Parameters
    ----------
    transport : Transport
        The connections to use.
    options : Options
        Those of every call.
    """

    def __init__(self, transport: Transport, options: Options) -> None:
        endpoints = _Undecoded(transport, options)
        self.list = _raw(endpoints.list)
        self.post = _raw(endpoints.post)
        self.get = _raw(endpoints.get)
        self.put = _raw(endpoints.put)
        self.patch = _raw(endpoints.patch)
        self.post_clone = _raw(endpoints.post_clone)
        self.put_archive = _raw(endpoints.put_archive)
        self.put_transfer = _raw(endpoints.put_transfer)
        self.list_dependencies = _raw(endpoints.list_dependencies)
        self.list_deployments = _raw(endpoints.list_deployments)
        self.post_deployments = _raw(endpoints.post_deployments)
        self.get_deployments = _raw(endpoints.get_deployments)
        self.delete_deployments = _raw(endpoints.delete_deployments)
        self.post_redeploy = _raw(endpoints.post_redeploy)
        self.list_deployments_logs = _raw(endpoints.list_deployments_logs)
        self.list_shares = _raw(endpoints.list_shares)
        self.put_shares_users = _raw(endpoints.put_shares_users)
        self.delete_shares_users = _raw(endpoints.delete_shares_users)
        self.put_shares_groups = _raw(endpoints.put_shares_groups)
        self.delete_shares_groups = _raw(endpoints.delete_shares_groups)
        self.list_projects = _raw(endpoints.list_projects)
        self.put_projects = _raw(endpoints.put_projects)
        self.delete_projects = _raw(endpoints.delete_projects)
        self.post_tokens = _raw(endpoints.post_tokens)
        self.list_tokens = _raw(endpoints.list_tokens)
        self.delete_tokens = _raw(endpoints.delete_tokens)


class _Undecoded(Endpoints):
    """Endpoints whose methods return what `_raw` says, in spite of their annotations."""

    async def _call(
        self,
        answer: object,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        body: bytes | None = None,
    ) -> Any:
        return await self._transport.send(
            method, path, params=params, body=body, options=self._options
        )

    async def _call_list(
        self,
        item: object,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
    ) -> Any:
        return await self._transport.send(method, path, params=params, options=self._options)

    async def _act(self, method: str, path: str) -> Any:
        return await self._transport.send(method, path, options=self._options)


def _raw(method: Callable[P, Awaitable[object]]) -> Callable[P, Awaitable[RawResponse]]:
    return cast("Callable[P, Awaitable[RawResponse]]", method)
