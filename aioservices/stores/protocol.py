"""What a store of log lines does, whatever it is made of.

Theory of operation
-------------------
A *tail* is one service's place in a store: the cursor up to which its log was kept, how many lines
that were (``seq``), and a random ``commit_id`` that changes with every commit. Whoever wants to add
lines says which commit id they stand on (`PendingBatch.base`) and which one follows
(`PendingBatch.commit_id`); the store moves the tail from the one to the other, and keeps the lines,
in one transaction, or does neither.

Because the ids are random, a comparison tells everything that can have happened. The tail stands on
``base``: nothing was kept, do it again. It stands on ``commit_id``: this very batch was kept, and
only the answer was lost. It stands on anything else: somebody else has the tail, or a failover has
forgotten some commits; what is in memory is worthless, and the log is read again from the cursor in
the store. Counters and epochs cannot tell the last case from the first. `Store.keep` is therefore
safe to repeat, with the same batches, as often as it takes. Leases only save API calls.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from aioservices.validation import validate_int, validate_optional_int

from .models import (
    DaemonInfo,
    ForwardPosition,
    KeepResult,
    LeaseResult,
    PendingBatch,
    RejectedLines,
    RemovedLines,
    Retention,
    StoreAudit,
    StoredGap,
    StoredService,
)
from .query import LineQuery
from .record import StoredEntry, to_micros

__all__ = ["Store"]


class Store(Protocol):
    """A transactional store of log lines.

    An async context manager: it is opened when entered. All methods may be called
    concurrently. Every one may raise `StoreUnavailableError` (call again, with the same
    arguments) or another `StoreError` (waiting does not help).
    """

    @property
    def url(self) -> str:
        """What it is called in messages; never with a password."""
        ...

    async def aclose(self) -> None:
        """Wait for what is being written, and close."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # Keeping

    async def lease(self, visible: Collection[int], held: Collection[int]) -> LeaseResult:
        """Prolong the leases of what is held, and take those of what is free, up to a fair share.

        To be called every third of the lease's length.

        Parameters
        ----------
        visible : collection of int
            Services that this daemon could read.
        held : collection of int
            Those that it reads.
        """
        ...

    async def keep(self, batches: Sequence[PendingBatch]) -> KeepResult:
        """Keep lines and cursors of many services in one transaction.

        After `StoreUnavailableError` it is not known whether they were kept: call again with
        the same batches. After a cancellation too.
        """
        ...

    async def release(self, service_ids: Collection[int]) -> None:
        """Give leases back, so that another daemon need not wait until they run out."""
        ...

    async def heartbeat(self, daemon: DaemonInfo) -> dict[bytes, int]:
        """Say that this daemon lives; get by key id how many do that use this key."""
        ...

    @property
    def salt(self) -> bytes:
        """What API keys are hashed with, where they are told apart."""
        ...

    async def retain(self, retention: Retention) -> RemovedLines:
        """Remove what need not be kept any longer."""
        ...

    # Reading back

    def read(
        self,
        service_id: int,
        *,
        start_at: dt.datetime | None = None,
        end_at: dt.datetime | None = None,
        deployment_id: int | None = None,
        contains: str | None = None,
        where: Callable[[StoredEntry], bool] | None = None,
        last: int | None = None,
    ) -> AsyncIterator[StoredEntry]:
        """Read the lines of a service that are stored now, in order of ``created_at``.

        Parameters
        ----------
        service_id : int
        start_at, end_at : datetime, optional
            Both inclusive.
        deployment_id : int, optional
        contains : str, optional
            Only lines with this text in their message.
        where : callable, optional
            Only lines for which it gives True.
        last : int, optional
            Only the last so many of those.
        """
        query = LineQuery(
            start_at=None if start_at is None else to_micros(start_at),
            end_at=None if end_at is None else to_micros(end_at),
            deployment_id=validate_optional_int(deployment_id, "deployment_id"),
            contains=contains,
            where=where,
            last=validate_optional_int(last, "last"),
        )
        return self._read(validate_int(service_id, "service_id"), query)

    def _read(self, service_id: int, query: LineQuery) -> AsyncIterator[StoredEntry]:
        """Read the lines that a query asks for, in order of ``created_at``."""
        ...

    async def read_after(self, service_id: int, seq: int, limit: int) -> list[StoredEntry]:
        """Read the lines that were kept after a line, in the order of keeping."""
        ...

    async def services(self) -> list[StoredService]:
        """List the services that the store knows."""
        ...

    async def gaps(self, service_id: int | None = None) -> list[StoredGap]:
        """List the gaps that were noted."""
        ...

    async def audit(self, *, thorough: bool = False) -> StoreAudit:
        """Count what is stored, service by service.

        Parameters
        ----------
        thorough : bool, default False
            Read every line too, to find any that is damaged or there twice.
        """
        ...

    # Forwarding

    async def forward_positions(self, forwarder: str | None = None) -> list[ForwardPosition]:
        """Tell how far forwarders are: of each that ever forwarded, or of one, every service."""
        ...

    async def forward_note(self, forwarder: str, place: str) -> str | None:
        """Give what a forwarder noted with its last lines, in one place (such as a host)."""
        ...

    async def mark_forwarded(
        self,
        forwarder: str,
        moves: Mapping[int, tuple[int, int]],
        *,
        rejected: Sequence[RejectedLines] = (),
        place: str = "",
        note: str | None = None,
    ) -> bool:
        """Move positions, note dead letters and the forwarder's note: all, or nothing.

        Parameters
        ----------
        forwarder : str
        moves : mapping of int to (int, int)
            By service from which seq to which.
        rejected : sequence of RejectedLines
        place, note : str
            See `forward_note`.

        Returns
        -------
        bool
            False if a position was not where the move begins: another daemon forwards
            this service, or somebody moved it back. Nothing was changed.
        """
        ...

    async def rejected(self, forwarder: str | None = None) -> list[RejectedLines]:
        """List dead letters."""
        ...

    async def resend(
        self, forwarder: str, *, since: dt.datetime | None = None, rejected_only: bool = False
    ) -> int:
        """Move a forwarder back, so that it sends again.

        Parameters
        ----------
        forwarder : str
        since : datetime, optional
            What was kept since then. Default: everything.
        rejected_only : bool, default False
            Move back only as far as the oldest dead letter of each service, and forget those.

        Returns
        -------
        int
            How many lines will be sent again.
        """
        ...
