"""The measured clients: each makes the same calls, and returns what was answered."""

import json
import os
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Protocol

import aiohttp
import civis
import msgspec

from aioservices import Services
from benchmarks.payloads import LOG_LINES, PAGE_SIZE
from benchmarks.race import OURS

OFFICIAL = "civis"
JSON = "aiohttp + json"
MSGSPEC = "aiohttp + msgspec"
BYTES = "aiohttp, bytes only"

Lines = tuple[int, str | None]
"""How many log lines there are, and the message of the last."""

API_KEY = "benchmark"
_DEPLOYMENT = 1001


class Client(Protocol):
    """The calls of one contender; what they return is checked by the benchmarks."""

    async def get(self, service_id: int) -> int | None:
        """Fetch a service and return its id."""

    async def deploy(self, service_id: int) -> int | None:
        """Deploy a service and return the id of the service that was deployed."""

    async def list(self) -> list[int]:
        """Return the ids of all services."""

    async def logs(self, service_id: int) -> Lines:
        """Fetch one page of log lines."""


class Ours:
    """aioservices, as its users call it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, service_id: int) -> int | None:
        return (await self._services.get(service_id)).id

    async def deploy(self, service_id: int) -> int | None:
        return (await self._services.post_deployments(service_id)).service_id

    async def list(self) -> list[int]:
        return [summary.id async for summary in self._services.list()]

    async def logs(self, service_id: int) -> Lines:
        entries = await self._services.list_deployments_logs(
            service_id, _DEPLOYMENT, limit=LOG_LINES
        )
        return len(entries), entries[-1].message


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a hand-written loop decodes its results."""

    service: Callable[[bytes], int | None]
    deployment: Callable[[bytes], int | None]
    listing: Callable[[bytes], list[int]]
    logs: Callable[[bytes], Lines]


class HandWritten:
    """A loop as a user would write it with aiohttp: one session, one request after the other."""

    def __init__(self, session: aiohttp.ClientSession, url: str, decoding: Decoding) -> None:
        self._session = session
        self._services = f"{url}services"
        self._decode = decoding

    async def get(self, service_id: int) -> int | None:
        async with self._session.get(f"{self._services}/{service_id}") as response:
            response.raise_for_status()
            return self._decode.service(await response.read())

    async def deploy(self, service_id: int) -> int | None:
        url = f"{self._services}/{service_id}/deployments"
        async with self._session.post(url, json={}) as response:
            response.raise_for_status()
            return self._decode.deployment(await response.read())

    async def list(self) -> list[int]:
        ids: list[int] = []
        page, last = 1, 1
        while page <= last:
            query = {"limit": PAGE_SIZE, "page_num": page}
            async with self._session.get(self._services, params=query) as response:
                response.raise_for_status()
                last = int(response.headers["X-Pagination-Total-Pages"])
                ids += self._decode.listing(await response.read())
            page += 1
        return ids

    async def logs(self, service_id: int) -> Lines:
        url = f"{self._services}/{service_id}/deployments/{_DEPLOYMENT}/logs"
        async with self._session.get(url, params={"limit": LOG_LINES}) as response:
            response.raise_for_status()
            return self._decode.logs(await response.read())


class Official:
    """The official client, which is synchronous, so its calls need a thread."""

    def __init__(self, url: str) -> None:
        specification = json.loads(
            (files("civis.resources") / "civis_api_spec.json").read_text(),
            object_pairs_hook=OrderedDict,
        )
        paths = specification["paths"].items()
        specification["paths"] = {path: each for path, each in paths if "/services/" in path}
        before = os.environ.get("CIVIS_API_ENDPOINT")
        os.environ["CIVIS_API_ENDPOINT"] = url  # read only when the client is created
        try:
            client = civis.APIClient(api_key=API_KEY, local_api_spec=specification)
        finally:
            del os.environ["CIVIS_API_ENDPOINT"]
            if before is not None:
                os.environ["CIVIS_API_ENDPOINT"] = before
        self._services = client.services

    def get(self, service_id: int) -> int | None:
        return self._services.get(service_id).id

    def deploy(self, service_id: int) -> int | None:
        return self._services.post_deployments(service_id).service_id

    def deploy_and_wait(self, service_id: int, *, poll_interval: float) -> str:
        """Deploy a service, poll the deployment until it is not pending, and return its state."""
        made = self._services.post_deployments(service_id)
        state: str | None = made.state
        while state is None or state == "pending":  # a new one has none for a moment
            time.sleep(poll_interval)
            state = self._services.get_deployments(service_id, made.deployment_id).state
        return state

    def list(self) -> list[int]:
        return [service.id for service in self._services.list(iterator=True)]

    def logs(self, service_id: int) -> Lines:
        entries = self._services.list_deployments_logs(service_id, _DEPLOYMENT, limit=LOG_LINES)
        return len(entries), entries[-1].message


@asynccontextmanager
async def open_clients(url: str) -> AsyncIterator[dict[str, Client]]:
    """Open the asynchronous contenders, each with separate connections.

    Parameters
    ----------
    url
        Base URL of the server, ending in a slash.

    Yields
    ------
    dict
        The clients by name.
    """
    async with AsyncExitStack() as stack:
        clients: dict[str, Client] = {}
        for name, decoding in DECODINGS.items():
            session = aiohttp.ClientSession(headers={"Authorization": _AUTHORIZATION})
            clients[name] = HandWritten(await stack.enter_async_context(session), url, decoding)
        services = await stack.enter_async_context(Services(API_KEY, base_url=url))
        clients[OURS] = Ours(services)
        yield clients


def _with_json() -> Decoding:
    def logs(content: bytes) -> Lines:
        entries = json.loads(content)
        return len(entries), entries[-1]["message"]

    return Decoding(
        service=lambda content: json.loads(content)["id"],
        deployment=lambda content: json.loads(content)["serviceId"],
        listing=lambda content: [service["id"] for service in json.loads(content)],
        logs=logs,
    )


class LeanService(msgspec.Struct, rename="camel"):
    """The fields of a service that a typical program would declare."""

    id: int
    name: str | None = None
    status: str | None = None
    updated_at: datetime | None = None


class LeanDeployment(msgspec.Struct, rename="camel"):
    """The fields of a deployment that a typical program would declare."""

    deployment_id: int
    service_id: int
    state: str | None = None
    created_at: datetime | None = None


class LeanEntry(msgspec.Struct, rename="camel"):
    """All fields of a line."""

    created_at: datetime
    message: str | None = None
    stream: str | None = None
    source: str | None = None


def _with_msgspec() -> Decoding:
    service = msgspec.json.Decoder(LeanService)
    deployment = msgspec.json.Decoder(LeanDeployment)
    summaries = msgspec.json.Decoder(list[LeanService])
    entries = msgspec.json.Decoder(list[LeanEntry])

    def logs(content: bytes) -> Lines:
        page = entries.decode(content)
        return len(page), page[-1].message

    return Decoding(
        service=lambda content: service.decode(content).id,
        deployment=lambda content: deployment.decode(content).service_id,
        listing=lambda content: [summary.id for summary in summaries.decode(content)],
        logs=logs,
    )


def _without() -> Decoding:
    """Find the result in the bytes, which the server always arranges in the same way."""

    def logs(content: bytes) -> Lines:
        last = re.compile(rb'"message":"((?:[^"\\]|\\.)*)"').search(
            content, content.rindex(b'{"message"')
        )
        assert last is not None
        return content.count(b'{"message"'), json.loads(b'"%b"' % last[1])

    def first_number(content: bytes) -> int:
        return int(content[content.index(b":") + 1 : content.index(b",")])

    return Decoding(
        service=first_number,
        deployment=first_number,
        listing=lambda content: list(map(int, re.findall(rb'{"id":(\d+),"name"', content))),
        logs=logs,
    )


DECODINGS = {JSON: _with_json(), MSGSPEC: _with_msgspec(), BYTES: _without()}
_AUTHORIZATION = aiohttp.encode_basic_auth(API_KEY, "")
