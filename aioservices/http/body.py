"""Reading the body of an answer: within a size limit, and an error's within a time limit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TypedDict

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from multidict import CIMultiDict

from aioservices.errors import ResponseDecodeError, ResponseTooLargeError

from .attempt import Call
from .failure import PROBLEMS

__all__ = ["read_body", "read_error_body", "too_large"]

_LARGE_BODY = 1 << 20  # bytes
_ERROR_BODY_SIZE = 64 * 1024
_ERROR_BODY_TIMEOUT = 5.0  # seconds


async def read_body(answer: aiohttp.ClientResponse, call: Call, large: asyncio.Semaphore) -> bytes:
    """Read a body to its end.

    Parameters
    ----------
    answer : aiohttp.ClientResponse
    call : Call
    large : asyncio.Semaphore
        How many large bodies are read at once; others wait in the network. This bounds the memory
        of many calls, whatever a server sends.

    Raises
    ------
    ResponseTooLargeError
        If it is larger than `max_body_size`.
    ResponseDecodeError
        If it cannot be decompressed.
    """
    chunks: list[bytes] = []
    size = 0
    is_large = False
    try:
        while chunk := await answer.content.readany():
            size += len(chunk)
            if size > call.options.max_body_size:
                raise too_large(call, answer)
            chunks.append(chunk)
            if size > _LARGE_BODY and not is_large:
                await large.acquire()
                is_large = True
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    except aiohttp.ClientPayloadError as exc:
        if not isinstance(exc.__cause__, ContentEncodingError):
            raise
    finally:
        chunk = b""
        chunks.clear()  # or a traceback with local variables would show the body
        if is_large:
            large.release()
    raise ResponseDecodeError("the body cannot be decompressed", **_context(call, answer))


def too_large(call: Call, answer: aiohttp.ClientResponse) -> ResponseTooLargeError:
    """Make the error of a body that is larger than `max_body_size`."""
    bound = call.options.max_body_size
    return ResponseTooLargeError(
        f"the body is larger than {bound} bytes: ask for less, or raise max_body_size",
        **_context(call, answer),
    )


def _context(call: Call, answer: aiohttp.ClientResponse) -> _Context:
    return {
        "method": call.method,
        "path": call.path,
        "attempts": call.attempts,
        "status": answer.status,
        "headers": CIMultiDict(answer.headers),
    }


class _Context(TypedDict):
    """What an error says about its answer."""

    method: str
    path: str
    attempts: int
    status: int
    headers: Mapping[str, str]


async def read_error_body(answer: aiohttp.ClientResponse, time_left: float) -> bytes:
    """Read an error's body up to a bound; the first part of it will do, or none.

    Parameters
    ----------
    answer : aiohttp.ClientResponse
    time_left : float
        Seconds until the attempt is ended. The status matters more than a body that does not
        arrive, so waiting for the body stops before that.
    """
    body = bytearray()
    patience = min(_ERROR_BODY_TIMEOUT, 0.9 * time_left)
    with contextlib.suppress(*PROBLEMS):  # TimeoutError is one of them
        async with asyncio.timeout(patience):
            while len(body) < _ERROR_BODY_SIZE and (chunk := await answer.content.readany()):
                body += chunk
    return bytes(body[:_ERROR_BODY_SIZE])
