"""The interface of a store of log lines.

Theory of operation
-------------------
A *tail* is the state of one service in a store: the cursor up to which its log is stored, the
number of lines so far (``seq``), and a random ``commit_id`` that changes with every commit. To add
lines, a collector passes the commit id that it knows (`PendingBatch.base`) and the next one
(`PendingBatch.commit_id`). In one transaction, the store moves the tail from the first to the
second and stores the lines, or does neither.

Because the ids are random, comparing them shows what has happened. If the tail has the id ``base``,
nothing was stored, and the commit is repeated. If it has ``commit_id``, this batch was stored, and
only the response was lost. If it has any other id, another collector owns the tail, or a failover
has lost some commits: the lines in memory are discarded, and the log is read again from the cursor
in the store. Counters or epochs could not distinguish the last case from the first. So `Store.keep`
can be repeated safely with the same batches. Leases only save API calls.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
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
        """Its address for messages, never with a password."""
        ...

    async def aclose(self) -> None:
        """Wait until pending writes are done, and close."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # Storing

    async def lease(self, visible: Collection[int], held: Collection[int]) -> LeaseResult:
        """Renew the leases of held services, and lease free ones, up to a fair share.

        Call it every third of the duration of a lease.

        Parameters
        ----------
        visible : collection of int
            Services that this daemon can read.
        held : collection of int
            Services that it holds.
        """
        ...

    async def keep(self, batches: Sequence[PendingBatch]) -> KeepResult:
        """Store lines and cursors of many services in one transaction.

        After a `StoreUnavailableError` or a cancellation it is unknown whether they were stored:
        call it again with the same batches.
        """
        ...

    async def release(self, service_ids: Collection[int]) -> None:
        """Release leases, so that another daemon need not wait until they expire."""
        ...

    async def heartbeat(self, daemon: DaemonInfo) -> dict[bytes, int]:
        """Record that this daemon is running; return the number of running daemons by key id."""
        ...

    @property
    def salt(self) -> bytes:
        """The salt with which API keys are hashed to distinguish them."""
        ...

    async def retain(self, retention: Retention) -> RemovedLines:
        """Remove lines according to retention rules."""
        ...

    # Reading

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
        """Read the stored lines of a service, in order of ``created_at``.

        Parameters
        ----------
        service_id : int
        start_at, end_at : datetime, optional
            Both inclusive.
        deployment_id : int, optional
        contains : str, optional
            Only lines with this text in their message.
        where : callable, optional
            Only lines for which it returns True.
        last : int, optional
            Only this many of the last of those lines.
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
        """Read the lines that match a query, in order of ``created_at``."""
        ...

    async def read_after(self, service_id: int, seq: int, limit: int) -> list[StoredEntry]:
        """Read the lines that were stored after a line, in that order."""
        ...

    async def services(self) -> list[StoredService]:
        """List the services in the store."""
        ...

    async def gaps(self, service_id: int | None = None) -> list[StoredGap]:
        """List the recorded gaps."""
        ...

    async def audit(self, *, thorough: bool = False) -> StoreAudit:
        """Check that no line is missing, service by service.

        Parameters
        ----------
        thorough : bool, default False
            Also read every line, to find damaged and duplicate ones.
        """
        ...

    # Forwarding

    async def forward_positions(self, forwarder: str | None = None) -> list[ForwardPosition]:
        """Return the position in each service: of one forwarder, or of all known ones."""
        ...

    async def forward_note(self, forwarder: str, place: str) -> str | None:
        """Return the note that a forwarder stored with its last lines in a place, as a host."""
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
        """Move positions, and store dead letters and the forwarder's note: all or nothing.

        Parameters
        ----------
        forwarder : str
        moves : mapping of int to (int, int)
            The old and the new position, by service.
        rejected : sequence of RejectedLines
        place, note : str
            See `forward_note`.

        Returns
        -------
        bool
            False if a position had changed, because another daemon forwards the service or
            because of `resend`. Then nothing is changed.
        """
        ...

    async def rejected(self, forwarder: str | None = None) -> list[RejectedLines]:
        """List dead letters."""
        ...

    async def resend(
        self, forwarder: str, *, since: dt.datetime | None = None, rejected_only: bool = False
    ) -> int:
        """Move a forwarder back, so that it sends lines again.

        Parameters
        ----------
        forwarder : str
        since : datetime, optional
            Only lines stored since then. Default: all.
        rejected_only : bool, default False
            Only from the oldest dead letter of each service on; the dead letters are removed.

        Returns
        -------
        int
            How many lines will be sent again.
        """
        ...
