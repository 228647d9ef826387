"""A server of one log that tells any time or none, and counts the lines that it serves."""

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl

from tests.servers.hostile import Request, Writer, answer


class PlainServer:
    """Service 1, with deployment 7 and its log.

    Parameters
    ----------
    date : timedelta or None
        How far ahead the clock is that writes the header `Date`. None: no such header.
    """

    def __init__(self, *, date: timedelta | None = timedelta(0)) -> None:
        self.date = date
        self.state: object = "running"
        self.is_current = True  # whether the service has its deployment
        self.pages: list[int] = []  # how many lines each held
        self._times: list[datetime] = []
        self._lines: list[str] = []

    def write(self, *messages: str, at: datetime | None = None) -> list[str]:
        """Write lines, none of them older than one that is there."""
        self._times += [at or datetime.now(UTC)] * len(messages)
        self._lines += messages
        return list(messages)

    async def behave(self, request: Request, writer: Writer) -> None:
        path, _, query = request.target.partition("?")
        deployment = {"deploymentId": 7, "serviceId": 1, "state": self.state}
        body: object = {"id": 1, "currentDeployment": deployment if self.is_current else None}
        if path.endswith("/deployments"):
            body = [deployment]
        elif path.endswith("/logs"):
            body = page = self._page(dict(parse_qsl(query)))
            self.pages.append(len(page))
        headers = {}
        if self.date is not None:
            headers["Date"] = format_datetime(datetime.now(UTC) + self.date, usegmt=True)
        await answer(body, headers=headers)(request, writer)

    def _page(self, asked: dict[str, str]) -> list[dict[str, str]]:
        low, high = 0, len(self._times)
        if "start_at" in asked:
            low = bisect_left(self._times, datetime.fromisoformat(asked["start_at"]))
        if "end_at" in asked:
            high = bisect_right(self._times, datetime.fromisoformat(asked["end_at"]))
        high = min(high, low + int(asked["limit"]))
        return [
            {"createdAt": at.isoformat(), "message": message, "stream": "stdout", "source": "user"}
            for at, message in zip(self._times[low:high], self._lines[low:high], strict=True)
        ]
