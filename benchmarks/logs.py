"""Log pages: fetching and decoding ten thousand lines in one call."""

from functools import partial

from benchmarks.contenders import MSGSPEC, OFFICIAL, Client, Official, open_clients
from benchmarks.payloads import LOG_LINES, log_message
from benchmarks.race import Contender, check, in_thread, race, timed
from benchmarks.report import Report
from benchmarks.server import canned_server

_LINES = (LOG_LINES, log_message(LOG_LINES - 1))


async def run(*, quick: bool) -> Report:
    """Race on a server that has the page at hand."""
    pages, rounds = (1, 1) if quick else (10, 9)
    async with canned_server() as url, open_clients(url) as clients:
        contenders: dict[str, Contender] = {
            OFFICIAL: in_thread(partial(_read_page_officially, Official(url)))
        }
        for name, client in clients.items():
            contenders[name] = partial(timed, partial(_read_pages, client, pages))
        result = await race(contenders, unit="lines", rounds=rounds)
    return Report(
        f"A page of {LOG_LINES:,} log lines",
        result.rows(),
        [
            result.speed("a page of 10,000 lines", than=OFFICIAL, at_least=20),
            result.speed("a page of 10,000 lines", than=MSGSPEC, at_least=1.0),
        ],
    )


async def _read_pages(client: Client, pages: int) -> int:
    for service_id in range(1, pages + 1):
        check(await client.logs(service_id), _LINES)
    return pages * LOG_LINES


def _read_page_officially(client: Official) -> int:
    check(client.logs(1), _LINES)
    return LOG_LINES
