"""An asyncio application that calls the API next to everything else it does.

It answers HTTP requests itself: `GET /` shows the state of every service, read again for each
visitor, while a task of its own keeps the newest lines of their logs.

With CIVIS_API_KEY set it serves your own services. Without, it starts an emulator.

    python examples/application.py [--seconds 5]
"""

import argparse
import asyncio
import os
from collections import defaultdict, deque
from contextlib import AsyncExitStack

import anyio
from aiohttp import ClientSession, web

from aioservices import Services, ServicesError
from aioservices.emulator import Emulator


class Overview:
    """How every service is doing, and its newest lines."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.newest: defaultdict[int, deque[str]] = defaultdict(lambda: deque(maxlen=3))

    async def follow(self) -> None:
        """Keep the last three lines of each service that runs."""
        async for line in self.services.watch_logs():
            self.newest[line.service_id].append(line.entry.message or "")

    async def show(self, _: web.Request) -> web.Response:
        """Answer a visitor."""
        lines: list[str] = []
        try:
            async for service in self.services.list(order="name", order_dir="asc"):
                deployment = service.current_deployment
                state = deployment.state if deployment else "not deployed"
                lines.append(f"{service.name}: {state}")
                lines += [f"    {line}" for line in self.newest[service.id]]
        except ServicesError as error:
            return web.Response(status=502, text=f"{error}\n")
        return web.Response(text="\n".join(lines) + "\n")


async def main(seconds: float) -> None:
    """Serve for some seconds, and be the first visitor."""
    async with AsyncExitStack() as stack:
        services = Services() if "CIVIS_API_KEY" in os.environ else None
        if services is None:
            emulator = Emulator(services=3, deployed=True, log_interval=0.2)
            await stack.enter_async_context(emulator)
            services = Services(emulator.api_key, base_url=emulator.url)
        overview = Overview(await stack.enter_async_context(services))

        app = web.Application()
        app.router.add_get("/", overview.show)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = "http://{}:{}/".format(*runner.addresses[0][:2])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(overview.follow)
            print("Serving on", url)
            await anyio.sleep(seconds)
            async with ClientSession() as visitor, visitor.get(url) as page:
                print(await page.text())
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve an overview of the services.")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to serve")
    asyncio.run(main(parser.parse_args().seconds))
