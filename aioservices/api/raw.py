"""The endpoints with their answers as they came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, ParamSpec, cast

from aioservices.http.response import RawResponse
from aioservices.http.url import QueryValue

from .calls import Calls
from .endpoints import Endpoints

__all__ = ["RawServices"]

P = ParamSpec("P")


class _Undecoded(Calls):
    """Calls that return the answer as it came, whatever the endpoints are annotated with.

    They hand on what is to be awaited: to await it here, too, would take time and memory.
    """

    __slots__ = ()

    def _call(
        self,
        answer: object,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        body: bytes | None = None,
    ) -> Any:
        return self._transport.send(method, path, params=params, body=body, options=self._options)

    def _call_list(
        self,
        item: object,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
    ) -> Any:
        return self._transport.send(method, path, params=params, options=self._options)

    def _act(self, method: str, path: str) -> Any:
        return self._transport.send(method, path, options=self._options)


def _raw(
    method: Callable[Concatenate[Endpoints, P], Awaitable[object]],
) -> Callable[Concatenate[_Undecoded, P], Awaitable[RawResponse]]:
    """Take an endpoint method as it is: it uses nothing but `Calls`, which differ here."""
    return cast("Callable[Concatenate[_Undecoded, P], Awaitable[RawResponse]]", method)


class RawServices(_Undecoded):
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

    __slots__ = ()

    list = _raw(Endpoints.list)
    post = _raw(Endpoints.post)
    get = _raw(Endpoints.get)
    put = _raw(Endpoints.put)
    patch = _raw(Endpoints.patch)
    post_clone = _raw(Endpoints.post_clone)
    put_archive = _raw(Endpoints.put_archive)
    put_transfer = _raw(Endpoints.put_transfer)
    list_dependencies = _raw(Endpoints.list_dependencies)
    list_deployments = _raw(Endpoints.list_deployments)
    post_deployments = _raw(Endpoints.post_deployments)
    get_deployments = _raw(Endpoints.get_deployments)
    delete_deployments = _raw(Endpoints.delete_deployments)
    post_redeploy = _raw(Endpoints.post_redeploy)
    list_deployments_logs = _raw(Endpoints.list_deployments_logs)
    list_shares = _raw(Endpoints.list_shares)
    put_shares_users = _raw(Endpoints.put_shares_users)
    delete_shares_users = _raw(Endpoints.delete_shares_users)
    put_shares_groups = _raw(Endpoints.put_shares_groups)
    delete_shares_groups = _raw(Endpoints.delete_shares_groups)
    list_projects = _raw(Endpoints.list_projects)
    put_projects = _raw(Endpoints.put_projects)
    delete_projects = _raw(Endpoints.delete_projects)
    post_tokens = _raw(Endpoints.post_tokens)
    list_tokens = _raw(Endpoints.list_tokens)
    delete_tokens = _raw(Endpoints.delete_tokens)
