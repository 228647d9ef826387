"""Listing: a thousand services, fifty a page, at 20 ms from a server."""

from functools import partial

from benchmarks.contenders import BYTES, JSON, MSGSPEC, OFFICIAL, Client, Official, open_clients
from benchmarks.payloads import SERVICES
from benchmarks.race import Contender, check, in_thread, race, timed
from benchmarks.report import Report
from benchmarks.server import canned_server

LATENCY = 0.020  # seconds
_IDS = list(range(1, SERVICES + 1))


async def run(*, quick: bool) -> Report:
    """Race against loops that fetch page after page."""
    rounds = 1 if quick else 7
    async with canned_server(latency=LATENCY) as url, open_clients(url) as clients:
        del clients[BYTES]
        contenders: dict[str, Contender] = {
            OFFICIAL: in_thread(partial(_list_officially, Official(url)))
        }
        for name, client in clients.items():
            contenders[name] = partial(timed, partial(_list, client))
        result = await race(contenders, unit="services", rounds=rounds)
    return Report(
        f"Listing {SERVICES:,} services at {LATENCY * 1000:.0f} ms",
        result.rows(),
        [
            result.speed("1,000 services listed at 20 ms", than=each, at_least=6)
            for each in (JSON, MSGSPEC)
        ],
    )


async def _list(client: Client) -> int:
    check(await client.list(), _IDS)
    return SERVICES


def _list_officially(client: Official) -> int:
    check(client.list(), _IDS)
    return SERVICES
