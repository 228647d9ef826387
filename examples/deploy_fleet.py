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
from contextlib import AsyncExitStack

from aioservices import DeploymentFailedError, Services
from aioservices.emulator import Emulator, Reset

BROKEN = ["/bin/sh", "-c", "echo Connecting ...; echo No database; exit 1"]


def make_emulator() -> Emulator:
    """Make an API on this machine, with 300 services."""
    emulator = Emulator(pending_for=0.5)
    for number in range(1, 301):
        emulator.add_service(f"demo-{number}", command=BROKEN if number in {42, 242} else None)
    emulator.fault(Reset(acts=True), method="POST", probability=0.05)
    return emulator


async def main(pattern: str, seconds: float) -> bool:
    """Deploy the services with matching names, and tell whether all of them run."""
    async with AsyncExitStack() as stack:
        services = Services() if "CIVIS_API_KEY" in os.environ else None
        if services is None:
            emulator = await stack.enter_async_context(make_emulator())
            services = Services(emulator.api_key, base_url=emulator.url)
        await stack.enter_async_context(services)

        names = {service.id: service.name async for service in services.find(pattern)}
        failures = 0
        run = services.deploy_many(names, concurrency=50, timeout=seconds, stay_up=2)
        try:
            async for outcome in run:
                if outcome.error is not None:
                    failures += 1
                    print(f"{names[outcome.service_id]}: {outcome.error}")
                if isinstance(outcome.error, DeploymentFailedError):
                    for line in outcome.error.logs:
                        print("   ", line)
        finally:  # also after Ctrl-C
            print(f"{len(run.started)} of {len(names)} deployed, {failures} failures")
        return not failures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Deploy services, each exactly once.")
    parser.add_argument(
        "pattern", nargs="?", default="demo-*", help="services to deploy: those whose name matches"
    )
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="how long each may take until it runs"
    )
    arguments = parser.parse_args()
    sys.exit(not asyncio.run(main(arguments.pattern, arguments.seconds)))
