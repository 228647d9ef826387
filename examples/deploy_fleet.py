"""Deploy hundreds of services, each exactly once, and know which failed and why.

With CIVIS_API_KEY set it deploys those of your services whose names match the pattern. Without, it
starts an emulator whose connections break now and then, with two services that cannot start.

    python examples/deploy_fleet.py "demo-*" [--seconds 600]

The exit status is 1 if a service does not run.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from fnmatch import fnmatch

from aioservices import DeploymentFailedError, Services
from aioservices.emulator import Emulator, Reset

BROKEN = [sys.executable, "-c", "print('Connecting ...'); raise SystemExit('No database')"]


async def deploy(services: Services, pattern: str, seconds: float) -> bool:
    """Deploy the services with matching names, and tell whether all of them run."""
    names = {
        service.id: service.name
        async for service in services.list()
        if fnmatch(service.name or "", pattern)
    }
    failures = 0
    async with services.deploy_many(names, concurrency=50, timeout=seconds) as run:
        try:
            async for outcome in run:
                if outcome.error is None:
                    continue
                failures += 1
                print(f"{names[outcome.service_id]}: {outcome.error}")
                if isinstance(outcome.error, DeploymentFailedError):
                    for line in outcome.error.logs:
                        print(f"    {line}")
        finally:  # also after Ctrl-C
            print(f"{len(run.started)} of {len(names)} deployed, {failures} failures")
    return not failures


@asynccontextmanager
async def open_session() -> AsyncGenerator[Services]:
    """Open a session with the API if there is a key for it, else with an emulator."""
    if "CIVIS_API_KEY" in os.environ:
        async with Services() as services:
            yield services
        return
    emulator = Emulator(pending_for=0.5)
    for number in range(1, 301):
        emulator.add_service(f"demo-{number}", command=BROKEN if number in {42, 242} else None)
    emulator.fault(Reset(acts=True), method="POST", probability=0.05)
    async with emulator, Services(emulator.api_key, base_url=emulator.url) as services:
        yield services


async def main(pattern: str, seconds: float) -> bool:
    """Deploy, and tell whether all is well."""
    async with open_session() as services:
        return await deploy(services, pattern, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Deploy services, each exactly once.")
    parser.add_argument("pattern", nargs="?", default="demo-*", help="of the services' names")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each, until it runs")
    arguments = parser.parse_args()
    sys.exit(not asyncio.run(main(arguments.pattern, arguments.seconds)))
