"""The outcome of a deploy in words; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aioservices.api.models import JSON
from aioservices.errors import DeploymentFailedError, DeploymentTimeoutError
from aioservices.fleet import DeployOutcome
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import format_duration

from .errors import explain

__all__ = ["Outcome", "describe", "summary"]

_LINES = 10  # lines of the log of each that failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of the deploy of one service.

    Attributes
    ----------
    service_id : int
    name : str
    word : str
        ``running``, ``sleeping``, ``started``, ``failed``, ``timed out`` or ``refused``.
    deployment_id : int or None
    state : str or None
        Of the deployment, as it was seen last.
    reason : str
        Why it does not run; empty if it does.
    logs : sequence of str
        The end of the log of one that failed.
    elapsed : float
        Seconds.
    """

    service_id: int
    name: str
    word: str
    deployment_id: int | None
    state: str | None
    reason: str
    logs: Sequence[str]
    elapsed: float

    @property
    def is_good(self) -> bool:
        """Whether it succeeded."""
        return not self.reason

    @property
    def line(self) -> str:
        """The outcome in one line."""
        after = f"{self.elapsed:.1f} s" if self.elapsed < 60 else format_duration(self.elapsed)
        deployment = f", deployment {self.deployment_id}" if self.deployment_id else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.word:<9} {self.name} ({self.service_id}), {after}{deployment}{reason}"

    def to_json(self) -> dict[str, JSON]:
        """Return the outcome for machines."""
        return {
            "service_id": self.service_id,
            "service_name": self.name,
            "deployment_id": self.deployment_id,
            "state": self.state,
            "ok": self.is_good,
            "error": self.reason or None,
            "logs": list(self.logs),
            "elapsed": round(self.elapsed, 3),
        }


def describe(outcome: DeployOutcome, name: str, *, waited: bool, url: str) -> Outcome:
    """Describe an outcome.

    Parameters
    ----------
    outcome : DeployOutcome
    name : str
        The service's.
    waited : bool
        Whether it should be running by now.
    url : str
        The base URL of the API.

    Returns
    -------
    Outcome
    """
    deployment = outcome.deployment
    state = deployment.state if deployment else None
    number = deployment.deployment_id if deployment else None
    reason = ""
    logs: tuple[str, ...] = ()
    match outcome.error:
        case None:
            word = (state or "running") if waited else "started"
        case DeploymentFailedError() as error:
            word, logs, number = "failed", tuple(error.logs[-_LINES:]), error.deployment_id
            state = error.state or state
            reason = error.state_message or f"it is {error.state or 'gone'}"
        case DeploymentTimeoutError() as error:
            word, number, state = "timed out", error.deployment_id, error.state or state
            reason = (
                f"still {error.state or 'in no state'} after {format_duration(outcome.elapsed)}"
            )
            if error.state_message:
                reason += f" ({error.state_message})"
        case error:
            word = "refused"
            reason = " ".join((explain(error, url=url).text, *getattr(error, "__notes__", ())))
    return Outcome(
        service_id=outcome.service_id,
        name=name,
        word=word,
        deployment_id=number,
        state=state,
        reason=one_line(reason),
        logs=logs,
        elapsed=outcome.elapsed,
    )


def summary(outcomes: Sequence[Outcome], *, seconds: float) -> str:
    """Summarize outcomes in one line."""
    words = [outcome.word for outcome in outcomes]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words)))
    total = f"{len(outcomes)} service" + ("s" if len(outcomes) != 1 else "")
    return f"{total}: {counts}, in {format_duration(max(1, seconds))}"
