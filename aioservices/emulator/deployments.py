"""A deployment, whose state is a function of time."""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from aioservices.emulator import instants, schemas
from aioservices.emulator.logs import Log, LogBehaviour
from aioservices.emulator.schemas import Stream, pick

__all__ = ["FINAL_STATES", "Deployment", "Lifecycle", "Phase"]

# The first two are the emulator's own; the others are final on the platform, too.
FINAL_STATES = frozenset(
    {"terminated", "failed"}
    | {"succeeded", "error", "errored", "crashed", "stopped", "cancelled", "canceled", "deleted"}
)

_MESSAGES = {
    "pending": "Waiting for a container",
    "sleeping": "Turned off after a period of inactivity",
    "terminated": "Stopped",
    "failed": "The container could not be kept running",
}


class Phase(NamedTuple):
    """The state of a deployment from an instant on; a new one has none for a moment."""

    at: int
    state: str | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """The states that a deployment goes through by itself.

    Parameters
    ----------
    null_state_for
        Seconds from its creation until it has a state; never longer than `pending_for`.
    pending_for
        Seconds from its creation until it runs. A program runs as soon as it has started.
    running_for
        Seconds it runs until it has terminated. None: until something ends it.
    log_interval
        Seconds between the lines it writes while it runs. None: it writes none.
    """

    null_state_for: float = 0.05
    pending_for: float = 0.1
    running_for: float | None = None
    log_interval: float | None = None

    def phases(self, now: int) -> list[Phase]:
        """Plan the states of a deployment that is created at `now`."""
        running = now + instants.duration(self.pending_for)
        pending = min(now + instants.duration(self.null_state_for), running)
        plan = [Phase(now, None, None), phase(pending, "pending"), phase(running, "running")]
        if self.running_for is not None:
            ended = running + instants.duration(self.running_for)
            plan.append(phase(ended, "terminated", "Finished"))
        return plan

    @property
    def line_interval(self) -> int | None:
        """The nanoseconds between lines."""
        return instants.duration(self.log_interval) if self.log_interval else None

    def program_phases(self, now: int) -> list[Phase]:
        """Plan the states of a program's deployment; the rest depends on the program."""
        pending = now + instants.duration(min(self.null_state_for, self.pending_for))
        return [Phase(now, None, None), phase(pending, "pending")]


class Deployment:
    """One deployment of a service, with its log.

    Parameters
    ----------
    details
        What the API shows of it, apart from its state.
    phases
        The states it goes through unless `move` sets another one.
    log
        Where its lines go.
    log_interval
        Nanoseconds between the lines it writes by itself. None: it writes none.
    is_program
        Whether a program writes its log and ends it.

    Attributes
    ----------
    written
        How many lines it has written by itself.
    """

    def __init__(
        self,
        details: schemas.Deployment,
        phases: list[Phase],
        log: Log,
        *,
        log_interval: int | None = None,
        is_program: bool = False,
    ) -> None:
        self.id = details.deployment_id
        self.service_id = details.service_id
        self.log = log
        self._details = details
        self._phases = phases
        self.is_program = is_program
        self.log_interval = log_interval
        self.written = 0
        self._next_line = self.created + (log_interval or 0)

    @property
    def created(self) -> int:
        """The instant of its creation."""
        return self._phases[0].at

    @property
    def phases(self) -> list[Phase]:
        """The states that it had, has and is planned to have."""
        return self._phases

    def phase(self, now: int) -> Phase:
        """Return the state it is in at `now`."""
        return next((p for p in reversed(self._phases) if p.at <= now), self._phases[0])

    def has_ended(self, now: int) -> bool:
        """Return whether it is in a state that it does not leave by itself."""
        return self.phase(now).state in FINAL_STATES

    def move(self, now: int, state: str | None, message: str | None = None) -> None:
        """Put it into a state at `now`, instead of what was planned."""
        self._phases = [p for p in self._phases if p.at <= now] or self._phases[:1]
        self._phases.append(phase(now, state, message))

    def end(self, now: int, state: str, message: str) -> None:
        """End it, unless it has ended already."""
        if not self.has_ended(now):
            self.move(now, state, message)

    def view(self, now: int) -> schemas.Deployment:
        """Return what the API answers about it."""
        at, state, message = self.phase(now)
        used = 0.3 + self.id % 40 / 100 if state in FINAL_STATES else None
        return msgspec.structs.replace(
            self._details,
            state=state,
            state_message=message,
            updated_at=instants.text(at),
            max_memory_usage=used and round(used * self._details.memory, 1),
            max_cpu_usage=used and round(used * self._details.cpu, 1),
        )

    def summary(self, now: int) -> schemas.DeploymentSummary:
        """Return its entry in a listing."""
        return pick(self.view(now), schemas.DeploymentSummary)

    def write_due_lines(self, now: int, behaviour: LogBehaviour) -> None:
        """Write the lines that it writes by itself and that are due until `now`."""
        while self.log_interval is not None and self._next_line <= now:
            at = self._next_line
            self._next_line += self.log_interval
            if self.has_ended(at):
                self.log_interval = None
            elif self.phase(at).state == "running":
                self.written += 1
                message, stream = _example_line(self.written)
                self.log.write(
                    message, now=at, at=at, stream=stream, source="user", behaviour=behaviour
                )

    def continue_at(self, now: int) -> None:
        """Write no lines for the time before `now`, when it was not running."""
        if self.log_interval is not None:
            self._next_line = max(self._next_line, now + self.log_interval)


def phase(at: int, state: str | None, message: str | None = None) -> Phase:
    """Make a phase, with the message that usually goes with the state."""
    return Phase(at, state, _MESSAGES.get(state or "") if message is None else message)


def _example_line(number: int) -> tuple[str, Stream]:
    if number % 7 == 0:
        return f"slow request: GET /items/{number} took {900 + number % 90} ms", "stderr"
    return f"GET /items/{number} 200 in {5 + number * 13 % 40} ms", "stdout"
