"""What a tail tells about itself: its state at any moment, and events as they happen."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from aioservices.concurrency import Signal
from aioservices.errors import RequestError

__all__ = [
    "DeploymentEnded",
    "DeploymentStarted",
    "EventHook",
    "GapFound",
    "LogGap",
    "OutageEnded",
    "OutageStarted",
    "TailEvent",
    "TailMetrics",
    "TailStatus",
    "UnknownState",
]

log = logging.getLogger("aioservices.tail")

_REMEMBERED_GAPS = 100


class LogGap(UserWarning):
    """Lines that exist and cannot be read: an instant holds more of them than any page.

    Attributes
    ----------
    service_id, deployment_id : int
    start, end : datetime or None
        Between which times lines may be missing; None is open.
    """

    def __init__(
        self,
        service_id: int,
        deployment_id: int,
        start: dt.datetime | None,
        end: dt.datetime | None,
    ) -> None:
        self.service_id = service_id
        self.deployment_id = deployment_id
        self.start = start
        self.end = end
        super().__init__(service_id, deployment_id, start, end)

    def __str__(self) -> str:
        from aioservices.terminal.times import format_instant  # which most programs never need

        begin = "the beginning" if self.start is None else format_instant(self.start, "auto")
        until = "now" if self.end is None else format_instant(self.end, "auto")
        return (
            f"the log of deployment {self.deployment_id} of service {self.service_id} holds more "
            f"lines from {begin} to {until} than the server gives: some may be missing"
        )


class OutageStarted(msgspec.Struct, frozen=True, kw_only=True):
    """The server could not be reached, or did not serve what the tail asked for.

    The tail goes on asking, and no line is lost; one outage is reported once.

    Attributes
    ----------
    service_id : int
    deployment_id : int or None
        Whose log was asked for; None if the request was about the service.
    error : RequestError
        The first failure.
    since : datetime
        When that was, by our clock.
    """

    service_id: int
    deployment_id: int | None
    error: RequestError
    since: dt.datetime


class OutageEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The server serves the tail again.

    Attributes
    ----------
    service_id : int
    deployment_id : int or None
        As in the `OutageStarted` before it.
    since, at : datetime
        When the outage started and ended, by our clock.
    """

    service_id: int
    deployment_id: int | None
    since: dt.datetime
    at: dt.datetime


class DeploymentStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment was found whose log is read from now on.

    Attributes
    ----------
    service_id, deployment_id : int
    replaces : int or None
        The deployment that was the service's current one before it; None for the first one.
    """

    service_id: int
    deployment_id: int
    replaces: int | None


class DeploymentEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment was found in a final state, and its lines so far were handed on.

    A deployment that is replaced while it runs has no such event: `DeploymentStarted.replaces`
    tells of it.

    Attributes
    ----------
    service_id, deployment_id : int
    state : str or None
        The final state, such as `failed`.
    state_message : str or None
        What the platform says about that state.
    at : datetime or None
        When it ended, by the server's clock.
    """

    service_id: int
    deployment_id: int
    state: str | None
    state_message: str | None
    at: dt.datetime | None


class GapFound(msgspec.Struct, frozen=True, kw_only=True):
    """Lines exist that cannot be read.

    Attributes
    ----------
    service_id : int
    gap : LogGap
        Where they are.
    """

    service_id: int
    gap: LogGap


class UnknownState(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment is in a state that this release does not know; it counts as running.

    Attributes
    ----------
    service_id, deployment_id : int
    state : str
    """

    service_id: int
    deployment_id: int
    state: str


TailEvent: TypeAlias = (
    OutageStarted | OutageEnded | DeploymentStarted | DeploymentEnded | GapFound | UnknownState
)
EventHook: TypeAlias = Callable[[TailEvent], object]


class TailStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a tail is doing: what tells a quiet log from a broken one.

    Attributes
    ----------
    deployments : tuple of int
        Whose logs are being read.
    polls : int
        Polls that were completed.
    lines : int
        New lines that they brought.
    late_lines : int
        Lines among them that turned up behind newer ones.
    last_poll : datetime or None
        When one succeeded last, by our clock.
    next_poll : datetime or None
        When the next one is due, by our clock; None while one is under way, or none is planned.
    lag : float or None
        Seconds since the last poll that succeeded.
    outages : int
        Times that the server could not be reached or did not serve.
    error : str or None
        What is wrong, during an outage.
    gap_count : int
        Times that lines were found that cannot be read.
    gaps : tuple of LogGap
        Where these are; the last hundred.
    sheds : int
        Times that more lines than can be counted lay inside the overlap. The older half of them
        is no longer looked at for late lines, which is reported as a gap and counted there too.
    """

    deployments: tuple[int, ...] = ()
    polls: int = 0
    lines: int = 0
    late_lines: int = 0
    last_poll: dt.datetime | None = None
    next_poll: dt.datetime | None = None
    lag: float | None = None
    outages: int = 0
    error: str | None = None
    gap_count: int = 0
    gaps: tuple[LogGap, ...] = ()
    sheds: int = 0


class TailMetrics:
    """What `TailStatus` is made of, and the one place from which events are sent.

    Attributes
    ----------
    due : dict of int to float or None
        When the log of each deployment is polled next; None: it is being polled.
    answered : Signal
        Is sent when a call is answered during an outage.
    """

    __slots__ = (
        "_error",
        "_failing",
        "_gap_count",
        "_gaps",
        "_last_poll",
        "_late_lines",
        "_lines",
        "_on_event",
        "_outage",
        "_outages",
        "_polls",
        "_service_id",
        "_sheds",
        "answered",
        "due",
    )

    def __init__(self, service_id: int, on_event: EventHook | None = None) -> None:
        self.due: dict[int, float | None] = {}
        self.answered = Signal()
        self._polls = self._lines = self._late_lines = self._sheds = 0
        self._last_poll: dt.datetime | None = None
        self._outages = self._gap_count = 0
        self._error: str | None = None
        self._gaps: tuple[LogGap, ...] = ()
        self._service_id = service_id
        self._on_event = on_event
        self._failing: tuple[object, ...] = ()  # calls that are being repeated
        self._outage: OutageStarted | None = None

    def emit(self, event: TailEvent) -> None:
        """Hand an event to the hook; an error of the hook is not the tail's."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:
            log.exception("on_event failed")

    def record_poll(self, lines: int, late: int, evictions: int) -> None:
        """Count a poll, and what it brought."""
        self._polls += 1
        self._lines += lines
        self._late_lines += late
        self._sheds += evictions
        self._last_poll = dt.datetime.now(dt.UTC)

    def record_gap(self, gap: LogGap) -> None:
        """Count a gap, and report it."""
        self._gap_count += 1
        self._gaps = (*self._gaps, gap)[-_REMEMBERED_GAPS:]
        log.warning("%s", gap)
        self.emit(GapFound(service_id=self._service_id, gap=gap))

    def record_failure(self, call: object, error: RequestError, deployment_id: int | None) -> None:
        """Record that a call failed, which is repeated.

        An outage lasts until a call is answered while no other one is being repeated. When one is
        answered, the others need not wait any longer.
        """
        if call not in self._failing:
            self._failing += (call,)
        self._error = str(error)
        if self._outage is not None:
            return
        self._outages += 1
        self._outage = OutageStarted(
            service_id=self._service_id,
            deployment_id=deployment_id,
            error=error,
            since=dt.datetime.now(dt.UTC),
        )
        log.warning("the log is not served: %s", error)
        self.emit(self._outage)

    def end_call(self, call: object, *, served: bool) -> None:
        """Record that a call was answered (`served`), or is not made any more."""
        if self._failing:
            self._failing = tuple(each for each in self._failing if each is not call)
        outage = self._outage
        if outage is None or not served:
            return
        if self._failing:
            self.answered.send()
            return
        self._outage = None
        self._error = None
        log.info("the log is served again")
        self.emit(
            OutageEnded(
                service_id=self._service_id,
                deployment_id=outage.deployment_id,
                since=outage.since,
                at=dt.datetime.now(dt.UTC),
            )
        )

    def snapshot(self) -> TailStatus:
        """Say how the tail is doing now."""
        now, last = dt.datetime.now(dt.UTC), self._last_poll
        due = [at for at in self.due.values() if at is not None]
        is_waiting = due and len(due) == len(self.due)
        return TailStatus(
            deployments=tuple(sorted(self.due)),
            polls=self._polls,
            lines=self._lines,
            late_lines=self._late_lines,
            last_poll=last,
            next_poll=dt.datetime.fromtimestamp(min(due), dt.UTC) if is_waiting else None,
            lag=None if last is None else max(0.0, (now - last).total_seconds()),
            outages=self._outages,
            error=self._error,
            gap_count=self._gap_count,
            gaps=self._gaps,
            sheds=self._sheds,
        )
