"""Sequential gets: one small call after the other, which shows the overhead of a client best."""

from functools import partial

from benchmarks.contenders import MSGSPEC, OFFICIAL, Client, Official, open_clients
from benchmarks.race import Contender, check, in_thread, race, timed
from benchmarks.report import Report
from benchmarks.server import canned_server


async def run(*, quick: bool) -> Report:
    """Race on a server that answers at once."""
    calls, official_calls, rounds = (20, 5, 2) if quick else (500, 50, 15)
    async with canned_server() as url, open_clients(url) as clients:
        contenders: dict[str, Contender] = {
            OFFICIAL: in_thread(partial(_get_in_turn_officially, Official(url), official_calls))
        }
        for name, client in clients.items():
            contenders[name] = partial(timed, partial(_get_in_turn, client, calls))
        result = await race(contenders, unit="gets", rounds=rounds)
    return Report(
        f"Sequential gets ({calls} a round)",
        result.rows(),
        [
            result.cpu("one get after the other", than=MSGSPEC, at_least=1.0),
            result.speed("one get after the other", than=MSGSPEC, at_least=1.0),
        ],
    )


async def _get_in_turn(client: Client, calls: int) -> int:
    for service_id in range(1, calls + 1):
        check(await client.get(service_id), service_id)
    return calls


def _get_in_turn_officially(client: Official, calls: int) -> int:
    for service_id in range(1, calls + 1):
        check(client.get(service_id), service_id)
    return calls
