"""Where stored lines are forwarded to: what a destination has to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from aioservices.stores.record import StoredEntry

__all__ = ["Forwarder", "PartlyRejected", "ResumableForwarder", "SendResult"]


class PartlyRejected(msgspec.Struct, frozen=True, kw_only=True):
    """A destination took a batch, but for some lines that it did not name.

    Attributes
    ----------
    count : int
        How many lines it rejected. They are not sent again, for the others would be repeated.
    reason : str
    """

    count: int
    reason: str


SendResult = PartlyRejected | None


class Forwarder(Protocol):
    """A destination of stored lines.

    Any object with this one method will do. It may have ``aclose`` too, an async method
    that is called at the end, and an attribute ``name`` under which the store keeps its position
    (default: its class's name).
    """

    async def send(self, lines: Sequence[StoredEntry], /) -> SendResult:
        """Send some lines; called again with the same ones until it returns.

        Raise `ForwardError` to say when to try again, `LinesRefusedError` if this batch will never
        be taken; any other exception means that the lines are sent again, later and later.

        Parameters
        ----------
        lines : sequence of StoredEntry
            In the order of keeping, service by service.

        Returns
        -------
        None or PartlyRejected
        """
        ...


@runtime_checkable
class ResumableForwarder(Protocol):
    """A destination that can undo what it took since the store last noted its state.

    The note is kept in the transaction that moves the position. So what was sent and not noted
    is undone and sent again: each line is there exactly once.
    """

    async def resume(self, note: str | None, /) -> None:
        """Go back to a state that was noted; None: to the very first.

        Called before the first `send`.
        """
        ...

    def note(self) -> str:
        """Describe the state behind the last `send`, for `resume`."""
        ...
