"""Which logs a tail reads: that of one deployment, or those of all deployments of a service.

The current deployment says nothing about others that came and went between two checks. So
whenever it changes the listing of deployments is read, back to the newest one that the listing
has shown before. A listing may be behind: while it lacks the current deployment, it is read again
at the next check, for a while. The listing's own mark therefore moves only with what it shows.

A deployment that has ended, or was replaced, is drained: read until nothing can come any more.
Drained ones are kept for a while, because they may come back: a state that flaps, a service that
had no current deployment for some time.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
import time
from collections.abc import Awaitable, Callable

from aioservices.api.states import UnknownStates, is_final
from aioservices.concurrency import first_error
from aioservices.errors import NotFoundError, PermissionDeniedError

from .budget import Outlet
from .cursor import Batch, Position
from .dedup import DeliveredLines
from .deployments import DeploymentSnapshot
from .options import Now
from .poller import CHECK_EVERY, PollContext, Poller, jittered
from .schedule import PollInterval
from .status import DeploymentStarted, UnknownState

__all__ = ["Follower"]

log = logging.getLogger("aioservices.tail")

# Replaced deployments that are remembered, so that one that comes back is not read again.
_REMEMBERED = 100
# For how many seconds a listing that lacks the current deployment is taken for a stale one.
_LISTING_LAG = 60.0


class _LogEndedError(Exception):
    """The log of the deployment that was named was read to its end."""


class Follower:
    """Reads the logs of one service, from positions in some of them, and hands on what is new.

    It runs in a task of its own and must not refer to the tail, which ends it when it is dropped.

    Attributes
    ----------
    before : DeploymentSnapshot or None
        The newest deployment that had come and gone when the tail began.
    """

    __slots__ = (
        "_context",
        "_fetcher",
        "_group",
        "_interval",
        "_is_check_due",
        "_is_finishing",
        "_listed",
        "_metrics",
        "_newest",
        "_options",
        "_outlet",
        "_pollers",
        "_positions",
        "_progress",
        "_start_at",
        "_unknown_states",
        "_unlisted_since",
        "before",
    )

    def __init__(
        self,
        context: PollContext,
        positions: tuple[Position, ...],
        latest: DeploymentSnapshot | None,
    ) -> None:
        self.before: DeploymentSnapshot | None = None
        self._context = context
        self._options = options = context.options
        self._start_at = options.start_at
        self._fetcher = context.fetcher
        self._metrics = context.metrics
        self._progress = context.progress  # is sent, too, when a check is due
        self._positions = positions
        self._pollers: dict[int, Poller] = {}
        self._newest = latest  # deployment that was started, by this process or before
        self._listed = latest  # newest deployment that the listing is known to have shown
        self._unlisted_since: float | None = None  # since when the listing lacks the current one
        self._unknown_states = UnknownStates()
        # Between two checks without a log to poll:
        self._interval = PollInterval(options.poll_interval, options.max_poll_interval)
        self._is_finishing = False
        self._is_check_due = False

    @property
    def start_at(self) -> dt.datetime | None:
        """Before which lines are left out; of "now" an estimate, until the server has answered."""
        start = self._start_at
        return self._fetcher.clock.at(start.moment) if isinstance(start, Now) else start

    def follow(self, *, new: bool) -> None:
        """Follow new deployments, or end when those that are read have ended."""
        self._is_finishing = not new
        self._check_soon()

    def _check_soon(self) -> None:
        self._is_check_due = True
        self._progress.send()

    async def run(self, send: Callable[[Batch], Awaitable[None]]) -> None:
        """Read until all that was asked for was handed on; an error is raised as it is."""
        self._outlet = Outlet(send)
        failures: list[BaseException] = []
        try:
            # Not anyio's, whose tasks take three times as much memory: there are thousands.
            async with asyncio.TaskGroup() as self._group:
                for position in self._positions:
                    deployment = DeploymentSnapshot(position.deployment_id)
                    self._start_polling(deployment, position.delivered())
                await self._watch()
        except* Exception as errors:
            failures.append(first_error(errors))
        if failures and not isinstance(failures[0], _LogEndedError):
            raise failures.pop()  # no cycle: what its frames hold goes with it

    # Checking the service

    async def _watch(self) -> None:
        """Check the service now and then."""
        while True:
            await self._outlet.ready()
            try:
                current = await self._check()
            except (NotFoundError, PermissionDeniedError):
                for poller in self._pollers.values():  # what is left can still be read
                    poller.record_gone()
                while not self._is_over:
                    await self._progress.wait()
                if self._is_finishing:
                    return
                raise
            left = self._seconds_left()
            is_finished = self._is_finishing and self._is_over
            if is_finished or not self._options.follow or left <= 0:
                return
            await self._wait_for_next_check(current, left)

    async def _check(self) -> Poller | None:
        """See which deployment is the current one; gives who polls the log that matters now."""
        current = await self._fetcher.current_deployment()
        if isinstance(self._start_at, Now):  # which time it was must be known before a log is read
            await self._fetcher.learn_time()
            self._start_at = self.start_at
        if self._options.deployment_id is None:
            return await self._check_service(current)
        return await self._check_deployment(self._options.deployment_id, current)

    async def _check_service(self, deployment: DeploymentSnapshot | None) -> Poller | None:
        if not self._is_finishing or self._listed is None:
            await self._start_new(deployment)
        current = None
        if deployment and (current := self._pollers.get(deployment.deployment_id)):
            self._record_state(current, deployment)
        for poller in self._pollers.values():
            if poller is not current and not poller.is_replaced:
                poller.record_replaced()
        drained = [each for each in self._pollers.values() if each.is_replaced and each.is_over]
        for poller in drained[:-_REMEMBERED]:
            del self._pollers[poller.deployment_id]
        return current

    async def _check_deployment(
        self, deployment_id: int, current: DeploymentSnapshot | None
    ) -> Poller:
        deployment = current
        if deployment is None or deployment.deployment_id != deployment_id:
            is_young = current is None or current.deployment_id < deployment_id
            deployment = await self._fetcher.deployment(deployment_id, is_young=is_young)
        poller = self._pollers.get(deployment_id) or self._start_polling(deployment)
        was_replaced = current is not None and deployment.or_newer(current) is not deployment
        if is_final(deployment.state) or not was_replaced:
            self._record_state(poller, deployment)
        else:
            poller.record_replaced()
        return poller

    async def _wait_for_next_check(self, current: Poller | None, longest: float) -> None:
        """Wait, also until the log was asked for twice: checks must not outnumber the polls."""
        self._is_check_due = False
        now = time.monotonic()
        requests = 0
        if current is None:  # such a check takes two requests
            interval = 2 * self._interval.after(0)
        elif current.is_over:
            interval = self._interval.after(0)
        else:
            self._interval.after(1)
            interval = CHECK_EVERY * current.interval
            requests = current.requests + CHECK_EVERY
            current.signal_at(requests)
        begins_at, ends_at = now + jittered(interval), now + longest
        while not self._is_check_due and now < ends_at:
            has_asked = current is None or current.is_over or current.requests >= requests
            if has_asked and now >= begins_at:
                return
            await self._progress.wait((begins_at if has_asked else ends_at) - now)
            now = time.monotonic()

    def _seconds_left(self) -> float:
        """Seconds until nothing can come any more."""
        end_at = self._options.end_at
        if end_at is None:
            return math.inf
        return (end_at - self._fetcher.clock.now()).total_seconds() + self._options.drain

    # New deployments

    async def _start_new(self, current: DeploymentSnapshot | None) -> None:
        """Start to poll the deployments that came since the last check, also those that went."""
        is_known = current is not None and current.deployment_id in self._pollers
        if is_known and self._unlisted_since is None:
            return
        new = await self._find_new(current)
        if current is not None:
            new = [each for each in new if each.deployment_id != current.deployment_id] + [current]
        for each in new:
            if each.deployment_id in self._pollers:
                continue
            self._start_polling(each)
            replaced = self._newest
            self._metrics.emit(
                DeploymentStarted(
                    service_id=self._options.service_id,
                    deployment_id=each.deployment_id,
                    replaces=(replaced and replaced.deployment_id) or None,
                )
            )
            self._newest = each.or_newer(replaced)

    async def _find_new(self, current: DeploymentSnapshot | None) -> list[DeploymentSnapshot]:
        """List the deployments that are new, oldest first.

        At the first check, what came before the current one is not, and without one what has ended.
        """
        mark, asked_at = self._listed, self._fetcher.clock.latest()
        if mark is None and current is not None:
            self._listed = current
            return []

        def is_old(each: DeploymentSnapshot) -> bool:
            if mark is not None:
                return not each.is_newer(mark)
            # It may be newer than the answer that told of none, and even have been replaced.
            is_recent = each.created_at is not None and each.created_at > asked_at
            return is_final(each.state) and not is_recent

        listed = await self._fetcher.deployments(is_old)
        new = [each for each in listed if not is_old(each)]
        self._advance_mark(listed if mark is None else new)
        if mark is None and not new:
            self.before = self._listed = self._listed or DeploymentSnapshot(0)
        ids = {each.deployment_id for each in new}
        if current is None or is_old(current) or current.deployment_id in ids:
            self._unlisted_since = None
        elif self._unlisted_since is None:
            self._unlisted_since = time.monotonic()
        elif time.monotonic() - self._unlisted_since > _LISTING_LAG:
            self._unlisted_since = None
            self._advance_mark([current])
        return new

    def _advance_mark(self, listed: list[DeploymentSnapshot]) -> None:
        """Note what the listing is known to have shown."""
        for each in listed:
            if self._listed is None or each.is_newer(self._listed):
                self._listed = each

    # Polling

    def _start_polling(
        self, deployment: DeploymentSnapshot, delivered: DeliveredLines | None = None
    ) -> Poller:
        if delivered is None:
            delivered = DeliveredLines(self.start_at)
        poller = Poller(self._context, self._outlet, deployment, delivered)
        self._pollers[deployment.deployment_id] = poller
        self._group.create_task(self._poll(poller))
        return poller

    def _record_state(self, poller: Poller, deployment: DeploymentSnapshot) -> None:
        deployment_id, state = poller.deployment_id, deployment.state
        if state is not None and self._unknown_states.is_new(state):
            service_id = self._options.service_id
            log.warning(
                "deployment %d of service %d is in the unknown state %r: it counts as running",
                deployment_id,
                service_id,
                state,
            )
            self._metrics.emit(
                UnknownState(service_id=service_id, deployment_id=deployment_id, state=state)
            )
        poller.record_state(deployment)
        if poller.is_over and not is_final(state):
            poller.resume()
            self._group.create_task(self._poll(poller))

    async def _poll(self, poller: Poller) -> None:
        try:
            await poller.run()
        except (NotFoundError, PermissionDeniedError):
            if not (self._is_finishing or await self._has_moved_on(poller)):
                raise
            log.warning("the log of deployment %d is gone", poller.deployment_id)
        await poller.finalize()
        if self._options.deployment_id is not None:
            raise _LogEndedError
        if self._is_finishing:
            self._check_soon()

    async def _has_moved_on(self, poller: Poller) -> bool:
        """Whether the service that is followed does without a deployment whose log is gone."""
        if self._options.deployment_id is not None:
            return False
        current = await self._fetcher.current_deployment()
        return current is None or current.deployment_id != poller.deployment_id

    @property
    def _is_over(self) -> bool:
        """Whether each log that was begun was read to its end."""
        return all(poller.is_over for poller in self._pollers.values())
