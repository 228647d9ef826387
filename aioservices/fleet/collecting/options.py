"""The options of a collector, and what it needs from a session."""

from __future__ import annotations

from collections.abc import AsyncIterable
from datetime import datetime
from typing import Protocol, Self, get_args

import msgspec

from aioservices.api.models import ServiceSummary
from aioservices.api.states import StatusFilter
from aioservices.http.ratelimit import RateLimit
from aioservices.tail import EventHook, LogCursor, LogTail
from aioservices.tail.options import PollOptions, parse_start
from aioservices.validation import validate_choice, validate_int, validate_ints, validate_seconds

__all__ = ["CollectOptions", "CollectSession"]


class CollectOptions(PollOptions, frozen=True, kw_only=True):
    """The options of a collector.

    Attributes
    ----------
    patterns : tuple of str
        Names, patterns and ids of services. Empty: all that are listed.
    ids : tuple of int or None
        Only these services, listed or not.
    status : str or None, default "running"
        Only services with this status are listed; None for all.
    start_at : datetime or str, optional
        Lines before this time are left out; "now" is the server's time at the call.
    refresh : float, default 30.0
        Seconds between two listings of the services.
    poll_interval, max_poll_interval, overlap, grace : float
        See `Services.tail_logs`.
    limit : int, default 1000
        Lines per page.
    lease : float, default 30.0
        Seconds of a lease in a store that several collectors share.
    max_waiting : int, default 200000
        Lines of all services that may wait to be stored.
    commit_interval : float, default 1.0
        Seconds between commits.
    """

    patterns: tuple[str, ...] = ()
    ids: tuple[int, ...] | None = None
    status: StatusFilter | None = "running"
    start_at: datetime | str | None = None
    refresh: float = 30.0
    limit: int = 1_000
    lease: float = 30.0
    max_waiting: int = 200_000
    commit_interval: float = 1.0

    def __post_init__(self) -> None:
        if self.ids is not None:
            validate_ints(self.ids, "ids")
        validate_choice(self.status, get_args(StatusFilter), "status")
        start_at = parse_start(self.start_at)
        msgspec.structs.force_setattr(self, "start_at", start_at)
        validate_seconds(self.refresh, "refresh")
        super().__post_init__()
        validate_seconds(self.lease, "lease")
        validate_int(self.max_waiting, "max_waiting", least=1)
        validate_seconds(self.commit_interval, "commit_interval")


class CollectSession(Protocol):
    """What a collector needs from a session; `Services` has it."""

    @property
    def rate_limit(self) -> RateLimit | None:
        """The last rate limit seen."""
        ...

    def key_id(self, salt: bytes) -> bytes:
        """Hash the API key."""
        ...

    def share_rate_limit(self, sharers: int) -> None:
        """Share the rate limit with other processes."""
        ...

    def with_options(self, *, background: bool) -> Self:
        """Make a view whose calls let others go first."""
        ...

    def list(self, *, status: StatusFilter | None = None) -> AsyncIterable[ServiceSummary]:
        """``GET /services``, every page."""
        ...

    def tail_logs(
        self,
        id: int,
        *,
        start_at: datetime | str | None,
        resume: LogCursor | None,
        poll_interval: float,
        max_poll_interval: float,
        overlap: float,
        grace: float | None,
        limit: int,
        on_event: EventHook | None,
    ) -> LogTail:
        """Follow the log of a service."""
        ...
