"""The interface of a destination of stored lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from aioservices.stores.record import StoredEntry

__all__ = ["Forwarder", "PartlyRejected", "ResumableForwarder", "SendResult"]


class PartlyRejected(msgspec.Struct, frozen=True, kw_only=True):
    """A destination accepted a batch except for some lines that it did not name.

    Attributes
    ----------
    count : int
        How many lines it rejected. They are not sent again, because that would repeat the others.
    reason : str
    """

    count: int
    reason: str


SendResult = PartlyRejected | None


class Forwarder(Protocol):
    """A destination of stored lines.

    Any object with this method can be one. It may also have ``aclose``, an async method
    that is called at the end, and an attribute ``name``, under which the store keeps its position
    (default: the name of its class).
    """

    async def send(self, lines: Sequence[StoredEntry], /) -> SendResult:
        """Send some lines; called again with the same lines until it returns.

        Raise `ForwardError` to say when to try again, and `LinesRefusedError` if this batch will
        never be accepted. After any other exception the lines are sent again, with growing delays.

        Parameters
        ----------
        lines : sequence of StoredEntry
            In the order in which they were stored, service by service.

        Returns
        -------
        None or PartlyRejected
        """
        ...


@runtime_checkable
class ResumableForwarder(Protocol):
    """A destination that can undo what it accepted since the store last recorded its state.

    The note is stored in the transaction that moves the position. So lines that were sent but not
    recorded are undone and sent again: each line arrives exactly once.
    """

    async def resume(self, note: str | None, /) -> None:
        """Restore the state of a note; None: the initial state.

        Called before the first `send`.
        """
        ...

    def note(self) -> str:
        """Describe the state after the last `send`, for `resume`."""
        ...
