"""A server that misbehaves as a script says: one behaviour for each request."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> object:
        return json.loads(self.body)


Writer = asyncio.StreamWriter
Behaviour = Callable[[Request, Writer], Awaitable[None]]


@dataclass
class HostileServer:
    api_key: str = "very-secret-key"
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def hostile(
    *script: Behaviour, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[HostileServer]:
    """Serve the script, a behaviour a request; the last one is repeated forever."""
    server = HostileServer()
    left = list(script)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        try:
            while not writer.is_closing() and (request := await _read_request(reader)):
                server.requests.append(request)
                behaviour = left.pop(0) if len(left) > 1 else left[0]
                await behaviour(request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(serve, host, 0, ssl=tls)
    server.url = f"{'https' if tls else 'http'}://{host}:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for _ in range(3):  # in which a connection that was accepted just now gets its task
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await listener.wait_closed()


def answer(
    body: object = b"{}",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
    length: int | None = None,
    close: bool = False,
) -> Behaviour:
    """Answer with a body; a `length` other than the body's own is a lie."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def behave(_: Request, writer: Writer) -> None:
        head = {
            "Content-Type": content_type,
            "Content-Length": str(len(content) if length is None else length),
            **(headers or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        writer.write(f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode() + content)
        if close:
            writer.close()

    return behave


def redirect(location: str, status: int = 307) -> Behaviour:
    """Send the client elsewhere."""
    return answer(b"", status=status, headers={"Location": location})


def chunked(*chunks: bytes, status: int = 200, whole: bool = True) -> Behaviour:
    """Answer in chunks, and if it is not to be whole, close instead of saying that it is."""

    async def behave(_: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 %d Status\r\nTransfer-Encoding: chunked\r\n\r\n" % status)
        for chunk in chunks:
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()
        if whole:
            writer.write(b"0\r\n\r\n")
        else:
            writer.close()

    return behave


def endless(status: int = 200) -> Behaviour:
    """Answer with a body that never ends."""

    async def behave(_: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 %d Status\r\nTransfer-Encoding: chunked\r\n\r\n" % status)
        while True:
            writer.write(b"4000\r\n%b\r\n" % (b" " * 0x4000))
            await writer.drain()

    return behave


def after(seconds: float, behaviour: Behaviour) -> Behaviour:
    """Wait before the next behaviour."""

    async def behave(request: Request, writer: Writer) -> None:
        await asyncio.sleep(seconds)
        await behaviour(request, writer)

    return behave


async def reset(_: Request, writer: Writer) -> None:
    """Break the connection before anything is answered."""
    writer.transport.abort()


async def hang_up(_: Request, writer: Writer) -> None:
    """Close the connection in good order before anything is answered."""
    writer.close()


async def stall(_: Request, __: Writer) -> None:
    """Never answer."""
    await asyncio.Event().wait()


def cut_body(sent: bytes = b'{"id": 1', length: int = 100) -> Behaviour:
    """Answer less than was promised, then close."""

    async def behave(request: Request, writer: Writer) -> None:
        await answer(sent, length=length)(request, writer)
        await writer.drain()
        writer.close()

    return behave


def reset_in_body(sent: bytes = b'{"id": 1', length: int = 100) -> Behaviour:
    """Answer less than was promised, then break the connection."""

    async def behave(request: Request, writer: Writer) -> None:
        await answer(sent, length=length)(request, writer)
        await writer.drain()
        await asyncio.sleep(0.02)  # or the reset overtakes what was sent
        writer.transport.abort()

    return behave


def stall_in_body(sent: bytes = b'{"id": 1', length: int = 100) -> Behaviour:
    """Answer less than was promised, and nothing more."""

    async def behave(request: Request, writer: Writer) -> None:
        await answer(sent, length=length)(request, writer)
        await writer.drain()
        await asyncio.Event().wait()

    return behave


async def no_http(_: Request, writer: Writer) -> None:
    """Answer something that is not HTTP."""
    writer.write(b"220 smtp.example.org ESMTP\r\n\r\n")
    writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    length = int(headers.get("content-length", 0))
    return Request(method, target, headers, await reader.readexactly(length))
