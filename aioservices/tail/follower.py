"""Which logs a tail reads: those of one deployment, or of each that a service comes to have."""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections.abc import Awaitable, Callable

import anyio

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.api.states import UnknownStates, is_final
from aioservices.errors import NotFoundError, PermissionDeniedError

from .cursor import NO_DEPLOYMENT, Latest, Position
from .fetcher import LogSource, PatientSource
from .options import TailOptions
from .part import Outlet, Part
from .poller import Poller, jittered
from .schedule import Pace
from .status import DeploymentStarted, TailMetrics, UnknownState
from .traits import ServerTraits
from .window import Window

__all__ = ["Follower"]

log = logging.getLogger("aioservices.tail")

# How many polls there are to a look at the service.
_POLLS = 2
# Replaced deployments that are remembered, lest one that comes back is read anew.
_REMEMBERED = 100


class Follower:
    """Reads the logs of one service and hands on what is new.

    It runs in a task of its own and must not refer to the tail, which ends it
    when it is dropped.

    Parameters
    ----------
    source : LogSource
    options : TailOptions
    traits : ServerTraits
    metrics : TailMetrics
    positions : sequence of Position
        Where to go on.
    latest : Latest, optional
        The newest deployment that is known from before.

    Attributes
    ----------
    before : Latest or None
        The newest deployment that had come and gone when the tail began.
    """

    def __init__(
        self,
        source: LogSource,
        options: TailOptions,
        traits: ServerTraits,
        metrics: TailMetrics,
        positions: tuple[Position, ...] = (),
        latest: Latest | None = None,
    ) -> None:
        self.before: Latest | None = None
        self._latest = latest
        self._options = options
        self._traits = traits
        self._metrics = metrics
        self._positions = positions
        self._source = PatientSource(
            source,
            options.service_id,
            metrics,
            shortest=options.poll_interval,
            longest=options.max_poll_interval,
            max_outage=options.max_outage,
        )
        self._logs: dict[int, Poller] = {}
        self._unknown_states = UnknownStates()
        self._pace = Pace(options.poll_interval, options.max_poll_interval)  # without a log to poll
        self._failure: Exception | None = None

    async def run(self, send: Callable[[Part], Awaitable[None]]) -> None:
        """Read until all that was asked for was handed on."""
        self._outlet = Outlet(send)
        async with anyio.create_task_group() as group:
            self._group = group
            for position in self._positions:
                self._take_up(position.deployment_id, position.window())
            group.start_soon(self._guarded, self._watch)
        if self._failure is not None:
            raise self._failure

    async def _guarded(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a part of the work; an error ends the whole and is raised as it is."""
        try:
            await work(*args)
        except Exception as exc:
            self._failure = self._failure or exc
            self._group.cancel_scope.cancel()

    async def _watch(self) -> None:
        """Look at the service now and then."""
        named = self._options.deployment_id
        while True:
            await self._outlet.ready()
            if named is None:
                current = await self._look_at_service()
            else:
                current = await self._look_at_deployment(named)
            left = self._seconds_left()
            if not self._options.follow or left <= 0:
                return
            await anyio.sleep(min(left, jittered(self._seconds_between_looks(current))))

    async def _look_at_service(self) -> Poller | None:
        deployment = (await self._source.service()).current_deployment
        if deployment is None or deployment.deployment_id not in self._logs:
            await self._take_up_new(deployment)
        current = self._logs[deployment.deployment_id] if deployment else None
        if current is not None and deployment is not None:
            self._note_state(current, deployment)
        for reading in self._logs.values():
            if reading is not current and not reading.replaced:
                reading.note_replaced()
        self._forget_finished()
        return current

    async def _look_at_deployment(self, deployment_id: int) -> Poller:
        current = (await self._source.service()).current_deployment
        deployment = current
        if deployment is None or deployment.deployment_id != deployment_id:
            deployment = await self._source.deployment(deployment_id)
        reading = self._logs.get(deployment_id)
        if reading is None:
            reading = self._take_up(deployment_id, created_at=deployment.created_at)
        if is_final(deployment.state) or not _is_newer(current, deployment):
            self._note_state(reading, deployment)
        else:
            reading.note_replaced()
        return reading

    async def _take_up_new(self, current: Deployment | None) -> None:
        """Take up the deployments that came since the last look, also those that went again."""
        new: list[DeploymentSummary | Deployment] = []
        if self._latest is not None:
            new += await self._source.deployments_since(*self._latest)
        elif current is None:
            # What was before is not asked for; whatever comes from now on is.
            newest = await self._source.newest_deployment()
            self.before = (
                Latest(newest.deployment_id, newest.created_at) if newest else NO_DEPLOYMENT
            )
            self._latest = self.before
        if current is not None and all(each.deployment_id != current.deployment_id for each in new):
            new.append(current)
        for each in new:
            if each.deployment_id not in self._logs:
                self._take_up(each.deployment_id, created_at=each.created_at)
                self._metrics.emit(
                    DeploymentStarted(
                        service_id=self._options.service_id,
                        deployment_id=each.deployment_id,
                        replaces=(self._latest and self._latest.deployment_id) or None,
                    )
                )
            self._latest = Latest(each.deployment_id, each.created_at).or_newer(self._latest)

    def _take_up(
        self,
        deployment_id: int,
        window: Window | None = None,
        created_at: dt.datetime | None = None,
    ) -> Poller:
        self._logs[deployment_id] = reading = Poller(
            deployment_id,
            Window(self._options.start_at) if window is None else window,  # one may be empty
            source=self._source,
            outlet=self._outlet,
            options=self._options,
            traits=self._traits,
            metrics=self._metrics,
            created_at=created_at,
        )
        self._group.start_soon(self._guarded, self._read, reading)
        return reading

    def _note_state(self, reading: Poller, deployment: Deployment) -> None:
        if self._unknown_states.is_new(deployment.state):
            self._report_unknown_state(deployment)
        reading.note_state(deployment)
        if reading.over and not is_final(deployment.state):
            reading.over = False
            self._group.start_soon(self._guarded, self._read, reading)

    def _report_unknown_state(self, deployment: Deployment) -> None:
        event = UnknownState(
            service_id=self._options.service_id,
            deployment_id=deployment.deployment_id,
            state=str(deployment.state),
        )
        log.warning(
            "deployment %d of service %d is in the unknown state %r: it counts as running",
            event.deployment_id,
            event.service_id,
            event.state,
        )
        self._metrics.emit(event)

    async def _read(self, reading: Poller) -> None:
        try:
            await reading.run()
        except (NotFoundError, PermissionDeniedError):
            if not await self._has_moved_on(reading):
                raise
            log.warning("the log of deployment %d is gone", reading.deployment_id)
        await reading.finish()
        if self._options.deployment_id is not None:
            self._group.cancel_scope.cancel()

    async def _has_moved_on(self, reading: Poller) -> bool:
        """Whether the service that is followed does without a deployment whose log is gone."""
        if self._options.deployment_id is not None:
            return False
        current = (await self._source.service()).current_deployment
        return current is None or current.deployment_id != reading.deployment_id

    def _forget_finished(self) -> None:
        finished = [each for each in self._logs.values() if each.replaced and each.over]
        for reading in finished:
            reading.forget_lines()
        for reading in finished[:-_REMEMBERED]:
            del self._logs[reading.deployment_id]

    def _seconds_between_looks(self, current: Poller | None) -> float:
        if current is None:  # such a look takes two requests
            return 2 * self._pace.after(0)
        if current.over:
            return self._pace.after(0)
        self._pace.after(1)
        return current.interval * _POLLS

    def _seconds_left(self) -> float:
        """Seconds until nothing can come any more."""
        end_at = self._options.end_at
        if end_at is None:
            return math.inf
        return (end_at - self._source.clock.now()).total_seconds() + self._options.grace


def _is_newer(current: Deployment | None, than: Deployment) -> bool:
    """Whether a service's current deployment took the place of another one."""
    if current is None or current.created_at is None or than.created_at is None:
        return False
    return current.created_at > than.created_at
