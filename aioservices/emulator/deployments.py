"""A deployment, whose state is a function of time."""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from aioservices.emulator import instants
from aioservices.emulator.logs import Log, LogBehaviour
from aioservices.emulator.schemas import Deployment as DeploymentShape
from aioservices.emulator.schemas import DeploymentSummary, Stream, pick

__all__ = ["FINAL_STATES", "Deployment", "Lifecycle", "Phase"]

FINAL_STATES = frozenset({"terminated", "failed"})

_MESSAGES = {
    "pending": "Waiting for a container",
    "running": "All replicas are up",
    "sleeping": "Turned off after a period of inactivity",
    "terminated": "Stopped",
    "failed": "The container could not be kept running",
}


class Phase(NamedTuple):
    """What a deployment is from an instant on."""

    at: int
    state: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """What a deployment of a service that is no program goes through by itself.

    Parameters
    ----------
    pending_for
        Seconds from its creation until it runs.
    running_for
        Seconds it runs until it has terminated. None: until something ends it.
    log_interval
        Seconds between the lines it writes while it runs. None: it writes none.
    """

    pending_for: float = 0.1
    running_for: float | None = None
    log_interval: float | None = None

    def phases(self, now: int) -> list[Phase]:
        """Plan the states of a deployment made at `now`."""
        running = now + instants.duration(self.pending_for)
        plan = [phase(now, "pending"), phase(running, "running")]
        if self.running_for is not None:
            ended = running + instants.duration(self.running_for)
            plan.append(phase(ended, "terminated", "Finished"))
        return plan


class Deployment:
    """One deployment of a service, with its log.

    Parameters
    ----------
    shape
        What the API says of it, apart from its state.
    phases
        The states it goes through unless `move` says otherwise.
    log
        Where its lines go.
    log_interval
        Seconds between the lines it writes by itself. None: it writes none.
    """

    def __init__(
        self,
        shape: DeploymentShape,
        phases: list[Phase],
        log: Log,
        *,
        log_interval: float | None = None,
    ) -> None:
        self.id = shape.deployment_id
        self.service_id = shape.service_id
        self.log = log
        self._shape = shape
        self._phases = phases
        self._interval = instants.duration(log_interval) if log_interval else None
        self._next_line = self.created + (self._interval or 0)
        self._spoken = 0

    @property
    def created(self) -> int:
        """The instant it was made."""
        return self._phases[0].at

    def phase(self, now: int) -> Phase:
        """Give the state it is in at `now`."""
        return next((p for p in reversed(self._phases) if p.at <= now), self._phases[0])

    def has_ended(self, now: int) -> bool:
        """Say whether it is in a state that it does not leave by itself."""
        return self.phase(now).state in FINAL_STATES

    def move(self, now: int, state: str, message: str | None = None) -> None:
        """Put it into a state at `now`, in place of all that was planned."""
        self._phases = [p for p in self._phases if p.at <= now] or self._phases[:1]
        self._phases.append(phase(now, state, message))

    def end(self, now: int, state: str, message: str) -> None:
        """End it, unless it has ended already."""
        if not self.has_ended(now):
            self.move(now, state, message)

    def shape(self, now: int) -> DeploymentShape:
        """Say of it what the API says."""
        at, state, message = self.phase(now)
        used = 0.3 + self.id % 40 / 100 if state in FINAL_STATES else None
        return msgspec.structs.replace(
            self._shape,
            state=state,
            state_message=message,
            updated_at=instants.text(at),
            max_memory_usage=used and round(used * self._shape.memory, 1),
            max_cpu_usage=used and round(used * self._shape.cpu, 1),
        )

    def summary(self, now: int) -> DeploymentSummary:
        """Say of it what the API says in a listing."""
        return pick(self.shape(now), DeploymentSummary)

    def grow(self, now: int, behaviour: LogBehaviour) -> None:
        """Write the lines that it has written by itself until `now`."""
        while self._interval is not None and self._next_line <= now:
            at = self._next_line
            self._next_line += self._interval
            if self.has_ended(at):
                self._interval = None
            elif self.phase(at).state == "running":
                self._spoken += 1
                message, stream = _chat(self._spoken)
                self.log.write(
                    message, now=at, at=at, stream=stream, source="user", behaviour=behaviour
                )


def phase(at: int, state: str, message: str | None = None) -> Phase:
    """Make a phase, with the message that usually goes with the state."""
    return Phase(at, state, _MESSAGES.get(state, "") if message is None else message)


def _chat(number: int) -> tuple[str, Stream]:
    if number % 7 == 0:
        return f"slow request: GET /items/{number} took {900 + number % 90} ms", "stderr"
    return f"GET /items/{number} 200 in {5 + number * 13 % 40} ms", "stdout"
