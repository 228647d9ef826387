"""A plain HTTP client, which knows nothing of the library's own."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDictProxy

from aioservices.emulator import Emulator
from tests.servers.waiting import PATIENCE

Params = Mapping[str, str | int]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str
    json: Any


class Client:
    """Calls one emulator."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session

    async def call(
        self,
        method: str,
        path: str,
        json: object = None,
        *,
        params: Params | None = None,
        key: str | None = None,
        data: bytes | BytesIO | None = None,
    ) -> Answer:
        header = aiohttp.encode_basic_auth(self.emulator.api_key if key is None else key, "")
        async with self.session.request(
            method,
            self.emulator.url + path,
            json=json,
            data=data,
            params=params,
            headers={"Authorization": header},
        ) as response:
            text = await response.text()
            is_json = text and response.content_type == "application/json"
            body = await response.json() if is_json else None
            return Answer(response.status, response.headers, text, body)

    async def get(self, path: str, **params: str | int) -> Any:
        answer = await self.call("GET", path, params=params)
        assert answer.status == 200, answer.text
        return answer.json

    async def post(self, path: str, json: object = None) -> Any:
        answer = await self.call("POST", path, json)
        assert answer.status == 201, answer.text
        return answer.json

    async def put(self, path: str, json: object = None) -> Any:
        answer = await self.call("PUT", path, json)
        assert answer.status == 200, answer.text
        return answer.json

    async def patch(self, path: str, json: object = None) -> Any:
        answer = await self.call("PATCH", path, json)
        assert answer.status == 200, answer.text
        return answer.json

    async def delete(self, path: str) -> None:
        answer = await self.call("DELETE", path)
        assert (answer.status, answer.text) == (204, "")

    async def messages(self, service_id: int, deployment_id: int, **params: str | int) -> list[str]:
        path = f"/services/{service_id}/deployments/{deployment_id}/logs"
        return [line["message"] for line in await self.get(path, **params)]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    # A program that is told to end may take its time; one that does not has an emulator of its own.
    return {"pending_for": 0.0, "stop_grace": PATIENCE}


@pytest.fixture
def client(emulator: Emulator, session: aiohttp.ClientSession) -> Client:
    return Client(emulator, session)


@pytest.fixture
def service_id(emulator: Emulator) -> int:
    return emulator.add_service("web")
