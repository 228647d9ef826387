"""An HTTP server in a separate process that answers from memory, so that only the client is slow.

`python -m benchmarks.server --latency 0.02` prints its port, then serves until its standard
input closes: it cannot outlive the benchmark that started it.
"""

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks import payloads

_START_TIMEOUT = 30.0  # seconds
RATE_LIMIT = 10_000_000
"""Calls: the headers are real, but the limit is never reached."""


@asynccontextmanager
async def canned_server(*, latency: float = 0.0) -> AsyncIterator[str]:
    """Start the server in a separate process.

    Parameters
    ----------
    latency
        Seconds to wait before each answer.

    Yields
    ------
    str
        Its base URL, ending in a slash, once it accepts connections.
    """
    async with server_process("benchmarks.server", f"--latency={latency}") as url:
        yield url


@asynccontextmanager
async def server_process(module: str, *arguments: str) -> AsyncIterator[str]:
    """Run a module that calls `serve` in a separate process, and give its base URL."""
    command = [sys.executable, "-m", module, *arguments]
    root = Path(__file__).resolve().parent.parent
    async with await anyio.open_process(
        command, stdin=PIPE, stdout=PIPE, stderr=None, cwd=root
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with anyio.fail_after(_START_TIMEOUT):
            line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 16)
        yield f"http://127.0.0.1:{int(line)}/"
        await process.stdin.aclose()


class CannedProtocol(asyncio.Protocol):
    """One keep-alive connection; requests on it are answered one after the other."""

    def __init__(self, answer: Callable[[bytes], bytes], latency: float) -> None:
        self._answer = answer
        self._latency = latency
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._request_end()) is not None:
            request_line, _, _ = bytes(self._buffer[:end]).partition(b"\r\n")
            del self._buffer[:end]
            answered = self._answer(request_line)
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._send, answered)
            else:
                self._send(answered)

    def _request_end(self) -> int | None:
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return None
        length = _CONTENT_LENGTH.search(self._buffer, 0, head_end + 2)
        end = head_end + 4 + (int(length[1]) if length else 0)
        return end if len(self._buffer) >= end else None

    def _send(self, answered: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answered)


def serve(answer: Callable[[bytes], bytes], latency: float = 0.0) -> None:
    """Print the port of a new server, then serve until the standard input closes.

    Parameters
    ----------
    answer
        Given a request line, returns the whole response.
    latency
        Seconds to wait before each answer.
    """
    asyncio.run(_serve(answer, latency))


def response(
    status: bytes,
    body: bytes,
    headers: bytes = b"",
    *,
    limit: int = RATE_LIMIT,
    remaining: int = RATE_LIMIT - 1,
) -> bytes:
    """Return a response with the headers that the real API sends."""
    return (
        b"HTTP/1.1 %b\r\n"
        b"Content-Type: application/json; charset=utf-8\r\n"
        b"Cache-Control: private, no-store\r\n"
        b"X-RateLimit-Limit: %d\r\nX-RateLimit-Remaining: %d\r\n"
        b"X-Request-Id: bd1f6e7e-5748-4247-babe-67cb81b51444\r\n"
        b"%bContent-Length: %d\r\n\r\n%b"
    ) % (status, limit, remaining, headers, len(body), body)


def answer(request_line: bytes) -> bytes:
    """Return the whole response to a request line, or a 404."""
    for pattern, respond in _ROUTES:
        if match := pattern.match(request_line):
            return respond(match)
    return response(b"404 Not Found", b'{"error":"not_found","code":404}')


def _get(match: re.Match[bytes]) -> bytes:
    return response(b"200 OK", payloads.service(int(match[1])))


def _deploy(match: re.Match[bytes]) -> bytes:
    return response(b"201 Created", payloads.deployment(int(match[1])))


def _list(match: re.Match[bytes]) -> bytes:
    number = _PAGE_NUM.search(match[0])
    return _listing(int(number[1]) if number else 1)


@cache
def _listing(page: int) -> bytes:
    pagination = (
        b"X-Pagination-Current-Page: %d\r\nX-Pagination-Total-Pages: %d\r\n"
        b"X-Pagination-Per-Page: %d\r\nX-Pagination-Total-Entries: %d\r\n"
    ) % (page, payloads.SERVICES // payloads.PAGE_SIZE, payloads.PAGE_SIZE, payloads.SERVICES)
    return response(b"200 OK", payloads.listing(page), pagination)


@cache
def _log_page() -> bytes:
    return response(b"200 OK", payloads.log_page())


def _logs(_: re.Match[bytes]) -> bytes:
    return _log_page()


def _export(_: re.Match[bytes]) -> bytes:
    """Receive records by OTLP: an empty answer means that all of them are accepted."""
    return response(b"200 OK", b"")


_CONTENT_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")
_PAGE_NUM = re.compile(rb"[?&]page_num=(\d+)")
_ROUTES: list[tuple[re.Pattern[bytes], Callable[[re.Match[bytes]], bytes]]] = [
    (re.compile(rb"GET /services/(\d+) "), _get),
    (re.compile(rb"POST /v1/logs "), _export),
    (re.compile(rb"POST /services/(\d+)/deployments "), _deploy),
    (re.compile(rb"GET /services/?(?:\?\S*)? "), _list),
    (re.compile(rb"GET /services/\d+/deployments/\d+/logs"), _logs),
]


async def _serve(answer: Callable[[bytes], bytes], latency: float) -> None:
    loop = asyncio.get_running_loop()
    protocol = partial(CannedProtocol, answer, latency)
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.close()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    _log_page()  # built before the first request, not during it
    serve(answer, parser.parse_args().latency)


if __name__ == "__main__":
    _main()
