"""A collector as a process: ``python -m tests.soak.daemon STORE URL KEY LEASE``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

from aioservices import Services
from aioservices.fleet.collecting import CollectOptions, Collector
from aioservices.stores import StoreUnavailableError, open_store


async def main(store_url: str, url: str, api_key: str, lease: float) -> None:
    """Collect until SIGTERM."""
    options = CollectOptions(
        status=None,
        refresh=1.0,
        poll_interval=0.05,
        max_poll_interval=0.5,
        overlap=2.0,
        grace=1.0,
        lease=lease,
        commit_interval=0.02,
    )
    while True:
        try:
            async with (
                open_store(store_url, lease=lease) as store,
                Services(api_key, base_url=url) as services,
            ):
                collector = Collector(store, [services], options)
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, collector.stop)
                print("collecting", flush=True)
                await collector.run()
                return
        except StoreUnavailableError:
            await asyncio.sleep(0.2)  # the database is away


def _end_with_parent() -> None:
    """End once the other end of standard input is closed, as it is when its process is killed."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    store_url, url, api_key, lease = sys.argv[1:]
    asyncio.run(main(store_url, url, api_key, float(lease)))
