"""Bulk deploys: a thousand at 20 ms from a server, a hundred at a time."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import anyio

from benchmarks.contenders import BYTES, OFFICIAL, Client, Official, open_clients
from benchmarks.race import Contender, check, in_thread, race, timed
from benchmarks.report import Report
from benchmarks.server import canned_server

LATENCY = 0.020  # seconds
AT_A_TIME = 100


async def run(*, quick: bool) -> Report:
    """Race; the official client deploys fewer, its rate is the same from the first to the last."""
    deploys, official_deploys, rounds = (100, 10, 2) if quick else (1_000, 100, 7)
    async with canned_server(latency=LATENCY) as url, open_clients(url) as clients:
        del clients[BYTES]
        contenders: dict[str, Contender] = {
            OFFICIAL: in_thread(partial(_deploy_in_threads, Official(url), official_deploys))
        }
        for name, client in clients.items():
            contenders[name] = partial(timed, partial(_deploy_at_once, client, deploys))
        result = await race(contenders, unit="deploys", rounds=rounds)
    return Report(
        f"{deploys:,} deploys, {AT_A_TIME} at a time, at {LATENCY * 1000:.0f} ms",
        result.rows(),
        [result.speed("1,000 deploys at 20 ms", than=OFFICIAL, at_least=70)],
    )


async def _deploy_at_once(client: Client, deploys: int) -> int:
    ids = iter(range(1, deploys + 1))

    async def worker() -> None:
        for service_id in ids:
            check(await client.deploy(service_id), service_id)

    async with anyio.create_task_group() as workers:
        for _ in range(AT_A_TIME):
            workers.start_soon(worker)
    return deploys


def _deploy_in_threads(client: Official, deploys: int) -> int:
    ids = range(1, deploys + 1)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        check(list(pool.map(client.deploy, ids)), list(ids))
    return deploys
