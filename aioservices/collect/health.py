"""The daemon's health checks and metrics over HTTP.

``/livez`` answers as long as the event loop runs: restarting a daemon because its store or the
platform is unavailable would not help. ``/readyz`` answers 200 only while every key is valid, the
store accepts commits and no forwarder needs attention; otherwise 503 with one reason per line.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from aioservices.errors import ServicesError
from aioservices.fleet.collecting import CollectorStatus
from aioservices.http.failure import system_reason

from .access import Access
from .address import Address
from .metrics import Metrics

__all__ = ["ListenError", "health_routes", "serve"]


log = logging.getLogger("aioservices.collect.http")


class ListenError(ServicesError):
    """The address cannot be listened on."""


def _is_of_ours(record: logging.LogRecord) -> bool:
    """Return whether an error is ours, not that of a request that is not HTTP."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


log.addFilter(_is_of_ours)


def health_routes(
    status: Callable[[], CollectorStatus], metrics: Metrics
) -> list[web.AbstractRouteDef]:
    """Make the routes for health probes and Prometheus.

    Parameters
    ----------
    status : callable
        Returns the collector's current status.
    metrics : Metrics
    """

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_: web.Request) -> web.Response:
        now = status()
        if now.ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="".join(f"{reason}\n" for reason in now.reasons))

    async def render(request: web.Request) -> web.Response:
        body, content_type = metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    return [web.get("/livez", live), web.get("/readyz", ready), web.get("/metrics", render)]


@contextlib.asynccontextmanager
async def serve(
    address: Address, routes: Iterable[web.AbstractRouteDef]
) -> AsyncGenerator[Address, None]:
    """Serve routes inside the block.

    Parameters
    ----------
    address : Address
        Port 0 takes a free port.
    routes : iterable of route definitions

    Yields
    ------
    Address
        The actual address.

    Raises
    ------
    ListenError
        If the address is in use, or is not one of this machine.
    """
    access = Access(address)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        # Sites that are open in a browser on this machine must not be served.
        if (rejection := access.reject_cross_site(request.headers)) is not None:
            status, reason = rejection
            return web.Response(status=status, text=f"{reason}\n")
        return await handler(request)

    application = web.Application(middlewares=[guard])
    application.add_routes(routes)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, logger=log)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port)
        try:
            await site.start()
        except OSError as error:
            raise ListenError(f"cannot listen on {address}: {system_reason(error)}") from None
        port = runner.addresses[0][1]
        yield Address(address.host, port)
    finally:
        await runner.cleanup()
