"""What a tail is asked for."""

from __future__ import annotations

import datetime as dt

import msgspec

from aioservices.validation import validate_type

from .cursor import LogCursor
from .status import EventHook

__all__ = ["TailOptions", "validate_options"]

_LONGEST = 1e9  # seconds
_GRACE = 30.0


class TailOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a tail was asked for; see `Services.tail_logs`."""

    service_id: int
    deployment_id: int | None
    start_at: dt.datetime | None
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
    for name, least in (
        ("poll_interval", 0.001),
        ("max_poll_interval", options.poll_interval),
        ("overlap", 0.0),
        ("grace", 0.0),
        ("max_outage", 0.0),
    ):
        is_optional = name in ("grace", "max_outage")
        kind = int | float | None if is_optional else int | float
        value = validate_type(getattr(options, name), kind, name)
        if value is not None and not least <= value <= _LONGEST:
            raise ValueError(f"{name} must be {least:g} to {_LONGEST:g} seconds, not {value!r}")
    if options.limit < 1:
        raise ValueError(f"limit must be 1 or more lines, not {options.limit!r}")
    start_at, end_at = options.start_at, options.end_at
    if start_at is not None and end_at is not None and end_at < start_at:
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
