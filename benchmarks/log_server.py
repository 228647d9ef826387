"""A log server in a separate process: prepared lines, each visible from its time on.

`python -m benchmarks.log_server --lines 1000000 --since 3600` prints its port, then serves until
its standard input closes.
"""

import argparse
import json
import math
import random
import re
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from urllib.parse import unquote

from benchmarks import payloads
from benchmarks.server import RATE_LIMIT, response, serve, server_process

DEPLOYMENT = 1001

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@asynccontextmanager
async def log_server(
    *,
    logs: int = 1,
    lines: int = 0,
    rate: float = 1_000.0,
    since: float = 0.0,
    regular: bool = False,
    is_shared: bool = False,
    latency: float = 0.0,
    rate_limit: int = RATE_LIMIT,
    period: float = 300.0,
) -> AsyncIterator[str]:
    """Start the server in a separate process.

    Parameters
    ----------
    logs
        Services 1 to this one write lines; all others exist and are silent.
    lines
        How many lines each of them writes.
    rate
        Lines per second on average.
    since
        How many seconds ago it began.
    regular
        Whether the lines are written at equal intervals; otherwise in bursts.
    is_shared
        Whether all of them write the same lines: the server holds these once.
    latency
        Seconds that pass before each answer.
    rate_limit
        Calls that are allowed in each period.
    period
        Its length in seconds.

    Yields
    ------
    str
        Its base URL, ending in a slash, once it accepts connections.
    """
    figures = {"logs": logs, "lines": lines, "rate": rate, "since": since}
    limits = {"rate-limit": rate_limit, "period": period, "latency": latency}
    arguments = [f"--{name}={value}" for name, value in (figures | limits).items()]
    if regular:
        arguments.append("--regular")
    if is_shared:
        arguments.append("--shared")
    async with server_process("benchmarks.log_server", *arguments) as url:
        yield url


class Log:
    """Lines in the order of their times, as the bytes that are sent.

    Parameters
    ----------
    seed
        The same seed gives the same intervals.
    lines, rate, since, regular
        As for `log_server`.
    """

    def __init__(
        self, seed: int, *, lines: int, rate: float, since: float, regular: bool = False
    ) -> None:
        draw = random.Random(seed).expovariate
        at = time.time() - since
        self._times = array("q")
        self._offsets = array("q", [1])
        body = bytearray(b"[")
        for number in range(lines):
            if regular:
                at += 1 / rate
            else:
                # Busy and quiet phases, so that pages differ in duration.
                at += draw(rate * (1 + 0.5 * math.sin(number / 5_000)))
            micros = int(at * 1e6)
            body += payloads.log_line(number, _EPOCH + micros * _MICROSECOND) + b","
            self._times.append(micros)
            self._offsets.append(len(body))
        self._body = bytes(body)

    def page(self, start: int, end: int, limit: int) -> bytes:
        """Return the oldest lines between two times, both inclusive, in microseconds."""
        end = min(end, time.time_ns() // 1_000)
        first = bisect_left(self._times, start)
        last = min(first + limit, bisect_right(self._times, end))
        if last <= first:
            return b"[]"
        return b"[%b]" % self._body[self._offsets[first] : self._offsets[last] - 1]


class LogServer:
    """The state of the server, and its answers."""

    def __init__(self, logs: dict[int, Log], rate_limit: int, period: float) -> None:
        self._logs = logs
        self._rate_limit = rate_limit
        self._period = period
        self._began = time.monotonic()
        self._window = 0
        self._used = 0
        self._targets: list[str] = []

    def answer(self, request_line: bytes) -> bytes:
        """Return the whole response to a request line."""
        if request_line.startswith(b"GET /targets "):
            targets, self._targets = self._targets, []
            return response(b"200 OK", json.dumps(targets).encode())
        elapsed = time.monotonic() - self._began
        window = int(elapsed / self._period)
        if window != self._window:
            self._window, self._used = window, 0
        self._used += 1
        status, body = self._answer(request_line)
        headers = b"Date: %b\r\n" % formatdate(usegmt=True).encode()
        if self._used > self._rate_limit:
            status, body = b"429 Too Many Requests", b'{"error":"rate_limited","code":429}'
            left = self._period * (window + 1) - elapsed
            headers += b"Retry-After: %d\r\n" % math.ceil(left)
        remaining = max(0, self._rate_limit - self._used)
        return response(status, body, headers, limit=self._rate_limit, remaining=remaining)

    def _answer(self, request_line: bytes) -> tuple[bytes, bytes]:
        if match := _LOG.match(request_line):
            self._targets.append(match[1].decode())
            query = dict(_PARAMETER.findall(unquote(match[1].decode())))
            log = self._logs.get(int(match[2]))
            if log is None:
                return b"200 OK", b"[]"
            start = _micros(query["start_at"]) if "start_at" in query else 0
            end = _micros(query["end_at"]) if "end_at" in query else 2**62
            return b"200 OK", log.page(start, end, int(query.get("limit", payloads.LOG_LINES)))
        if match := _SERVICE.match(request_line):
            return b"200 OK", payloads.service(int(match[1]))
        if match := _LISTING.match(request_line):
            return b"200 OK", payloads.listing(int(match[1]))
        return b"404 Not Found", b'{"error":"not_found","code":404}'


def _micros(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


_LOG = re.compile(rb"GET /(services/(\d+)/deployments/\d+/logs\S*) ")
_SERVICE = re.compile(rb"GET /services/(\d+)(?:/deployments/\d+)? ")
_LISTING = re.compile(rb"GET /services/?\?\S*page_num=(\d+)")
_PARAMETER = re.compile(r"[?&](\w+)=([^&]*)")


class Arguments(argparse.Namespace):
    """The command line."""

    logs: int
    lines: int
    rate: float
    since: float
    rate_limit: int
    period: float
    latency: float
    regular: bool
    shared: bool


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("logs", "lines", "rate-limit"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("rate", "since", "period", "latency"):
        parser.add_argument(f"--{name}", type=float, required=True)
    parser.add_argument("--regular", action="store_true")
    parser.add_argument("--shared", action="store_true")
    given = parser.parse_args(namespace=Arguments())
    logs: dict[int, Log] = {}
    for each in range(1, given.logs + 1):
        logs[each] = (
            logs[1]
            if given.shared and logs
            else Log(
                each, lines=given.lines, rate=given.rate, since=given.since, regular=given.regular
            )
        )
    serve(LogServer(logs, given.rate_limit, given.period).answer, given.latency)


if __name__ == "__main__":
    _main()
