"""What the states of a deployment mean; the one list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import msgspec

__all__ = [
    "FINAL_STATES",
    "SLEEPING",
    "ArchivalStatus",
    "DeploymentState",
    "FinalState",
    "ServiceStatus",
    "State",
    "StatusFilter",
    "UnknownStates",
    "is_final",
    "is_known",
    "is_running",
    "state_as_text",
]

ServiceStatus: TypeAlias = Literal["running", "idle"]
"""Whether a service is deployed."""

StatusFilter: TypeAlias = Literal["running", "idle", "running,idle", "idle,running"]
"""Which services a listing is to have, by their status."""

ArchivalStatus: TypeAlias = Literal["true", "false", "all"]
"""Which services a listing is to have: those in the archive, the others, or all."""

# The specification names `pending`, `running`, `terminated` and `sleeping`, and does not say that
# there are no others. The rest is what deployments and jobs of the platform have been seen in.
LiveState: TypeAlias = Literal["pending", "queued", "starting", "running", "sleeping"]
FinalState: TypeAlias = Literal[
    "terminated",
    "succeeded",
    "failed",
    "error",
    "errored",
    "crashed",
    "stopped",
    "cancelled",
    "canceled",
    "deleted",
]
DeploymentState: TypeAlias = LiveState | FinalState
"""The states of deployments that are known."""

if TYPE_CHECKING:
    State: TypeAlias = DeploymentState | str
    """A state as the server gives it: one that is known, or any other."""
else:
    State = Any  # for msgspec, which takes no union of strings; see `state_as_text`

SLEEPING = "sleeping"
FINAL_STATES: frozenset[str] = frozenset(get_args(FinalState))
_RUNNING = frozenset({"running", SLEEPING})
_KNOWN = FINAL_STATES | frozenset(get_args(LiveState))


def is_final(state: str | None) -> bool:
    """Return whether a deployment in a state has ended and will not run again.

    A state that is not known, or missing, is not final.

    Parameters
    ----------
    state : str or None
        The state as the server gives it, in capitals or not.
    """
    return _normalized(state) in FINAL_STATES


def is_running(state: str | None) -> bool:
    """Return whether a deployment in a state is up.

    One that sleeps is: a service that runs on demand sleeps until it is visited. A state
    that is not known counts as running too; a missing one does not.

    Parameters
    ----------
    state : str or None
        The state as the server gives it, in capitals or not.
    """
    return _normalized(state) in _RUNNING or not is_known(state)


def is_known(state: str | None) -> bool:
    """Return whether it is known what a state means. A new deployment may be in none yet."""
    return not state or _normalized(state) in _KNOWN


def state_as_text(state: object) -> str | None:
    """Return a state as text: one that a server gives as anything else is not known.

    It is shown as JSON, so that one odd value does not make the rest of an answer useless.
    """
    if state is None or isinstance(state, str):
        return state
    return msgspec.json.encode(state).decode()


class UnknownStates:
    """Remembers which unknown states were met, so that each is reported once."""

    __slots__ = ("_met",)

    def __init__(self) -> None:
        self._met: tuple[str, ...] = ()  # mostly none, in thousands of tails

    def is_new(self, state: str | None) -> bool:
        """Return whether a state is unknown and is met for the first time."""
        if state is None or is_known(state) or state in self._met:
            return False
        self._met += (state,)
        return True


def _normalized(state: str | None) -> str:
    return (state or "").lower()
