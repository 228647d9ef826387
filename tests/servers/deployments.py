"""A server of one service, with its deployments and their logs, that can be behind itself."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

from tests.servers.hostile import Behaviour, Request, Writer, answer


@dataclass
class Deployed:
    id: int
    state: str | None = "running"
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime | None = None
    lines: list[tuple[datetime, str]] = field(default_factory=list)

    def write(self, *messages: str, at: datetime | None = None) -> list[str]:
        for message in messages:
            insort(self.lines, (at or datetime.now(UTC), message), key=lambda line: line[0])
        return list(messages)

    def end(self, state: str = "terminated", at: datetime | None = None) -> None:
        self.state, self.updated_at = state, at or datetime.now(UTC)

    @property
    def json(self) -> dict[str, Any]:
        updated_at = self.updated_at or self.created_at
        return {
            "deploymentId": self.id,
            "serviceId": 1,
            "state": self.state,
            "createdAt": self.created_at.isoformat(),
            "updatedAt": updated_at.isoformat(),
        }


@dataclass
class DeploymentsServer:
    """Service 1.

    Attributes
    ----------
    date
        What the header `Date` says; None: there is none.
    current
        What the service says of its current deployment.
    before
        Is called before a request is answered, with its path.
    page
        Answers a page of a log, given its lines, in place of the usual answer; None: it does not.
    """

    deployments: list[Deployed] = field(default_factory=list)
    current: Deployed | None = None
    date: Callable[[], datetime | None] = lambda: datetime.now(UTC)
    before: Callable[[str], None] = lambda _: None
    page: Callable[[list[Any]], Behaviour | None] = lambda _: None
    ignores_order: bool = False
    listing_is_behind: int = 0  # so many deployments
    hidden: int = 0  # so many requests for the service or a deployment get a 404
    requests: list[str] = field(default_factory=list)
    queries: list[tuple[str, ...]] = field(default_factory=list)

    def deploy(self, *, state: str | None = "running") -> Deployed:
        newest = max((each.id for each in self.deployments), default=6)
        self.current = Deployed(newest + 1, state)
        self.deployments.append(self.current)
        return self.current

    async def behave(self, request: Request, writer: Writer) -> None:
        path, _, query = request.target.partition("?")
        self.before(path)
        self.requests.append(path)
        headers = {}
        if (date := self.date()) is not None:
            headers["Date"] = format_datetime(date, usegmt=True)
        asked = dict(parse_qsl(query))
        if path.endswith("/logs"):
            deployment = self._deployment(path.split("/")[-2])
            lines = _page(deployment, asked)
            self.queries.append(tuple(asked.get(each, "") for each in _PARAMETERS))
            behave = self.page(lines) or answer(lines, headers=headers)
        elif self.hidden and not path.endswith("/deployments"):
            self.hidden -= 1
            behave = answer({"error": "not_found"}, status=404, headers=headers)
        else:
            behave = answer(self._body(path, asked), headers=headers)
        await behave(request, writer)

    def _body(self, path: str, asked: dict[str, str]) -> object:
        if path.endswith("/deployments"):
            return self._listing(asked)
        if "/deployments/" in path:
            return self._deployment(path.split("/")[-1]).json
        return {"id": 1, "currentDeployment": self.current and self.current.json}

    def _listing(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        shown = self.deployments[: len(self.deployments) - self.listing_is_behind]
        if not self.ignores_order:
            shown = shown[::-1]
        limit, page = int(asked["limit"]), int(asked["page_num"])
        return [each.json for each in shown[(page - 1) * limit : page * limit]]

    def _deployment(self, id: str) -> Deployed:
        return next(each for each in self.deployments if each.id == int(id))


_PARAMETERS = ("start_at", "end_at", "limit")


def _page(deployment: Deployed, asked: dict[str, str]) -> list[Any]:
    times = [at for at, _ in deployment.lines]
    low, high = 0, len(times)
    if "start_at" in asked:
        low = bisect_left(times, datetime.fromisoformat(asked["start_at"]))
    if "end_at" in asked:
        high = bisect_right(times, datetime.fromisoformat(asked["end_at"]))
    high = min(high, low + int(asked["limit"]))
    return [
        {"createdAt": at.isoformat(), "message": message, "stream": "stdout", "source": "user"}
        for at, message in deployment.lines[low:high]
    ]


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)
