"""A fleet: a thousand deploys, waited for, while one call in a hundred fails.

Both clients request a hundred deploys at a time, and check every second whether they run, which
they do two seconds after they were made. The official client does not recover from errors. Ours
takes ten seconds by default to find out that a lost deploy was never made.
"""

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import anyio.to_thread

from aioservices import Services
from benchmarks.contenders import API_KEY, OFFICIAL, Official
from benchmarks.fleet_server import Counts, fleet_server
from benchmarks.race import OURS
from benchmarks.report import Goal, Report, Row

AT_A_TIME = 100
POLL_INTERVAL = 1.0  # seconds


async def run(*, quick: bool) -> Report:
    """Deploy with both; the official client deploys fewer, for it takes longer."""
    deploys, official_deploys, faults = (60, 10, 0.1) if quick else (1_000, 200, 0.01)
    settle = 1.0 if quick else 10.0
    logging.getLogger(OURS).setLevel(logging.ERROR)  # it warns about each fault

    async with fleet_server(official_deploys, faults) as (url, official_counts):
        start = perf_counter()
        official_well = await anyio.to_thread.run_sync(
            _deploy_in_threads, Official(url), official_deploys
        )
        official_seconds = perf_counter() - start

    async with fleet_server(deploys, faults) as (url, counts):
        start = perf_counter()
        outcomes = await _deploy_ours(url, deploys, settle)
        seconds = perf_counter() - start

    well = outcomes["well"]
    return Report(
        f"{deploys:,} deploys, waited for, with {faults:.0%} faults",
        [
            Row(
                OFFICIAL,
                _figures(official_deploys, official_well, official_seconds, official_counts),
            ),
            Row(OURS, _figures(deploys, well, seconds, counts)),
        ],
        [
            Goal("services deployed twice, of 1,000 with faults", counts.deployed_twice, at_most=0),
            Goal("services not known to run, of 1,000 with faults", deploys - well, at_most=0),
        ],
    )


def _figures(deploys: int, well: int, seconds: float, counts: Counts) -> dict[str, float]:
    return {
        "deploys": deploys,
        "deploys/s": deploys / seconds,
        "known to run, %": 100 * well / deploys,
        "requests a deploy": counts.requests / deploys,
        "deployments a service": counts.deployments / deploys,
    }


async def _deploy_ours(url: str, deploys: int, settle: float) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    async with Services(API_KEY, base_url=url) as services:
        async for outcome in services.deploy_many(
            range(1, deploys + 1),
            concurrency=AT_A_TIME,
            settle=settle,
            poll_interval=POLL_INTERVAL,
        ):
            outcomes["ill" if outcome.error else "well"] += 1
    return outcomes


def _deploy_in_threads(client: Official, deploys: int) -> int:
    def deploy(service_id: int) -> bool:
        try:
            state = client.deploy_and_wait(service_id, poll_interval=POLL_INTERVAL)
        except Exception:  # from several libraries; the state is unknown
            return False
        return state == "running"

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return sum(pool.map(deploy, range(1, deploys + 1)))
