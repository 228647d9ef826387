"""What a tail is asked for."""

from __future__ import annotations

import datetime as dt
from typing import Protocol, Self

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

__all__ = [
    "Now",
    "PollOptions",
    "TailOptions",
    "parse_start",
    "validate_options",
    "validate_polling",
]

_GRACE = 30.0  # seconds


class Now(str):
    """The word "now", with the moment at which it was said.

    What time that was by the server's clock is known only when the server has told its time, and
    all tails that begin because of the same word must begin at the same time.

    Parameters
    ----------
    moment : float
        Seconds of the monotonic clock.
    """

    __slots__ = ("moment",)

    moment: float

    def __new__(cls, moment: float) -> Self:
        """Say it at a moment."""
        self = super().__new__(cls, "now")
        self.moment = moment
        return self


def parse_start(value: dt.datetime | str | None, moment: float) -> dt.datetime | Now | None:
    """Read the `start_at` of a tail.

    Parameters
    ----------
    value : datetime or str or None
        A time, "now", or none.
    moment : float
        When it was said, in seconds of the monotonic clock.

    Raises
    ------
    TypeError, ValueError
        If it is neither.
    """
    if value is None or isinstance(value, Now):
        return value
    if value == "now":
        return Now(moment)
    if isinstance(value, str) and value.isalpha():  # a word, such as "Now": no part of a time
        raise ValueError('start_at must be "now" or a time, such as 2026-11-23T12:34:56Z')
    return parse_timestamp(value, "start_at")


class TailOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a tail was asked for; see `Services.tail_logs`."""

    service_id: int
    deployment_id: int | None
    start_at: dt.datetime | Now | None
    end_at: dt.datetime | None
    follow: bool
    poll_interval: float
    max_poll_interval: float
    overlap: float
    grace: float | None
    limit: int
    max_outage: float | None
    on_event: EventHook | None = None

    @property
    def drain(self) -> float:
        """Seconds after a deployment's end during which late lines are awaited."""
        return max(_GRACE, self.overlap) if self.grace is None else self.grace


class PollOptions(Protocol):
    """How often a log is polled and for how much: what one tail and a collector of many share."""

    @property
    def poll_interval(self) -> float: ...  # noqa: D102
    @property
    def max_poll_interval(self) -> float: ...  # noqa: D102
    @property
    def overlap(self) -> float: ...  # noqa: D102
    @property
    def grace(self) -> float | None: ...  # noqa: D102
    @property
    def limit(self) -> int: ...  # noqa: D102


def validate_polling(options: PollOptions) -> None:
    """Refuse intervals and sizes that make no sense.

    Raises
    ------
    TypeError, ValueError
        With the name of the option.
    """
    validate_int(options.limit, "limit", least=1)
    validate_seconds(options.poll_interval, "poll_interval", least=SHORTEST_INTERVAL)
    validate_seconds(options.max_poll_interval, "max_poll_interval", least=options.poll_interval)
    validate_seconds(options.overlap, "overlap", zero=True)
    validate_optional_seconds(options.grace, "grace", zero=True)


def validate_options(options: TailOptions, resume: LogCursor | None) -> TailOptions:
    """Give the options back if they make sense.

    Raises
    ------
    TypeError, ValueError
        If they do not.
    """
    validate_type(options.follow, bool, "follow")
    if not isinstance(resume, LogCursor | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"resume must be a LogCursor or None, not {type(resume).__name__}")
    if not (options.on_event is None or callable(options.on_event)):
        raise TypeError(f"on_event must be callable, not {type(options.on_event).__name__}")
    validate_int(options.service_id, "id")
    validate_optional_int(options.deployment_id, "deployment_id")
    validate_polling(options)
    validate_optional_seconds(options.max_outage, "max_outage", zero=True)
    start_at, end_at = options.start_at, options.end_at
    if isinstance(start_at, dt.datetime) and end_at is not None and end_at < start_at:
        raise ValueError("end_at must not be before start_at")
    if end_at is not None and end_at.year == dt.MAXYEAR:
        options = msgspec.structs.replace(options, end_at=None)  # it never comes
    if resume is None:
        return options
    if start_at is not None:
        raise ValueError("resume says where to start: leave out start_at")
    if (resume.service_id, resume.deployment_id) != (options.service_id, options.deployment_id):
        raise ValueError(f"the cursor is that of {resume.whose}: it cannot be resumed elsewhere")
    return msgspec.structs.replace(options, start_at=resume.start_at)
