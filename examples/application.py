"""An asyncio application that calls the API next to everything else it does.

It answers HTTP requests itself: `GET /` tells how every service is doing, fetched anew for each
visitor, while a task of its own keeps the newest lines of their logs.

With CIVIS_API_KEY set it serves your own services. Without, it starts an emulator.

    python examples/application.py [--seconds 5]
"""

import argparse
import asyncio
import os
from collections import defaultdict, deque
from contextlib import AsyncExitStack
from functools import partial

import anyio
from aiohttp import ClientSession, web

from aioservices import Services, ServicesError
from aioservices.emulator import Emulator

SERVICES = web.AppKey("services", Services)
NEWEST = web.AppKey("newest", dict[int, deque[str]])


async def overview(request: web.Request) -> web.Response:
    """Tell how every service is doing."""
    lines: list[str] = []
    try:
        async for service in request.app[SERVICES].list(order="name", order_dir="asc"):
            deployment = service.current_deployment
            state = deployment.state if deployment else "not deployed"
            lines.append(f"{service.name}: {state}")
            lines += [f"    {line}" for line in request.app[NEWEST].get(service.id, ())]
    except ServicesError as error:
        return web.Response(status=502, text=f"{error}\n")
    return web.Response(text="\n".join(lines) + "\n")


async def keep_newest(services: Services, newest: dict[int, deque[str]]) -> None:
    """Keep the last three lines of each service that runs."""
    async with services.watch_logs() as lines:
        async for line in lines:
            newest[line.service_id].append(line.entry.message or "")


async def main(seconds: float) -> None:
    """Serve for some seconds, and be the first visitor."""
    async with AsyncExitStack() as stack:
        if "CIVIS_API_KEY" in os.environ:
            services = await stack.enter_async_context(Services())
        else:
            emulator = Emulator(services=3, deployed=True, log_interval=0.2)
            await stack.enter_async_context(emulator)
            services = await stack.enter_async_context(
                Services(emulator.api_key, base_url=emulator.url)
            )
        app = web.Application()
        app[SERVICES] = services
        newest: dict[int, deque[str]] = defaultdict(partial(deque[str], maxlen=3))
        app[NEWEST] = newest
        app.router.add_get("/", overview)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_newest, services, newest)
            host, port = runner.addresses[0][:2]
            print(f"Serving on http://{host}:{port}")
            await anyio.sleep(seconds)
            async with ClientSession() as visitor, visitor.get(f"http://{host}:{port}/") as page:
                print(await page.text())
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve an overview of the services.")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to serve")
    asyncio.run(main(parser.parse_args().seconds))
