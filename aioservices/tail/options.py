"""What a tail is asked for."""

from __future__ import annotations

import datetime as dt
import time

import msgspec

from aioservices.validation import (
    SHORTEST_INTERVAL,
    parse_timestamp,
    validate_int,
    validate_optional_int,
    validate_optional_seconds,
    validate_seconds,
    validate_type,
)

from .cursor import LogCursor
from .status import EventHook

__all__ = ["Now", "PollOptions", "TailOptions", "parse_start"]

_GRACE = 30.0  # seconds


class Now(str):
    """The word "now", with the moment at which it was said.

    What time that was by the server's clock is known only when the server has told its time, and
    all tails that begin because of the same word must begin at the same time.

    Attributes
    ----------
    moment : float
        Seconds of the monotonic clock.
    """

    __slots__ = ("moment",)

    def __init__(self, _: str) -> None:
        self.moment = time.monotonic()


def parse_start(value: dt.datetime | str | None) -> dt.datetime | Now | None:
    """Read the `start_at` of a tail: a time, "now", or None.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    if value is None or isinstance(value, Now):
        return value
    if value == "now":
        return Now("now")
    if isinstance(value, str) and value.isalpha():  # a word, such as "Now": no part of a time
        raise ValueError('start_at must be "now" or a time, such as 2026-11-23T12:34:56Z')
    return parse_timestamp(value, "start_at")


class PollOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a log is polled: what one tail, a watch and a collector of many logs have in common.

    The public signatures write these defaults out once more, for editors and documentation; a test
    compares them. `Services.tail_logs` documents each.
    """

    poll_interval: float = 1.0
    max_poll_interval: float = 30.0
    overlap: float = 60.0
    grace: float | None = None
    limit: int = 10_000

    def __post_init__(self) -> None:
        validate_int(self.limit, "limit", least=1)
        validate_seconds(self.poll_interval, "poll_interval", least=SHORTEST_INTERVAL)
        validate_seconds(self.max_poll_interval, "max_poll_interval", least=self.poll_interval)
        validate_seconds(self.overlap, "overlap", zero=True)
        validate_optional_seconds(self.grace, "grace", zero=True)

    @property
    def drain(self) -> float:
        """Seconds after a deployment's end during which late lines are awaited."""
        return max(_GRACE, self.overlap) if self.grace is None else self.grace


class TailOptions(PollOptions, frozen=True, kw_only=True):
    """What a tail was asked for; see `Services.tail_logs`.

    Raises
    ------
    TypeError, ValueError
        If the options make no sense, with the name of one.
    """

    service_id: int
    deployment_id: int | None = None
    start_at: dt.datetime | Now | None = None
    end_at: dt.datetime | None = None
    follow: bool = True
    max_outage: float | None = None
    on_event: EventHook | None = None

    def __post_init__(self) -> None:
        validate_type(self.follow, bool, "follow")
        if not (self.on_event is None or callable(self.on_event)):
            raise TypeError(f"on_event must be callable, not {type(self.on_event).__name__}")
        validate_int(self.service_id, "id")
        validate_optional_int(self.deployment_id, "deployment_id")
        super().__post_init__()
        validate_optional_seconds(self.max_outage, "max_outage", zero=True)
        start_at, end_at = self.start_at, self.end_at
        if isinstance(start_at, dt.datetime) and end_at is not None and end_at < start_at:
            raise ValueError("end_at must not be before start_at")
        if end_at is not None and end_at.year == dt.MAXYEAR:
            msgspec.structs.force_setattr(self, "end_at", None)  # it never comes

    def resuming(self, cursor: LogCursor | None) -> TailOptions:
        """Return the options of a tail that goes on where another one stood.

        Raises
        ------
        TypeError, ValueError
            If that is not a cursor, or is one of another log.
        """
        if cursor is None:
            return self
        if not isinstance(cursor, LogCursor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"resume must be a LogCursor or None, not {type(cursor).__name__}")
        if self.start_at is not None:
            raise ValueError("resume says where to start: leave out start_at")
        if (cursor.service_id, cursor.deployment_id) != (self.service_id, self.deployment_id):
            raise ValueError(
                f"the cursor is that of {cursor.whose}: it cannot be resumed elsewhere"
            )
        return msgspec.structs.replace(self, start_at=cursor.start_at)
