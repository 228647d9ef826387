"""A server whose reads lag behind its writes, as those of replicas do."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from yarl import URL

from .hostile import Request, Writer, answer, hostile


@dataclass
class LaggingServer:
    """Services, each of which is shown as it was some time ago.

    Attributes
    ----------
    lag : float
        Seconds by which what is read is behind.
    """

    lag: float
    url: str = ""
    reads: list[str] = field(default_factory=list)
    _created: dict[int, float] = field(default_factory=dict)
    _deployments: dict[int, list[tuple[float, dict[str, Any]]]] = field(default_factory=dict)

    def add_service(self) -> int:
        """Create a service now."""
        service_id = len(self._created) + 1
        self._created[service_id] = time.monotonic()
        self._deployments[service_id] = []
        return service_id

    def deploy(self, service_id: int) -> dict[str, Any]:
        """Make a deployment now."""
        made = self._deployments[service_id]
        deployment = {
            "deploymentId": 100 * service_id + len(made),
            "serviceId": service_id,
            "state": "running",
            "createdAt": datetime.now(UTC).isoformat(),
        }
        made.append((time.monotonic(), deployment))
        return deployment

    async def behave(self, request: Request, writer: Writer) -> None:
        parts = URL(request.target).path.strip("/").split("/")
        if request.method == "POST":
            made = self.deploy(int(parts[1]))
            return await answer(made, status=201)(request, writer)
        self.reads.append(request.target)
        found = self._read([int(part) for part in parts if part.isdigit()], parts[-1])
        if found is None:
            missing = {"error": "not_found", "code": 404}
            return await answer(missing, status=404)(request, writer)
        return await answer(found)(request, writer)

    def _read(self, ids: list[int], last: str) -> object:
        seen_until = time.monotonic() - self.lag
        services = [each for each, at in self._created.items() if at <= seen_until]
        if not ids:
            return [self._service(each, seen_until) for each in services]
        if ids[0] not in services:
            return None
        visible = [made for at, made in self._deployments[ids[0]] if at <= seen_until]
        if last == "logs":
            return []
        if last == "deployments":
            return visible[::-1]
        if len(ids) == 1:
            return self._service(ids[0], seen_until)
        return next((made for made in visible if made["deploymentId"] == ids[1]), None)

    def _service(self, service_id: int, seen_until: float) -> dict[str, Any]:
        visible = [made for at, made in self._deployments[service_id] if at <= seen_until]
        return {"id": service_id, "currentDeployment": visible[-1] if visible else None}


@asynccontextmanager
async def lagging(lag: float) -> AsyncIterator[LaggingServer]:
    """Serve services whose changes are shown some seconds later."""
    server = LaggingServer(lag)
    async with hostile(server.behave) as listener:
        server.url = listener.url
        yield server
