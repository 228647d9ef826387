"""The record of the requests that an emulator has answered."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

__all__ = ["RecordedRequest"]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that the emulator has answered.

    Attributes
    ----------
    method, path, query_string
        As they were sent.
    status
        The status of the answer; None when there was no answer.
    time
        When it arrived, in seconds since the epoch by the emulator's clock.
    elapsed
        Seconds until it was answered.
    """

    method: str
    path: str
    query_string: str
    status: int | None
    time: float
    elapsed: float

    @property
    def query(self) -> dict[str, str]:
        """The query parameters."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))
