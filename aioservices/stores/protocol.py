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
from uuid import UUID

import msgspec

from aioservices.api.models import TailedEntry
from aioservices.tail import LogCursor
from aioservices.validation import validate_optional_int

from .record import StoredEntry

__all__ = [
    "DaemonInfo",
    "ForwardPosition",
    "KeepResult",
    "Lease",
    "LeaseResult",
    "PendingBatch",
    "RejectedLines",
    "RemovedLines",
    "Retention",
    "ServiceAudit",
    "Store",
    "StoreAudit",
    "StoredGap",
    "StoredService",
]


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to read one service's log for a while, and where to go on.

    Attributes
    ----------
    service_id : int
    cursor : LogCursor or None
        Where its tail goes on; None: from the beginning.
    commit_id : UUID
        What the next `PendingBatch` is based on.
    seq : int
        Lines kept so far.
    """

    service_id: int
    cursor: LogCursor | None
    commit_id: UUID
    seq: int


class LeaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a round of leasing brought.

    Attributes
    ----------
    granted : tuple of Lease
        Tails to open.
    held : frozenset of int
        Services that were held before, and still are.
    excess : int
        How many of the held ones are more than a fair share: another daemon has
        come. Stop that many tails when convenient, and `Store.release` them.
    """

    granted: tuple[Lease, ...]
    held: frozenset[int]
    excess: int = 0


class StoredGap(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a log in which lines exist that the server did not give.

    Attributes
    ----------
    service_id, deployment_id : int
    start, end : datetime or None
        Between which times; None is open.
    noted_at : datetime or None
        When it was found.
    """

    service_id: int
    deployment_id: int
    start: dt.datetime | None
    end: dt.datetime | None
    noted_at: dt.datetime | None = None


class PendingBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of one service that wait to be kept, and the cursor that stands behind them.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    base : UUID
        The commit id that the tail stands on.
    commit_id : UUID
        The random one that it stands on afterwards; the same in every repetition.
    cursor : LogCursor
    entries : sequence of TailedEntry
        In their order. May be empty: then only the cursor moves.
    gaps : tuple of StoredGap
    """

    service_id: int
    service_name: str | None
    base: UUID
    commit_id: UUID
    cursor: LogCursor
    entries: Sequence[TailedEntry]
    gaps: tuple[StoredGap, ...] = ()


class KeepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit did.

    Attributes
    ----------
    kept : dict of int to int
        By service how many lines are kept now.
    fenced : frozenset of int
        Services whose tail stands elsewhere: nothing of theirs was kept. Forget
        what is in memory of them, and lease them again.
    """

    kept: Mapping[int, int]
    fenced: frozenset[int]


class DaemonInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who collects into a store.

    Attributes
    ----------
    host, version : str
    key_ids : tuple of bytes
        Hashes of the API keys that it uses, with the store's salt.
    tails : int
        How many it reads.
    """

    host: str
    version: str
    key_ids: tuple[bytes, ...]
    tails: int


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What may be removed.

    Attributes
    ----------
    max_age : timedelta or None
        Lines that were written longer ago.
    max_bytes : int or None
        The oldest lines, when the store is larger.
    forwarded_to : tuple of str
        Lines that all of these forwarders have sent, however new. Empty: none.
    server_time : datetime or None
        What time it is by the clock that dates the lines, if that is known. A store whose own clock
        is ahead of it goes by this one, so that a wrong clock removes no line too early.
    """

    max_age: dt.timedelta | None = None
    max_bytes: int | None = None
    forwarded_to: tuple[str, ...] = ()
    server_time: dt.datetime | None = None

    def __post_init__(self) -> None:
        validate_optional_int(self.max_bytes, "max_bytes", least=1)

    def time(self, own: dt.datetime) -> dt.datetime:
        """Say by which time lines are too old, where a store's own clock shows another one."""
        return own if self.server_time is None else min(own, self.server_time)


class RemovedLines(msgspec.Struct, frozen=True, kw_only=True):
    """What `Store.retain` removed.

    Attributes
    ----------
    lines : int
    unsent : dict of str to int
        By forwarder how many of them it had not sent.
    """

    lines: int
    unsent: Mapping[str, int] = {}


class ServiceAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Whether what is stored of a service is whole.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    lines : int
        Kept and still there.
    removed : int
        Taken away by retention.
    seq : int
        Kept in all: ``lines + removed`` if all is well.
    first_at, last_at : datetime or None
        When the oldest and the newest line was written.
    kept_at : datetime or None
        When the last one was kept.
    gaps : int
    problems : tuple of str
        What is wrong, in words.
    """

    service_id: int
    service_name: str | None
    lines: int
    removed: int
    seq: int
    first_at: dt.datetime | None
    last_at: dt.datetime | None
    kept_at: dt.datetime | None
    gaps: int
    problems: tuple[str, ...] = ()


class StoreAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a store is whole.

    Attributes
    ----------
    services : tuple of ServiceAudit
    bytes : int
        How large the store is.
    problems : tuple of str
        What is wrong with the store itself.
    """

    services: tuple[ServiceAudit, ...]
    bytes: int
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not any(each.problems for each in self.services)


class StoredService(msgspec.Struct, frozen=True, kw_only=True):
    """A service that a store knows.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    seq : int
        Lines kept in all.
    kept_at : datetime or None
    """

    service_id: int
    service_name: str | None
    seq: int
    kept_at: dt.datetime | None


class ForwardPosition(msgspec.Struct, frozen=True, kw_only=True):
    """How far a forwarder is with one service.

    Attributes
    ----------
    forwarder : str
        Its name.
    service_id : int
    seq : int
        Everything up to this line was sent, or rejected.
    behind : int
        Lines that are stored and not sent yet.
    is_ours : bool
        Whether this collector should send them: no other one has the service.
    """

    forwarder: str
    service_id: int
    seq: int
    behind: int
    is_ours: bool = True


class RejectedLines(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters: lines that a destination will not take.

    Attributes
    ----------
    forwarder : str
    service_id : int
    first_seq, last_seq : int
        Which lines.
    count : int
        How many of them were rejected: fewer than there are, if the destination did not say which.
    reason : str
    at : datetime or None
        When.
    """

    forwarder: str
    service_id: int
    first_seq: int
    last_seq: int
    count: int
    reason: str
    at: dt.datetime | None = None


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
    ) -> None: ...

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
